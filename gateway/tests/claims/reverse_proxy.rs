//! Behind a reverse proxy, set up by default or as documented, everything works as without one.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Gateway, GatewayConfig, Listener, Mosquitto, Nginx, Scratch, within};
use futures::StreamExt as _;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::shop::{GATEWAY, SOON, STORE};

const DOCS: &str = include_str!("../../../deploy/docs/install.md");
const HOST: &str = "kasse.example.com";
const SOCKET: &str = "/socket.io/?EIO=4&transport=";

/// A site with only the address of the gateway. nginx then sends HTTP/1.0 with `Host: 127.0.0.1:…` and does not upgrade.
const DEFAULT: &str = "server { listen PORT; location / { proxy_pass http://127.0.0.1:8080; } }";

/// The site in the documentation, without TLS, which does not concern the gateway.
fn recommended() -> Result<String> {
    let (_, site) = DOCS.split_once("```nginx\n").context("the docs show nginx")?;
    let (site, _) = site.split_once("```").context("the block ends")?;
    let encryption = |line: &&str| !line.trim_start().starts_with("ssl_");
    let plain: Vec<&str> = site.lines().filter(encryption).collect();
    Ok(plain.join("\n").replace("listen 443 ssl;", "listen PORT;"))
}

struct Shop {
    _mosquitto: Mosquitto,
    gateway: Gateway,
}

impl Shop {
    async fn open(settings: &str) -> Result<Self> {
        let mosquitto = Mosquitto::start().await?;
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        config.extra = settings.to_owned();
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        gateway.wait_ready().await?;
        Ok(Self {
            _mosquitto: mosquitto,
            gateway,
        })
    }

    async fn behind(&self, site: &str) -> Result<Nginx> {
        let site = site.replace("http://127.0.0.1:8080", &self.gateway.http_url()?);
        Nginx::start(&site).await
    }
}

/// Sends a request as a browser does from `http://kasse.example.com` or `https://kasse.example.com`.
async fn ask(
    nginx: &Nginx,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response> {
    let mut request = Client::new()
        .request(method, format!("http://127.0.0.1:{}{path}", nginx.port()))
        .header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(body.to_owned()).send().await?)
}

