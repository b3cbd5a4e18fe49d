//! The operating system user that runs the server.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

/// An operating system user other than root.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `None` if this process is not root: then the server runs as the same user.
    pub(super) fn for_server() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let account = ["postgres", "nobody"]
            .iter()
            .find_map(|name| users.lines().find_map(|line| Self::parse(line, name)));
        match account {
            Some(account) => Ok(Some(account)),
            None => bail!("PostgreSQL does not run as root, and /etc/passwd has no user postgres or nobody"),
        }
    }

    /// Parses the line of `/etc/passwd` that belongs to `name`: `name:password:uid:gid:…`.
    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
        Some(Self {
            name: name.to_owned(),
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    /// True if it may pass through `folder` and all folders above it.
    pub(super) fn may_enter(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else {
            return false;
        };
        folder.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|metadata| {
                let search = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                metadata.mode() & search != 0
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        let account = Account::parse(line, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(Account::parse(line, "post").is_none());
        assert!(Account::parse("postgres-old:x:7:7::/:/bin/sh", "postgres").is_none());
    }
}
