//! Accounts for the room that pending events (not in Kafka yet) take in the journal, by device, so that one sender
//! cannot fill it.

use std::ops::{AddAssign, SubAssign};

use super::{AuditClass, Entry, EntryKind};

/// A device may use half of `max_bytes` for entries that are not in Kafka. The rest is reserved for other devices.
const DEVICE_SHARE: u64 = 2;
/// Bytes of an entry in addition to its payload and key: its row, its number, and its fingerprint with their indexes.
const ENTRY_OVERHEAD: usize = 128;
/// Most pending dead letters of one device that are stored whole. Each costs a row, however small it is.
const MAX_DEAD_LETTERS: u64 = 65_536;
/// Limits by size, as a fraction of `max_bytes`: a sixteenth for one device, a quarter for all.
const DEAD_LETTERS_OF_DEVICE: u64 = 16;
const DEAD_LETTERS_OF_ALL: u64 = 4;
/// Pending audit entries may use a sixteenth of `max_bytes`; the failed sign-ins among them, which anyone on the
/// network can cause, a sixty-fourth. The audit log keeps entries beyond that, and never takes the tills' room.
const AUDIT_SHARE: u64 = 16;
const FAILED_SIGN_IN_SHARE: u64 = 64;

/// Room taken by entries that are not in Kafka yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Includes the dead letters and the failed sign-ins.
    pub bytes: u64,
    pub dead_letters: u64,
    pub dead_letter_bytes: u64,
    pub failed_sign_in_bytes: u64,
}

impl Pending {
    /// The room that one entry takes.
    pub(super) fn of_parts(kind: EntryKind, key: &str, payload: &[u8]) -> Self {
        let bytes = (payload.len() + key.len() + ENTRY_OVERHEAD) as u64;
        let dead_letters = u64::from(kind == EntryKind::DeadLetter);
        Self {
            bytes,
            dead_letters,
            dead_letter_bytes: bytes * dead_letters,
            failed_sign_in_bytes: bytes * u64::from(kind == EntryKind::Audit(AuditClass::FailedSignIn)),
        }
    }
}

impl From<&Entry> for Pending {
    fn from(entry: &Entry) -> Self {
        Self::of_parts(entry.kind, &entry.key, &entry.payload)
    }
}

impl AddAssign for Pending {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.dead_letters += other.dead_letters;
        self.dead_letter_bytes += other.dead_letter_bytes;
        self.failed_sign_in_bytes += other.failed_sign_in_bytes;
    }
}

/// Saturates at zero, because entries of earlier versions were not counted.
impl SubAssign for Pending {
    fn sub_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.dead_letters = self.dead_letters.saturating_sub(other.dead_letters);
        self.dead_letter_bytes = self.dead_letter_bytes.saturating_sub(other.dead_letter_bytes);
        self.failed_sign_in_bytes = self
            .failed_sign_in_bytes
            .saturating_sub(other.failed_sign_in_bytes);
    }
}

/// How much of a dead letter is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Whole,
    /// Only its first bytes, its size and its hash.
    Digest,
    Nothing,
}

/// The limits for a journal of a given size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quota {
    pub max_bytes: u64,
}

impl Quota {
    /// Pending bytes that one device may have.
    pub fn of_device(self) -> u64 {
        self.max_bytes / DEVICE_SHARE
    }

    /// Whether an audit entry of size `new` fits in addition to the gateway's own pending entries.
    pub fn has_room_for_audit(self, pending: Pending, new: Pending) -> bool {
        pending.bytes + new.bytes <= self.max_bytes / AUDIT_SHARE
            && (new.failed_sign_in_bytes == 0
                || pending.failed_sign_in_bytes + new.failed_sign_in_bytes
                    <= self.max_bytes / FAILED_SIGN_IN_SHARE)
    }

    /// How much of another dead letter is kept, if the device has `device` pending and all devices together have `all`.
    ///
    /// Digests may take as much again as whole dead letters. Beyond that a dead letter is only counted.
    pub fn dead_letter(self, device: Pending, all: Pending) -> Kept {
        let of_device = self.max_bytes / DEAD_LETTERS_OF_DEVICE;
        let of_all = self.max_bytes / DEAD_LETTERS_OF_ALL;
        let exceeds = |times: u64| {
            device.dead_letters >= times * MAX_DEAD_LETTERS
                || device.dead_letter_bytes >= times * of_device
                || all.dead_letter_bytes >= times * of_all
        };
        match (exceeds(1), exceeds(2)) {
            (false, _) => Kept::Whole,
            (true, false) => Kept::Digest,
            (true, true) => Kept::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_sign_ins_leave_room_for_other_audit_entries_and_both_for_the_tills() {
        let quota = Quota { max_bytes: 64 << 10 };
        let of = |class| Pending::of_parts(EntryKind::Audit(class), "paris-1", &[0; 200]);
        let fill = |mut pending: Pending, class| {
            let mut count = 0;
            while quota.has_room_for_audit(pending, of(class)) {
                pending += of(class);
                count += 1;
            }
            (pending, count)
        };
        let (pending, guesses) = fill(Pending::default(), AuditClass::FailedSignIn);
        assert_eq!(guesses, 3);
        let (pending, acts) = fill(pending, AuditClass::Act);
        assert_eq!(acts, 9);
        assert!(pending.bytes <= quota.of_device() / 8, "tills may use much more");
    }

    #[test]
    fn dead_letters_are_kept_whole_then_as_digests_then_only_counted() {
        let quota = Quota { max_bytes: 1 << 30 };
        let of = |bytes| Pending {
            dead_letter_bytes: bytes,
            ..Pending::default()
        };
        let kept = |device: u64, all: u64| quota.dead_letter(of(device << 20), of(all << 20));
        assert_eq!(kept(63, 255), Kept::Whole);
        assert_eq!(kept(64, 64), Kept::Digest);
        assert_eq!(kept(128, 128), Kept::Nothing);
        assert_eq!(kept(0, 256), Kept::Digest, "the others' dead letters count too");
        assert_eq!(kept(0, 512), Kept::Nothing);
        let many = Pending {
            dead_letters: MAX_DEAD_LETTERS,
            ..Pending::default()
        };
        assert_eq!(quota.dead_letter(many, many), Kept::Digest);
    }
}
