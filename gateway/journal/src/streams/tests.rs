//! Tests that one device cannot use up the room of another, whatever it sends.

use std::path::Path;

use super::super::{
    AppendError, Discipline, EntryKind, Forgotten, Journal, Offset, Outcome, Payload, Pending, Receipt,
    Relayed,
};
use super::*;
use comptoir_core::event::Kind;

const MIB: u64 = 1 << 20;

async fn open(path: &Path) -> Journal {
    let (journal, writer) = Journal::open(path, 8 * MIB).await.unwrap();
    tokio::spawn(writer.of_store("paris-1").run());
    journal
}

fn event(device: &str, epoch: u32, seq: u32, size: usize) -> Submission {
    let json = format!(r#"{{"order_id":"o","product":"{}"}}"#, "x".repeat(size));
    Submission {
        device: device.parse().unwrap(),
        encoding: Some(Encoding::Json),
        numbering: match epoch {
            GATEWAY_EPOCH => Numbering::Gateway { fingerprint: None },
            _ => Numbering::Till {
                epoch,
                seq,
                oldest: 0,
                discipline: Discipline::InOrder,
                digest: Some(i64::from(seq)),
            },
        },
        kind: EntryKind::Event(Kind::Order),
        time: 0,
        key: "o".into(),
        payload: Payload::Json(json.into()),
        reason: None,
    }
}

fn dead_letter(device: &str, size: usize) -> Submission {
    Submission {
        kind: EntryKind::DeadLetter,
        payload: Payload::Bytes(vec![7; size].into()),
        reason: Some("body: not JSON".into()),
        ..event(device, GATEWAY_EPOCH, 0, 0)
    }
}

async fn append(journal: &Journal, submission: Submission) -> Receipt {
    journal.append(vec![submission]).await.unwrap()
}

async fn outcome(journal: &Journal, submission: Submission) -> Outcome {
    append(journal, submission).await.outcomes.remove(0)
}

async fn is_stored(journal: &Journal, submission: Submission) -> bool {
    matches!(outcome(journal, submission).await, Outcome::Stored(..))
}

/// Reports all entries as sent to Kafka.
async fn relay(journal: &Journal) {
    let state = journal.state();
    let mut counts: HashMap<_, Relayed> = HashMap::new();
    let mut at = state.watermark;
    while at < state.last {
        for entry in journal.read(at, 1_000, 1 << 20).await.unwrap() {
            at = entry.offset;
            let stream = (entry.name.device.clone(), entry.name.epoch);
            counts.entry(stream).or_default().count(&entry);
        }
    }
    let upto = state.last;
    journal
        .report_relayed(RelayReport {
            upto,
            payments: upto,
            read_from: 0,
            counts,
        })
        .await;
    journal.settle_reports().await;
}

#[tokio::test]
async fn a_till_that_floods_epochs_is_refused_and_every_other_sender_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let mut stored = 0;
    for epochs in (1..=70_000_u32).collect::<Vec<_>>().chunks(1_000) {
        let batch = epochs.iter().map(|epoch| event("paris-1/till-1", *epoch, 1, 0));
        let receipt = journal.append(batch.collect()).await.unwrap();
        stored += receipt
            .outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Stored(..)))
            .count();
        assert!(
            receipt.acks.len() <= EPOCH_BURST as usize,
            "a refused epoch is not acked"
        );
    }
    assert_eq!(stored, EPOCH_BURST as usize);
    let reports = journal.refusals();
    assert_eq!((reports.len(), reports[0].refusal), (1, Refusal::Epochs));
    assert_eq!(reports[0].count, 70_000 - u64::from(EPOCH_BURST));
    for journal in [journal.clone(), {
        journal.close().await;
        open(&path).await
    }] {
        if journal.append(Vec::new()).await.is_err() {
            continue;
        }
        assert!(
            is_stored(&journal, event("paris-1/till-1", 1, 2, 0)).await,
            "a known epoch"
        );
        assert!(is_stored(&journal, event("paris-1/till-2", 9, 1, 0)).await);
        assert!(is_stored(&journal, event("paris-1/counter", 0, 0, 0)).await);
    }
}

