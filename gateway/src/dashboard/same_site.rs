//! A page of another site may not use the visitor's browser to sell, or to listen.
//!
//! Whoever is on the shop's network may use the gateway, or whoever knows its password. But a browser in the shop
//! also shows pages of the internet, and those could send requests here, to which it would add a password that it
//! knows. A browser says where a page is from.
//!
//! That a page is from the host that it asks is not enough: whoever has a name on the internet can have it mean this
//! machine (DNS rebinding). So the host must also be one that only the shop can have, or be set by `http.hosts`.
//!
//! Nor is it necessary: most reverse proxies ask for their own name of this machine, and only the browser knows which
//! address it has asked. It says so (`Sec-Fetch-Site`) where the connection is encrypted, or the proxy is on the
//! browser's machine; no page can change what it says. Elsewhere `http.hosts` names the addresses of the proxy. What a
//! proxy says of the address (`X-Forwarded-Host`, `Forwarded`) is not read: anybody may write it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{debug, warn};
use url::{Host, Url};

use super::door::Arrival;
use super::{Problem, ProblemType, Shop};

/// Behind these nobody has a name on the internet.
const PRIVATE: [&str; 7] = [
    "home",
    "home.arpa",
    "internal",
    "lan",
    "local",
    "localhost",
    "svc",
];

/// Refuses what changes something or stays connected, if it comes from a page of another site.
pub async fn check(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let stays = request.uri().path().starts_with("/socket.io");
    if (stays || !reads) && !is_of_this_site(&request, &shop.hosts) {
        tell(&request);
        let problem = "This request comes from a page of another site, or under a host name that is not the shop's own. \
                       Open the gateway's own pages; behind a reverse proxy, add the host of the page to `http.hosts`.";
        return Problem::new(ProblemType::CrossSiteRequest, problem).into_response();
    }
    next.run(request).await
}

/// Once in the log of a gateway: a missing name in `http.hosts` shows at once, and nobody can fill the log.
fn tell(request: &Request) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let (origin, host) = (text(request, header::ORIGIN), text(request, header::HOST));
    match TOLD.swap(true, Ordering::Relaxed) {
        true => debug!(origin, host, "refused: a page of another site"),
        false => warn!(
            origin,
            host,
            "refused: a page of another site; if it is this gateway's behind a reverse proxy, add its host to http.hosts"
        ),
    }
}

