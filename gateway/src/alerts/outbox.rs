//! What was reported, and what waits for each receiver, in a file next to the journal: `journal.db` has
//! `journal-alerts.json`. The gateway also works without the file, but may then report a trouble again after a restart.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comptoir_alerts::mail_text::MailChanges;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

use super::comparison::Reported;
use crate::platform::alert_status::AlertStatus;
use crate::platform::state_file;

/// Most messages that wait for one receiver. The oldest ones are dropped for new ones.
const MAX_WAITING: usize = 100;
/// A message is dropped after it has been tried for this long.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// A message that waits for a receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    id: u64,
    changes: MailChanges,
    /// Whether it is also delivered in the quiet hours.
    is_severe: bool,
    /// The first message of the delivery that this one is a part of. Stored before the first attempt, so that each
    /// attempt delivers the same messages under the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<u64>,
    /// Number of attempts so far.
    attempts: u32,
    /// Seconds that were waited between the attempts. Not the age: the machine's clock may be wrong, and a gateway that
    /// is switched off does not try.
    tried_for: u64,
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct OutboxFile {
    /// The id of the newest message.
    last_id: u64,
    reported: Reported,
    /// By the name of the receiver.
    waiting: BTreeMap<String, VecDeque<Waiting>>,
}

/// What to deliver now.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The same at each attempt.
    pub id: u64,
    /// One for a webhook, one or more for a mail.
    pub changes: Vec<MailChanges>,
    /// Number of attempts, including this one.
    pub attempts: u32,
    /// Whether this attempt is the last.
    pub is_last: bool,
}

/// Which messages may be delivered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The oldest message, alone.
    OldestAlone,
    /// All messages in one delivery.
    All,
    /// All severe messages in one delivery.
    AllSevere,
}

/// The file and its content. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    state: Arc<Mutex<State>>,
    /// Notified when there are new messages.
    added: watch::Sender<()>,
}

struct State {
    file: OutboxFile,
    path: PathBuf,
    status: Arc<AlertStatus>,
    /// Whether the last write failed.
    has_failed: bool,
}

impl Outbox {
    /// Reads the file of this journal. `receivers` are the present ones: what waits for others is dropped.
    pub fn open(journal: &Path, receivers: &[String], status: Arc<AlertStatus>) -> Self {
        let path = state_file::beside(journal, "alerts");
        let unknown = "which alerts were sent is unknown; present troubles are reported again";
        let mut file = state_file::read::<OutboxFile>(&path, unknown).unwrap_or_default();
        file.waiting.retain(|receiver, _| receivers.contains(receiver));
        for receiver in receivers {
            file.waiting.entry(receiver.clone()).or_default();
        }
        status.set_waiting(file.count());
        let state = State {
            file,
            path,
            status,
            has_failed: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            added: watch::Sender::new(()),
        }
    }

    pub fn added(&self) -> watch::Receiver<()> {
        self.added.subscribe()
    }

    pub async fn reported(&self) -> Reported {
        self.run(|state| state.file.reported.clone()).await
    }

    /// Stores a message for each receiver, and what counts as reported with it. Returns how many older messages were
    /// dropped.
    pub async fn add(&self, changes: MailChanges, is_severe: bool, reported: Reported) -> usize {
        let dropped = self
            .run(move |state| {
                let dropped = state.file.add(&changes, is_severe, reported);
                state.save();
                dropped
            })
            .await;
        self.added.send_replace(());
        dropped
    }

    /// Takes messages of a receiver for one attempt. `waited`: the pause since the previous one.
    pub async fn claim(&self, receiver: &str, filter: Filter, waited: Duration) -> Option<Delivery> {
        let receiver = receiver.to_owned();
        self.run(move |state| {
            let claimed = state.file.claim(&receiver, filter, waited);
            if claimed.is_some() {
                state.save();
            }
            claimed
        })
        .await
    }

    /// Removes what was delivered or is given up.
    pub async fn remove(&self, receiver: &str, delivery: u64) {
        let receiver = receiver.to_owned();
        self.run(move |state| {
            if let Some(waiting) = state.file.waiting.get_mut(&receiver) {
                waiting.retain(|message| message.delivery != Some(delivery));
            }
            state.save();
        })
        .await;
    }

