//! A terminal's side of MQTT, over the `embedded-svc` traits.
//!
//! Whoever has a client makes the connection, with the last will of [`Identity`], hands each received message
//! to [`Uplink::hear`], and calls [`Uplink::speak`] while it gives something to do. The rest is the same in a
//! simulator and on bare metal.

use core::fmt::{self, Write};

use comptoir_queue::{QueueError, SaleQueue};
use comptoir_wire::topic::{Kind, Leaf, MAX_TOPIC, Name, Topic};
use comptoir_wire::{Ack, Command, DecodeError, MAX_FRAME, decode, set_oldest};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use embedded_svc::mqtt::client::QoS;
use embedded_svc::mqtt::client::asynch::{Client, Publish};
use heapless::String;

use crate::{Frames, Millis, Settings, Window};

/// The retained status of a terminal that is connected.
pub const ONLINE: &[u8] = b"online";
/// And of one that is not: its last will.
pub const OFFLINE: &[u8] = b"offline";

/// Why nothing was published.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkError<M, F> {
    /// The MQTT client: the connection is to be made anew.
    Mqtt(M),
    /// The queue.
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

/// What a received message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'p> {
    /// All up to and including this number is safe: delete it from the queue.
    Safe(u32),
    /// An ack that says nothing new, or of another epoch.
    OldAck,
    /// An ack beyond all that this terminal sent: its epoch was used before. What it has not sent needs another's.
    ForeignAck,
    /// What head office wants.
    Command(Command<'p>),
    /// Bytes that are no ack or command.
    Garbled(DecodeError),
    /// Another topic.
    Other,
}

/// What [`Uplink::speak`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoke {
    /// Published an event; `again` if it was published before.
    Published {
        /// Its number.
        seq: u32,
        /// Whether it is sent again.
        again: bool,
    },
    /// Left out an event that was damaged on flash; the gateway will report its number missing.
    Lost {
        /// Its number.
        seq: u32,
    },
    /// Nothing: all is sent, the window is full, or the client is.
    Nothing,
}

/// Who connects: for the client's configuration.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `{store}_{device}`: no name has an underscore, so no two terminals have the same. Two names of full length go
    /// without it, and no others do: clients take 64 bytes.
    pub client_id: String<MAX_CLIENT_ID>,
    /// Topic of the last will, retained at QoS 1; its payload is [`OFFLINE`].
    pub status: String<MAX_TOPIC>,
}

/// Bytes of a client id, at most.
const MAX_CLIENT_ID: usize = 64;

/// One terminal's link.
#[derive(Debug)]
pub struct Uplink {
    identity: Identity,
    events: [String<MAX_TOPIC>; 3],
    ack: String<MAX_TOPIC>,
    commands: String<MAX_TOPIC>,
    window: Window,
    /// Nothing was ever acked under this epoch, as far as the queue knows.
    untried: bool,
}

impl Uplink {
    /// The link of a terminal with that queue, as it is after a restart.
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
            untried: queue.acked() == 0,
        }
    }

    /// Who connects.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The window, for its numbers.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The queue holds its next event for good.
    pub fn sold(&mut self) {
        self.window.sell();
    }

    /// A connection was made: subscribes, which brings the retained ack, and says that the terminal is online.
    ///
    /// # Errors
    /// The client's.
    pub async fn greet<M: Client + Publish>(&mut self, mqtt: &mut M) -> Result<(), M::Error> {
        self.window.reconnected();
        mqtt.subscribe(&self.ack, QoS::AtLeastOnce).await?;
        mqtt.subscribe(&self.commands, QoS::AtLeastOnce).await?;
        mqtt.publish(&self.identity.status, QoS::AtLeastOnce, true, ONLINE)
            .await?;
        Ok(())
    }

    /// Says that the terminal goes offline in order.
    ///
    /// # Errors
    /// The client's.
    pub async fn part<M: Publish>(&mut self, mqtt: &mut M) -> Result<(), M::Error> {
        mqtt.publish(&self.identity.status, QoS::AtLeastOnce, true, OFFLINE)
            .await?;
        Ok(())
    }

    /// Publishes the next event, if there is one to be published now. To be called until it gives
    /// [`Spoke::Nothing`]. `random` is uniform over all of `u32`; the buffer is for the frame. `is_busy` says of the
    /// client's error whether nothing was published for want of room, and there will be room: no end of the connection.
    ///
    /// Of an epoch that is new, one event goes ahead and the others wait for its ack: had another used the epoch
    /// before, acks beyond that one event tell, and nothing that was never sent is taken for safe.
    ///
    /// # Errors
    /// The client's, or the queue's.
    pub async fn speak<M, Q>(
        &mut self,
        mqtt: &mut M,
        is_busy: impl Fn(&M::Error) -> bool,
        queue: &mut Q,
        now: Millis,
        random: u32,
        buffer: &mut [u8; MAX_FRAME],
    ) -> Result<Spoke, LinkError<M::Error, Q::Error>>
    where
        M: Publish,
        Q: Frames,
    {
        self.window.expire(now);
        if self.untried && self.window.in_flight() > 0 {
            return Ok(Spoke::Nothing);
        }
        let Some(send) = self.window.send(now, random) else {
            return Ok(Spoke::Nothing);
        };
        let len = queue.frame(send.seq, buffer).await.map_err(LinkError::Queue)?;
        let readable = len.and_then(|len| {
            let kind = decode(&buffer[..len]).ok()?.event.kind();
            Some((kind, set_oldest(buffer, len, self.window.oldest()).ok()?))
        });
        let Some((kind, frame)) = readable else {
            // Nothing behind it is taken before it. So it waits until it is the oldest, and is given up then.
            if self.window.bury(send.seq) {
                return Ok(Spoke::Lost { seq: send.seq });
            }
            self.window.retract(send);
            return Ok(Spoke::Nothing);
        };
        match mqtt
            .publish(&self.events[kind as usize], QoS::AtLeastOnce, false, frame)
            .await
        {
            Ok(_) => Ok(Spoke::Published {
                seq: send.seq,
                again: send.again,
            }),
            Err(error) if is_busy(&error) => {
                self.window.retract(send);
                Ok(Spoke::Nothing)
            }
            Err(error) => Err(LinkError::Mqtt(error)),
        }
    }

    /// Understands a received message.
    pub fn hear<'p>(&mut self, topic: &str, payload: &'p [u8], now: Millis, random: u32) -> Heard<'p> {
        if topic == self.ack {
            match Ack::decode(payload) {
                Ok(ack) if ack.epoch == self.window.epoch() && ack.seq > self.window.sent() => {
                    Heard::ForeignAck
                }
                Ok(ack) if self.window.ack(ack, now, random) > 0 => {
                    self.untried = false;
                    Heard::Safe(ack.seq)
                }
                Ok(_) => Heard::OldAck,
                Err(error) => Heard::Garbled(error),
            }
        } else if topic == self.commands {
            Command::decode(payload).map_or_else(Heard::Garbled, Heard::Command)
        } else {
            Heard::Other
        }
    }
}

fn client_id(store: Name<'_>, device: Name<'_>) -> String<MAX_CLIENT_ID> {
    let is_long = store.len() + device.len() == MAX_CLIENT_ID;
    let between = if is_long { "" } else { "_" };
    let mut id = String::new();
    // Names have 32 bytes at most.
    let _ = write!(id, "{store}{between}{device}");
    id
}

fn text(args: fmt::Arguments<'_>) -> String<MAX_TOPIC> {
    let mut text = String::new();
    // Names are bounded, and so are topics.
    let _ = text.write_fmt(args);
    text
}
