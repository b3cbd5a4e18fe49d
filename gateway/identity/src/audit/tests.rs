use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::Accounts;
use crate::store::MIGRATIONS;

struct Log {
    folder: tempfile::TempDir,
    accounts: Accounts,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(&folder.path().join("accounts.db"), "paris-1");
        Self { folder, accounts }
    }

    /// The file, as somebody with a shell on the machine could change it.
    async fn file(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.folder.path().join("accounts.db"))
            .create_if_missing(true);
        SqlitePool::connect_with(options).await.unwrap()
    }

    async fn forge(&self, statement: &'static str) {
        let file = self.file().await;
        for trigger in ["audit_is_not_changed", "audit_is_not_deleted", "audit_is_chained"] {
            let sql = format!("DROP TRIGGER IF EXISTS {trigger}");
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .execute(&file)
                .await
                .unwrap();
        }
        sqlx::query(statement).execute(&file).await.unwrap();
        file.close().await;
    }

    async fn add(&self, subjects: std::ops::Range<usize>) {
        for subject in subjects {
            let act = Act::of_command_line(Action::UserAdded).on(format!("user-{subject}"));
            let act = act.from_to(None, Some(json!({"role": "cashier"})));
            self.accounts.audit(act).await.unwrap();
        }
    }

    async fn guess(&self, address: [u8; 4]) {
        let act = Act::of(None, Some(address.into()), Action::SignInFailed);
        self.accounts.audit(act).await.unwrap();
    }

    async fn verify(&self) -> Result<ChainReport, ChainError> {
        self.accounts.verify_audit().await.unwrap()
    }

    async fn actions(&self) -> Vec<String> {
        let entries = self.accounts.audit_entries(None, 500).await.unwrap();
        entries.into_iter().rev().map(|entry| entry.action).collect()
    }
}

#[tokio::test]
async fn a_log_without_entries_fits_and_the_first_entry_starts_the_chain() {
    let log = Log::new();
    let empty = log.verify().await.unwrap();
    assert_eq!((empty.chained, empty.tip), (0, None));
    log.add(0..2).await;
    assert_eq!(log.actions().await, ["chain-started", "user-added", "user-added"]);
    let report = log.verify().await.unwrap();
    assert_eq!((report.earlier, report.chained), (0, 3));
    let outbox = log.accounts.audit_outbox(10).await.unwrap();
    let last = &outbox.entries.last().unwrap().1;
    assert_eq!(report.tip, Some(last.hash));
    assert_eq!(outbox.entries[0].1.previous, ChainHash::default());
    assert!(
        outbox
            .entries
            .windows(2)
            .all(|pair| pair[1].1.previous == pair[0].1.hash)
    );
}

#[tokio::test]
async fn whatever_is_changed_in_the_file_the_first_entry_that_does_not_fit_is_named() {
    for (statement, expected) in [
        (
            "UPDATE audit SET actor = 'me' WHERE id = 3",
            ChainError::Misfit { id: 3 },
        ),
        (
            "UPDATE audit SET at = at + 1 WHERE id = 2",
            ChainError::Misfit { id: 2 },
        ),
        (
            "UPDATE audit SET after = '{}' WHERE id = 1",
            ChainError::Misfit { id: 1 },
        ),
        (
            "UPDATE audit SET hash = NULL WHERE id = 4",
            ChainError::Misfit { id: 4 },
        ),
        (
            "UPDATE audit SET hash = x'00' WHERE id = 2",
            ChainError::Misfit { id: 2 },
        ),
        ("DELETE FROM audit WHERE id = 3", ChainError::Misfit { id: 4 }),
        ("DELETE FROM audit WHERE id = 1", ChainError::Misfit { id: 2 }),
        (
            "INSERT INTO audit SELECT 9, at, actor, actor_kind, address, action, subject, before, after, hash FROM audit WHERE id = 5",
            ChainError::Misfit { id: 9 },
        ),
        (
            "DELETE FROM audit WHERE id >= 5",
            ChainError::Truncated { last: 4, written: 6 },
        ),
    ] {
        let log = Log::new();
        log.add(0..5).await;
        assert_eq!(log.verify().await.unwrap().chained, 6);
        log.forge(statement).await;
        assert_eq!(log.verify().await, Err(expected), "{statement}");
    }
}

