//! Prevents DNS rebinding and cross-site requests: a page of another site must not use a visitor's browser to read or change
//! anything.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use comptoir_http_rules::cross_site::{is_from_another_site, is_read_of_another_site};

use super::origin::{Origin, Transport};
use super::{AppState, problem};
use crate::live::PATH as LIVE_PATH;

/// Answered under any host name: probes use the address of a pod or container, and nothing here is secret.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The names under which the office answers.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// `http.hosts`, in lower case.
    pub names: Vec<String>,
    /// The office listens on the network, so that any IP address may be its own. Nobody can let an address resolve to
    /// another one.
    pub has_addresses: bool,
}

impl Hosts {
    fn contains(&self, host: &str) -> bool {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        host == "localhost"
            || self.names.contains(&host)
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| self.has_addresses || ip.is_loopback())
    }
}

/// Middleware. Answers only requests for a name of the office. Otherwise a page of another site could read everything after
/// its owner lets the site's name resolve to the office's address (DNS rebinding). Also refuses requests that a page of
/// another site makes the browser send.
pub async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let host = request.headers().get(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(authority) = authority.filter(|authority| state.access.hosts.contains(authority.host())) else {
        return problem(
            StatusCode::MISDIRECTED_REQUEST,
            "urn:comptoir:problem:unknown-host",
            "The office answers under names of its own only: localhost, and those of `http.hosts`, for example hosts = \
             [\"office.example.org\"].",
        );
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    // Browsers do not apply the same-origin policy to WebSockets.
    let is_live = request.uri().path().starts_with(LIVE_PATH);
    let is_refused = match is_read && !is_live {
        true => is_read_of_another_site(request.headers(), request.uri().path()),
        false => {
            let trusted = &state.access.trusted_proxies;
            let origin = Origin::of(request.extensions(), request.headers(), trusted);
            is_change_of_another_site(request.headers(), &authority, origin.transport)
        }
    };
    if is_refused {
        return problem(
            StatusCode::FORBIDDEN,
            "urn:comptoir:problem:cross-site-request",
            "A page of another site may not load or change anything in the office.",
        );
    }
    next.run(request).await
}

/// Whether a page of another site caused a request that changes something or opens a live connection. A browser names the
/// page's site in `Origin`; programs do not. Over HTTPS, a page that was loaded without it is another site: anybody on its
/// way could have written it.
fn is_change_of_another_site(headers: &HeaderMap, own: &Authority, transport: Transport) -> bool {
    let is_other_origin = headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        // `null` has no scheme.
        origin.is_none_or(|(scheme, origin)| {
            let is_downgraded = transport == Transport::Https && scheme != "https";
            is_downgraded || !origin.eq_ignore_ascii_case(own.as_str())
        })
    });
    is_from_another_site(headers) || is_other_origin
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(named: &[(&'static str, Option<&str>)]) -> HeaderMap {
        let present = named
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), (*value)?)));
        present
            .map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_own_names_and_on_the_network_addresses_are_answered() {
        let local = Hosts {
            names: vec!["office.example.org".to_owned()],
            has_addresses: false,
        };
        let network = Hosts {
            has_addresses: true,
            ..local.clone()
        };
        for (host, on_loopback, on_network) in [
            ("localhost", true, true),
            ("[::1]", true, true),
            ("Office.Example.org", true, true),
            ("192.168.1.5", false, true),
            ("[fd00::1]", false, true),
            ("attacker.example", false, false),
            ("office.example.org.attacker.example", false, false),
        ] {
            assert_eq!(local.contains(host), on_loopback, "{host}");
            assert_eq!(network.contains(host), on_network, "{host}");
        }
    }

    #[test]
    fn only_the_same_origin_changes_anything() {
        let own = Authority::from_static("office.example.org:8090");
        for (origin, site, expected) in [
            (None, None, false),
            (
                Some("https://office.example.org:8090"),
                Some("same-origin"),
                false,
            ),
            (Some("https://office.example.org:8090"), None, false),
            (Some("https://office.example.org"), None, true),
            (Some("https://attacker.example"), None, true),
            (Some("null"), None, true),
            (Some("https://OFFICE.example.org:8090"), None, false),
            (None, Some("cross-site"), true),
            (None, Some("same-site"), true),
        ] {
            let headers = headers(&[("origin", origin), ("sec-fetch-site", site)]);
            let found = is_change_of_another_site(&headers, &own, Transport::Https);
            assert_eq!(found, expected, "{origin:?} {site:?}");
        }
        let plain = headers(&[("origin", Some("http://office.example.org:8090"))]);
        assert!(is_change_of_another_site(&plain, &own, Transport::Https));
        assert!(!is_change_of_another_site(
            &plain,
            &own,
            Transport::LocalPlaintext
        ));
    }
}
