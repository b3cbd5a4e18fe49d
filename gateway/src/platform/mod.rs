//! The gateway's environment: network addresses, clock, heap, panics, TLS certificate, systemd, metrics, the shop's
//! secret, the built-in MQTT broker, the status of its peers, and the traffic with Kafka.

pub mod address;
pub mod alert_status;
pub mod clock;
pub mod closing_key;
pub mod descriptors;
pub mod embedded_broker;
pub mod handled_commands;
pub mod heap;
pub mod last_exit;
pub mod metrics;
pub mod panics;
pub mod peer;
pub mod shop_secret;
pub mod state_file;
pub mod systemd;
pub mod tls;
pub mod uplink;
