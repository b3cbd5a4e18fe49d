//! Prevents cross-site request forgery and DNS rebinding: a page of another site must not use a visitor's browser to
//! store or read sales.
//!
//! Everyone on the shop's network may use the gateway, or everyone with its password. But a browser in the shop also
//! shows pages from the internet. Those pages could send requests to the gateway, and the browser would add its stored
//! password. So the gateway checks two headers that no page can change: `Origin`, in which a browser names the site of
//! the page, and `Sec-Fetch-Site`, in which it reports whether that is the requested site.
//!
//! That `Origin` equals `Host` is not sufficient: the owner of a name on the internet can let it resolve to this
//! machine (DNS rebinding). So every request must name a host that nobody on the internet can own, or one that
//! `http.hosts` lists. This includes reads, for which a browser sends no `Origin`. Over TLS any name is accepted,
//! because the certificate is issued for it.
//!
//! That `Origin` equals `Host` is not necessary either: most reverse proxies replace `Host` with their own name for
//! this machine, so only the browser knows which host the page requested. The browser reports the relation in
//! `Sec-Fetch-Site`, if the connection is encrypted or the proxy runs on the browser's machine. Otherwise `http.hosts`
//! lists the proxy's hosts. `X-Forwarded-Host` and `Forwarded` are ignored, because any client can send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use comptoir_http_rules::cross_site::{is_from_another_site, is_read_of_another_site};
use tracing::{debug, warn};
use url::{Host, Url};

use crate::http::listener::Transport;
use crate::http::{AppState, Problem, ProblemType};

/// Top-level domains under which nobody can own a name on the internet.
const PRIVATE: [&str; 7] = [
    "home",
    "home.arpa",
    "internal",
    "lan",
    "local",
    "localhost",
    "svc",
];

/// Paths that are served under any host name: probes and Prometheus use their own names, and nothing there is secret.
const MONITORING: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Middleware: rejects requests from other sites, and requests for a host name that somebody on the internet can own.
pub async fn check(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if MONITORING.contains(&path) || is_allowed(&request, &app.hosts) {
        return next.run(request).await;
    }
    log_rejection(&request);
    let problem = "The request comes from a page of another site, or names a host that is not private to the shop. \
                   Open the pages under the gateway's own address. If the gateway has another name, or is behind a reverse \
                   proxy that passes its own name on, add that name to `http.hosts`, for example \
                   `hosts = [\"kasse.example.com\"]`.";
    Problem::new(ProblemType::CrossSiteRequest, problem).into_response()
}

fn is_allowed(request: &Request, hosts: &[String]) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_live = request.uri().path().starts_with("/socket.io");
    let is_of_this_site = match is_read && !is_live {
        true => !is_read_of_another_site(request.headers(), request.uri().path()),
        false => is_of_this_site(request, hosts),
    };
    is_of_this_site && has_private_host(request, hosts)
}

/// Whether nobody on the internet can own the requested host. Also true without a host, because such a client is not a
/// browser.
fn has_private_host(request: &Request, hosts: &[String]) -> bool {
    let transport = request.extensions().get::<ConnectInfo<Transport>>();
    if transport.is_some_and(|transport| transport.0 == Transport::Tls) {
        return true;
    }
    let Some(host) = requested_host(request) else {
        return !request.headers().contains_key(header::HOST);
    };
    // Only a host and a port may follow the scheme.
    let is_plain = !host.contains(['@', '/', '\\', '?', '#']);
    is_plain && Url::parse(&format!("http://{host}")).is_ok_and(|url| is_private(&url, hosts))
}