#[tokio::test]
async fn entries_of_an_earlier_version_stay_as_they_are_and_the_chain_starts_with_their_digest() {
    let log = Log::new();
    let file = log.file().await;
    MIGRATIONS.run_to(2, &file).await.unwrap();
    for action in ["user-added", "sign-in-failed", "payment-posted"] {
        let sql = "INSERT INTO audit (at, actor, actor_kind, address, action) VALUES (1, 'Zoé', 'person', '192.0.2.1', ?)";
        sqlx::query(sql).bind(action).execute(&file).await.unwrap();
    }
    file.close().await;
    assert_eq!(log.verify().await.unwrap().earlier, 3);
    assert!(log.accounts.audit_outbox(10).await.unwrap().entries.is_empty());
    log.add(0..1).await;
    assert_eq!(
        log.actions().await,
        [
            "user-added",
            "sign-in-failed",
            "payment-posted",
            "chain-started",
            "user-added"
        ]
    );
    let entries = log.accounts.audit_entries(None, 10).await.unwrap();
    assert_eq!(entries[1].after.as_ref().unwrap()["entries"], 3);
    let report = log.verify().await.unwrap();
    assert_eq!((report.earlier, report.chained), (3, 2));
    let outbox = log.accounts.audit_outbox(10).await.unwrap();
    let ids: Vec<u64> = outbox.entries.iter().map(|(_, entry)| entry.row.id).collect();
    assert_eq!(ids, [4, 5], "earlier entries are not copied");
    log.forge("UPDATE audit SET actor = 'me' WHERE id = 2").await;
    assert_eq!(log.verify().await, Err(ChainError::Earlier { first: 4 }));
}

#[tokio::test]
async fn the_outbox_holds_what_is_not_in_the_journal_and_failed_sign_ins_do_not_hold_up_acts() {
    let log = Log::new();
    for address in 1..=4 {
        log.guess([192, 0, 2, address]).await;
    }
    log.add(0..3).await;
    let ids = async |limit| {
        let outbox = log.accounts.audit_outbox(limit).await.unwrap();
        assert_ne!(outbox.epoch, 0);
        let ids: Vec<u64> = outbox.entries.iter().map(|(_, entry)| entry.row.id).collect();
        ids
    };
    assert_eq!(ids(10).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    // The limit applies per class: the first three failed sign-ins, the start of the chain, and two acts.
    assert_eq!(ids(3).await, [1, 2, 3, 4, 6, 7]);
    log.accounts.set_journaled(EntryClass::Act, 7).await.unwrap();
    assert_eq!(ids(10).await, [2, 3, 4, 5, 8]);
    log.accounts
        .set_journaled(EntryClass::FailedSignIn, 5)
        .await
        .unwrap();
    assert_eq!(ids(10).await, [8]);
    log.accounts.rewind_outbox(6).await.unwrap();
    assert_eq!(ids(10).await, [7, 8]);
    log.accounts.rewind_outbox(7).await.unwrap();
    assert_eq!(ids(10).await, [7, 8], "only backwards");
    log.accounts.rewind_outbox(4).await.unwrap();
    assert_eq!(ids(10).await, [5, 6, 7, 8]);
}

#[tokio::test]
async fn failed_sign_ins_have_one_entry_for_each_address_and_minute_and_bytes_of_their_own() {
    let log = Log::new();
    for _ in 0..3 {
        log.guess([192, 0, 2, 1]).await;
        log.guess([192, 0, 2, 2]).await;
    }
    assert_eq!(
        log.actions().await,
        ["chain-started", "sign-in-failed", "sign-in-failed"]
    );
    log.forge("UPDATE audit_outbox SET failed_sign_in_bytes = 10485760 - 300")
        .await;
    for address in 3..=9 {
        log.guess([192, 0, 2, address]).await;
    }
    log.add(0..1).await;
    assert_eq!(
        log.actions().await[3..],
        ["sign-in-failed", "user-added"],
        "one more fits; acts do not count"
    );
    assert_eq!(log.verify().await.unwrap().chained, 5);
}

#[tokio::test]
async fn each_accounts_file_names_its_entries_differently() {
    let (one, other) = (Log::new(), Log::new());
    let [one, other] = [
        one.accounts.audit_outbox(1).await.unwrap(),
        other.accounts.audit_outbox(1).await.unwrap(),
    ];
    assert_ne!(one.epoch, other.epoch);
}
