//! The progress of the commands consumer. The journal stores it because Kafka's own committed offsets expire, and because
//! Kafka may have a command twice.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row as _};

use super::{Command, Journal, ReadError};
use comptoir_core::command::HandledCommands;
use comptoir_core::position::{Position, PositionTable, TopicId};

/// Which commands were handed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandProgress {
    /// Where to continue.
    pub positions: PositionTable,
    /// Of the numbered commands; `None` before the first one.
    pub handled: Option<HandledCommands>,
}

impl Journal {
    /// The stored progress.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn command_progress(&self) -> Result<CommandProgress, ReadError> {
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
        let positions = positions.collect();
        let query = sqlx::query("SELECT epoch, first, last FROM command_handled");
        let rows = self.readers.fetch_all(query).await?;
        let handled = rows.first().map(|row| HandledCommands {
            epoch: row.get("epoch"),
            first: row.get("first"),
            last: row.get("last"),
        });
        Ok(CommandProgress { positions, handled })
    }

    /// Replaces the stored progress. Does not wait for the disk: after a crash the last commands may be sent to the tills
    /// again.
    pub async fn keep_command_progress(&self, progress: CommandProgress) {
        // If the writer is gone, the gateway is stopping; the last commands may be sent again.
        let _ = self.commands.send(Command::KeepProgress(progress)).await;
    }
}

/// Writes the positions and the handled numbers in one transaction.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    progress: &CommandProgress,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    delete_positions(&mut transaction).await?;
    for ((topic, partition), position) in &progress.positions {
        sqlx::query("INSERT INTO command_position (topic, partition, next, topic_id) VALUES (?, ?, ?, ?)")
            .bind(topic)
            .bind(partition)
            .bind(position.next)
            .bind(position.topic_id.map(|id| id.to_bytes().to_vec()))
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(handled) = progress.handled {
        sqlx::query("INSERT OR REPLACE INTO command_handled (one, epoch, first, last) VALUES (1, ?, ?, ?)")
            .bind(handled.epoch)
            .bind(handled.first)
            .bind(handled.last)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// Deletes all positions. A copied journal must not use them, because the original may have advanced since the copy. The
/// handled numbers stay true.
pub(super) async fn delete_positions(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM command_position")
        .execute(connection)
        .await
        .map(|_| ())
}
