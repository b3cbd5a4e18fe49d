//! The answers to somebody who is not signed in.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The path of the sign-in page.
pub const LOGIN_PAGE: &str = "/login";
/// The value of `WWW-Authenticate`. Not `Basic`: browsers would show their own password prompt over the sign-in page.
pub const BEARER_CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"Comptoir\"");

/// Redirects to the sign-in page, which returns to the requested page.
pub fn login_redirect(requested: &Uri) -> Response {
    let requested = requested
        .path_and_query()
        .map_or("/", |requested| requested.as_str());
    see_other(match requested {
        "/" => LOGIN_PAGE.to_owned(),
        _ => format!(
            "{LOGIN_PAGE}?next={}",
            utf8_percent_encode(requested, NON_ALPHANUMERIC)
        ),
    })
}

/// A redirect that no cache keeps.
pub fn see_other(location: String) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_in_page_returns_to_the_requested_page() {
        for (requested, location) in [
            ("/", "/login"),
            ("/sales?store=paris-1", "/login?next=%2Fsales%3Fstore%3Dparis%2D1"),
        ] {
            let response = login_redirect(&Uri::from_static(requested));
            assert_eq!(response.headers()[header::LOCATION], location);
        }
    }
}
