//! The API's routes and its description, which is made of the handlers.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Problem, Shop, create, dead_letters, sales, status, toggle};
use crate::admin;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Comptoir",
        description = include_str!("openapi.md"),
    ),
    tags(
        (name = "sales", description = "Orders, payments and deliveries"),
        (name = "gateway", description = "How the gateway is"),
        (name = "dead letters", description = "What could not be decoded"),
    ),
    components(schemas(Problem)),
    // Only where a password is set.
    security((), ("password" = [])),
    modifiers(&Basic),
)]
struct Description;

struct Basic;

impl Modify for Basic {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let mut basic = Http::new(HttpAuthScheme::Basic);
        basic.description = Some("With any user name, where `http.password` is set.".to_owned());
        description
            .components
            .get_or_insert_default()
            .add_security_scheme("password", SecurityScheme::Http(basic));
    }
}

pub fn api() -> Router<Arc<Shop>> {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(sales::orders, create::order))
        .routes(routes!(sales::life))
        .routes(routes!(sales::payments, create::payment))
        .routes(routes!(sales::deliveries, create::delivery))
        .routes(routes!(status::stats))
        .routes(routes!(status::gateway))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(toggle::kafka))
        .routes(routes!(admin::healthz))
        .routes(routes!(admin::readyz))
        .routes(routes!(admin::metrics))
        .split_for_parts();
    // The schemas come with the routes.
    create::Closed.modify(&mut description);
    router.route("/api/openapi.json", get(async move || Json(description)))
}
