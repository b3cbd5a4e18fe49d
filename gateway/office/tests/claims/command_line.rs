//! The command line: `check` says what is wrong, and a bad configuration ends with exit code 2 and one sentence.

use anyhow::{Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Kafka, Postgres, Scratch, eventually};

use crate::office::{DEADLINE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_ends_with_exit_code_2_and_one_sentence() -> Result<()> {
    let site = Site::new().await?;
    site.write_keys(["shop-1"])?;
    for (key, value, words) in [
        ("COMPTOIR_KAFKA__BROKERS", "", "kafka.brokers: missing"),
        (
            "COMPTOIR_POSTGRES__URL",
            "mysql://hunter2@db",
            "postgres.url: not an address",
        ),
        (
            "COMPTOIR_SHOPS__KEYS",
            "/nowhere/keys",
            "shops.keys: /nowhere/keys: cannot be read",
        ),
        (
            "COMPTOIR_HTTP__TRUSTED_PROXIES",
            "proxy.example.org",
            "http.trusted_proxies: \"proxy.example.org\"",
        ),
        ("COMPTOIR_KAFKA__GROUPS", "x", "unknown field: found `groups`"),
    ] {
        let mut command = site.command(&["run"]);
        command.env(key, value);
        let scratch = Scratch::new("command")?;
        let mut process = Process::spawn("the office", command, &scratch.join("log"))?;
        let status = process.wait(DEADLINE).await?;
        let said = process.log();
        assert_eq!(status.code(), Some(2), "{key}: {said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{key}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_can_be_reached() -> Result<()> {
    let mut site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let (status, said) = site.run(&["check"]).await?;
    assert!(status.success(), "{said}");
    for line in [
        "configuration  ok: 1 shop keys",
        "postgres       ok",
        "kafka          ok",
    ] {
        assert!(said.lines().any(|found| found == line), "{said}");
    }
    site.postgres = "postgres://postgres@127.0.0.1:1/nothing".to_owned();
    site.brokers = "127.0.0.1:1".to_owned();
    let (status, said) = site.run(&["check"]).await?;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_store_every_name_is_refused_with_the_command_that_creates_another()
-> Result<()> {
    let mut site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let postgres = Postgres::shared().await;
    let latin = format!("latin_{}", site.postgres.rsplit('/').next().unwrap_or_default());
    let create = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' TEMPLATE template0");
    postgres.query("postgres", &create).await?;
    site.postgres = postgres.url(&latin);
    for command in ["check", "run"] {
        let (status, said) = site.run(&[command]).await?;
        assert_eq!(status.code(), Some(1), "{command}: {said}");
        assert!(
            said.contains("encoding LATIN1") && said.contains("ENCODING 'UTF8'"),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_version_are_refused_and_left_unchanged() -> Result<()> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1"])?;
    let mut office = site.start("one")?;
    eventually("the office to be ready", DEADLINE, async || {
        let (status, text) = office.get("/readyz").await?;
        ensure!(status == 200, "{text}");
        Ok(())
    })
    .await;
    assert!(office.terminate().await?.success());
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', true, '', 0)";
    Postgres::shared().await.query(database, newer).await?;
    let (status, said) = site.run(&["run"]).await?;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("not those of this version"), "{said}");
    Ok(())
}
