//! `gateway check`: whether the configuration is valid, and what can be reached with it.

use std::time::Duration;

use tokio::net::TcpListener;
use uuid::Uuid;

use crate::app::kafka_settings;
use crate::config::{Config, MqttUrl};
use crate::{ingest, kafka};

const PATIENCE: Duration = Duration::from_secs(5);

/// One thing looked at.
pub struct Finding {
    pub subject: String,
    pub result: Result<String, String>,
}

/// Looks at everything that the gateway would use; changes nothing.
pub async fn check(config: &Config) -> Vec<Finding> {
    let finding = |subject: &str, result| Finding {
        subject: subject.to_owned(),
        result,
    };
    let mqtt = match config.mqtt.embedded {
        Some(listen) => finding("mqtt.embedded", can_listen(listen).await),
        None => finding(
            &format!("mqtt.url {}", config.mqtt.url),
            can_connect(&config.mqtt.url).await,
        ),
    };
    let kafka = match kafka_settings(config) {
        None => Ok("not configured: the gateway works and buffers".to_owned()),
        Some(settings) => tokio::task::spawn_blocking(move || kafka::describe(&settings, PATIENCE))
            .await
            .map_err(|error| error.to_string())
            .and_then(|described| described.map_err(|error| error.to_string())),
    };
    vec![
        finding("journal.path", can_write(config)),
        mqtt,
        finding("kafka.brokers", kafka),
        finding("http.listen", can_listen(config.http.listen).await),
    ]
}

fn can_write(config: &Config) -> Result<String, String> {
    let path = &config.journal.path;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => std::path::Path::new("."),
    };
    if path.exists() {
        return Ok(format!("{} is there", path.display()));
    }
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() && !found.permissions().readonly() => {
            Ok(format!("{} will be made", path.display()))
        }
        Ok(_) => Err(format!("{} cannot be written", directory.display())),
        Err(error) => Err(format!("{}: {error}", directory.display())),
    }
}

async fn can_listen(listen: std::net::SocketAddr) -> Result<String, String> {
    TcpListener::bind(listen)
        .await
        .map(|_| format!("{listen} is free"))
        .map_err(|error| format!("{listen}: {error} (a running gateway uses it too)"))
}

/// As the gateway does it, with its password, but under another name: a client of the same name would throw a running
/// gateway out.
async fn can_connect(url: &MqttUrl) -> Result<String, String> {
    // An error means that somebody has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_id = format!("comptoir-check-{}", Uuid::new_v4().simple());
    ingest::reach(url, &client_id)
        .await
        .map(|()| "the MQTT broker lets us in".to_owned())
        .map_err(|error| error.to_string())
}
