//! A wall clock that a test can set, for the child processes that are started with it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::scratch::Scratch;

const SOURCE: &str = include_str!("../clock/clock.c");

/// A wall clock with a settable offset to this machine's clock.
#[derive(Debug)]
pub struct SettableClock {
    scratch: Scratch,
}

impl SettableClock {
    /// A clock that is `ahead` seconds ahead of this machine's; negative for behind.
    ///
    /// # Errors
    /// There is no C compiler, or it fails.
    pub fn new(ahead: i64) -> Result<Self> {
        let clock = Self {
            scratch: Scratch::new("clock")?,
        };
        let source = clock.scratch.join("clock.c");
        fs::write(&source, SOURCE)?;
        let output = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([clock.library(), source])
            .output()
            .context("start the C compiler, cc")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        clock.set(ahead)?;
        Ok(clock)
    }

    /// Sets the offset in seconds. Running processes see it at once.
    ///
    /// # Errors
    /// The file with the offset cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.file())?;
        // Written in place, because processes have the file mapped.
        file.write_all_at(&ahead.to_ne_bytes(), 0)?;
        Ok(())
    }

    /// The environment variables that make a process use this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        let variable = |name: &str, path: PathBuf| (name.to_owned(), path.display().to_string());
        vec![
            variable("LD_PRELOAD", self.library()),
            variable("HARNESS_CLOCK", self.file()),
        ]
    }

    fn library(&self) -> PathBuf {
        self.scratch.join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.scratch.join("ahead")
    }
}
