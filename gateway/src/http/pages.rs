//! Serves the pages: one HTML document for all of them, and its assets, embedded in the binary.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use comptoir_pages::PageFile;
use rust_embed::RustEmbed;

use super::{AppState, Problem, ProblemType, problem};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

/// The paths of the pages. Each can be opened directly.
const PAGES: [&str; 14] = [
    "/",
    "/dashboard",
    "/orders",
    "/orders/{order_id}",
    "/day",
    "/day/{date}",
    "/payments",
    "/deliveries",
    "/gateway",
    "/setup",
    "/login",
    "/account",
    "/users",
    "/audit",
];
const DOCUMENT: &str = "index.html";

/// The Content-Security-Policy: resources come from this origin only, and inline scripts do not run.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
     connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

/// Whether a path is a page's.
pub fn is_page(path: &str) -> bool {
    PAGES.contains(&path)
}

/// Whether a path names an embedded file of the pages.
pub fn is_file(path: &str) -> bool {
    PageFile::exists::<Files>(path.trim_start_matches('/'))
}

pub fn pages() -> Router<Arc<AppState>> {
    PAGES.iter().fold(Router::new(), |router, page| {
        router.route(page, get(async |headers: HeaderMap| file(DOCUMENT, &headers)))
    })
}

/// The fallback for every path without a route: the embedded file with that name, or 404. A catch-all route would
/// answer unknown paths with 405 for methods other than GET.
pub async fn static_file_or_not_found(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    match PageFile::exists::<Files>(path) {
        false => problem::not_found(uri).await.into_response(),
        true if matches!(method, Method::GET | Method::HEAD) => file(path, &headers),
        true => {
            let problem = problem::method_not_allowed(method, uri).await;
            ([(header::ALLOW, "GET,HEAD")], problem).into_response()
        }
    }
}

fn file(path: &str, request: &HeaderMap) -> Response {
    match PageFile::find::<Files>(path, request) {
        Some(file) => file.respond(request, POLICY),
        None => Problem::new(
            ProblemType::NotFound,
            format!("There is no file {path}. Build the pages with `make pages`, then build the gateway."),
        )
        .into_response(),
    }
}
