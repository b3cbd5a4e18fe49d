//! Is this machine's clock synchronised with a time server?

use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;

/// Whether a time server synchronises the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronisation {
    Synchronised,
    /// Not yet, or no longer.
    Unsynchronised,
    /// The operating system does not report it, or reports the clock of another machine.
    Unknown,
}

/// Reports the kernel's statement about its clock, if this machine sets that clock.
pub(super) fn synchronisation(now: Timestamp) -> Synchronisation {
    match (kernel_says_synchronised(), is_set_by_systemd()) {
        (Some(true), _) => Synchronisation::Synchronised,
        (Some(false), true) => Synchronisation::Unsynchronised,
        // No program can run before it was built, so the clock is wrong.
        _ if program_built().is_some_and(|built| now < built) => Synchronisation::Unsynchronised,
        _ => Synchronisation::Unknown,
    }
}

/// Whether the kernel's "not synchronised" is credible. A container uses its host's clock, often with a kernel that
/// reports nothing about it. Without systemd, and in many virtual machines, the clock may be synchronised in ways
/// unknown to the kernel.
fn is_set_by_systemd() -> bool {
    static IS_SET_BY_SYSTEMD: LazyLock<bool> = LazyLock::new(|| {
        let in_container = ["/run/systemd/container", "/.dockerenv", "/run/.containerenv"];
        Path::new("/run/systemd/system").is_dir() && !in_container.iter().any(|path| Path::new(path).exists())
    });
    *IS_SET_BY_SYSTEMD
}

/// The modification time of this program's file.
fn program_built() -> Option<Timestamp> {
    static BUILT: LazyLock<Option<Timestamp>> = LazyLock::new(|| {
        let modified = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
        Timestamp::try_from(modified).ok()
    });
    *BUILT
}

/// `None` if the kernel does not report it.
#[expect(unsafe_code, reason = "there is no safe wrapper of adjtimex")]
fn kernel_says_synchronised() -> Option<bool> {
    // SAFETY: timex consists of integers, for which zero is valid. All-zero means "change nothing" to the kernel.
    let mut answer: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: adjtimex only writes to `answer`.
    let state = unsafe { libc::adjtimex(&raw mut answer) };
    (state >= 0).then_some(answer.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_the_programs_own_build_is_not_synchronised() {
        let state = synchronisation(Timestamp::UNIX_EPOCH);
        // If the kernel reports a synchronised clock, that is trusted.
        let expected = match kernel_says_synchronised() {
            Some(true) => Synchronisation::Synchronised,
            _ => Synchronisation::Unsynchronised,
        };
        assert_eq!(state, expected);
    }
}
