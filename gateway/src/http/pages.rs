//! Serves the pages: one HTML document for all of them, and its assets, embedded in the binary.
//!
//! The build has compressed each file with Brotli and gzip; a request gets the smallest encoding that it accepts. The
//! uncompressed files are not embedded: few clients want them, and they would take half a megabyte.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{AppState, Problem, ProblemType, problem};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

/// The paths of the pages. Each can be opened directly.
const PAGES: [&str; 11] = [
    "/",
    "/dashboard",
    "/orders",
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
/// Files whose names contain a hash of their contents, so they may be cached forever.
const ASSETS: &str = "assets/";

/// Whether a path is a page's.
pub fn is_page(path: &str) -> bool {
    PAGES.contains(&path)
}

/// Whether a path is that of a file that pages consist of.
pub fn is_file(path: &str) -> bool {
    exists(path.trim_start_matches('/'))
}

fn exists(path: &str) -> bool {
    Files::get(path).is_some() || Files::get(&format!("{path}.gz")).is_some()
}

pub fn pages() -> Router<Arc<AppState>> {
    PAGES.iter().fold(Router::new(), |router, page| {
        router.route(page, get(async |headers: HeaderMap| file(DOCUMENT, &headers)))
    })
}

/// The fallback for every path without a route: the embedded file with that name, or 404. A catch-all route would answer
/// unknown paths with 405 for other methods than GET.
pub async fn static_file_or_not_found(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    match exists(path) {
        false => problem::not_found(uri).await.into_response(),
        true if matches!(method, Method::GET | Method::HEAD) => file(path, &headers),
        true => {
            let problem = problem::method_not_allowed(method, uri).await;
            ([(header::ALLOW, "GET,HEAD")], problem).into_response()
        }
    }
}

fn file(path: &str, request: &HeaderMap) -> Response {
    let Some(Variant {
        encoding,
        bytes,
        hash,
    }) = smallest(path, request)
    else {
        return Problem::new(
            ProblemType::NotFound,
            format!("There is no file {path}. Build the pages with `make pages`, then build the gateway."),
        )
        .into_response();
    };
    // Each encoding needs a tag of its own.
    let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}-{}\"", encoding.unwrap_or("identity"));
    let cache = match path.starts_with(ASSETS) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let mime = mime_guess::from_path(path).first_or_octet_stream().to_string();
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
    let cached = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    if cached.is_some_and(|tags| {
        tags.split(',')
            .any(|cached| cached.trim().trim_start_matches("W/") == tag)
    }) {
        return (StatusCode::NOT_MODIFIED, common, [(header::ETAG, tag)]).into_response();
    }
    let mut response = (common, [(header::ETAG, tag), (header::CONTENT_TYPE, mime)], bytes).into_response();
    if let Some(encoding) = encoding {
        let encoding = header::HeaderValue::from_static(encoding);
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
    }
    response
}

/// A file in one encoding.
struct Variant {
    /// `None`: not compressed.
    encoding: Option<&'static str>,
    bytes: Cow<'static, [u8]>,
    /// SHA-256 of the embedded bytes, which may be compressed all the same.
    hash: [u8; 32],
}

impl Variant {
    fn of(embedded: EmbeddedFile, encoding: Option<&'static str>) -> Self {
        Self {
            encoding,
            hash: embedded.metadata.sha256_hash(),
            bytes: embedded.data,
        }
    }

    /// Decompressed, for a client that accepts no compression.
    fn decompressed(gzip: &EmbeddedFile) -> Option<Self> {
        let mut bytes = Vec::new();
        GzDecoder::new(&*gzip.data).read_to_end(&mut bytes).ok()?;
        Some(Self {
            encoding: None,
            bytes: bytes.into(),
            hash: gzip.metadata.sha256_hash(),
        })
    }
}

/// The smallest encoding of a file that the client accepts.
fn smallest(path: &str, request: &HeaderMap) -> Option<Variant> {
    let accepted = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let accepts = |encoding: &str| {
        let mut accepted = accepted.unwrap_or_default().split(',');
        accepted.any(|one| {
            let (name, quality) = one.split_once(';').unwrap_or((one, ""));
            name.trim() == encoding && !matches!(quality.trim(), "q=0" | "q=0.0")
        })
    };
    let gzip = Files::get(&format!("{path}.gz"));
    let brotli = Files::get(&format!("{path}.br"));
    if let Some(brotli) = brotli.filter(|_| accepts("br")) {
        return Some(Variant::of(brotli, Some("br")));
    }
    match (gzip, Files::get(path)) {
        (Some(gzip), _) if accepts("gzip") => Some(Variant::of(gzip, Some("gzip"))),
        (_, Some(plain)) => Some(Variant::of(plain, None)),
        (Some(gzip), None) => Variant::decompressed(&gzip),
        (None, None) => None,
    }
}
