//! Without a configured certificate, the gateway issues its own, with an authority that each device trusts once.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, SettableClock, within};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::RwLock;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::shop::{GATEWAY, SOON, STORE};

const DAY: i64 = 24 * 3_600;

/// This machine's addresses, which every gateway here has in its certificate. Held for reading by claims that need them
/// to stay as they are, and for writing by the one that changes them.
static ADDRESSES: RwLock<()> = RwLock::const_new(());

/// A client that trusts the authority of a gateway and nothing else.
struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    fn of(gateway: &Gateway) -> Result<Self> {
        Self::at(gateway, 0)
    }

    /// A client whose clock is `ahead` seconds ahead.
    fn at(gateway: &Gateway, ahead: i64) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file(gateway, "authority.crt"))?)?;
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ShiftedVerifier { verifier, ahead }))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Connects to the gateway on this machine as if `name` had resolved to it.
    async fn connect(&self, gateway: &Gateway, name: &str) -> Result<TlsStream<TcpStream>> {
        let address = gateway.http_url()?.replacen("http://", "", 1);
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(connector
            .connect(ServerName::try_from(name.to_owned())?, stream)
            .await?)
    }

    /// The whole answer to `GET path`.
    async fn get(&self, gateway: &Gateway, name: &str, path: &str) -> Result<(String, TlsStream<TcpStream>)> {
        let mut stream = self.connect(gateway, name).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await??;
        Ok((String::from_utf8_lossy(&answer).into_owned(), stream))
    }

    async fn is_accepted(&self, gateway: &Gateway, name: &str) -> Result<()> {
        let (answer, _) = self
            .get(gateway, name, "/healthz")
            .await
            .with_context(|| name.to_owned())?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer}");
        Ok(())
    }

    /// The certificate that the gateway serves.
    async fn certificate(&self, gateway: &Gateway) -> Result<Vec<u8>> {
        let stream = self.connect(gateway, "localhost").await?;
        let served = stream.get_ref().1.peer_certificates().context("no certificate")?;
        ensure!(served.len() == 1, "clients have the authority already");
        Ok(served[0].to_vec())
    }
}

/// The verifier of the TLS library, with another time.
#[derive(Debug)]
struct ShiftedVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    ahead: i64,
}

impl ServerCertVerifier for ShiftedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = now.as_secs().saturating_add_signed(self.ahead);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        self.verifier
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// A file beside the journal.
fn file(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.journal_path().with_file_name(format!("journal-{name}"))
}

/// A gateway with the default configuration, which listens on all addresses.
async fn gateway(mosquitto: &Mosquitto, adapt: impl FnOnce(&mut GatewayConfig)) -> Result<Gateway> {
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.http_listen = "0.0.0.0:0".to_owned();
    config.open = false;
    adapt(&mut config);
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    Ok(gateway)
}

