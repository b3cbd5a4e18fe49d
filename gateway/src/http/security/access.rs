//! Access control: authenticates each request and compares the caller's role with the one that the route requires.
//!
//! The `security` of each operation in the OpenAPI document names its minimum role; [`Permissions`] is built from it.
//! An operation without a role is refused, so that a new route cannot be open by mistake.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use comptoir_core::Secret;
use comptoir_core::sale::draft::FieldError;
use comptoir_http_rules::cookie::SecretCookie;
use comptoir_http_rules::forwarded::is_forwarded;
use comptoir_http_rules::sign_in::{BEARER_CHALLENGE, LOGIN_PAGE, login_redirect, see_other};
use comptoir_identity::{Accounts, Error, Role};
use headers::authorization::{Basic, Bearer};
use headers::{Authorization, HeaderMapExt as _};
use serde_json::Value;
use tracing::debug;
use utoipa::openapi::OpenApi;

use super::caller::{Caller, Origin};
use crate::http::listener::Transport;
use crate::http::{AppState, Problem, ProblemType, pages, trust};

/// The cookie that holds the secret of a session or a wall screen.
pub const COOKIE: &str = "comptoir_session";
/// The page for set-up.
const SETUP_PAGE: &str = "/setup";
const METRICS: &str = "/metrics";

/// Whether sign-in is required.
pub enum Access {
    /// No sign-in: everyone who reaches the port may do everything.
    Open,
    Accounts {
        accounts: Accounts,
        /// Whether passwords and sessions are accepted over plain HTTP from the network.
        plain_sign_in: bool,
    },
}

impl Access {
    pub fn accounts(&self) -> Option<&Accounts> {
        match self {
            Self::Open => None,
            Self::Accounts { accounts, .. } => Some(accounts),
        }
    }

    /// Whether credentials would cross the network unencrypted without the owner's permission.
    pub fn refuses_credentials(&self, transport: Transport) -> bool {
        match self {
            Self::Open => false,
            Self::Accounts { plain_sign_in, .. } => transport == Transport::RemotePlaintext && !plain_sign_in,
        }
    }

    /// Identifies the owner of a session's or token's secret.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub async fn caller_of(&self, origin: &Origin, secret: Option<&str>) -> Result<Caller, Problem> {
        let (Self::Accounts { accounts, .. }, Some(secret)) = (self, secret) else {
            return Ok(Caller::Nobody);
        };
        let principal = accounts.authenticate(origin.attempt(), secret).await?;
        Ok(principal.map_or(Caller::Nobody, Caller::User))
    }
}

impl AppState {
    /// Identifies the caller from the headers of a request.
    ///
    /// # Errors
    /// A wrong password, too many guesses, a refused transport, or unreadable accounts.
    async fn identify(&self, origin: &Origin, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(accounts) = self.access.accounts() else {
            return Ok(Caller::Anybody);
        };
        let is_refused = self.access.refuses_credentials(origin.transport);
        if headers.contains_key(header::AUTHORIZATION) && is_refused {
            return Err(plain_sign_in_refused());
        }
        if let Some(basic) = headers.typed_get::<Authorization<Basic>>() {
            let (name, password) = (basic.username(), Secret::new(basic.password()));
            let verified = accounts.verify_basic(origin.attempt(), name, &password).await;
            return self.checked(origin, name, verified).await.map(Caller::User);
        }
        let bearer = headers.typed_get::<Authorization<Bearer>>();
        let secret = match &bearer {
            Some(bearer) => Some(bearer.token().to_owned()),
            None if is_refused => None,
            None => session_cookie(origin.transport).read(headers),
        };
        self.access.caller_of(origin, secret.as_deref()).await
    }
}

/// The cookie with the secret of a session, for a browser with this transport.
pub fn session_cookie(transport: Transport) -> SecretCookie {
    SecretCookie {
        name: COOKIE,
        is_secure: transport == Transport::Tls,
    }
}

pub fn plain_sign_in_refused() -> Problem {
    Problem::new(
        ProblemType::PlainSignInRefused,
        "This connection is not encrypted, and anyone on the network could read the password. Use https://, or allow it \
         with `http.plain_sign_in = true`.",
    )
}

/// The access that an operation requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    Public,
    Role(Role),
}

/// The requirement of each operation, by method and path template.
#[derive(Debug)]
pub struct Permissions(BTreeMap<(String, String), Requirement>);

impl Permissions {
    /// Reads the requirements from the `security` of a document's operations. An operation with an unknown form of
    /// `security` gets none and is refused.
    pub fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.filter_map(move |(method, operation)| {
                let requirement = requirement(&operation["security"])?;
                Some(((method.to_uppercase(), path.clone()), requirement))
            })
        });
        Self(operations.collect())
    }

    fn get(&self, method: &Method, path: &str) -> Option<Requirement> {
        // axum answers HEAD with the GET handler.
        let method = match *method {
            Method::HEAD => "GET",
            _ => method.as_str(),
        };
        self.0.get(&(method.to_owned(), path.to_owned())).copied()
    }
}

/// `[{}]` is public; `[{"scheme": ["role"]}, …]` requires the role.
fn requirement(security: &Value) -> Option<Requirement> {
    let alternatives = security.as_array()?;
    let first = alternatives.first()?.as_object()?;
    match first.values().next() {
        None => Some(Requirement::Public),
        Some(roles) => {
            let role = roles.as_array()?.first()?.as_str()?;
            role.parse().ok().map(Requirement::Role)
        }
    }
}

/// The state of the access check.
pub struct Gate {
    pub app: Arc<AppState>,
    pub permissions: Permissions,
}

