//! The environment of integration tests, soak tests and benchmarks: Apache Kafka, Mosquitto, PostgreSQL, gateways and
//! simulated tills as child processes on free ports of the loopback interface.
//!
//! * A child process ends when its value is dropped. If the test process dies in another way, the kernel kills its children
//!   (see [`process`]). Static values such as [`Kafka::shared`] are never dropped and rely on the kernel.
//! * Files are in `$TMPDIR/comptoir-harness/<pid>-…` and are removed when their value is dropped. The files of a failed
//!   test, and of a process that was killed, stay until the next test process starts.
//! * No test sleeps for a fixed time: [`eventually()`] awaits a condition with a deadline.

mod audit;
mod cache;
pub mod chain;
mod emulated_till;
mod eventually;
mod gateway;
mod kafka;
mod ledger;
mod mail;
mod mosquitto;
mod mqtt_probe;
mod nginx;
mod pos_sim;
mod postgres;
pub mod process;
mod python;
mod reader;
mod record;
mod scratch;
mod settable_clock;
mod usage;
mod webhook;

pub use audit::{Audit, audit};
pub use emulated_till::{ConfirmedSale, EmulatedTill, Image, Stack};
pub use eventually::{eventually, within};
pub use gateway::{Gateway, GatewayConfig};
pub use kafka::{
    Jvm, Kafka, KafkaSettings, MeteredKafka, MeteredListener, Node, Operation, SecuredKafka, Traffic,
    fresh_prefix,
};
pub use ledger::{LedgerLine, read_ledger};
pub use mail::MailServer;
pub use mosquitto::Mosquitto;
pub use mqtt_probe::{MqttMessage, MqttProbe};
pub use nginx::Nginx;
pub use pos_sim::{PosSim, sibling_binary};
pub use postgres::Postgres;
pub use python::{Listener, SocketIoEvent, python};
pub use reader::{Reader, Tail};
pub use record::Record;
pub use scratch::{Scratch, free_port};
pub use settable_clock::SettableClock;
pub use usage::{Usage, usage};
pub use webhook::WebhookReceiver;
