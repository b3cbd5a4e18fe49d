//! The shop's own certificate authority: made at the first start, kept beside the journal, and restricted to names that
//! nobody on the internet can own.

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

/// The beginning of the authority's validity, whatever the clock says: a machine without a battery-backed clock may be
/// years off when it makes its authority, and the phones that are to trust it know the right time. 2025-01-01.
const VALID_FROM: i64 = 1_735_689_600;
/// A clock that shows an earlier time is wrong: there was no gateway with an authority then. 2026-01-01.
const EARLIEST_NOW: i64 = 1_767_225_600;
/// How long people can rely on having trusted it once.
const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// An authority that expires so soon is replaced at the next start: certificates may not outlive it.
const REPLACE_BEFORE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The addresses for which the authority may issue certificates: those that nobody has on the internet.
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

/// Why no certificate can be issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the gateway's certificate could not be issued: {0}")]
    Issue(#[from] rcgen::Error),
    #[error("the gateway's certificate authority cannot be used: {0}")]
    Unusable(String),
}

/// The part of the authority that is to be shown and trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    pub der: CertificateDer<'static>,
    /// The SHA-256 of `der`, as browsers show it: `3F:9A:…`.
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

/// The beginning and the end of a certificate's validity.
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

/// A certificate that the authority has issued, with its key.
pub(super) struct IssuedCertificate {
    pub der: CertificateDer<'static>,
    pub key: PrivatePkcs8KeyDer<'static>,
    pub validity: Validity,
    /// Key and certificate, as they are kept in a file.
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
    /// Verifies as a client that trusts this authority does.
    verifier: Arc<WebPkiServerVerifier>,
    storage: Storage,
}

/// Whether the authority survives a restart.
enum Storage {
    Kept,
    /// The files are still to be written.
    Unsaved {
        files: Files,
        /// Whether the log says so already.
        is_reported: bool,
    },
    /// There are files that cannot be read.
    InMemory,
}

struct Files {
    /// Key and certificate.
    private: (PathBuf, String),
    /// The certificate alone, for programs that are to trust it.
    public: (PathBuf, String),
}

const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Key and certificate of the authority.
fn private_file(journal: &Path) -> PathBuf {
    beside(journal, "authority.pem")
}

/// The certificate in an authority's file.
pub(super) fn read_certificate(journal: &Path) -> Option<AuthorityCertificate> {
    // This file is for everybody; the other is for the gateway's user only.
    CertificateDer::from_pem_file(beside(journal, "authority.crt"))
        .ok()
        .map(AuthorityCertificate::new)
}

impl Authority {
    /// Opens the authority of a journal. Makes one if there is none, if it is damaged, or if it expires and the clock is
    /// known to be right (`may_replace`).
    ///
    /// If files cannot be read or written, the gateway works with an authority in memory: selling goes on, and browsers
    /// warn until the disk is repaired. [`Self::save`] tries again.
    ///
    /// # Errors
    /// No key can be made.
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
        // Two shops, and two authorities of one shop, must be told apart in a list of trusted certificates.
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
        // Not for e-mail or programs.
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

    /// `None` if the text is not an authority.
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

    /// Writes the files, if that has not worked yet.
    pub(super) fn save(&mut self) {
        if let Storage::Unsaved { files, is_reported } = &mut self.storage {
            match files.write() {
                Ok(()) => self.storage = Storage::Kept,
                // The next attempt follows in a few seconds.
                Err(error) if !std::mem::replace(is_reported, true) => warn!(
                    %error,
                    file = %files.private.0.display(),
                    "the gateway's certificate authority cannot be saved, so it cannot be trusted yet"
                ),
                Err(_) => {}
            }
        }
    }

    /// Whether it survives a restart. If not, nobody should trust it.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.storage, Storage::Kept)
    }

    /// Issues a certificate with a new key. It does not outlive the authority.
    ///
    /// # Errors
    /// No key can be made.
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
    /// No key can be made.
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

/// Sets when a certificate is valid. Times before 1970 do not occur.
fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let since_1970 = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(validity.not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(validity.not_after);
}

