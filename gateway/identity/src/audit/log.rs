//! The audit log in the accounts file: writing, reading, the hash chain, and the outbox, from which the gateway copies
//! entries into the journal.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::chain::{self, AuditRow, ChainHash, ChainReport, ChainWalk, ChainedRow, EarlierEntries};
use super::{Act, Action, ActorKind, AuditEntry, EntryClass, Outbox};
use crate::Error;
use crate::store::{Store, damaged, now, time};

/// Most bytes of failed sign-ins in the file: about 30,000 entries. They are never deleted, so guesses must not fill
/// the disk; further ones appear only in the gateway's log.
const MAX_FAILED_SIGN_IN_BYTES: i64 = 10 << 20;
/// Bytes of an entry in addition to its texts: its numbers, its hash, and its place in the index. Also used in the
/// migration 0003.
const ENTRY_OVERHEAD: i64 = 256;
/// Interval in which one address gets at most one entry for failed sign-ins, in milliseconds.
const FAILED_SIGN_IN_INTERVAL_MS: i64 = 60_000;
/// Rows read at a time.
const PAGE: i64 = 500;

impl Store {
    /// Adds an audit entry. Failed sign-ins get at most one entry per address and minute, and a limited number of bytes
    /// in total.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn audit(&self, act: &Act) -> Result<(), Error> {
        let mut transaction = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        if act.action == Action::SignInFailed && !may_note_failed_sign_in(&mut transaction, act).await? {
            return Ok(());
        }
        let (last, tip) = tip(&mut transaction).await?;
        let (last, tip) = match tip {
            Some(tip) => (last, tip),
            None => start_chain(&mut transaction, last).await?,
        };
        insert(&mut transaction, last + 1, tip, act).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The newest entries before the entry `before`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn audit_entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let query = sqlx::query(
            "SELECT id, at, actor, actor_kind, address, action, subject, before, after FROM audit \
             WHERE id < ? ORDER BY id DESC LIMIT ?",
        );
        let before = before.map_or(i64::MAX, as_id);
        let rows = query.bind(before).bind(limit).fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok(entry(audit_row(row)?))).collect()
    }

    /// Verifies the chain. The outer error is about the file, the inner one about the chain.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn verify_audit(&self) -> Result<Result<ChainReport, chain::ChainError>, Error> {
        // One transaction, so that entries added meanwhile do not look removed.
        let mut transaction = self.pool().begin().await?;
        let mut walk = ChainWalk::new();
        let mut after = 0;
        loop {
            let rows = page(&mut transaction, after, i64::MAX).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("id")?;
            for row in &rows {
                if let Err(error) = walk.step(&audit_row(row)?, stored_hash(row, "hash")?) {
                    return Ok(Err(error));
                }
            }
        }
        let written: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
            .fetch_optional(&mut *transaction)
            .await?;
        Ok(walk.finish(written.unwrap_or(0).unsigned_abs()))
    }

    /// The oldest entries that the journal does not have, at most `limit` of each class, in order of ids.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn audit_outbox(&self, limit: u32) -> Result<Outbox, Error> {
        // One transaction, so that everything is from the same moment.
        let mut transaction = self.pool().begin().await?;
        let progress = sqlx::query("SELECT epoch, acts, failed_sign_ins FROM audit_outbox")
            .fetch_one(&mut *transaction)
            .await?;
        let mut entries = Vec::new();
        for (class, is_failed_sign_in) in [(EntryClass::Act, false), (EntryClass::FailedSignIn, true)] {
            let after: i64 = progress.try_get(class.column())?;
            let query = sqlx::query(
                "SELECT id, at, actor, actor_kind, address, action, subject, before, after, hash, \
                 (SELECT earlier.hash FROM audit earlier WHERE earlier.id < audit.id ORDER BY earlier.id DESC LIMIT 1) \
                 AS previous FROM audit \
                 WHERE id > ? AND (action = 'sign-in-failed') = ? AND hash IS NOT NULL ORDER BY id LIMIT ?",
            );
            let query = query.bind(after).bind(is_failed_sign_in).bind(limit);
            for row in &query.fetch_all(&mut *transaction).await? {
                let chained = ChainedRow {
                    row: audit_row(row)?,
                    previous: stored_hash(row, "previous")?.unwrap_or_default(),
                    hash: stored_hash(row, "hash")?.unwrap_or_default(),
                };
                entries.push((class, chained));
            }
        }
        entries.sort_by_key(|(_, entry)| entry.row.id);
        let epoch: i64 = progress.try_get("epoch")?;
        Ok(Outbox {
            epoch: u32::try_from(epoch).map_err(|_| damaged("epoch"))?,
            entries,
        })
    }

    /// Records that the journal has every entry of a class up to and including `id`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn set_journaled(&self, class: EntryClass, id: u64) -> Result<(), Error> {
        let query = sqlx::query(match class {
            EntryClass::Act => "UPDATE audit_outbox SET acts = ?",
            EntryClass::FailedSignIn => "UPDATE audit_outbox SET failed_sign_ins = ?",
        });
        query.bind(as_id(id)).execute(self.pool()).await?;
        Ok(())
    }

    /// Returns the entries after `id` to the outbox.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn rewind_outbox(&self, id: u64) -> Result<(), Error> {
        let query = sqlx::query(
            "UPDATE audit_outbox SET acts = min(acts, ?1), failed_sign_ins = min(failed_sign_ins, ?1)",
        );
        query.bind(as_id(id)).execute(self.pool()).await?;
        Ok(())
    }
}

