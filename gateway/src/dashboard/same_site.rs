//! A page of another site may not use the visitor's browser to sell, or to listen.
//!
//! Whoever is on the shop's network may use the gateway, or whoever knows its password. But a browser in the shop
//! also shows pages of the internet, and those could send requests here, to which it would add a password that it
//! knows. A browser says where a page is from.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Refuses what changes something or stays connected, if it comes from a page of another site.
pub async fn check(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let stays = request.uri().path().starts_with("/socket.io");
    if (stays || !reads) && !is_of_this_site(&request) {
        let problem = "a page of another site may not do this";
        return Problem::new(StatusCode::FORBIDDEN, problem).into_response();
    }
    next.run(request).await
}

/// Also true for whoever does not say where they are from: that is no browser.
fn is_of_this_site(request: &Request) -> bool {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return !request.headers().contains_key(header::ORIGIN);
    };
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    origin.split_once("://").map(|(_, origin)| origin) == host
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_pages_of_this_site_and_programs_are_let_in() {
        for (origin, expected) in [
            (None, true),
            (Some("http://comptoir.local:8080"), true),
            (Some("https://comptoir.local:8080"), true),
            (Some("http://comptoir.local"), false),
            (Some("http://elsewhere.example"), false),
            (Some("null"), false),
        ] {
            let mut request = Request::builder().header(header::HOST, "comptoir.local:8080");
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_of_this_site(&request), expected, "{origin:?}");
        }
    }
}
