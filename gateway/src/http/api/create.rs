//! `POST` of orders, payments and deliveries.

mod defaults;
mod input;
mod request_schema;
mod target;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use comptoir_identity::{Act, Action};
use serde_json::{Value, json};

use super::dto;
use super::sales::item;
use crate::http::live::{PersonalData, item_in};
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};
use crate::platform::metrics::HttpLimit;
use crate::projection::{Key, SaleState};
use comptoir_core::event::{COUNTER, Kind};
use comptoir_core::sale;
use comptoir_journal::{Entry, EntryKind, Numbering, Offset, Outcome, Payload, Submission};
pub use input::LOCATION_FIELDS;
pub(super) use request_schema::StrictRequestSchemas;
pub use request_schema::{NewDelivery, NewOrder, NewPayment};
use target::Target;

problems!(CreateProblems: operations::ACCESS, operations::BODY, operations::APPEND, &[ProblemType::InvalidField]);

/// Stores an order. Missing fields are invented; without a body, the whole order is.
///
/// If the `order_id` is known, the body is a later state of that order, and missing fields keep their values. The item that
/// `GET` returned may be changed and sent back.
#[utoipa::path(post, path = "/api/orders", security(("token" = ["cashier"])), tag = "sales", request_body(content = Option<NewOrder>, content_type = "application/json"),
    responses((status = 201, body = dto::Order), CreateProblems))]
pub async fn order(
    app: State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    create(Kind::Order, app, (origin, caller), body).await
}

/// Stores a payment. Missing fields are invented: the amount is that of the order, if the order is known, and a payment
/// without a status succeeds nine times in ten.
///
/// If the `payment_id` is known, the body is a later state of that payment, and missing fields keep their values. The item
/// that `GET` returned may be changed and sent back. Tills number their payments independently: without `device`, the
/// `payment_id` names a payment of the counter, or, if the counter has none with that id and the body has no `order_id`, that
/// of the only till that has one.
#[utoipa::path(post, path = "/api/payments", security(("token" = ["cashier"])), tag = "sales", request_body(content = Option<NewPayment>, content_type = "application/json"),
    responses((status = 201, body = dto::Payment), CreateProblems))]
pub async fn payment(
    app: State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    create(Kind::Payment, app, (origin, caller), body).await
}

/// Stores a delivery. Missing fields are invented; the address is that of the order, if the order is known.
///
/// If the `delivery_id` is known, the body is a later state of that delivery, and missing fields keep their values. The item
/// that `GET` returned may be changed and sent back.
#[utoipa::path(post, path = "/api/deliveries", security(("token" = ["cashier"])), tag = "sales", request_body(content = Option<NewDelivery>, content_type = "application/json"),
    responses((status = 201, body = dto::Delivery), CreateProblems))]
pub async fn delivery(
    app: State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    create(Kind::Delivery, app, (origin, caller), body).await
}

async fn create(
    kind: Kind,
    State(app): State<Arc<AppState>>,
    (origin, caller): (Origin, Caller),
    body: Bytes,
) -> Result<Response, Problem> {
    let mut draft = input::parse(kind, &body)?;
    if app.journal.state().refusing {
        // An empty append fails with the reason, before any lookup for an event that could not be stored.
        app.journal.append(Vec::new()).await?;
    }
    let Target { device, previous } = Target::resolve(&app, kind, &mut draft).await?;
    input::check(&draft, previous.as_ref())?;
    let timestamp = draft.timestamp.unwrap_or_else(sale::now);
    let before = previous
        .as_ref()
        .map(|previous| json!({"status": previous.status}));
    match previous {
        Some(previous) => defaults::keep_previous(&mut draft, previous),
        None => {
            if defaults::needs_order(kind, &draft)
                && let Some(order_id) = draft.order_id.as_deref()
                && let Some(order) =
                    target::previous_state(&app, Key::new(Kind::Order, order_id, &app.store, "")).await?
            {
                defaults::copy_from_order(kind, &mut draft, order);
            }
            let currency = draft.currency.unwrap_or(app.currency);
            defaults::invent_missing(kind, &mut draft, currency);
        }
    }
    let mut event = draft.complete(kind, app.currency)?;
    let cards = event.mask_card_numbers();
    if cards > 0 {
        app.metrics.card_numbers_masked.inc_by(cards as u64);
        tracing::warn!(
            device = %device,
            count = cards,
            "a card number in a text of a sale was masked before it was stored"
        );
    }
    let submission = Submission {
        device: target::device(&app.store, COUNTER)?,
        encoding: None,
        numbering: Numbering::Gateway { fingerprint: None },
        kind: EntryKind::Event(kind),
        time: timestamp.as_millisecond(),
        key: event.order_id().into(),
        payload: Payload::Json(event.to_json(timestamp, &device)),
        reason: None,
    };
    let (time, key, payload) = (
        submission.time,
        submission.key.clone(),
        submission.payload.clone(),
    );
    let receipt = app.journal.append(vec![submission]).await?;
    let (offset, name) = match receipt.outcomes.into_iter().next() {
        Some(Outcome::Stored(offset, name)) => (offset, name),
        Some(Outcome::Refused(refusal)) => {
            app.metrics.http_limit(HttpLimit::CounterShare);
            return Err(Problem::refused(refusal));
        }
        Some(Outcome::Duplicate | Outcome::AheadOfGap) | None => {
            return Err(Problem::internal(
                "an event that the gateway numbers was not stored",
            ));
        }
    };
    audit(&app, &caller, &origin, kind, before, &payload).await;
    // A client that reads the lists or totals next must find its event there.
    app.projection.wait_until_folded(offset).await;
    // Built here instead of read back from the journal: the event is stored, so a failed read must not fail the
    // response.
    let entry = Entry {
        offset,
        kind: EntryKind::Event(kind),
        name,
        time,
        key,
        payload,
        reason: None,
    };
    let stored = item(&SaleState::own(entry.into()), Offset(0));
    let stored = stored.ok_or_else(|| Problem::internal("the stored event is not a JSON object"))?;
    let stored = item_in(PersonalData::of(&caller), kind, stored);
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}

/// Records in the audit log who has posted an event.
async fn audit(
    app: &AppState,
    caller: &Caller,
    origin: &Origin,
    kind: Kind,
    before: Option<Value>,
    payload: &Payload,
) {
    if caller.principal().is_none() {
        return;
    }
    let event: Value = serde_json::from_slice(payload).unwrap_or_default();
    let (action, id) = match kind {
        Kind::Order => (Action::OrderPosted, &event["order_id"]),
        Kind::Payment => (Action::PaymentPosted, &event["payment_id"]),
        Kind::Delivery => (Action::DeliveryPosted, &event["delivery_id"]),
    };
    // Without names and addresses, because the log outlives them.
    let mut after = json!({"status": event["status"]});
    if kind != Kind::Delivery {
        after["amount"] = event["amount"].clone();
        after["currency"] = event["currency"].clone();
    }
    let describe = |act: Act| {
        act.on(id.as_str().unwrap_or_default())
            .from_to(before, Some(after))
    };
    app.audit(caller, origin, action, describe).await;
}
