//! How people come to trust the gateway's certificate: a page that explains it, and the certificate of the authority.
//! Both are served without sign-in and over plain HTTP, because the devices that need them do not trust the certificate
//! yet.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{AppState, Problem, ProblemType};
use crate::platform::tls::AuthorityCertificate;

/// The explaining page, and the certificate in DER.
pub const PATHS: [&str; 2] = [PAGE, CERTIFICATE];
const PAGE: &str = "/trust";
const CERTIFICATE: &str = "/authority.crt";

/// English and French.
const TEXT: &str = include_str!("trust.html");
/// The page needs a style sheet and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route(PAGE, get(page))
        .route(CERTIFICATE, get(certificate))
}

async fn page(State(app): State<Arc<AppState>>, request: HeaderMap) -> Result<Response, Problem> {
    let authority = authority(&app)?;
    // A store's name consists of letters, digits and hyphens.
    let text = text(prefers_french(&request))
        .replace("{{store}}", &app.store)
        .replace("{{fingerprint}}", &authority.fingerprint);
    Ok((
        headers("text/html; charset=utf-8"),
        [(header::CONTENT_SECURITY_POLICY, POLICY)],
        text,
    )
        .into_response())
}

/// Whether the reader prefers French to English.
pub(super) fn prefers_french(request: &HeaderMap) -> bool {
    let languages = request.get(header::ACCEPT_LANGUAGE);
    let first = languages.and_then(|languages| languages.as_bytes().get(..2));
    first.is_some_and(|language| language.eq_ignore_ascii_case(b"fr"))
}

/// The page with the reader's language first, because a phone shows only the beginning.
fn text(prefers_french: bool) -> String {
    let sections = TEXT.split_once("<section").and_then(|(head, sections)| {
        let (english, french) = sections.split_once("<section")?;
        let (french, end) = french.split_once("</body>")?;
        Some((head, english, french, end))
    });
    match sections {
        Some((head, english, french, end)) if prefers_french => {
            let head = head.replace("<html lang=\"en\">", "<html lang=\"fr\">");
            format!("{head}<section{french}<section{english}</body>{end}")
        }
        _ => TEXT.to_owned(),
    }
}

async fn certificate(State(app): State<Arc<AppState>>) -> Result<Response, Problem> {
    let authority = authority(&app)?;
    let name = [(
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"comptoir-authority.crt\"",
    )];
    let der = authority.der.to_vec();
    Ok((headers("application/x-x509-ca-cert"), name, der).into_response())
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 3] {
    [
        (header::CONTENT_TYPE, content_type),
        // A new authority must not be compared with the fingerprint of an old one.
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

fn authority(app: &AppState) -> Result<&AuthorityCertificate, Problem> {
    let authority = app.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    authority.ok_or_else(|| {
        Problem::new(
            ProblemType::NotFound,
            "This gateway has no certificate authority of its own: it uses plain HTTP or a configured certificate.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_both_languages_and_neither_scripts_nor_foreign_resources() {
        for language in ["lang=\"en\"", "lang=\"fr\""] {
            let (_, section) = TEXT
                .split_once(&format!("<section id={}", &language[5..]))
                .unwrap();
            let (section, _) = section.split_once("</section>").unwrap();
            for word in [
                "{{fingerprint}}",
                "/authority.crt",
                "iPhone",
                "Android",
                "Windows",
                "macOS",
                "Firefox",
                "Linux",
            ] {
                assert!(section.contains(word), "{language}: {word}");
            }
        }
        let french = text(true);
        assert!(
            french.starts_with("<!doctype html>\n<html lang=\"fr\">")
                && french.trim_end().ends_with("</html>")
        );
        assert!(french.find("id=\"fr\"") < french.find("id=\"en\""));
        assert_eq!(french.len(), TEXT.len());
        assert_eq!(text(false), TEXT);
        for forbidden in ["<script", "javascript:", "http://", "src="] {
            assert!(!TEXT.contains(forbidden), "{forbidden}");
        }
    }
}
