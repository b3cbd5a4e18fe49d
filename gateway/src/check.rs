//! `gateway check`: whether the configuration is valid, and what can be reached with it.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::app::kafka_settings;
use crate::config::Config;
use crate::journal::Journal;
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
            can_connect(config).await,
        ),
    };
    let kafka = match kafka_settings(config) {
        None => Ok("not configured: the gateway works and buffers".to_owned()),
        Some(settings) => tokio::task::spawn_blocking(move || kafka::examine(&settings, PATIENCE))
            .await
            .map_err(|error| error.to_string())
            .and_then(|described| described.map_err(|error| error.to_string())),
    };
    vec![
        finding("journal.path", can_write(&config.journal.path).await),
        mqtt,
        finding("kafka.brokers", kafka),
        finding("http.listen", can_listen(config.http.listen).await),
    ]
}

async fn can_write(path: &Path) -> Result<String, String> {
    let there = Journal::is_at(path).await.map_err(|error| error.to_string())?;
    // Beside the file are its lock and SQLite's log; the folders that are missing the gateway makes.
    let mut folder = path;
    while let Some(parent) = folder.parent() {
        folder = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        if folder.exists() {
            break;
        }
    }
    if !folder.is_dir() {
        return Err(format!("{} is no folder", folder.display()));
    }
    let enter = Access::WRITE_OK | Access::EXEC_OK;
    for (path, rights) in [(folder, enter), (path, Access::WRITE_OK)] {
        if path.exists() {
            access(path, rights)
                .map_err(|error| format!("{} cannot be written by this user: {error}", path.display()))?;
        }
    }
    Ok(match there {
        true => format!("{} is there", path.display()),
        false => format!("{} will be made", path.display()),
    })
}

async fn can_listen(listen: std::net::SocketAddr) -> Result<String, String> {
    TcpListener::bind(listen)
        .await
        .map(|_| format!("{listen} is free"))
        .map_err(|error| format!("{listen}: {error} (a running gateway uses it too)"))
}

/// As the gateway does it, with its password, but with another client id: the broker would disconnect a running gateway in
/// favour of one with the same.
async fn can_connect(config: &Config) -> Result<String, String> {
    // An error means that somebody has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_id = format!("comptoir-check-{}", Uuid::new_v4().simple());
    let filters = ingest::Stores::new(config.mqtt.stores.clone()).filters();
    ingest::reach(&config.mqtt.url, &client_id, filters)
        .await
        .map(|warnings| {
            let all = std::iter::once("the MQTT broker lets us in".to_owned()).chain(warnings);
            all.collect::<Vec<_>>().join("; ")
        })
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_journal_is_there_or_will_be_made_or_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (journal, _writer) = Journal::open(&file("journal.db"), 1 << 20).await.unwrap();
        let said = can_write(&file("journal.db")).await.unwrap();
        assert!(
            said.ends_with("is there"),
            "also while a gateway runs on it: {said}"
        );
        drop(journal);
        // The gateway makes the folders.
        let said = can_write(&file("a/b/journal.db")).await.unwrap();
        assert!(said.ends_with("will be made"), "{said}");
        std::fs::write(file("empty.db"), "").unwrap();
        assert!(
            can_write(&file("empty.db"))
                .await
                .unwrap()
                .ends_with("will be made")
        );
        std::fs::write(file("letter"), "Dear Sir").unwrap();
        for (path, word) in [
            ("letter", "not a Comptoir journal"),
            ("letter/journal.db", "letter"),
            (".", "directory"),
        ] {
            let error = can_write(&file(path)).await.unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
    }
}
