//! What goes from the gateway to the terminals: acks and commands.
//!
//! Acks are conflated: of a device only the newest counts, so they are bounded by the devices however
//! slow the MQTT broker is. Commands are kept in their order, and given back to whoever sent them when the
//! broker has them. Both survive a lost connection: what the broker had not acknowledged is sent again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_wire::Ack;
use tokio::sync::{Notify, oneshot};

use crate::event::DeviceId;
use crate::journal::{DeviceAck, Encoding};

/// Publishes that the MQTT broker has not acknowledged yet.
pub const IN_FLIGHT: usize = 128;

/// Something to publish, QoS 1.
pub struct Outgoing {
    pub topic: String,
    pub retain: bool,
    pub payload: Vec<u8>,
}

/// What a publish was, until its PUBACK.
enum Sent {
    Ack(DeviceAck),
    Command(Command),
}

struct Command {
    device: DeviceId,
    payload: Vec<u8>,
    delivered: oneshot::Sender<()>,
}

#[derive(Default)]
struct Queues {
    acks: HashMap<DeviceId, DeviceAck>,
    /// The devices of `acks`, in the order in which they were first due.
    due: VecDeque<DeviceId>,
    commands: VecDeque<Command>,
    /// Handed to the client, which has not told their packet ids yet; in order.
    submitted: VecDeque<Sent>,
    in_flight: HashMap<u16, Sent>,
}

/// Shared by the connection, which empties it, and by whoever has something for a terminal.
#[derive(Default)]
pub struct Downlink {
    queues: Mutex<Queues>,
    changed: Notify,
}