/// File modes.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Writes a file under another name first, so that a complete one exists at any time.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // What a power cut has left may have another mode.
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
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::CertificateError;

    use super::*;

    const STORE: &str = "paris-1";

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn domains() -> Vec<String> {
        ["local", "localhost", "kasse.example"]
            .map(str::to_owned)
            .to_vec()
    }

    fn day() -> Validity {
        Validity {
            not_before: now() - SignedDuration::from_hours(24),
            not_after: now() + SignedDuration::from_hours(24),
        }
    }

    fn name(text: &str) -> ServerName<'static> {
        ServerName::try_from(text.to_owned()).unwrap()
    }

    fn open(journal: &Path) -> Authority {
        Authority::open(journal, STORE, &domains(), now(), true).unwrap()
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_it_for_the_shop_only() {
        let (authority, _) = Authority::make(STORE, &domains(), now()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now().as_second() as u64));
        for (text, is_permitted) in [
            ("comptoir.local", true),
            ("localhost", true),
            ("kasse.example", true),
            ("192.168.1.20", true),
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("169.254.7.7", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("fd00::20", true),
            ("fe80::1", true),
            ("example.com", false),
            ("comptoir.local.example.com", false),
            ("bank.example", false),
            ("notlocal", false),
            ("172.32.0.1", false),
            ("192.169.0.1", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
            ("fec0::1", false),
        ] {
            let name = name(text);
            let issued = authority.issue(std::slice::from_ref(&name), day()).unwrap();
            let verified = authority
                .verifier
                .verify_server_cert(&issued.der, &[], &name, &[], at);
            match verified {
                Ok(_) => assert!(is_permitted, "{text} was accepted"),
                Err(error) => {
                    assert!(!is_permitted, "{text}: {error}");
                    // Refused for its name, and for no other reason.
                    let words = format!("{error:?}");
                    assert!(words.contains("NameConstraintViolation"), "{text}: {words}");
                }
            }
            assert_eq!(authority.permits(&name, now()).unwrap(), is_permitted, "{text}");
        }
        // A name that is not permitted spoils the whole certificate.
        let names = [name("comptoir.local"), name("example.com")];
        let issued = authority.issue(&names, day()).unwrap();
        assert!(!authority.verifies(&issued.der, &names[0], now()));
    }

    #[test]
    fn a_certificate_is_accepted_for_its_own_names_while_it_is_valid() {
        let (authority, _) = Authority::make(STORE, &domains(), now()).unwrap();
        let names = [name("comptoir.local"), name("192.168.1.20")];
        let issued = authority.issue(&names, day()).unwrap();
        let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
        for (text, at, is_accepted) in [
            ("comptoir.local", now(), true),
            ("192.168.1.20", now(), true),
            ("other.local", now(), false),
            ("192.168.1.21", now(), false),
            ("comptoir.local", days(2), false),
            ("comptoir.local", days(-2), false),
        ] {
            assert_eq!(
                authority.verifies(&issued.der, &name(text), at),
                is_accepted,
                "{text} {at}"
            );
        }
        let (other, _) = Authority::make(STORE, &domains(), now()).unwrap();
        assert!(!other.verifies(&issued.der, &names[0], now()));
    }

    #[test]
    fn an_issued_certificate_cannot_issue_others() {
        let (authority, _) = Authority::make(STORE, &domains(), now()).unwrap();
        let issued = authority.issue(&[name("comptoir.local")], day()).unwrap();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&issued.key, &PKCS_ECDSA_P256_SHA256).unwrap();
        let below = Issuer::from_ca_cert_der(&issued.der, key).unwrap();
        let leaf = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["comptoir.local".to_owned()]).unwrap();
        set_validity(&mut params, day());
        let forged = params.signed_by(&leaf, &below).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now().as_second() as u64));
        let refused = authority
            .verifier
            .verify_server_cert(forged.der(), &[issued.der], &name("comptoir.local"), &[], at)
            .unwrap_err();
        assert!(
            matches!(
                refused,
                rustls::Error::InvalidCertificate(CertificateError::Other(_))
            ),
            "{refused:?}"
        );
    }

    #[test]
    fn the_authority_stays_the_same_and_only_its_user_reads_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let first = open(&journal);
        assert_eq!(open(&journal).certificate, first.certificate);
        assert_eq!(read_certificate(&journal).unwrap(), first.certificate);
        let mode = |name: &str| {
            let file = folder.path().join(name);
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("journal-authority.pem"), 0o600);
        let public = std::fs::read_to_string(folder.path().join("journal-authority.crt")).unwrap();
        assert!(
            public.starts_with(BEGIN_CERTIFICATE) && !public.contains("PRIVATE"),
            "{public}"
        );
        // The public copy is written again if it is missing.
        std::fs::remove_file(folder.path().join("journal-authority.crt")).unwrap();
        assert_eq!(open(&journal).certificate, first.certificate);
        assert_eq!(read_certificate(&journal).unwrap(), first.certificate);
        assert_eq!(first.certificate.fingerprint.len(), 32 * 3 - 1);
    }

    #[test]
    fn a_damaged_authority_is_set_aside_and_an_unreadable_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let file = folder.path().join("journal-authority.pem");
        std::fs::write(&file, "Dear Sir").unwrap();
        let authority = open(&journal);
        assert_eq!(open(&journal).certificate, authority.certificate);
        let damaged = folder.path().join("journal-authority.damaged");
        assert_eq!(std::fs::read_to_string(damaged).unwrap(), "Dear Sir");
        // A folder in its place cannot be read as a file.
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let replacement = open(&journal);
        assert_ne!(replacement.certificate, authority.certificate);
        assert!(file.is_dir() && !replacement.is_kept());
        assert_eq!(read_certificate(&journal).unwrap(), authority.certificate);
    }

    #[test]
    fn an_authority_that_could_not_be_saved_is_saved_later() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("absent/journal.db");
        let mut authority = open(&journal);
        assert_eq!(read_certificate(&journal), None);
        assert!(!authority.is_kept());
        std::fs::create_dir(folder.path().join("absent")).unwrap();
        authority.save();
        assert!(authority.is_kept());
        assert_eq!(open(&journal).certificate, authority.certificate);
    }

    #[test]
    fn a_wrong_clock_at_the_first_start_makes_an_authority_that_phones_accept() {
        for clock in [
            "1970-01-01T00:00:10Z",
            "2026-11-30T12:00:00Z",
            "2033-01-01T00:00:00Z",
        ] {
            let (authority, _) = Authority::make(STORE, &domains(), clock.parse().unwrap()).unwrap();
            let validity = Validity::of(&authority.certificate.der).unwrap();
            assert!(validity.not_before < now(), "{clock}");
            assert!(
                validity.not_after > now() + SignedDuration::from_hours(8 * 365 * 24),
                "{clock}"
            );
        }
    }

    #[test]
    fn an_expiring_authority_is_replaced_only_if_the_clock_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let first = open(&journal);
        let later = now() + LIFETIME;
        let reopen = |may_replace| Authority::open(&journal, STORE, &domains(), later, may_replace).unwrap();
        assert_eq!(reopen(false).certificate, first.certificate);
        assert_ne!(reopen(true).certificate, first.certificate);
    }
}
