//! The interfaces of operators: the packaged configuration, the metric names, the last good settings, and the versions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use comptoir_gateway::config::Config;
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, Scratch};
use comptoir_journal::{Journal, schema_version};
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Toml};
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::shop::{GATEWAY, SOON, STORE};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// The names of all metrics in a text. The series of a histogram count as the histogram.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("comptoir_"))
        .map(|word| {
            let plain = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix));
            plain.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_rules_and_the_grafana_dashboard_match_the_exported_metrics() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let (status, text) = gateway.get("/metrics").await?;
    ensure!(status == 200, "{status}");
    let samples: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut real = metrics(&samples);
    // Only a gateway with TLS has it.
    real.insert("comptoir_certificate_expiry_seconds".into());
    // Only a gateway with Kafka has them.
    for direction in ["sent", "received"] {
        real.insert(format!("comptoir_kafka_{direction}_bytes_total"));
    }
    let dashboard = metrics(&fs::read_to_string(deploy("grafana/comptoir.json"))?);
    let rules = metrics(&fs::read_to_string(deploy("prometheus/comptoir.rules.yml"))?);
    for (file, names) in [("the dashboard", &dashboard), ("the rules", &rules)] {
        let unknown: Vec<_> = names.difference(&real).collect();
        ensure!(unknown.is_empty(), "{file}: {unknown:?} are not in /metrics");
    }
    let unseen: Vec<_> = real.difference(&dashboard).collect();
    ensure!(unseen.is_empty(), "{unseen:?} are not on the dashboard");
    Ok(())
}

/// The keys of a section, or of the whole configuration for "". serde lists them in its error for an unknown key.
fn keys_of(section: &str) -> Option<&'static [&'static str]> {
    let unknown = match section {
        "" => "no-such-key = 1".to_owned(),
        section => format!("[{section}]\nno-such-key = 1"),
    };
    match Figment::from(Toml::string(&unknown))
        .extract::<Config>()
        .err()?
        .kind
    {
        Kind::UnknownField(_, keys) => Some(keys),
        _ => None,
    }
}

/// The key of a line `key = value`, which may be commented out.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    (!key.is_empty() && !key.contains([' ', '#'])).then_some(key)
}

