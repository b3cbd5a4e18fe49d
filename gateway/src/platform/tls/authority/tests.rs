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
                // Refused because of its name, and for no other reason.
                let words = format!("{error:?}");
                assert!(words.contains("NameConstraintViolation"), "{text}: {words}");
            }
        }
        assert_eq!(authority.permits(&name, now()).unwrap(), is_permitted, "{text}");
    }
    // One name that is not permitted makes the whole certificate invalid.
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
    // A missing public copy is written again.
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
    // A folder with the file's name cannot be read as a file.
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
