use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use comptoir_core::event::Kind;
use comptoir_identity::{Act, Action};
use comptoir_journal::{Entry, RelayReport, RelayedCounts};
use serde_json::{Value, json};

use super::*;

const STORE: &str = "paris-1";

async fn open(folder: &tempfile::TempDir, max_bytes: u64) -> Journal {
    let opened = Journal::open(&folder.path().join("journal.db"), max_bytes).await;
    let (journal, writer) = opened.unwrap();
    tokio::spawn(writer.of_store(STORE).run());
    journal
}

fn copier(accounts: &Accounts, journal: &Journal) -> AuditCopier {
    let device = DeviceId::gateway(STORE).unwrap();
    AuditCopier::new(accounts.clone(), journal.clone(), device)
}

struct Rig {
    accounts: Accounts,
    journal: Journal,
    copier: AuditCopier,
    max_bytes: u64,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn new(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(&folder.path().join("accounts.db"), "paris-1");
        let journal = open(&folder, max_bytes).await;
        Self {
            copier: copier(&accounts, &journal),
            accounts,
            journal,
            max_bytes,
            folder,
        }
    }

    /// Reopens the journal after applying `change` to its folder.
    async fn reopen(&mut self, change: impl FnOnce(&Path)) {
        self.journal.close().await;
        change(self.folder.path());
        self.journal = open(&self.folder, self.max_bytes).await;
        self.copier = copier(&self.accounts, &self.journal);
    }

    async fn act(&self, subject: &str) {
        let act = Act::of_command_line(Action::UserAdded).on(subject);
        let act = act.from_to(None, Some(json!({"role": "cashier"})));
        self.accounts.audit(act).await.unwrap();
    }

    async fn guess(&self, number: u32) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + number));
        let act = Act::of(None, Some(address), Action::SignInFailed);
        self.accounts.audit(act).await.unwrap();
    }

    async fn copy(&mut self) {
        while self.copier.copy().await.unwrap() {}
    }

    async fn entries(&self) -> Vec<Arc<Entry>> {
        self.journal
            .read(Offset(0), usize::MAX, usize::MAX)
            .await
            .unwrap()
    }

    /// The subjects of the acts in the journal, and the number of failed sign-ins.
    async fn journaled(&self) -> (Vec<String>, usize) {
        let (mut subjects, mut guesses) = (Vec::new(), 0);
        for entry in self.entries().await {
            let record: Value = serde_json::from_str(entry.payload.json()).unwrap();
            match entry.kind {
                EntryKind::Audit(AuditClass::FailedSignIn) => guesses += 1,
                EntryKind::Audit(AuditClass::Act) => {
                    subjects.push(record["subject"].as_str().unwrap_or("chain").to_owned());
                }
                kind => panic!("{kind:?}"),
            }
        }
        (subjects, guesses)
    }

    /// Reports all entries as sent to Kafka.
    async fn relay(&self) {
        let entries = self.entries().await;
        let mut counts = RelayedCounts::new();
        for entry in entries
            .iter()
            .filter(|entry| entry.offset > self.journal.state().watermark)
        {
            let stream = (entry.name.device.clone(), entry.name.epoch);
            counts.entry(stream).or_default().count(entry);
        }
        self.journal
            .report_relayed(RelayReport {
                upto: entries.last().unwrap().offset,
                payments: Offset(0),
                read_from: 0,
                counts,
            })
            .await;
    }
}

#[tokio::test]
async fn each_entry_is_in_the_journal_once_and_in_order_even_if_the_copy_was_not_noted() {
    let mut rig = Rig::new(64 << 20).await;
    rig.act("zoe").await;
    rig.act("ali").await;
    rig.copy().await;
    // As after a crash between the journal's commit and recording the copy.
    rig.accounts.rewind_outbox(0).await.unwrap();
    rig.act("eva").await;
    rig.copy().await;
    assert_eq!(
        rig.journaled().await,
        (["chain", "zoe", "ali", "eva"].map(str::to_owned).to_vec(), 0)
    );
    let entries = rig.entries().await;
    let names: Vec<_> = entries.iter().map(|entry| entry.name.seq).collect();
    assert_eq!(names, [1, 2, 3, 4]);
    assert!(
        entries
            .iter()
            .all(|entry| &*entry.key == STORE && entry.name.epoch != 0)
    );
    let records: Vec<Value> = entries
        .iter()
        .map(|entry| serde_json::from_str(entry.payload.json()).unwrap())
        .collect();
    assert!(
        records
            .windows(2)
            .all(|pair| pair[1]["previous"] == pair[0]["hash"]),
        "{records:?}"
    );
}

