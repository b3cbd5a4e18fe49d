//! The promises, each proven on the real parts: Mosquitto, Apache Kafka, SQLite files, the binaries.
//!
//! One test binary, so that its tests share one Kafka; those that stop theirs start their own.

mod api;
mod bare_metal;
mod browser;
mod clock;
mod command_line;
mod commands;
mod demo;
mod disk_faults;
mod embedded_broker;
mod exactly_once;
mod faults;
mod firmware_size;
mod full;
mod hostile_input;
mod http;
mod http_limits;
mod http_lists;
mod http_states;
mod https;
mod identity;
mod journal;
mod journal_loss;
mod kafka_readers;
mod kept_sales;
mod live;
mod live_under_load;
mod mqtt_brokers;
mod mqtt_session;
mod offline;
mod operations;
mod other_gateways;
mod page_totals;
mod password;
mod power_cut;
mod real_input;
mod reverse_proxy;
mod same_code;
mod shop;
mod soak;
mod topics;
mod wire_versions;
