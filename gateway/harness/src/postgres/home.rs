//! The folder of the server's data and logs, in a place that the server's user may enter.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use super::account::Account;
use crate::scratch::Scratch;

/// The folder of the server's data and logs, removed on drop.
#[derive(Debug)]
pub(super) enum Home {
    Scratch(Scratch),
    /// At the same place in `/tmp` or `/var/tmp`, because the server's user may not enter `$TMPDIR`.
    Public(PublicFolder),
}

impl Home {
    pub(super) fn create(account: Option<&Account>) -> Result<Self> {
        let scratch = Scratch::new("postgres")?;
        let Some(account) = account else {
            return Ok(Self::Scratch(scratch));
        };
        open_for_search(scratch.path())?;
        if account.may_enter(scratch.path()) {
            return Ok(Self::Scratch(scratch));
        }
        let name = scratch
            .path()
            .file_name()
            .context("the scratch folder has no name")?;
        for root in ["/tmp", "/var/tmp"] {
            // If one folder fails, the other may still work.
            if let Ok(folder) = PublicFolder::create(Path::new(root), name)
                && account.may_enter(&folder.0)
            {
                return Ok(Self::Public(folder));
            }
        }
        bail!(
            "the user {} may enter neither {} nor /tmp; set TMPDIR to a folder that every user may enter",
            account.name,
            scratch.path().display()
        )
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Scratch(scratch) => scratch.path(),
            Self::Public(folder) => &folder.0,
        }
    }
}

/// Like [`Scratch`], but in another folder than `$TMPDIR`. If this process is killed, the folder stays until a test
/// process starts whose `$TMPDIR` is that folder.
#[derive(Debug)]
pub(super) struct PublicFolder(PathBuf);

impl PublicFolder {
    fn create(root: &Path, name: &OsStr) -> Result<Self> {
        let parent = root.join("comptoir-harness");
        fs::create_dir_all(&parent)?;
        // Not create_dir_all: the folder must be new.
        fs::create_dir(parent.join(name))?;
        let folder = Self(parent.join(name));
        open_for_search(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for PublicFolder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            // Nothing can be done about a folder that cannot be removed.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Lets every user pass through a new folder and the folder `comptoir-harness` around it, whatever the umask is. They can
/// open only files whose names they know and whose permissions let them.
fn open_for_search(folder: &Path) -> Result<()> {
    for folder in folder.ancestors().take(2) {
        let metadata =
            fs::symlink_metadata(folder).with_context(|| format!("inspect {}", folder.display()))?;
        // The outer folder may belong to another user, or be that user's link to anywhere.
        if metadata.is_dir() && metadata.uid() == geteuid().as_raw() {
            fs::set_permissions(folder, Permissions::from_mode(metadata.mode() | 0o011))
                .with_context(|| format!("change the permissions of {}", folder.display()))?;
        }
    }
    Ok(())
}