#[tokio::test]
async fn audit_entries_are_no_events_of_tills() {
    let mut rig = Rig::new(64 << 20).await;
    rig.act("zoe").await;
    rig.copy().await;
    let state = rig.journal.state();
    assert_eq!((state.last, state.own_records), (Offset(2), 2));
    assert_eq!((state.events(), state.pending(), state.committed), (0, 0, 0));
    assert_eq!(rig.journal.oldest_pending().await.unwrap(), None);
    assert!(rig.journal.devices(10).await.unwrap().is_empty());
    assert!(rig.journal.encodings(STORE, 10).await.unwrap().is_empty());
    let sale = till_event(1);
    let time = sale.time;
    rig.journal.append(vec![sale]).await.unwrap();
    assert_eq!(
        (rig.journal.state().events(), rig.journal.state().pending()),
        (1, 1)
    );
    assert_eq!(rig.journal.oldest_pending().await.unwrap(), Some(time));
    rig.relay().await;
    assert_eq!(
        (rig.journal.state().events(), rig.journal.state().pending()),
        (1, 0)
    );
}

fn till_event(seq: u32) -> Submission {
    Submission {
        device: DeviceId::new(STORE, "till-1").unwrap(),
        encoding: None,
        numbering: Numbering::Till {
            epoch: 7,
            seq,
            oldest: 0,
            discipline: Discipline::InOrder,
            digest: None,
        },
        kind: EntryKind::Event(Kind::Order),
        time: 1_795_000_000_000,
        key: "o-1".into(),
        payload: Payload::Json("{}".into()),
        reason: None,
    }
}

#[tokio::test]
async fn a_flood_of_failed_sign_ins_waits_in_the_log_while_acts_and_tills_get_through() {
    // Failed sign-ins may use one sixty-fourth: 16 KiB.
    let mut rig = Rig::new(1 << 20).await;
    for number in 0..100 {
        rig.guess(number).await;
    }
    rig.act("zoe").await;
    rig.copy().await;
    let (subjects, guesses) = rig.journaled().await;
    assert_eq!(subjects, ["chain", "zoe"]);
    assert!((10..90).contains(&guesses), "{guesses}");
    assert!(rig.journal.refusals().is_empty(), "no till is affected");
    let receipt = rig.journal.append(vec![till_event(1)]).await.unwrap();
    assert!(matches!(receipt.outcomes[..], [Outcome::Stored(..)]));
    // No new attempt before Kafka has confirmed something.
    let commits = rig.journal.state().commits;
    rig.copy().await;
    assert_eq!(rig.journal.state().commits, commits);
    rig.act("ali").await;
    rig.copy().await;
    assert_eq!(
        rig.accounts.audit_outbox(100).await.unwrap().entries.len(),
        100 - guesses
    );
    for _ in 0..10 {
        rig.relay().await;
        // The report makes room only when it is committed; this attempt comes too early.
        rig.copy().await;
        rig.journal.settle_reports().await;
        rig.copy().await;
    }
    let sales = rig
        .entries()
        .await
        .iter()
        .filter(|entry| !entry.kind.is_own_record())
        .count();
    assert_eq!((rig.entries().await.len(), sales), (3 + 100 + 1, 1));
    assert!(rig.accounts.audit_outbox(100).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn an_accounts_file_that_was_restored_from_an_older_copy_loses_no_entry() {
    let mut rig = Rig::new(64 << 20).await;
    let outbox = |subject: &str| {
        let row = comptoir_identity::AuditRow {
            id: 1,
            at: "2026-11-30T10:00:00Z".parse().unwrap(),
            actor: String::new(),
            actor_kind: comptoir_identity::ActorKind::System,
            address: None,
            action: "user-added".to_owned(),
            subject: Some(subject.to_owned()),
            before: None,
            after: None,
        };
        let hash = comptoir_identity::ChainHash([subject.len() as u8; 32]);
        ChainedRow {
            row,
            previous: comptoir_identity::ChainHash::default(),
            hash,
        }
    };
    for subject in ["zoe", "restored", "restored", "zoe"] {
        let submission = rig
            .copier
            .submission(7, EntryClass::Act, &outbox(subject))
            .unwrap();
        rig.journal.append(vec![submission]).await.unwrap();
    }
    assert_eq!(rig.journaled().await.0, ["zoe", "restored"]);
    rig.copy().await;
}

#[tokio::test]
async fn entries_that_the_journal_has_lost_are_copied_again() {
    let mut rig = Rig::new(64 << 20).await;
    rig.act("zoe").await;
    rig.copy().await;
    rig.reopen(|folder| {
        std::fs::copy(folder.join("journal.db"), folder.join("earlier.db")).unwrap();
    })
    .await;
    rig.act("ali").await;
    rig.act("eva").await;
    rig.copy().await;
    // As after a damaged WAL: the newest entries are gone, and the file next to the journal records that they existed.
    rig.reopen(|folder| {
        std::fs::rename(folder.join("earlier.db"), folder.join("journal.db")).unwrap();
    })
    .await;
    assert_eq!(rig.journaled().await.0, ["chain", "zoe"]);
    rig.copier.resend_lost().await.unwrap();
    rig.copy().await;
    assert_eq!(rig.journaled().await.0, ["chain", "zoe", "ali", "eva"]);
    rig.copier.resend_lost().await.unwrap();
    rig.copy().await;
    assert_eq!(rig.entries().await.len(), 4);
}
