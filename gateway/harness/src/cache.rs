//! The cache folder in which the fetch scripts put Kafka, Python packages and nginx.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$COMPTOIR_CACHE`, or `comptoir` in the user's cache folder. The scripts use the same rule.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("COMPTOIR_CACHE") {
        return Ok(folder.into());
    }
    let caches = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => env::home_dir().context("there is no home folder")?.join(".cache"),
    };
    Ok(caches.join("comptoir"))
}
