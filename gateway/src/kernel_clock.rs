//! Whether this machine's clock can be relied on, as far as the machine itself can tell.

use jiff::Timestamp;

/// No gateway of this version runs earlier. A machine without a battery starts its clock long before.
const EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Why a clock is not relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The kernel has not been told the time, by NTP or otherwise, since it started or for hours.
    Unsynchronised,
    /// It shows a time before this program existed.
    Impossible,
}

/// Why this machine's clock is not to be relied on; `None` if it is, or if nobody can tell.
pub fn doubt() -> Option<Doubt> {
    if Timestamp::now() < EARLIEST {
        return Some(Doubt::Impossible);
    }
    kernel::is_unsynchronised().then_some(Doubt::Unsynchronised)
}

#[cfg(target_os = "linux")]
mod kernel {
    #![expect(unsafe_code, reason = "no safe binding of adjtimex is among the dependencies")]

    pub fn is_unsynchronised() -> bool {
        // SAFETY: timex is plain numbers, for which zero is a value; with `modes` 0 the kernel only fills it in.
        let (state, status) = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&mut timex), timex.status)
        };
        // A sandbox may forbid the call.
        state != -1 && status & libc::STA_UNSYNC != 0
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub fn is_unsynchronised() -> bool {
        false
    }
}
