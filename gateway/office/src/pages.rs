//! Serves the page: one HTML document and its assets, embedded in the binary.
//!
//! The build has compressed each file with Brotli and gzip; a request gets the smallest encoding that it accepts. The
//! uncompressed files are not embedded.

use std::borrow::Cow;
use std::io::Read as _;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use rust_embed::RustEmbed;

use crate::http::problem;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

const DOCUMENT: &str = "index.html";

/// The Content-Security-Policy: resources come from this origin only, no script and no style is inline, and no other page
/// may show this one in a frame.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// The document names the assets of this version of the office, so no cache may keep it.
const DOCUMENT_CACHE: &str = "no-store";
/// Names of assets contain a hash of their contents, so they may be cached forever.
const ASSET_CACHE: &str = "public, max-age=31536000, immutable";

pub fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(document))
        .route("/sales", get(document))
        .route("/assets/{name}", get(asset))
}

async fn document(headers: HeaderMap) -> Response {
    file(DOCUMENT, DOCUMENT_CACHE, &headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{name}"), ASSET_CACHE, &headers)
}

fn file(path: &str, cache: &'static str, request: &HeaderMap) -> Response {
    let Some((encoding, bytes)) = smallest(path, request) else {
        return problem(
            StatusCode::NOT_FOUND,
            "urn:comptoir:problem:not-found",
            format!("There is no file {path}. If the office was updated, reload the page."),
        );
    };
    let mime = mime_guess::from_path(path).first_or_octet_stream().to_string();
    let headers = [
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
    let mut response = (headers, [(header::CONTENT_TYPE, mime)], bytes).into_response();
    if let Some(encoding) = encoding {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// The bytes of a file in the smallest encoding that the client accepts; `None` as the encoding is uncompressed.
fn smallest(path: &str, request: &HeaderMap) -> Option<(Option<&'static str>, Cow<'static, [u8]>)> {
    let accepted = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let accepts = |encoding: &str| {
        accepted.split(',').any(|one| {
            let (name, quality) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !matches!(quality.trim(), "q=0" | "q=0.0")
        })
    };
    let embedded = |suffix: &str| Files::get(&format!("{path}{suffix}")).map(|file| file.data);
    if let Some(brotli) = embedded(".br").filter(|_| accepts("br")) {
        return Some((Some("br"), brotli));
    }
    let Some(gzip) = embedded(".gz") else {
        return embedded("").map(|plain| (None, plain));
    };
    if accepts("gzip") {
        return Some((Some("gzip"), gzip));
    }
    let mut bytes = Vec::new();
    GzDecoder::new(&*gzip).read_to_end(&mut bytes).ok()?;
    Some((None, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(encodings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))])
    }

    fn header_of(response: &Response, name: HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn the_page_may_not_be_framed_or_cached_or_run_inline_scripts() {
        let response = document(accepting("gzip, br")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header_of(&response, header::CONTENT_TYPE), "text/html");
        assert_eq!(header_of(&response, header::CACHE_CONTROL), "no-store");
        assert_eq!(header_of(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        let policy = header_of(&response, header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    /// Holds with and without a built page.
    #[test]
    fn every_embedded_file_can_be_had_uncompressed() {
        let names: Vec<_> = Files::iter().collect();
        assert!(names.iter().any(|name| name.trim_end_matches(".gz") == DOCUMENT));
        for name in names.iter().filter(|name| !name.ends_with(".br")) {
            let path = name.trim_end_matches(".gz");
            let (encoding, bytes) = smallest(path, &accepting("br;q=0, zstd")).unwrap();
            assert!(encoding.is_none() && !bytes.is_empty(), "{path}");
        }
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
        assert_eq!(header_of(&response, header::CACHE_CONTROL), "");
    }
}
