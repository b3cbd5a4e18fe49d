//! The certificate that the gateway issues itself, and the decision when to issue the next one.
//!
//! It is stored next to the journal: a browser whose user has accepted it without trusting the authority does not ask
//! again after each restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::authority::{Authority, AuthorityCertificate, AuthorityError, IssuedCertificate, Validity};
use super::names::{self, NameSources};
use super::{Served, beside};
use crate::config::Config;
use crate::platform::clock::{Clock, Synchronisation};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long certificates are valid.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    /// How long before its issue a certificate becomes valid: the clocks of phones are slightly off.
    before: SignedDuration,
    after: SignedDuration,
    /// How long before its end a certificate is replaced.
    renewal: SignedDuration,
}

/// 90 days in total, like public authorities: a stolen key soon becomes worthless, and renewal is exercised regularly.
const SHORT: Lifetime = Lifetime {
    before: DAY,
    after: SignedDuration::from_hours(89 * 24),
    renewal: SignedDuration::from_hours(30 * 24),
};
/// Used while the clock is not synchronised. Phones know the right time, so the certificate covers an error of more
/// than a year in both directions. Apple's devices accept at most 825 days from a private authority.
const WIDE: Lifetime = Lifetime {
    before: SignedDuration::from_hours(400 * 24),
    after: SignedDuration::from_hours(400 * 24),
    renewal: SignedDuration::from_hours(30 * 24),
};

/// The names and the time to issue a certificate for, and whether the time is reliable.
#[derive(Debug, Clone, Copy)]
struct Now {
    time: Timestamp,
    is_synchronised: bool,
}

impl Now {
    fn of(clock: &Clock) -> Self {
        Self {
            time: Timestamp::now(),
            // A system that reports nothing about its clock usually has a correct one.
            is_synchronised: clock.status().synchronisation != Synchronisation::Unsynchronised,
        }
    }
}

pub(super) struct LocalCertificate {
    authority: Authority,
    file: PathBuf,
    sources: NameSources,
    clock: Clock,
    short: Lifetime,
    current: IssuedCertificate,
    /// Whether `file` contains `current`.
    is_saved: bool,
    /// Whether a failure to save it has been logged.
    is_reported: bool,
    /// The names and addresses for which `current` was last checked.
    names: Vec<ServerName<'static>>,
}

impl LocalCertificate {
    /// Opens the authority and its certificate, or creates them.
    ///
    /// # Errors
    /// The key cannot be generated, or does not suit the TLS library.
    pub(super) fn open(config: &Config, clock: &Clock) -> Result<(Self, Served), AuthorityError> {
        let sources = NameSources::new(&config.http);
        let names = sources.now();
        let place = Place {
            journal: &config.journal.path,
            store: &config.store,
        };
        Self::open_at(place, sources, names, clock, Now::of(clock), SHORT)
    }

    /// Like [`Self::open`], with a given time and lifetime.
    fn open_at(
        place: Place<'_>,
        sources: NameSources,
        names: Vec<ServerName<'static>>,
        clock: &Clock,
        now: Now,
        short: Lifetime,
    ) -> Result<(Self, Served), AuthorityError> {
        let domains = sources.permitted_domains();
        let authority = Authority::open(
            place.journal,
            place.store,
            &domains,
            now.time,
            now.is_synchronised,
        )?;
        let file = beside(place.journal, "certificate.pem");
        let permitted = permitted(&authority, &names, now)?;
        let stored = IssuedCertificate::read(&file).filter(|stored| {
            is_in_time(stored.validity, now, short) && verifies_all(&authority, stored, &permitted, now)
        });
        let mut local = Self {
            is_saved: stored.is_some(),
            is_reported: false,
            current: match stored {
                Some(stored) => stored,
                None => issue(&authority, &permitted, now, short)?,
            },
            authority,
            file,
            sources,
            clock: clock.clone(),
            short,
            names,
        };
        local.save();
        let served = served(&local.current)?;
        Ok((local, served))
    }

    /// The authority, if people may trust it.
    pub(super) fn authority(&self) -> Option<AuthorityCertificate> {
        self.authority
            .is_kept()
            .then(|| self.authority.certificate.clone())
    }

    /// Issues the next certificate if the present one is about to expire, or is invalid at the present time or for the
    /// present names. Otherwise returns `None`.
    pub(super) fn check(&mut self) -> Option<Served> {
        let (names, now) = (self.sources.now(), Now::of(&self.clock));
        self.check_at(names, now)
    }

    fn check_at(&mut self, names: Vec<ServerName<'static>>, now: Now) -> Option<Served> {
        self.authority.save();
        self.save();
        let has_changed = names != self.names;
        if !has_changed && is_in_time(self.current.validity, now, self.short) {
            return None;
        }
        self.names = names;
        let next = self.next(now);
        next.unwrap_or_else(|error| {
            warn!(%error, "the previous certificate stays in use");
            None
        })
    }

