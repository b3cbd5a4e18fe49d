//! What a closing counts, and how it is stored and shown. `docs/adr/0023-closings.md` has the reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::figures::Figures;
use super::{Day, READING_TURN, dto};
use crate::http::{AppState, Problem, ProblemType};
use crate::platform::closing_key::{ClosingKey, Purpose};
use crate::projection::{DayRows, Ledger, ProjectionError};
use comptoir_core::chain::sha256;
use comptoir_core::event::DeviceId;
use comptoir_core::sale::money::Amount;
use comptoir_core::sale::{self, Currency, Money};
use comptoir_journal::{
    Entry, EntryKind, Numbering, Offset, Outcome, Payload, StoredClosing, Submission, UncoveredNumbers,
};

/// Most late payments in a closing, and most devices and epochs, and missing ranges of their numbers.
const MAX_LATE: usize = 500;
const MAX_NUMBERS: usize = 2_000;
/// Most bytes of a closing. Kafka's clients send records of up to 1,000,000 bytes.
const MAX_BYTES: usize = 900_000;
/// How many seconds a closing waits for the fold of the events that are stored already. Less than the time for an answer.
const FOLD_TIMEOUT: usize = 5;
/// The predecessor of the first closing.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A closing as it is stored and sent to Kafka, without its hash.
#[derive(Serialize)]
struct Record<'a> {
    store: &'a str,
    #[serde(flatten)]
    counted: &'a dto::ClosingRecord,
    figures: &'a dto::ShopDay,
}

/// What the next closing needs of the previous one.
#[derive(Deserialize)]
struct Previous {
    grand_total: Vec<Total>,
    hash: String,
}

#[derive(Deserialize)]
struct Total {
    currency: Currency,
    net: Amount,
}

/// A payment in the journal.
#[derive(Deserialize)]
struct Payment {
    payment_id: String,
    order_id: String,
    amount: Amount,
    currency: Currency,
    status: String,
}

/// JSON objects whose values are kept byte for byte.
type RawObject = BTreeMap<Box<str>, Box<RawValue>>;

/// Closes the day and returns it as `GET` does. The whole closing is one entry of the journal.
pub async fn close(
    app: &AppState,
    day: &Day,
    today: Date,
    closed_by: Option<String>,
) -> Result<impl Serialize + use<>, Problem> {
    let _turn = app.closing_turn.lock().await;
    check_order(app, day.date, today).await?;
    if app.journal.state().refusing {
        // An empty append fails with the reason, before a closing is made that could not be stored.
        app.journal.append(Vec::new()).await?;
    }
    let previous = app.journal.newest_closing().await?;
    let (rows, figures) = figures(app, day, today).await?;
    let counted = counted(app, day, previous.as_ref(), &rows, &figures, closed_by).await?;
    let payload = record(&app.store, counted, &figures, app.closing_key.as_deref())?;
    let submission = Submission {
        device: DeviceId::gateway(&app.store).map_err(Problem::internal)?,
        encoding: None,
        numbering: Numbering::Gateway { fingerprint: None },
        kind: EntryKind::Closing,
        time: Timestamp::now().as_millisecond(),
        key: app.store.as_str().into(),
        payload: Payload::Json(payload.into()),
        reason: None,
    };
    let receipt = app.journal.append(vec![submission]).await?;
    let offset = match receipt.outcomes.into_iter().next() {
        Some(Outcome::Stored(offset, _)) => offset,
        Some(Outcome::Refused(refusal)) => return Err(Problem::refused(refusal)),
        _ => return Err(Problem::internal("a closing was not stored")),
    };
    app.projection.wait_until_folded(offset).await;
    let stored = app.journal.closing_of(&day.date.to_string()).await?;
    let stored = stored.ok_or_else(|| Problem::internal("a closing was stored, but cannot be read"))?;
    let ledger = app.projection.ledger().await?;
    shown(&stored, &ledger, day, today)
}

