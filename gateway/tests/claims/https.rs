//! With a certificate, the gateway serves the port over TLS, and nothing else changes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Listener, Mosquitto, Scratch, within};
use futures::StreamExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::shop::{GATEWAY, SOON, STORE};

const HOST: &str = "comptoir.local";
const PASSWORD: &str = "sesame";
/// The header for `admin:sesame`.
const AUTHORIZATION: &str = "Authorization: Basic YWRtaW46c2VzYW1l\r\n";

/// A certificate and its key in files, as a renewal program writes them.
pub struct CertificateFiles {
    folder: Scratch,
}

impl CertificateFiles {
    pub fn new() -> Result<Self> {
        let files = Self {
            folder: Scratch::new("certificate")?,
        };
        files.renew()?;
        Ok(files)
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// Writes a self-signed certificate with a new key.
    fn renew(&self) -> Result<()> {
        let names = [HOST, "localhost", "127.0.0.1"].map(str::to_owned);
        let signed = rcgen::generate_simple_self_signed(names)?;
        fs::write(self.certificate(), signed.cert.pem())?;
        fs::write(self.key(), signed.signing_key.serialize_pem())?;
        Ok(())
    }

    pub fn settings(&self) -> String {
        let (certificate, key) = (self.certificate(), self.key());
        format!(
            "http.tls_cert = {:?}\nhttp.tls_key = {:?}\n",
            certificate.display(),
            key.display()
        )
    }

    /// Connects as a client that trusts the current certificate.
    async fn connect(&self, address: &str) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await?;
        Ok(connector.connect(ServerName::try_from(HOST)?, stream).await?)
    }

