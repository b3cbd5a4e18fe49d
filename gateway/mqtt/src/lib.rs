//! An MQTT 5 client session for the gateway and for `pos-sim`.
//!
//! The packet types are rumqttc's (`v5::mqttbytes`); its event loop is not used. ADR 5
//! (`gateway/docs/adr/0005-mqtt-connection.md`) gives the reasons.
//!
//! The protocol part does no I/O. It consists of components that share nothing, so that each can belong to another
//! task:
//!
//! - [`PacketReader`]: bytes in, [`BrokerPacket`]s out.
//! - [`PacketWriter`]: packets in, bytes out; never a packet that is larger than the broker accepts.
//! - [`InFlight`]: packet ids, and the publishes that wait for their PUBACK.
//!
//! Two drivers move the bytes:
//!
//! - [`Connection`] has two independent halves, [`Input`] and [`Output`], over TCP or TLS. The gateway
//!   reads and writes in separate tasks, and a reader that waits for the disk must not delay a writer.
//! - [`Session`] never waits, reads and writes what the socket takes, and needs little memory. `pos-sim`
//!   runs thousands of them in one process.
//!
//! Both start with the same handshake, which turns the broker's CONNACK into [`BrokerLimits`]. This crate refuses only
//! limits that MQTT 5 forbids, and brokers without QoS 1, which no client here can use. The caller decides which other
//! limits matter, and what advice to give about an [`Error`].

mod connection;
mod dial;
mod error;
mod handshake;
mod in_flight;
mod limits;
mod packet;
mod reader;
mod reason;
mod session;
mod writer;

pub use connection::{Connection, Input, Output};
pub use dial::BrokerAddress;
pub use error::Error;
pub use handshake::{ConnectOptions, Credentials, LastWill};
pub use in_flight::{InFlight, MAX_PUBLISH_ID};
pub use limits::BrokerLimits;
pub use packet::{BrokerPacket, ConnAck, Disconnect, InboundPublish, PubAck, SubAck};
pub use reader::PacketReader;
pub use reason::{Reason, ReasonCode, ReasonText, printable};
pub use session::Session;
pub use writer::{OutboundPublish, PacketWriter};
