//! Opens the file, after checking that it is a journal, undamaged, and not of a newer version.
//!
//! The checks only read, so a file that fails one stays unchanged.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::wal;
use crate::sqlite::{Readers, WriteConnection, is_disk_error};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| comptoir_migrate::embedded!());

/// The newest schema version that this gateway knows. It rejects journals with a later one.
pub fn schema_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// "Cmpt", the application id in the SQLite header of a journal.
const APPLICATION_ID: u32 = 0x436d_7074;

/// A value of `user_version` in the SQLite header: a journal in use.
pub(super) const JOURNAL: u32 = 1;
/// A copy that no gateway has opened yet.
pub(super) const COPY: u32 = 2;

/// Sets `user_version`, within the caller's transaction if there is one.
pub(super) async fn mark(connection: &mut SqliteConnection, version: u32) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {version}")))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Whether `gateway backup` made the file and no gateway has opened it yet.
pub(super) async fn is_copy(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(connection)
        .await?;
    Ok(version == i64::from(COPY))
}

/// Pages in the WAL after which a commit starts a checkpoint. Larger than SQLite's default of 1,000, so that the pages
/// that every commit touches are written back only once for many commits.
const CHECKPOINT_PAGES: &str = "4000";

/// Why the journal cannot be opened. The file has not been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {problem}")]
    Unreadable { path: PathBuf, problem: std::io::Error },
    #[error("{path} is in use: another gateway runs on this journal")]
    InUse { path: PathBuf },
    #[error("{path} is not a Comptoir journal; it was left as it is")]
    Foreign { path: PathBuf },
    #[error(
        "{path} is damaged ({problem}); it was left as it is. Restore a backup, or move the file away to start a new journal"
    )]
    Damaged { path: PathBuf, problem: String },
    #[error("{path} was written by a newer version of the gateway (schema {version}); it was left as it is")]
    Newer { path: PathBuf, version: i64 },
    #[error("{path} could not be opened: {problem}")]
    Storage { path: PathBuf, problem: sqlx::Error },
    #[error("{path} could not be migrated to the schema of this version: {problem}")]
    Migration {
        path: PathBuf,
        problem: Box<MigrateError>,
    },
}

/// The open file, with the lock that excludes a second gateway.
pub(super) struct OpenFile {
    pub writer: WriteConnection,
    pub readers: Readers,
    pub lock: File,
}

/// Opens or creates the journal for the gateway.
pub(super) async fn open(path: &Path) -> Result<OpenFile, OpenError> {
    let unreadable = |problem| OpenError::Unreadable {
        path: path.to_owned(),
        problem,
    };
    let storage = |problem| OpenError::Storage {
        path: path.to_owned(),
        problem,
    };
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(unreadable)?;
    }
    let lock = lock(path)?;
    if is_new(path)? {
        create(path).await.map_err(storage)?;
    } else {
        check(path).await?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5));
    let writer = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-4096")
        .thread_name(|_| "journal-writer".to_owned());
    let mut writer = WriteConnection::open(writer).await.map_err(storage)?;
    let connection = writer.get().await.map_err(storage)?;
    wal::rewrite(connection, path).await.map_err(storage)?;
    MIGRATIONS
        .run(connection)
        .await
        .map_err(|problem| match problem {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
                OpenError::Newer {
                    path: path.to_owned(),
                    version,
                }
            }
            problem => OpenError::Migration {
                path: path.to_owned(),
                problem: Box::new(problem),
            },
        })?;
    let options = options
        .read_only(true)
        .pragma("cache_size", "-1024")
        .row_buffer_size(256)
        .thread_name(|n| format!("journal-read-{n}"));
    let readers = Readers::open(3, options).await.map_err(storage)?;
    Ok(OpenFile {
        writer,
        readers,
        lock,
    })
}

/// Opens a journal read-only, for commands beside a running gateway.
pub(super) async fn open_for_reading(path: &Path) -> Result<SqlitePool, OpenError> {
    if is_new(path)? {
        return Err(OpenError::Unreadable {
            path: path.to_owned(),
            problem: std::io::ErrorKind::NotFound.into(),
        });
    }
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(
            SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .busy_timeout(Duration::from_secs(5)),
        )
        .await
        .map_err(|problem| OpenError::Storage {
            path: path.to_owned(),
            problem,
        })
}

