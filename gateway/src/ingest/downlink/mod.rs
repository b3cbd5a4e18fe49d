//! From the gateway to the tills: acks and commands.
//!
//! Acks are conflated: only the newest one of each device and epoch is published, so their number is bounded by
//! that of devices and epochs however slow the MQTT broker is. Commands keep their order, and their sender is
//! told when the broker has them. Both survive a lost connection: a publish that the broker has not acknowledged
//! is sent again.

mod queues;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_mqtt::OutboundPublish;
use tokio::sync::{Notify, oneshot};

use comptoir_core::event::DeviceId;
use comptoir_journal::DeviceAck;
use queues::{Command, Content, Queues, topic};

/// Shared by the connection, which publishes what is queued, and by the parts of the gateway that send to tills.
#[derive(Default)]
pub struct Downlink {
    queues: Mutex<Queues>,
    /// Notified when something may have become publishable.
    changed: Notify,
}

impl Downlink {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic elsewhere leaves the queues whole: no change below can stop half way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes acks, each unless a newer one replaces it first.
    pub fn ack(&self, acks: impl IntoIterator<Item = DeviceAck>) {
        let mut queues = self.lock();
        for ack in acks {
            queues.put_ack(ack);
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Publishes acks again, for a till that may have missed them. They never replace newer ones.
    pub fn repeat(&self, acks: impl IntoIterator<Item = DeviceAck>) {
        let mut queues = self.lock();
        for ack in acks {
            if !queues.has_ack(&ack) {
                queues.put_ack(ack);
            }
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Publishes a command. The receiver resolves when the MQTT broker has it, and to an error if the broker does not
    /// accept it. Dropping the receiver does not cancel the command.
    pub fn command(&self, device: DeviceId, payload: Vec<u8>) -> oneshot::Receiver<()> {
        let (delivered, receiver) = oneshot::channel();
        self.lock().put_command(Command {
            device,
            payload: payload.into(),
            delivered,
        });
        self.changed.notify_one();
        receiver
    }

    /// A connection was made. Its broker allows `receive_maximum` unacknowledged publishes, and keeps retained messages if
    /// `retain` is set.
    pub fn connected(&self, receive_maximum: u16, retain: bool) {
        self.lock().connected(receive_maximum, retain);
        self.changed.notify_one();
    }

    /// Waits until [`Downlink::take`] may return a publish. One connection waits at a time.
    pub async fn due(&self) {
        let changed = self.changed.notified();
        if !self.lock().has_due() {
            changed.await;
        }
    }

    /// The next publish. It counts as in flight from now on. `None`: nothing is queued, or as many publishes are in flight
    /// as the broker allows.
    pub fn take(&self) -> Option<OutboundPublish> {
        self.lock().take()
    }

    /// The MQTT broker has acknowledged a publish.
    pub fn acknowledged(&self, packet_id: u16) {
        if let Some(Content::Command(command)) = self.remove(packet_id) {
            // An error means that the sender of the command no longer waits for it.
            let _ = command.delivered.send(());
        }
    }

    /// The MQTT broker does not accept a publish. It is given up, because the same packet would be refused again. Returns
    /// its topic.
    pub fn refused(&self, packet_id: u16) -> Option<String> {
        self.remove(packet_id).map(|content| match content {
            Content::Ack(ack) => topic(&ack.device, "ack"),
            Content::Command(command) => topic(&command.device, "commands"),
        })
    }

    /// The packet id of the oldest publish that the MQTT broker has not acknowledged.
    pub fn oldest_in_flight(&self) -> Option<u16> {
        self.lock().oldest_in_flight()
    }

    fn remove(&self, packet_id: u16) -> Option<Content> {
        let mut queues = self.lock();
        let content = queues.remove(packet_id);
        let has_due = queues.has_due();
        drop(queues);
        if has_due {
            self.changed.notify_one();
        }
        content
    }

    /// The connection is lost. Unacknowledged publishes are queued again, commands in their order.
    pub fn disconnected(&self) {
        self.lock().disconnected();
    }
}
