//! Configures glibc's heap: one arena for all threads, which keeps some free memory and returns the rest.
//!
//! Batches of megabytes are allocated and freed on every thread. By default glibc has one arena per thread, and no
//! thread can use memory that another has freed: under load the process needs half as much memory again. glibc also
//! returns every large block to the kernel at once and requests it again a moment later. The kernel then clears each
//! page anew, which took a sixth of the CPU time of an event.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often free memory is returned to the kernel. Getting it back costs some milliseconds each time.
const TRIM_PERIOD: Duration = Duration::from_secs(10);

/// Makes all threads use one arena. Call this before any other thread runs.
pub fn use_single_arena() {
    glibc::use_single_arena();
}

/// Returns free memory to the kernel periodically, until `stop`.
pub async fn trim_periodically(stop: CancellationToken) {
    while tokio::time::timeout(TRIM_PERIOD, stop.cancelled()).await.is_err() {
        glibc::trim();
    }
}

#[cfg(target_env = "gnu")]
mod glibc {
    #![expect(unsafe_code, reason = "there is no safe wrapper of mallopt and malloc_trim")]

    /// Free bytes that glibc keeps at the end of the heap: more than a burst of events needs.
    const TRIM_THRESHOLD: libc::c_int = 32 << 20;
    /// Blocks up to this size, in bytes, come from the heap instead of directly from the kernel. glibc ignores a value
    /// above its maximum, which is 512 KiB on 32-bit systems.
    const MMAP_THRESHOLD: libc::c_int = if cfg!(target_pointer_width = "64") {
        4 << 20
    } else {
        512 << 10
    };

    pub fn use_single_arena() {
        // SAFETY: mallopt only sets parameters of the allocator, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        }
    }

    pub fn trim() {
        // SAFETY: malloc_trim may be called at any time, from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(not(target_env = "gnu"))]
mod glibc {
    pub fn use_single_arena() {}

    pub fn trim() {}
}