/// Days are closed in order, each once.
async fn check_order(app: &AppState, date: Date, today: Date) -> Result<(), Problem> {
    let closed = |closing: StoredClosing| {
        let StoredClosing { number, date: of, .. } = closing;
        let detail = match of == date.to_string() {
            true => format!("{date} is closed already, by closing {number}. GET /api/days/{date} has it."),
            false => format!(
                "Closing {number} of {of} has counted {date}, too. Close a later day; it counts what has arrived since."
            ),
        };
        Problem::new(ProblemType::DayIsClosed, detail)
    };
    if let Some(closing) = app.journal.closing_of(&date.to_string()).await? {
        return Err(closed(closing));
    }
    // A closing of the future was made while the clock was wrong. It must not prevent those of the days until then.
    let newest = app.journal.newest_closing_upto(&today.to_string()).await?;
    match newest.filter(|newest| newest.date > date.to_string()) {
        Some(newest) => Err(closed(newest)),
        None => Ok(()),
    }
}

/// The figures of the day and what no closing has counted, at the same moment, with all events that are stored now.
async fn figures(app: &AppState, day: &Day, today: Date) -> Result<(DayRows, dto::ShopDay), Problem> {
    let period = (day.from.as_millisecond(), day.to.as_millisecond());
    let stored = app.journal.state().last;
    for _ in 0..FOLD_TIMEOUT {
        // Waits for at most a second.
        app.projection.wait_until_folded(stored).await;
    }
    if app.projection.view().folded < stored {
        return Err(ProjectionError::Behind.into());
    }
    // Never closed.
    let _turn = READING_TURN.acquire().await;
    let rows = app.projection.day_rows(period).await?;
    let mut figures = Figures::new(&app.store, app.currency, app.time_zone.clone());
    let visited = app
        .projection
        .visit_day(&rows, |kind, sale| figures.add(kind, sale.payload()))
        .await?;
    let figures = figures.finish(day, day.date == today, visited);
    Ok((rows, figures))
}

/// Everything that the closing says beside the figures.
async fn counted(
    app: &AppState,
    day: &Day,
    previous: Option<&StoredClosing>,
    rows: &DayRows,
    figures: &dto::ShopDay,
    closed_by: Option<String>,
) -> Result<dto::ClosingRecord, Problem> {
    let after = previous.map_or(Offset(0), |previous| previous.upto);
    let (numbers, has_all_numbers) = app
        .journal
        .uncovered_numbers(after, rows.upto, MAX_NUMBERS)
        .await?;
    let late = match previous {
        Some(_) => {
            let from = day.from.as_millisecond();
            app.journal
                .payments_before(from, after, rows.upto, MAX_LATE + 1)
                .await?
        }
        // Everything before the first closing would be late.
        None => Vec::new(),
    };
    let takings = rows.ledger.upto(day.date);
    let mut grand_total: BTreeMap<Currency, i64> = BTreeMap::new();
    let mut hash = NO_HASH.to_owned();
    if let Some(previous) = previous {
        let previous: Previous = serde_json::from_str(&previous.payload)
            .map_err(|error| Problem::internal(format!("the previous closing cannot be read: {error}")))?;
        for Total { currency, net } in previous.grand_total {
            grand_total.insert(currency, Money::sum_of(net, currency).map_or(0, Money::minor));
        }
        hash = previous.hash;
    }
    for (_, net) in &takings {
        let sum = grand_total.entry(net.currency()).or_default();
        *sum = sum.saturating_add(net.minor());
    }
    let is_kept = app.journal.state().first.0 <= after.0 + 1;
    Ok(dto::ClosingRecord {
        number: previous.map_or(1, |previous| previous.number + 1),
        date: day.date,
        closed_at: sale::now(),
        closed_by,
        journal: app.journal.uuid(),
        upto: rows.upto.0,
        complete: is_kept
            && has_all_numbers
            && figures.complete.is_none()
            && rows.ledger.is_complete()
            && agree(&rows.ledger, figures),
        takings: takings.into_iter().map(taking).collect(),
        later_takings: rows.ledger.after(day.date).map(taking).collect(),
        has_more_late_payments: late.len() > MAX_LATE,
        late_payments: late
            .iter()
            .take(MAX_LATE)
            .filter_map(|entry| late_payment(entry))
            .collect(),
        numbers: numbers
            .into_iter()
            .map(|numbers| covered(&app.store, numbers))
            .collect(),
        grand_total: grand_total
            .into_iter()
            .map(|(currency, minor)| Money::sum(minor, currency).into())
            .collect(),
        previous: hash,
        chain: app.journal.hash_at(rows.upto).await?.map(|hash| hash.to_string()),
        key: app.closing_key.as_ref().map(|key| key.public().to_string()),
    })
}

