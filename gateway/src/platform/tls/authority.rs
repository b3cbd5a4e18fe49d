//! The shop's own certificate authority: created at the first start, stored next to the journal, and restricted to
//! names that nobody on the internet can own.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tracing::{info, warn};

use super::{beside, names};

/// Start of the authority's validity, whatever the clock says: without a battery-backed clock a machine may be years
/// off when it creates its authority, but the phones that should trust it know the right time. 2025-01-01.
const VALID_FROM: i64 = 1_735_689_600;
/// A clock that shows an earlier time is wrong: no gateway had an authority before. 2026-01-01.
const EARLIEST_NOW: i64 = 1_767_225_600;
/// How long people can rely on having trusted the authority once.
const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// An authority that expires within this time is replaced at the next start, because certificates must not outlive it.
const REPLACE_BEFORE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The networks for which the authority may issue certificates: only addresses that are not public.
const PERMITTED_NETWORKS: [(&str, u8); 8] = [
    // Private networks (RFC 1918).
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    // Link-local (RFC 3927, RFC 4291).
    ("169.254.0.0", 16),
    ("fe80::", 10),
    // Unique local (RFC 4193).
    ("fc00::", 7),
    // Loopback.
    ("127.0.0.0", 8),
    ("::1", 128),
];

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the gateway's certificate could not be issued: {0}")]
    Issue(#[from] rcgen::Error),
    #[error("the gateway's certificate authority cannot be used: {0}")]
    Unusable(String),
}

/// The public part of the authority, for people to view and trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    pub der: CertificateDer<'static>,
    /// The SHA-256 of `der`, in the format of browsers: `3F:9A:…`.
    pub fingerprint: String,
}

impl AuthorityCertificate {
    fn new(der: CertificateDer<'static>) -> Self {
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, &der);
        let mut fingerprint = String::new();
        for (at, byte) in digest.as_ref().iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(fingerprint, "{colon}{byte:02X}");
        }
        Self { der, fingerprint }
    }
}

/// Start and end of a certificate's validity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Validity {
    fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        })
    }
}

/// A certificate issued by the authority, with its key.
pub(super) struct IssuedCertificate {
    pub der: CertificateDer<'static>,
    pub key: PrivatePkcs8KeyDer<'static>,
    pub validity: Validity,
    /// Key and certificate in file format.
    pem: String,
}

impl IssuedCertificate {
    pub(super) fn read(path: &Path) -> Option<Self> {
        let pem = std::fs::read_to_string(path).ok()?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        Some(Self {
            validity: Validity::of(&der)?,
            der,
            key,
            pem,
        })
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        write(path, &self.pem, PRIVATE)
    }
}

/// The authority, with its private key.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: AuthorityCertificate,
    not_after: Timestamp,
    /// Verifies certificates like a client that trusts this authority.
    verifier: Arc<WebPkiServerVerifier>,
    storage: Storage,
}

/// Whether the authority will survive a restart.
enum Storage {
    Kept,
    /// The files still have to be written.
    Unsaved {
        files: Files,
        /// Whether this has been logged.
        is_reported: bool,
    },
    /// The existing files cannot be read.
    InMemory,
}

struct Files {
    /// Key and certificate.
    private: (PathBuf, String),
    /// Only the certificate, for programs that should trust it.
    public: (PathBuf, String),
}

const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The file with the authority's key and certificate.
fn private_file(journal: &Path) -> PathBuf {
    beside(journal, "authority.pem")
}

/// Reads the certificate from an authority's file.
pub(super) fn read_certificate(journal: &Path) -> Option<AuthorityCertificate> {
    // This file is world-readable; only the gateway's user can read the other one.
    CertificateDer::from_pem_file(beside(journal, "authority.crt"))
        .ok()
        .map(AuthorityCertificate::new)
}

