//! A page of another site may not use the visitor's browser to sell, or to listen.
//!
//! Whoever is on the shop's network may use the gateway, or whoever knows its password. But a browser in the shop
//! also shows pages of the internet, and those could send requests here, to which it would add a password that it
//! knows. A browser says where a page is from.
//!
//! That a page is from the host that it asks is not enough: whoever has a name on the internet can have it mean this
//! machine (DNS rebinding). So the host must also be one that only the shop can have, or be set by `http.hosts`.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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
        let problem = "This request comes from a page of another site, or under a host name that is not the shop's own. \
                       Open the gateway's own pages, or add the name to `http.hosts`.";
        return Problem::new(ProblemType::CrossSiteRequest, problem).into_response();
    }
    next.run(request).await
}

/// Also true for whoever does not say where they are from: that is no browser.
fn is_of_this_site(request: &Request, hosts: &[String]) -> bool {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return !request.headers().contains_key(header::ORIGIN);
    };
    let host = text(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let same = origin.split_once("://").map(|(_, origin)| origin) == host;
    // Where there is TLS, a page that has come without may be anybody's on the network, whatever its address says.
    let arrival = request.extensions().get::<ConnectInfo<Arrival>>();
    let same =
        same && (arrival.is_none_or(|arrival| arrival.0 != Arrival::Tls) || origin.starts_with("https://"));
    same && Url::parse(origin).is_ok_and(|origin| is_the_shops(&origin, hosts))
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
            !name.contains('.')
                || PRIVATE.iter().any(private)
                || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
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
