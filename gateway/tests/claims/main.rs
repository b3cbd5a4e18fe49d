//! The gateway's promises, each tested on the real parts: Mosquitto, Apache Kafka, SQLite files and the binaries.
//!
//! `docs/guarantees.md` lists each promise with its tests. All claims are one test binary, so that they share one Kafka; a
//! test that stops Kafka starts its own.

mod api;
mod attacks_http;
mod attacks_live;
mod audit;
mod authors;
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
mod fleet;
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
mod kafka_acls;
mod kafka_distrust;
mod kafka_readers;
mod kept_sales;
mod live;
mod live_under_load;
mod local_authority;
mod mqtt_brokers;
mod mqtt_session;
mod offline;
mod operations;
mod other_gateways;
mod page_totals;
mod personal_data;
mod power_cut;
mod real_input;
mod reverse_proxy;
mod same_code;
mod sender_limits;
mod shop;
mod sign_in;
mod sign_in_floods;
mod soak;
mod topics;
mod uplink;
mod wire_versions;
