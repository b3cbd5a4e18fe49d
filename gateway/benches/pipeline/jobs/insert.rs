//! The journal's inserts alone: the same table, settings and statement, and the same number of commits.

use std::path::Path;

use anyhow::Result;
use comptoir_journal::{EntryKind, Numbering};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::ResourceSample;
use crate::sales::Pool;

const SCHEMA: &str = include_str!("../../../journal/migrations/0001_journal.sql");
/// Rows per statement, as in the journal's writer.
const CHUNKS: [u32; 3] = [256, 32, 1];

pub async fn run(path: &Path, events: u32, group: u32) -> Result<()> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-4096")
        .connect()
        .await?;
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
    let pool = Pool::new()?;
    let statements = CHUNKS.map(|rows| {
        let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![row; rows as usize].join(", ");
        format!(
            "INSERT INTO entry (offset, kind, device, epoch, seq, time, key, payload, reason) VALUES {values}"
        )
    });
    ResourceSample::print()?;
    let mut written = 0;
    while written < events {
        let end = events.min(written + group.max(1));
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for (rows, statement) in CHUNKS.into_iter().zip(&statements) {
            while end - written >= rows {
                insert(&mut transaction, &pool, statement, written, rows).await?;
                written += rows;
            }
        }
        transaction.commit().await?;
    }
    ResourceSample::print()
}

async fn insert(
    connection: &mut SqliteConnection,
    pool: &Pool,
    statement: &str,
    from: u32,
    rows: u32,
) -> Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for at in from..from + rows {
        let (event, seq) = pool.event(at);
        let kind = match event.kind {
            EntryKind::Event(kind) => kind as i64,
            EntryKind::DeadLetter => 3,
            EntryKind::Audit(_) => 4,
            EntryKind::Closing => 6,
        };
        let epoch = match event.numbering {
            Numbering::Till { epoch, .. } => epoch,
            Numbering::Gateway { .. } => 0,
        };
        query = query
            .bind(i64::from(at) + 1)
            .bind(kind)
            .bind(1_i64)
            .bind(i64::from(epoch))
            .bind(i64::from(seq))
            .bind(event.time)
            .bind(&*event.key)
            .bind(std::str::from_utf8(&event.payload)?)
            .bind(None::<&str>);
    }
    query.execute(connection).await?;
    Ok(())
}
