//! A wall clock that a test sets, for the processes that are started with it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::scratch::Scratch;

const SOURCE: &str = include_str!("../clock/clock.c");

/// Ahead of this machine's clock by as much as it was set.
#[derive(Debug)]
pub struct SettableClock {
    scratch: Scratch,
}

impl SettableClock {
    /// A clock that is ahead by so many seconds, or behind.
    ///
    /// # Errors
    /// There is no C compiler.
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

    /// Sets it, also for processes that run.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub fn set(&self, ahead: i64) -> Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.file())?;
        // In place, for it is mapped.
        file.write_all_at(&ahead.to_ne_bytes(), 0)?;
        Ok(())
    }

    /// For the environment of a process that is to have this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        let of = |name: &str, path: PathBuf| (name.to_owned(), path.display().to_string());
        vec![of("LD_PRELOAD", self.library()), of("HARNESS_CLOCK", self.file())]
    }

    fn library(&self) -> PathBuf {
        self.scratch.join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.scratch.join("ahead")
    }
}