#[tokio::test]
async fn forgetting_a_device_frees_its_epochs_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let till: DeviceId = "paris-1/till-1".parse().unwrap();
    let mut journal = open(&path).await;
    for epoch in 1..=40 {
        assert!(is_stored(&journal, event("paris-1/till-1", epoch, 1, 0)).await);
        // An event ahead of a gap is not stored, but its epoch takes room.
        let ahead = outcome(&journal, event("paris-1/till-2", epoch, 5, 0)).await;
        assert_eq!(ahead, Outcome::AheadOfGap);
    }
    let pending = journal.forget(till.clone()).await.unwrap().unwrap();
    assert_eq!((pending.pending, pending.dormant), (40, 0), "not in Kafka yet");
    relay(&journal).await;
    let forgotten = journal.forget(till.clone()).await.unwrap();
    let expected = Forgotten {
        dormant: 40,
        ..Forgotten::default()
    };
    assert_eq!(forgotten, Some(expected));
    let removed = journal.forget("paris-1/till-2".parse().unwrap()).await.unwrap();
    assert_eq!(removed.map(|forgotten| forgotten.removed), Some(40));
    assert_eq!(
        journal.forget("paris-1/till-9".parse().unwrap()).await.unwrap(),
        None
    );
    assert!(journal.devices(10).await.unwrap().is_empty());
    for is_restarted in [false, true] {
        if is_restarted {
            journal.close().await;
            journal = open(&path).await;
            assert_eq!(journal.state().lost, 0, "a dormant epoch is no loss");
        }
        for epoch in [1, 17, 40] {
            let again = append(&journal, event("paris-1/till-1", epoch, 1, 0)).await;
            assert_eq!(again.outcomes, [Outcome::Duplicate], "epoch {epoch}");
            assert_eq!(again.acks[0].seq, 1);
        }
        journal.forget(till.clone()).await.unwrap().unwrap();
    }
    assert!(is_stored(&journal, event("paris-1/till-1", 17, 2, 0)).await);
    for epoch in 100..100 + EPOCH_BURST {
        assert!(
            is_stored(&journal, event("paris-1/till-1", epoch, 1, 0)).await,
            "a new ration"
        );
    }
}

#[tokio::test]
async fn the_gateways_own_numbers_are_not_given_out_again_after_a_device_was_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    for _ in 0..3 {
        assert!(is_stored(&journal, event("paris-1/till-1", 0, 0, 0)).await);
    }
    relay(&journal).await;
    journal
        .forget("paris-1/till-1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    journal.close().await;
    let journal = open(&path).await;
    let Outcome::Stored(_, name) = outcome(&journal, event("paris-1/till-1", 0, 0, 0)).await else {
        panic!("not stored");
    };
    assert_eq!((name.epoch, name.seq), (0, 4));
}

#[tokio::test]
async fn one_device_may_fill_half_of_the_journal_and_the_others_still_sell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let mut stored = 0;
    let refused = loop {
        let outcome = outcome(&journal, event("paris-1/till-1", 7, stored + 1, 60_000)).await;
        match outcome {
            Outcome::Stored(..) => stored += 1,
            refused => break refused,
        }
    };
    assert_eq!(refused, Outcome::Refused(Refusal::PendingBytes));
    assert!((65..70).contains(&stored), "{stored}");
    journal.close().await;
    let journal = open(&path).await;
    let refused = append(&journal, event("paris-1/till-1", 7, stored + 1, 60_000)).await;
    assert_eq!(refused.outcomes, [Outcome::Refused(Refusal::PendingBytes)]);
    assert_eq!(refused.acks[0].seq, stored, "what is stored is acked");
    assert!(is_stored(&journal, event("paris-1/till-2", 7, 1, 60_000)).await);
    assert!(is_stored(&journal, event("paris-1/counter", 0, 0, 60_000)).await);
    assert!(!journal.state().refusing);
    relay(&journal).await;
    assert!(is_stored(&journal, event("paris-1/till-1", 7, stored + 1, 60_000)).await);
    let devices = journal.devices(10).await.unwrap();
    let till_1 = devices.iter().find(|report| report.device.device() == "till-1");
    let entry = Pending::of_parts(
        EntryKind::Event(Kind::Order),
        "o",
        &event("paris-1/till-1", 7, 1, 60_000).payload,
    );
    assert_eq!(till_1.unwrap().pending_bytes, entry.bytes);
}