/// Whether a journal exists that a gateway would continue instead of creating one. Only reads, and may run beside a
/// running gateway. Does not check for damage, because that would read the whole file.
pub(super) async fn exists(path: &Path) -> Result<bool, OpenError> {
    if is_new(path)? {
        return Ok(false);
    }
    let storage = |problem| OpenError::Storage {
        path: path.to_owned(),
        problem,
    };
    let readers = open_for_reading(path).await?;
    let version: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&readers)
        .await
        .map_err(storage)?;
    readers.close().await;
    match version.filter(|version| *version > schema_version()) {
        Some(version) => Err(OpenError::Newer {
            path: path.to_owned(),
            version,
        }),
        None => Ok(true),
    }
}

/// The public name of the secret that a journal was used with. A journal of an earlier schema has none.
pub(super) async fn secret(path: &Path) -> Result<Option<String>, OpenError> {
    let storage = |problem| OpenError::Storage {
        path: path.to_owned(),
        problem,
    };
    let readers = open_for_reading(path).await?;
    let secret = async {
        let has_column: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info('journal') WHERE name = 'secret')",
        )
        .fetch_one(&readers)
        .await?;
        match has_column {
            true => {
                sqlx::query_scalar("SELECT secret FROM journal")
                    .fetch_one(&readers)
                    .await
            }
            false => Ok(None),
        }
    }
    .await;
    readers.close().await;
    secret.map_err(storage)
}

/// Locks the journal: two gateways on one journal would assign the same offsets twice.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(|problem| OpenError::Unreadable {
            path: path.to_owned(),
            problem,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(problem)) => Err(OpenError::Unreadable {
            path: path.to_owned(),
            problem,
        }),
    }
}

/// Whether the file is absent or empty. If not, its header must name SQLite and our application id (offsets 0 and 68 of
/// the file format, <https://www.sqlite.org/fileformat.html>).
fn is_new(path: &Path) -> Result<bool, OpenError> {
    let unreadable = |problem| OpenError::Unreadable {
        path: path.to_owned(),
        problem,
    };
    // Opening a pipe would wait for its writer, and a new journal would replace an empty device.
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(found) if !found.is_file() => {
            return Err(unreadable(std::io::Error::other("it is not a regular file")));
        }
        Ok(_) => {}
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(problem) => return Err(unreadable(problem)),
    }
    let mut header = [0; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(problem) => {
            return Err(OpenError::Unreadable {
                path: path.to_owned(),
                problem,
            });
        }
    };
    let mut read = 0;
    while read < header.len() {
        match file.read(&mut header[read..]) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(problem) => {
                return Err(OpenError::Unreadable {
                    path: path.to_owned(),
                    problem,
                });
            }
        }
    }
    if read == 0 {
        return Ok(true);
    }
    let id = u32::from_be_bytes([header[68], header[69], header[70], header[71]]);
    if read < header.len() || !header.starts_with(b"SQLite format 3\0") || id != APPLICATION_ID {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(false)
}

/// Creates an empty journal in WAL mode. It is created under a temporary name, so that a power cut leaves either a
/// complete file or none, never one that [`is_new`] and [`check`] would have to reject.
async fn create(path: &Path) -> Result<(), sqlx::Error> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    // Leftovers of an interrupted start; usually there are none.
    for ending in [".new", ".new-journal", ".new-wal", ".new-shm"] {
        let _ = std::fs::remove_file(beside(ending));
    }
    let new = beside(".new");
    let mut connection = SqliteConnectOptions::new()
        .filename(&new)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("application_id", APPLICATION_ID.to_string())
        .connect()
        .await?;
    mark(&mut connection, JOURNAL).await?;
    // Last, because the application id must be in the main file: `is_new` reads that and not the WAL.
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

/// Reads every page and walks every b-tree, on a read-only connection. Repeats a failed check once, because a read
/// error can be transient.
async fn check(path: &Path) -> Result<(), OpenError> {
    match check_once(path).await {
        Ok(()) => Ok(()),
        Err(_) => check_once(path).await,
    }
}

async fn check_once(path: &Path) -> Result<(), OpenError> {
    let damaged = |problem: String| OpenError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .connect()
        .await
        .map_err(|error| damaged(error.to_string()))?;
    let verdict: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await;
    // Nothing was written, so an error while closing is harmless.
    let _ = connection.close().await;
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(problem) => Err(damaged(problem)),
        // Not necessarily damage: the next attempt may succeed.
        Err(problem) if is_disk_error(&problem) => Err(OpenError::Storage {
            path: path.to_owned(),
            problem,
        }),
        Err(error) => Err(damaged(error.to_string())),
    }
}
