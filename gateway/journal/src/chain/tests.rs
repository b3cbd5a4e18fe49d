use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::task::JoinHandle;

use super::*;
use crate::{ChainReader, EntryKind, Journal, Numbering, Payload, RelayReport, Rewrite, Submission};
use comptoir_core::event::{DeviceId, Kind};

struct Rig {
    journal: Journal,
    writer: JoinHandle<()>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (journal, writer) = Journal::open(&path, 1 << 26).await.unwrap();
        Self {
            journal,
            writer: tokio::spawn(writer.run()),
            path,
            _folder: folder,
        }
    }

    async fn sell(&self, numbers: std::ops::RangeInclusive<u8>) {
        let sale = |number: u8| Submission {
            device: DeviceId::new("paris-1", "till-1").unwrap(),
            encoding: None,
            numbering: Numbering::Gateway {
                fingerprint: Some([number; 16]),
            },
            kind: EntryKind::Event(Kind::Order),
            time: 1_000 + i64::from(number),
            key: "o".into(),
            payload: Payload::Json(format!(r#"{{"customer_name":"Marie {number}"}}"#).into()),
            reason: None,
        };
        self.journal.append(numbers.map(sale).collect()).await.unwrap();
    }

    async fn report_in_kafka(&self, upto: u64) {
        let report = RelayReport {
            upto: Offset(upto),
            payments: Offset(upto),
            read_from: 0,
            counts: HashMap::new(),
        };
        self.journal.report_relayed(report).await;
        self.journal.settle_reports().await;
    }

    async fn reopen(&mut self) {
        self.journal.close().await;
        (&mut self.writer).await.unwrap();
        let (journal, writer) = Journal::open(&self.path, 1 << 26).await.unwrap();
        self.journal = journal;
        self.writer = tokio::spawn(writer.run());
    }

    /// Changes the file as somebody with a SQLite shell would.
    async fn tamper(&self, sql: &str) {
        let mut connection = SqliteConnectOptions::new()
            .filename(&self.path)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

async fn walk(path: &Path) -> Result<ChainWalk, ChainError> {
    let mut reader = ChainReader::open(path).await.unwrap();
    let summary = reader.summary().await.unwrap();
    let mut walk = ChainWalk::new(summary.start);
    let mut after = Offset(0);
    loop {
        let entries = reader
            .entries_after(after, Offset(i64::MAX as u64))
            .await
            .unwrap();
        let Some(last) = entries.last() else {
            return Ok(walk);
        };
        after = last.entry.offset;
        for entry in &entries {
            walk.add(entry)?;
        }
    }
}

#[tokio::test]
async fn every_entry_follows_its_predecessor_also_after_a_restart() {
    let mut rig = Rig::new().await;
    rig.sell(1..=3).await;
    rig.sell(4..=4).await;
    rig.reopen().await;
    rig.sell(5..=100).await;
    let walk = walk(&rig.path).await.unwrap();
    assert_eq!((walk.chained, walk.unchained, walk.erased), (100, 0, 0));
    let last = rig.journal.state().last;
    assert_eq!(rig.journal.hash_at(last).await.unwrap(), Some(walk.head().hash));
}

#[tokio::test]
async fn a_changed_removed_inserted_or_reordered_entry_does_not_fit() {
    let insert = "INSERT INTO entry SELECT 21, kind, device, epoch, 21, time, key, payload, reason, salt, hash, content
                  FROM entry WHERE offset = 20";
    for (tampering, offset) in [
        (
            "UPDATE entry SET payload = '{\"customer_name\":\"Marie 8\"}' WHERE offset = 7",
            7,
        ),
        ("UPDATE entry SET time = time + 1 WHERE offset = 7", 7),
        ("UPDATE entry SET key = 'p' WHERE offset = 7", 7),
        ("UPDATE entry SET kind = 1 WHERE offset = 7", 7),
        ("UPDATE entry SET seq = 70 WHERE offset = 7", 7),
        ("UPDATE entry SET reason = '' WHERE offset = 7", 7),
        ("UPDATE entry SET hash = randomblob(32) WHERE offset = 7", 7),
        ("UPDATE entry SET salt = randomblob(16) WHERE offset = 7", 7),
        (
            "UPDATE entry SET salt = NULL, content = randomblob(32) WHERE offset = 7",
            7,
        ),
        ("DELETE FROM entry WHERE offset = 7", 8),
        ("DELETE FROM entry WHERE offset <= 7", 8),
        (insert, 21),
        (
            "UPDATE entry SET offset = 99 WHERE offset = 7; UPDATE entry SET offset = 7 WHERE offset = 8;
             UPDATE entry SET offset = 8 WHERE offset = 99",
            7,
        ),
        ("UPDATE device SET device = 'till-2'", 1),
    ] {
        let rig = Rig::new().await;
        rig.sell(1..=20).await;
        assert_eq!(walk(&rig.path).await.unwrap().chained, 20);
        rig.tamper(tampering).await;
        assert_eq!(
            walk(&rig.path).await.unwrap_err(),
            ChainError::Misfit(offset),
            "{tampering}"
        );
    }
    let rig = Rig::new().await;
    rig.sell(1..=20).await;
    rig.tamper("UPDATE entry SET hash = NULL WHERE offset = 7").await;
    assert_eq!(walk(&rig.path).await.unwrap_err(), ChainError::Unchained(7));
    rig.tamper("UPDATE entry SET hash = NULL WHERE offset <= 7").await;
    assert_eq!(walk(&rig.path).await.unwrap_err(), ChainError::Unchained(1));
}

#[tokio::test]
async fn an_erasure_keeps_the_chain_and_deletes_what_a_name_could_be_guessed_from() {
    let mut rig = Rig::new().await;
    rig.sell(1..=5).await;
    rig.report_in_kafka(5).await;
    let salt = || async {
        let mut connection = SqliteConnectOptions::new()
            .filename(&rig.path)
            .connect()
            .await
            .unwrap();
        let salt: Option<Vec<u8>> = sqlx::query_scalar("SELECT salt FROM entry WHERE offset = 2")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        salt
    };
    let before = salt().await.unwrap();
    let erased = |text: &str| {
        let rewrite = Rewrite {
            payload: Payload::Json(text.into()),
            reason: None,
        };
        HashMap::from([(Offset(2), rewrite)])
    };
    // The second erasure must not take the content that the first one left for the original.
    for text in ["{}", "{ }"] {
        assert_eq!(rig.journal.rewrite(erased(text)).await.unwrap(), 1);
        let walk = walk(&rig.path).await.unwrap();
        assert_eq!((walk.chained, walk.erased), (5, 1));
    }
    assert_eq!(salt().await, None);
    rig.reopen().await;
    rig.journal.close().await;
    (&mut rig.writer).await.unwrap();
    let bytes = std::fs::read(&rig.path).unwrap();
    assert!(!bytes.windows(before.len()).any(|window| window == before));
}

#[tokio::test]
async fn pruning_moves_the_start_of_the_chain() {
    let rig = Rig::new().await;
    rig.sell(1..=9).await;
    let hash = rig.journal.hash_at(Offset(6)).await.unwrap().unwrap();
    let mut connection = SqliteConnectOptions::new()
        .filename(&rig.path)
        .connect()
        .await
        .unwrap();
    super::advance(&mut connection, Offset(6)).await.unwrap();
    connection.close().await.unwrap();
    rig.tamper("DELETE FROM entry WHERE offset <= 6").await;
    let summary = ChainReader::open(&rig.path)
        .await
        .unwrap()
        .summary()
        .await
        .unwrap();
    let start = ChainPoint {
        offset: Offset(6),
        hash,
    };
    assert_eq!((summary.start, summary.first), (start, Some(Offset(7))));
    assert_eq!(walk(&rig.path).await.unwrap().chained, 3);
}

#[tokio::test]
async fn the_chain_of_an_older_journal_starts_after_its_last_entry() {
    let mut rig = Rig::new().await;
    rig.sell(1..=4).await;
    rig.tamper("UPDATE entry SET hash = NULL, salt = NULL; DELETE FROM chain")
        .await;
    rig.reopen().await;
    rig.sell(5..=6).await;
    let walk = walk(&rig.path).await.unwrap();
    assert_eq!((walk.chained, walk.unchained), (2, 4));
    let start = ChainReader::open(&rig.path)
        .await
        .unwrap()
        .summary()
        .await
        .unwrap()
        .start;
    let uuid = rig.journal.uuid();
    assert_eq!(start.hash, start_hash(&uuid, Offset(4)));
}
