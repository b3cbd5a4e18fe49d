//! `gateway check`, exit codes, and the errors for a bad configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, Scratch};

use crate::shop::{GATEWAY, SOON, STORE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_ends_the_gateway_with_exit_code_2_and_one_sentence() -> Result<()> {
    for (extra, word) in [
        ("jurnal.path = \"x\"", "jurnal"),
        (
            "kafka.properties.\"transactional.id\" = \"x\"",
            "transactional.id",
        ),
        ("currency = \"EURO\"", "currency"),
    ] {
        let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
        config.extra = extra.to_owned();
        let mut gateway = Gateway::spawn(GATEWAY, config)?;
        let status = gateway.wait_exit(SOON).await?;
        let said = gateway.log();
        ensure!(status.code() == Some(2), "{extra}: {status} {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains(word),
            "{extra}: {said}"
        );
    }
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
    config.env = vec![("COMPTOIR_JOURNAL__MAX_BYTES".into(), "much".into())];
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    ensure!(gateway.wait_exit(SOON).await?.code() == Some(2));
    ensure!(gateway.log().contains("journal.max_bytes"), "{}", gateway.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_gateways_user_can_read_the_files_that_it_makes() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    // Starts it like a shell does, without the unit's UMask.
    config.wrapper = ["bash", "-c", "umask 022; exec \"$0\" \"$@\""]
        .map(str::to_owned)
        .to_vec();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let scratch = Scratch::new("backup")?;
    let copy = scratch.join("copy.db");
    let (status, said) = gateway
        .run(&["backup", &copy.display().to_string()], SOON)
        .await?;
    ensure!(status.success(), "{said}");
    let journal = gateway.journal_path();
    let folder = journal.parent().context("folder")?;
    let name = journal
        .file_stem()
        .context("name")?
        .to_string_lossy()
        .into_owned();
    let mut files = vec![copy];
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&name))
        {
            files.push(path);
        }
    }
    ensure!(files.len() > 3, "{files:?}");
    for file in files {
        let mode = std::fs::metadata(&file)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "{}: {mode:o}", file.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_variable_overrides_the_configuration_file() -> Result<()> {
    // These values look like numbers, but are names.
    let shop = Shop::open_with(comptoir_harness::Kafka::shared().await.brokers(), |mut config| {
        config.env = [
            ("COMPTOIR_STORE", "0330"),
            ("COMPTOIR_MQTT__CLIENT_ID", "7"),
            ("COMPTOIR_KAFKA__TOPIC_PREFIX", "2024"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        config
    })
    .await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["store"] == "0330", "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_property_in_the_environment_overrides_the_file_in_every_spelling() -> Result<()> {
    // The file's value is not a protocol, so the gateway would refuse it if it used it.
    for file in ["\"security.protocol\"", "security.protocol", "security_protocol"] {
        for variable in ["SECURITY__PROTOCOL", "SECURITY_PROTOCOL"] {
            let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1");
            config.extra = format!("kafka.properties.{file} = \"of the file\"");
            let mut gateway = Gateway::spawn(GATEWAY, config)?;
            let status = gateway.wait_exit(SOON).await?;
            ensure!(status.code() == Some(2), "{file}: {}", gateway.log());
            let variable = format!("COMPTOIR_KAFKA__PROPERTIES__{variable}");
            gateway.config().env = vec![(variable.clone(), "PLAINTEXT".into())];
            let (status, said) = gateway.run(&["check", "--offline"], SOON).await?;
            ensure!(status.success(), "{file} {variable}: {said}");
            gateway.config().env = vec![(variable.clone(), "of the environment".into())];
            let (_, said) = gateway.run(&["check", "--offline"], SOON).await?;
            ensure!(
                said.contains("the environment: kafka.properties.security.protocol"),
                "{file} {variable}: {said}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_which_servers_it_can_reach() -> Result<()> {
    let shop = Shop::open().await?;
    shop.gateway
        .post_json("/api/orders", &serde_json::json!({}))
        .await?;
    shop.drained(1, SOON).await?;
    let (_, said) = shop.gateway.run(&["check"], SOON).await?;
    ensure!(
        said.contains("ok      mqtt.url") && said.contains("all 10 topics are there"),
        "{said}"
    );
    let mut config = GatewayConfig::new(STORE, "mqtt://127.0.0.1:1").kafka("127.0.0.1:1", "");
    config.extra = "log.filter = \"off\"".to_owned();
    let nowhere = Gateway::spawn(GATEWAY, config)?;
    let (status, said) = nowhere.run(&["check"], SOON).await?;
    ensure!(status.code() == Some(1), "{said}");
    ensure!(
        said.contains("FAILED  mqtt.url") && said.contains("FAILED  kafka.brokers"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_a_wrong_mqtt_password_and_disconnects_nobody() -> Result<()> {
    let scratch = Scratch::new("mosquitto-passwords")?;
    let passwords = scratch.join("passwords");
    let status = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["gateway", "hunter2"])
        .status()?;
    ensure!(status.success(), "mosquitto_passwd: {status}");
    let only = format!("password_file {}\nallow_anonymous false", passwords.display());
    let mosquitto = Mosquitto::start_with(&only).await?;
    let url = |login: &str| format!("mqtt://{login}127.0.0.1:{}", mosquitto.port());
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &url("gateway:hunter2@")))?;
    gateway.wait_ready().await?;
    let since = gateway.get_json("/api/gateway").await?["mqtt"]["since"].clone();
    ensure!(since.is_string(), "{since}");
    for (login, answer) in [
        ("gateway:hunter2@", "ok      mqtt.url"),
        ("gateway:hunter3@", "the password is wrong"),
        ("", "wants a user name and a password"),
    ] {
        gateway.config().mqtt_url = url(login);
        let (_, said) = gateway.run(&["check"], SOON).await?;
        ensure!(said.contains(answer), "{login}: {said}");
        ensure!(!said.contains("hunter"), "{said}");
    }
    let state = gateway.get_json("/api/gateway").await?;
    ensure!(
        state["mqtt"]["since"] == since,
        "the running gateway was disconnected: {state}"
    );
    Ok(())
}
