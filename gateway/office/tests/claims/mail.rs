//! Alerts reach a real mail server, in plain words, at least once, and at night only if they are severe.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::Chain;
use comptoir_harness::{Kafka, MailServer, WebhookReceiver, eventually, free_port};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::office::{DEADLINE, Site};

/// A refused mail is sent again after at least 40 s.
const RETRIED: Duration = Duration::from_secs(120);

/// The state of a gateway that will not count as silent. `more` are further fields.
fn state(more: &str) -> String {
    let now = Timestamp::now();
    format!(
        r#"{{"time":"{now}","version":"1.0.0","started":"{now:.0}","last_exit":"stopped","journal":{{"bytes":1,"max_bytes":100000}},"devices":[],"every":3600{more}}}"#
    )
}

async fn site() -> Result<(Site, Chain)> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(["shop-1", "shop-2"])?;
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    Ok((site, chain))
}

/// The mails, once there are so many.
async fn mails(server: &mut MailServer, count: usize) -> Vec<Value> {
    eventually("the mails", RETRIED, async || {
        let mails = server.mails()?;
        ensure!(mails.len() >= count, "{mails:?}");
        Ok(mails)
    })
    .await
}

fn text<'a>(mail: &'a Value, field: &str) -> &'a str {
    mail[field].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_gets_what_began_and_what_ended_even_if_the_mail_server_refuses_at_first() -> Result<()>
{
    let (site, chain) = site().await?;
    let mut server = MailServer::start(1).await?;
    let url = server.url();
    let variables = [
        ("COMPTOIR_ALERTS__SMTP_URL", &*url),
        ("COMPTOIR_ALERTS__FROM", "Siège <office@example.org>"),
        ("COMPTOIR_ALERTS__TO", "ada@example.org, bob@example.org"),
        ("COMPTOIR_ALERTS__LANGUAGE", "fr"),
        ("COMPTOIR_ALERTS__PAGE", "https://office.example.org"),
    ];
    let mut replicas = [
        site.start_with("one", &variables)?,
        site.start_with("two", &variables)?,
    ];
    chain.publish("shop-1", &state(r#","problems":["mqtt-down"]"#))?;
    let began = mails(&mut server, 3).await;
    assert_eq!(began.len(), 3, "{began:?}");
    assert_eq!(began.iter().filter(|mail| mail["is_refused"] == true).count(), 1);
    let [refused, ..] = &began[..] else {
        panic!("{began:?}")
    };
    let again = began
        .iter()
        .filter(|mail| mail["message_id"] == refused["message_id"]);
    assert_eq!(again.count(), 2, "the same Message-ID: {began:?}");
    for recipient in ["ada@example.org", "bob@example.org"] {
        let mail = began
            .iter()
            .find(|mail| mail["is_refused"] == false && mail["to"][0] == recipient);
        let mail = mail.with_context(|| format!("{recipient}: {began:?}"))?;
        assert_eq!(
            text(mail, "subject"),
            "[Comptoir] shop-1\u{a0}: Serveur MQTT injoignable"
        );
        assert_eq!(text(mail, "type"), "text/plain");
        assert!(
            text(mail, "text").contains("https://office.example.org/shops/shop-1"),
            "{mail}"
        );
        assert!(text(mail, "text").contains("depuis le "), "{mail}");
    }
    chain.publish("shop-1", &state(""))?;
    let ended = mails(&mut server, 5).await;
    for mail in &ended[3..] {
        assert_eq!(
            text(mail, "subject"),
            "[Comptoir] Fin d’alerte\u{a0}: shop-1\u{a0}: Serveur MQTT injoignable"
        );
    }
    for replica in &mut replicas {
        assert!(replica.terminate().await?.success());
    }
    assert_eq!(server.mails()?.len(), 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_let_only_severe_troubles_pass_and_one_summary_follows() -> Result<()> {
    let (site, chain) = site().await?;
    let mut server = MailServer::start(0).await?;
    let url = server.url();
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let hour = |hours: i64| now.saturating_add(hours.hours()).strftime("%H:%M").to_string();
    let quiet = format!("{}-{} UTC", hour(-1), hour(2));
    let variables = [
        ("COMPTOIR_ALERTS__SMTP_URL", &*url),
        ("COMPTOIR_ALERTS__FROM", "office@example.org"),
        ("COMPTOIR_ALERTS__TO", "ada@example.org"),
        ("COMPTOIR_ALERTS__QUIET", &*quiet),
    ];
    let mut office = site.start_with("one", &variables)?;
    for (shop, trouble) in [("shop-1", "dead_letters"), ("shop-2", "disk_free")] {
        chain.publish(shop, &state(&format!(r#","{trouble}":1"#)))?;
        eventually("the office to notice it", DEADLINE, async || {
            let changes = office
                .log()
                .matches("the troubles of the shops have changed")
                .count();
            ensure!(changes > usize::from(shop == "shop-2"), "{}", office.log());
            Ok(())
        })
        .await;
    }
    chain.publish("shop-1", &state(r#","dead_letters":1,"problems":["mqtt-down"]"#))?;
    let severe = mails(&mut server, 1).await;
    assert_eq!(
        text(&severe[0], "subject"),
        "[Comptoir] shop-1: MQTT broker unreachable"
    );
    assert!(office.terminate().await?.success());
    // The quiet hours are over.
    let office = site.start_with("two", &variables[..3])?;
    let all = mails(&mut server, 2).await;
    assert_eq!(text(&all[1], "subject"), "[Comptoir] 2 problems");
    for line in [
        "- shop-1: Unreadable messages, since",
        "- shop-2: Disk almost full, since",
    ] {
        assert!(text(&all[1], "text").contains(line), "{all:?}");
    }
    assert_ne!(all[0]["message_id"], all[1]["message_id"], "{}", office.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_hangs_delays_nothing_else() -> Result<()> {
    let (site, chain) = site().await?;
    // It accepts connections, and says nothing.
    let hanging = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("smtp://{}", hanging.local_addr()?);
    let webhook = WebhookReceiver::start(1).await?;
    let variables = [
        ("COMPTOIR_ALERTS__SMTP_URL", &*url),
        ("COMPTOIR_ALERTS__FROM", "office@example.org"),
        ("COMPTOIR_ALERTS__TO", "ada@example.org"),
        ("COMPTOIR_ALERTS__WEBHOOK", webhook.url()),
    ];
    let mut office = site.start_with("one", &variables)?;
    chain.publish("shop-1", &state(r#","dead_letters":1"#))?;
    webhook.message(0, DEADLINE).await;
    eventually("the office to give up this attempt", DEADLINE, async || {
        let log = office.log();
        ensure!(log.contains("the mail server"), "{log}");
        Ok(())
    })
    .await;
    // The webhook has refused the first time, and gets it again meanwhile.
    webhook.message(1, DEADLINE).await;
    assert!(office.terminate().await?.success(), "{}", office.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_connects_to_the_mail_server() -> Result<()> {
    let (site, _) = site().await?;
    let server = MailServer::start(0).await?;
    for (url, code, words) in [
        (server.url(), 0, "mail           ok"),
        (
            format!("smtp://127.0.0.1:{}", free_port()?),
            1,
            "mail           the mail server:",
        ),
    ] {
        let variables = [
            ("COMPTOIR_ALERTS__SMTP_URL", &*url),
            ("COMPTOIR_ALERTS__FROM", "office@example.org"),
            ("COMPTOIR_ALERTS__TO", "ada@example.org"),
        ];
        let (status, said) = site.run_with(&["check"], &variables).await?;
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
    Ok(())
}
