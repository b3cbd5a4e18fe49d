//! `POST` of orders, payments and deliveries.

mod defaults;
mod input;
mod refund;
mod request_schema;
mod target;
mod turns;

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
use refund::Worth;
pub(super) use request_schema::StrictRequestSchemas;
pub use request_schema::{NewDelivery, NewOrder, PaymentBody};
use target::Target;

problems!(CreateProblems: operations::ACCESS, operations::BODY, operations::APPEND, &[ProblemType::InvalidField]);
problems!(PaymentProblems: operations::ACCESS, operations::BODY, operations::APPEND, &[
    ProblemType::InvalidField,
    ProblemType::RefundNotPossible,
]);

/// Stores an order. With `demo.invent`, missing fields are invented, or the whole order if there is no body.
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

/// Stores a payment. Without an amount, it is that of the order, if the order is known. With `demo.invent`, missing fields
/// are invented: a payment without a status succeeds nine times in ten.
///
/// With `refund_of`, the payment of that id is paid back: all that is left of it, or the part that a negative `amount` says.
/// Other fields that are missing are those of the payment, and a refund without a status is a success.
///
/// If the `payment_id` is known, the body is a later state of that payment, and missing fields keep their values. The item
/// that `GET` returned may be changed and sent back. Tills number their payments independently: without `device`, the
/// `payment_id` names a payment of the counter, or, if the counter has none with that id and the body has no `order_id`, that
/// of the only till that has one.
#[utoipa::path(post, path = "/api/payments", security(("token" = ["cashier"])), tag = "sales", request_body(content = Option<PaymentBody>, content_type = "application/json"),
    responses((status = 201, body = dto::Payment), PaymentProblems))]
pub async fn payment(
    app: State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    create(Kind::Payment, app, (origin, caller), body).await
}

/// Stores a delivery. Without an address, it is that of the order, if the order is known. With `demo.invent`, missing fields
/// are invented.
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
    let _turn = turns::of_sale(kind, &draft).await;
    let Target { device, previous } = Target::resolve(&app, kind, &mut draft).await?;
    input::check(&draft, previous.as_ref())?;
    let refunded = draft
        .refund_of
        .clone()
        .or_else(|| previous.as_ref()?.refund_of.clone());
    let _turn_of_refunds = match refunded.is_some() || (kind == Kind::Payment && previous.is_some()) {
        true => Some(turns::of_refunds().await),
        false => None,
    };
    let timestamp = draft.timestamp.unwrap_or_else(sale::now);
    let before = previous
        .as_ref()
        .map(|previous| json!({"status": previous.status}));
    let is_new = previous.is_none();
    let worth = previous.as_ref().and_then(Worth::of);
    match previous {
        Some(previous) => {
            let is_payment = kind == Kind::Payment && refunded.is_none();
            let stored = is_payment.then(|| previous.clone());
            defaults::keep_previous(&mut draft, previous, app.currency);
            if let Some(stored) = stored {
                refund::check_change(&app, &stored, &draft).await?;
            }
        }
        None => {
            if refunded.is_none()
                && defaults::needs_order(kind, &draft)
                && let Some(order_id) = draft.order_id.as_deref()
                && let Some(order) =
                    target::previous_state(&app, Key::new(Kind::Order, order_id, &app.store, "")).await?
            {
                defaults::copy_from_order(kind, &mut draft, order);
            }
            defaults::sum_lines(&mut draft, app.currency);
        }
    }
    if let Some(refunded) = refunded
        && (is_new || refund::pays_back_more(&draft, worth))
    {
        refund::complete(&app, &mut draft, refunded, &device).await?;
    }
    if is_new && app.invents {
        let currency = draft.currency.unwrap_or(app.currency);
        defaults::invent_missing(kind, &mut draft, currency);
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
