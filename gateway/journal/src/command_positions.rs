//! The positions of the commands consumer. The journal stores them because Kafka's own committed offsets expire.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row as _};

use super::{Command, Journal, ReadError};
use comptoir_core::position::{Position, PositionTable, TopicId};

impl Journal {
    /// The positions from which to read commands.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn command_positions(&self) -> Result<PositionTable, ReadError> {
        let query = sqlx::query("SELECT topic, partition, next, topic_id FROM command_position");
        let rows = self.readers.fetch_all(query).await?;
        let positions = rows.iter().map(|row| {
            let topic_id: Option<&[u8]> = row.get("topic_id");
            let position = Position {
                next: row.get("next"),
                topic_id: topic_id.and_then(TopicId::from_bytes),
            };
            ((row.get("topic"), row.get("partition")), position)
        });
        Ok(positions.collect())
    }

    /// Replaces the stored positions. Does not wait for the disk: after a crash the last commands may be sent to the
    /// tills again.
    pub async fn keep_command_positions(&self, positions: PositionTable) {
        // If the writer is gone, the gateway is stopping; the last commands may be sent again.
        let _ = self.commands.send(Command::KeepPositions(positions)).await;
    }
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    positions: &PositionTable,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    delete_all(&mut transaction).await?;
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

/// Deletes all positions. A copied journal must not use them, because the original may have advanced since the copy.
pub(super) async fn delete_all(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM command_position")
        .execute(connection)
        .await
        .map(|_| ())
}
