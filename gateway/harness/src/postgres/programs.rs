//! PostgreSQL's programs: where they are, and their environment.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The first version that the project supports.
const LEAST_VERSION: u32 = 15;

/// Where PostgreSQL's programs are.
#[derive(Debug)]
pub(super) struct Programs {
    /// `None`: on the `PATH`.
    folder: Option<PathBuf>,
}

impl Programs {
    /// Debian installs the server, in any number of versions, outside the `PATH`. The newest is used.
    pub(super) fn find() -> Self {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let newest = versions
            .filter_map(|entry| {
                let version: u32 = entry.file_name().to_str()?.parse().ok()?;
                let folder = entry.path().join("bin");
                let is_complete = ["initdb", "postgres", "psql"]
                    .iter()
                    .all(|program| folder.join(program).is_file());
                (version >= LEAST_VERSION && is_complete).then_some((version, folder))
            })
            .max();
        Self {
            folder: newest.map(|(_, folder)| folder),
        }
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join(program),
            None => program.into(),
        }
    }

    /// Runs SQL with `psql` on the database `url` and returns what it prints.
    pub(super) async fn query(&self, deadline: Duration, url: &str, sql: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(self.path("psql"));
        for name in postgres_variables() {
            command.env_remove(name);
        }
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--command", sql, url])
            .env("LC_ALL", "C")
            .env("PGCLIENTENCODING", "UTF8")
            .kill_on_drop(true);
        let output = tokio::time::timeout(deadline, command.output())
            .await
            .with_context(|| format!("psql: no result within {deadline:?} of {sql:?}"))?
            .context("start psql")?;
        ensure!(
            output.status.success(),
            "psql: {sql:?} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        let printed = String::from_utf8(output.stdout).context("read psql's output")?;
        Ok(printed.trim_end().to_owned())
    }
}

/// Variables such as `PGPORT` and `PGOPTIONS`, which set a developer's defaults for all PostgreSQL programs.
pub(super) fn postgres_variables() -> impl Iterator<Item = OsString> {
    env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.as_encoded_bytes().starts_with(b"PG"))
}
