//! `GET` and `POST` of orders, payments and deliveries.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use comptoir_sim::invent;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Problem, Shop};
use crate::event::{COUNTER, DeviceId, EventName, Kind};
use crate::journal::{EntryKind, Numbering, Offset, Outcome, Submission};
use crate::projection::Listed;
use crate::sale::draft::{self, Draft, FieldError, LineDraft};
use crate::sale::money::Amount;
use crate::sale::{self, Currency, PaymentMethod};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
    status: Option<String>,
}

#[derive(Serialize)]
struct ListBody {
    items: Vec<Box<RawValue>>,
    /// Give it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

pub async fn list(
    kind: Kind,
    State(shop): State<Arc<Shop>>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let limit = match &query.limit {
        None => DEFAULT_LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| FieldError::new("limit", format!("a number from 1 to {MAX_LIMIT}")))?,
    };
    let cursor = query
        .cursor
        .as_deref()
        .map(|text| {
            text.parse()
                .map_err(|_| FieldError::new("cursor", "not one that a page gave"))
        })
        .transpose()?;
    let words = statuses(kind);
    if let Some(status) = &query.status
        && !words.contains(&status.as_str())
    {
        let problem = format!("one of {}", words.join(", "));
        return Err(FieldError::new("status", problem).into());
    }
    let page = shop
        .projection
        .list(kind, query.status.as_deref(), cursor, limit)
        .await?;
    let watermark = shop.journal.state().watermark;
    let body = ListBody {
        items: page
            .items
            .iter()
            .filter_map(|item| json(item, watermark))
            .collect(),
        next_cursor: page.next.map(|next| next.to_string()),
    };
    Ok(Json(body).into_response())
}

fn statuses(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Order => &["Pending", "Processing", "Completed", "Cancelled"],
        Kind::Payment => &["SUCCESS", "FAILED"],
        Kind::Delivery => &["Pending", "In Transit", "Delivered"],
    }
}

/// Where an event is, as the dashboard marks it.
#[derive(Serialize)]
struct Whereabouts<'a> {
    ce_id: &'a str,
    /// `local`: stored by this gateway. `kafka`: another's, read from Kafka.
    origin: &'static str,
    /// It is in Kafka.
    confirmed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
}

/// The stored JSON with the event's whereabouts added, not parsed again: its numbers stay as they are.
fn json(item: &Listed, watermark: Offset) -> Option<Box<RawValue>> {
    let extra = serde_json::to_string(&Whereabouts {
        ce_id: &item.name,
        origin: if item.own { "local" } else { "kafka" },
        confirmed: item.entry.is_none_or(|entry| entry <= watermark),
        partition: item.partition,
        offset: item.offset,
    })
    .ok()?;
    let open = item.payload.trim_end().strip_suffix('}')?;
    RawValue::from_string(format!("{open},{}", &extra[1..])).ok()
}

pub async fn create(
    kind: Kind,
    State(shop): State<Arc<Shop>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body?;
    let mut draft = match body.iter().all(u8::is_ascii_whitespace) {
        true => Draft::default(),
        false => {
            refuse_unknown(kind, &body)?;
            draft::from_json(&body)?
        }
    };
    let device = DeviceId::new(&shop.store, COUNTER)
        .unwrap_or_else(|error| unreachable!("the store's name was checked: {error}"));
    for (field, said, own) in [
        ("store", draft.store.take(), device.store()),
        ("device", draft.device.take(), device.device()),
    ] {
        if said.is_some_and(|said| said != own) {
            return Err(FieldError::new(field, format!("what is posted here is {own}'s")).into());
        }
    }
    let timestamp = draft.timestamp.unwrap_or_else(sale::now);
    let currency = draft.currency.unwrap_or(shop.currency);
    complete(kind, &mut draft, currency);
    let event = draft.complete(kind, shop.currency)?;
    let payload = event.to_json(timestamp, &device);
    let submission = Submission {
        device,
        encoding: None,
        numbering: Numbering::Gateway { fingerprint: None },
        kind: EntryKind::Event(kind),
        time: timestamp.as_millisecond(),
        key: event.order_id().into(),
        payload: payload.clone().into(),
        reason: None,
    };
    let receipt = shop.journal.append(vec![submission]).await?;
    let Some(Outcome::Stored(offset, name)) = receipt.outcomes.into_iter().next() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the journal has more devices than it can number",
        ));
    };
    // Whoever asks next sees it in the lists and totals.
    shop.projection.reached(offset).await;
    created(payload, name, offset)
}

