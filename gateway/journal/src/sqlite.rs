//! SQLite connections that live as long as the gateway and survive disk errors.
//!
//! After an error a connection cannot be trusted: SQLite may have rolled back while sqlx still counts an open
//! transaction, and the file descriptor may belong to a disk that is gone. So any error closes the connection, and the
//! next use opens another.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite};

/// The single connection of a writer.
pub struct WriteConnection {
    options: SqliteConnectOptions,
    open: Option<SqliteConnection>,
}

impl WriteConnection {
    /// # Errors
    ///
    /// The file cannot be opened.
    pub async fn open(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let open = Some(options.connect().await?);
        Ok(Self { options, open })
    }

    /// The connection, or a new one if the last one failed. Pass the result of using it to [`WriteConnection::settle`].
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub async fn get(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(self.options.connect().await?)),
        }
    }

    /// Closes the connection if its use has failed.
    ///
    /// # Errors
    ///
    /// Returns the error of `result`.
    pub async fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if result.is_err() {
            // Only the first error matters.
            let _ = self.close().await;
        }
        result
    }

    /// # Errors
    ///
    /// SQLite could not close the file, or the last checkpoint failed.
    pub async fn close(&mut self) -> Result<(), sqlx::Error> {
        match self.open.take() {
            Some(open) => open.close().await,
            None => Ok(()),
        }
    }
}

/// A pool of read-only connections. Cheap to clone.
#[derive(Clone)]
pub struct Readers(Arc<Shared>);

struct Shared {
    pool: SqlitePoolOptions,
    options: SqliteConnectOptions,
    open: RwLock<SqlitePool>,
}

impl Readers {
    /// Opens a pool of at most `max` connections. Opens the first one at once, to check that the file can be opened.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub async fn open(max: u32, options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let pool = SqlitePoolOptions::new().max_connections(max);
        let open = RwLock::new(pool.clone().connect_with(options.clone()).await?);
        Ok(Self(Arc::new(Shared { pool, options, open })))
    }

    fn pool(&self) -> SqlitePool {
        // The pool stays valid even if a thread panics while it holds the lock.
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone()
    }

    /// Runs a query. If it fails, all connections are replaced.
    ///
    /// # Errors
    ///
    /// Returns the error of the query.
    pub async fn read<T, F>(&self, query: impl FnOnce(SqlitePool) -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let read = query(self.pool()).await;
        if read.is_err() {
            // In a task, because closing the old pool waits for its last reader, which may be the caller.
            drop(tokio::spawn(self.replace()));
        }
        read
    }

    /// All rows of a query.
    ///
    /// # Errors
    ///
    /// Returns the error of the query.
    pub async fn fetch_all(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        self.read(async move |pool| query.fetch_all(&pool).await).await
    }

    /// Replaces the pool; new connections open on demand. The returned future closes the old ones.
    pub fn replace(&self) -> impl Future<Output = ()> + Send + 'static {
        let anew = self.0.pool.clone().connect_lazy_with(self.0.options.clone());
        let mut open = self.0.open.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *open, anew);
        async move { former.close().await }
    }

    pub async fn close(&self) {
        self.pool().close().await;
    }
}

/// Whether the error may mean that the file is damaged. SQLite also reports damage after a read error: see
/// [`is_damaged`].
pub fn is_damage(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT and SQLITE_NOTADB.
    matches!(result_code(error), Some(11 | 26))
        // The schema excludes such a value.
        || matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}

/// Reads the whole file and returns whether it is damaged. False if it could not be read.
pub async fn is_damaged(connection: &mut SqliteConnection) -> bool {
    let verdict = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await;
    verdict.is_ok_and(|verdict: String| verdict != "ok" && !names_disk_error(&verdict))
}

/// Whether the result of `quick_check` is a read error, such as "unable to get the page. error code=8458".
fn names_disk_error(verdict: &str) -> bool {
    let code = verdict
        .rsplit_once("error code=")
        .map(|(_, code)| code.trim().parse::<i32>());
    matches!(code, Some(Ok(code)) if code & 0xff == DISK_ERROR)
}

/// Whether the error is a failed read or write of the disk.
pub fn is_disk_error(error: &sqlx::Error) -> bool {
    result_code(error) == Some(DISK_ERROR)
}

/// Whether the error is a failed write. Then the transaction has certainly failed, because its last frame in the WAL
/// completes it.
pub fn is_failed_write(error: &sqlx::Error) -> bool {
    /// SQLITE_IOERR_WRITE
    const WRITE: i32 = 778;
    is_full(error) || extended_code(error) == Some(WRITE)
}

/// Whether the error is a full disk (SQLITE_FULL).
pub fn is_full(error: &sqlx::Error) -> bool {
    result_code(error) == Some(13)
}

/// SQLITE_IOERR
const DISK_ERROR: i32 = 10;

/// SQLite's primary result code: <https://www.sqlite.org/rescode.html>.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    Some(extended_code(error)? & 0xff)
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &tempfile::TempDir) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(folder.path().join("some.db"))
            .create_if_missing(true)
    }

    /// Simulates a disk error: SQLite rolls back, and sqlx does not notice.
    async fn fail(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO t VALUES (1)")
            .execute(&mut *transaction)
            .await?;
        sqlx::query("ROLLBACK").execute(&mut *transaction).await?;
        transaction.commit().await
    }

    #[tokio::test]
    async fn a_connection_that_failed_in_a_transaction_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = WriteConnection::open(options(&folder)).await.unwrap();
        let open = connection.get().await.unwrap();
        sqlx::query("CREATE TABLE t (n INTEGER)")
            .execute(open)
            .await
            .unwrap();
        let failed = fail(connection.get().await.unwrap()).await;
        assert!(connection.settle(failed).await.is_err());
        let transaction = connection
            .get()
            .await
            .unwrap()
            .begin_with("BEGIN IMMEDIATE")
            .await;
        transaction.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn all_readers_are_replaced_after_a_failed_read() {
        let folder = tempfile::tempdir().unwrap();
        let readers = Readers::open(1, options(&folder)).await.unwrap();
        let former = readers.pool();
        let failed = readers
            .read(async |pool| sqlx::query("SELECT * FROM nothing").execute(&pool).await)
            .await;
        assert!(failed.is_err());
        let one: i64 = readers
            .read(async |pool| sqlx::query_scalar("SELECT 1").fetch_one(&pool).await)
            .await
            .unwrap();
        assert_eq!(one, 1);
        former.close_event().await;
    }

    #[tokio::test]
    async fn damage_is_distinguished_from_other_errors() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("some.db"), "x".repeat(4_096)).unwrap();
        let mut connection = options(&folder).connect().await.unwrap();
        let error = sqlx::query("SELECT * FROM sqlite_schema")
            .fetch_all(&mut connection)
            .await
            .unwrap_err();
        assert!(is_damage(&error) && !is_full(&error), "{error}");
        let error = sqlx::query("SELECT").execute(&mut connection).await.unwrap_err();
        assert!(!is_damage(&error), "{error}");
        assert!(names_disk_error(
            "Tree 2 page 5: unable to get the page. error code=8458"
        ));
        assert!(!names_disk_error(
            "Tree 2 page 5: unable to get the page. error code=11"
        ));
        assert!(!names_disk_error("Tree 2 page 5 cell 0: Rowid 7 out of order"));
    }
}