/// Middleware: identifies the caller and rejects requests beyond the caller's role.
pub async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    match admit(&gate, &head).await {
        Ok(caller) => {
            head.extensions.insert(caller);
            next.run(Request::from_parts(head, body)).await
        }
        Err(response) => response,
    }
}

async fn admit(gate: &Gate, request: &Parts) -> Result<Caller, Response> {
    let access = &gate.app.access;
    let Some(accounts) = access.accounts() else {
        return Ok(Caller::Anybody);
    };
    let target = Target::of(gate, request);
    let origin = Origin::of(&request.extensions, &request.headers);
    if let Target::Public = target {
        // The handler reports invalid credentials itself: sign-in must work with an old cookie.
        let caller = gate.app.identify(&origin, &request.headers).await;
        return Ok(caller.unwrap_or(Caller::Nobody));
    }
    if let Target::Metrics = target
        && is_of_this_machine(&origin, &request.headers)
    {
        return Ok(Caller::Nobody);
    }
    if !accounts
        .is_set_up()
        .await
        .map_err(|error| Problem::from(error).into_response())?
    {
        return Err(match target {
            Target::Page => see_other(SETUP_PAGE.to_owned()),
            _ => setup_required().into_response(),
        });
    }
    let caller = gate
        .app
        .identify(&origin, &request.headers)
        .await
        .map_err(IntoResponse::into_response)?;
    let needed = match target {
        Target::Public | Target::Live => return Ok(caller),
        Target::Metrics | Target::Page => Role::Viewer,
        Target::Operation(role) => role,
    };
    match caller.role() {
        Some(role) if role >= needed => Ok(caller),
        Some(role) => {
            debug!(path = request.uri.path(), %role, %needed, "rejected: the role may not do this");
            let problem = format!("This needs the role {needed}; you are signed in as {role}.");
            Err(Problem::new(ProblemType::Forbidden, problem).into_response())
        }
        None => {
            debug!(path = request.uri.path(), "rejected: nobody is signed in");
            match target {
                Target::Page => Err(login_redirect(&request.uri)),
                _ if access.refuses_credentials(origin.transport)
                    && session_cookie(origin.transport).read(&request.headers).is_some() =>
                {
                    Err(plain_sign_in_refused().into_response())
                }
                _ => Err(sign_in_required()),
            }
        }
    }
}

/// The target of a request, as far as access depends on it.
enum Target {
    Public,
    /// Socket.IO, which authenticates when the client connects: some clients send their token only then.
    Live,
    Metrics,
    Page,
    Operation(Role),
}

impl Target {
    fn of(gate: &Gate, request: &Parts) -> Self {
        let path = request.uri.path();
        if path.starts_with("/socket.io") {
            return Self::Live;
        }
        let matched = request.extensions.get::<MatchedPath>();
        match matched.map(MatchedPath::as_str) {
            Some(METRICS) => Self::Metrics,
            Some(SETUP_PAGE | LOGIN_PAGE) => Self::Public,
            // The devices that need these paths do not trust the certificate yet.
            Some(path) if trust::PATHS.contains(&path) => Self::Public,
            Some(page) if pages::is_page(page) => Self::Page,
            Some(operation) => match gate.permissions.get(&request.method, operation) {
                Some(Requirement::Public) => Self::Public,
                Some(Requirement::Role(role)) => Self::Operation(role),
                // The route does not have this method.
                None => Self::Operation(Role::Viewer),
            },
            // The pages' files contain nothing about the shop, and `/setup` and `/login` need them.
            None if pages::is_file(path) => Self::Public,
            None => Self::Operation(Role::Viewer),
        }
    }
}

/// Whether the request comes from a program on this machine, and not from a reverse proxy.
fn is_of_this_machine(origin: &Origin, headers: &HeaderMap) -> bool {
    origin
        .address
        .is_none_or(|address| address.to_canonical().is_loopback())
        && !is_forwarded(headers)
}

pub fn setup_required() -> Problem {
    Problem::new(
        ProblemType::SetupRequired,
        "This gateway has no administrator yet. Open its page /setup, or run `gateway users add NAME --role administrator \
         --password-stdin` on its machine.",
    )
}

fn sign_in_required() -> Response {
    let problem = Problem::new(
        ProblemType::SignInRequired,
        "Nobody is signed in. Sign in on the page /login, or send a token: `Authorization: Bearer TOKEN`.",
    );
    ([(header::WWW_AUTHENTICATE, BEARER_CHALLENGE)], problem).into_response()
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::WrongPassword => ProblemType::SignInFailed,
            Error::WrongSetupCode => ProblemType::SetupCodeWrong,
            Error::AlreadySetUp => ProblemType::AlreadySetUp,
            Error::TooManyAttempts { after } => {
                let seconds = u32::try_from(after.as_secs())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                return Self::new(
                    ProblemType::TooManyAttempts,
                    format!("There were too many attempts. Try again in {seconds} s."),
                )
                .retry_after(seconds);
            }
            Error::InvalidName(problem) => return FieldError::new("name", problem).into(),
            Error::InvalidPassword(problem) => return FieldError::new("password", problem).into(),
            Error::UserExists => ProblemType::UserExists,
            Error::NoSuchUser => ProblemType::UserNotFound,
            Error::NoSuchCredential => ProblemType::SessionNotFound,
            Error::LastAdministrator => ProblemType::LastAdministrator,
            Error::TooMany(_) => ProblemType::TooManyAccounts,
            Error::NoSuchPairing => ProblemType::PairingNotFound,
            Error::Storage(_) | Error::Hash(_) => {
                tracing::error!(%error, "the accounts could not be read or written");
                ProblemType::AccountsUnavailable
            }
        };
        let mut detail = error.to_string();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(kind, format!("{detail}."))
    }
}
