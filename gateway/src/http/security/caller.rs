//! The caller of a request, and what that caller may see.

use std::net::IpAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use comptoir_identity::{Attempt, Principal, Role};

use crate::http::connections::ClientAddress;
use crate::http::listener::Transport;

/// The caller of a request. Every request has one: see [`super::access`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The gateway is open and has no users.
    Anybody,
    /// Nobody is signed in.
    Nobody,
    User(Principal),
}

impl Caller {
    /// `None` if nobody is signed in.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Anybody => Some(Role::Administrator),
            Self::Nobody => None,
            Self::User(principal) => Some(principal.role),
        }
    }

    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::User(principal) => Some(principal),
            Self::Anybody | Self::Nobody => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // A request that has not passed the access check may do nothing.
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self::Nobody))
    }
}

/// The origin of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `None` in tests without a network.
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
    pub transport: Transport,
}

impl Origin {
    pub fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        let client = extensions.get::<ConnectInfo<ClientAddress>>();
        let transport = extensions.get::<ConnectInfo<Transport>>();
        let agent = headers.get(header::USER_AGENT);
        Self {
            address: client.map(|client| client.0.ip()),
            agent: agent.and_then(|agent| agent.to_str().ok()).map(str::to_owned),
            transport: transport.map_or(Transport::LocalPlaintext, |transport| transport.0),
        }
    }

    pub fn attempt(&self) -> Attempt<'_> {
        Attempt {
            address: self.address,
            agent: self.agent.as_deref(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions, &parts.headers))
    }
}
