//! Access control: identifies the caller of each request and compares the role with the one that the route requires.

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use comptoir_http_rules::cookie::SecretCookie;
use comptoir_http_rules::sign_in::{BEARER_CHALLENGE, login_redirect};
use comptoir_identity::{Error, Role};
use headers::authorization::Bearer;
use headers::{Authorization, HeaderMapExt as _};
use ipnet::IpNet;
use tracing::{debug, error};

use super::origin::{Origin, Transport};
use super::routes::{Requirement, requirement};
use super::site::Hosts;
use super::{AppState, problem};
use crate::access::Caller;
use crate::accounts::{Accounts, AccountsError, SetUp};
use crate::live::PATH as LIVE_PATH;
use crate::oidc::Oidc;

/// The cookie with the secret of a session. Over HTTPS, browsers accept the prefix only from the office's own host, so that a
/// page of a sibling domain cannot replace it.
const COOKIE: &str = "comptoir_office";
const SECURE_COOKIE: &str = "__Host-comptoir_office";

/// Who may use the office, and from where.
pub struct Access {
    pub accounts: Accounts,
    pub hosts: Hosts,
    /// The reverse proxies whose headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Passwords and sessions are accepted over plain HTTP from the network.
    pub plain_sign_in: bool,
    /// The office listens on loopback only, and works without accounts.
    pub is_local: bool,
    /// Where users can sign in besides.
    pub oidc: Option<Oidc>,
}

/// Whether somebody has to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everybody on this machine may do everything.
    Open,
    /// Nobody can sign in yet.
    SetupRequired,
    Accounts,
}

impl Access {
    /// # Errors
    /// PostgreSQL does not reply.
    pub async fn mode(&self) -> Result<Mode, AccountsError> {
        if self.oidc.as_ref().is_some_and(Oidc::has_administrator) {
            return Ok(Mode::Accounts);
        }
        Ok(match self.accounts.set_up().await? {
            SetUp::Nobody if self.is_local && self.oidc.is_some() => Mode::Accounts,
            SetUp::Done => Mode::Accounts,
            SetUp::Nobody if self.is_local => Mode::Open,
            SetUp::Nobody => Mode::SetupRequired,
            // A token works without any user; on the network it waits for an administrator.
            SetUp::NoAdministrator if self.is_local => Mode::Accounts,
            SetUp::NoAdministrator => Mode::SetupRequired,
        })
    }

    /// Whether credentials would cross the network unencrypted without the owner's permission.
    pub fn refuses_credentials(&self, origin: &Origin) -> bool {
        origin.transport == Transport::RemotePlaintext && !self.plain_sign_in
    }

    /// The owner of the token or the session of a request.
    async fn identify(&self, origin: &Origin, headers: &HeaderMap) -> Result<Option<Caller>, AccountsError> {
        if self.refuses_credentials(origin) {
            return Ok(None);
        }
        let bearer = headers.typed_get::<Authorization<Bearer>>();
        let secret = match &bearer {
            Some(bearer) => Some(bearer.token().to_owned()),
            None => session_cookie(origin.transport).read(headers),
        };
        match secret {
            Some(secret) => self.accounts.authenticate(&origin.source, &secret).await,
            None => Ok(None),
        }
    }
}

/// The cookie with the secret of a session, for a browser with this transport.
pub fn session_cookie(transport: Transport) -> SecretCookie {
    transport.cookie(COOKIE, SECURE_COOKIE)
}

/// Middleware: stores the [`Origin`] and the [`Caller`] in the request, and refuses what the caller may not do. A request that
/// nobody need be signed in for has a caller only if somebody is.
pub async fn check(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let origin = Origin::of(
        request.extensions(),
        request.headers(),
        &state.access.trusted_proxies,
    );
    request.extensions_mut().insert(origin.clone());
    let (mut head, body) = request.into_parts();
    match admit(&state.access, &origin, &head).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                head.extensions.insert(caller);
            }
            next.run(Request::from_parts(head, body)).await
        }
        Err(response) => *response,
    }
}

