//! `POST` of orders, payments and deliveries.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use comptoir_sim::invent;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;
use utoipa::{IntoResponses, ToSchema};

use super::problem::Refused;
use super::sales::item;
use super::{Problem, Shop, dto};
use crate::event::{COUNTER, DeviceId, Kind};
use crate::journal::{EntryKind, Numbering, Offset, Outcome, Payload, Submission};
use crate::projection::Listed;
use crate::sale::draft::{self, Draft, FieldError, LineDraft};
use crate::sale::money::Amount;
use crate::sale::{self, Currency, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

type Body = Result<Bytes, BytesRejection>;

/// An order to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewOrder {
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    customer_name: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    customer_email: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    product: Option<String>,
    lines: Option<Vec<dto::Line>>,
    #[schema(minimum = 0)]
    amount: Option<f64>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    status: Option<OrderStatus>,
    #[schema(min_length = 1, max_length = 512)]
    address: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A payment to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewPayment {
    #[schema(min_length = 1, max_length = 128)]
    payment_id: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(minimum = 0)]
    amount: Option<f64>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    method: Option<PaymentMethod>,
    status: Option<PaymentStatus>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A delivery to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewDelivery {
    #[schema(min_length = 1, max_length = 128)]
    delivery_id: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    address: Option<String>,
    status: Option<DeliveryStatus>,
    #[schema(format = Date)]
    estimated_date: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A body that is not taken in.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "for the API's description")]
enum TooMuch {
    /// The body is larger than 64 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    Large(#[to_schema] Problem),
}

/// Stores an order. What is not given is invented; without a body, all of it.
#[utoipa::path(post, path = "/api/orders", tag = "sales", request_body(content = Option<NewOrder>, content_type = "application/json"),
    responses((status = 201, body = dto::Order), TooMuch, Refused))]
pub async fn order(shop: State<Arc<Shop>>, body: Body) -> Result<Response, Problem> {
    create(Kind::Order, shop, body).await
}

/// Stores a payment. What is not given is invented; without a status it succeeds nine times in ten.
#[utoipa::path(post, path = "/api/payments", tag = "sales", request_body(content = Option<NewPayment>, content_type = "application/json"),
    responses((status = 201, body = dto::Payment), TooMuch, Refused))]
pub async fn payment(shop: State<Arc<Shop>>, body: Body) -> Result<Response, Problem> {
    create(Kind::Payment, shop, body).await
}

/// Stores a delivery. What is not given is invented; without a body, all of it.
#[utoipa::path(post, path = "/api/deliveries", tag = "sales", request_body(content = Option<NewDelivery>, content_type = "application/json"),
    responses((status = 201, body = dto::Delivery), TooMuch, Refused))]
pub async fn delivery(shop: State<Arc<Shop>>, body: Body) -> Result<Response, Problem> {
    create(Kind::Delivery, shop, body).await
}

async fn create(kind: Kind, State(shop): State<Arc<Shop>>, body: Body) -> Result<Response, Problem> {
    let body = body?;
    let said = body.trim_ascii();
    let mut draft = match said.is_empty() || said == b"null" {
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
        payload: Payload::Json(payload),
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
    let entry = shop.journal.entry(offset).await?;
    let stored = entry.and_then(|entry| item(&Listed::own(entry), Offset(0)));
    let stored = stored.ok_or_else(|| {
        let problem = format!("{name} is stored, but could not be shown");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, problem)
    })?;
    Ok((StatusCode::CREATED, Json(stored)).into_response())
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
