//! What the kernel shows of the WAL, and what is on the disk.
//!
//! After a failed fsync Linux takes the pages for clean: they can be read, are perhaps not on the disk, and the next fsync
//! says that all is well ("Can Applications Recover from fsync Failures?", USENIX ATC 2020). SQLite reads such frames
//! when it recovers, also in a new process, and an ack could then rely on them. So before the first ack after an error or a
//! start the WAL is written over with itself, which makes its pages dirty again, and synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

const CHUNK: usize = 1 << 20;
const BLOCK: usize = 4 << 10;

/// Writes the WAL of the journal at `path` over with itself and syncs it, while the connection holds the lock under which
/// nobody writes to it.
pub(super) async fn write_anew(connection: &mut SqliteConnection, path: &Path) -> Result<(), sqlx::Error> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    let locked = connection.begin_with("BEGIN IMMEDIATE").await?;
    let written = tokio::task::spawn_blocking(move || over_itself(&wal)).await;
    locked.rollback().await?;
    written
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(sqlx::Error::Io)
}

/// Folds the WAL into the file and empties it.
pub(super) async fn fold(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(connection)
        .await
        .map(|_| ())
}

fn over_itself(wal: &Path) -> io::Result<()> {
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
        let mut part = part_of(CHUNK, length - at);
        if file.read_exact_at(&mut bytes[..part], at).is_err() {
            part = part_of(BLOCK, length - at);
            if file.read_exact_at(&mut bytes[..part], at).is_err() {
                // SQLite cannot rely on what nobody can read.
                at += part as u64;
                continue;
            }
        }
        file.write_all_at(&bytes[..part], at)?;
        at += part as u64;
    }
    file.sync_all()
}

fn part_of(most: usize, left: u64) -> usize {
    usize::try_from(left).unwrap_or(most).min(most)
}
