//! Where `http.password` is set, whoever asks for pages, API or Socket.IO must say it: HTTP Basic, with any user
//! name. Browsers ask for it and then send it with all that a page of ours does; programs are easily told.
//!
//! Without TLS (`http.tls_cert`) it is as safe as the network: HTTP shows it to whoever listens there.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headers::authorization::Basic;
use headers::{Authorization, HeaderMapExt as _};
use tracing::debug;

use super::{Problem, ProblemType, Shop};
use crate::config::Secret;

/// For machines that watch, and what browsers fetch without credentials: the manifest of the web app, and its icons.
const OPEN: [&str; 8] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/manifest.webmanifest",
    "/favicon.svg",
    "/icon-192.png",
    "/icon-512.png",
    "/icon-maskable-512.png",
];

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"Comptoir\", charset=\"UTF-8\"");

/// Only its hash: hashes are compared in constant time, whatever the lengths are.
pub struct Password(blake3::Hash);

impl Password {
    pub fn new(password: &Secret) -> Self {
        Self(blake3::hash(password.reveal().as_bytes()))
    }

    fn is_said(&self, request: &Request) -> bool {
        let said = request.headers().typed_get::<Authorization<Basic>>();
        said.is_some_and(|said| blake3::hash(said.password().as_bytes()) == self.0)
    }
}

/// Refuses whoever does not say the password, where there is one.
pub async fn check(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let may = match &shop.password {
        None => true,
        Some(password) => OPEN.contains(&path) || password.is_said(&request),
    };
    if may {
        return next.run(request).await;
    }
    debug!(path, "refused: the password was not said");
    let problem = Problem::new(
        ProblemType::PasswordRequired,
        "The password is missing or wrong. Send the gateway's `http.password` by HTTP Basic, with any user name.",
    );
    ([(header::WWW_AUTHENTICATE, CHALLENGE)], problem).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn any_user_with_the_password_is_let_in() {
        let password = Password::new(&Secret::new("sésame: 1"));
        for (said, expected) in [
            // till:sésame: 1
            (Some("Basic dGlsbDpzw6lzYW1lOiAx"), true),
            // :sésame: 1
            (Some("basic OnPDqXNhbWU6IDE="), true),
            // till:sésame
            (Some("Basic dGlsbDpzw6lzYW1l"), false),
            // sésame: 1, which is a user
            (Some("Basic c8Opc2FtZTogMQ=="), false),
            (Some("Basic c"), false),
            (Some("Basic"), false),
            (Some("Bearer dGlsbDpzw6lzYW1lOiAx"), false),
            (None, false),
        ] {
            let mut request = Request::builder();
            if let Some(said) = said {
                request = request.header(header::AUTHORIZATION, said);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(password.is_said(&request), expected, "{said:?}");
        }
    }
}
