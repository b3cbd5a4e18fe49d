//! What goes from the gateway to the terminals: acks and commands.
//!
//! Acks are conflated: of a device and epoch only the newest counts, so they are bounded by those however
//! slow the MQTT broker is. Commands are kept in their order, and given back to whoever sent them when the
//! broker has them. Both survive a lost connection: what the broker had not acknowledged is sent again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_wire::{Ack, Version};
use tokio::sync::{Notify, oneshot};

use crate::event::{DeviceId, GATEWAY_EPOCH};
use crate::journal::{DeviceAck, Encoding};

/// Publishes that the MQTT broker has not acknowledged yet.
pub const IN_FLIGHT: usize = 128;

/// Above it are the connection's own SUBSCRIBE and UNSUBSCRIBE.
pub const MAX_PACKET_ID: u16 = u16::MAX - 2;

/// Something to publish, QoS 1.
pub struct Outgoing {
    /// Its packet id.
    pub packet: u16,
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

/// Whose numbers an ack is about.
type Stream = (DeviceId, u32);

fn stream(ack: &DeviceAck) -> Stream {
    (ack.device.clone(), ack.epoch)
}

#[derive(Default)]
struct Queues {
    acks: HashMap<Stream, DeviceAck>,
    /// The keys of `acks`, in the order in which they were first due.
    due: VecDeque<Stream>,
    commands: VecDeque<Command>,
    /// By packet id, in the order in which they were published; the PUBACKs mostly come in the same.
    in_flight: VecDeque<(u16, Sent)>,
    last_packet: u16,
    /// What the broker of this connection allows; 0 without a connection.
    most_in_flight: usize,
    /// The broker of this connection keeps retained messages.
    retain: bool,
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