#[test]
fn the_packaged_configuration_shows_every_key_and_is_valid() -> Result<()> {
    let scratch = Scratch::new("packaged")?;
    let text = fs::read_to_string(deploy("debian/gateway.toml"))?;
    let mut expected = BTreeSet::new();
    for name in keys_of("").context("no keys")? {
        match keys_of(name) {
            Some(keys) => expected.extend(keys.iter().map(|key| format!("{name}.{key}"))),
            None => _ = expected.insert((*name).to_owned()),
        }
    }
    // A section with arbitrary keys, of which the file shows examples.
    ensure!(expected.remove("kafka.properties"), "{expected:?}");

    // Each key is commented out, with its default or an example, and must be valid when it is uncommented.
    let (mut shown, mut section) = (BTreeSet::new(), String::new());
    let mut all = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        }
        let key = key_of(line);
        shown.extend(key.map(|key| format!("{section}{key}")));
        all.extend([key.and(line.strip_prefix('#')).unwrap_or(line), "\n"]);
    }
    let missing: Vec<_> = expected.difference(&shown).collect();
    ensure!(missing.is_empty(), "{missing:?} are not shown");
    ensure!(shown.contains("kafka.properties.security.protocol"), "{shown:?}");
    // The examples of certificate files must exist.
    let certified = rcgen::generate_simple_self_signed(["comptoir.local".to_owned()])?;
    fs::write(scratch.join("cert.pem"), certified.cert.pem())?;
    fs::write(scratch.join("key.pem"), certified.signing_key.serialize_pem())?;
    let folder = scratch.join("");
    let all = all.replace("/etc/comptoir/tls/", &folder.to_string_lossy());
    for (name, text) in [("packaged.toml", &text), ("every-key.toml", &all)] {
        let file = scratch.join(name);
        fs::write(&file, text)?;
        let output = std::process::Command::new(GATEWAY)
            .args(["check", "--offline", "--config"])
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{name}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_invalid_settings_starts_with_its_last_good_ones() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let scratch = Scratch::new("last-good")?;
    let last_good = scratch.join("last-good.toml").display().to_string();
    let report = scratch.join("problems");
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.args = vec![
        format!("--last-good={last_good}"),
        format!("--settings-report={}", report.display()),
    ];
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let state = gateway.get_json("/api/gateway").await?;
    ensure!(state["settings_problems"] == json!([]), "{state}");

    // An operator makes a mistake in the file, and another program also reports a problem.
    ensure!(gateway.terminate().await?.success());
    gateway.config().store = "Paris 1".to_owned();
    fs::write(&report, "comptoir.txt\tTIMEZONE\tMars is not known\n")?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let state = gateway.get_json("/api/gateway").await?;
    ensure!(state["store"] == STORE, "{state}");
    let problems = state["settings_problems"].as_array().context("no problems")?;
    let file = gateway.config_file().display().to_string();
    ensure!(
        problems.len() == 2 && problems[0]["key"] == "store" && problems[0]["place"] == file,
        "{problems:?}"
    );
    let other = json!({ "place": "comptoir.txt", "key": "TIMEZONE", "message": "Mars is not known" });
    ensure!(problems[1] == other, "{problems:?}");
    ensure!(gateway.log().contains("running with the last good configuration"));

    // Both problems are corrected.
    ensure!(gateway.terminate().await?.success());
    gateway.config().store = STORE.to_owned();
    fs::remove_file(&report)?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let state = gateway.get_json("/api/gateway").await?;
    ensure!(state["settings_problems"] == json!([]), "{state}");
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_valid_but_do_not_work_fall_back_to_the_last_good_ones() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let scratch = Scratch::new("does-not-work")?;
    let last_good = scratch.join("last-good.toml");
    let no_folder = scratch.join("a-file");
    fs::write(&no_folder, "")?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.args = vec![format!("--last-good={}", last_good.display())];
    let mut gateway = Gateway::spawn(GATEWAY, config.clone())?;
    gateway.wait_ready().await?;
    ensure!(gateway.terminate().await?.success());
    let good = fs::read(&last_good)?;
    let broken = |key: &str| {
        let mut config = config.clone();
        match key {
            "http.listen" => config.http_listen = taken.local_addr()?.to_string(),
            "journal.path" => config.journal_path = Some(no_folder.join("journal.db")),
            "log.filter" => config.extra = "log.filter = \"comptoir_gateway=loud\"".to_owned(),
            "mqtt.embedded" => config.extra = format!("mqtt.embedded = \"{}\"", taken.local_addr()?),
            property => config.extra = format!("{property} = \"soon\""),
        }
        anyhow::Ok(config)
    };
    let keys = [
        "http.listen",
        "journal.path",
        "log.filter",
        "mqtt.embedded",
        "kafka.properties.linger.ms",
        "kafka.properties.lingr.ms",
    ];
    for key in keys {
        *gateway.config() = broken(key)?;
        gateway.start_again()?;
        gateway.wait_ready().await?;
        let state = gateway.get_json("/api/gateway").await?;
        let problems = state["settings_problems"].as_array().context("no problems")?;
        let file = gateway.config_file().display().to_string();
        ensure!(
            problems.len() == 1 && problems[0]["key"] == key && problems[0]["place"] == file,
            "{key}: {problems:?}"
        );
        ensure!(gateway.terminate().await?.success());
        ensure!(
            fs::read(&last_good)? == good,
            "{key}: the broken settings were saved as good"
        );
    }
    // Without last good settings, the gateway refuses to start.
    for key in keys {
        let mut config = broken(key)?;
        config.args.clear();
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        let status = gateway.wait_exit(SOON).await?;
        let said = gateway.log();
        ensure!(status.code() == Some(2), "{key}: {status} {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains(key),
            "{key}: {said}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_use_the_last_good_settings_as_the_gateway_does() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let scratch = Scratch::new("last-good-commands")?;
    let last_good = format!("--last-good={}", scratch.join("last-good.toml").display());
    let copy = scratch.join("copy.db");
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.args = vec![last_good.clone()];
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    gateway.post_json("/api/orders", &json!({})).await?;
    gateway.config().store = "Paris 1".to_owned();
    let backup = ["backup", &copy.display().to_string()].map(str::to_owned);
    let list = ["dead-letters", "list"].map(str::to_owned);
    for arguments in [backup, list] {
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (status, said) = gateway.run(&arguments, SOON).await?;
        ensure!(status.code() == Some(2) && said.contains("store"), "{said}");
        arguments.push(&last_good);
        let (status, said) = gateway.run(&arguments, SOON).await?;
        ensure!(status.success(), "{said}");
        ensure!(said.contains("using the last good configuration"), "{said}");
    }
    ensure!(fs::metadata(&copy)?.len() > 0, "the backup is empty");
    Ok(())
}

#[test]
fn check_passes_if_the_last_good_settings_are_usable() -> Result<()> {
    let scratch = Scratch::new("check")?;
    let last_good = scratch.join("last-good.toml").display().to_string();
    let good = "store = \"paris-1\"";
    let check = |text: &str| -> Result<(bool, String)> {
        let file = scratch.join("gateway.toml");
        fs::write(&file, text)?;
        let output = std::process::Command::new(GATEWAY)
            .args(["check", "--offline", "--last-good", &last_good, "--config"])
            .arg(&file)
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(said)?))
    };
    let (passed, said) = check("store = \"Paris 1\"")?;
    ensure!(!passed && said.contains("store"), "{said}");
    fs::write(&last_good, good)?;
    let (passed, said) = check("store = \"Paris 1\"")?;
    ensure!(
        passed && said.contains("FAILED") && said.contains("last good"),
        "{said}"
    );
    let (passed, said) = check(good)?;
    ensure!(passed && !said.contains("FAILED"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_a_newer_schema_is_refused_and_left_unchanged() -> Result<()> {
    let scratch = Scratch::new("newer")?;
    let path = scratch.join("journal.db");
    let (journal, writer) = Journal::open(&path, 1 << 30).await?;
    let writing = tokio::spawn(writer.run());
    journal.close().await;
    writing.await?;
    let newer = schema_version() + 1;
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await?;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (?, 'of a later version', TRUE, x'00', 0)",
    )
    .bind(newer)
    .execute(&mut connection)
    .await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    let before = fs::read(&path)?;
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.journal_path = Some(path.clone());
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    let status = gateway.wait_exit(SOON).await?;
    let log = gateway.log();
    ensure!(!status.success(), "it started: {log}");
    let said = log.lines().last().context("the log is empty")?;
    ensure!(
        said.contains(&format!("newer version of the gateway (schema {newer})")),
        "{said}"
    );
    ensure!(fs::read(&path)? == before, "the file was changed");
    Ok(())
}

#[test]
fn the_version_output_names_the_journal_schema() -> Result<()> {
    let output = std::process::Command::new(GATEWAY).arg("--version").output()?;
    let said = String::from_utf8(output.stdout)?;
    let expected = format!(
        "gateway {} (journal schema {})",
        env!("CARGO_PKG_VERSION"),
        schema_version()
    );
    ensure!(said.trim() == expected, "{said}");
    Ok(())
}
