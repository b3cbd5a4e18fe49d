//! Where a request comes from: the client's address, and whether anybody on the network can read the connection.
//!
//! A reverse proxy says both in `X-Forwarded-For` and `X-Forwarded-Proto`. Any client can send these headers, so they count
//! only from an address of `http.trusted_proxies`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, header};
use comptoir_http_rules::cookie::SecretCookie;
use comptoir_http_rules::forwarded::{FORWARDED_FOR, FORWARDED_PROTO, is_forwarded};
use comptoir_identity::{Act, Action, ActorKind};
use ipnet::IpNet;

use super::connection::ClientConnection;
use crate::access::Caller;
use crate::accounts::Source;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    address: IpAddr,
    /// It is a program on this machine.
    is_local: bool,
}

impl Peer {
    pub fn new(remote: SocketAddr, own: Option<SocketAddr>) -> Self {
        let address = remote.ip().to_canonical();
        let own = own.map(|own| own.ip().to_canonical());
        Self {
            address,
            is_local: address.is_loopback() || own == Some(address),
        }
    }
}

/// How a request was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A trusted proxy says that the client uses HTTPS.
    Https,
    /// Unencrypted from this machine, so nobody on the network can read it.
    LocalPlaintext,
    /// Unencrypted from the network, or through a proxy that is not trusted.
    RemotePlaintext,
}

impl Transport {
    /// A cookie with a secret. `secure_name` is its name over HTTPS.
    pub fn cookie(self, name: &'static str, secure_name: &'static str) -> SecretCookie {
        let is_secure = self == Self::Https;
        SecretCookie {
            name: match is_secure {
                true => secure_name,
                false => name,
            },
            is_secure,
        }
    }
}

/// The origin of a request. The middleware stores it in the request.
#[derive(Debug, Clone)]
pub struct Origin {
    pub source: Source,
    pub transport: Transport,
}

impl Origin {
    pub fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        let connection = extensions.get::<ConnectInfo<ClientConnection>>();
        let peer = connection.map(|connection| connection.0.peer());
        Self {
            source: Source {
                address: peer.map(|peer| client(peer, headers, trusted)),
                agent: agent.map(str::to_owned),
            },
            transport: peer.map_or(Transport::RemotePlaintext, |peer| {
                transport(peer, headers, trusted)
            }),
        }
    }

    /// An act of the caller, for the audit log; anonymous without `caller`.
    pub fn act(&self, caller: Option<&Caller>, action: Action) -> Act {
        let kind = match caller {
            None => ActorKind::Anonymous,
            Some(caller) => match &caller.credential {
                Some(credential) => credential.kind.into(),
                None => ActorKind::System,
            },
        };
        Act {
            actor: caller.map(|caller| caller.name.to_string()).unwrap_or_default(),
            actor_kind: kind,
            ..Act::of(None, self.source.address, action)
        }
    }

    /// Whether a program on this machine sent the request, and not a proxy for somebody else.
    pub fn is_of_this_machine(&self, headers: &HeaderMap) -> bool {
        self.transport == Transport::LocalPlaintext && !is_forwarded(headers)
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// The comma-separated values of all headers of this name, in order. `None` for one that is not text.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Option<&'a str>> {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| match line.to_str() {
            Ok(line) => line.split(',').map(|value| Some(value.trim())).collect(),
            Err(_) => vec![None],
        })
        .collect()
}

/// Each proxy appends the address that it sees, so the last one that is no trusted proxy is the client's.
fn client(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.address;
    for value in values(headers, FORWARDED_FOR).into_iter().rev() {
        let address = value.and_then(|value| value.parse::<IpAddr>().ok());
        match address {
            Some(address) if is_trusted(client, trusted) => client = address.to_canonical(),
            _ => break,
        }
    }
    client
}

fn transport(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Transport {
    if is_trusted(peer.address, trusted) && is_forwarded(headers) {
        let protocols = values(headers, FORWARDED_PROTO);
        let is_https = |protocol: &Option<&str>| protocol.is_some_and(|p| p.eq_ignore_ascii_case("https"));
        return match !protocols.is_empty() && protocols.iter().all(is_https) {
            true => Transport::Https,
            false => Transport::RemotePlaintext,
        };
    }
    match peer.is_local && !is_forwarded(headers) {
        true => Transport::LocalPlaintext,
        false => Transport::RemotePlaintext,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn origin(peer: &str, headers: &[(&'static str, &str)], trusted: &[&str]) -> (String, Transport) {
        let mut extensions = Extensions::new();
        let remote = SocketAddr::new(peer.parse().unwrap(), 50_000);
        let own = SocketAddr::from(([10, 0, 0, 1], 8090));
        extensions.insert(ConnectInfo(ClientConnection::of_peer(Peer::new(
            remote,
            Some(own),
        ))));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let origin = Origin::of(&extensions, &map, &trusted);
        (origin.source.address.unwrap().to_string(), origin.transport)
    }

    #[test]
    fn headers_of_a_proxy_count_only_if_it_is_trusted() {
        let https = ("x-forwarded-proto", "https");
        let forwarded = ("x-forwarded-for", "203.0.113.5");
        for (peer, headers, trusted, address, transport) in [
            (
                "127.0.0.1",
                vec![],
                &[][..],
                "127.0.0.1",
                Transport::LocalPlaintext,
            ),
            ("10.0.0.1", vec![], &[], "10.0.0.1", Transport::LocalPlaintext),
            ("10.0.0.2", vec![], &[], "10.0.0.2", Transport::RemotePlaintext),
            (
                "10.0.0.2",
                vec![https, forwarded],
                &[],
                "10.0.0.2",
                Transport::RemotePlaintext,
            ),
            (
                "127.0.0.1",
                vec![https, forwarded],
                &[],
                "127.0.0.1",
                Transport::RemotePlaintext,
            ),
            (
                "10.0.0.2",
                vec![https, forwarded],
                &["10.0.0.0/24"],
                "203.0.113.5",
                Transport::Https,
            ),
            (
                "::ffff:10.0.0.2",
                vec![https, forwarded],
                &["10.0.0.2/32"],
                "203.0.113.5",
                Transport::Https,
            ),
            (
                "10.0.0.2",
                vec![forwarded],
                &["10.0.0.2/32"],
                "203.0.113.5",
                Transport::RemotePlaintext,
            ),
            (
                "10.0.0.2",
                vec![],
                &["10.0.0.2/32"],
                "10.0.0.2",
                Transport::RemotePlaintext,
            ),
        ] {
            let found = origin(peer, &headers, trusted);
            assert_eq!(
                found,
                (address.to_owned(), transport),
                "{peer} {headers:?} {trusted:?}"
            );
        }
    }

    #[test]
    fn what_a_client_writes_into_the_headers_itself_does_not_count() {
        let trusted = ["10.0.0.2/32", "10.0.0.3/32"];
        // The client claims to be 198.51.100.1; the two proxies append what they see.
        let headers = [
            ("x-forwarded-for", "198.51.100.1, 203.0.113.5"),
            ("x-forwarded-for", "10.0.0.3"),
            ("x-forwarded-proto", "https, http"),
        ];
        let found = origin("10.0.0.2", &headers, &trusted);
        assert_eq!(found, ("203.0.113.5".to_owned(), Transport::RemotePlaintext));
        let found = origin("10.0.0.2", &[("x-forwarded-for", "unknown")], &trusted);
        assert_eq!(found.0, "10.0.0.2");
    }
}
