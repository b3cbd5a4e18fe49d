//! Defaults for keys that are not set.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use comptoir_alerts::mail_text::Language;
use comptoir_core::sale::Currency;

use super::{
    Alerts, ArchiveConfig, Config, Demo, Follow, Http, JournalConfig, Kafka, Log, LogFormat, Mqtt, MqttUrl,
    Retention, TlsSetting, Uplink,
};

impl Default for Config {
    fn default() -> Self {
        Self {
            store: "shop-1".to_owned(),
            currency: Currency::EUR,
            time_zone: None,
            mqtt: Mqtt::default(),
            kafka: Kafka::default(),
            journal: JournalConfig::default(),
            archive: ArchiveConfig::default(),
            http: Http::default(),
            demo: Demo::default(),
            retention: Retention::default(),
            alerts: Alerts::default(),
            log: Log::default(),
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: MqttUrl {
                host: "localhost".to_owned(),
                port: 1883,
                tls: false,
                credentials: None,
            },
            embedded: None,
            client_id: None,
            stores: None,
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: None,
            topic_prefix: String::new(),
            replication_factor: None,
            partitions: None,
            follow: Follow::default(),
            follow_since: None,
            uplink: Uplink::default(),
            uplink_delay: 10,
            uplink_budget: None,
            payments_at_once: false,
            properties: BTreeMap::new(),
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("journal.db"),
            max_bytes: 2 << 30,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            port_file: None,
            mdns: "comptoir".to_owned(),
            hosts: Vec::new(),
            tls: TlsSetting::Auto,
            tls_cert: None,
            tls_key: None,
            password: None,
            open: false,
            plain_sign_in: false,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            // The 13 months in which a card payment can be disputed (article L133-24 of the French Code monétaire et
            // financier), plus some days.
            personal_data_days: 400,
        }
    }
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            webhook: None,
            smtp_url: None,
            from: String::new(),
            to: String::new(),
            language: Language::default(),
            quiet: None,
            page: None,
            // A restart of Kafka or of the MQTT broker is over by then.
            after: 60,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            // The built-in MQTT broker logs every client that disconnects as an error.
            filter: "info,rumqttd=off".to_owned(),
        }
    }
}
