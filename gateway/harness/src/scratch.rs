//! Folders and ports that no other test uses.

use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use anyhow::{Context, Result, bail};
use rand::RngExt;

/// A folder that is removed on drop. If the thread is panicking, it stays until the next test process starts, and its path
/// is printed.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates an empty folder. `name` is part of its name.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let root = std::env::temp_dir().join("comptoir-harness");
        SWEEP.call_once(|| sweep(&root));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{}-{number}-{name}", process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create the folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            // A later process removes what cannot be removed now.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Removes the folders of dead processes: statics are never dropped, and a SIGKILL drops nothing.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.split_once('-'))
            .map(|(pid, _)| pid);
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A free TCP port of the loopback interface. This process returns each port only once.
///
/// # Errors
/// No free port was found.
pub fn free_port() -> Result<u16> {
    static RETURNED: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    for _ in 0..1000 {
        // Below Linux's range for outgoing connections. Otherwise a client could take a server's port while the server
        // restarts.
        let port = rand::rng().random_range(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && RETURNED
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(port)
        {
            return Ok(port);
        }
    }
    bail!("no free port between 10000 and 32000")
}
