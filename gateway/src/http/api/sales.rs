//! `GET` of orders, payments and deliveries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::search::words_of;
use super::{dto, export};
use crate::http::live::{PersonalData, item_in};
use crate::http::problem::operations::{self, problems};
use crate::http::query::{QueryParams, invalid};
use crate::http::security::caller::Caller;
use crate::http::{AppState, Problem, ProblemType};
use crate::projection::{
    Correction, Cursor, Freshness, ListFilter, ListOrder, OrderHistory, Page, ProjectionError, SaleState,
    SearchStep, SearchWords,
};
use comptoir_core::event::Kind;
use comptoir_core::sale::{DeliveryStatus, OrderStatus, PaymentStatus, status_names};
use comptoir_journal::Offset;

/// A page of a search ends with the item that reaches this size.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Only for the OpenAPI document: handlers read [`QueryParams`], whose errors name the field.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only for the OpenAPI document")]
struct Paging {
    /// The largest number of items to return. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page. Omit it for the newest items.
    #[param(pattern = r"^(-?[0-9]{1,18}\.)?[0-9]{1,18}$")]
    cursor: Option<String>,
    /// The shop. Default: this gateway's own. With `kafka.follow = "all"` others are available: see `GET /api/shops`.
    store: Option<String>,
    /// Only items of this till, or of the `counter`.
    device: Option<String>,
    /// Only items with each of these words in their ids, names, addresses, products or device, from the beginning of a
    /// word. Case and accents do not matter. An amount (`12.50`) and a day (`2026-11-29`) are words, too.
    /// A page may be short, or empty, although a next page follows.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only items whose latest event is at or after this time. With `from`, `to` or `device` the order is that of the
    /// latest events; otherwise it is that of the first events.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only items whose latest event is before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
}

/// Most items that one step of a search takes from the index.
pub(super) const MAX_STEP: u32 = 500;

/// Held while something reads many sales, so that all searches, files and days together cost no more than one.
pub(super) static READING_TURN: Semaphore = Semaphore::const_new(1);

problems!(ListProblems: operations::ACCESS, operations::READ, &[
    ProblemType::InvalidParameter,
    ProblemType::InvalidCursor,
]);
problems!(LifeProblems: operations::ACCESS, operations::READ, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
    ProblemType::OrderNotFound,
    ProblemType::InternalError,
]);

/// Lists orders, newest first.
///
/// With `Accept: text/csv` the response is a file with all of them, without pages.
#[utoipa::path(get, path = "/api/orders", security(("token" = ["viewer"])), tag = "sales", params(Paging, ("status" = Option<OrderStatus>, Query, description = "Only items with this status.")),
    responses((status = 200, content((dto::Page<dto::Order> = "application/json"), (String = "text/csv"))), ListProblems))]
pub async fn orders(
    app: State<Arc<AppState>>,
    caller: Caller,
    query: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    list(Kind::Order, app, &caller, &query, &headers).await
}

/// Lists payments, newest first.
///
/// With `Accept: text/csv` the response is a file with all of them, without pages.
#[utoipa::path(get, path = "/api/payments", security(("token" = ["viewer"])), tag = "sales", params(Paging, ("status" = Option<PaymentStatus>, Query, description = "Only items with this status.")),
    responses((status = 200, content((dto::Page<dto::Payment> = "application/json"), (String = "text/csv"))), ListProblems))]
pub async fn payments(
    app: State<Arc<AppState>>,
    caller: Caller,
    query: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    list(Kind::Payment, app, &caller, &query, &headers).await
}

/// Lists deliveries, newest first.
///
/// With `Accept: text/csv` the response is a file with all of them, without pages.
#[utoipa::path(get, path = "/api/deliveries", security(("token" = ["viewer"])), tag = "sales", params(Paging, ("status" = Option<DeliveryStatus>, Query, description = "Only items with this status.")),
    responses((status = 200, content((dto::Page<dto::Delivery> = "application/json"), (String = "text/csv"))), ListProblems))]
pub async fn deliveries(
    app: State<Arc<AppState>>,
    caller: Caller,
    query: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    list(Kind::Delivery, app, &caller, &query, &headers).await
}