    fn next(&mut self, now: Now) -> Result<Option<Served>, AuthorityError> {
        let permitted = permitted(&self.authority, &self.names, now)?;
        if is_in_time(self.current.validity, now, self.short)
            && verifies_all(&self.authority, &self.current, &permitted, now)
        {
            // An address has disappeared, but may come back.
            return Ok(None);
        }
        let next = issue(&self.authority, &permitted, now, self.short)?;
        let served = served(&next)?;
        self.current = next;
        self.is_saved = false;
        self.save();
        Ok(Some(served))
    }

    fn save(&mut self) {
        if self.is_saved {
            return;
        }
        match self.current.write(&self.file) {
            Ok(()) => (self.is_saved, self.is_reported) = (true, false),
            // The next attempt follows within seconds.
            Err(error) if !std::mem::replace(&mut self.is_reported, true) => {
                warn!(%error, file = %self.file.display(), "the certificate cannot be saved");
            }
            Err(_) => {}
        }
    }
}

/// Location of the files and name of the authority.
#[derive(Clone, Copy)]
struct Place<'a> {
    journal: &'a Path,
    store: &'a str,
}

/// Whether a certificate's validity fits the present time: it is valid, not about to expire, and not valid for longer
/// than one issued now would be. A longer validity shows that the clock was wrong when it was issued.
fn is_in_time(validity: Validity, now: Now, short: Lifetime) -> bool {
    let is_valid = validity.not_before <= now.time && now.time + short.renewal < validity.not_after;
    let is_short = validity.not_after <= now.time + short.after + DAY;
    is_valid && (is_short || !now.is_synchronised)
}

/// The names for which the authority may issue certificates.
fn permitted(
    authority: &Authority,
    names: &[ServerName<'static>],
    now: Now,
) -> Result<Vec<ServerName<'static>>, AuthorityError> {
    let (mut permitted, mut others) = (Vec::new(), Vec::new());
    for name in names {
        match authority.permits(name, now.time)? {
            true => permitted.push(name.clone()),
            false => others.push(names::text(name)),
        }
    }
    if !others.is_empty() {
        // Public addresses, and names configured after the authority was created.
        info!(
            names = others.join(" "),
            "the gateway's authority may not issue certificates for these names"
        );
    }
    Ok(permitted)
}