/// Whether a failed sign-in gets an entry. Counts it if so.
async fn may_note_failed_sign_in(transaction: &mut SqliteConnection, act: &Act) -> Result<bool, Error> {
    let address = address_text(act);
    let length = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() as i64);
    let bytes = ENTRY_OVERHEAD + length(&address) + length(&act.subject);
    let query = sqlx::query(
        "UPDATE audit_outbox SET failed_sign_in_bytes = failed_sign_in_bytes + ?1 \
         WHERE failed_sign_in_bytes + ?1 <= ?2 AND NOT EXISTS \
         (SELECT 1 FROM audit WHERE action = ?3 AND address IS ?4 AND at > ?5 - ?6 AND at <= ?5)",
    );
    let query = query
        .bind(bytes)
        .bind(MAX_FAILED_SIGN_IN_BYTES)
        .bind(Action::SignInFailed.name())
        .bind(address)
        .bind(now())
        .bind(FAILED_SIGN_IN_INTERVAL_MS);
    Ok(query.execute(transaction).await?.rows_affected() == 1)
}

/// The last entry's id and hash; no hash if the chain has not started.
async fn tip(transaction: &mut SqliteConnection) -> Result<(u64, Option<ChainHash>), Error> {
    let row = sqlx::query("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        .fetch_optional(transaction)
        .await?;
    match row {
        Some(row) => Ok((id(&row)?, stored_hash(&row, "hash")?)),
        None => Ok((0, None)),
    }
}

/// Adds the first entry of the chain, which follows the entries of earlier versions up to `last`.
async fn start_chain(transaction: &mut SqliteConnection, last: u64) -> Result<(u64, ChainHash), Error> {
    let mut earlier = EarlierEntries::new();
    let mut after = 0;
    loop {
        let rows = page(transaction, after, as_id(last)).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("id")?;
        for row in &rows {
            earlier.add(&audit_row(row)?);
        }
    }
    let act = Act::of_command_line(Action::ChainStarted).from_to(None, Some(earlier.summary()));
    let hash = insert(transaction, last + 1, ChainHash::default(), &act).await?;
    Ok((last + 1, hash))
}

/// The next rows of the log after `after`, up to `upto`.
async fn page(transaction: &mut SqliteConnection, after: i64, upto: i64) -> Result<Vec<SqliteRow>, Error> {
    let query = sqlx::query(
        "SELECT id, at, actor, actor_kind, address, action, subject, before, after, hash FROM audit \
         WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
    );
    let query = query.bind(after).bind(upto).bind(PAGE);
    Ok(query.fetch_all(transaction).await?)
}

/// Adds a row after the one with the hash `previous`. Returns the new row's hash.
async fn insert(
    transaction: &mut SqliteConnection,
    id: u64,
    previous: ChainHash,
    act: &Act,
) -> Result<ChainHash, Error> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let row = AuditRow {
        id,
        at: Timestamp::from_millisecond(now()).unwrap_or_default(),
        actor: act.actor.clone(),
        actor_kind: act.actor_kind,
        address: address_text(act),
        action: act.action.name().to_owned(),
        subject: act.subject.clone(),
        before: json(&act.before),
        after: json(&act.after),
    };
    let hash = row.hash_after(previous);
    let query = sqlx::query(
        "INSERT INTO audit (id, at, actor, actor_kind, address, action, subject, before, after, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    query
        .bind(as_id(row.id))
        .bind(row.at.as_millisecond())
        .bind(row.actor)
        .bind(row.actor_kind.name())
        .bind(row.address)
        .bind(row.action)
        .bind(row.subject)
        .bind(row.before)
        .bind(row.after)
        .bind(hash.0.to_vec())
        .execute(transaction)
        .await?;
    Ok(hash)
}

/// The address in the log's form: an IPv4 address is the same whether it came over IPv4 or IPv6.
fn address_text(act: &Act) -> Option<String> {
    act.address.map(|address| address.to_canonical().to_string())
}

fn as_id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn id(row: &SqliteRow) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>("id")?.unsigned_abs())
}

fn stored_hash(row: &SqliteRow, column: &str) -> Result<Option<ChainHash>, Error> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    // A hash of the wrong length matches no entry.
    Ok(bytes.map(|bytes| ChainHash(bytes.try_into().unwrap_or_default())))
}

fn audit_row(row: &SqliteRow) -> Result<AuditRow, Error> {
    Ok(AuditRow {
        id: id(row)?,
        at: time(row, "at")?.unwrap_or_default(),
        actor: row.try_get("actor")?,
        actor_kind: ActorKind::from_name(row.try_get("actor_kind")?).ok_or_else(|| damaged("kind"))?,
        address: row.try_get("address")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
    })
}

fn entry(row: AuditRow) -> AuditEntry {
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    AuditEntry {
        id: row.id,
        at: row.at,
        actor: row.actor,
        actor_kind: row.actor_kind,
        address: row.address.and_then(|address| address.parse().ok()),
        action: row.action,
        subject: row.subject,
        before: json(row.before),
        after: json(row.after),
    }
}