async fn order(nginx: &Nginx, headers: &[(&str, &str)]) -> Result<(u16, String)> {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let answer = ask(nginx, Method::POST, "/api/orders", &headers, "{}").await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_writes_and_live_updates_work_through_a_default_and_a_documented_nginx() -> Result<()> {
    let shop = Shop::open(&format!("http.hosts = [{HOST:?}]")).await?;
    for (site, passes_websockets) in [(DEFAULT.to_owned(), false), (recommended()?, true)] {
        let nginx = shop.behind(&site).await?;
        let page = ask(&nginx, Method::GET, "/orders", &[], "").await?;
        ensure!(page.status() == 200 && page.text().await?.contains("<!doctype html>"));
        for (headers, expected) in [
            (&[("origin", "http://kasse.example.com")][..], 201),
            (&[("origin", "http://kasse.example.com:8081")], 201),
            (&[("origin", "https://kasse.example.com")], 201),
            (
                &[
                    ("origin", "https://kasse.example.com"),
                    ("sec-fetch-site", "same-origin"),
                ],
                201,
            ),
            (&[], 201),
            (&[("origin", "http://elsewhere.example")], 403),
            (
                &[
                    ("origin", "https://elsewhere.example"),
                    ("sec-fetch-site", "cross-site"),
                ],
                403,
            ),
            (
                &[
                    ("origin", "https://elsewhere.example"),
                    ("x-forwarded-host", "elsewhere.example"),
                ],
                403,
            ),
            (
                &[
                    ("origin", "https://kasse.example.com"),
                    ("sec-fetch-site", "cross-site"),
                ],
                403,
            ),
            (&[("origin", "null")], 403),
            (&[("sec-fetch-site", "cross-site")], 403),
        ] {
            let (status, body) = order(&nginx, headers).await?;
            ensure!(status == expected, "{headers:?}: {status} {body}");
        }
        poll(&nginx).await?;
        // Where a WebSocket cannot work, it is refused at once, so that the pages poll.
        let opened = opens_websocket(&nginx, "http://kasse.example.com").await?;
        ensure!(opened == passes_websockets, "a WebSocket through {site}");
        ensure!(!opens_websocket(&nginx, "http://elsewhere.example").await?);

        let mut listener = Listener::connect(&format!("http://127.0.0.1:{}", nginx.port()), None)?;
        let heard = async |event: &str, listener: &mut Listener| {
            within(event, SOON, async || {
                ensure!(listener.events()?.iter().any(|heard| heard.event == event));
                Ok(())
            })
            .await
        };
        heard("initial_data", &mut listener).await?;
        order(&nginx, &[]).await?;
        heard("new_order", &mut listener).await?;
    }
    Ok(())
}

/// Opens a polling session, sends a message in it and receives the answer.
async fn poll(nginx: &Nginx) -> Result<()> {
    let path = format!("{SOCKET}polling");
    let origin = [("origin", "http://kasse.example.com")];
    let open = ask(nginx, Method::GET, &path, &origin, "").await?.text().await?;
    let open: Value = serde_json::from_str(open.trim_start_matches('0')).with_context(|| open.clone())?;
    let session = format!("{path}&sid={}", open["sid"].as_str().context("sid")?);
    let said = ask(nginx, Method::POST, &session, &origin, "40").await?;
    ensure!(said.status() == 200, "{}", said.status());
    // A ping may come before it, also in a poll of its own.
    within("the answer", SOON, async || {
        let answer = ask(nginx, Method::GET, &session, &origin, "").await?;
        let answer = answer.text().await?;
        ensure!(answer.contains("40{\"sid\""), "{answer}");
        Ok(())
    })
    .await
}

/// Whether a WebSocket opens and delivers a first message. It is an error if it opens and delivers nothing.
async fn opens_websocket(nginx: &Nginx, origin: &str) -> Result<bool> {
    let url = format!("ws://127.0.0.1:{}{SOCKET}websocket", nginx.port());
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("host", HOST.parse()?);
    request.headers_mut().insert("origin", origin.parse()?);
    let Ok((mut socket, _)) = tokio_tungstenite::connect_async(request).await else {
        return Ok(false);
    };
    let open = tokio::time::timeout(SOON, socket.next()).await?;
    let open = open
        .context("the WebSocket was closed without a message")??
        .into_text()?;
    ensure!(open.starts_with('0'), "{open}");
    Ok(true)
}

/// If the browser marks a request as same-origin, no host has to be configured.
#[tokio::test(flavor = "multi_thread")]
async fn without_http_hosts_only_requests_marked_same_origin_may_write() -> Result<()> {
    let mut shop = Shop::open("").await?;
    let nginx = shop.behind(DEFAULT).await?;
    let secure = ("origin", "https://kasse.example.com");
    let (status, _) = order(&nginx, &[secure, ("sec-fetch-site", "same-origin")]).await?;
    ensure!(status == 201, "{status}");
    for headers in [&[secure][..], &[("origin", "http://kasse.example.com")]] {
        let (status, problem) = order(&nginx, headers).await?;
        ensure!(
            status == 403 && problem.contains("http.hosts"),
            "{status} {problem}"
        );
    }
    let log = shop.gateway.log();
    ensure!(log.contains("add its host to http.hosts"), "{log}");
    let told = log.matches("add its host to http.hosts").count();
    ensure!(told == 1, "logged {told} times instead of once");
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

/// The page tries a WebSocket first, which this proxy does not support. It shows only what it receives over Socket.IO.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_chromium_polls_through_a_default_nginx() -> Result<()> {
    let shop = Shop::open(&format!("http.hosts = [{HOST:?}]")).await?;
    let nginx = shop.behind(DEFAULT).await?;
    let scratch = Scratch::new("chromium")?;
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", scratch.path().display()))
        .arg(format!("--host-resolver-rules=MAP {HOST} 127.0.0.1"))
        .arg("--remote-debugging-port=0")
        .arg(format!("http://{HOST}:{}/orders", nginx.port()));
    let _chromium = Process::spawn("Chromium", command, &scratch.join("log"))?;
    within("the page to poll", SOON, async || {
        let requests = nginx.requests();
        let answered = |begin: &str, status: &str| {
            let mut lines = requests.lines();
            lines.any(|line| line.contains(begin) && line.contains("&sid=") && line.contains(status))
        };
        let polling = "/socket.io/?EIO=4&transport=polling";
        let says = answered(&format!("POST {polling}"), "\" 200 ");
        let hears = answered(&format!("GET {polling}"), "\" 200 ");
        ensure!(says && hears, "{requests}");
        Ok(())
    })
    .await
}