fn verifies_all(
    authority: &Authority,
    certificate: &IssuedCertificate,
    names: &[ServerName<'static>],
    now: Now,
) -> bool {
    names
        .iter()
        .all(|name| authority.verifies(&certificate.der, name, now.time))
}

fn issue(
    authority: &Authority,
    names: &[ServerName<'static>],
    now: Now,
    short: Lifetime,
) -> Result<IssuedCertificate, AuthorityError> {
    let Lifetime { before, after, .. } = if now.is_synchronised { short } else { WIDE };
    let issued = authority.issue(
        names,
        Validity {
            not_before: now.time - before,
            not_after: now.time + after,
        },
    )?;
    let texts: Vec<String> = names.iter().map(names::text).collect();
    info!(names = texts.join(" "), expires = %issued.validity.not_after, "issued a certificate for the pages");
    Ok(issued)
}

fn served(issued: &IssuedCertificate) -> Result<Served, AuthorityError> {
    let key = PrivateKeyDer::from(issued.key.clone_key());
    let key = CertifiedKey::from_der(vec![issued.der.clone()], key, &ring::default_provider())
        .map_err(|error| AuthorityError::Unusable(error.to_string()))?;
    Ok(Served {
        key: Arc::new(key),
        expires: issued.validity.not_after.as_second(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Http;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    /// A few hours, so that tests do not depend on the real lifetimes.
    const HOURS: Lifetime = Lifetime {
        before: HOUR,
        after: SignedDuration::from_hours(4),
        renewal: HOUR,
    };

    fn at(time: &str) -> Now {
        Now {
            time: time.parse().unwrap(),
            is_synchronised: true,
        }
    }

    fn later(now: Now, hours: i64) -> Now {
        Now {
            time: now.time + HOUR * i32::try_from(hours).unwrap(),
            ..now
        }
    }

    fn names(texts: &[&str]) -> Vec<ServerName<'static>> {
        let name = |text: &&str| ServerName::try_from((*text).to_owned()).unwrap();
        texts.iter().map(name).collect()
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn open(&self, texts: &[&str], now: Now) -> LocalCertificate {
            let journal = self.0.path().join("journal.db");
            let place = Place {
                journal: &journal,
                store: "paris-1",
            };
            let sources = NameSources::new(&Http::default());
            let (local, served) =
                LocalCertificate::open_at(place, sources, names(texts), &Clock::new(), now, HOURS).unwrap();
            assert_eq!(served.key.cert[0], local.current.der);
            local
        }
    }

    fn accepts(local: &LocalCertificate, text: &str, now: Now) -> bool {
        local
            .authority
            .verifies(&local.current.der, &names(&[text])[0], now.time)
    }

    #[test]
    fn a_certificate_is_renewed_before_it_expires_and_after_it_has_expired() {
        let (folder, now) = (Folder::new(), at("2026-11-30T12:00:00Z"));
        let mut local = folder.open(&["comptoir.local"], now);
        for (hours, is_renewed) in [(1, false), (2, false), (3, true), (4, false), (400, true)] {
            let then = later(now, hours);
            let served = local.check_at(names(&["comptoir.local"]), then);
            assert_eq!(served.is_some(), is_renewed, "after {hours} hours");
            assert!(accepts(&local, "comptoir.local", then), "after {hours} hours");
        }
    }

    #[test]
    fn a_new_name_or_address_renews_it_and_a_lost_one_does_not() {
        let (folder, now) = (Folder::new(), at("2026-11-30T12:00:00Z"));
        let mut local = folder.open(&["comptoir.local", "192.168.1.20"], now);
        let mut check = |texts: &[&str]| local.check_at(names(texts), now).is_some();
        assert!(!check(&["comptoir.local", "192.168.1.20"]));
        assert!(
            !check(&["comptoir.local"]),
            "an address that is gone may come back"
        );
        assert!(!check(&["comptoir.local", "192.168.1.20"]));
        assert!(check(&["comptoir.local", "10.0.0.7"]));
        assert!(!check(&["comptoir.local", "10.0.0.7"]));
        // The authority may not issue a certificate for it, so nothing changes.
        assert!(!check(&["comptoir.local", "10.0.0.7", "8.8.8.8"]));
        assert!(accepts(&local, "10.0.0.7", now));
        assert!(!accepts(&local, "192.168.1.20", now));
    }

    #[test]
    fn a_clock_that_is_set_renews_a_certificate_of_the_wrong_time() {
        for (first, then) in [
            // Set forward, then back; the latter leaves a certificate that starts in the future.
            ("2026-11-30T12:00:00Z", "2029-01-01T00:00:00Z"),
            ("2029-01-01T00:00:00Z", "2026-11-30T12:00:00Z"),
        ] {
            let folder = Folder::new();
            let mut local = folder.open(&["comptoir.local"], at(first));
            assert!(local.check_at(names(&["comptoir.local"]), at(then)).is_some());
            assert!(accepts(&local, "comptoir.local", at(then)));
        }
    }

    #[test]
    fn without_a_synchronised_clock_the_certificate_covers_a_year_in_both_directions_until_it_is() {
        let (folder, right) = (Folder::new(), at("2026-11-30T12:00:00Z"));
        for wrong in ["2025-12-01T00:00:00Z", "2027-11-01T00:00:00Z"] {
            let wrong = Now {
                is_synchronised: false,
                ..at(wrong)
            };
            let mut local = folder.open(&["comptoir.local"], wrong);
            assert!(accepts(&local, "comptoir.local", right));
            let days = local
                .current
                .validity
                .not_after
                .duration_since(local.current.validity.not_before);
            assert!(days.as_hours() <= 825 * 24, "{days}");
            assert!(local.check_at(names(&["comptoir.local"]), wrong).is_none());
            assert!(local.check_at(names(&["comptoir.local"]), right).is_some());
            assert!(local.current.validity.not_after <= right.time + HOURS.after);
        }
    }

    #[test]
    fn a_restart_keeps_a_good_certificate_and_replaces_an_expired_or_damaged_one() {
        let (folder, now) = (Folder::new(), at("2026-11-30T12:00:00Z"));
        let first = folder.open(&["comptoir.local"], now);
        let again = folder.open(&["comptoir.local"], later(now, 1));
        assert_eq!(again.current.der, first.current.der);
        let expired = folder.open(&["comptoir.local"], later(now, 100));
        assert_ne!(expired.current.der, first.current.der);
        assert_eq!(expired.authority(), first.authority());
        assert!(accepts(&expired, "comptoir.local", later(now, 100)));
        std::fs::write(folder.0.path().join("journal-certificate.pem"), "Dear Sir").unwrap();
        let repaired = folder.open(&["comptoir.local"], later(now, 100));
        assert!(accepts(&repaired, "comptoir.local", later(now, 100)));
        // A certificate from another authority.
        std::fs::remove_file(folder.0.path().join("journal-authority.pem")).unwrap();
        let other = folder.open(&["comptoir.local"], later(now, 100));
        assert!(accepts(&other, "comptoir.local", later(now, 100)));
    }

    #[test]
    fn the_real_lifetimes_suit_browsers() {
        // Browsers refuse more than 398 days from a public authority, and Apple more than 825 from a private one.
        assert!(SHORT.before + SHORT.after <= DAY * 90);
        assert!(WIDE.before + WIDE.after <= DAY * 825);
        assert!(SHORT.renewal < SHORT.after);
    }
}