    /// Works on the state on a thread that may block: the file is synchronised with the disk.
    async fn run<R: Send + 'static>(&self, work: impl FnOnce(&mut State) -> R + Send + 'static) -> R {
        let state = Arc::clone(&self.state);
        let run = move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl State {
    fn save(&mut self) {
        self.status.set_waiting(self.file.count());
        let result = state_file::write(&self.path, &self.file);
        if let Err(error) = &result
            && !self.has_failed
        {
            warn!(
                %error,
                file = %self.path.display(),
                "what was reported cannot be stored, so a restart may repeat or lose alerts"
            );
        }
        self.has_failed = result.is_err();
    }
}

impl OutboxFile {
    fn count(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn add(&mut self, changes: &MailChanges, is_severe: bool, reported: Reported) -> usize {
        // Without the file, ids still grow. A receiver that knows an id would ignore its message.
        let now = u64::try_from(changes.time.as_millisecond()).unwrap_or_default();
        self.last_id = now.max(self.last_id + 1);
        self.reported = reported;
        let mut dropped = 0;
        for waiting in self.waiting.values_mut() {
            waiting.push_back(Waiting {
                id: self.last_id,
                changes: changes.clone(),
                is_severe,
                delivery: None,
                attempts: 0,
                tried_for: 0,
            });
            if waiting.len() > MAX_WAITING {
                waiting.pop_front();
                dropped += 1;
            }
        }
        dropped
    }

    fn claim(&mut self, receiver: &str, filter: Filter, waited: Duration) -> Option<Delivery> {
        let waiting = self.waiting.get_mut(receiver)?;
        let may_pass = |message: &Waiting| filter != Filter::AllSevere || message.is_severe;
        // What was tried before comes first.
        let started = waiting.iter().filter(|message| may_pass(message));
        let id = match started.filter_map(|message| message.delivery).min() {
            Some(id) => id,
            None => {
                let mut new: Vec<_> = waiting.iter_mut().filter(|message| may_pass(message)).collect();
                if filter == Filter::OldestAlone {
                    new.truncate(1);
                }
                let id = new.first()?.id;
                for message in new {
                    message.delivery = Some(id);
                }
                id
            }
        };
        let mut delivery = Delivery {
            id,
            changes: Vec::new(),
            attempts: 0,
            is_last: false,
        };
        for message in waiting.iter_mut().filter(|message| message.delivery == Some(id)) {
            message.tried_for = match message.attempts {
                0 => 0,
                _ => message.tried_for.saturating_add(waited.as_secs()),
            };
            message.attempts = message.attempts.saturating_add(1);
            delivery.changes.push(message.changes.clone());
            delivery.attempts = delivery.attempts.max(message.attempts);
            delivery.is_last |= message.tried_for >= GIVE_UP_AFTER.as_secs();
        }
        Some(delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "mail ada@example.org";

    fn outbox(folder: &tempfile::TempDir) -> (Outbox, Arc<AlertStatus>) {
        let status = Arc::new(AlertStatus::new(true, 1));
        let receivers = ["webhook", ADA].map(str::to_owned);
        let outbox = Outbox::open(&folder.path().join("journal.db"), &receivers, Arc::clone(&status));
        (outbox, status)
    }

    fn changes(second: i64) -> MailChanges {
        MailChanges {
            time: jiff::Timestamp::from_second(1_796_000_000 + second).unwrap(),
            began: Vec::new(),
            ended: Vec::new(),
            lasting: Vec::new(),
        }
    }

    async fn add(outbox: &Outbox, second: i64, is_severe: bool) -> usize {
        outbox.add(changes(second), is_severe, Reported::new()).await
    }

    async fn claim(outbox: &Outbox, receiver: &str, filter: Filter) -> Option<Delivery> {
        outbox.claim(receiver, filter, Duration::ZERO).await
    }

    #[tokio::test]
    async fn a_mail_keeps_its_messages_over_a_restart_and_a_webhook_gets_them_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, status) = self::outbox(&folder);
        add(&outbox, 0, false).await;
        add(&outbox, 1, false).await;
        let first = claim(&outbox, ADA, Filter::All).await.unwrap();
        assert_eq!((first.changes.len(), first.attempts), (2, 1));
        add(&outbox, 2, false).await;
        assert_eq!(status.progress().waiting, 6);

        let (outbox, status) = self::outbox(&folder);
        assert_eq!(status.progress().waiting, 6);
        let again = claim(&outbox, ADA, Filter::All).await.unwrap();
        assert_eq!((again.id, again.changes.len(), again.attempts), (first.id, 2, 2));
        outbox.remove(ADA, again.id).await;
        let third = claim(&outbox, ADA, Filter::All).await.unwrap();
        assert!(third.id > again.id && third.changes.len() == 1);
        for second in 0..3 {
            let one = claim(&outbox, "webhook", Filter::OldestAlone).await.unwrap();
            assert_eq!(one.changes, [changes(second)]);
            outbox.remove("webhook", one.id).await;
        }
        assert!(claim(&outbox, "webhook", Filter::OldestAlone).await.is_none());
    }

    #[tokio::test]
    async fn in_quiet_hours_severe_messages_overtake_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, _) = outbox(&folder);
        add(&outbox, 0, false).await;
        assert!(claim(&outbox, ADA, Filter::AllSevere).await.is_none());
        add(&outbox, 1, true).await;
        let severe = claim(&outbox, ADA, Filter::AllSevere).await.unwrap();
        assert_eq!(severe.changes, [changes(1)]);
        outbox.remove(ADA, severe.id).await;
        let others = claim(&outbox, ADA, Filter::All).await.unwrap();
        assert_eq!(others.changes, [changes(0)]);
    }

    #[tokio::test]
    async fn the_outbox_is_bounded_and_a_message_is_given_up_after_a_day_of_attempts() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, status) = outbox(&folder);
        for second in 0..MAX_WAITING as i64 {
            assert_eq!(add(&outbox, second, false).await, 0);
        }
        // The clock was set back: ids still grow.
        assert_eq!(add(&outbox, -1_000, false).await, 2);
        assert_eq!(status.progress().waiting, 2 * MAX_WAITING);
        let all = claim(&outbox, ADA, Filter::All).await.unwrap();
        assert_eq!(all.changes.first(), Some(&changes(1)));
        let day = Duration::from_secs(86_400);
        for (waited, is_last) in [(day / 2, false), (day / 2, true)] {
            let again = outbox.claim(ADA, Filter::All, waited).await.unwrap();
            assert_eq!((again.id, again.is_last), (all.id, is_last));
        }
    }
}
