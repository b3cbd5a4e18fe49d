//! librdkafka's timed waits, on a clock that nobody sets.
//!
//! librdkafka reads the wall clock, adds a timeout and waits for that moment with C11's `cnd_timedwait` (its issue 2145).
//! A clock that is set back by an hour meanwhile makes the wait last an hour longer: nothing is read, committed or
//! closed. All of its waits pass through this one function, and librdkafka is linked statically. So the program has the
//! function itself: it takes what is left of the timeout, and waits for that on the monotonic clock.

#![expect(unsafe_code, reason = "it takes the place of a function of the C library")]
#![allow(clippy::useless_conversion, reason = "these numbers are shorter on 32 bits")]

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

/// What C calls `struct timespec`.
#[cfg(target_pointer_width = "64")]
type Moment = libc::timespec;

/// The one that programs for 32 bits have used since long.
#[cfg(target_pointer_width = "32")]
#[repr(C)]
pub struct Moment {
    tv_sec: i32,
    tv_nsec: i32,
}

/// Waits as C11 says, but not longer where the wall clock is set back meanwhile.
///
/// # Safety
/// As for C's function: a condition and a mutex that this thread has locked, and a moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cnd_timedwait(
    condition: *mut libc::pthread_cond_t,
    mutex: *mut libc::pthread_mutex_t,
    until: *const Moment,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let left = left(i64::from((*until).tv_sec), i64::from((*until).tv_nsec));
        wait(condition, mutex, left)
    }
}

/// [`cnd_timedwait`] for C that was compiled for 32 bits with times of 64.
#[cfg(target_pointer_width = "32")]
mod with_long_times {
    use super::{c_int, left, wait};

    #[repr(C)]
    pub struct Moment {
        tv_sec: i64,
        #[cfg(target_endian = "big")]
        _padding: i32,
        tv_nsec: i32,
        #[cfg(target_endian = "little")]
        _padding: i32,
    }

    /// # Safety
    /// As for C's function.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __cnd_timedwait64(
        condition: *mut libc::pthread_cond_t,
        mutex: *mut libc::pthread_mutex_t,
        until: *const Moment,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe {
            let left = left((*until).tv_sec, i64::from((*until).tv_nsec));
            wait(condition, mutex, left)
        }
    }
}

/// From now to that moment of the wall clock.
fn left(seconds: i64, nanoseconds: i64) -> Duration {
    let until = u64::try_from(seconds).unwrap_or(0);
    let until = Duration::new(until, u32::try_from(nanoseconds).unwrap_or(0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    until.saturating_sub(now.unwrap_or_default())
}

/// # Safety
/// As for [`cnd_timedwait`].
unsafe fn wait(
    condition: *mut libc::pthread_cond_t,
    mutex: *mut libc::pthread_mutex_t,
    within: Duration,
) -> c_int {
    let mut until = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes to `until`. Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut until) };
    let nanoseconds = i64::from(until.tv_nsec) + i64::from(within.subsec_nanos());
    let seconds = within.as_secs() as i64 + nanoseconds / 1_000_000_000;
    // `as`: these types have other sizes elsewhere; the machine's uptime and a timeout fit in any.
    until.tv_sec += seconds as libc::time_t;
    until.tv_nsec = (nanoseconds % 1_000_000_000) as libc::c_long;
    // SAFETY: the caller's promise; glibc's C11 conditions and mutexes are its POSIX ones.
    match unsafe { pthread_cond_clockwait(condition, mutex, libc::CLOCK_MONOTONIC, &raw const until) } {
        0 => SUCCESS,
        libc::ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}
