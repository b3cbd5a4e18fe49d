//! Frees the room that a device takes in the journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use super::dto;
use crate::http::problem::operations::{self, problems};
use crate::http::security::caller::{Caller, Origin};
use crate::http::{AppState, Problem, ProblemType};
use comptoir_core::event::DeviceId;
use comptoir_core::sale::draft::FieldError;
use comptoir_identity::Action;

problems!(ForgetProblems: operations::ACCESS, operations::BODY, operations::WRITE, &[
    ProblemType::MalformedPath,
    ProblemType::InvalidParameter,
    ProblemType::DeviceNotFound,
]);

/// Frees the space that a device uses in the journal, for a device that is gone or has flooded the gateway.
///
/// Epochs without a stored event are removed. The numbers of the others are kept, so that an event that is sent again is
/// not stored twice, but they no longer use memory or the device's share. No event is deleted.
#[utoipa::path(post, path = "/api/devices/{store}/{device}/forget", tag = "gateway", security(("token" = ["administrator"])),
    params(("store" = String, Path, description = "The device's store.", pattern = "^[a-z0-9][a-z0-9-]{0,31}$"), ("device" = String, Path, description = "The device's name.", pattern = "^[a-z0-9][a-z0-9-]{0,31}$")),
    responses((status = 200, body = dto::ForgottenDevice), ForgetProblems))]
pub async fn forget(
    State(app): State<Arc<AppState>>,
    origin: Origin,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<dto::ForgottenDevice>, Problem> {
    let Path((store, device)) = path.map_err(|rejection| Problem::of_path("device", &rejection))?;
    let id = DeviceId::new(&store, &device).map_err(|error| {
        Problem::of_field(ProblemType::InvalidParameter, FieldError::new("device", error))
    })?;
    let Some(forgotten) = app.journal.forget(id.clone()).await? else {
        let detail = format!("The journal does not know {id}. GET /api/gateway lists the devices.");
        return Err(Problem::new(ProblemType::DeviceNotFound, detail));
    };
    tracing::info!(
        device = %id,
        removed = forgotten.removed,
        dormant = forgotten.dormant,
        pending = forgotten.pending,
        "a device was forgotten"
    );
    app.audit(&caller, &origin, Action::DeviceForgotten, |act| {
        act.on(id.to_string())
    })
    .await;
    Ok(Json(dto::ForgottenDevice {
        removed_epochs: forgotten.removed,
        dormant_epochs: forgotten.dormant,
        pending_epochs: forgotten.pending,
    }))
}
