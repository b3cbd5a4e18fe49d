//! The gateway's troubles reach people, in plain words: a real mail server and a real webhook, each change once, over
//! crashes and outages.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{
    Gateway, GatewayConfig, Kafka, MailServer, Mosquitto, WebhookReceiver, eventually, free_port, within,
};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, LATER, SOON, STORE, Shop, wait_for_mqtt};

/// Adds the mail server and a recipient.
fn with_mail(config: GatewayConfig, url: &str) -> GatewayConfig {
    config
        .with(&format!("alerts.smtp_url = {url:?}"))
        .with("alerts.from = \"Boutique <gateway@example.org>\"")
        .with("alerts.to = \"ada@example.org\"")
}

/// A shop whose Kafka cannot be reached, so that it has a trouble which is not severe.
fn without_reachable_kafka(mosquitto: &Mosquitto) -> Result<GatewayConfig> {
    let nothing = format!("127.0.0.1:{}", free_port()?);
    Ok(GatewayConfig::new(STORE, &mosquitto.url()).kafka(&nothing, ""))
}

fn words(message: &Value, field: &str) -> BTreeSet<String> {
    let troubles = message[field].as_array().into_iter().flatten();
    troubles
        .map(|trouble| {
            assert_eq!(trouble["store"], STORE, "{message}");
            trouble["trouble"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
}

/// What was reported and has not ended. Panics if a trouble began twice or ended twice.
fn reported(messages: &[Value]) -> BTreeSet<String> {
    let mut reported = BTreeSet::new();
    for message in messages {
        for word in words(message, "began") {
            assert!(reported.insert(word.clone()), "{word} twice: {messages:?}");
        }
        for word in words(message, "ended") {
            assert!(reported.remove(&word), "{word} has not begun: {messages:?}");
        }
    }
    reported
}

/// The mails, once there are so many.
async fn mails(server: &mut MailServer, count: usize) -> Vec<Value> {
    eventually("the mails", LATER, async || {
        let mails = server.mails()?;
        ensure!(mails.len() >= count, "{mails:?}");
        Ok(mails)
    })
    .await
}

fn text<'a>(mail: &'a Value, field: &str) -> &'a str {
    mail[field].as_str().unwrap_or_default()
}

/// Waits until all connections are up.
async fn connected(gateway: &Gateway) -> Result<()> {
    within("all connections", LATER, async || {
        let status = gateway.get_json("/api/gateway").await?;
        for peer in ["mqtt", "kafka", "bridge", "commands"] {
            ensure!(status[peer]["state"] == "up", "{peer}: {}", status[peer]);
        }
        Ok(())
    })
    .await
}

/// Waits until no alert waits for a receiver.
async fn delivered(gateway: &Gateway) -> Result<()> {
    within("everything to be delivered", SOON, async || {
        let alerts = gateway.get_json("/api/gateway").await?["alerts"].take();
        ensure!(
            alerts["waiting"] == 0 && alerts["delivered"].is_string(),
            "{alerts}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_kafka_is_reported_once_over_a_crash_and_so_is_its_end_but_no_short_outage() -> Result<()>
{
    let mut kafka = Kafka::start().await?;
    let mut mail = MailServer::start(0).await?;
    let webhook = WebhookReceiver::start(0).await?;
    let (mail_url, webhook_url) = (mail.url(), webhook.url().to_owned());
    let mut shop = Shop::open_with(kafka.brokers(), |config| {
        with_mail(config, &mail_url)
            .with(&format!("alerts.webhook = {webhook_url:?}"))
            .with("alerts.language = \"fr\"")
            .with("alerts.page = \"https://caisse.example.org\"")
            .with("alerts.after = 10")
    })
    .await?;
    connected(&shop.gateway).await?;
    // A slow machine may have taken longer to connect than `alerts.after`.
    within("nothing to be wrong", LATER, async || {
        let left = reported(&webhook.messages());
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let before = webhook.messages().len();

    // A short outage.
    shop.mosquitto.stop().await?;
    within("the MQTT broker to be down", SOON, async || {
        let status = shop.gateway.get_json("/api/gateway").await?;
        ensure!(status["mqtt"]["state"] == "down", "{}", status["mqtt"]);
        Ok(())
    })
    .await?;
    shop.mosquitto.start_again().await?;
    wait_for_mqtt(&shop.gateway).await?;

    // One that lasts.
    kafka.kill();
    let began = webhook.message(before, LATER).await;
    ensure!(
        began["began"] == json!([{"store": STORE, "trouble": "bridge-down"}]) && began["ended"] == json!([]),
        "{began}"
    );
    ensure!(began["store"] == STORE && began["time"].is_string(), "{began}");
    let first = mails(&mut mail, before + 1).await[before].clone();
    ensure!(
        text(&first, "subject") == "[Comptoir] paris-1\u{a0}: Envoi arrêté",
        "{first}"
    );
    for part in ["Envoi arrêté, depuis le ", "https://caisse.example.org/gateway"] {
        ensure!(text(&first, "text").contains(part), "{first}");
    }
    ensure!(first["to"] == json!(["ada@example.org"]), "{first}");

    // After a crash, only what is new is reported.
    delivered(&shop.gateway).await?;
    shop.gateway.kill9()?;
    shop.mosquitto.stop().await?;
    shop.gateway.start_again()?;
    eventually("the new trouble", LATER, async || {
        let left = reported(&webhook.messages());
        ensure!(left.contains("mqtt-down"), "{left:?}");
        Ok(())
    })
    .await;

    kafka.start_again().await?;
    shop.mosquitto.start_again().await?;
    connected(&shop.gateway).await?;
    eventually("the all-clear", LATER, async || {
        let left = reported(&webhook.messages());
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await;
    let messages = webhook.messages();
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_i64()).collect();
    ensure!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
    delivered(&shop.gateway).await?;
    ensure!(shop.gateway.terminate().await?.success());
    ensure!(webhook.messages().len() == messages.len());
    let all = mail.mails()?;
    let last = all.last().context("no mail")?;
    ensure!(
        text(last, "subject").starts_with("[Comptoir] Fin d’alerte\u{a0}: "),
        "{all:?}"
    );
    let ids: BTreeSet<_> = all.iter().map(|mail| text(mail, "message_id")).collect();
    ensure!(ids.len() == all.len(), "a mail was sent twice: {all:?}");
    let log = shop.gateway.log();
    for secret in ["/hook", "ada@example.org"] {
        ensure!(!log.contains(secret), "{secret}: {log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_only_severe_troubles_are_mailed_and_the_others_follow() -> Result<()> {
    let mut mosquitto = Mosquitto::start().await?;
    let mut mail = MailServer::start(0).await?;
    let webhook = WebhookReceiver::start(0).await?;
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let hour = |hours: i64| now.saturating_add(hours.hours()).strftime("%H:%M").to_string();
    let quiet = format!("alerts.quiet = \"{}-{} UTC\"", hour(-1), hour(2));
    let config = with_mail(without_reachable_kafka(&mosquitto)?, &mail.url())
        .with(&format!("alerts.webhook = {:?}", webhook.url()))
        .with("alerts.after = 4");
    let mut gateway = Gateway::spawn(GATEWAY, config.clone().with(&quiet))?;
    gateway.wait_ready().await?;
    wait_for_mqtt(&gateway).await?;
    let began = webhook.message(0, SOON).await;
    ensure!(words(&began, "began").contains("bridge-down"), "{began}");
    mosquitto.stop().await?;
    let severe = mails(&mut mail, 1).await;
    ensure!(
        text(&severe[0], "subject") == "[Comptoir] paris-1: MQTT broker unreachable",
        "{severe:?}"
    );
    ensure!(gateway.terminate().await?.success());
    // The quiet hours are over.
    *gateway.config() = config;
    gateway.start_again()?;
    let all = mails(&mut mail, 2).await;
    ensure!(
        text(&all[1], "text").contains("- paris-1: Sending has stopped, since "),
        "{all:?}"
    );
    ensure!(all[0]["message_id"] != all[1]["message_id"], "{all:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_are_down_get_the_alert_later_even_if_the_gateway_crashes_meanwhile() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let (mail_port, webhook_port) = (free_port()?, free_port()?);
    let config = with_mail(
        without_reachable_kafka(&mosquitto)?,
        &format!("smtp://127.0.0.1:{mail_port}"),
    )
    .with(&format!(
        "alerts.webhook = {:?}",
        WebhookReceiver::url_on(webhook_port)
    ))
    .with("alerts.after = 2");
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    within("attempts to fail", SOON, async || {
        let alerts = gateway.get_json("/api/gateway").await?["alerts"].take();
        ensure!(
            alerts["webhook"] == true && alerts["mail_recipients"] == 1,
            "{alerts}"
        );
        ensure!(
            alerts["waiting"].as_u64() >= Some(2) && alerts["failed"].is_string(),
            "{alerts}"
        );
        Ok(())
    })
    .await?;
    let (_, metrics) = gateway.get("/metrics").await?;
    ensure!(metrics.contains("comptoir_alerts_sent_total 0"), "{metrics}");
    gateway.kill9()?;
    // The mail server refuses at first, too.
    let mut mail = MailServer::start_on(mail_port, 1).await?;
    let webhook = WebhookReceiver::start_on(webhook_port).await?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let message = webhook.message(0, LATER).await;
    ensure!(words(&message, "began").contains("bridge-down"), "{message}");
    let both = mails(&mut mail, 2).await;
    ensure!(
        both[0]["is_refused"] == true && both[1]["is_refused"] == false,
        "{both:?}"
    );
    ensure!(both[0]["message_id"] == both[1]["message_id"], "{both:?}");
    delivered(&gateway).await?;
    let reports = webhook.messages();
    ensure!(
        reports
            .iter()
            .filter(|report| words(report, "began").contains("bridge-down"))
            .count()
            == 1,
        "{reports:?}"
    );
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_connects_to_the_receivers_of_alerts_and_sends_them_nothing() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut mail = MailServer::start(0).await?;
    let webhook = WebhookReceiver::start(0).await?;
    let config = GatewayConfig::new(STORE, &mosquitto.url());
    let reachable =
        with_mail(config.clone(), &mail.url()).with(&format!("alerts.webhook = {:?}", webhook.url()));
    let nothing = free_port()?;
    let unreachable = with_mail(config.clone(), &format!("smtp://127.0.0.1:{nothing}")).with(&format!(
        "alerts.webhook = {:?}",
        WebhookReceiver::url_on(nothing)
    ));
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    ensure!(gateway.get_json("/api/gateway").await?["alerts"].is_null());
    ensure!(gateway.terminate().await?.success());
    for (config, code, lines) in [
        (
            reachable,
            0,
            ["ok      alerts.webhook: ", "ok      alerts.smtp_url: "],
        ),
        (
            unreachable,
            1,
            ["FAILED  alerts.webhook: ", "FAILED  alerts.smtp_url: "],
        ),
    ] {
        *gateway.config() = config;
        let (status, output) = gateway.run(&["check"], SOON).await?;
        ensure!(status.code() == Some(code), "{output}");
        for line in lines {
            ensure!(output.contains(line), "{line}: {output}");
        }
        ensure!(!output.contains("/hook"), "the address may be a secret: {output}");
    }
    ensure!(webhook.messages().is_empty() && mail.mails()?.is_empty());
    Ok(())
}
