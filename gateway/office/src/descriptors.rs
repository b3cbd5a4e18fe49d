//! File descriptors: enough for the connections of the port, and for the office's own to Kafka and PostgreSQL.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ConfigError;

/// For Kafka, PostgreSQL, files and the runtime.
const OWN: u64 = 256;

/// Raises the soft limit of open files as far as the connections need it. Programs start with a low one because of
/// `select`, which the office does not use.
///
/// # Errors
/// The hard limit is lower.
pub fn reserve(max_connections: usize) -> Result<(), ConfigError> {
    let needed = max_connections as u64 + OWN;
    let limit = getrlimit(Resource::Nofile);
    // `None`: unlimited.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| {
        ConfigError(format!(
            "http.max_connections: {max_connections} connections need {needed} file descriptors, and this process may \
             have {}; raise its limit, for example with LimitNOFILE={needed} in its systemd unit, or write a smaller \
             number, for example 512",
            limit.maximum.unwrap_or_default()
        ))
    })
}
