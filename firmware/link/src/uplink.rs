//! A till's side of MQTT, over the `embedded-svc` traits.
//!
//! The caller owns the MQTT client. It connects with the last will of [`Identity`], passes each received message to
//! [`Uplink::receive`], and calls [`Uplink::send_next`] until that is idle. The rest is the same in a simulator and on
//! bare metal.

use core::fmt::{self, Write};

use comptoir_queue::{QueueError, SaleQueue};
use comptoir_wire::topic::{Kind, Leaf, MAX_TOPIC, Name, Topic};
use comptoir_wire::{Ack, Command, DecodeError, MAX_FRAME, decode, set_oldest};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use embedded_svc::mqtt::client::QoS;
use embedded_svc::mqtt::client::asynch::{Client, Publish};
use heapless::String;

use crate::{Frames, Millis, Settings, StoredEvent, Window};

/// The retained status of a connected till.
pub const ONLINE: &[u8] = b"online";
/// The retained status of a disconnected till, which is also its last will.
pub const OFFLINE: &[u8] = b"offline";

/// Why nothing was published.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkError<M, F> {
    /// The MQTT client failed: the caller has to reconnect.
    Mqtt(M),
    /// The queue failed.
    Queue(QueueError<F>),
}

impl<M: fmt::Debug, F: fmt::Debug> fmt::Display for LinkError<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt(error) => write!(f, "MQTT: {error:?}"),
            Self::Queue(error) => write!(f, "{error}"),
        }
    }
}

impl<M: fmt::Debug, F: fmt::Debug> core::error::Error for LinkError<M, F> {}

/// The meaning of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundMessage<'p> {
    /// All events up to and including this number are safe: delete them from the queue.
    Acked(u32),
    /// An ack without news, or for another epoch.
    StaleAck,
    /// An ack beyond everything that this till has sent: the epoch was used before. Unsent events need another epoch.
    ForeignAck,
    /// A command from head office.
    Command(Command<'p>),
    /// Neither an ack nor a command, on a topic for one.
    Malformed(DecodeError),
    /// A message on a topic that the till did not subscribe to.
    OtherTopic,
}

/// The result of [`Uplink::send_next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// An event was published.
    Published {
        /// Its number.
        seq: u32,
        /// Whether it was published before.
        is_resend: bool,
    },
    /// The oldest event is damaged on flash and was skipped; the gateway will report its number as missing. Delete it
    /// from the queue.
    Damaged {
        /// Its number.
        seq: u32,
    },
    /// Nothing to do: everything is sent, the window is full, or the client is busy.
    Idle,
}

/// What the MQTT client needs for its CONNECT.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `{store}_{device}`: names contain no underscore, so no two tills share a client id. If both names have their full
    /// length, the underscore is left out, because clients take at most 64 bytes; every other id contains one.
    pub client_id: String<MAX_CLIENT_ID>,
    /// Topic of the last will, which is retained at QoS 1 with the payload [`OFFLINE`].
    pub status: String<MAX_TOPIC>,
}

/// Maximum length of a client id, in bytes.
const MAX_CLIENT_ID: usize = 64;

/// One till's connection to its gateway.
#[derive(Debug)]
pub struct Uplink {
    identity: Identity,
    events: [String<MAX_TOPIC>; 3],
    ack: String<MAX_TOPIC>,
    commands: String<MAX_TOPIC>,
    window: Window,
    /// No event of this epoch has been acked yet, as far as the queue shows.
    is_unproven: bool,
}

impl Uplink {
    /// Creates the uplink of a till that has started, or restarted, with this queue.
    pub fn new<F: MultiwriteNorFlash, const PAGES: usize>(
        store: Name<'_>,
        device: Name<'_>,
        queue: &SaleQueue<F, PAGES>,
        settings: Settings,
    ) -> Self {
        let topic = |leaf| text(format_args!("{}", Topic { store, device, leaf }));
        Self {
            identity: Identity {
                client_id: client_id(store, device),
                status: topic(Leaf::Status),
            },
            events: Kind::ALL.map(|kind| topic(Leaf::Event(kind))),
            ack: topic(Leaf::Ack),
            commands: topic(Leaf::Commands),
            window: Window::resume(queue.epoch(), queue.acked(), queue.newest(), settings),
            is_unproven: queue.acked() == 0,
        }
    }

    /// Client id and last will.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The send window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Makes a stored event eligible for sending. Events are released in the order of their numbers.
    pub fn release(&mut self, event: StoredEvent) {
        let seq = self.window.extend();
        debug_assert_eq!(seq, Some(event.seq()), "released out of order");
    }