fn requested_host(request: &Request) -> Option<&str> {
    text(request, header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// Warns once per process, so that a host missing from `http.hosts` is noticed but a client cannot flood the log.
fn log_rejection(request: &Request) {
    static HAS_WARNED: AtomicBool = AtomicBool::new(false);
    let (origin, host) = (text(request, header::ORIGIN), text(request, header::HOST));
    match HAS_WARNED.swap(true, Ordering::Relaxed) {
        true => debug!(origin, host, "rejected: a page of another site"),
        false => warn!(
            origin,
            host,
            "rejected: a page of another site, or a host name that is not private; if it is the gateway's own, for example that of a reverse proxy, add its host to http.hosts"
        ),
    }
}

fn text(request: &Request, name: impl header::AsHeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Whether the request comes from a page of this site. Also true without an `Origin` header, because such a client is
/// not a browser.
fn is_of_this_site(request: &Request, hosts: &[String]) -> bool {
    if is_from_another_site(request.headers()) {
        return false;
    }
    let Some(origin) = text(request, header::ORIGIN) else {
        return !request.headers().contains_key(header::ORIGIN);
    };
    // Browsers also send the string "null", which is not a URL.
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    // If this port has TLS, a page loaded without it may come from anyone on the network, whatever its address.
    let connection = request.extensions().get::<ConnectInfo<Transport>>();
    if connection.is_some_and(|connection| connection.0 == Transport::Tls) && url.scheme() != "https" {
        return false;
    }
    let host = requested_host(request);
    let is_requested = text(request, "sec-fetch-site") == Some("same-origin")
        || origin.split_once("://").map(|(_, origin)| origin) == host
        || is_listed(&url, hosts);
    is_requested && is_private(&url, hosts)
}

/// Whether `http.hosts` lists the host. The port is not compared, because the proxy's port is unknown.
fn is_listed(origin: &Url, hosts: &[String]) -> bool {
    let name = origin.host_str().unwrap_or_default();
    let name = name.trim_matches(['[', ']']);
    hosts
        .iter()
        .any(|host| host.trim_matches(['[', ']']).eq_ignore_ascii_case(name))
}

/// Whether only the shop can serve pages under this origin.
fn is_private(origin: &Url, hosts: &[String]) -> bool {
    // The gateway or its proxy has a certificate for this name.
    if origin.scheme() == "https" {
        return true;
    }
    match origin.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => {
            let private = |end: &&str| name.strip_suffix(*end).is_some_and(|front| front.ends_with('.'));
            !name.contains('.') || PRIVATE.iter().any(private) || is_listed(origin, hosts)
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
    fn only_pages_of_this_site_and_clients_without_an_origin_pass() {
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

    /// The headers that Chromium sends, with the common ways in which reverse proxies set `Host`.
    #[test]
    fn behind_a_reverse_proxy_sec_fetch_site_and_the_configured_hosts_decide() {
        const UPSTREAM: &str = "127.0.0.1:8080";
        for (host, origin, fetch_site, expected) in [
            // A proxy that replaces `Host` with its own name for this machine.
            (UPSTREAM, "http://kasse.example", None, true),
            (UPSTREAM, "http://kasse.example:8081", None, true),
            (UPSTREAM, "http://KASSE.example", None, true),
            (UPSTREAM, "https://kasse.example", None, true),
            (UPSTREAM, "https://kasse.example", Some("same-origin"), true),
            (UPSTREAM, "http://192.168.1.2", None, true),
            (UPSTREAM, "http://[fd00::2]:81", None, true),
            // The proxy has a certificate for the name, and the browser reports that the page is of the same origin.
            (UPSTREAM, "https://shop.example", Some("same-origin"), true),
            (UPSTREAM, "http://localhost", Some("same-origin"), true),
            // A proxy that drops the port.
            ("kasse.example", "http://kasse.example:8081", None, true),
            // Pages of other sites.
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
            // Another port, or another name within the same site.
            ("kasse.example", "https://kasse.example", Some("same-site"), false),
            ("kasse.example", "http://kasse.example", Some("cross-site"), false),
            // DNS rebinding: the browser considers the host the page's own.
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
                // Ignored, because any client can send it.
                .header("x-forwarded-host", origin.rsplit('/').next().unwrap());
            if let Some(fetch_site) = fetch_site {
                request = request.header("sec-fetch-site", fetch_site);
            }
            let hosts = ["kasse.example", "192.168.1.2", "fd00::2"].map(str::to_owned);
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(
                is_of_this_site(&request, &hosts),
                expected,
                "{host} {origin} {fetch_site:?}"
            );
        }
    }

    /// A browser sends no `Origin` when it loads an image.
    #[test]
    fn without_an_origin_sec_fetch_site_reveals_another_site() {
        for (fetch_site, expected) in [
            (None, true),
            (Some("same-origin"), true),
            (Some("none"), true),
            (Some("same-site"), false),
            (Some("cross-site"), false),
        ] {
            let mut request = Request::builder().header(header::HOST, "kasse.example");
            if let Some(fetch_site) = fetch_site {
                request = request.header("sec-fetch-site", fetch_site);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_of_this_site(&request, &[]), expected, "{fetch_site:?}");
        }
    }

    #[test]
    fn with_tls_a_page_that_was_loaded_without_it_is_another_site() {
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
            request.extensions_mut().insert(ConnectInfo(Transport::Tls));
            assert_eq!(is_of_this_site(&request, &[]), expected, "{origin:?}");
        }
    }

    /// Reads like a browser: without an `Origin`.
    fn may_read(
        host: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        transport: Option<Transport>,
    ) -> bool {
        let mut request = Request::builder().uri(path).header(header::HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(transport) = transport {
            request.extensions_mut().insert(ConnectInfo(transport));
        }
        is_allowed(&request, &["kasse.example".to_owned(), "fd00::2".to_owned()])
    }

    #[test]
    fn a_read_under_a_host_that_somebody_on_the_internet_can_own_is_refused_unless_over_tls() {
        for (host, expected) in [
            ("192.168.1.5:8080", true),
            ("[fd00::7]:8080", true),
            ("localhost", true),
            ("comptoir.local:8080", true),
            ("COMPTOIR.LOCAL", true),
            ("gateway:8080", true),
            ("gateway.shop.svc.cluster.local", true),
            ("kasse.example:8081", true),
            ("rebound.example:8080", false),
            ("kasse.example.rebound.example", false),
            ("192.168.1.5.rebound.example", false),
            ("kasse.example@rebound.example", false),
            ("rebound.example#.local", false),
            ("rebound.example/.local", false),
            ("rebound.example\\.local", false),
            ("", false),
        ] {
            for path in ["/api/orders", "/orders", "/assets/index.js"] {
                assert_eq!(may_read(host, path, &[], None), expected, "{host} {path}");
                let local = may_read(host, path, &[], Some(Transport::LocalPlaintext));
                assert_eq!(local, expected, "{host} {path}: a browser on this machine");
            }
            // The browser considers the page same-origin.
            let same = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
            assert_eq!(may_read(host, "/api/orders", &same, None), expected, "{host}");
        }
        assert!(may_read(
            "rebound.example",
            "/api/orders",
            &[],
            Some(Transport::Tls)
        ));
        let without_host = Request::get("/api/orders").body(Body::empty()).unwrap();
        assert!(is_allowed(&without_host, &[]), "not a browser");
    }

    #[test]
    fn another_site_can_link_to_a_page_and_read_nothing() {
        let cross_site = ("sec-fetch-site", "cross-site");
        for (path, mode, destination, expected) in [
            ("/orders", "navigate", Some("document"), true),
            ("/orders", "navigate", None, true),
            ("/orders", "navigate", Some("iframe"), false),
            ("/orders", "no-cors", Some("image"), false),
            ("/api/orders", "navigate", Some("document"), false),
            ("/api/orders", "cors", Some("empty"), false),
            ("/api/orders", "no-cors", Some("script"), false),
            ("/icon-192.png", "no-cors", Some("image"), false),
        ] {
            let mut headers = vec![cross_site, ("sec-fetch-mode", mode)];
            headers.extend(destination.map(|destination| ("sec-fetch-dest", destination)));
            let allowed = may_read("comptoir.local", path, &headers, None);
            assert_eq!(allowed, expected, "{path} {mode} {destination:?}");
        }
        for fetch_site in ["none", "same-origin", "same-site"] {
            let headers = [("sec-fetch-site", fetch_site), ("sec-fetch-mode", "cors")];
            assert!(
                may_read("comptoir.local", "/api/orders", &headers, None),
                "{fetch_site}"
            );
        }
    }

    #[test]
    fn a_host_name_that_somebody_on_the_internet_can_own_is_another_site() {
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
            assert!(passes(host, None), "{host}: a client without an origin");
            let secure = format!("https://{host}");
            assert!(passes(host, Some(&secure)), "{secure}: behind a proxy");
        }
    }
}
