//! The certificate of the pages: a configured one (`files`), or one that the gateway issues itself (`local`) with the
//! shop's own authority (`authority`). See `docs/adr/0012-local-authority.md`.
//!
//! Certificates are replaced while the gateway runs: open connections keep theirs, and new connections get the new one.

mod authority;
mod files;
mod local;
mod names;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{Config, ConfigError, Http, TlsMode};
use crate::platform::clock::Clock;
use crate::platform::metrics::Metrics;
pub use authority::{AuthorityCertificate, AuthorityError};
use files::OwnCertificate;
use local::LocalCertificate;

/// How often the certificate is checked against files, names, addresses and the time. All of these checks are cheap.
const CHECK_PERIOD: Duration = Duration::from_secs(5);
/// Only HTTP/1.1: Socket.IO's WebSockets upgrade an HTTP/1.1 connection, and a page is only four files.
const PROTOCOL: &[u8] = b"http/1.1";

/// The current certificate, and the source of its successors.
pub struct Certificate {
    source: Source,
    current: Arc<CurrentCertificate>,
    status: Arc<TlsStatus>,
}

enum Source {
    Own(OwnCertificate),
    Local(Box<LocalCertificate>),
}

/// A certificate with its key, ready to serve.
#[derive(Debug)]
struct Served {
    key: Arc<CertifiedKey>,
    /// Unix seconds.
    expires: i64,
}

impl Served {
    fn new(key: CertifiedKey) -> Self {
        let expires = key.cert.first().and_then(|certificate| {
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
            Some(parsed.validity().not_after.timestamp())
        });
        Self {
            key: Arc::new(key),
            // rustls has accepted the certificate, so only this second parser fails on it.
            expires: expires.unwrap_or(i64::MAX),
        }
    }
}

/// The certificate's status for the rest of the gateway.
#[derive(Debug)]
pub struct TlsStatus {
    /// `None` with a configured certificate, and while the authority is only in memory, because then nobody should
    /// trust it.
    pub authority: Option<AuthorityCertificate>,
    expires: AtomicI64,
}

impl TlsStatus {
    /// When the current certificate expires, in Unix seconds.
    pub fn expires(&self) -> i64 {
        self.expires.load(Ordering::Relaxed)
    }
}

/// The certificate for new connections.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // After a panic in another thread this is either the old or the new certificate.
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Checks the configured files without writing any.
///
/// # Errors
/// One of the files cannot be read, or they are not a certificate and its key.
pub fn check(http: &Http) -> Result<(), ConfigError> {
    match http.tls_mode() {
        TlsMode::OwnCertificate { certificate, key } => OwnCertificate::open(certificate, key).map(|_| ()),
        TlsMode::Off | TlsMode::LocalAuthority => Ok(()),
    }
}

/// The certificate of the authority of the configured journal. `None` if it does not exist yet, or the configuration
/// uses none. Only reads.
pub fn existing_authority(config: &Config) -> Option<AuthorityCertificate> {
    match config.http.tls_mode() {
        TlsMode::LocalAuthority => authority::read_certificate(&config.journal.path),
        TlsMode::Off | TlsMode::OwnCertificate { .. } => None,
    }
}

impl Certificate {
    /// Opens the certificate for a configuration; `None` if it turns TLS off. The journal's folder must exist: the
    /// authority and its certificate are stored next to the journal.
    ///
    /// # Errors
    /// The configured files are not a certificate and its key ([`ConfigError`]), or no certificate can be issued
    /// ([`AuthorityError`]).
    pub fn open(config: &Config, clock: &Clock) -> anyhow::Result<Option<Self>> {
        let (source, served, authority) = match config.http.tls_mode() {
            TlsMode::Off => return Ok(None),
            TlsMode::OwnCertificate { certificate, key } => {
                let (own, served) = OwnCertificate::open(certificate, key)?;
                (Source::Own(own), served, None)
            }
            TlsMode::LocalAuthority => {
                let (local, served) = LocalCertificate::open(config, clock)?;
                let authority = local.authority();
                (Source::Local(Box::new(local)), served, authority)
            }
        };
        Ok(Some(Self {
            source,
            current: Arc::new(CurrentCertificate(RwLock::new(served.key))),
            status: Arc::new(TlsStatus {
                authority,
                expires: served.expires.into(),
            }),
        }))
    }

    pub fn status(&self) -> Arc<TlsStatus> {
        Arc::clone(&self.status)
    }

    /// The server's TLS configuration. Each new connection gets the current certificate.
    ///
    /// # Errors
    /// The TLS library does not support its own default protocol versions, or cannot get random numbers.
    pub fn server(&self) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A reconnecting page resumes its session, which saves the signature. The client keeps the session state, so
        // resumption costs the gateway no memory per client.
        config.ticketer = ring::Ticketer::new()?;
        Ok(config)
    }

    /// Replaces the certificate, until `stop`, whenever its files, the gateway's names and addresses, or the time
    /// require it.
    pub async fn renew(mut self, metrics: Arc<Metrics>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_PERIOD) => {}
            }
            let mut source = self.source;
            // Reads files, and may sign and write a certificate.
            let checked = tokio::task::spawn_blocking(move || {
                let served = source.check();
                (source, served)
            });
            let served = match checked.await {
                Ok((source, served)) => {
                    self.source = source;
                    served
                }
                Err(error) => {
                    error!(%error, "the certificate is not renewed any more; restart the gateway");
                    // Sales continue without renewal. This task must not return, because the end of a task stops the
                    // gateway.
                    stop.cancelled().await;
                    return;
                }
            };
            if let Some(served) = served {
                self.status.expires.store(served.expires, Ordering::Relaxed);
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = served.key;
                metrics.certificate_renewals.inc();
                info!(expires = %time(served.expires), "the certificate was renewed");
            }
        }
    }
}

impl Source {
    /// The next certificate, if one is due.
    fn check(&mut self) -> Option<Served> {
        match self {
            Self::Own(own) => own.check(),
            Self::Local(local) => local.check(),
        }
    }
}

/// Unix seconds as a timestamp for the log.
fn time(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

/// The path of one of the gateway's own files next to the journal, such as `journal-authority.pem`.
fn beside(journal: &Path, suffix: &str) -> std::path::PathBuf {
    let stem = journal.file_stem().unwrap_or_default().to_string_lossy();
    journal.with_file_name(format!("{stem}-{suffix}"))
}
