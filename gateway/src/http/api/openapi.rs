//! The routes of the API and the OpenAPI document generated from them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::OpenApi as OpenApiDocument;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::identity::{audit, pairing, sessions, sign_in, tokens, users};
use super::{create, customers, days, dead_letters, devices, sales, status, toggle};
use crate::http::admin;
use crate::http::security::access::COOKIE;
use crate::http::{AppState, Problem};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Comptoir",
        description = include_str!("openapi.md"),
    ),
    tags(
        (name = "sales", description = "Orders, payments and deliveries"),
        (name = "gateway", description = "State, health and metrics of the gateway"),
        (name = "customers", description = "Finding customers and erasing their personal data"),
        (name = "dead letters", description = "Messages that could not be decoded"),
        (name = "accounts", description = "Sign-in, users, sessions, wall screens and tokens"),
    ),
    components(schemas(Problem)),
)]
struct ApiDocument;

/// The ways to sign in. Each operation names its minimum role once, with the scheme `token`.
struct SecuritySchemes;

const SESSION: &str = "session";
const TOKEN: &str = "token";
const PASSWORD: &str = "password";

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut OpenApiDocument) {
        let cookie = ApiKeyValue::with_description(
            COOKIE,
            "A browser's session cookie, which `POST /api/session` sets.",
        );
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("A program's token.".to_owned());
        let mut basic = Http::new(HttpAuthScheme::Basic);
        basic.description =
            Some("A user's name and password. Deprecated: programs should use a token.".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
        components.add_security_scheme(PASSWORD, SecurityScheme::Http(basic));
        let operations = document.paths.paths.values_mut().flat_map(|item| {
            [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.delete,
                &mut item.patch,
            ]
        });
        for security in operations
            .flatten()
            .filter_map(|operation| operation.security.as_mut())
        {
            let Some(role) = role_of(security) else { continue };
            *security = [SESSION, TOKEN, PASSWORD]
                .map(|scheme| SecurityRequirement::new(scheme, [role.clone()]))
                .into();
        }
    }
}

/// The role that an operation names with the scheme `token`.
fn role_of(security: &[SecurityRequirement]) -> Option<String> {
    let security = serde_json::to_value(security).ok()?;
    security[0][TOKEN][0].as_str().map(str::to_owned)
}

/// The routes, including the one that serves the OpenAPI document, and the document itself.
pub fn api() -> (Router<Arc<AppState>>, OpenApiDocument) {
    let (router, document) = routes_with_document();
    let answer = document.clone();
    let router = router.route("/api/openapi.json", get(async move || Json(answer)));
    (router, document)
}

/// The OpenAPI document, for tests that compare it with answers and documentation.
pub fn document() -> OpenApiDocument {
    routes_with_document().1
}

fn routes_with_document() -> (Router<Arc<AppState>>, OpenApiDocument) {
    let (router, mut document) = OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(sales::orders, create::order))
        .routes(routes!(sales::life))
        .routes(routes!(sales::payments, create::payment))
        .routes(routes!(sales::deliveries, create::delivery))
        .routes(routes!(days::day))
        .routes(routes!(days::close))
        .routes(routes!(status::stats))
        .routes(routes!(status::shops))
        .routes(routes!(status::gateway))
        .routes(routes!(devices::forget))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(customers::search))
        .routes(routes!(customers::erase))
        .routes(routes!(toggle::kafka))
        .routes(routes!(sign_in::session, sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(sign_in::set_up))
        .routes(routes!(sign_in::change_password))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::change, users::remove))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::remove))
        .routes(routes!(pairing::begin))
        .routes(routes!(pairing::state))
        .routes(routes!(pairing::approve))
        .routes(routes!(audit::list))
        .routes(routes!(admin::healthz))
        .routes(routes!(admin::readyz))
        .routes(routes!(admin::metrics))
        .split_for_parts();
    // Must run last: the routes have added their schemas by now.
    create::StrictRequestSchemas.modify(&mut document);
    SecuritySchemes.modify(&mut document);
    (router, document)
}
