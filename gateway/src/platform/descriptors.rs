//! File descriptors: raises the process's limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// Assumed limit if the operating system sets none.
const UNLIMITED: usize = 1 << 20;

/// Raises the soft limit of open files to the hard limit, and returns the limit that then applies.
///
/// Programs start with a low soft limit because of `select`, which the gateway does not use.
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => return count(limit.maximum),
            // A sandbox may forbid it; the limit of the unit then applies.
            Err(error) => debug!(%error, "the limit of open files could not be raised"),
        }
    }
    count(limit.current)
}

fn count(limit: Option<u64>) -> usize {
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raised, count(limit.maximum));
        assert_eq!(count(None), UNLIMITED);
    }
}
