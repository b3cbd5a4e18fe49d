//! Cookies with a secret, which no script can read.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use headers::{Cookie, HeaderMapExt as _};

/// Lifetime of a session's cookie in the browser: the longest that browsers accept. The program ends sessions earlier.
pub const SESSION_COOKIE_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A cookie that only the program reads, and that a page of another site cannot make a browser send with a change.
#[derive(Debug, Clone, Copy)]
pub struct SecretCookie {
    pub name: &'static str,
    /// The connection is encrypted, so the browser may send the cookie over encrypted connections only.
    pub is_secure: bool,
}

impl SecretCookie {
    /// The value that the browser sent.
    pub fn read(self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.typed_get::<Cookie>()?;
        cookies.get(self.name).map(str::to_owned)
    }

    /// Adds the cookie to a response. `value` consists of characters of Base64.
    pub fn set(self, value: &str, life: Duration, response: impl IntoResponse) -> Response {
        let secure = match self.is_secure {
            true => "; Secure",
            false => "",
        };
        let cookie = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
            self.name,
            life.as_secs()
        );
        let mut response = response.into_response();
        // Base64 is always a valid header value.
        if let Ok(mut value) = HeaderValue::from_str(&cookie) {
            value.set_sensitive(true);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }

    /// Makes the browser forget the cookie.
    pub fn remove(self, response: impl IntoResponse) -> Response {
        self.set("", Duration::ZERO, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_hidden_from_scripts_and_from_other_sites() {
        let cookie = |is_secure| SecretCookie { name: "a", is_secure };
        let set = |response: Response| {
            response.headers()[header::SET_COOKIE]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let minute = Duration::from_secs(60);
        assert_eq!(
            set(cookie(false).set("x", minute, ())),
            "a=x; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"
        );
        assert_eq!(
            set(cookie(true).remove(())),
            "a=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
        );
        let mut request = HeaderMap::new();
        request.insert(header::COOKIE, HeaderValue::from_static("b=1; a=2"));
        assert_eq!(cookie(true).read(&request).as_deref(), Some("2"));
    }
}
