//! The fingerprints by which the journal recognises a redelivered event that has no number.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::{Numbering, Offset, Submission};

/// The submissions' fingerprints that the file has, with the offsets of their entries.
pub(super) async fn of_submissions(
    connection: &mut SqliteConnection,
    batches: &[Vec<Submission>],
) -> Result<HashMap<[u8; 16], Offset>, sqlx::Error> {
    let hashes = batches
        .iter()
        .flatten()
        .filter_map(|submission| match submission.numbering {
            Numbering::Gateway { fingerprint } => fingerprint,
            Numbering::Till { .. } => None,
        });
    find(connection, hashes).await
}

/// Those of `hashes` that the file has, with the offsets of their entries.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    hashes: impl Iterator<Item = [u8; 16]>,
) -> Result<HashMap<[u8; 16], Offset>, sqlx::Error> {
    let hashes: Vec<String> = hashes
        .map(|hash| format!("{:032x}", u128::from_be_bytes(hash)))
        .collect();
    if hashes.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT hash, offset FROM fingerprint WHERE hash IN (SELECT unhex(value) FROM json_each(?))",
    )
    .bind(serde_json::Value::from(hashes).to_string())
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash: Vec<u8> = row.get("hash");
            let hash = <[u8; 16]>::try_from(hash)
                .map_err(|_| sqlx::Error::Decode("a fingerprint must have 16 bytes".into()))?;
            Ok((hash, Offset(row.get::<i64, _>("offset") as u64)))
        })
        .collect()
}
