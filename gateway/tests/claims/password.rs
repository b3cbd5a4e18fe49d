//! Where a password is set, nobody sees or sells anything without it.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::shop::{GATEWAY, SOON, STORE};

/// In the environment it looks like a number.
const PASSWORD: &str = "004711";
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

async fn shop() -> Result<(Mosquitto, Gateway)> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.env = vec![("COMPTOIR_HTTP__PASSWORD".into(), PASSWORD.into())];
    config.extra = "log.filter = \"trace\"".to_owned();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    Ok((mosquitto, gateway))
}

async fn ask(gateway: &Gateway, method: Method, path: &str, password: Option<&str>) -> Result<Response> {
    let mut request = Client::new().request(method, gateway.http_url()? + path);
    if let Some(password) = password {
        request = request.basic_auth("somebody", Some(password));
    }
    request.send().await.with_context(|| path.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_password() -> Result<()> {
    let (_mosquitto, mut gateway) = shop().await?;
    for (method, path, success) in [
        (Method::GET, "/", 200),
        (Method::GET, "/gateway", 200),
        (Method::GET, "/sw.js", 200),
        (Method::GET, "/api/stats", 200),
        (Method::GET, "/api/openapi.json", 200),
        (Method::POST, "/api/orders", 201),
        (Method::GET, POLLING, 200),
        (Method::GET, "/nothing", 404),
    ] {
        for wrong in [None, Some("4711"), Some("")] {
            let refused = ask(&gateway, method.clone(), path, wrong).await?;
            ensure!(refused.status() == 401, "{path} {wrong:?}: {}", refused.status());
            let asked = &refused.headers()["www-authenticate"];
            ensure!(
                asked == "Basic realm=\"Comptoir\", charset=\"UTF-8\"",
                "{asked:?}"
            );
            ensure!(refused.headers()["content-type"] == "application/problem+json");
            let problem: Value = serde_json::from_str(&refused.text().await?)?;
            ensure!(problem["status"] == 401, "{problem}");
        }
        let let_in = ask(&gateway, method, path, Some(PASSWORD)).await?;
        ensure!(let_in.status() == success, "{path}: {}", let_in.status());
    }
    let stats = ask(&gateway, Method::GET, "/api/stats", Some(PASSWORD)).await?;
    let stats: Value = serde_json::from_str(&stats.text().await?)?;
    ensure!(
        stats["total_orders"] == 1,
        "only the one with the password: {stats}"
    );
    let log = gateway.log();
    ensure!(
        log.contains("the password was not said"),
        "nothing is logged at all"
    );
    ensure!(!log.contains(PASSWORD), "the log has the password");
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_needs_it_too() -> Result<()> {
    let (_mosquitto, gateway) = shop().await?;
    let (http, host) = (gateway.http_url()?, gateway.http_url()?.replacen("http", "ws", 1));
    let url = format!("{host}/socket.io/?EIO=4&transport=websocket");
    let refused = tokio_tungstenite::connect_async(&url)
        .await
        .err()
        .context("let in")?;
    ensure!(refused.to_string().contains("401"), "{refused}");
    let mut request = url.as_str().into_client_request()?;
    // Its own header, as reqwest writes it.
    let written = Client::new()
        .get(http)
        .basic_auth("somebody", Some(PASSWORD))
        .build()?;
    let said = written.headers()["authorization"].clone();
    request.headers_mut().insert("authorization", said);
    let (_, answer) = tokio_tungstenite::connect_async(request).await?;
    ensure!(answer.status() == 101, "{}", answer.status());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_and_what_browsers_fetch_without_it_are_let_in() -> Result<()> {
    let (_mosquitto, gateway) = shop().await?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, _) = gateway.get(path).await?;
        ensure!(status == 200, "{path}: {status}");
    }
    let manifest = gateway.get_json("/manifest.webmanifest").await?;
    let icons = manifest["icons"].as_array().context("no icons")?;
    ensure!(!icons.is_empty());
    for icon in icons {
        let (status, _) = gateway.get(icon["src"].as_str().context("src")?).await?;
        ensure!(status == 200, "{icon}: {status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_tried_again_with_it() -> Result<()> {
    let (_mosquitto, gateway) = shop().await?;
    // The gateway lets it in, and knows no such letter.
    let (status, said) = gateway.run(&["dead-letters", "retry", "1"], SOON).await?;
    ensure!(
        !status.success() && said.contains("dead letter") && !said.contains("password"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_makes_no_browser_ask_for_it() -> Result<()> {
    let (_mosquitto, gateway) = shop().await?;
    let url = gateway.http_url()? + "/api/orders";
    let request = Client::new().post(url).json(&json!({}));
    let refused = request
        .header("origin", "http://elsewhere.example")
        .send()
        .await?;
    ensure!(refused.status() == 403, "{}", refused.status());
    ensure!(!refused.headers().contains_key("www-authenticate"));
    Ok(())
}
