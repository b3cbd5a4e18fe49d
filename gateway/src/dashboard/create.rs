//! `POST` of orders, payments and deliveries.

mod complete;
mod described;
mod given;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::operations::{self, problems};
use super::sales::item;
use super::{Problem, ProblemType, Shop, dto};
use crate::event::{COUNTER, DeviceId, Kind};
use crate::journal::{Entry, EntryKind, Numbering, Offset, Outcome, Payload, Submission};
use crate::projection::{Known, Listed};
use crate::sale;
use crate::sale::draft::{self, Draft, FieldError};
pub(super) use described::Closed;
use described::{NewDelivery, NewOrder, NewPayment};
pub use given::WHEREABOUTS;

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
/// be given back, with its changes.
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
    let device = DeviceId::new(&shop.store, COUNTER)
        .unwrap_or_else(|error| unreachable!("the store's name was checked: {error}"));
    let id = match kind {
        Kind::Order => &draft.order_id,
        Kind::Payment => &draft.payment_id,
        Kind::Delivery => &draft.delivery_id,
    };
    let known = known(&shop, kind, id.as_deref()).await?;
    given::check(&draft, known.as_ref())?;
    for (field, said, own, known) in [
        (
            "store",
            draft.store.take(),
            device.store(),
            known.as_ref().map(|known| &known.store),
        ),
        (
            "device",
            draft.device.take(),
            device.device(),
            known.as_ref().map(|known| &known.device),
        ),
    ] {
        // Given back as it is known: the change is filed here all the same.
        if said.as_deref().is_some_and(|said| said != own) && Some(&said) != known {
            let problem = format!("must be {own:?} on this gateway, or be left out");
            return Err(FieldError::new(field, problem).into());
        }
    }
    let timestamp = draft.timestamp.unwrap_or_else(sale::now);
    match known {
        Some(known) => complete::keep(&mut draft, known),
        None => {
            if complete::is_about_its_order(kind, &draft)
                && let Some(order) = self::known(&shop, Kind::Order, draft.order_id.as_deref()).await?
            {
                complete::follow(kind, &mut draft, order);
            }
            let currency = draft.currency.unwrap_or(shop.currency);
            complete::make_up(kind, &mut draft, currency);
        }
    }
    let event = draft.complete(kind, shop.currency)?;
    let submission = Submission {
        encoding: None,
        numbering: Numbering::Gateway { fingerprint: None },
        kind: EntryKind::Event(kind),
        time: timestamp.as_millisecond(),
        key: event.order_id().into(),
        payload: Payload::Json(event.to_json(timestamp, &device)),
        reason: None,
        device,
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

/// What is known by this id. Of what is no longer kept here that is nothing, so that whatever is needed must be given.
async fn known(shop: &Shop, kind: Kind, id: Option<&str>) -> Result<Option<Draft>, Problem> {
    let Some(id) = id else {
        return Ok(None);
    };
    Ok(match shop.projection.find(kind, id).await? {
        Known::Never => None,
        Known::Gone => Some(Draft::default()),
        // Another gateway's may be of another make.
        Known::Here(item) => Some(draft::from_json(item.payload().as_bytes()).unwrap_or_default()),
    })
}