/// Whether the ledger's takings of the day are those of the figures. They are not if an event was lost in one of them.
fn agree(ledger: &Ledger, figures: &dto::ShopDay) -> bool {
    let mut shown: Vec<dto::NetAmount> = figures
        .other_currencies
        .iter()
        .copied()
        .chain([figures.takings.net.into()])
        .filter(|amount| amount.net.minor() != 0)
        .collect();
    shown.sort_by_key(|amount| amount.currency);
    let mut counted: Vec<dto::NetAmount> = ledger.of(figures.date).map(Into::into).collect();
    counted.sort_by_key(|amount| amount.currency);
    shown == counted
}

fn taking((date, net): (Option<Date>, Money)) -> dto::CountedTakings {
    dto::CountedTakings {
        date,
        amount: net.into(),
    }
}

fn late_payment(entry: &Entry) -> Option<dto::LatePayment> {
    let payment: Payment = serde_json::from_str(entry.payload.json()).ok()?;
    Some(dto::LatePayment {
        ce_id: entry.name.to_string(),
        time: Timestamp::from_millisecond(entry.time).ok()?,
        amount: Money::sum_of(payment.amount, payment.currency)?,
        currency: payment.currency,
        payment_id: payment.payment_id,
        order_id: payment.order_id,
        status: payment.status,
    })
}

fn covered(store: &str, numbers: UncoveredNumbers) -> dto::CoveredNumbers {
    let device = &numbers.device;
    dto::CoveredNumbers {
        device: match device.store() == store {
            true => device.device().to_owned(),
            false => device.to_string(),
        },
        epoch: numbers.epoch,
        from: numbers.from,
        to: numbers.to,
        missing: numbers
            .missing
            .into_iter()
            .map(|(first, last)| [first, last])
            .collect(),
    }
}

/// The JSON of the closing, with its hash and the signature as the last fields.
fn record(
    store: &str,
    mut counted: dto::ClosingRecord,
    figures: &dto::ShopDay,
    key: Option<&ClosingKey>,
) -> Result<String, Problem> {
    loop {
        let record = Record {
            store,
            counted: &counted,
            figures,
        };
        let json = serde_json::to_string(&record).map_err(Problem::internal)?;
        if json.len() <= MAX_BYTES || counted.late_payments.is_empty() {
            return Ok(with_hash(json, key));
        }
        let half = counted.late_payments.len() / 2;
        counted.late_payments.truncate(half);
        counted.has_more_late_payments = true;
    }
}

fn with_hash(mut json: String, key: Option<&ClosingKey>) -> String {
    let hash = sha256(json.as_bytes());
    json.pop();
    // Writing to a string cannot fail.
    let _ = write!(json, ",\"hash\":\"{hash}\"");
    if let Some(key) = key {
        let _ = write!(json, ",\"signature\":\"{}\"", key.sign(Purpose::Closing, hash));
    }
    json.push('}');
    json
}

/// A closed day as `GET` returns it: the figures, and the closing with what has arrived since.
pub fn shown(
    closing: &StoredClosing,
    ledger: &Ledger,
    day: &Day,
    today: Date,
) -> Result<impl Serialize + use<>, Problem> {
    let since: Vec<dto::NetAmount> = ledger.of(day.date).map(Into::into).collect();
    let shown = || -> serde_json::Result<RawObject> {
        let mut record: RawObject = serde_json::from_str(&closing.payload)?;
        let figures = record.remove("figures").unwrap_or_default();
        record.remove("store");
        record.insert("since".into(), to_raw_value(&since)?);
        let mut figures: RawObject = serde_json::from_str(figures.get())?;
        figures.insert("is_today".into(), to_raw_value(&(day.date == today))?);
        figures.insert("closing".into(), to_raw_value(&record)?);
        Ok(figures)
    };
    shown().map_err(|error| Problem::internal(format!("closing {} cannot be read: {error}", closing.number)))
}
