//! The C library's heap: one for all threads, kept while there is work, given back when it has grown.
//!
//! Batches come and go by the megabyte on every thread. glibc keeps a heap for each thread, and what one has freed
//! another does not get: under load that is half as much memory again. And it gives every large piece back to the kernel
//! at once, to ask for it again a moment later: each page of it is then cleared anew, which took a sixth of the CPU time
//! of an event.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often what a rush has left is given back. What is needed again costs some milliseconds each time.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// To be called before there are other threads.
pub fn share() {
    glibc::share();
}

/// Gives free memory back to the kernel now and then, until `stop`.
pub async fn give_back(stop: CancellationToken) {
    while tokio::time::timeout(GIVE_BACK, stop.cancelled()).await.is_err() {
        glibc::give_back();
    }
}

#[cfg(target_env = "gnu")]
mod glibc {
    #![expect(unsafe_code, reason = "there is no safe way to say it")]

    /// Free memory at the heap's end that is kept, and pieces that are taken from the heap rather than from the kernel:
    /// more than a rush needs. A number above what this glibc takes would change nothing; on 32 bits that is 512 KiB.
    const KEPT_FREE: libc::c_int = 32 << 20;
    const LARGE: libc::c_int = if cfg!(target_pointer_width = "64") {
        4 << 20
    } else {
        512 << 10
    };

    pub fn share() {
        // SAFETY: mallopt only sets numbers of the allocator's, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_FREE);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        }
    }

    pub fn give_back() {
        // SAFETY: it may be called at any time, from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(not(target_env = "gnu"))]
mod glibc {
    pub fn share() {}

    pub fn give_back() {}
}