impl Downlink {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic elsewhere leaves the queues whole: no change below can stop half way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an ack, unless a newer one overtakes it.
    pub fn ack(&self, acks: impl IntoIterator<Item = DeviceAck>) {
        let mut queues = self.lock();
        for ack in acks {
            queues.put_ack(ack);
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Publishes a command; resolves when the MQTT broker has it. Dropping the receiver does not take the
    /// command back.
    pub fn command(&self, device: DeviceId, payload: Vec<u8>) -> oneshot::Receiver<()> {
        let (delivered, done) = oneshot::channel();
        self.lock().commands.push_back(Command {
            device,
            payload,
            delivered,
        });
        self.changed.notify_one();
        done
    }

    /// The next publish, when there is one and not too many are unacknowledged. It counts as submitted
    /// from now on: one connection takes at a time.
    pub async fn next(&self) -> Outgoing {
        loop {
            let changed = self.changed.notified();
            if let Some(outgoing) = self.lock().take() {
                return outgoing;
            }
            changed.await;
        }
    }

    /// The client has given the oldest submitted publish this packet id.
    pub fn sent(&self, packet: u16) {
        let mut queues = self.lock();
        if let Some(sent) = queues.submitted.pop_front() {
            queues.in_flight.insert(packet, sent);
        }
    }

    /// The MQTT broker has acknowledged it.
    pub fn acknowledged(&self, packet: u16) {
        let sent = self.lock().in_flight.remove(&packet);
        if let Some(Sent::Command(command)) = sent {
            // Dropped: nobody waits to hear of it.
            let _ = command.delivered.send(());
        }
        self.changed.notify_one();
    }

    /// The connection is gone: what was not acknowledged is due again, commands in their order.
    pub fn disconnected(&self) {
        let mut queues = self.lock();
        let mut flown: Vec<_> = queues.in_flight.drain().collect();
        flown.sort_unstable_by_key(|(packet, _)| *packet);
        let submitted = std::mem::take(&mut queues.submitted);
        let again = flown.into_iter().map(|(_, sent)| sent).chain(submitted);
        let mut commands = VecDeque::new();
        for sent in again {
            match sent {
                Sent::Ack(ack) => {
                    if !queues.acks.contains_key(&ack.device) {
                        queues.put_ack(ack);
                    }
                }
                Sent::Command(command) => commands.push_back(command),
            }
        }
        commands.append(&mut queues.commands);
        queues.commands = commands;
    }
}

impl Queues {
    fn put_ack(&mut self, ack: DeviceAck) {
        let device = ack.device.clone();
        if self.acks.insert(device.clone(), ack).is_none() {
            self.due.push_back(device);
        }
    }

    fn take(&mut self) -> Option<Outgoing> {
        if self.submitted.len() + self.in_flight.len() >= IN_FLIGHT {
            return None;
        }
        let due = self.due.pop_front().and_then(|device| self.acks.remove(&device));
        let (outgoing, sent) = match due {
            Some(ack) => (
                Outgoing {
                    topic: topic(&ack.device, "ack"),
                    retain: true,
                    payload: encode(&ack),
                },
                Sent::Ack(ack),
            ),
            None => {
                let command = self.commands.pop_front()?;
                let outgoing = Outgoing {
                    topic: topic(&command.device, "commands"),
                    retain: false,
                    payload: command.payload.clone(),
                };
                (outgoing, Sent::Command(command))
            }
        };
        self.submitted.push_back(sent);
        Some(outgoing)
    }
}

fn topic(device: &DeviceId, leaf: &str) -> String {
    format!("pos/{device}/{leaf}")
}

fn encode(ack: &DeviceAck) -> Vec<u8> {
    let DeviceAck { epoch, seq, .. } = *ack;
    let mut buffer = [0; Ack::MAX_BYTES];
    match ack.encoding {
        Encoding::Postcard => match (Ack { epoch, seq }).encode(&mut buffer) {
            Ok(bytes) => bytes.to_vec(),
            // Epoch 0, the gateway's own: no postcard terminal has it, and none can wait for it.
            Err(_) => Vec::new(),
        },
        Encoding::Json => format!(r#"{{"epoch":{epoch},"seq":{seq}}}"#).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(device: &str, seq: u32) -> DeviceAck {
        DeviceAck {
            device: DeviceId::new("s", device).unwrap(),
            encoding: Encoding::Json,
            epoch: 1,
            seq,
        }
    }

    fn taken(downlink: &Downlink) -> Vec<(String, String)> {
        std::iter::from_fn(|| downlink.lock().take())
            .map(|out| (out.topic, String::from_utf8(out.payload).unwrap()))
            .collect()
    }

    fn json(seq: u32) -> String {
        format!(r#"{{"epoch":1,"seq":{seq}}}"#)
    }

    #[test]
    fn only_the_newest_ack_of_a_device_is_published() {
        let downlink = Downlink::default();
        downlink.ack([ack("a", 1), ack("b", 1), ack("a", 2)]);
        let expected = [("pos/s/a/ack".into(), json(2)), ("pos/s/b/ack".into(), json(1))];
        assert_eq!(taken(&downlink), expected);
    }

    #[test]
    fn a_lost_connection_loses_neither_acks_nor_commands() {
        let downlink = Downlink::default();
        let device = DeviceId::new("s", "a").unwrap();
        downlink.ack([ack("a", 1)]);
        let mut done = downlink.command(device.clone(), b"one".to_vec());
        assert_eq!(taken(&downlink).len(), 2);
        downlink.sent(1);
        downlink.sent(2);
        downlink.command(device, b"two".to_vec());
        downlink.disconnected();
        let payloads: Vec<_> = taken(&downlink).into_iter().map(|(_, p)| p).collect();
        assert_eq!(payloads, [json(1), "one".into(), "two".into()]);
        for packet in 1..=3 {
            downlink.sent(packet);
        }
        assert!(done.try_recv().is_err());
        downlink.acknowledged(2);
        assert!(done.try_recv().is_ok());
    }

    #[test]
    fn an_older_ack_does_not_come_back_after_a_newer_one() {
        let downlink = Downlink::default();
        downlink.ack([ack("a", 1)]);
        taken(&downlink);
        downlink.sent(1);
        downlink.ack([ack("a", 2)]);
        downlink.disconnected();
        assert_eq!(taken(&downlink), [("pos/s/a/ack".into(), json(2))]);
    }

    #[test]
    fn no_more_than_the_window_is_in_flight() {
        let downlink = Downlink::default();
        downlink.ack((0..200).map(|n| ack(&format!("t{n}"), 1)));
        assert_eq!(taken(&downlink).len(), IN_FLIGHT);
        downlink.sent(1);
        downlink.acknowledged(1);
        assert_eq!(taken(&downlink).len(), 1);
    }
}
