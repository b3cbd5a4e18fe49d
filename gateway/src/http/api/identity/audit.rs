//! Reading and writing the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use comptoir_identity::{Act, Action, ActorKind, AuditEntry, Error, UserName};
use utoipa::IntoParams;

use super::accounts;
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::query::QueryParams;
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

/// Only for the OpenAPI document: handlers read [`QueryParams`], whose errors name the field.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only for the OpenAPI document")]
struct Paging {
    /// The largest number of entries to return. Default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page. Omit it for the newest entries.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    cursor: Option<String>,
}

problems!(ListProblems: operations::ACCESS, operations::ACCOUNTS, &[
    ProblemType::InvalidParameter, ProblemType::InvalidCursor,
]);

impl AppState {
    /// Records an act of the caller in the audit log. The act has already happened, so an error is only logged.
    pub(in crate::http) async fn audit(
        &self,
        caller: &Caller,
        origin: &Origin,
        action: Action,
        describe: impl FnOnce(Act) -> Act,
    ) {
        let Some(accounts) = self.access.accounts() else {
            return;
        };
        let act = describe(Act::of(caller.principal(), origin.address, action));
        if let Err(error) = accounts.audit(act).await {
            tracing::error!(%error, "an entry of the audit log could not be written");
        }
    }

    /// Records a failed sign-in or set-up in the audit log, the log and the metrics.
    pub(in crate::http) async fn checked<T>(
        &self,
        origin: &Origin,
        name: &str,
        result: Result<T, Error>,
    ) -> Result<T, Problem> {
        if let Err(error) = &result {
            self.metrics.sign_in_failures.inc();
            self.failure_log.note(origin.address, error);
            // A password typed into the name field must not get into the log.
            let is_user = match UserName::new(name) {
                Ok(name) => accounts(self)?.user(&name).await.is_ok(),
                Err(_) => false,
            };
            let describe = |act: Act| if is_user { act.on(name) } else { act };
            self.audit(&Caller::Nobody, origin, Action::SignInFailed, describe)
                .await;
        }
        Ok(result?)
    }
}

fn entry(entry: AuditEntry) -> dto::AuditEntry {
    dto::AuditEntry {
        id: entry.id.to_string(),
        time: entry.at,
        actor: entry.actor,
        actor_kind: match entry.actor_kind {
            ActorKind::Person => dto::ActorKind::Person,
            ActorKind::Screen => dto::ActorKind::Screen,
            ActorKind::Token => dto::ActorKind::Token,
            ActorKind::System => dto::ActorKind::System,
            ActorKind::Anonymous => dto::ActorKind::Anonymous,
        },
        address: entry.address.map(|address| address.to_canonical().to_string()),
        action: entry.action,
        subject: entry.subject,
        before: entry.before,
        after: entry.after,
    }
}

/// Lists the audit log: who changed what, and failed sign-ins, newest first.
#[utoipa::path(get, path = "/api/audit", tag = "accounts", security(("token" = ["manager"])), params(Paging),
    responses((status = 200, body = dto::AuditPage), ListProblems))]
pub async fn list(
    State(app): State<Arc<AppState>>,
    query: QueryParams,
) -> Result<Json<dto::AuditPage>, Problem> {
    let before = query.cursor("cursor", "the `next_cursor` of the page before")?;
    let limit = query.limit()?;
    let entries = accounts(&app)?.audit_entries(before, limit).await?;
    let is_full = entries.len() == limit as usize;
    let next = entries
        .last()
        .filter(|_| is_full)
        .map(|entry| entry.id.to_string());
    Ok(Json(dto::AuditPage {
        entries: entries.into_iter().map(entry).collect(),
        next_cursor: next,
    }))
}
