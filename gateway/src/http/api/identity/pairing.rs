//! Wall screens: a screen shows a code, and a manager types it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use comptoir_identity::{Action, PairingState};
use jiff::{SignedDuration, Timestamp};

use super::{accounts, accounts_for_sign_in, require_setup, with_cookie};
use crate::http::api::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::query::QueryParams;
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};

problems!(BeginProblems: operations::ANY, operations::ACCOUNTS, operations::BODY, &[
    ProblemType::PlainSignInRefused, ProblemType::SetupRequired,
]);
problems!(StateProblems: operations::ANY, operations::ACCOUNTS, &[
    ProblemType::MalformedPath, ProblemType::InvalidParameter, ProblemType::PlainSignInRefused,
    ProblemType::TooManyAccounts,
]);
problems!(ApproveProblems: operations::ACCESS, operations::ACCOUNTS, operations::BODY, operations::JSON, &[
    ProblemType::PairingNotFound,
]);

/// Starts to pair a wall screen. The screen shows `code`, and polls the pairing's state until a manager has entered it.
#[utoipa::path(post, path = "/api/pairings", tag = "accounts", security(()),
    responses((status = 201, body = dto::Pairing), BeginProblems))]
pub async fn begin(State(app): State<Arc<AppState>>, origin: Origin) -> Result<Response, Problem> {
    let accounts = accounts_for_sign_in(&app, origin.transport)?;
    require_setup(accounts).await?;
    let pairing = accounts.begin_pairing(origin.attempt());
    let life = SignedDuration::try_from(comptoir_identity::PAIRING_LIFE).unwrap_or_default();
    let answer = dto::Pairing {
        id: pairing.id,
        code: pairing.code,
        secret: pairing.secret.reveal().to_owned(),
        expires_at: Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Returns the state of a pairing. Once it is approved, the response sets the session cookie.
#[utoipa::path(get, path = "/api/pairings/{id}", tag = "accounts", security(()),
    params(("id" = String, Path, description = "The pairing's id."),
        ("secret" = String, Query, description = "The pairing's secret.")),
    responses((status = 200, body = dto::PairingStatus), StateProblems))]
pub async fn state(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    id: Result<Path<String>, PathRejection>,
    query: QueryParams,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|rejection| Problem::of_path("id", &rejection))?;
    let secret = query.text("secret")?.unwrap_or_default();
    let accounts = accounts_for_sign_in(&app, origin.transport)?;
    let (state, signed_in) = accounts.pairing(origin.attempt(), &id, secret).await?;
    let answer = Json(dto::PairingStatus {
        state: match state {
            PairingState::Waiting => dto::PairingState::Waiting,
            PairingState::Approved => dto::PairingState::Approved,
            PairingState::Expired => dto::PairingState::Expired,
        },
    });
    Ok(match signed_in {
        Some(signed_in) => with_cookie(&signed_in, origin.transport, answer),
        None => answer.into_response(),
    })
}

/// Approves the wall screen that shows the code.
#[utoipa::path(post, path = "/api/pairings/approve", tag = "accounts", security(("token" = ["manager"])),
    request_body = dto::PairingApproval,
    responses((status = 204, description = "The screen is signed in."), ApproveProblems))]
pub async fn approve(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    body: Result<Json<dto::PairingApproval>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Json(body) = body?;
    accounts(&app)?.approve_pairing(&body.code)?;
    app.audit(&caller, &origin, Action::ScreenPaired, |act| act).await;
    Ok(StatusCode::NO_CONTENT)
}
