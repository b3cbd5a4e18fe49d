//! Kafka → terminals: hands on what head office sends.
//!
//! At least once: a command counts as dealt with only when the MQTT broker has it, so one that was under
//! way in a crash is sent again. The order of one partition is kept.
//!
//! How far they have been handed on stands in the journal. A gateway whose journal does not know goes on where the
//! consumer group of the store's last gateway was; where Kafka has forgotten that, with the commands of the last day: no
//! till wants the price list of a year ago.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use comptoir_wire as wire;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::{Clock, Synchronisation};
use crate::event::DeviceId;
use crate::ingest::Stores;
use crate::ingest::downlink::Downlink;
use crate::ingest::presence::Presence;
use crate::journal::{Encoding, Journal};
use crate::kafka::{self, COMMANDS, Consumer, OwnedRecord, PositionTable, Positions, Settings, Start};
use crate::link::{Link, LinkState};
use crate::metrics::Metrics;
use crate::sale::Currency;
use crate::sale::money::{Amount, Money};

/// Commands for one store's devices: no more are addressed at once.
const MAX_DEVICES: usize = 10_000;
/// What the MQTT broker has kept of the terminals' `status` follows the subscription: it is all there by then.
const SETTLE: Duration = Duration::from_secs(1);
/// The end of the group's name.
const GROUP: &str = "-commands";
/// Commands that are handed on before Kafka is asked again whether they are of the topic that is there.
const BATCH: usize = 100;
const POLL: Duration = Duration::from_millis(500);
/// How old a command may be that a gateway hands on which knows nothing of those before.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);
/// Of a device that has sent no event yet and says that it is online. That is what the terminals' own firmware does, and
/// the oldest version is the one that all of them read.
const OF_THE_SILENT: Encoding = Encoding::Postcard { version: wire::MIN };

pub struct Commands {
    pub settings: Settings,
    pub store: String,
    pub stores: Stores,
    pub journal: Journal,
    pub downlink: Arc<Downlink>,
    pub presence: Arc<Presence>,
    /// To the MQTT broker.
    pub mqtt: Link,
    /// To Kafka's topic of commands.
    pub link: Link,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

impl Commands {
    /// Runs until `stop`, on a thread of its own.
    pub fn run(self, runtime: &Handle, stop: &CancellationToken) {
        let Some(mut kept) = runtime.block_on(self.positions(stop)) else {
            return;
        };
        let positions = Positions::new(kept.clone());
        let reader = Consumer::new(&self.settings, GROUP, &[COMMANDS], self.start(), positions);
        let mut consumer = match reader {
            Ok(consumer) => consumer,
            Err(error) => {
                // Not for a property, which was checked before: the gateway ends, and is started anew.
                self.link.down(error);
                return;
            }
        };
        while !stop.is_cancelled() {
            if let Some(looked) = consumer.look() {
                self.say(&looked);
                runtime.block_on(self.keep(&consumer, &mut kept));
            }
            let batch = consumer.batch(BATCH, POLL);
            // A command of a topic that was made anew is not to be handed on again when that is noticed.
            if batch.is_empty() || consumer.confirm(stop, |looked| self.say(looked)) != Some(true) {
                continue;
            }
            for command in batch {
                let delivered = runtime.block_on(async {
                    tokio::select! {
                        () = self.hand_on(&command) => true,
                        () = stop.cancelled() => false,
                    }
                });
                if !delivered {
                    break;
                }
                consumer.done(&command.topic, command.partition, command.offset);
                runtime.block_on(self.keep(&consumer, &mut kept));
            }
        }
        consumer.close();
    }