impl Authority {
    /// Opens the authority of a journal. Creates one if there is none, if it is damaged, or if it is about to expire
    /// and the clock is known to be right (`may_replace`).
    ///
    /// If files cannot be read or written, the gateway works with an authority in memory: sales continue, and browsers
    /// warn until the disk is repaired. [`Self::save`] retries.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub(super) fn open(
        journal: &Path,
        store: &str,
        domains: &[String],
        now: Timestamp,
        may_replace: bool,
    ) -> Result<Self, AuthorityError> {
        let path = private_file(journal);
        let mut is_unreadable = false;
        match std::fs::read_to_string(&path) {
            Ok(pem) => match Self::parse(&pem) {
                Some(mut authority) if authority.not_after > now + REPLACE_BEFORE || !may_replace => {
                    if read_certificate(journal).as_ref() != Some(&authority.certificate) {
                        authority.storage = Storage::unsaved(journal, pem);
                        authority.save();
                    }
                    return Ok(authority);
                }
                Some(_) => {
                    warn!("the gateway's certificate authority expires and is replaced; trust the new one")
                }
                None => {
                    let aside = beside(journal, "authority.damaged");
                    warn!(
                        file = %path.display(),
                        kept_as = %aside.display(),
                        "the gateway's certificate authority is damaged and is replaced; trust the new one"
                    );
                    is_unreadable = std::fs::rename(&path, &aside).is_err();
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(
                    %error,
                    file = %path.display(),
                    "the gateway's certificate authority cannot be read: until the next start another one is used, which nobody trusts"
                );
                is_unreadable = true;
            }
        }
        let (mut authority, pem) = Self::make(store, domains, now)?;
        if is_unreadable {
            authority.storage = Storage::InMemory;
        } else {
            authority.storage = Storage::unsaved(journal, pem);
            info!(
                file = %path.display(),
                fingerprint = authority.certificate.fingerprint,
                "made a certificate authority of the shop's own"
            );
            authority.save();
        }
        Ok(authority)
    }

    fn make(store: &str, domains: &[String], now: Timestamp) -> Result<(Self, String), AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // People must be able to tell apart two shops, or two authorities of one shop, in a list of trusted
        // certificates.
        let digest = ::ring::digest::digest(&::ring::digest::SHA256, key.public_key_raw());
        let mark: String = digest.as_ref()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "Comptoir");
        name.push(DnType::CommonName, format!("Comptoir {store} {mark}"));
        let second = |seconds| Timestamp::from_second(seconds).unwrap_or(now);
        let validity = Validity {
            not_before: second(VALID_FROM),
            not_after: now.max(second(EARLIEST_NOW)) + LIFETIME,
        };
        let networks = PERMITTED_NETWORKS.into_iter().filter_map(|(address, prefix)| {
            let address: IpAddr = address.parse().ok()?;
            Some(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                address, prefix,
            )))
        });
        let domains = domains.iter().cloned().map(GeneralSubtree::DnsName);
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Not valid for e-mail or code signing.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: domains.chain(networks).collect(),
            excluded_subtrees: Vec::new(),
        });
        set_validity(&mut params, validity);
        let certificate = params.self_signed(&key)?;
        let pem = key.serialize_pem() + &certificate.pem();
        let authority = Self::parse(&pem)
            .ok_or_else(|| AuthorityError::Unusable("its own certificate cannot be read".to_owned()))?;
        Ok((authority, pem))
    }

    /// `None` if the text does not contain an authority.
    fn parse(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).ok()?;
        let not_after = Validity::of(&der)?.not_after;
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).ok()?;
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .ok()?;
        Some(Self {
            issuer: Issuer::from_ca_cert_der(&der, key).ok()?,
            certificate: AuthorityCertificate::new(der),
            not_after,
            verifier,
            storage: Storage::Kept,
        })
    }

    /// Writes the files, unless they have been written already.
    pub(super) fn save(&mut self) {
        if let Storage::Unsaved { files, is_reported } = &mut self.storage {
            match files.write() {
                Ok(()) => self.storage = Storage::Kept,
                // The next attempt follows within seconds.
                Err(error) if !std::mem::replace(is_reported, true) => warn!(
                    %error,
                    file = %files.private.0.display(),
                    "the gateway's certificate authority cannot be saved, so it cannot be trusted yet"
                ),
                Err(_) => {}
            }
        }
    }

    /// Whether the authority survives a restart. If not, nobody should trust it.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.storage, Storage::Kept)
    }

    /// Issues a certificate with a new key. It does not outlive the authority.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub(super) fn issue(
        &self,
        names: &[ServerName<'_>],
        validity: Validity,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let texts: Vec<String> = names.iter().map(names::text).collect();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "Comptoir");
        let validity = Validity {
            not_after: validity.not_after.min(self.not_after),
            ..validity
        };
        let mut params = CertificateParams::new(texts)?;
        params.distinguished_name = subject;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, validity);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(IssuedCertificate {
            pem: key.serialize_pem() + &certificate.pem(),
            der: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
            validity,
        })
    }

    /// Whether a client that trusts the authority accepts the certificate for this name at this time.
    pub(super) fn verifies(&self, der: &CertificateDer<'_>, name: &ServerName<'_>, at: Timestamp) -> bool {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verifier.verify_server_cert(der, &[], name, &[], at).is_ok()
    }

    /// Whether the authority may issue a certificate for this name.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub(super) fn permits(&self, name: &ServerName<'_>, now: Timestamp) -> Result<bool, AuthorityError> {
        let hour = SignedDuration::from_hours(1);
        let sample = self.issue(
            std::slice::from_ref(name),
            Validity {
                not_before: now - hour,
                not_after: now + hour,
            },
        )?;
        Ok(self.verifies(&sample.der, name, now))
    }
}

impl Storage {
    fn unsaved(journal: &Path, pem: String) -> Self {
        Self::Unsaved {
            files: Files::new(journal, pem),
            is_reported: false,
        }
    }
}

impl Files {
    fn new(journal: &Path, pem: String) -> Self {
        // The key comes first.
        let public = pem.find(BEGIN_CERTIFICATE).map_or("", |at| &pem[at..]).to_owned();
        Self {
            private: (private_file(journal), pem),
            public: (beside(journal, "authority.crt"), public),
        }
    }

    fn write(&self) -> io::Result<()> {
        write(&self.private.0, &self.private.1, PRIVATE)?;
        write(&self.public.0, &self.public.1, PUBLIC)
    }
}

/// Sets the validity of a certificate. Times before 1970 do not occur.
fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let since_1970 = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(validity.not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(validity.not_after);
}

/// File modes.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Writes a temporary file first and renames it, so that a complete file exists at any time.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A file left behind by a power cut may have another mode.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&new)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
