//! Makes sure that the WAL in the page cache is also on the disk.
//!
//! After a failed fsync Linux marks the pages as clean: they can be read, may not be on the disk, and the next fsync
//! succeeds ("Can Applications Recover from fsync Failures?", USENIX ATC 2020). SQLite reads such frames when it
//! recovers, even in a new process, and an ack could then rely on them. So before the first ack after an error or a
//! start, this module overwrites the WAL with its own content, which makes its pages dirty again, and syncs it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

const CHUNK: usize = 1 << 20;
const BLOCK: usize = 4 << 10;

/// Overwrites the WAL of the journal at `path` with its own content and syncs it. The connection holds the write lock
/// meanwhile.
pub(super) async fn rewrite(connection: &mut SqliteConnection, path: &Path) -> Result<(), sqlx::Error> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    let locked = connection.begin_with("BEGIN IMMEDIATE").await?;
    let written = tokio::task::spawn_blocking(move || rewrite_file(&wal)).await;
    locked.rollback().await?;
    written
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(sqlx::Error::Io)
}

/// Moves the content of the WAL into the file and truncates it.
pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(connection)
        .await
        .map(|_| ())
}

fn rewrite_file(wal: &Path) -> io::Result<()> {
    let file: File = match OpenOptions::new().read(true).write(true).open(wal) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(());
    }
    let mut bytes = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let mut part = at_most(CHUNK, length - at);
        if file.read_exact_at(&mut bytes[..part], at).is_err() {
            part = at_most(BLOCK, length - at);
            if file.read_exact_at(&mut bytes[..part], at).is_err() {
                // SQLite cannot read this block either, so no ack can rely on it.
                at += part as u64;
                continue;
            }
        }
        file.write_all_at(&bytes[..part], at)?;
        at += part as u64;
    }
    file.sync_all()
}

fn at_most(limit: usize, left: u64) -> usize {
    usize::try_from(left).unwrap_or(limit).min(limit)
}