    /// As the journal has them; `None` when told to stop before it could be read.
    async fn positions(&self, stop: &CancellationToken) -> Option<PositionTable> {
        loop {
            match self.journal.command_positions().await {
                Ok(positions) => return Some(positions),
                Err(error) => self.link.down(error),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    fn start(&self) -> Start {
        // A clock that is not set may be years behind or ahead. Old commands are better than lost ones.
        let since = match self.clock.status().synchronisation {
            Synchronisation::Unsynchronised => 0,
            _ => (Timestamp::now() - OLDEST).as_millisecond(),
        };
        Start::GroupOrSince(since)
    }

    fn say(&self, looked: &Result<(), kafka::Error>) {
        match looked {
            Ok(()) => self.link.up(),
            Err(error) => self.link.down(error.clone().explained(&self.settings)),
        }
    }

    async fn keep(&self, consumer: &Consumer, kept: &mut PositionTable) {
        let positions = consumer.positions();
        if positions != *kept {
            self.journal.keep_command_positions(positions.clone()).await;
            *kept = positions;
        }
    }

    async fn hand_on(&self, command: &OwnedRecord) {
        self.reached().await;
        let devices = match self.addressees(&command.key).await {
            Ok(devices) => devices,
            Err(reason) => {
                let key = String::from_utf8_lossy(&command.key);
                warn!(%key, offset = command.offset, reason, "a command that nobody can be given");
                return;
            }
        };
        let on_the_way: Vec<oneshot::Receiver<()>> = devices
            .into_iter()
            .map(|(device, encoding)| {
                let payload = payload(&command.payload, encoding);
                self.downlink.command(device, payload)
            })
            .collect();
        for delivered in on_the_way {
            // Else the MQTT broker refuses it, which has been said.
            if delivered.await.is_ok() {
                self.metrics.commands.inc();
            }
        }
    }

    /// Waits until the MQTT broker is there, without which nothing can be handed on, and has said which terminals it
    /// knows.
    async fn reached(&self) {
        let mut link = self.mqtt.watch();
        // The sender lives as long as the gateway.
        let since = match link.wait_for(|status| status.state == LinkState::Up).await {
            Ok(status) => status.since,
            Err(_) => return,
        };
        tokio::time::sleep_until((since + SETTLE).into()).await;
    }

    /// `{store}/{device}`, or `{store}` for all of its devices that are known: those that have sent something, and
    /// those that say, or said, that they are online. A store that is not ours is another gateway's, unless its
    /// terminals have been seen here; one that is not among `mqtt.stores` always is.
    async fn addressees(&self, key: &[u8]) -> Result<Vec<(DeviceId, Encoding)>, String> {
        let key = std::str::from_utf8(key).map_err(|_| "its key is no text".to_owned())?;
        if key.contains('/') {
            let device: DeviceId = key.parse().map_err(|error| format!("its key: {error}"))?;
            if !self.stores.hear(device.store()) {
                return Ok(Vec::new());
            }
            let known = self.journal.encoding(&device).await;
            return Ok(match known.map_err(|error| error.to_string())? {
                Some(encoding) => vec![(device, encoding)],
                None if self.presence.knows(&device) => vec![(device, OF_THE_SILENT)],
                None if device.store() == self.store => vec![(device, Encoding::Json)],
                None => Vec::new(),
            });
        }
        DeviceId::new(key, crate::event::COUNTER).map_err(|error| format!("its key: {error}"))?;
        if !self.stores.hear(key) {
            return Ok(Vec::new());
        }
        let mut devices = self
            .journal
            .encodings(key, MAX_DEVICES)
            .await
            .map_err(|error| error.to_string())?;
        let heard: HashSet<DeviceId> = devices.iter().map(|(device, _)| device.clone()).collect();
        let silent = self.presence.of_store(key);
        let silent = silent.into_iter().filter(|device| !heard.contains(device));
        devices.extend(silent.map(|device| (device, OF_THE_SILENT)));
        if devices.len() > MAX_DEVICES {
            warn!(
                store = key,
                devices = devices.len(),
                most = MAX_DEVICES,
                "a command for too many devices"
            );
            devices.truncate(MAX_DEVICES);
        }
        Ok(devices)
    }
}

/// What head office may say to a binary terminal, by its `type`; anything else it is handed as it is.
///
/// Not an enum tagged for serde: that would read numbers into floats before a price sees its digits.
#[derive(Deserialize)]
struct Known<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    currency: Option<Currency>,
    #[serde(default)]
    prices: Vec<KnownPrice>,
    #[serde(borrow)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct KnownPrice {
    product: String,
    unit_price: Amount,
}

/// JSON as it came for a device that speaks JSON; for a binary one the same in its own encoding, if it has
/// one for it.
fn payload(json: &[u8], encoding: Encoding) -> Vec<u8> {
    let binary = match encoding {
        Encoding::Postcard { version } => {
            let known = serde_json::from_slice(json).ok();
            known.and_then(|known| encode(&known, wire::Version::of(version)))
        }
        Encoding::Json => None,
    };
    binary.unwrap_or_else(|| json.to_vec())
}

fn encode(known: &Known<'_>, version: wire::Version) -> Option<Vec<u8>> {
    let mut buffer = vec![0; wire::MAX_FRAME];
    let mut prices = Vec::new();
    let command = match &*known.r#type {
        "message" => wire::Command::Message(wire::Message {
            text: known.text.as_deref()?,
        }),
        "price_list" => {
            let currency = known.currency?;
            for price in &known.prices {
                let money = Money::from_decimal(price.unit_price.0, currency).ok()?;
                prices.push(wire::Price {
                    product: &price.product,
                    unit_price: u64::try_from(money.minor()).ok()?,
                });
            }
            wire::Command::PriceList(wire::PriceList {
                currency: wire::Currency::parse(currency.code())?,
                prices: wire::Prices::from_slice(&prices),
            })
        }
        "order_status" => wire::Command::OrderStatus(wire::OrderStatusChange {
            order_id: known.order_id.as_deref()?,
            status: wire::OrderStatus::parse(known.status.as_deref()?)?,
        }),
        _ => return None,
    };
    command.encode_as(version, &mut buffer).map(<[u8]>::to_vec).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_terminal_gets_its_own_encoding_and_a_json_device_gets_the_json() {
        let json = br#"{"type":"message","text":"Fermeture 19 h"}"#;
        assert_eq!(payload(json, Encoding::Json), json);
        let binary = payload(json, OF_THE_SILENT);
        let command = wire::Command::decode(&binary).unwrap();
        let text = "Fermeture 19 h";
        assert_eq!(command, wire::Command::Message(wire::Message { text }));
    }

    #[test]
    fn prices_are_exact() {
        let json =
            br#"{"type":"price_list","currency":"EUR","prices":[{"product":"Pain","unit_price":1.05}]}"#;
        let binary = payload(json, OF_THE_SILENT);
        match wire::Command::decode(&binary).unwrap() {
            wire::Command::PriceList(list) => {
                let price = list.prices.iter().next().unwrap();
                assert_eq!((price.product, price.unit_price), ("Pain", 105));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_no_encoding_is_handed_on_as_it_is() {
        let json = br#"{"type":"reboot"}"#;
        assert_eq!(payload(json, OF_THE_SILENT), json);
    }
}
