//! The pages: one document for all of them, and what it is made of, from this binary.
//!
//! The web's build has compressed the files once; here the best form that the client takes is chosen.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{Problem, ProblemType, Shop, problem};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

/// The addresses of the pages; each can be opened directly.
const PAGES: [&str; 6] = [
    "/",
    "/dashboard",
    "/orders",
    "/payments",
    "/deliveries",
    "/gateway",
];
const DOCUMENT: &str = "index.html";

/// Everything comes from here, and nothing is run that is written into a document.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
     connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";
/// The build puts a hash of its contents into the name of each of them.
const ASSETS: &str = "assets/";

pub fn pages() -> Router<Arc<Shop>> {
    PAGES.iter().fold(Router::new(), |router, page| {
        router.route(page, get(async |headers: HeaderMap| file(DOCUMENT, &headers)))
    })
}

/// For every other address: a file of this name, if there is one. Not a route, which would answer for whatever is not
/// there that it is read in another way.
pub async fn file_or_nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    match Files::get(path) {
        None => problem::not_found(uri).await.into_response(),
        Some(_) if matches!(method, Method::GET | Method::HEAD) => file(path, &headers),
        Some(_) => {
            let problem = problem::method_not_allowed(method, uri).await;
            ([(header::ALLOW, "GET,HEAD")], problem).into_response()
        }
    }
}

fn file(path: &str, asked: &HeaderMap) -> Response {
    let Some((encoding, found)) = best(path, asked) else {
        return Problem::new(ProblemType::NotFound, format!("There is no {path}.")).into_response();
    };
    let hash = found.metadata.sha256_hash();
    let tag = format!(
        "\"{}\"",
        hash[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    let cache = match path.starts_with(ASSETS) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let mime = Files::get(path).map_or("application/octet-stream".to_owned(), |plain| {
        plain.metadata.mimetype().to_owned()
    });
    let common = [
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    if known.is_some_and(|tags| {
        tags.split(',')
            .any(|known| known.trim().trim_start_matches("W/") == tag)
    }) {
        return (StatusCode::NOT_MODIFIED, common, [(header::ETAG, tag)]).into_response();
    }
    let mut response = (
        common,
        [(header::ETAG, tag), (header::CONTENT_TYPE, mime)],
        found.data,
    )
        .into_response();
    if let Some(encoding) = encoding {
        let encoding = header::HeaderValue::from_static(encoding);
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
    }
    response
}

/// The smallest form of a file that the client takes.
fn best(path: &str, asked: &HeaderMap) -> Option<(Option<&'static str>, EmbeddedFile)> {
    let accepted = asked
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let accepts = |encoding: &str| {
        let mut accepted = accepted.unwrap_or_default().split(',');
        accepted.any(|one| {
            let (name, quality) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !matches!(quality.trim(), "q=0" | "q=0.0")
        })
    };
    [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(encoding, _)| accepts(encoding))
        .find_map(|(encoding, suffix)| Some((Some(encoding), Files::get(&format!("{path}{suffix}"))?)))
        .or_else(|| Some((None, Files::get(path)?)))
}
