//! `POST` of orders, payments and deliveries.

mod complete;
mod described;
mod given;
mod subject;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::operations::{self, problems};
use super::sales::item;
use super::{Problem, ProblemType, Shop, dto};
use crate::event::{COUNTER, Kind};
use crate::journal::{Entry, EntryKind, Numbering, Offset, Outcome, Payload, Submission};
use crate::projection::{Key, Listed};
use crate::sale;
pub(super) use described::Closed;
use described::{NewDelivery, NewOrder, NewPayment};
pub use given::WHEREABOUTS;
use subject::Subject;

problems!(CreateProblems: operations::ACCESS, operations::BODY, operations::APPEND, &[ProblemType::InvalidField]);

/// Stores an order. What is not given is invented; without a body, all of it.
///
/// With the id of one that is known it is a later state of that: what is not given stays as it was. What `GET` gave may
/// be given back, with its changes.
#[utoipa::path(post, path = "/api/orders", tag = "sales", request_body(content = Option<NewOrder>, content_type = "application/json"),
    responses((status = 201, body = dto::Order), CreateProblems))]
pub async fn order(shop: State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    create(Kind::Order, shop, body).await
}

/// Stores a payment. What is not given is invented; without a status it succeeds nine times in ten. The amount is that
/// of its order, if that is known.
///
/// With the id of one that is known it is a later state of that: what is not given stays as it was. What `GET` gave may
/// be given back, with its changes. Tills number their payments independently: without `device` it is the counter's
/// payment, or, where the counter has none of this id and no `order_id` is given, that of the only till that has.
#[utoipa::path(post, path = "/api/payments", tag = "sales", request_body(content = Option<NewPayment>, content_type = "application/json"),
    responses((status = 201, body = dto::Payment), CreateProblems))]
pub async fn payment(shop: State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    create(Kind::Payment, shop, body).await
}

/// Stores a delivery. What is not given is invented; without a body, all of it. The address is that of its order, if that
/// is known.
///
/// With the id of one that is known it is a later state of that: what is not given stays as it was. What `GET` gave may
/// be given back, with its changes.
#[utoipa::path(post, path = "/api/deliveries", tag = "sales", request_body(content = Option<NewDelivery>, content_type = "application/json"),
    responses((status = 201, body = dto::Delivery), CreateProblems))]
pub async fn delivery(shop: State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    create(Kind::Delivery, shop, body).await
}

async fn create(kind: Kind, State(shop): State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    let mut draft = given::read(kind, &body)?;
    if shop.journal.state().refusing {
        // Says why, and at once: nothing is to be looked up for what cannot be stored.
        shop.journal.append(Vec::new()).await?;
    }
    let Subject { device, known } = Subject::of(&shop, kind, &mut draft).await?;
    given::check(&draft, known.as_ref())?;
    let timestamp = draft.timestamp.unwrap_or_else(sale::now);
    match known {
        Some(known) => complete::keep(&mut draft, known),
        None => {
            if complete::is_about_its_order(kind, &draft)
                && let Some(order_id) = draft.order_id.as_deref()
                && let Some(order) =
                    subject::known(&shop, Key::new(Kind::Order, order_id, &shop.store, "")).await?
            {
                complete::follow(kind, &mut draft, order);
            }
            let currency = draft.currency.unwrap_or(shop.currency);
            complete::make_up(kind, &mut draft, currency);
        }
    }
    let event = draft.complete(kind, shop.currency)?;
    let submission = Submission {
        device: subject::device(&shop.store, COUNTER)?,
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
    let receipt = shop.journal.append(vec![submission]).await?;
    let Some(Outcome::Stored(offset, name)) = receipt.outcomes.into_iter().next() else {
        return Err(Problem::too_many_devices());
    };
    // Whoever asks next sees it in the lists and totals.
    shop.projection.reached(offset).await;
    // Not read back from the journal: that may fail, and the event is stored.
    let entry = Entry {
        offset,
        kind: EntryKind::Event(kind),
        name,
        time,
        key,
        payload,
        reason: None,
    };
    let stored = item(&Listed::own(entry.into()), Offset(0));
    let stored = stored.ok_or_else(|| Problem::internal("a stored event could not be shown"))?;
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}
