//! Puts librdkafka's timed waits on the monotonic clock.
//!
//! librdkafka adds a timeout to the wall clock and waits until that time with C11's `cnd_timedwait` (its issue 2145).
//! If the clock is set back by an hour during the wait, the wait lasts an hour longer: nothing is read, committed or
//! closed. All of librdkafka's timed waits go through this one function, and librdkafka is linked statically. So the
//! program defines `cnd_timedwait` itself: it computes the remaining timeout and waits for that long on the monotonic
//! clock.

#![expect(unsafe_code, reason = "it replaces a function of the C library")]
#![allow(
    clippy::useless_conversion,
    reason = "these types are narrower on 32-bit targets"
)]

use std::ffi::c_int;
use std::time::{Duration, SystemTime};

/// `thrd_success`, `thrd_error` and `thrd_timedout` of glibc's `threads.h`.
const SUCCESS: c_int = 0;
const ERROR: c_int = 2;
const TIMED_OUT: c_int = 4;

unsafe extern "C" {
    fn pthread_cond_clockwait(
        condition: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
}

/// C's `struct timespec`.
#[cfg(target_pointer_width = "64")]
type TimeSpec = libc::timespec;

/// C's `struct timespec` with 32-bit times, the default on 32-bit targets.
#[cfg(target_pointer_width = "32")]
#[repr(C)]
pub struct TimeSpec {
    tv_sec: i32,
    tv_nsec: i32,
}

/// C11's `cnd_timedwait`, except that setting the wall clock back does not prolong the wait.
///
/// # Safety
/// The same as for C's function: valid pointers to a condition, to a mutex that this thread has locked, and to a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cnd_timedwait(
    condition: *mut libc::pthread_cond_t,
    mutex: *mut libc::pthread_mutex_t,
    until: *const TimeSpec,
) -> c_int {
    // SAFETY: upheld by the caller.
    unsafe {
        let timeout = remaining(i64::from((*until).tv_sec), i64::from((*until).tv_nsec));
        wait(condition, mutex, timeout)
    }
}

/// [`cnd_timedwait`] for C code compiled with 64-bit times on a 32-bit target.
#[cfg(target_pointer_width = "32")]
mod time64 {
    use super::{c_int, remaining, wait};

    #[repr(C)]
    pub struct TimeSpec {
        tv_sec: i64,
        #[cfg(target_endian = "big")]
        _padding: i32,
        tv_nsec: i32,
        #[cfg(target_endian = "little")]
        _padding: i32,
    }

    /// # Safety
    /// The same as for C's function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __cnd_timedwait64(
        condition: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        until: *const TimeSpec,
    ) -> c_int {
        // SAFETY: upheld by the caller.
        unsafe {
            let timeout = remaining((*until).tv_sec, i64::from((*until).tv_nsec));
            wait(condition, mutex, timeout)
        }
    }
}

/// The time left until that moment of the wall clock.
fn remaining(seconds: i64, nanoseconds: i64) -> Duration {
    let until = u64::try_from(seconds).unwrap_or(0);
    let until = Duration::new(until, u32::try_from(nanoseconds).unwrap_or(0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    until.saturating_sub(now.unwrap_or_default())
}

/// # Safety
/// The same as for [`cnd_timedwait`].
unsafe fn wait(
    condition: *mut libc::pthread_cond_t,
    mutex: *mut libc::pthread_mutex_t,
    timeout: Duration,
) -> c_int {
    let mut until = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `until` is valid for writes, and Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut until) };
    let nanoseconds = i64::from(until.tv_nsec) + i64::from(timeout.subsec_nanos());
    let seconds = timeout.as_secs() as i64 + nanoseconds / 1_000_000_000;
    // `as`: the types' sizes depend on the target; uptime plus a timeout fits in all of them.
    until.tv_sec += seconds as libc::time_t;
    until.tv_nsec = (nanoseconds % 1_000_000_000) as libc::c_long;
    // SAFETY: upheld by the caller; glibc's C11 conditions and mutexes are its POSIX ones.
    match unsafe { pthread_cond_clockwait(condition, mutex, libc::CLOCK_MONOTONIC, &raw const until) } {
        0 => SUCCESS,
        libc::ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}