fn text(request: &Request, name: impl header::AsHeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Also true for whoever does not say where they are from: that is no browser.
fn is_of_this_site(request: &Request, hosts: &[String]) -> bool {
    let said = text(request, "sec-fetch-site");
    if matches!(said, Some("cross-site" | "same-site")) {
        return false;
    }
    let Some(origin) = text(request, header::ORIGIN) else {
        return !request.headers().contains_key(header::ORIGIN);
    };
    // "null" is none.
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    // Where there is TLS, a page that has come without may be anybody's on the network, whatever its address says.
    let arrival = request.extensions().get::<ConnectInfo<Arrival>>();
    if arrival.is_some_and(|arrival| arrival.0 == Arrival::Tls) && url.scheme() != "https" {
        return false;
    }
    let host =
        text(request, header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let is_asked = said == Some("same-origin")
        || origin.split_once("://").map(|(_, origin)| origin) == host
        || is_named(&url, hosts);
    is_asked && is_the_shops(&url, hosts)
}

/// Whether `http.hosts` names it, on whatever port: the proxy's is not known.
fn is_named(origin: &Url, hosts: &[String]) -> bool {
    let name = origin.host_str().unwrap_or_default();
    let name = name.trim_matches(['[', ']']);
    hosts
        .iter()
        .any(|host| host.trim_matches(['[', ']']).eq_ignore_ascii_case(name))
}

fn is_the_shops(origin: &Url, hosts: &[String]) -> bool {
    // The gateway, or somebody before it, has shown the browser a certificate of this name.
    if origin.scheme() == "https" {
        return true;
    }
    match origin.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => {
            let private = |end: &&str| name.strip_suffix(*end).is_some_and(|front| front.ends_with('.'));
            !name.contains('.') || PRIVATE.iter().any(private) || is_named(origin, hosts)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn passes(host: &str, origin: Option<&str>) -> bool {
        let mut request = Request::builder().header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let hosts = ["kasse.example".to_owned()];
        is_of_this_site(&request.body(Body::empty()).unwrap(), &hosts)
    }

    #[test]
    fn only_pages_of_this_site_and_programs_are_let_in() {
        for (origin, expected) in [
            (None, true),
            (Some("http://comptoir.local:8080"), true),
            (Some("https://comptoir.local:8080"), true),
            (Some("http://comptoir.local"), false),
            (Some("http://elsewhere.example"), false),
            (Some("null"), false),
        ] {
            assert_eq!(passes("comptoir.local:8080", origin), expected, "{origin:?}");
        }
    }

    /// Chromium's headers, and what reverse proxies make of `Host`.
    #[test]
    fn behind_a_reverse_proxy_the_browsers_word_and_the_configured_hosts_count() {
        const UPSTREAM: &str = "127.0.0.1:8080";
        for (host, origin, said, expected) in [
            // A proxy that asks for its own name of this machine.
            (UPSTREAM, "http://kasse.example", None, true),
            (UPSTREAM, "http://kasse.example:8081", None, true),
            (UPSTREAM, "http://KASSE.example", None, true),
            (UPSTREAM, "https://kasse.example", None, true),
            (UPSTREAM, "https://kasse.example", Some("same-origin"), true),
            (UPSTREAM, "http://192.168.1.2", None, true),
            (UPSTREAM, "http://[fd00::2]:81", None, true),
            // A certificate was shown for it, and the browser says that it is what was asked.
            (UPSTREAM, "https://shop.example", Some("same-origin"), true),
            (UPSTREAM, "http://localhost", Some("same-origin"), true),
            // A proxy that drops the port.
            ("kasse.example", "http://kasse.example:8081", None, true),
            // Pages of others.
            (UPSTREAM, "https://shop.example", None, false),
            (UPSTREAM, "http://elsewhere.example", None, false),
            (UPSTREAM, "https://elsewhere.example", None, false),
            (UPSTREAM, "https://elsewhere.example", Some("cross-site"), false),
            (UPSTREAM, "http://192.168.1.3", None, false),
            (UPSTREAM, "http://printer.local", None, false),
            (UPSTREAM, "http://kasse.example.elsewhere.example", None, false),
            (UPSTREAM, "http://elsewhere.example/kasse.example", None, false),
            (UPSTREAM, "http://kasse.example@elsewhere.example", None, false),
            (UPSTREAM, "null", None, false),
            (UPSTREAM, "null", Some("cross-site"), false),
            // Of another port, or another name of the same site: not this page, whatever its host.
            ("kasse.example", "https://kasse.example", Some("same-site"), false),
            ("kasse.example", "http://kasse.example", Some("cross-site"), false),
            // DNS rebinding: the browser takes it for the page's own host.
            (
                "rebound.example",
                "http://rebound.example",
                Some("same-origin"),
                false,
            ),
            ("rebound.example", "http://rebound.example", None, false),
            ("kasse.example", "http://rebound.example", None, false),
        ] {
            let mut request = Request::builder()
                .header(header::HOST, host)
                .header(header::ORIGIN, origin)
                // Whoever sends it: it counts for nothing.
                .header("x-forwarded-host", origin.rsplit('/').next().unwrap());
            if let Some(said) = said {
                request = request.header("sec-fetch-site", said);
            }
            let hosts = ["kasse.example", "192.168.1.2", "fd00::2"].map(str::to_owned);
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(
                is_of_this_site(&request, &hosts),
                expected,
                "{host} {origin} {said:?}"
            );
        }
    }

    /// An image's address can be any, and no `Origin` goes with it.
    #[test]
    fn without_an_origin_the_browser_says_by_itself_that_it_is_another_sites() {
        for (said, expected) in [
            (None, true),
            (Some("same-origin"), true),
            (Some("none"), true),
            (Some("same-site"), false),
            (Some("cross-site"), false),
        ] {
            let mut request = Request::builder().header(header::HOST, "kasse.example");
            if let Some(said) = said {
                request = request.header("sec-fetch-site", said);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_of_this_site(&request, &[]), expected, "{said:?}");
        }
    }

    #[test]
    fn a_page_that_came_in_clear_is_not_this_site_where_there_is_tls() {
        for (origin, expected) in [
            (None, true),
            (Some("https://192.168.1.5:8080"), true),
            (Some("http://192.168.1.5:8080"), false),
        ] {
            let mut request = Request::builder().header(header::HOST, "192.168.1.5:8080");
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(Arrival::Tls));
            assert_eq!(is_of_this_site(&request, &[]), expected, "{origin:?}");
        }
    }

    #[test]
    fn a_name_that_anybody_can_have_is_not_this_site() {
        for (host, expected) in [
            ("192.168.1.5:8080", true),
            ("[fe80::1]:8080", true),
            ("localhost:8080", true),
            ("comptoir", true),
            ("gateway.shop.svc:8080", true),
            ("gateway.shop.svc.cluster.local:8080", true),
            ("Kasse.example:8080", true),
            ("rebound.example:8080", false),
            ("rebound.notlocal:8080", false),
            ("192.168.1.5.rebound.example", false),
        ] {
            let origin = format!("http://{host}");
            assert_eq!(passes(host, Some(&origin)), expected, "{host}");
            assert!(passes(host, None), "{host}: a program");
            let secure = format!("https://{host}");
            assert!(passes(host, Some(&secure)), "{secure}: behind a proxy");
        }
    }
}
