//! The pages in a real browser: Playwright drives Chromium against the real binary, Mosquitto and Apache Kafka.
//!
//! The specs in `web/e2e/shop/` describe what a person does and sees. They request accidents from this test over HTTP.

use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::post;
use comptoir_harness::process::Process;
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, Mosquitto, MqttProbe, PosSim, Scratch, free_port, within,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::https::CertificateFiles;
use crate::shop::{GATEWAY, SOON, STORE, Shop};

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web");
const TIMEOUT: Duration = Duration::from_secs(420);

/// The accident that a spec requests, the bytes for it, and the channel for the answer.
type Request = (String, Bytes, oneshot::Sender<Result<()>>);

struct Stage {
    kafka: Kafka,
    shop: Shop,
    /// Simulated tills that sell while the spec watches.
    load: Option<PosSim>,
    loads: u32,
    /// Publishes messages that this project's tills would not.
    till: MqttProbe,
    /// The state of the connection behind the second address.
    link: watch::Sender<Cable>,
}

/// The network between the pages and the gateway.
#[derive(Clone, Copy, PartialEq)]
enum Cable {
    Joined,
    /// Connections are closed, as by a pulled cable.
    Cut,
    /// Connections stay open and carry nothing, as out of reach of the Wi-Fi.
    Silent,
}

impl Stage {
    async fn carry_out(&mut self, accident: &str, bytes: Bytes) -> Result<()> {
        match accident {
            "kafka/stop" => self.kafka.stop().await,
            "kafka/start" => self.kafka.start_again().await,
            "gateway/kill" => self.shop.gateway.kill9(),
            "gateway/start" => {
                self.shop.gateway.start_again()?;
                self.shop.gateway.wait_ready().await
            }
            // 200 events a second, for ten seconds or a minute.
            "load/start" | "load/minute" => {
                let events = if accident == "load/start" { "2000" } else { "12000" };
                let url = self.shop.mosquitto.url();
                // With the seed of an earlier load, the tills would send the same events again.
                self.loads += 1;
                let seed = self.loads.to_string();
                let tills = ["--broker", &url, "--store", STORE, "--devices", "5"];
                let load = ["--rate", "200", "--events", events, "--seed", &seed];
                self.load = Some(PosSim::spawn(tills.into_iter().chain(load))?);
                Ok(())
            }
            // The simulated tills end once all their events are acked.
            "load/finish" => {
                let mut load = self.load.take().context("no load was started")?;
                load.finish(TIMEOUT).await?;
                Ok(())
            }
            "link/join" => self.cable(Cable::Joined),
            "link/cut" => self.cable(Cable::Cut),
            "link/silence" => self.cable(Cable::Silent),
            other => match other.strip_prefix("mqtt/") {
                Some(topic) => self.till.publish(&format!("pos/{STORE}/{topic}"), bytes).await,
                None => bail!("there is no {other}"),
            },
        }
    }

    fn cable(&self, state: Cable) -> Result<()> {
        self.link.send_replace(state);
        Ok(())
    }
}

/// Opens a second address of the gateway, over a connection that can be cut.
async fn cable(gateway: String, state: watch::Receiver<Cable>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut page, _)) = listener.accept().await {
            let (gateway, mut state) = (gateway.clone(), state.clone());
            tokio::spawn(async move {
                let mut talk = pin!(async {
                    let mut there = TcpStream::connect(&gateway).await?;
                    tokio::io::copy_bidirectional(&mut page, &mut there).await
                });
                loop {
                    let now = *state.borrow_and_update();
                    tokio::select! {
                        biased;
                        () = std::future::ready(()), if now == Cable::Cut => break,
                        changed = state.changed() => if changed.is_err() { break },
                        _ = &mut talk, if now == Cable::Joined => break,
                    }
                }
            });
        }
    });
    Ok(url)
}

async fn ask(
    State(stage): State<mpsc::Sender<Request>>,
    UrlPath(accident): UrlPath<String>,
    bytes: Bytes,
) -> (StatusCode, String) {
    let (reply, answer) = oneshot::channel();
    let asked = stage.send((accident, bytes, reply)).await;
    match (asked, answer.await) {
        (Ok(()), Ok(Ok(()))) => (StatusCode::OK, String::new()),
        (Ok(()), Ok(Err(error))) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the test is over".to_owned()),
    }
}

