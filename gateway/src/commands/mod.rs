//! Kafka → tills: forwards head office's commands.
//!
//! Delivery is at least once: a command counts as forwarded only when the MQTT broker has acknowledged it, so a command
//! in flight during a crash is sent again. Commands of one partition keep their order. A command that head office has
//! written to Kafka twice is recognised by its number ([`HandledRange`]).
//!
//! The journal stores the positions. Without them a gateway continues at the committed offset of the store's consumer
//! group. If Kafka has deleted that too, it forwards the commands of the last 24 hours, because no till wants last
//! year's price list.

mod payload;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use comptoir_wire as wire;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span, warn};

use crate::ingest::Stores;
use crate::ingest::downlink::Downlink;
use crate::ingest::presence::Presence;
use crate::platform::clock::{Clock, Synchronisation};
use crate::platform::handled_commands::HandledRange;
use crate::platform::metrics::Metrics;
use crate::platform::peer::{Peer, PeerState};
use comptoir_core::command::{CommandNumber, NUMBER_HEADER};
use comptoir_core::event::DeviceId;
use comptoir_journal::{CommandProgress, Encoding, Journal};
use comptoir_kafka::{self as kafka, COMMANDS, Consumer, InitialPosition, OwnedRecord, Positions, Settings};

/// Most devices that one command for a whole store is sent to.
const MAX_DEVICES: usize = 10_000;
/// How long to wait after connecting to the MQTT broker. By then it has sent the tills' retained `status` messages.
const RETAINED_STATUS_WAIT: Duration = Duration::from_secs(1);
/// Suffix of the consumer group's name.
const GROUP: &str = "-commands";
/// Most commands read before Kafka confirms that their topic is still the same.
const BATCH: usize = 100;
/// Longest wait for a command.
const POLL: Duration = Duration::from_millis(500);
/// Oldest command that is forwarded without a stored position.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
/// For a device that has reported `online` but sent no event yet. Only the tills' own firmware reports `online`, and
/// every version of it reads the oldest wire version.
const DEFAULT_ENCODING: Encoding = Encoding::Postcard { version: wire::MIN };

/// The accepted form of a command's key, for error messages.
const KEY_FORM: &str = "write STORE or STORE/TILL, for example paris-1/till-3";

/// Forwards commands from Kafka to the tills.
pub struct CommandForwarder {
    pub settings: Settings,
    pub store: String,
    pub stores: Stores,
    pub journal: Journal,
    pub downlink: Arc<Downlink>,
    pub presence: Arc<Presence>,
    /// The MQTT broker.
    pub mqtt: Peer,
    /// Kafka, as the source of commands.
    pub peer: Peer,
    /// Kafka's overall status, if nothing else reads from it.
    pub kafka: Option<Peer>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// The numbered commands that were handled.
    pub handled: Arc<HandledRange>,
}

impl CommandForwarder {
    /// Runs until `stop`, on its own thread.
    pub fn run(self, runtime: &Handle, stop: &CancellationToken) {
        let Some(mut stored) = runtime.block_on(self.stored_progress(stop)) else {
            return;
        };
        self.handled.restore(stored.handled);
        let positions = Positions::new(stored.positions.clone());
        let reader = Consumer::new(
            &self.settings,
            GROUP,
            vec![self.settings.topic(COMMANDS), self.settings.shop_topic(COMMANDS)],
            self.initial_position(),
            self.settings.uplink.longest_poll(),
            positions,
        );
        let mut consumer = match reader {
            Ok(consumer) => consumer,
            Err(error) => {
                // Properties were checked at start, so they are not the cause. The gateway ends, and its supervisor
                // restarts it.
                self.peer.down(error);
                return;
            }
        };
        while !stop.is_cancelled() {
            if let Some(result) = consumer.refresh_assignment() {
                self.report(&result);
                runtime.block_on(self.store_progress(&consumer, &mut stored));
            }
            let batch = consumer.batch(BATCH, POLL);
            // Unconfirmed commands may come from a recreated topic. They are read again, and must not be forwarded
            // twice.
            if batch.is_empty() || consumer.confirm(stop, |result| self.report(result)) != Some(true) {
                continue;
            }
            for command in batch {
                let number = self.number_of(&command);
                let span = debug_span!("command", partition = command.partition, offset = command.offset);
                let delivered = runtime.block_on(async {
                    if number.is_some_and(|number| self.handled.includes(number)) {
                        debug!(
                            offset = command.offset,
                            "head office has sent this command before"
                        );
                        return true;
                    }
                    tokio::select! {
                        () = self.forward(&command).instrument(span) => true,
                        () = stop.cancelled() => false,
                    }
                });
                if !delivered {
                    break;
                }
                consumer.done(&command.topic, command.partition, command.offset);
                if let Some(number) = number {
                    self.handled.add(number);
                }
                runtime.block_on(self.store_progress(&consumer, &mut stored));
            }
        }
        consumer.close();
    }

    /// The number of a command in the shop's own topic, if it has one. Those of the shared topic are not numbered.
    fn number_of(&self, command: &OwnedRecord) -> Option<CommandNumber> {
        let is_own = command.topic == self.settings.shop_topic(COMMANDS);
        let header = command.header(NUMBER_HEADER).filter(|_| is_own)?;
        let number = std::str::from_utf8(header)
            .ok()
            .and_then(|text| text.parse().ok());
        if number.is_none() {
            warn!(
                offset = command.offset,
                "the number of a command is invalid and is ignored"
            );
        }
        number
    }

