//! Up to where commands have been handed on, kept where it does not expire.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row as _};

use super::{Command, Journal, ReadError};
use crate::kafka::{Position, PositionTable, TopicId};

impl Journal {
    /// Where to go on with the commands.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn command_positions(&self) -> Result<PositionTable, ReadError> {
        let query = sqlx::query("SELECT topic, partition, next, topic_id FROM command_position");
        let rows = self.readers.fetch_all(query).await?;
        let positions = rows.iter().map(|row| {
            let topic_id: Option<&[u8]> = row.get(3);
            let position = Position {
                next: row.get(2),
                topic_id: topic_id.and_then(TopicId::from_bytes),
            };
            ((row.get(0), row.get(1)), position)
        });
        Ok(positions.collect())
    }

    /// Keeps these positions, in place of all before. Does not wait until they are on disk: after a crash the last
    /// commands may be handed on again.
    pub async fn keep_command_positions(&self, positions: PositionTable) {
        // Closed: the gateway is ending; the last commands may be handed on again.
        let _ = self.commands.send(Command::KeepPositions(positions)).await;
    }
}

pub(super) async fn keep(
    connection: &mut SqliteConnection,
    positions: &PositionTable,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    forget(&mut transaction).await?;
    for ((topic, partition), position) in positions {
        sqlx::query("INSERT INTO command_position (topic, partition, next, topic_id) VALUES (?, ?, ?, ?)")
            .bind(topic)
            .bind(partition)
            .bind(position.next)
            .bind(position.topic_id.map(|id| id.to_bytes().to_vec()))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// For a copy of a journal: the first one may have gone on with the commands since.
pub(super) async fn forget(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM command_position")
        .execute(connection)
        .await
        .map(|_| ())
}