async fn admit(access: &Access, origin: &Origin, request: &Parts) -> Result<Option<Caller>, Box<Response>> {
    let matched = request.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    // An address without a route tells nobody anything.
    let required = matched.map_or(Requirement::Public, |path| requirement(&request.method, path));
    if required == Requirement::Probe {
        return Ok(None);
    }
    // Not a route: the layer of the live connections answers it.
    let is_live = request.uri.path().starts_with(LIVE_PATH);
    if matched == Some("/metrics") && origin.is_of_this_machine(&request.headers) {
        return Ok(None);
    }
    // The pages themselves say nothing about the shops, and explain that PostgreSQL does not reply.
    let is_for_everybody = matches!(required, Requirement::Page | Requirement::Public) && !is_live;
    let unavailable = |error: AccountsError| Box::new(failure(&error));
    match access.mode().await {
        Ok(Mode::Open) => return Ok(Some(Caller::local())),
        Ok(Mode::SetupRequired) => return Err(Box::new(setup_required())),
        Ok(Mode::Accounts) => {}
        Err(_) if is_for_everybody => return Ok(None),
        Err(error) => return Err(unavailable(error)),
    }
    let caller = match access.identify(origin, &request.headers).await {
        Ok(caller) => caller,
        Err(_) if is_for_everybody => return Ok(None),
        Err(error) => return Err(unavailable(error)),
    };
    let needed = match required {
        Requirement::Probe | Requirement::Public => return Ok(caller),
        Requirement::Page => Role::Viewer,
        Requirement::Role(role) => role,
    };
    match caller {
        Some(caller) if caller.role >= needed => Ok(Some(caller)),
        Some(caller) => {
            debug!(path = request.uri.path(), role = %caller.role, %needed, "rejected: the role may not do this");
            let detail = format!(
                "This needs the role {needed}; you are signed in as {}.",
                caller.role
            );
            Err(Box::new(forbidden(detail)))
        }
        None => Err(Box::new(refusal(access, origin, request, required))),
    }
}

/// The answer to somebody who is not signed in.
fn refusal(access: &Access, origin: &Origin, request: &Parts, required: Requirement) -> Response {
    let has_credentials = request.headers.contains_key(header::AUTHORIZATION)
        || session_cookie(origin.transport).read(&request.headers).is_some();
    match required {
        Requirement::Page => login_redirect(&request.uri),
        _ if access.refuses_credentials(origin) && has_credentials => plain_sign_in_refused(),
        _ => sign_in_required(),
    }
}

pub fn forbidden(detail: impl Into<String>) -> Response {
    problem(StatusCode::FORBIDDEN, "urn:comptoir:problem:forbidden", detail)
}

pub fn plain_sign_in_refused() -> Response {
    problem(
        StatusCode::FORBIDDEN,
        "urn:comptoir:problem:plain-sign-in-refused",
        "This connection is not encrypted, and anyone on the network could read the password. Use https:// through a reverse \
         proxy that `http.trusted_proxies` names, or allow it with `http.plain_sign_in = true`.",
    )
}

pub fn setup_required() -> Response {
    problem(
        StatusCode::FORBIDDEN,
        "urn:comptoir:problem:setup-required",
        "The office has no administrator yet. Run `office users add NAME --role administrator --password-stdin` with its \
         configuration.",
    )
}

fn sign_in_required() -> Response {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "urn:comptoir:problem:sign-in-required",
        "Nobody is signed in. Sign in on the page /login, or send a token: `Authorization: Bearer TOKEN`.",
    );
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, BEARER_CHALLENGE);
    response
}

/// The answer to a failed operation on the accounts.
pub fn failure(error: &AccountsError) -> Response {
    let error = match error {
        AccountsError::Grant(_) => return invalid_field("shops", error.to_string()),
        AccountsError::Identity(error) => error,
    };
    let (status, r#type) = match error {
        Error::WrongPassword => (StatusCode::UNAUTHORIZED, "urn:comptoir:problem:sign-in-failed"),
        Error::TooManyAttempts { after } => return too_many_attempts(after.as_secs().saturating_add(1)),
        Error::InvalidName(text) => return invalid_field("name", (*text).to_owned()),
        Error::InvalidPassword(text) => return invalid_field("password", text.clone()),
        Error::UserExists => (StatusCode::CONFLICT, "urn:comptoir:problem:user-exists"),
        Error::NoSuchUser => (StatusCode::NOT_FOUND, "urn:comptoir:problem:user-not-found"),
        Error::NoSuchCredential => (StatusCode::NOT_FOUND, "urn:comptoir:problem:session-not-found"),
        Error::LastAdministrator => (StatusCode::CONFLICT, "urn:comptoir:problem:last-administrator"),
        Error::TooMany(_) => (StatusCode::CONFLICT, "urn:comptoir:problem:too-many-accounts"),
        Error::Storage(error) => return super::database_unavailable(error),
        error => {
            error!(%error, "the accounts cannot be used");
            return problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:comptoir:problem:accounts-unavailable",
                "The accounts cannot be used. The office's log says why.",
            );
        }
    };
    let mut detail = error.to_string();
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    problem(status, r#type, format!("{detail}."))
}

fn too_many_attempts(seconds: u64) -> Response {
    let mut response = problem(
        StatusCode::TOO_MANY_REQUESTS,
        "urn:comptoir:problem:too-many-attempts",
        format!("There were too many attempts. Try again in {seconds} s."),
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

pub fn invalid_field(field: &'static str, detail: String) -> Response {
    super::respond(
        StatusCode::UNPROCESSABLE_ENTITY,
        "urn:comptoir:problem:invalid-field",
        detail,
        Some(field.into()),
    )
}