    /// Call it after each connect. Subscribes, which delivers the retained ack, and publishes that the till is online.
    ///
    /// # Errors
    /// The client failed.
    pub async fn announce_online<M: Client + Publish>(&mut self, mqtt: &mut M) -> Result<(), M::Error> {
        self.window.on_reconnect();
        mqtt.subscribe(&self.ack, QoS::AtLeastOnce).await?;
        mqtt.subscribe(&self.commands, QoS::AtLeastOnce).await?;
        mqtt.publish(&self.identity.status, QoS::AtLeastOnce, true, ONLINE)
            .await?;
        Ok(())
    }

    /// Publishes that the till goes offline.
    ///
    /// # Errors
    /// The client failed.
    pub async fn announce_offline<M: Publish>(&mut self, mqtt: &mut M) -> Result<(), M::Error> {
        mqtt.publish(&self.identity.status, QoS::AtLeastOnce, true, OFFLINE)
            .await?;
        Ok(())
    }

    /// Publishes the next event that may be published now. Call it until it returns [`SendOutcome::Idle`].
    ///
    /// `random` is uniform over all of `u32`; `buffer` is scratch space for the frame. `is_busy` tells a temporary
    /// error of the client (it had no room, and published nothing) from a lost connection.
    ///
    /// Under a new epoch the first event is sent alone, and the others wait for its ack. If another run used the epoch
    /// before, the gateway's ack lies beyond that event, so no unsent event is mistaken for a safe one.
    ///
    /// # Errors
    /// The client or the queue failed.
    pub async fn send_next<M, Q>(
        &mut self,
        mqtt: &mut M,
        is_busy: impl Fn(&M::Error) -> bool,
        queue: &mut Q,
        now: Millis,
        random: u32,
        buffer: &mut [u8; MAX_FRAME],
    ) -> Result<SendOutcome, LinkError<M::Error, Q::Error>>
    where
        M: Publish,
        Q: Frames,
    {
        self.window.check_timeout(now);
        if self.is_unproven && self.window.in_flight() > 0 {
            return Ok(SendOutcome::Idle);
        }
        let Some(send) = self.window.send(now, random) else {
            return Ok(SendOutcome::Idle);
        };
        let len = queue.frame(send.seq, buffer).await.map_err(LinkError::Queue)?;
        let readable = len.and_then(|len| {
            let kind = decode(&buffer[..len]).ok()?.event.kind();
            Some((kind, set_oldest(buffer, len, self.window.oldest()).ok()?))
        });
        let Some((kind, frame)) = readable else {
            // The gateway accepts nothing beyond a gap, so a damaged event is skipped only once it is the oldest.
            if self.window.skip(send.seq) {
                return Ok(SendOutcome::Damaged { seq: send.seq });
            }
            self.window.retract(send);
            return Ok(SendOutcome::Idle);
        };
        match mqtt
            .publish(&self.events[kind as usize], QoS::AtLeastOnce, false, frame)
            .await
        {
            Ok(_) => Ok(SendOutcome::Published {
                seq: send.seq,
                is_resend: send.is_resend,
            }),
            Err(error) if is_busy(&error) => {
                self.window.retract(send);
                Ok(SendOutcome::Idle)
            }
            Err(error) => Err(LinkError::Mqtt(error)),
        }
    }

    /// Interprets a received message.
    pub fn receive<'p>(
        &mut self,
        topic: &str,
        payload: &'p [u8],
        now: Millis,
        random: u32,
    ) -> InboundMessage<'p> {
        if topic == self.ack {
            match Ack::decode(payload) {
                Ok(ack) if ack.epoch == self.window.epoch() && ack.seq > self.window.sent() => {
                    InboundMessage::ForeignAck
                }
                Ok(ack) if self.window.ack(ack, now, random) > 0 => {
                    self.is_unproven = false;
                    InboundMessage::Acked(ack.seq)
                }
                Ok(_) => InboundMessage::StaleAck,
                Err(error) => InboundMessage::Malformed(error),
            }
        } else if topic == self.commands {
            Command::decode(payload).map_or_else(InboundMessage::Malformed, InboundMessage::Command)
        } else {
            InboundMessage::OtherTopic
        }
    }
}

fn client_id(store: Name<'_>, device: Name<'_>) -> String<MAX_CLIENT_ID> {
    let is_full_length = store.len() + device.len() == MAX_CLIENT_ID;
    let separator = if is_full_length { "" } else { "_" };
    let mut id = String::new();
    // Names have at most 32 bytes each, so this fits.
    let _ = write!(id, "{store}{separator}{device}");
    id
}

fn text(args: fmt::Arguments<'_>) -> String<MAX_TOPIC> {
    let mut text = String::new();
    // MAX_TOPIC is the length of the longest topic, so this fits.
    let _ = text.write_fmt(args);
    text
}
