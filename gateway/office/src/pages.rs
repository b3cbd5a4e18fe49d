//! Serves the page: one HTML document and its assets, embedded in the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use comptoir_pages::PageFile;
use rust_embed::RustEmbed;

use crate::http::problem;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

const DOCUMENT: &str = "index.html";

/// The Content-Security-Policy: resources come from this origin only, no script and no style is inline, and no other
/// page may show this one in a frame.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

pub fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(document))
        .route("/sales", get(document))
        .route("/login", get(document))
        .route("/compare", get(document))
        .route("/shops/{store}", get(document))
        .route("/commands", get(document))
        .route("/account", get(document))
        .route("/users", get(document))
        .route("/audit", get(document))
        .route("/assets/{name}", get(asset))
}

async fn document(headers: HeaderMap) -> Response {
    file(DOCUMENT, &headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{name}"), &headers)
}

fn file(path: &str, request: &HeaderMap) -> Response {
    match PageFile::find::<Files>(path, request) {
        Some(file) => file.respond(request, POLICY),
        None => problem(
            StatusCode::NOT_FOUND,
            "urn:comptoir:problem:not-found",
            format!("There is no file {path}. If the office was updated, reload the page."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    #[tokio::test]
    async fn the_page_may_not_be_framed_and_runs_no_inline_scripts() {
        let response = document(HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_simulated_office_has_the_same_policy() {
        let simulated = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dev/csp.ts");
        assert!(std::fs::read_to_string(simulated).unwrap().contains(POLICY));
    }

    #[tokio::test]
    async fn an_absent_asset_is_not_found_and_not_cached() {
        let response = asset(Path("../index.html".to_owned()), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(!response.headers().contains_key(header::CACHE_CONTROL));
    }
}