async fn list(
    kind: Kind,
    State(app): State<Arc<AppState>>,
    caller: &Caller,
    query: &QueryParams,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let view = PersonalData::of(caller);
    let (filter, words) = (filter(kind, &app, query)?, words_of(query)?);
    let (limit, cursor) = (query.limit()?, query.list_cursor()?);
    if export::is_wanted(headers) {
        // A file has no pages.
        return export::respond(app, kind, view, filter, words, headers).await;
    }
    let (items, next) = match words {
        Some(words) => search(&app, kind, view, filter, &words, cursor, limit).await?,
        None => {
            let list = app
                .projection
                .list(kind, filter, cursor, limit, Freshness::Current);
            let page = list.await?;
            let in_kafka_upto = app.journal.state().in_kafka_upto(kind);
            (items_in(view, kind, &page, in_kafka_upto).collect(), page.next)
        }
    };
    let body = dto::Page {
        items,
        next_cursor: next.map(|next| next.to_string()),
    };
    Ok(([(header::VARY, "accept")], Json(body)).into_response())
}

/// The items with these words, and where the next page begins. A request examines so many items and takes so long at most;
/// the next page continues.
async fn search(
    app: &AppState,
    kind: Kind,
    view: PersonalData,
    filter: ListFilter<'_>,
    words: &SearchWords,
    cursor: Option<Cursor>,
    limit: u32,
) -> Result<(Vec<Box<RawValue>>, Option<Cursor>), Problem> {
    const MAX_EXAMINED: usize = 10_000;
    /// Less than the time for an answer, which includes the wait for the turns of others.
    const MAX_TIME: Duration = Duration::from_secs(4);
    /// What a step costs that finds nothing, in items.
    const STEP_COST: usize = 50;
    let (mut found, mut bytes, mut examined, mut next) = (Vec::new(), 0, 0, cursor);
    let begun = Instant::now();
    // A few more, because not all candidates have the words.
    let mut wanted = limit + limit / 4 + 8;
    loop {
        let step = search_in_turn(app, kind, view, filter, words, next, wanted).await?;
        let in_kafka_upto = app.journal.state().in_kafka_upto(kind);
        examined += step.examined + STEP_COST;
        for row in &step.candidates {
            let Some(json) = item(row, in_kafka_upto).map(|json| item_in(view, kind, json)) else {
                continue;
            };
            if !words.are_in(json.get(), &app.time_zone) {
                continue;
            }
            bytes += json.get().len();
            found.push(json);
            if found.len() == limit as usize || bytes >= MAX_PAGE_BYTES {
                return Ok((found, row.row.map(Cursor::Row)));
            }
        }
        next = step.next;
        wanted = MAX_STEP.min(wanted * 4);
        if next.is_none() || examined >= MAX_EXAMINED || begun.elapsed() >= MAX_TIME {
            return Ok((found, next));
        }
    }
}

/// Reads a page of many. All searches and files together read one page at a time, so that the projection's other readers
/// stay free for lists.
pub(super) async fn read_in_turn(
    app: &AppState,
    kind: Kind,
    filter: ListFilter<'_>,
    after: Option<Cursor>,
) -> Result<Page, ProjectionError> {
    const PAGE: u32 = 500;
    // Never closed.
    let _turn = READING_TURN.acquire().await;
    // In turn, because lists wait for the same writes.
    if after.is_none() {
        app.projection.flush().await?;
    }
    let list = app
        .projection
        .list(kind, filter, after, PAGE, Freshness::AsWritten);
    list.await
}

/// One step of a search, in turn as [`read_in_turn`].
pub(super) async fn search_in_turn(
    app: &AppState,
    kind: Kind,
    view: PersonalData,
    filter: ListFilter<'_>,
    words: &SearchWords,
    after: Option<Cursor>,
    wanted: u32,
) -> Result<SearchStep, ProjectionError> {
    // Never closed.
    let _turn = READING_TURN.acquire().await;
    if after.is_none() {
        app.projection.flush().await?;
    }
    let with_hidden = view == PersonalData::Shown;
    let step = app
        .projection
        .search(kind, filter, words, with_hidden, after, wanted.min(MAX_STEP));
    step.await
}

/// The sales that the parameters select.
fn filter<'a>(kind: Kind, app: &AppState, query: &'a QueryParams) -> Result<ListFilter<'a>, Problem> {
    let status = query.text("status")?;
    let statuses = status_names(kind);
    if let Some(status) = status.filter(|status| !statuses.contains(status)) {
        let problem = format!("{status:?} is not a status; write one of {}", statuses.join(", "));
        return Err(invalid("status", problem));
    }
    Ok(ListFilter {
        shop: query.shop(&app.store)?,
        status,
        device: query.text("device")?,
        from: query.time("from")?,
        to: query.time("to")?,
        order: ListOrder::NewestEvent,
    })
}

