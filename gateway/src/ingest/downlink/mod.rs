//! From the gateway to the tills: acks and commands.
//!
//! Acks are conflated: only the newest ack of each device and epoch is published, so their number is bounded by the
//! number of devices and epochs, however slow the MQTT broker is. Commands keep their order, and their sender is
//! notified when the broker has acknowledged them. Both survive a lost connection: a publish that the broker has not
//! acknowledged is sent again.

mod queues;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use comptoir_mqtt::OutboundPublish;
use tokio::sync::{Notify, oneshot};

use comptoir_core::event::DeviceId;
use comptoir_journal::DeviceAck;
use queues::{Command, Content, Queues, topic};

/// Shared by the connection, which publishes the queued messages, and by the parts of the gateway that send to tills.
#[derive(Default)]
pub struct Downlink {
    queues: Mutex<Queues>,
    /// Notified when a message may have become ready to publish.
    changed: Notify,
}

impl Downlink {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic elsewhere leaves the queues consistent: no change below can stop halfway.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues acks for publishing. A newer ack replaces a queued one.
    pub fn ack(&self, acks: impl IntoIterator<Item = DeviceAck>) {
        let mut queues = self.lock();
        for ack in acks {
            queues.put_ack(ack);
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Queues acks again, for a till that may have missed them. They never replace newer ones.
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

    /// Queues a command. The receiver resolves when the MQTT broker acknowledges it, and to an error if the broker does
    /// not accept it. Dropping the receiver does not cancel the command.
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

    /// Called when a connection is made. Its broker allows `receive_maximum` unacknowledged publishes, and keeps
    /// retained messages if `retain` is set.
    pub fn connected(&self, receive_maximum: u16, retain: bool) {
        self.lock().connected(receive_maximum, retain);
        self.changed.notify_one();
    }

    /// Waits until [`Downlink::take`] may return a publish. Only one connection waits at a time.
    pub async fn due(&self) {
        let changed = self.changed.notified();
        if !self.lock().has_due() {
            changed.await;
        }
    }

    /// Takes the next publish, which then counts as in flight. `None` if nothing is queued, or as many publishes are in
    /// flight as the broker allows.
    pub fn take(&self) -> Option<OutboundPublish> {
        self.lock().take()
    }

    /// Called when the MQTT broker has acknowledged a publish.
    pub fn acknowledged(&self, packet_id: u16) {
        if let Some(Content::Command(command)) = self.remove(packet_id) {
            // Fails if the command's sender no longer waits for it.
            let _ = command.delivered.send(());
        }
    }

    /// Called when the MQTT broker refuses a publish. It is dropped, because the same packet would be refused again.
    /// Returns its topic.
    pub fn refused(&self, packet_id: u16) -> Option<String> {
        self.remove(packet_id).map(|content| match content {
            Content::Ack(ack) => topic(&ack.device, "ack"),
            Content::Command(command) => topic(&command.device, "commands"),
        })
    }

    /// The packet id of the oldest publish in flight.
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

    /// Called when the connection is lost. Queues unacknowledged publishes again; commands keep their order.
    pub fn disconnected(&self) {
        self.lock().disconnected();
    }
}