/// The command that runs a Playwright project against the pages at `url`.
pub fn playwright(project: &str, url: &str, scratch: &Scratch) -> Result<Command> {
    ensure!(
        Path::new(WEB).join("node_modules").exists(),
        "web/node_modules does not exist; `make test` installs it"
    );
    let mut command = Command::new("npx");
    command
        .args(["playwright", "test", "--config", "playwright.shop.config.ts"])
        .args(["--project", project, "--output"])
        .arg(scratch.join("results"))
        .current_dir(WEB)
        .env("COMPTOIR_URL", url);
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_the_true_state_through_crashes_and_outages() -> Result<()> {
    let kafka = Kafka::start().await?;
    // A fixed port, so that the pages find the gateway after its restart.
    let listen = format!("127.0.0.1:{}", free_port()?);
    let shop = Shop::open_with(kafka.brokers(), |config| GatewayConfig {
        http_listen: listen,
        ..config
    })
    .await?;
    let url = shop.gateway.http_url()?;
    let (link, state) = watch::channel(Cable::Joined);
    let cable = cable(url.replacen("http://", "", 1), state).await?;
    let mut stage = Stage {
        till: MqttProbe::connect(&shop.mosquitto.url()).await?,
        kafka,
        shop,
        load: None,
        loads: 0,
        link,
    };
    let (asked, mut requests) = mpsc::channel(1);
    let accidents = Router::new().route("/{*accident}", post(ask)).with_state(asked);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let control = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move { axum::serve(listener, accidents).await });

    let scratch = Scratch::new("playwright")?;
    let mut command = playwright("shop", &url, &scratch)?;
    command
        .env("COMPTOIR_CABLE", &cable)
        .env("COMPTOIR_CONTROL", &control);
    let mut process = Process::spawn("Playwright", command, &scratch.join("log"))?;
    let status = {
        let mut ended = pin!(process.wait(TIMEOUT));
        loop {
            tokio::select! {
                status = &mut ended => break status,
                Some((accident, bytes, reply)) = requests.recv() => {
                    // The spec may have timed out and no longer wait for the answer.
                    let _ = reply.send(stage.carry_out(&accident, bytes).await);
                }
            }
        }
    };
    serving.abort();
    println!("{}", process.log());
    let status = status?;
    // A panic keeps the screenshots and the logs.
    assert!(status.success(), "Playwright: {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_can_stop_and_start_the_kafka_of_the_demo() -> Result<()> {
    let scratch = Scratch::new("playwright-demo")?;
    let (http, mqtt) = (
        format!("127.0.0.1:{}", free_port()?),
        format!("127.0.0.1:{}", free_port()?),
    );
    let mut command = Command::new(GATEWAY);
    command.args(["demo", "--rate", "5", "--http", &http, "--mqtt", &mqtt]);
    let mut demo = Process::spawn("gateway demo", command, &scratch.join("demo.log"))?;
    let url = format!("http://{http}");
    within("the pages", SOON, async || {
        demo.still_running()?;
        reqwest::get(&url).await?.error_for_status()?;
        Ok(())
    })
    .await?;
    let command = playwright("demo", &url, &scratch)?;
    let mut process = Process::spawn("Playwright", command, &scratch.join("log"))?;
    let status = process.wait(TIMEOUT).await;
    println!("{}", process.log());
    let status = status?;
    // A panic keeps the screenshots and the logs.
    assert!(status.success(), "Playwright: {status}");
    demo.still_running()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_served_over_https_can_be_installed() -> Result<()> {
    let (mosquitto, files) = (Mosquitto::start().await?, CertificateFiles::new()?);
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.extra = files.settings();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let url = gateway
        .http_url()?
        .replacen("http://127.0.0.1", "https://comptoir.local", 1);
    let scratch = Scratch::new("playwright-https")?;
    let mut command = playwright("https", &url, &scratch)?;
    command.env("COMPTOIR_CERTIFICATE", files.certificate());
    let mut process = Process::spawn("Playwright", command, &scratch.join("log"))?;
    let status = process.wait(TIMEOUT).await;
    println!("{}", process.log());
    let status = status?;
    // A panic keeps the screenshots and the logs.
    assert!(status.success(), "Playwright: {status}");
    Ok(())
}