    /// The whole answer to a request such as `GET /`, with additional headers.
    async fn ask(&self, address: &str, request: &str, headers: &str) -> Result<String> {
        let mut stream = self.connect(address).await?;
        let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await??;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

struct Shop {
    _mosquitto: Mosquitto,
    gateway: Gateway,
    files: CertificateFiles,
    /// `127.0.0.1:port`
    address: String,
}

impl Shop {
    async fn open(extra: &str) -> Result<Self> {
        Self::start(extra, true).await
    }

    /// With sign-in.
    async fn closed(extra: &str) -> Result<Self> {
        Self::start(extra, false).await
    }

    async fn start(extra: &str, open: bool) -> Result<Self> {
        let (mosquitto, files) = (Mosquitto::start().await?, CertificateFiles::new()?);
        let mut config = GatewayConfig::new(STORE, &mosquitto.url());
        config.open = open;
        config.extra = files.settings() + extra;
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        // This asks over plain HTTP, as the watchdog does. The gateway allows that on the loopback interface.
        gateway.wait_ready().await?;
        let address = gateway.http_url()?.replacen("http://", "", 1);
        Ok(Self {
            _mosquitto: mosquitto,
            gateway,
            files,
            address,
        })
    }

    async fn ask(&self, request: &str, headers: &str) -> Result<String> {
        self.files.ask(&self.address, request, headers).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_api_and_password_work_over_https_as_over_http() -> Result<()> {
    let mut shop = Shop::closed(&format!("http.password = {PASSWORD:?}")).await?;
    let refused = shop.ask("GET /api/stats", "").await?;
    ensure!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let page = shop.ask("GET /orders", AUTHORIZATION).await?;
    ensure!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("<!doctype html>"),
        "{page}"
    );
    let origin = |origin: &str| format!("{AUTHORIZATION}Content-Length: 0\r\nOrigin: {origin}\r\n");
    let (ours, in_clear) = (
        format!("https://{}", shop.address),
        format!("http://{}", shop.address),
    );
    for (from, expected) in [
        (&*ours, 201),
        (&*in_clear, 403),
        ("https://elsewhere.example", 403),
    ] {
        let answer = shop.ask("POST /api/orders", &origin(from)).await?;
        ensure!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{from}: {answer}"
        );
    }
    let stats = shop.ask("GET /api/stats", AUTHORIZATION).await?;
    ensure!(stats.contains("\"total_orders\":1"), "{stats}");
    // The command reaches the gateway on its own port.
    let (_, said) = shop.gateway.run(&["dead-letters", "retry", "1"], SOON).await?;
    ensure!(
        said.contains("dead letter") && !said.contains("does not answer"),
        "{said}"
    );
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn live_updates_work_over_https_for_a_websocket_and_a_python_client() -> Result<()> {
    let shop = Shop::open("").await?;
    let stream = shop.files.connect(&shop.address).await?;
    ensure!(
        stream.get_ref().1.alpn_protocol() == Some(b"http/1.1"),
        "a WebSocket is an upgrade of HTTP/1.1"
    );
    let url = format!("wss://{HOST}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = tokio_tungstenite::client_async(&url, stream).await?;
    let open = tokio::time::timeout(SOON, socket.next()).await?;
    let open = open.context("closed")??.into_text()?;
    ensure!(open.starts_with('0'), "{open}");

    let url = format!("https://{}", shop.address);
    let mut listener = Listener::trusting(&url, &shop.files.certificate())?;
    within("initial_data", SOON, async || {
        let heard = listener.events()?;
        ensure!(heard.iter().any(|heard| heard.event == "initial_data"));
        Ok(())
    })
    .await?;
    shop.gateway
        .post_json("/api/orders", &json!({"order_id": "o-1"}))
        .await?;
    within("the order", SOON, async || {
        let heard = listener.events()?;
        let order = heard.iter().find(|heard| heard.event == "new_order");
        ensure!(order.context("not yet")?.data["order_id"] == "o-1");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_mismatched_one_never_is() -> Result<()> {
    let shop = Shop::open("").await?;
    // A renewal that has written only one of the two files.
    let before = CertificateFiles::new()?;
    fs::copy(shop.files.certificate(), before.certificate())?;
    let key = fs::read(shop.files.key())?;
    shop.files.renew()?;
    let renewed = fs::read(shop.files.key())?;
    fs::write(shop.files.key(), key)?;
    within("the mismatched key to be noticed", SOON, async || {
        let log = shop.gateway.log();
        ensure!(
            log.contains("http.tls_key") && log.contains("stays in use"),
            "{log}"
        );
        Ok(())
    })
    .await?;
    ensure!(
        before.connect(&shop.address).await.is_ok(),
        "{}",
        shop.gateway.log()
    );
    ensure!(shop.files.connect(&shop.address).await.is_err());
    fs::write(shop.files.key(), renewed)?;
    within("the new certificate to be used", SOON, async || {
        shop.files.connect(&shop.address).await?;
        Ok(())
    })
    .await?;
    ensure!(before.connect(&shop.address).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_certificate_ends_the_gateway_with_exit_code_2_and_one_sentence() -> Result<()> {
    let (files, other) = (CertificateFiles::new()?, CertificateFiles::new()?);
    let settings = |certificate: &PathBuf, key: &PathBuf| {
        format!("http.tls_cert = {certificate:?}\nhttp.tls_key = {key:?}\n")
    };
    let (certificate, key) = (files.certificate(), files.key());
    let missing = certificate.with_file_name("missing.pem");
    let encrypted = certificate.with_file_name("encrypted.pem");
    let begin = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(&encrypted, begin)?;
    for (extra, words) in [
        (
            format!("http.tls_cert = {certificate:?}"),
            ["http.tls_key", "missing"],
        ),
        (settings(&missing, &key), ["http.tls_cert", "missing.pem"]),
        (settings(&certificate, &missing), ["http.tls_key", "missing.pem"]),
        (settings(&certificate, &encrypted), ["http.tls_key", "encrypted"]),
        (
            settings(&certificate, &other.key()),
            ["http.tls_key", "is not the key of"],
        ),
        (settings(&key, &key), ["http.tls_cert", "no PEM certificate"]),
    ] {
        let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
        config.extra = extra.clone();
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        let status = gateway.wait_exit(SOON).await?;
        let (checked, found) = gateway.run(&["check", "--offline"], SOON).await?;
        for (status, said) in [(status, gateway.log()), (checked, found)] {
            ensure!(status.code() == Some(2), "{extra}: {status} {said}");
            ensure!(
                said.trim().lines().count() == 1 && words.iter().all(|word| said.contains(word)),
                "{extra}: {said}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_finish_the_tls_handshake_delay_nobody_else() -> Result<()> {
    let mut shop = Shop::open("").await?;
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut socket = TcpStream::connect(&shop.address).await?;
        if number % 2 == 0 {
            // The first bytes of a TLS handshake.
            socket.write_all(&[0x16, 3, 1]).await?;
        }
        idle.push(socket);
    }
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = shop.ask("GET /healthz", "").await?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        ensure!(begun.elapsed() < SOON / 8, "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    ensure!(shop.gateway.terminate().await?.success());
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_advertised_on_the_network_begins_with_https() -> Result<()> {
    let (mosquitto, files) = (Mosquitto::start().await?, CertificateFiles::new()?);
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.http_listen = "0.0.0.0:0".to_owned();
    config.extra = files.settings() + "http.mdns = \"comptoir-https\"\n";
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    within("the advertised address", SOON, async || {
        let log = gateway.log();
        let told = log
            .lines()
            .find(|line| line.contains("pages are available on the local network"));
        let told = told.context("not yet")?;
        ensure!(
            told.contains("https://comptoir-https.local:") && !told.contains("http://"),
            "{told}"
        );
        Ok(())
    })
    .await
}
