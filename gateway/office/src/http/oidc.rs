//! `/login/oidc`: leads the browser to the identity provider, and signs the user in when it comes back.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use comptoir_http_rules::cookie::SecretCookie;
use comptoir_http_rules::sign_in::{LOGIN_PAGE, see_other};
use comptoir_identity::Action;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::access::{self, failure};
use super::origin::{Origin, Transport};
use super::session::with_cookie;
use super::{AppState, not_found};
use crate::accounts::{AccountsError, NewSession};
use crate::oidc::{Callback, Oidc, OidcError, PENDING_LIFE, Pending};

const COOKIE: &str = "comptoir_office_oidc";
const SECURE_COOKIE: &str = "__Host-comptoir_office_oidc";
const CALLBACK: &str = "/login/oidc/callback";
/// Longest address to return to, in bytes. The cookie has room for more.
const MAX_NEXT: usize = 1_024;

#[derive(Debug, Deserialize)]
pub struct BeginQuery {
    next: Option<String>,
}

/// The cookie with a sign-in that has begun.
fn pending_cookie(transport: Transport) -> SecretCookie {
    transport.cookie(COOKIE, SECURE_COOKIE)
}

/// The office's own address for the provider, under the name that the browser uses.
fn callback_address(headers: &HeaderMap, transport: Transport) -> Option<String> {
    let scheme = match transport {
        Transport::Https => "https",
        Transport::LocalPlaintext | Transport::RemotePlaintext => "http",
    };
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Some(format!("{scheme}://{host}{CALLBACK}"))
}

/// `GET /login/oidc`
pub async fn begin(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    query: Result<Query<BeginQuery>, QueryRejection>,
) -> Response {
    let Some(oidc) = &state.access.oidc else {
        return not_found();
    };
    if state.access.refuses_credentials(&origin) {
        return access::plain_sign_in_refused();
    }
    let Some(redirect) = callback_address(&headers, origin.transport) else {
        return not_found();
    };
    let next = query.ok().and_then(|Query(query)| query.next);
    let next = next.filter(|next| next.len() <= MAX_NEXT && is_own_path(next));
    match oidc
        .begin(&redirect, next.unwrap_or_else(|| "/".to_owned()))
        .await
    {
        Ok((url, pending)) => {
            pending_cookie(origin.transport).set(&pending.encode(), PENDING_LIFE, see_other(url))
        }
        Err(error) => refuse(&state, &origin, &error, "/").await,
    }
}

/// `GET /login/oidc/callback`
pub async fn finish(
    State(state): State<AppState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Response {
    let Some(oidc) = &state.access.oidc else {
        return not_found();
    };
    if state.access.refuses_credentials(&origin) {
        return access::plain_sign_in_refused();
    }
    let cookie = pending_cookie(origin.transport).read(&headers);
    let pending = cookie.as_deref().and_then(Pending::decode);
    // The cookie's content is the browser's, so it is checked like a query.
    let next = pending.as_ref().map(|pending| pending.next.clone());
    let next = next
        .filter(|next| is_own_path(next))
        .unwrap_or_else(|| "/".to_owned());
    let Ok(Query(callback)) = query else {
        return refuse(&state, &origin, &OidcError::WrongState, &next).await;
    };
    let response = match sign_in(&state, oidc, &origin, &headers, pending, callback).await {
        Ok(signed_in) => with_cookie(&signed_in, origin.transport, see_other(next)),
        Err(Failure::Oidc(error)) => refuse(&state, &origin, &error, &next).await,
        Err(Failure::Accounts(error)) => failure(&error),
    };
    // It works once.
    pending_cookie(origin.transport).remove(response)
}

enum Failure {
    Oidc(OidcError),
    Accounts(AccountsError),
}

async fn sign_in(
    state: &AppState,
    oidc: &Oidc,
    origin: &Origin,
    headers: &HeaderMap,
    pending: Option<Pending>,
    callback: Callback,
) -> Result<crate::accounts::SignedIn, Failure> {
    let redirect = callback_address(headers, origin.transport).ok_or(Failure::Oidc(OidcError::WrongState))?;
    let user = oidc
        .finish(&redirect, pending, callback)
        .await
        .map_err(Failure::Oidc)?;
    let mut act = origin.act(None, Action::SignedIn).on(user.subject.clone());
    act.actor.clone_from(&user.name);
    act.actor_kind = comptoir_identity::ActorKind::Person;
    let new = NewSession::External {
        subject: &user.subject,
        name: &user.name,
        grant: user.grant,
    };
    let signed_in = state
        .access
        .accounts
        .begin_session(&origin.source, new, &act)
        .await;
    signed_in.map_err(Failure::Accounts)
}

/// Leads back to the sign-in page, which says what happened.
async fn refuse(state: &AppState, origin: &Origin, error: &OidcError, next: &str) -> Response {
    state
        .access
        .accounts
        .note_failure("wrong", &origin.source, "", error)
        .await;
    let reason = match error {
        OidcError::NoRole => "role",
        _ => "failed",
    };
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    see_other(format!("{LOGIN_PAGE}?failure={reason}&next={next}"))
}

/// Whether this is an address of the office without a host: browsers read `//host` and `/\host` as one with a host.
fn is_own_path(next: &str) -> bool {
    let is_visible = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    next.starts_with('/') && !next.starts_with("//") && is_visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_after_sign_in() {
        assert!(is_own_path("/") && is_own_path("/sales?store=paris-1"));
        for next in [
            "//attacker.example",
            "/\\attacker.example",
            "https://attacker.example",
            "",
            "/\r\nx",
        ] {
            assert!(!is_own_path(next), "{next:?}");
        }
    }
}
