//! Rewriting: the only way to change an entry after its commit. It erases personal data from entries that are in Kafka;
//! see `docs/adr/0013-personal-data.md`.
//!
//! An entry that is not in Kafka yet is never rewritten: Kafka must receive what the till sent. Numbers and
//! fingerprints are stored separately, so a rewritten event is still recognised when it is sent again.

use std::collections::HashMap;

use comptoir_core::chain::ChainHash;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::sync::oneshot;

use super::read::{COLUMNS, entry};
use super::{AppendError, Command, Journal, Offset, Payload, Writer, chain};

/// Most entries in one [`Journal::rewrite`]: events wait for its transaction.
pub const MAX_REWRITES: usize = 256;

/// The new content of an entry.
#[derive(Debug, Clone)]
pub struct Rewrite {
    pub payload: Payload,
    /// Only for a dead letter.
    pub reason: Option<Box<str>>,
}

impl Journal {
    /// Replaces the content of at most [`MAX_REWRITES`] entries, and overwrites the old content in the file. Entries
    /// that are not in Kafka yet, or no longer in the journal, stay as they are. Returns how many were replaced.
    ///
    /// # Errors
    ///
    /// The journal is closed or could not be written.
    pub async fn rewrite(&self, entries: HashMap<Offset, Rewrite>) -> Result<u64, AppendError> {
        let (reply, done) = oneshot::channel();
        self.commands
            .send(Command::Rewrite(entries, reply))
            .await
            .map_err(|_| AppendError::Closed)?;
        done.await.unwrap_or(Err(AppendError::Closed))
    }
}

impl Writer {
    pub(super) async fn rewrite(
        &mut self,
        mut entries: HashMap<Offset, Rewrite>,
    ) -> Result<u64, AppendError> {
        if let Some(outage) = &self.outage {
            return Err(AppendError::Storage(outage.error.clone()));
        }
        let watermark = self.state.borrow().watermark;
        entries.retain(|offset, _| *offset <= watermark);
        if entries.is_empty() {
            return Ok(0);
        }
        let written = match self.connection.get().await {
            Ok(connection) => write(connection, &entries).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(count) => {
                self.tail.rewrite(&entries);
                Ok(count)
            }
            Err(error) => Err(AppendError::Storage(self.begin_outage(error).await)),
        }
    }
}

async fn write(
    connection: &mut SqliteConnection,
    entries: &HashMap<Offset, Rewrite>,
) -> Result<u64, sqlx::Error> {
    set_secure_delete(connection, true).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut count = 0;
    for (offset, Rewrite { payload, reason }) in entries {
        let content = content_hash_of(&mut transaction, *offset).await?;
        let query = sqlx::query(
            "UPDATE entry SET payload = ?, reason = ?, salt = NULL, content = coalesce(content, ?) WHERE offset = ?",
        );
        let query = match payload {
            Payload::Json(json) => query.bind(&**json),
            Payload::Bytes(bytes) => query.bind(&**bytes),
        };
        let query = query
            .bind(reason.as_deref())
            .bind(content.as_ref().map(|content| content.0.as_slice()))
            .bind(offset.0 as i64);
        count += query.execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    set_secure_delete(connection, false).await?;
    Ok(count)
}

/// The hash of the content that is about to be erased. `None` if it was erased before, or if the entry is older than the
/// chain.
async fn content_hash_of(
    connection: &mut SqliteConnection,
    offset: Offset,
) -> Result<Option<ChainHash>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS}, entry.salt FROM entry JOIN device ON device.id = entry.device WHERE entry.offset = ?"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(offset.0 as i64)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let Some(salt) = row.get::<Option<&[u8]>, _>("salt") else {
        return Ok(None);
    };
    let salt = salt
        .try_into()
        .map_err(|_| sqlx::Error::Decode("the salt of an entry".into()))?;
    let entry = entry(&row).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(chain::content_hash(&salt, &entry)))
}

/// Sets whether SQLite overwrites deleted content with zeros. It is not always on, because pruning would then write
/// every page twice.
///
/// # Errors
///
/// The file cannot be read.
pub async fn set_secure_delete(connection: &mut SqliteConnection, on: bool) -> Result<(), sqlx::Error> {
    let pragma = match on {
        true => "PRAGMA secure_delete = ON",
        false => "PRAGMA secure_delete = OFF",
    };
    sqlx::query(pragma).fetch_all(connection).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Numbering, Outcome, RelayReport, Submission};
    use comptoir_core::event::{DeviceId, Kind};

    fn order(number: u8, payload: &str) -> Submission {
        Submission {
            device: DeviceId::new("paris-1", "till-1").unwrap(),
            encoding: None,
            numbering: Numbering::Gateway {
                fingerprint: Some([number; 16]),
            },
            kind: EntryKind::Event(Kind::Order),
            time: 0,
            key: "o".into(),
            payload: Payload::Json(payload.into()),
            reason: None,
        }
    }

    fn rewrites(offsets: &[u64]) -> HashMap<Offset, Rewrite> {
        let new = || Rewrite {
            payload: Payload::Json("{}".into()),
            reason: None,
        };
        offsets.iter().map(|&offset| (Offset(offset), new())).collect()
    }

    async fn payloads(journal: &Journal) -> Vec<String> {
        let entries = journal.read(Offset(0), 10, 1 << 20).await.unwrap();
        let payloads = entries.iter().map(|entry| entry.payload.json().to_owned());
        payloads.collect()
    }

    #[tokio::test]
    async fn only_what_is_in_kafka_is_rewritten_and_its_old_bytes_leave_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (journal, writer) = Journal::open(&path, 1 << 30).await.unwrap();
        let writer = tokio::spawn(writer.run());
        let secret = |number: u8| format!(r#"{{"customer_name":"Marie {number}"}}"#);
        let batch: Vec<_> = (1..=3).map(|number| order(number, &secret(number))).collect();
        journal.append(batch.clone()).await.unwrap();
        let early = journal.rewrite(rewrites(&[1, 2])).await.unwrap();
        assert_eq!(early, 0, "nothing is in Kafka yet");
        let report = RelayReport {
            upto: Offset(2),
            payments: Offset(2),
            read_from: 0,
            counts: HashMap::new(),
        };
        journal.report_relayed(report).await;
        journal.settle_reports().await;
        assert_eq!(journal.rewrite(rewrites(&[1, 2, 3, 9])).await.unwrap(), 2);
        // From memory and from the file.
        assert_eq!(payloads(&journal).await, ["{}", "{}", &secret(3)]);
        let stored = journal.entries(&[Offset(1), Offset(3)]).await.unwrap();
        assert_eq!(stored[&Offset(1)].payload.json(), "{}");
        assert_eq!(stored[&Offset(3)].payload.json(), secret(3));
        let receipt = journal.append(batch).await.unwrap();
        assert!(
            receipt
                .outcomes
                .iter()
                .all(|outcome| *outcome == Outcome::Duplicate),
            "{:?}",
            receipt.outcomes
        );
        journal.close().await;
        writer.await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!contains("Marie 1") && !contains("Marie 2"));
        assert!(contains("Marie 3"), "a positive control");
    }
}
