//! Finds a customer and erases personal data; `docs/adr/0013-personal-data.md` defines the scope.
//!
//! Both requests are `POST`, so that no name appears in a URL and therefore in a log.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use comptoir_identity::Action;
use jiff::Timestamp;
use serde_json::json;
use tracing::info;

use super::dto::{
    CustomerErasure, CustomerErasureResult, CustomerEvent, CustomerEventKind, CustomerSearch,
    CustomerSearchResult,
};
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};
use crate::projection::personal::{ErasureError, Person, PersonalSale};
use comptoir_core::event::Kind;
use comptoir_core::sale::draft::{self, FieldError};
use comptoir_core::sale::personal::{MIN_SEARCH, Search};
use comptoir_journal::{AppendError, EntryKind, Offset};

problems!(SearchProblems: operations::ACCESS, operations::BODY, operations::READ, &[ProblemType::InvalidField]);
problems!(EraseProblems: operations::ACCESS, operations::BODY, operations::READ, &[
    ProblemType::InvalidField,
    ProblemType::JournalWriteFailed,
]);

/// Most orders and dead letters in one erasure; they fit into a request body.
const MAX_NAMED: usize = 200;

/// Finds the events that name a customer: in the journal, and in other gateways' events that this gateway has read.
#[utoipa::path(post, path = "/api/customers/search", tag = "customers", security(("token" = ["manager"])), request_body = CustomerSearch,
    responses((status = 200, body = CustomerSearchResult), SearchProblems))]
pub async fn search(
    State(app): State<Arc<AppState>>,
    body: Bytes,
) -> Result<Json<CustomerSearchResult>, Problem> {
    let request: CustomerSearch = draft::from_json(&body)?;
    let search = Search::new(&request.text).ok_or_else(|| {
        let problem = format!("is shorter than {MIN_SEARCH} characters, which would find everybody; write more of the name, e-mail or address");
        FieldError::new("text", problem)
    })?;
    let after = offset(request.after)?;
    let found = app.projection.search_person(&search, after).await?;
    Ok(Json(CustomerSearchResult {
        found: found.sales.into_iter().map(event).collect(),
        next: found.next.map(|next| next.0),
    }))
}

/// Erases the personal data of orders, of their deliveries and of dead letters that are in Kafka. The sales stay.
#[utoipa::path(post, path = "/api/customers/erase", tag = "customers", security(("token" = ["administrator"])), request_body = CustomerErasure,
    responses((status = 200, body = CustomerErasureResult), EraseProblems))]
pub async fn erase(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Bytes,
) -> Result<Json<CustomerErasureResult>, Problem> {
    let request: CustomerErasure = draft::from_json(&body)?;
    for (field, count) in [
        ("orders", request.orders.len()),
        ("dead_letters", request.dead_letters.len()),
    ] {
        if count > MAX_NAMED {
            let problem = format!("has more than {MAX_NAMED} items; erase them in several requests");
            return Err(FieldError::new(field, problem).into());
        }
    }
    let after = offset(request.after)?;
    let orders = request
        .orders
        .into_iter()
        .map(|order| (order.store, order.order_id));
    let person = Person {
        orders: orders.collect(),
        dead_letters: request.dead_letters.into_iter().collect(),
    };
    let erased = app
        .projection
        .erase_person(&person, after)
        .await
        .map_err(failed)?;
    if erased.erased > 0 {
        app.metrics.personal_data_erased.inc_by(erased.erased);
        info!(sales = erased.erased, "erased personal data on request");
        // Only the count: the log outlives the data.
        let count = json!({"sales": erased.erased});
        app.audit(&caller, &origin, Action::CustomerErased, |act| {
            act.from_to(None, Some(count))
        })
        .await;
    }
    Ok(Json(CustomerErasureResult {
        erased: erased.erased,
        pending: erased.pending,
        next: erased.next.map(|next| next.0),
    }))
}

fn event(sale: PersonalSale) -> CustomerEvent {
    CustomerEvent {
        kind: match sale.kind {
            EntryKind::Event(Kind::Delivery) => CustomerEventKind::Delivery,
            EntryKind::Event(Kind::Order | Kind::Payment) => CustomerEventKind::Order,
            // Unreachable for the gateway's own records, which a search does not find.
            EntryKind::DeadLetter | EntryKind::Audit(_) | EntryKind::Closing => CustomerEventKind::DeadLetter,
        },
        store: sale.store,
        order_id: sale.order_id,
        ce_id: sale.name,
        timestamp: Timestamp::from_millisecond(sale.time).unwrap_or(Timestamp::UNIX_EPOCH),
        personal_data: sale.data,
        journal_offset: sale.entry.map(|entry| entry.0),
        is_in_kafka: sale.is_in_kafka,
    }
}

/// The journal offset after which a part begins.
fn offset(after: Option<u64>) -> Result<Offset, FieldError> {
    let after = after.unwrap_or(0);
    match i64::try_from(after) {
        Ok(_) => Ok(Offset(after)),
        Err(_) => Err(FieldError::new(
            "after",
            "is not the `next` of an answer; leave it out to begin anew",
        )),
    }
}

fn failed(error: ErasureError) -> Problem {
    match error {
        ErasureError::Read(error) => error.into(),
        ErasureError::Write(AppendError::Closed) => Problem::new(
            ProblemType::ShuttingDown,
            "The gateway is shutting down. Erase again in a moment.",
        ),
        ErasureError::Write(error) => Problem::new(
            ProblemType::JournalWriteFailed,
            format!(
                "Not all personal data was erased: {error}. Check the disk (free space, `dmesg`), then erase again."
            ),
        ),
    }
}
