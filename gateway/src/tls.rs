//! The certificate of the pages: `http.tls_cert` and `http.tls_key`.
//!
//! Certificates are renewed every few weeks by programs that do not know this one, so the files are looked at while the
//! gateway runs. What is in them is compared, not their times: those of a volume or a copy say little. Between the
//! writing of one file and of the other they do not match; then, as with any other error, the last good certificate
//! stays in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{ConfigError, Http};

const CERTIFICATE: &str = "http.tls_cert";
const KEY: &str = "http.tls_key";
/// Two small files that the kernel has in memory.
const LOOK: Duration = Duration::from_secs(5);
/// Socket.IO's WebSockets are an upgrade of HTTP/1.1, and a page is four files.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate with its key, as the files had it when they were last good.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    /// What was read last, good or not.
    seen: Read,
    shown: Arc<Shown>,
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The files' bytes. Their hashes, so that the key is not kept twice in memory.
type Read = [Option<blake3::Hash>; 2];

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A panic elsewhere leaves the one or the other whole.
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificate {
    /// Reads it. `None` where none is set.
    pub fn of(http: &Http) -> Result<Option<Self>, ConfigError> {
        let (certificate, key) = match (&http.tls_cert, &http.tls_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(None),
            (certificate, _) => {
                let missing = if certificate.is_none() { CERTIFICATE } else { KEY };
                let together = "missing: a certificate and its key go together, set both or neither";
                return Err(ConfigError::of(missing, together));
            }
        };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let (seen, read) = files.read();
        Ok(Some(Self {
            files,
            seen,
            shown: Arc::new(Shown(RwLock::new(Arc::new(read?)))),
        }))
    }

    /// For connections; they are shown the certificate of the moment.
    pub fn server(&self) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(config)
    }

    /// Follows the files until `stop`.
    pub async fn renew(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let files = self.files.clone();
            let Ok((seen, read)) = tokio::task::spawn_blocking(move || files.read()).await else {
                continue;
            };
            // Said once, however long it stays so.
            if std::mem::replace(&mut self.seen, seen) == seen {
                continue;
            }
            match read {
                Ok(read) => {
                    *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                    info!(file = %self.files.certificate.display(), "the certificate was renewed");
                }
                Err(problem) => warn!(%problem, "the certificate of before stays in use"),
            }
        }
    }
}

impl Files {
    fn read(&self) -> (Read, Result<CertifiedKey, ConfigError>) {
        let (certificate, key) = (std::fs::read(&self.certificate), std::fs::read(&self.key));
        let seen = [&certificate, &key].map(|read| read.as_deref().ok().map(blake3::hash));
        let unreadable =
            |setting: &str, file: &Path, error| problem(setting, file, format!("cannot be read: {error}"));
        let read = certificate
            .map_err(|error| unreadable(CERTIFICATE, &self.certificate, error))
            .and_then(|certificate| {
                let key = key.map_err(|error| unreadable(KEY, &self.key, error))?;
                self.certified(&certificate, &key)
            });
        (seen, read)
    }

    fn certified(&self, certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, ConfigError> {
        let of_certificate = |why: String| problem(CERTIFICATE, &self.certificate, why);
        let of_key = |why: String| problem(KEY, &self.key, why);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| of_certificate(format!("is no PEM file: {error}")))?;
        if chain.is_empty() {
            return Err(of_certificate("holds no certificate in PEM".to_owned()));
        }
        // PKCS #8 says it in its first line, older forms in a line of their own.
        let text = String::from_utf8_lossy(key);
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(of_key(
                "is encrypted, and there is nobody to ask for its password: openssl pkey writes one without"
                    .to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| of_key("holds no private key in PEM".to_owned()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(format!(
                "is not the key of the certificate in {}",
                self.certificate.display()
            )),
            Error::InvalidCertificate(error) => of_certificate(format!("is not valid: {error:?}")),
            error => of_key(format!("cannot be used: {error}")),
        })
    }
}

fn problem(setting: &str, file: &Path, why: String) -> ConfigError {
    ConfigError::of(setting, format!("{} {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                          -----END RSA PRIVATE KEY-----\n";
    const PKCS8: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const JUNK: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_is_wrong_with_either_file_is_said_with_its_key_and_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let signed = || rcgen::generate_simple_self_signed(["comptoir.local".to_owned()]).unwrap();
        let (ours, other) = (signed(), signed());
        let (cert_pem, key_pem) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        let http = Http {
            tls_cert: Some(certificate.clone()),
            tls_key: Some(key.clone()),
            ..Http::default()
        };
        let read = |cert_text: Option<&str>, key_text: Option<&str>| {
            for (file, text) in [(&certificate, cert_text), (&key, key_text)] {
                let _ = std::fs::remove_file(file);
                if let Some(text) = text {
                    std::fs::write(file, text).unwrap();
                }
            }
            Certificate::of(&http)
        };
        assert!(read(Some(&cert_pem), Some(&key_pem)).unwrap().is_some());
        let others = other.signing_key.serialize_pem();
        for (cert_text, key_text, setting, words) in [
            (
                None,
                Some(&*key_pem),
                CERTIFICATE,
                "cert.pem cannot be read: No such file",
            ),
            (
                Some(""),
                Some(&*key_pem),
                CERTIFICATE,
                "cert.pem holds no certificate",
            ),
            (
                Some(&*key_pem),
                Some(&*key_pem),
                CERTIFICATE,
                "cert.pem holds no certificate",
            ),
            (Some(JUNK), Some(&*key_pem), CERTIFICATE, "cert.pem is not valid"),
            (
                Some(&*cert_pem),
                None,
                KEY,
                "key.pem cannot be read: No such file",
            ),
            (
                Some(&*cert_pem),
                Some("secret"),
                KEY,
                "key.pem holds no private key",
            ),
            (Some(&*cert_pem), Some(PKCS8), KEY, "key.pem is encrypted"),
            (Some(&*cert_pem), Some(LEGACY), KEY, "key.pem is encrypted"),
            (
                Some(&*cert_pem),
                Some(&*others),
                KEY,
                "key.pem is not the key of the certificate in",
            ),
        ] {
            let error = read(cert_text, key_text).unwrap_err();
            assert_eq!(error.key.as_deref(), Some(setting), "{error}");
            assert!(error.message.contains(words), "{words}: {error}");
            assert!(!error.to_string().contains('\n'), "one sentence: {error}");
        }
        assert!(Certificate::of(&Http::default()).unwrap().is_none());
    }
}