    /// Publishes acks that were given before, for a till that may have missed them. A newer one that is on its way stays.
    pub fn repeat(&self, acks: impl IntoIterator<Item = DeviceAck>) {
        let mut queues = self.lock();
        for ack in acks {
            if !queues.has_ack(&stream(&ack), ack.seq) {
                queues.put_ack(ack);
            }
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Publishes a command; resolves when the MQTT broker has it, to an error where it does not take it. Dropping the
    /// receiver does not take the command back.
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

    /// The connection is there. Its broker lets this many publishes be unacknowledged; `retain`: it keeps retained messages.
    pub fn connected(&self, receive_maximum: u16, retain: bool) {
        let mut queues = self.lock();
        queues.most_in_flight = IN_FLIGHT.min(usize::from(receive_maximum));
        queues.retain = retain;
        drop(queues);
        self.changed.notify_one();
    }

    /// Waits until [`Downlink::take`] may have something. One connection waits at a time.
    pub async fn due(&self) {
        let changed = self.changed.notified();
        if !self.lock().has_due() {
            changed.await;
        }
    }

    /// The next publish, if there is one and not too many are unacknowledged. It counts as published from
    /// now on.
    pub fn take(&self) -> Option<Outgoing> {
        self.lock().take()
    }

    /// The MQTT broker has acknowledged it.
    pub fn acknowledged(&self, packet: u16) {
        if let Some(Sent::Command(command)) = self.settle(packet) {
            // Dropped: nobody waits to hear of it.
            let _ = command.delivered.send(());
        }
    }

    /// The MQTT broker does not take it, now or ever: the same again would be refused again. The topic it was for.
    pub fn refused(&self, packet: u16) -> Option<String> {
        self.settle(packet).map(|sent| match sent {
            Sent::Ack(ack) => topic(&ack.device, "ack"),
            Sent::Command(command) => topic(&command.device, "commands"),
        })
    }

    /// The packet id of the oldest publish that the MQTT broker has not acknowledged.
    pub fn oldest_in_flight(&self) -> Option<u16> {
        self.lock().in_flight.front().map(|&(packet, _)| packet)
    }

    fn settle(&self, packet: u16) -> Option<Sent> {
        let mut queues = self.lock();
        let at = queues.in_flight.iter().position(|(id, _)| *id == packet);
        let sent = at.and_then(|at| queues.in_flight.remove(at));
        let more = queues.has_due();
        drop(queues);
        if more {
            self.changed.notify_one();
        }
        sent.map(|(_, sent)| sent)
    }

    /// The connection is gone: what was not acknowledged is due again, commands in their order.
    pub fn disconnected(&self) {
        let mut queues = self.lock();
        queues.most_in_flight = 0;
        let mut commands = VecDeque::new();
        for (_, sent) in std::mem::take(&mut queues.in_flight) {
            match sent {
                Sent::Ack(ack) => {
                    if !queues.acks.contains_key(&stream(&ack)) {
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

/// Notices a broker that answers pings and does not acknowledge what is published, which would keep everything behind it from
/// the tills. Packets are answered in order, so that a slow reader of ours is not taken for that.
#[derive(Default)]
pub struct Stall {
    /// The oldest unacknowledged publish when the last ping was answered.
    packet: Option<u16>,
    since: u32,
}

impl Stall {
    /// A ping was answered while `oldest` was the oldest unacknowledged publish. For how many pings it has been so.
    pub fn answered(&mut self, oldest: Option<u16>) -> u32 {
        self.since = match oldest {
            Some(_) if oldest == self.packet => self.since + 1,
            _ => 0,
        };
        self.packet = oldest;
        self.since
    }
}

impl Queues {
    fn put_ack(&mut self, ack: DeviceAck) {
        // No binary terminal can wait for a number of the gateway's. It must not take the place of the ack that one does
        // wait for as the retained message.
        if matches!(ack.encoding, Encoding::Postcard { .. }) && ack.epoch == GATEWAY_EPOCH {
            return;
        }
        let stream = stream(&ack);
        if self.acks.insert(stream.clone(), ack).is_none() {
            self.due.push_back(stream);
        }
    }

    /// Whether this ack, or a newer one of its stream, waits or is in flight.
    fn has_ack(&self, stream: &Stream, seq: u32) -> bool {
        let is_newer = |ack: &DeviceAck| (&ack.device, ack.epoch) == (&stream.0, stream.1) && ack.seq >= seq;
        let in_flight = self.in_flight.iter();
        self.acks.get(stream).is_some_and(is_newer)
            || in_flight
                .into_iter()
                .any(|(_, sent)| matches!(sent, Sent::Ack(ack) if is_newer(ack)))
    }

    fn has_due(&self) -> bool {
        self.in_flight.len() < self.most_in_flight && !(self.due.is_empty() && self.commands.is_empty())
    }

    fn take(&mut self) -> Option<Outgoing> {
        if !self.has_due() {
            return None;
        }
        let packet = self.free_packet();
        let due = self.due.pop_front().and_then(|stream| self.acks.remove(&stream));
        let (outgoing, sent) = match due {
            Some(ack) => (
                Outgoing {
                    packet,
                    topic: topic(&ack.device, "ack"),
                    retain: self.retain,
                    payload: encode(&ack),
                },
                Sent::Ack(ack),
            ),
            None => {
                let command = self.commands.pop_front()?;
                let outgoing = Outgoing {
                    packet,
                    topic: topic(&command.device, "commands"),
                    retain: false,
                    payload: command.payload.clone(),
                };
                (outgoing, Sent::Command(command))
            }
        };
        self.in_flight.push_back((packet, sent));
        Some(outgoing)
    }

    /// A packet id that nothing in flight has. There is one: far fewer are in flight than there are ids.
    fn free_packet(&mut self) -> u16 {
        loop {
            self.last_packet = self.last_packet % MAX_PACKET_ID + 1;
            if self.in_flight.iter().all(|(id, _)| *id != self.last_packet) {
                return self.last_packet;
            }
        }
    }
}

fn topic(device: &DeviceId, leaf: &str) -> String {
    format!("pos/{device}/{leaf}")
}

fn encode(ack: &DeviceAck) -> Vec<u8> {
    let DeviceAck { epoch, seq, .. } = *ack;
    let mut buffer = [0; Ack::MAX_BYTES];
    match ack.encoding {
        Encoding::Postcard { version } => {
            match (Ack { epoch, seq }).encode_as(Version::of(version), &mut buffer) {
                Ok(bytes) => bytes.to_vec(),
                // Epoch 0, which `put_ack` does not take.
                Err(_) => Vec::new(),
            }
        }
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

    #[test]
    fn an_ack_is_in_the_version_that_its_terminal_writes() {
        for version in comptoir_wire::MIN..=comptoir_wire::CURRENT {
            let downlink = connected();
            let encoding = Encoding::Postcard { version };
            downlink.ack([DeviceAck {
                encoding,
                ..ack("a", 3)
            }]);
            assert_eq!(downlink.take().unwrap().payload, [version, 1, 3]);
        }
    }

    fn connected() -> Downlink {
        let downlink = Downlink::default();
        downlink.connected(u16::MAX, true);
        downlink
    }

    fn taken(downlink: &Downlink) -> Vec<(String, String)> {
        std::iter::from_fn(|| downlink.take())
            .map(|out| (out.topic, String::from_utf8(out.payload).unwrap()))
            .collect()
    }

    fn json(seq: u32) -> String {
        format!(r#"{{"epoch":1,"seq":{seq}}}"#)
    }

    #[test]
    fn only_the_newest_ack_of_a_device_is_published() {
        let downlink = connected();
        downlink.ack([ack("a", 1), ack("b", 1), ack("a", 2)]);
        let expected = [("pos/s/a/ack".into(), json(2)), ("pos/s/b/ack".into(), json(1))];
        assert_eq!(taken(&downlink), expected);
    }

    #[test]
    fn each_epoch_of_a_device_has_its_ack() {
        let downlink = connected();
        let own = DeviceAck {
            epoch: GATEWAY_EPOCH,
            ..ack("a", 9)
        };
        downlink.ack([own, ack("a", 1), ack("a", 2)]);
        let own = r#"{"epoch":0,"seq":9}"#.to_owned();
        assert_eq!(
            taken(&downlink),
            [("pos/s/a/ack".into(), own), ("pos/s/a/ack".into(), json(2))]
        );
    }

    #[test]
    fn what_nobody_could_read_takes_no_acks_place() {
        let downlink = connected();
        let postcard = |epoch, seq| DeviceAck {
            encoding: Encoding::Postcard { version: 1 },
            epoch,
            ..ack("a", seq)
        };
        downlink.ack([postcard(7, 3), postcard(GATEWAY_EPOCH, 1)]);
        let out = downlink.take().unwrap();
        assert_eq!(Ack::decode(&out.payload), Ok(Ack { epoch: 7, seq: 3 }));
        assert!(downlink.take().is_none());
    }

    #[test]
    fn a_lost_connection_loses_neither_acks_nor_commands() {
        let downlink = connected();
        let device = DeviceId::new("s", "a").unwrap();
        downlink.ack([ack("a", 1)]);
        let mut done = downlink.command(device.clone(), b"one".to_vec());
        assert_eq!(taken(&downlink).len(), 2);
        downlink.command(device, b"two".to_vec());
        downlink.disconnected();
        assert!(downlink.take().is_none(), "nobody is there to take it");
        downlink.connected(u16::MAX, true);
        let again: Vec<_> = std::iter::from_fn(|| downlink.take()).collect();
        let payloads: Vec<_> = again.iter().map(|out| out.payload.clone()).collect();
        assert_eq!(payloads, [json(1).into_bytes(), b"one".to_vec(), b"two".to_vec()]);
        assert!(done.try_recv().is_err());
        downlink.acknowledged(again[1].packet);
        assert!(done.try_recv().is_ok());
    }

    #[test]
    fn an_older_ack_does_not_come_back_after_a_newer_one() {
        let downlink = connected();
        downlink.ack([ack("a", 1)]);
        taken(&downlink);
        downlink.ack([ack("a", 2)]);
        downlink.disconnected();
        downlink.connected(u16::MAX, true);
        assert_eq!(taken(&downlink), [("pos/s/a/ack".into(), json(2))]);
    }

    #[test]
    fn what_is_refused_is_not_tried_again_and_was_not_delivered() {
        let downlink = connected();
        let device = DeviceId::new("s", "a").unwrap();
        let mut done = downlink.command(device, b"large".to_vec());
        let packet = downlink.take().unwrap().packet;
        assert_eq!(downlink.refused(packet).as_deref(), Some("pos/s/a/commands"));
        assert_eq!(done.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        downlink.disconnected();
        downlink.connected(u16::MAX, true);
        assert!(downlink.take().is_none());
        assert_eq!(downlink.refused(packet), None);
    }

    #[test]
    fn acks_are_published_without_the_retain_flag_where_nothing_is_retained() {
        for retain in [true, false] {
            let downlink = Downlink::default();
            downlink.connected(u16::MAX, retain);
            downlink.ack([ack("a", 1)]);
            assert_eq!(downlink.take().unwrap().retain, retain);
        }
    }

    #[test]
    fn a_repeated_ack_never_replaces_a_newer_one() {
        let downlink = connected();
        downlink.ack([ack("a", 5)]);
        downlink.repeat([ack("a", 4), ack("b", 7)]);
        assert_eq!(taken(&downlink).len(), 2, "b's, and only the newer one of a");
        downlink.repeat([ack("a", 4)]);
        assert!(downlink.take().is_none(), "the newer one is in flight");
        downlink.disconnected();
        downlink.connected(u16::MAX, true);
        for packet in [downlink.take().unwrap().packet, downlink.take().unwrap().packet] {
            downlink.acknowledged(packet);
        }
        downlink.repeat([ack("a", 5)]);
        assert_eq!(taken(&downlink), [("pos/s/a/ack".into(), json(5))]);
    }

    #[test]
    fn a_publish_that_stays_unacknowledged_is_noticed() {
        let (downlink, mut stall) = (connected(), Stall::default());
        let mut pong = |downlink: &Downlink| stall.answered(downlink.oldest_in_flight());
        assert_eq!([pong(&downlink), pong(&downlink)], [0, 0], "nothing is in flight");
        downlink.ack([ack("a", 1), ack("b", 1)]);
        let (first, second) = (downlink.take().unwrap().packet, downlink.take().unwrap().packet);
        downlink.acknowledged(second);
        let pongs = [pong(&downlink), pong(&downlink), pong(&downlink)];
        assert_eq!(pongs, [0, 1, 2]);
        downlink.acknowledged(first);
        downlink.ack([ack("a", 2)]);
        downlink.take();
        assert_eq!(pong(&downlink), 0, "another one");
    }

    #[test]
    fn no_more_than_the_window_is_in_flight() {
        let downlink = connected();
        downlink.ack((0..200).map(|n| ack(&format!("t{n}"), 1)));
        let first = downlink.take().unwrap();
        assert_eq!(taken(&downlink).len(), IN_FLIGHT - 1);
        downlink.acknowledged(first.packet);
        assert_eq!(taken(&downlink).len(), 1);

        downlink.disconnected();
        downlink.connected(10, true);
        assert_eq!(taken(&downlink).len(), 10, "the broker allows fewer");
    }

    #[test]
    fn packet_ids_in_flight_are_distinct_beyond_their_end() {
        let downlink = connected();
        downlink.ack([ack("slow", 1)]);
        let slow = downlink.take().unwrap().packet;
        for seq in 1..=u32::from(u16::MAX) + 10 {
            downlink.ack([ack("quick", seq)]);
            let packet = downlink.take().unwrap().packet;
            assert!(packet != slow && (1..=MAX_PACKET_ID).contains(&packet));
            downlink.acknowledged(packet);
        }
    }
}
