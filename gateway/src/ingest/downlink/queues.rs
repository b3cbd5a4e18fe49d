//! The queued publishes and those in flight.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use comptoir_mqtt::{InFlight, OutboundPublish};
use comptoir_wire::{Ack, Version};
use tokio::sync::oneshot;

use comptoir_core::event::{DeviceId, GATEWAY_EPOCH};
use comptoir_journal::{DeviceAck, Encoding};

/// Most publishes in flight, if the MQTT broker allows as many.
pub const WINDOW: u16 = 128;

/// The content of a publish, kept until its PUBACK.
pub enum Content {
    Ack(DeviceAck),
    Command(Command),
}

pub struct Command {
    pub device: DeviceId,
    pub payload: Bytes,
    /// Notifies the sender that the broker has acknowledged the command.
    pub delivered: oneshot::Sender<()>,
}

/// A device and an epoch. A newer ack of a stream replaces the older one.
type Stream = (DeviceId, u32);

fn stream_of(ack: &DeviceAck) -> Stream {
    (ack.device.clone(), ack.epoch)
}

#[derive(Default)]
pub struct Queues {
    /// The newest due ack of each stream.
    acks: HashMap<Stream, DeviceAck>,
    /// The keys of `acks`, in the order in which they became due.
    due: VecDeque<Stream>,
    commands: VecDeque<Command>,
    in_flight: InFlight<Content>,
    /// Whether the broker of this connection keeps retained messages.
    retain: bool,
}

impl Queues {
    pub fn put_ack(&mut self, ack: DeviceAck) {
        // No binary till waits for the gateway's own epoch. As the retained message, such an ack would displace the one
        // that a till does wait for.
        if matches!(ack.encoding, Encoding::Postcard { .. }) && ack.epoch == GATEWAY_EPOCH {
            return;
        }
        let stream = stream_of(&ack);
        if self.acks.insert(stream.clone(), ack).is_none() {
            self.due.push_back(stream);
        }
    }

    pub fn put_command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// Whether this ack, or a newer one of its stream, is due or in flight.
    pub fn has_ack(&self, ack: &DeviceAck) -> bool {
        let covers = |other: &DeviceAck| {
            (&other.device, other.epoch) == (&ack.device, ack.epoch) && other.seq >= ack.seq
        };
        let mut in_flight = self.in_flight.iter();
        self.acks.get(&stream_of(ack)).is_some_and(covers)
            || in_flight.any(|content| matches!(content, Content::Ack(other) if covers(other)))
    }

    pub fn has_due(&self) -> bool {
        self.in_flight.has_room() && !(self.due.is_empty() && self.commands.is_empty())
    }

    pub fn connected(&mut self, receive_maximum: u16, retain: bool) {
        self.in_flight.set_window(WINDOW.min(receive_maximum));
        self.retain = retain;
    }

    pub fn disconnected(&mut self) {
        self.in_flight.set_window(0);
        let mut commands = VecDeque::new();
        for content in self.in_flight.take_all() {
            match content {
                Content::Ack(ack) => {
                    if !self.acks.contains_key(&stream_of(&ack)) {
                        self.put_ack(ack);
                    }
                }
                Content::Command(command) => commands.push_back(command),
            }
        }
        commands.append(&mut self.commands);
        self.commands = commands;
    }

    /// Acks go first: tills wait for them.
    pub fn take(&mut self) -> Option<OutboundPublish> {
        if !self.has_due() {
            return None;
        }
        let due = self.due.pop_front().and_then(|stream| self.acks.remove(&stream));
        Some(match due {
            Some(ack) => OutboundPublish {
                topic: topic(&ack.device, "ack").into(),
                payload: encode(&ack).into(),
                retain: self.retain,
                packet_id: self.in_flight.push(Content::Ack(ack)),
            },
            None => {
                let command = self.commands.pop_front()?;
                OutboundPublish {
                    topic: topic(&command.device, "commands").into(),
                    payload: command.payload.clone(),
                    retain: false,
                    packet_id: self.in_flight.push(Content::Command(command)),
                }
            }
        })
    }

    /// Removes a publish that the broker has acknowledged or refused.
    pub fn remove(&mut self, packet_id: u16) -> Option<Content> {
        self.in_flight.remove(packet_id)
    }

    pub fn oldest_in_flight(&self) -> Option<u16> {
        self.in_flight.oldest_id()
    }
}

pub fn topic(device: &DeviceId, leaf: &str) -> String {
    format!("pos/{device}/{leaf}")
}

fn encode(ack: &DeviceAck) -> Vec<u8> {
    let DeviceAck { epoch, seq, .. } = *ack;
    let mut buffer = [0; Ack::MAX_BYTES];
    match ack.encoding {
        Encoding::Postcard { version } => {
            match (Ack { epoch, seq }).encode_as(Version::of(version), &mut buffer) {
                Ok(bytes) => bytes.to_vec(),
                // Fails only for epoch 0, which `put_ack` does not accept.
                Err(_) => Vec::new(),
            }
        }
        Encoding::Json => format!(r#"{{"epoch":{epoch},"seq":{seq}}}"#).into_bytes(),
    }
}