fn created(payload: Vec<u8>, name: EventName, offset: Offset) -> Result<Response, Problem> {
    let item = Listed {
        // to_json writes UTF-8.
        payload: String::from_utf8_lossy(&payload).into(),
        name: name.to_string(),
        own: true,
        entry: Some(offset),
        partition: None,
        offset: None,
    };
    let body = json(&item, Offset(0)).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the event is stored, but could not be shown",
        )
    })?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A field that is misspelt would be invented instead, and nobody would see why.
fn refuse_unknown(kind: Kind, body: &[u8]) -> Result<(), FieldError> {
    const COMMON: [&str; 6] = ["order_id", "status", "timestamp", "store", "device", "address"];
    let own: &[&str] = match kind {
        Kind::Order => &[
            "customer_name",
            "customer_email",
            "product",
            "lines",
            "amount",
            "currency",
        ],
        Kind::Payment => &["payment_id", "amount", "currency", "method"],
        Kind::Delivery => &["delivery_id", "estimated_date"],
    };
    let fields: serde_json::Map<String, serde_json::Value> = draft::from_json(body)?;
    match fields
        .keys()
        .find(|field| !COMMON.contains(&field.as_str()) && !own.contains(&field.as_str()))
    {
        Some(field) => Err(FieldError::new(field.as_str(), "not a field of this")),
        None => Ok(()),
    }
}

/// Invents what is not given.
fn complete(kind: Kind, draft: &mut Draft, currency: Currency) {
    let mut rng = rand::rng();
    let amount = |minor: u64| Amount(Decimal::new(minor as i64, currency.decimals()));
    let id = |prefix: &str| format!("{prefix}-{}", uuid::Uuid::new_v4().simple());
    draft.order_id.get_or_insert_with(|| id("o"));
    match kind {
        Kind::Order => {
            let order = invent::order(&mut rng);
            draft.customer_name.get_or_insert(order.customer_name);
            if draft.customer_email.is_none() {
                draft.customer_email = order.customer_email;
            }
            if draft.address.is_none() {
                draft.address = order.address;
            }
            let whole = draft.product.is_none() && draft.lines.is_none() && draft.amount.is_none();
            if whole {
                let lines = order.lines.into_iter().map(|line| LineDraft {
                    product: Some(line.product),
                    quantity: Some(line.quantity),
                    unit_price: Some(amount(line.unit_price)),
                });
                draft.lines = Some(lines.collect());
            }
            if draft.product.is_none() && draft.lines.as_ref().is_none_or(Vec::is_empty) || whole {
                draft.product.get_or_insert(order.product);
            }
            if draft.amount.is_none() {
                draft.amount = Some(sum(draft.lines.as_deref()).unwrap_or(amount(order.amount)));
            }
        }
        Kind::Payment => {
            draft.payment_id.get_or_insert_with(|| id("p"));
            draft
                .amount
                .get_or_insert_with(|| amount(invent::order(&mut rng).amount));
            draft
                .method
                .get_or_insert_with(|| method(invent::payment_method(&mut rng)));
            let succeeds = rand::random_bool(invent::SUCCESS_RATE);
            draft
                .status
                .get_or_insert_with(|| if succeeds { "SUCCESS" } else { "FAILED" }.to_owned());
        }
        Kind::Delivery => {
            draft.delivery_id.get_or_insert_with(|| id("d"));
            let order = invent::order(&mut rng);
            draft
                .address
                .get_or_insert_with(|| order.address.unwrap_or_else(|| "Retrait en magasin".to_owned()));
            let today = Zoned::new(Timestamp::now(), TimeZone::system()).date();
            draft
                .estimated_date
                .get_or_insert_with(|| invent::delivery_date(&mut rng, today));
        }
    }
}

/// What the given lines come to; `None` without lines, or if one has no price.
fn sum(lines: Option<&[LineDraft]>) -> Option<Amount> {
    let lines = lines.filter(|lines| !lines.is_empty())?;
    lines
        .iter()
        .try_fold(Decimal::ZERO, |sum, line| {
            let quantity = Decimal::from(line.quantity.unwrap_or(1));
            sum.checked_add(line.unit_price?.0.checked_mul(quantity)?)
        })
        .map(Amount)
}

fn method(method: comptoir_wire::PaymentMethod) -> PaymentMethod {
    use comptoir_wire::PaymentMethod as Wire;
    match method {
        Wire::CreditCard => PaymentMethod::CreditCard,
        Wire::DebitCard => PaymentMethod::DebitCard,
        Wire::PayPal => PaymentMethod::PayPal,
        Wire::BankTransfer => PaymentMethod::BankTransfer,
        Wire::Cash => PaymentMethod::Cash,
    }
}