#[tokio::test]
async fn dead_letters_of_one_device_are_bounded_and_a_numbered_one_stays_at_its_till() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db")).await;
    let mut truncated = 0;
    let mut counted = 0;
    for _ in 0..1_500 {
        let receipt = append(&journal, dead_letter("paris-1/till-1", 100_000)).await;
        truncated += receipt.truncated;
        counted += u64::from(receipt.outcomes[0] == Outcome::Refused(Refusal::DeadLetters));
    }
    assert!(truncated > 100 && counted > 100, "{truncated} {counted}");
    let state = journal.state();
    assert!(state.bytes < 3 * MIB, "{} bytes", state.bytes);
    let newest = journal.entry(state.last).await.unwrap().unwrap();
    assert_eq!(newest.payload.len(), 1_024);
    let reason = newest.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("the first 1024 of 100000 bytes"), "{reason}");
    let mut numbered = dead_letter("paris-1/till-1", 100_000);
    numbered.numbering = event("paris-1/till-1", 5, 1, 0).numbering;
    let refused = append(&journal, numbered).await;
    assert_eq!(refused.outcomes, [Outcome::Refused(Refusal::DeadLetters)]);
    assert_eq!(refused.acks.iter().map(|ack| ack.seq).sum::<u32>(), 0);
    // Neither its own events nor the dead letters of others are affected.
    assert!(is_stored(&journal, event("paris-1/till-1", 5, 1, 0)).await);
    let whole = append(&journal, dead_letter("paris-1/till-2", 100_000)).await;
    assert_eq!((whole.truncated, whole.outcomes.len()), (0, 1));
}

#[tokio::test]
async fn names_of_other_stores_take_no_room_from_the_own_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let store = async |store: &str, from: usize, count: usize| {
        let batch = (from..from + count).map(|n| event(&format!("{store}/till-{n}"), 1, 1, 0));
        let receipt = journal.append(batch.collect()).await.unwrap();
        let stored = receipt.outcomes.iter();
        stored
            .filter(|outcome| matches!(outcome, Outcome::Stored(..)))
            .count()
    };
    assert_eq!(
        store("lyon-2", 0, 3_000).await + store("nice-3", 0, 3_000).await,
        MAX_OTHER_DEVICES
    );
    assert!(!journal.state().names_used_up);
    assert_eq!(
        store("paris-1", 0, 3_000).await + store("paris-1", 3_000, 3_000).await,
        MAX_HOME_DEVICES
    );
    assert!(journal.state().names_used_up);
    assert!(is_stored(&journal, event("paris-1/counter", 0, 0, 0)).await);
    assert!(is_stored(&journal, dead_letter("paris-1/unknown", 10)).await);
    relay(&journal).await;
    let freed = journal.forget("paris-1/till-7".parse().unwrap()).await.unwrap();
    assert_eq!(freed.map(|freed| freed.dormant), Some(1));
    assert_eq!(
        store("paris-1", 9_000, 2).await,
        1,
        "counter and unknown took none"
    );
    journal.close().await;
    assert!(matches!(
        journal.forget("paris-1/till-7".parse().unwrap()).await,
        Err(AppendError::Closed)
    ));
    let journal = open(&path).await;
    assert!(journal.state().names_used_up && journal.state().last > Offset(0));
    let returns = outcome(&journal, event("paris-1/till-7", 1, 1, 0)).await;
    assert_eq!(returns, Outcome::Refused(Refusal::Devices), "its name is gone");
    journal
        .forget("paris-1/till-8".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let returns = outcome(&journal, event("paris-1/till-7", 1, 1, 0)).await;
    assert_eq!(returns, Outcome::Duplicate, "the same device, with its numbers");
}

#[tokio::test]
async fn only_the_latest_epochs_stay_in_memory_and_the_others_are_still_recognised() {
    let mut table = StreamTable::default();
    table.set_home("paris-1");
    let mut group = Group::default();
    let key = |epoch| StreamKey { device: 1, epoch };
    for epoch in 1..=LIVE_EPOCHS as u32 {
        let mut stream = Stream::default();
        stream.touched = u64::from(epoch);
        table.insert_stream(key(epoch), stream);
    }
    table.make_room(key(1_000), &mut group).unwrap();
    table.make_room(key(1_001), &mut group).unwrap();
    assert_eq!(
        group.demoted,
        [key(1), key(2)],
        "those that were used longest ago"
    );
    table.adopt(&mut group);
    assert_eq!(table.streams.len(), LIVE_EPOCHS - 2);
    assert!(table.with_dormant.contains(&1));
}

#[test]
fn the_ration_of_new_epochs_refills_slowly() {
    let begin = Instant::now();
    let mut ration = EpochRation::full(begin);
    for _ in 0..EPOCH_BURST {
        assert!(ration.take(begin));
    }
    assert!(!ration.take(begin) && !ration.take(begin + EPOCH_INTERVAL / 2));
    assert!(ration.take(begin + EPOCH_INTERVAL) && !ration.take(begin + EPOCH_INTERVAL));
    let much_later = begin + EPOCH_INTERVAL * 1_000;
    let taken = (0..1_000).filter(|_| ration.take(much_later)).count();
    assert_eq!(taken, EPOCH_BURST as usize);
}
