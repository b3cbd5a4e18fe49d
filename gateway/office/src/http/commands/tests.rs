//! Who may send commands.

use std::sync::Arc;

use axum::body::Body;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt as _;

use super::*;
use crate::database::pools;
use crate::health::Health;
use crate::http::OverviewCache;
use crate::metrics::Metrics;

/// The answer to a request of this caller. The database does not exist: who is not refused before gets 503.
async fn answer(role: Role, shops: &[&str], request: axum::http::request::Builder, body: &str) -> StatusCode {
    let url = comptoir_core::Secret::new("postgres://office@127.0.0.1:1/office".to_owned());
    let state = AppState {
        pool: pools(&url).unwrap().requests,
        overviews: OverviewCache::default(),
        prefix: String::new(),
        metrics: Arc::new(Metrics::new().unwrap()),
        health: Arc::new(Health::default()),
        exports: Arc::new(Semaphore::new(1)),
        stored_commands: Arc::new(Notify::new()),
    };
    let visible = shops.iter().map(|store| (*store).to_owned()).collect();
    let caller = Caller {
        name: Arc::from("Zoé"),
        role,
        shops: match shops {
            ["*"] => VisibleShops::All,
            _ => VisibleShops::Some(Arc::new(visible)),
        },
    };
    let router = routes().layer(Extension(caller)).with_state(state);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    router.oneshot(request).await.unwrap().status()
}

fn post() -> axum::http::request::Builder {
    Request::post("/api/commands").header(header::CONTENT_TYPE, "application/json")
}

const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
/// The request would have been accepted.
const ALLOWED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

#[tokio::test]
async fn only_managers_of_the_shop_may_send_a_command_to_it() {
    let message = |to: &str| format!(r#"{{"to":"{to}","command":{{"type":"message","text":"a"}}}}"#);
    for (role, shops, to, expected) in [
        (Role::Viewer, ["*"], "paris-1", FORBIDDEN),
        (Role::Cashier, ["*"], "paris-1", FORBIDDEN),
        (Role::Manager, ["lyon-2"], "paris-1", FORBIDDEN),
        (Role::Manager, ["lyon-2"], "paris-1/till-1", FORBIDDEN),
        (Role::Administrator, ["lyon-2"], "*", FORBIDDEN),
        (Role::Manager, ["lyon-2"], "lyon-2/till-1", ALLOWED),
        (Role::Manager, ["*"], "*", ALLOWED),
    ] {
        let status = answer(role, &shops, post(), &message(to)).await;
        assert_eq!(status, expected, "{role} of {shops:?} to {to}");
    }
    for path in [
        "/api/commands",
        "/api/commands/1",
        "/api/commands/targets?store=paris-1",
    ] {
        let status = answer(Role::Cashier, &["*"], Request::get(path), "").await;
        assert_eq!(status, FORBIDDEN, "{path}");
    }
    let targets = "/api/commands/targets?store=paris-1";
    let status = answer(Role::Manager, &["lyon-2"], Request::get(targets), "").await;
    assert_eq!(status, FORBIDDEN);
}

#[test]
fn only_the_own_origin_may_post() {
    for (headers, expected) in [
        (vec![], true),
        (
            vec![
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://localhost:8090"),
            ],
            true,
        ),
        (
            vec![("origin", "http://localhost:8090"), ("host", "localhost:8090")],
            true,
        ),
        (
            vec![("origin", "http://localhost:8080"), ("host", "localhost:8090")],
            false,
        ),
        (vec![("origin", "null"), ("host", "localhost:8090")], false),
        (vec![("sec-fetch-site", "none")], false),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.insert(*name, value.parse().unwrap());
        }
        assert_eq!(is_own_origin(&map), expected, "{headers:?}");
    }
}
