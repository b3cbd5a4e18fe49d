use std::sync::Arc;

use super::*;
use crate::{Discipline, Numbering, Payload, Submission};
use comptoir_core::event::Kind;

struct Rig {
    journal: Journal,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (journal, writer) = Journal::open(&folder.path().join("journal.db"), 1 << 26)
            .await
            .unwrap();
        tokio::spawn(writer.of_store("paris-1").run());
        Self {
            journal,
            _folder: folder,
        }
    }

    async fn append(&self, device: DeviceId, numbering: Numbering, kind: EntryKind, json: &str) -> Offset {
        let submission = Submission {
            device,
            encoding: None,
            numbering,
            kind,
            time: 1_000,
            key: "o".into(),
            payload: Payload::Json(json.into()),
            reason: None,
        };
        self.journal.append(vec![submission]).await.unwrap();
        self.journal.state().last
    }

    async fn sell(&self, device: &str, seq: u32) {
        let numbering = Numbering::Till {
            epoch: 7,
            seq,
            oldest: 0,
            discipline: Discipline::AnyOrder,
            digest: None,
        };
        let device = DeviceId::new("paris-1", device).unwrap();
        self.append(device, numbering, EntryKind::Event(Kind::Payment), "{}")
            .await;
    }

    async fn uncovered(&self, after: Offset) -> Vec<(String, u32, u32, Vec<SeqRange>)> {
        let last = self.journal.state().last;
        let (numbers, is_complete) = self.journal.uncovered_numbers(after, last, 10).await.unwrap();
        assert!(is_complete);
        let numbers = numbers.into_iter();
        numbers
            .map(|numbers| {
                (
                    numbers.device.device().to_owned(),
                    numbers.from,
                    numbers.to,
                    numbers.missing,
                )
            })
            .collect()
    }

    async fn close(&self, number: u64, date: &str, numbers: &str) -> Offset {
        let upto = self.journal.state().last.0;
        let json = format!(
            r#"{{"store":"paris-1","number":{number},"date":"{date}","upto":{upto},"numbers":{numbers}}}"#
        );
        let gateway = DeviceId::gateway("paris-1").unwrap();
        self.append(
            gateway,
            Numbering::Gateway { fingerprint: None },
            EntryKind::Closing,
            &json,
        )
        .await;
        Offset(upto)
    }
}

#[tokio::test]
async fn a_closing_covers_each_number_once_and_names_the_missing_ones() {
    let rig = Rig::new().await;
    for seq in [1, 2, 5] {
        rig.sell("till-1", seq).await;
    }
    rig.sell("till-2", 3).await;
    assert_eq!(
        rig.uncovered(Offset(0)).await,
        [
            ("till-1".to_owned(), 1, 5, vec![(3, 4)]),
            ("till-2".to_owned(), 1, 3, vec![(1, 2)]),
        ]
    );
    let numbers = r#"[{"device":"till-1","epoch":7,"to":5},{"device":"paris-1/till-2","epoch":7,"to":3}]"#;
    let upto = rig.close(1, "2026-03-02", numbers).await;
    // A missing number that arrives late is not covered twice.
    for seq in [3, 7] {
        rig.sell("till-1", seq).await;
    }
    assert_eq!(
        rig.uncovered(upto).await,
        [
            ("_gateway".to_owned(), 1, 1, vec![]),
            ("till-1".to_owned(), 6, 7, vec![(6, 6)]),
        ]
    );
    let last = rig.journal.state().last;
    let (some, is_complete) = rig.journal.uncovered_numbers(upto, last, 1).await.unwrap();
    assert_eq!((some.len(), is_complete), (1, false));
}

#[tokio::test]
async fn the_number_of_a_dead_letter_is_missing() {
    let rig = Rig::new().await;
    rig.sell("till-1", 1).await;
    let numbering = Numbering::Till {
        epoch: 7,
        seq: 2,
        oldest: 0,
        discipline: Discipline::AnyOrder,
        digest: None,
    };
    let till = DeviceId::new("paris-1", "till-1").unwrap();
    rig.append(till, numbering, EntryKind::DeadLetter, "Dear Sir")
        .await;
    assert_eq!(
        rig.uncovered(Offset(0)).await,
        [("till-1".to_owned(), 1, 1, vec![])]
    );
    rig.sell("till-1", 3).await;
    assert_eq!(
        rig.uncovered(Offset(0)).await,
        [("till-1".to_owned(), 1, 3, vec![(2, 2)])]
    );
}

#[tokio::test]
async fn closings_are_found_by_their_days() {
    let rig = Rig::new().await;
    assert_eq!(rig.journal.newest_closing().await.unwrap(), None);
    for (number, date) in [(1, "2026-03-02"), (2, "2030-01-01"), (3, "2026-03-04")] {
        rig.close(number, date, "[]").await;
    }
    let newest = rig.journal.newest_closing().await.unwrap().unwrap();
    assert_eq!(
        (newest.number, &*newest.date, newest.upto),
        (3, "2026-03-04", Offset(2))
    );
    assert_eq!(rig.journal.closing_of("2026-03-03").await.unwrap(), None);
    let of = rig.journal.closing_of("2030-01-01").await.unwrap().unwrap();
    assert_eq!((of.number, of.offset), (2, Offset(2)));
    let upto = rig
        .journal
        .newest_closing_upto("2026-03-03")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(upto.number, 1);
    let state = rig.journal.state();
    assert_eq!((state.own_records, state.events(), state.pending()), (3, 0, 0));
}

#[tokio::test]
async fn late_payments_are_found_by_their_time() {
    let rig = Rig::new().await;
    rig.sell("till-1", 1).await;
    rig.sell("till-1", 2).await;
    let before = async |time, after| {
        let last = rig.journal.state().last;
        let found: Vec<Arc<Entry>> = rig.journal.payments_before(time, after, last, 1).await.unwrap();
        found.iter().map(|entry| entry.name.seq).collect::<Vec<_>>()
    };
    assert_eq!(before(1_001, Offset(0)).await, [1]);
    assert_eq!(before(1_001, Offset(1)).await, [2]);
    assert_eq!(before(1_000, Offset(0)).await, [0_u32; 0]);
}
