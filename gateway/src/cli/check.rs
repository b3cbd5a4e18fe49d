//! `gateway check`: tests whether the configuration is valid and the gateway can use everything that it names.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::alerts;
use crate::app::kafka_settings;
use crate::config::{Config, TlsMode};
use crate::ingest;
use crate::platform::address::{self, Scheme};
use crate::platform::shop_secret;
use crate::platform::tls;
use comptoir_alerts::receivers::Receivers;
use comptoir_alerts::webhook::WebhookClient;
use comptoir_journal::Journal;
use comptoir_kafka as kafka;

use super::arguments::ConfigArguments;
use super::config_files::LoadedConfig;

/// How long Kafka may take to answer.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);

/// Prints one line per check: `ok` or `FAILED`, the subject and what was found.
///
/// # Errors
/// Never fails; failed checks are printed and make the exit code 1.
pub async fn run(arguments: &ConfigArguments, offline: bool) -> anyhow::Result<ExitCode> {
    let LoadedConfig { config, problem } = match arguments.load() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    match problem {
        None => println!("ok      configuration"),
        Some(problem) => println!("FAILED  configuration: {problem}; the last good configuration is used"),
    }
    if offline {
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for CheckResult { subject, result } in check(&config).await {
        match result {
            Ok(detail) => println!("ok      {subject}: {detail}"),
            Err(problem) => {
                println!("FAILED  {subject}: {problem}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The result of one check, in words.
struct CheckResult {
    /// The key, with its value where that helps.
    subject: String,
    result: Result<String, String>,
}

/// Tests everything that a gateway with this configuration would use. Changes nothing.
async fn check(config: &Config) -> Vec<CheckResult> {
    let named = |subject: &str, result| CheckResult {
        subject: subject.to_owned(),
        result,
    };
    let mqtt = match config.mqtt.embedded {
        Some(listen) => named("mqtt.embedded", check_listen(listen).await),
        None => named(
            &format!("mqtt.url {}", config.mqtt.url),
            check_mqtt_broker(config).await,
        ),
    };
    let kafka = match kafka_settings(config) {
        None => Ok("not configured: the gateway works and buffers".to_owned()),
        Some(settings) => tokio::task::spawn_blocking(move || kafka::check_cluster(&settings, KAFKA_TIMEOUT))
            .await
            .map_err(|error| error.to_string())
            .and_then(|examined| examined.map_err(|error| error.to_string())),
    };
    let mut results = vec![
        named("journal.path", check_journal(&config.journal.path).await),
        named("the shop's secret", check_secret(&config.journal.path).await),
        mqtt,
        named("kafka.brokers", kafka),
        named("http.listen", check_listen(config.http.listen).await),
        named("http.tls", Ok(describe_tls(config))),
    ];
    results.extend(check_alerts(config).await);
    results
}

/// Connects to the receivers of alerts, without sending them anything.
async fn check_alerts(config: &Config) -> Vec<CheckResult> {
    // The checks have already refused invalid ones.
    let Ok(Receivers { webhook, mail }) = alerts::receivers(config) else {
        return Vec::new();
    };
    let mut results = Vec::new();
    if let Some(url) = webhook {
        let result = match WebhookClient::new() {
            Ok(client) => client.check(&url).await,
            Err(error) => Err(error),
        };
        results.push(CheckResult {
            subject: "alerts.webhook".to_owned(),
            result: result
                .map(|()| "the webhook can be reached".to_owned())
                .map_err(|error| alerts::describe(&error)),
        });
    }
    if let Some(mailer) = mail {
        let result = mailer.check().await.map_err(|error| error.to_string());
        results.push(CheckResult {
            subject: "alerts.smtp_url".to_owned(),
            result: result.map(|()| "the mail server accepts the gateway".to_owned()),
        });
    }
    results
}

/// Checks that the journal can be opened for writing, or created.
async fn check_journal(path: &Path) -> Result<String, String> {
    let exists = Journal::exists_at(path)
        .await
        .map_err(|error| error.to_string())?;
    let folder = nearest_existing_folder(path);
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()));
    }
    // SQLite's write-ahead log and the lock are files beside the journal, so the folder must be writable too.
    let create_files = Access::WRITE_OK | Access::EXEC_OK;
    for (path, rights) in [(folder, create_files), (path, Access::WRITE_OK)] {
        if path.exists() {
            access(path, rights)
                .map_err(|error| format!("this user cannot write to {}: {error}", path.display()))?;
        }
    }
    Ok(match exists {
        true => format!("{} exists", path.display()),
        false => format!("{} will be created", path.display()),
    })
}

/// Checks that the secret is the one that the journal was used with, or that neither exists yet.
async fn check_secret(journal: &Path) -> Result<String, String> {
    let known = match Journal::exists_at(journal).await {
        Ok(true) => Journal::secret_at(journal)
            .await
            .map_err(|error| error.to_string())?,
        // The check of the journal reports the error.
        Ok(false) | Err(_) => None,
    };
    let path = shop_secret::path_of(journal);
    let found = shop_secret::find(&path, known.as_deref()).map_err(|problem| problem.to_string())?;
    Ok(match found {
        Some(_) => format!("{} exists", path.display()),
        None => format!("{} will be created", path.display()),
    })
}

/// The nearest existing folder above `path`. The gateway creates the missing ones.
fn nearest_existing_folder(path: &Path) -> &Path {
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
    folder
}

async fn check_listen(listen: SocketAddr) -> Result<String, String> {
    TcpListener::bind(listen)
        .await
        .map(|_| format!("{listen} is free"))
        .map_err(|error| format!("{listen}: {error} (a running gateway also occupies this port)"))
}

/// Describes how the pages are protected and under which URL. Configured files were checked with the configuration.
fn describe_tls(config: &Config) -> String {
    let how = match config.http.tls_mode() {
        TlsMode::Off => "off: plain HTTP, which everybody on the network can read".to_owned(),
        TlsMode::OwnCertificate { certificate, .. } => {
            format!("the certificate in {}", certificate.display())
        }
        TlsMode::LocalAuthority => match tls::existing_authority(config) {
            Some(authority) => format!(
                "the gateway's own certificate; the SHA-256 fingerprint of its authority is {}, and /trust explains how to trust it",
                authority.fingerprint
            ),
            None => "the gateway's own certificate; its authority will be made at the first start".to_owned(),
        },
    };
    let scheme = match config.http.tls_mode() {
        TlsMode::Off => Scheme::Http,
        TlsMode::OwnCertificate { .. } | TlsMode::LocalAuthority => Scheme::Https,
    };
    let by_name = (!config.http.mdns.is_empty() && !config.http.listen.ip().is_loopback()).then(|| {
        scheme.url(format_args!(
            "{}.local:{}",
            config.http.mdns,
            config.http.listen.port()
        ))
    });
    let url = by_name.unwrap_or_else(|| scheme.url(address::reachable(config.http.listen)));
    format!("{url}, {how}")
}

/// Logs in as the gateway would, but with its own client id: the broker disconnects a client when another connects with
/// the same id.
async fn check_mqtt_broker(config: &Config) -> Result<String, String> {
    // Fails if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_id = format!("comptoir-check-{}", Uuid::new_v4().simple());
    let topics = ingest::Stores::new(config.mqtt.stores.clone()).topics();
    ingest::check_broker(&config.mqtt.url, &client_id, topics)
        .await
        .map(|warnings| {
            let all = std::iter::once("the MQTT broker accepts the gateway".to_owned()).chain(warnings);
            all.collect::<Vec<_>>().join("; ")
        })
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_existing_journal_a_new_one_and_an_impossible_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (journal, _writer) = Journal::open(&file("journal.db"), 1 << 20).await.unwrap();
        let detail = check_journal(&file("journal.db")).await.unwrap();
        assert!(
            detail.ends_with("exists"),
            "a running gateway does not disturb the check: {detail}"
        );
        drop(journal);
        // The gateway creates missing folders.
        let detail = check_journal(&file("a/b/journal.db")).await.unwrap();
        assert!(detail.ends_with("will be created"), "{detail}");
        std::fs::write(file("empty.db"), "").unwrap();
        assert!(
            check_journal(&file("empty.db"))
                .await
                .unwrap()
                .ends_with("will be created")
        );
        std::fs::write(file("letter"), "Dear Sir").unwrap();
        let secret = check_secret(&file("journal.db")).await.unwrap();
        assert!(secret.ends_with("will be created"), "{secret}");
        std::fs::write(file("journal-secret"), "not a code").unwrap();
        let error = check_secret(&file("journal.db")).await.unwrap_err();
        assert!(error.contains("recovery-code --restore"), "{error}");
        for (path, word) in [
            ("letter", "not a Comptoir journal"),
            ("letter/journal.db", "letter"),
            (".", "directory"),
        ] {
            let error = check_journal(&file(path)).await.unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
    }
}
