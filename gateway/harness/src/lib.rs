//! Real parts for integration tests, the soak and the benchmarks: Apache Kafka, Mosquitto, gateways and simulated
//! terminals run as child processes on free ports of the loopback interface.
//!
//! * A child ends when its value is dropped, and also when the test process dies in any other way: the kernel kills it
//!   (see [`process`]). Static values, such as [`Kafka::shared`], rely on the latter.
//! * Files live below `$TMPDIR/comptoir-harness/<pid>-…`. They go with their value; what a dead process left behind
//!   goes at the next start, and a failed test's files stay until then.
//! * Nothing sleeps to wait: [`eventually`] awaits a condition until a deadline.

mod audit;
mod cache;
mod emulated_till;
mod eventually;
mod gateway;
mod kafka;
mod ledger;
mod mosquitto;
mod mqtt_probe;
mod nginx;
mod pos_sim;
pub mod process;
mod python;
mod reader;
mod record;
mod scratch;
mod settable_clock;
mod usage;

pub use audit::{Audit, audit};
pub use emulated_till::{ConfirmedSale, EmulatedTill, Image, Stack};
pub use eventually::{eventually, within};
pub use gateway::{Gateway, GatewayConfig};
pub use kafka::{Jvm, Kafka, KafkaSettings, Node, Operation, fresh_prefix};
pub use ledger::{LedgerLine, read_ledger};
pub use mosquitto::Mosquitto;
pub use mqtt_probe::{MqttProbe, Received};
pub use nginx::Nginx;
pub use pos_sim::{PosSim, sibling_binary};
pub use python::{Heard, Listener, python};
pub use reader::{Reader, Tail};
pub use record::Record;
pub use scratch::{Scratch, free_port};
pub use settable_clock::SettableClock;
pub use usage::{Usage, usage};