/// The JSON of a page's items for a caller. `in_kafka_upto`: [`item`].
pub(super) fn items_in(
    view: PersonalData,
    kind: Kind,
    page: &Page,
    in_kafka_upto: Offset,
) -> impl Iterator<Item = Box<RawValue>> {
    let items = page.items.iter();
    items.filter_map(move |row| Some(item_in(view, kind, item(row, in_kafka_upto)?)))
}

/// Returns an order with its payments and deliveries.
///
/// Stores number their orders independently. Without `store`, the response is this gateway's own order, or the order of
/// the only other store that has this id.
#[utoipa::path(get, path = "/api/orders/{order_id}", security(("token" = ["viewer"])), tag = "sales", params(("order_id" = String, Path, description = "The id of the order."), ("store" = Option<String>, Query, description = "The store of the order. Default: this gateway's own.")),
    responses((status = 200, body = dto::OrderLife<dto::Order, dto::Payment, dto::Delivery>), LifeProblems))]
pub async fn life(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    order_id: Result<Path<String>, PathRejection>,
    query: QueryParams,
) -> Result<Response, Problem> {
    let view = PersonalData::of(&caller);
    let Path(order_id) = order_id.map_err(|rejection| Problem::of_path("order_id", &rejection))?;
    let store = query.text("store")?;
    let (found, corrections) = match app.projection.order_history(&order_id, store, &app.store).await? {
        OrderHistory::Found { sales, corrections } => (sales, corrections),
        OrderHistory::Ambiguous(stores) => {
            let problem = format!(
                "Several stores have an order {order_id:?}: {}. Select one, for example with `?store={}`.",
                stores.join(", "),
                stores[0],
            );
            return Err(Problem::new(ProblemType::OrderNotFound, problem));
        }
    };
    if found.is_empty() {
        let problem = format!(
            "This gateway knows no order, payment or delivery with the order id {order_id:?}. GET /api/orders lists the orders."
        );
        return Err(Problem::new(ProblemType::OrderNotFound, problem));
    }
    let state = app.journal.state();
    let mut life = dto::OrderLife {
        order: None,
        payments: Vec::new(),
        deliveries: Vec::new(),
        corrections: corrections.into_iter().map(correction).collect(),
    };
    for (kind, row) in &found {
        let row = item(row, state.in_kafka_upto(*kind)).map(|row| item_in(view, *kind, row));
        match kind {
            Kind::Order => life.order = row,
            Kind::Payment => life.payments.extend(row),
            Kind::Delivery => life.deliveries.extend(row),
        }
    }
    Ok(Json(life).into_response())
}

fn correction(correction: Correction) -> dto::Correction {
    dto::Correction {
        kind: correction.kind,
        id: correction.id.to_string(),
        device: correction.device.into(),
        status: correction.status.map(Into::into),
        amount: correction.amount,
        currency: correction.amount.map(|amount| amount.currency().code()),
        timestamp: Timestamp::from_millisecond(correction.time).unwrap_or(Timestamp::UNIX_EPOCH),
        journal_offset: correction.entry.0,
        applied: correction.is_applied,
    }
}

/// The stored JSON with the location of its event appended. The JSON is not parsed, so that its numbers stay exact.
/// `None` if it is not a JSON object. `in_kafka_upto`: [`State::in_kafka_upto`](comptoir_journal::State::in_kafka_upto).
pub(in crate::http) fn item(item: &SaleState, in_kafka_upto: Offset) -> Option<Box<RawValue>> {
    let entry = item.entry();
    let location = serde_json::to_string(&dto::EventLocation {
        ce_id: item.name(),
        origin: match entry {
            Some(_) => dto::Origin::Local,
            None => dto::Origin::Kafka,
        },
        confirmed: entry.is_none_or(|entry| entry <= in_kafka_upto),
        row: item.row,
        journal_offset: entry.map(|entry| entry.0),
        partition: item.place.map(|place| place.partition),
        offset: item.place.map(|place| place.offset),
        corrections: (item.corrections > 0).then_some(item.corrections),
    })
    .ok()?;
    let open = item.payload().trim_end().strip_suffix('}')?;
    RawValue::from_string(format!("{open},{}", &location[1..])).ok()
}