    /// The stored progress; `None` if stopped before the journal could be read.
    async fn stored_progress(&self, stop: &CancellationToken) -> Option<CommandProgress> {
        loop {
            match self.journal.command_progress().await {
                Ok(progress) => return Some(progress),
                Err(error) => self.peer.down(error),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Where to start without a stored position.
    fn initial_position(&self) -> InitialPosition {
        // An unsynchronised clock may be years off. Old commands do less harm than lost ones.
        let since = match self.clock.status().synchronisation {
            Synchronisation::Unsynchronised => 0,
            _ => (Timestamp::now() - MAX_AGE).as_millisecond(),
        };
        InitialPosition::GroupOrSince(since)
    }

    /// Shows the result of an assignment as the peer's status.
    fn report(&self, result: &Result<(), kafka::Error>) {
        match result {
            Ok(()) => self.peer.up(),
            Err(error) => self.peer.down(error.clone().explained(&self.settings)),
        }
        if let Some(kafka) = &self.kafka {
            match result {
                Err(error) if error.is_silence() => kafka.down(error.clone().explained(&self.settings)),
                // Kafka has replied.
                _ => kafka.up(),
            }
        }
    }

    /// Stores the progress if it differs from what is stored.
    async fn store_progress(&self, consumer: &Consumer, stored: &mut CommandProgress) {
        let progress = CommandProgress {
            positions: consumer.positions(),
            handled: self.handled.range(),
        };
        if progress != *stored {
            self.journal.keep_command_progress(progress.clone()).await;
            *stored = progress;
        }
    }

    /// Returns when the MQTT broker has acknowledged or rejected the command for every device.
    async fn forward(&self, command: &OwnedRecord) {
        self.broker_ready().await;
        let devices = match self.addressees(&command.key).await {
            Ok(devices) => devices,
            Err(reason) => {
                let key = String::from_utf8_lossy(&command.key);
                warn!(%key, offset = command.offset, reason, "a command that nobody can be given");
                return;
            }
        };
        debug!(devices = devices.len(), "forwarding a command");
        let in_flight: Vec<oneshot::Receiver<()>> = devices
            .into_iter()
            .map(|(device, encoding)| {
                let payload = payload::encode(&command.payload, encoding);
                self.downlink.command(device, payload)
            })
            .collect();
        for delivered in in_flight {
            // An error means that the MQTT broker rejected the command; the downlink has logged that.
            if delivered.await.is_ok() {
                self.metrics.commands.inc();
            }
        }
    }

    /// Waits until the MQTT broker is connected and has sent the tills' retained `status` messages.
    async fn broker_ready(&self) {
        let mut peer = self.mqtt.watch();
        // Fails only when the gateway ends.
        let since = match peer.wait_for(|status| status.state == PeerState::Up).await {
            Ok(status) => status.since,
            Err(_) => return,
        };
        tokio::time::sleep_until((since + RETAINED_STATUS_WAIT).into()).await;
    }

    /// The devices that a key addresses: `{store}/{device}`, or `{store}` for all of its devices that have sent an
    /// event or have ever reported `online`. Another store's devices belong to another gateway, unless they were seen
    /// here and `mqtt.stores` allows their store.
    async fn addressees(&self, key: &[u8]) -> Result<Vec<(DeviceId, Encoding)>, String> {
        let key = std::str::from_utf8(key).map_err(|_| format!("its key is not UTF-8; {KEY_FORM}"))?;
        if key.contains('/') {
            let device: DeviceId = key
                .parse()
                .map_err(|error| format!("its key is invalid: {error}; {KEY_FORM}"))?;
            if !self.stores.includes(device.store()) {
                return Ok(Vec::new());
            }
            let encoding = self.journal.encoding(&device).await;
            return Ok(match encoding.map_err(|error| error.to_string())? {
                Some(encoding) => vec![(device, encoding)],
                None if self.presence.is_known(&device) => vec![(device, DEFAULT_ENCODING)],
                None if device.store() == self.store => vec![(device, Encoding::Json)],
                None => Vec::new(),
            });
        }
        DeviceId::new(key, comptoir_core::event::COUNTER)
            .map_err(|error| format!("its key is invalid: {error}; {KEY_FORM}"))?;
        if !self.stores.includes(key) {
            return Ok(Vec::new());
        }
        let mut devices = self
            .journal
            .encodings(key, MAX_DEVICES)
            .await
            .map_err(|error| error.to_string())?;
        let journaled: HashSet<DeviceId> = devices.iter().map(|(device, _)| device.clone()).collect();
        let online = self.presence.tills_of(key).into_iter();
        let silent = online.filter(|device| !journaled.contains(device));
        devices.extend(silent.map(|device| (device, DEFAULT_ENCODING)));
        if devices.len() > MAX_DEVICES {
            warn!(
                store = key,
                devices = devices.len(),
                most = MAX_DEVICES,
                "a command addresses too many devices: it is sent to the first of them"
            );
            devices.truncate(MAX_DEVICES);
        }
        Ok(devices)
    }
}
