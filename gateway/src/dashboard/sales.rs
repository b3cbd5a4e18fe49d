//! `GET` of orders, payments and deliveries.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::problem::operations::{self, problems};
use super::query::Asked;
use super::{Problem, ProblemType, Shop, dto};
use crate::event::Kind;
use crate::journal::Offset;
use crate::projection::{Life, Listed};
use crate::sale::draft::FieldError;
use crate::sale::{DeliveryStatus, OrderStatus, PaymentStatus};

/// For the API's description: [`Asked`] is read so that an error names the field.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the API's description")]
struct Paging {
    /// How many; 50 if it is not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    cursor: Option<String>,
}

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

/// The newest orders.
#[utoipa::path(get, path = "/api/orders", tag = "sales", params(Paging, ("status" = Option<OrderStatus>, Query, description = "Only those.")),
    responses((status = 200, body = dto::Page<dto::Order>), ListProblems))]
pub async fn orders(shop: State<Arc<Shop>>, query: Asked) -> Result<Response, Problem> {
    list(Kind::Order, shop, query).await
}

/// The newest payments.
#[utoipa::path(get, path = "/api/payments", tag = "sales", params(Paging, ("status" = Option<PaymentStatus>, Query, description = "Only those.")),
    responses((status = 200, body = dto::Page<dto::Payment>), ListProblems))]
pub async fn payments(shop: State<Arc<Shop>>, query: Asked) -> Result<Response, Problem> {
    list(Kind::Payment, shop, query).await
}

/// The newest deliveries.
#[utoipa::path(get, path = "/api/deliveries", tag = "sales", params(Paging, ("status" = Option<DeliveryStatus>, Query, description = "Only those.")),
    responses((status = 200, body = dto::Page<dto::Delivery>), ListProblems))]
pub async fn deliveries(shop: State<Arc<Shop>>, query: Asked) -> Result<Response, Problem> {
    list(Kind::Delivery, shop, query).await
}

async fn list(kind: Kind, State(shop): State<Arc<Shop>>, query: Asked) -> Result<Response, Problem> {
    let cursor = query.cursor("cursor", "`next_cursor` of the page before")?;
    let (limit, status) = (query.limit()?, query.text("status")?);
    let words = statuses(kind);
    if status.is_some_and(|status| !words.contains(&status)) {
        let error = FieldError::new("status", format!("expected one of {}", words.join(", ")));
        return Err(Problem::of_field(ProblemType::InvalidParameter, error));
    }
    let page = shop.projection.list(kind, status, cursor, limit).await?;
    let watermark = shop.journal.state().watermark;
    let body = dto::Page {
        items: page.items.iter().filter_map(|row| item(row, watermark)).collect(),
        next_cursor: page.next.map(|next| next.to_string()),
    };
    Ok(Json(body).into_response())
}

/// An order's life: the order, its payments, its deliveries.
///
/// Stores number their orders independently. Without `store` it is this gateway's own order, or, if that has none of this
/// id, the order of the only other store that has.
#[utoipa::path(get, path = "/api/orders/{order_id}", tag = "sales", params(("order_id" = String, Path), ("store" = Option<String>, Query, description = "Whose order; this gateway's own by default.")),
    responses((status = 200, body = dto::OrderLife<dto::Order, dto::Payment, dto::Delivery>), LifeProblems))]
pub async fn life(
    State(shop): State<Arc<Shop>>,
    order_id: Result<Path<String>, PathRejection>,
    query: Asked,
) -> Result<Response, Problem> {
    let Path(order_id) = order_id.map_err(|rejection| Problem::of_path("order_id", &rejection))?;
    let store = query.text("store")?;
    let found = match shop.projection.life(&order_id, store, &shop.store).await? {
        Life::Of(found) => found,
        Life::OfSeveral(stores) => {
            let problem = format!(
                "Several stores have an order {order_id:?} ({}). Say which, for example `?store={}`.",
                stores.join(", "),
                stores[0],
            );
            return Err(Problem::new(ProblemType::OrderNotFound, problem));
        }
    };
    if found.is_empty() {
        let problem = format!("No order, payment or delivery with the order id {order_id:?} is known here.");
        return Err(Problem::new(ProblemType::OrderNotFound, problem));
    }
    let watermark = shop.journal.state().watermark;
    let mut life = dto::OrderLife {
        order: None,
        payments: Vec::new(),
        deliveries: Vec::new(),
    };
    for (kind, row) in &found {
        let row = item(row, watermark);
        match kind {
            Kind::Order => life.order = row,
            Kind::Payment => life.payments.extend(row),
            Kind::Delivery => life.deliveries.extend(row),
        }
    }
    Ok(Json(life).into_response())
}

fn statuses(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Order => &["Pending", "Processing", "Completed", "Cancelled"],
        Kind::Payment => &["SUCCESS", "FAILED"],
        Kind::Delivery => &["Pending", "In Transit", "Delivered"],
    }
}

/// The stored JSON with its whereabouts added, not parsed again: its numbers stay as they are. `None` if it is
/// no JSON object.
pub(super) fn item(item: &Listed, watermark: Offset) -> Option<Box<RawValue>> {
    let entry = item.entry();
    let extra = serde_json::to_string(&dto::Whereabouts {
        ce_id: item.name(),
        origin: match entry {
            Some(_) => dto::Origin::Local,
            None => dto::Origin::Kafka,
        },
        confirmed: entry.is_none_or(|entry| entry <= watermark),
        row: item.row,
        journal_offset: entry.map(|entry| entry.0),
        partition: item.place.map(|(partition, _)| partition),
        offset: item.place.map(|(_, offset)| offset),
    })
    .ok()?;
    let open = item.payload().trim_end().strip_suffix('}')?;
    RawValue::from_string(format!("{open},{}", &extra[1..])).ok()
}
