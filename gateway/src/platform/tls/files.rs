//! A configured certificate: `http.tls_cert` and `http.tls_key`.
//!
//! Programs that do not know the gateway renew certificates every few weeks, so the gateway rereads the files while it
//! runs. It compares contents, because modification times are unreliable on volumes and for copied files. While only
//! one of the two files has been replaced, they do not match. Then, as after any other error, the last good certificate
//! stays in use.

use std::path::{Path, PathBuf};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use tracing::warn;

use super::Served;
use crate::config::ConfigError;

const CERTIFICATE: &str = "http.tls_cert";
const KEY: &str = "http.tls_key";

/// The configured files as last read.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    files: Files,
    /// Hashes of the files, whether valid or not.
    hashes: FileHashes,
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Hashes of both files; `None` for an unreadable file. Hashes are used so that the key is not in memory twice.
type FileHashes = [Option<blake3::Hash>; 2];

impl OwnCertificate {
    /// Reads both files.
    ///
    /// # Errors
    /// One of the files cannot be read, or they are not a certificate and its key.
    pub(super) fn open(certificate: &Path, key: &Path) -> Result<(Self, Served), ConfigError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let (hashes, certified_key) = files.read();
        Ok((Self { files, hashes }, Served::new(certified_key?)))
    }

    /// Rereads the files. Returns the certificate if it has changed and is valid.
    pub(super) fn check(&mut self) -> Option<Served> {
        let (hashes, certified_key) = self.files.read();
        // Unchanged files are not reported again, even if they are invalid.
        if std::mem::replace(&mut self.hashes, hashes) == hashes {
            return None;
        }
        certified_key
            .inspect_err(|problem| warn!(%problem, "the previous certificate stays in use"))
            .ok()
            .map(Served::new)
    }
}

impl Files {
    fn read(&self) -> (FileHashes, Result<CertifiedKey, ConfigError>) {
        let (certificate, key) = (std::fs::read(&self.certificate), std::fs::read(&self.key));
        let hashes = [&certificate, &key].map(|file| file.as_deref().ok().map(blake3::hash));
        let unreadable =
            |setting: &str, file: &Path, error| problem(setting, file, format!("cannot be read: {error}"));
        let certified_key = certificate
            .map_err(|error| unreadable(CERTIFICATE, &self.certificate, error))
            .and_then(|certificate| {
                let key = key.map_err(|error| unreadable(KEY, &self.key, error))?;
                self.parse(&certificate, &key)
            });
        (hashes, certified_key)
    }

    fn parse(&self, certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, ConfigError> {
        let certificate_problem = |why: String| problem(CERTIFICATE, &self.certificate, why);
        let key_problem = |why: String| problem(KEY, &self.key, why);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| certificate_problem(format!("is not a PEM file: {error}")))?;
        if chain.is_empty() {
            return Err(certificate_problem("contains no PEM certificate".to_owned()));
        }
        // PKCS #8 names it in the first line; older formats have a header line.
        let text = String::from_utf8_lossy(key);
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(key_problem(
                "is encrypted: encrypted private keys are not supported; write an unencrypted one with openssl pkey"
                    .to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| key_problem("contains no PEM private key".to_owned()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => key_problem(format!(
                "is not the key of the certificate in {}",
                self.certificate.display()
            )),
            Error::InvalidCertificate(error) => certificate_problem(format!("is not valid: {error:?}")),
            error => key_problem(format!("cannot be used: {error}")),
        })
    }
}

fn problem(setting: &str, file: &Path, why: String) -> ConfigError {
    ConfigError::for_key(setting, format!("{} {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                          -----END RSA PRIVATE KEY-----\n";
    const PKCS8: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const JUNK: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn an_error_in_either_file_names_the_key_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let signed = || rcgen::generate_simple_self_signed(["comptoir.local".to_owned()]).unwrap();
        let (ours, other) = (signed(), signed());
        let (cert_pem, key_pem) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        let read = |cert_text: Option<&str>, key_text: Option<&str>| {
            for (file, text) in [(&certificate, cert_text), (&key, key_text)] {
                let _ = std::fs::remove_file(file);
                if let Some(text) = text {
                    std::fs::write(file, text).unwrap();
                }
            }
            OwnCertificate::open(&certificate, &key)
        };
        assert!(read(Some(&cert_pem), Some(&key_pem)).is_ok());
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
                "cert.pem contains no PEM certificate",
            ),
            (
                Some(&*key_pem),
                Some(&*key_pem),
                CERTIFICATE,
                "cert.pem contains no PEM certificate",
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
                "key.pem contains no PEM private key",
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
            let error = read(cert_text, key_text).err().unwrap();
            assert_eq!(error.key.as_deref(), Some(setting), "{error}");
            assert!(error.message.contains(words), "{words}: {error}");
            assert!(!error.to_string().contains('\n'), "more than one line: {error}");
        }
    }
}
