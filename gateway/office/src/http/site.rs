//! Prevents DNS rebinding and cross-site requests: a page of another site must not use a visitor's browser to read or change
//! anything.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::origin::{Origin, Transport};
use super::{AppState, problem};

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
    let is_refused = match is_read {
        true => is_read_of_another_site(&request),
        false => {
            let trusted = &state.access.trusted_proxies;
            let origin = Origin::of(request.extensions(), request.headers(), trusted);
            is_change_of_another_site(&request, &authority, origin.transport)
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

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Whether the browser reports that a page of another site caused the request, other than by a link to a page. Such a page
/// could not read the response, but it could keep PostgreSQL busy.
fn is_read_of_another_site(request: &Request) -> bool {
    let is_link = header(request, "sec-fetch-mode") == Some("navigate")
        && header(request, "sec-fetch-dest") == Some("document")
        && !request.uri().path().starts_with("/api/");
    header(request, "sec-fetch-site") == Some("cross-site") && !is_link
}

/// A browser names the page's site in `Origin`. Programs send neither header. Over HTTPS, a page that was loaded without it is
/// another site: anybody on its way could have written it.
fn is_change_of_another_site(request: &Request, own: &Authority, transport: Transport) -> bool {
    let is_other_site =
        header(request, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let is_other_origin = request.headers().contains_key(header::ORIGIN)
        && header(request, "origin")
            .and_then(|origin| origin.split_once("://"))
            .is_none_or(|(scheme, origin)| {
                let is_downgraded = transport == Transport::Https && scheme != "https";
                is_downgraded || !origin.eq_ignore_ascii_case(own.as_str())
            });
    is_other_site || is_other_origin
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

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
            (None, Some("cross-site"), true),
            (None, Some("same-site"), true),
        ] {
            let mut request = Request::post("/api/session");
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let request = request.body(Body::empty()).unwrap();
            let found = is_change_of_another_site(&request, &own, Transport::Https);
            assert_eq!(found, expected, "{origin:?} {site:?}");
        }
        let plain = "http://office.example.org:8090";
        let request = Request::post("/api/session").header("origin", plain);
        let request = request.body(Body::empty()).unwrap();
        assert!(is_change_of_another_site(&request, &own, Transport::Https));
        assert!(!is_change_of_another_site(
            &request,
            &own,
            Transport::LocalPlaintext
        ));
    }
}