/// The fingerprint in the log's last line that has one.
fn logged_fingerprint(gateway: &Gateway) -> Result<String> {
    let log = gateway.log();
    let (_, after) = log
        .rsplit_once("fingerprint")
        .context("no fingerprint in the log")?;
    let colons = |c: char| !c.is_ascii_hexdigit() && c != ':';
    let found = after.split(colons).find(|part| part.len() == 32 * 3 - 1);
    Ok(found.context("no fingerprint in the log")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_https_that_verifies_against_the_authority_beside_the_journal() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let gateway = gateway(&mosquitto, |_| {}).await?;
    let client = Client::of(&gateway)?;
    for name in ["comptoir.local", "localhost", "127.0.0.1", "::1"] {
        client.is_accepted(&gateway, name).await?;
    }
    for name in ["example.com", "other.local", "192.168.250.250"] {
        ensure!(client.is_accepted(&gateway, name).await.is_err(), "{name}");
    }
    // The authority of another gateway has the same rights, but is not trusted here.
    let other_mosquitto = Mosquitto::start().await?;
    let other = self::gateway(&other_mosquitto, |_| {}).await?;
    ensure!(
        Client::of(&other)?
            .is_accepted(&gateway, "localhost")
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fingerprint_to_compare_is_the_same_in_the_log_in_check_on_the_page_and_of_the_file() -> Result<()>
{
    let mosquitto = Mosquitto::start().await?;
    let password = |config: &mut GatewayConfig| config.extra = "http.password = \"sesame\"".to_owned();
    let gateway = gateway(&mosquitto, password).await?;
    let fingerprint = logged_fingerprint(&gateway)?;
    let (_, checked) = gateway.run(&["check"], SOON).await?;
    ensure!(
        checked.contains("http.tls: https://comptoir.local:0") && checked.contains(&fingerprint),
        "{checked}"
    );
    // Both are answered over HTTP and HTTPS, and without sign-in.
    let client = Client::of(&gateway)?;
    let (refused, _) = client.get(&gateway, "localhost", "/").await?;
    ensure!(refused.starts_with("HTTP/1.1 303 "), "{refused}");
    let (secure, _) = client.get(&gateway, "localhost", "/trust").await?;
    let (status, plain) = gateway.get("/trust").await?;
    ensure!(status == 200 && secure.ends_with(&plain), "{status} {secure}");
    ensure!(
        plain.matches(&fingerprint).count() == 2 && plain.contains(STORE) && !plain.contains("{{"),
        "{plain}"
    );
    let answer = reqwest::get(gateway.http_url()? + "/authority.crt").await?;
    ensure!(answer.headers()["content-type"] == "application/x-x509-ca-cert");
    let der = answer.bytes().await?;
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, &der);
    let digest: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    ensure!(digest.join(":") == fingerprint, "{digest:?} {fingerprint}");
    let kept = CertificateDer::from_pem_file(file(&gateway, "authority.crt"))?;
    ensure!(kept.as_ref() == der.as_ref());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_and_a_good_certificate_survive_restarts_and_a_new_name_renews_only_the_latter()
-> Result<()> {
    let _addresses = ADDRESSES.read().await;
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = gateway(&mosquitto, |_| {}).await?;
    let client = Client::of(&gateway)?;
    let first = client.certificate(&gateway).await?;
    gateway.kill9()?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    ensure!(client.certificate(&gateway).await? == first);
    gateway.terminate().await?;
    gateway.config().extra = "http.mdns = \"kasse\"".to_owned();
    gateway.start_again()?;
    gateway.wait_ready().await?;
    client.is_accepted(&gateway, "kasse.local").await?;
    ensure!(client.certificate(&gateway).await? != first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_while_the_gateway_runs_is_renewed_by_itself() -> Result<()> {
    let _addresses = ADDRESSES.read().await;
    let (mosquitto, clock) = (Mosquitto::start().await?, SettableClock::new(0)?);
    let gateway = gateway(&mosquitto, |config| config.env = clock.env()).await?;
    Client::of(&gateway)?.is_accepted(&gateway, "localhost").await?;
    // A year later the certificate has expired, and after the clock is set back it is not valid yet.
    for ahead in [365 * DAY, 0] {
        let client = Client::at(&gateway, ahead)?;
        ensure!(client.is_accepted(&gateway, "localhost").await.is_err());
        clock.set(ahead)?;
        within("a certificate for the present time", SOON, async || {
            client.is_accepted(&gateway, "localhost").await
        })
        .await?;
        let (_, metrics) = gateway.get("/metrics").await?;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("comptoir_certificate_expiry_seconds "));
        let expires: i64 = line
            .context("no metric")?
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .parse()?;
        let days = (expires - jiff::Timestamp::now().as_second() - ahead) / DAY;
        ensure!((80..=90).contains(&days), "{days} days left");
    }
    let (_, metrics) = gateway.get("/metrics").await?;
    ensure!(
        metrics.contains("comptoir_certificate_renewals_total 2"),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reconnects_resumes_its_session() -> Result<()> {
    let _addresses = ADDRESSES.read().await;
    let mosquitto = Mosquitto::start().await?;
    let gateway = gateway(&mosquitto, |_| {}).await?;
    let client = Client::of(&gateway)?;
    for expected in [
        HandshakeKind::Full,
        HandshakeKind::Resumed,
        HandshakeKind::Resumed,
    ] {
        let (_, stream) = client.get(&gateway, "localhost", "/healthz").await?;
        let found = stream.get_ref().1.handshake_kind();
        ensure!(found == Some(expected), "{found:?}");
    }
    Ok(())
}

/// A second machine on a network with this one.
struct Neighbour {
    name: String,
    interface: String,
    /// This machine's address on that network.
    address: IpAddr,
}

impl Neighbour {
    /// `None` where this user may not change the network.
    fn join() -> Result<Option<Self>> {
        let mark = std::process::id() % 0xffff;
        let neighbour = Self {
            name: format!("comptoir-{mark:x}"),
            interface: format!("cpt{mark:x}"),
            address: format!("10.213.{}.{}", mark >> 8, (mark & 0xfc) + 1).parse()?,
        };
        let (name, interface) = (&*neighbour.name, &*neighbour.interface);
        if ip(&["netns", "add", name]).is_err() {
            return Ok(None);
        }
        let (other, own) = (format!("{interface}n"), format!("{}/30", neighbour.address));
        ip(&["link", "add", interface, "type", "veth", "peer", "name", &other])?;
        ip(&["link", "set", &other, "netns", name])?;
        let IpAddr::V4(address) = neighbour.address else {
            bail!("an IPv4 network");
        };
        let theirs = std::net::Ipv4Addr::from_bits(address.to_bits() + 1);
        ip(&["-n", name, "addr", "add", &format!("{theirs}/30"), "dev", &other])?;
        ip(&["-n", name, "link", "set", &other, "up"])?;
        ip(&["addr", "add", &own, "dev", interface])?;
        ip(&["link", "set", interface, "up"])?;
        Ok(Some(neighbour))
    }

    /// The answer to a plain HTTP request from the second machine.
    fn ask(&self, port: u16, method: &str, path: &str) -> Result<String> {
        let request = format!(
            "exec 3<>/dev/tcp/{0}/{port}; printf '{method} {path} HTTP/1.1\\r\\nHost: {0}:{port}\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3",
            self.address
        );
        let output = Command::new("timeout")
            .args(["10", "ip", "netns", "exec", &self.name, "bash", "-c", &request])
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.interface]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
    }
}

/// Skipped where the user may not add a network interface.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_renews_the_certificate_and_plain_http_from_the_network_only_explains_trust()
-> Result<()> {
    let _addresses = ADDRESSES.write().await;
    let mosquitto = Mosquitto::start().await?;
    let gateway = gateway(&mosquitto, |_| {}).await?;
    let client = Client::of(&gateway)?;
    client.is_accepted(&gateway, "localhost").await?;
    let Some(neighbour) = Neighbour::join()? else {
        println!("skipped: this user cannot add a network interface");
        return Ok(());
    };
    within("a certificate for the new address", SOON, async || {
        client.is_accepted(&gateway, &neighbour.address.to_string()).await
    })
    .await?;
    let url = gateway.http_url()?;
    let port: u16 = url.rsplit(':').next().unwrap_or_default().parse()?;
    for (method, path, beginning) in [
        ("GET", "/trust", "HTTP/1.1 200 "),
        ("GET", "/authority.crt", "HTTP/1.1 200 "),
        ("GET", "/", "HTTP/1.1 307 "),
        ("GET", "/api/orders", "HTTP/1.1 307 "),
        ("POST", "/api/orders", "HTTP/1.1 403 "),
        ("POST", "/trust", "HTTP/1.1 403 "),
    ] {
        let answer = neighbour.ask(port, method, path)?;
        ensure!(answer.starts_with(beginning), "{method} {path}: {answer}");
        let redirect = format!("location: https://{}:{port}{path}\r\n", neighbour.address);
        ensure!(
            answer.contains(&redirect) == beginning.contains("307"),
            "{method} {path}: {answer}"
        );
    }
    Ok(())
}
