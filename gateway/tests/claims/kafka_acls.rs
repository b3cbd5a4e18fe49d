//! The rights that `deploy/kafka/acls.sh` gives the shops of a chain, on a Kafka with Kafka's own authorizer and SASL/SCRAM
//! over TLS.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, Reader, SecuredKafka, within};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, FutureProducer, FutureRecord, Producer as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::shop::{GATEWAY, SOON};

const PREFIX: &str = "chain.";
const PARIS: (&str, &str) = ("shop-paris-1", "paris-password-0123");
const LYON: (&str, &str) = ("shop-lyon-2", "lyon-password-01234");
const OFFICE: (&str, &str) = ("head-office", "office-password-012");

/// Runs the script as the administrator of Kafka.
async fn acls(kafka: &SecuredKafka, args: &[&str], password: &str) -> Result<String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/acls.sh");
    let mut child = Command::new(script)
        .args(args)
        .env("BOOTSTRAP", kafka.as_administrator().brokers())
        .env("KAFKA_BIN", kafka.tools()?)
        .env("TOPIC_PREFIX", PREFIX)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("stdin")?;
    // The script may end without reading.
    let _ = input.write_all(format!("{password}\n").as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{args:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

fn client(kafka: &SecuredKafka, (user, password): (&str, &str)) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers());
    for (key, value) in kafka.client_properties(user, password) {
        config.set(key, value);
    }
    config
}

fn gateway(kafka: &SecuredKafka, store: &str, user: (&str, &str), mosquitto: &Mosquitto) -> GatewayConfig {
    let mut config = GatewayConfig::new(store, &mosquitto.url()).kafka(kafka.brokers(), PREFIX);
    for (key, value) in kafka.client_properties(user.0, user.1) {
        config.extra += &format!("kafka.properties.\"{key}\" = {}\n", Value::from(value));
    }
    config
}

async fn sell(gateway: &Gateway, id: &str) -> Result<()> {
    let (status, _, order) = gateway
        .post_json(
            "/api/orders",
            &json!({"order_id": id, "product": "Pain", "amount": 1}),
        )
        .await?;
    ensure!(status == 201, "{order}");
    within("the order to be in Kafka and read back", SOON, async || {
        let page = gateway.get_json("/api/orders").await?;
        let status = gateway.get_json("/api/gateway").await?;
        ensure!(
            page["items"][0]["order_id"] == id && page["items"][0]["offset"].is_i64(),
            "{page} {} {}",
            status["kafka"],
            status["bridge"]
        );
        Ok(())
    })
    .await
}

/// The code with which Kafka refuses a record.
async fn refusal(config: &ClientConfig, topic: &str, key: &str) -> Result<RDKafkaErrorCode> {
    let producer: FutureProducer = config.clone().set("message.timeout.ms", "20000").create()?;
    let topic = format!("{PREFIX}{topic}");
    let record = FutureRecord::to(&topic).key(key).payload("{}");
    match producer.send(record, Duration::from_secs(20)).await {
        Ok(_) => anyhow::bail!("Kafka took the record into {topic}"),
        Err((error, _)) => error.rdkafka_error_code().context("no code"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_has_exactly_the_rights_that_its_gateway_needs() -> Result<()> {
    let kafka = SecuredKafka::start().await?;
    acls(&kafka, &["office"], OFFICE.1).await?;
    for (store, user) in [("paris-1", PARIS), ("lyon-2", LYON)] {
        let said = acls(&kafka, &["shop", store], user.1).await?;
        ensure!(said.contains(user.0) && !said.contains(user.1), "{said}");
    }
    let mosquitto = Mosquitto::start().await?;
    let mut paris = Gateway::spawn(GATEWAY, gateway(&kafka, "paris-1", PARIS, &mosquitto))?;
    paris.wait_ready().await?;
    sell(&paris, "o-1").await?;
    let status = paris.get_json("/api/gateway").await?;
    for peer in ["kafka", "bridge", "commands"] {
        ensure!(
            status[peer]["state"] == "up" && status[peer]["warnings"].is_null(),
            "{peer}: {}",
            status[peer]
        );
    }
    let (_, said) = paris.run(&["check"], SOON).await?;
    let line = said
        .lines()
        .find(|line| line.contains("kafka.brokers"))
        .unwrap_or_default();
    ensure!(
        line.starts_with("ok") && line.ends_with("all 10 topics are there"),
        "{said}"
    );

    within("the gateway's state in Kafka", SOON, async || {
        let states = Reader::new(kafka.as_administrator().brokers())
            .read(&[format!("{PREFIX}gateways")], SOON)
            .await?;
        ensure!(
            states
                .iter()
                .any(|state| state.key.as_deref() == Some(b"paris-1")),
            "{states:?}"
        );
        Ok(())
    })
    .await?;

    // Head office, and only head office, sends commands.
    let mut till = MqttProbe::connect(&mosquitto.url()).await?;
    till.subscribe("pos/paris-1/+/commands").await?;
    let office = client(&kafka, OFFICE);
    // The office's producer is idempotent.
    let producer: FutureProducer = office.clone().set("enable.idempotence", "true").create()?;
    let command = json!({"type": "message", "text": "Bonjour"}).to_string();
    for topic in ["commands", "commands.paris-1"] {
        let topic = format!("{PREFIX}{topic}");
        let record = FutureRecord::to(&topic).key("paris-1/till-1").payload(&command);
        producer
            .send(record, Duration::from_secs(20))
            .await
            .map_err(|(error, _)| error)?;
        ensure!(till.next(SOON).await?.payload == command);
    }
    let lyon = client(&kafka, LYON);
    for user in [PARIS, LYON] {
        let code = refusal(&client(&kafka, user), "commands", "paris-1/till-1").await?;
        ensure!(code == RDKafkaErrorCode::TopicAuthorizationFailed, "{code:?}");
    }
    let code = refusal(&office, "orders", "o-1").await?;
    ensure!(code == RDKafkaErrorCode::TopicAuthorizationFailed, "{code:?}");

    // Another shop's credentials do not fence the producer, and do not move the group's offsets.
    let fencing: BaseProducer = lyon
        .clone()
        .set("transactional.id", format!("{PREFIX}comptoir-paris-1"))
        .create()?;
    let fenced = tokio::task::spawn_blocking(move || fencing.init_transactions(SOON)).await?;
    let code = fenced.err().and_then(|error| error.rdkafka_error_code());
    ensure!(
        code == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed),
        "{code:?}"
    );
    let group: BaseConsumer = lyon
        .clone()
        .set("group.id", format!("{PREFIX}comptoir-paris-1-commands"))
        .create()?;
    let refused = tokio::task::spawn_blocking(move || {
        group.subscribe(&[&format!("{PREFIX}commands")])?;
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            let code = match group.poll(Duration::from_secs(1)) {
                Some(Err(error)) => error.rdkafka_error_code(),
                Some(Ok(_)) => anyhow::bail!("another shop has joined the group"),
                None => None,
            };
            if code == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
                return Ok(true);
            }
        }
        anyhow::Ok(false)
    })
    .await??;
    ensure!(refused, "Kafka did not refuse another shop's group");
    // A store name that begins with another store's name gives no rights to that store.
    let longer: BaseProducer = lyon
        .clone()
        .set("transactional.id", format!("{PREFIX}comptoir-lyon-2-3"))
        .create()?;
    let other = tokio::task::spawn_blocking(move || longer.init_transactions(SOON)).await?;
    ensure!(other.is_err(), "the transactional id of another store was given");
    let admin: AdminClient<DefaultClientContext> = lyon.create()?;
    let options = AdminOptions::new().request_timeout(Some(SOON));
    let deleted = admin
        .delete_topics(&[&format!("{PREFIX}orders")], &options)
        .await?;
    ensure!(
        matches!(
            deleted[..],
            [Err((_, RDKafkaErrorCode::TopicAuthorizationFailed))]
        ),
        "{deleted:?}"
    );

    // The attempts had no effect on the gateway.
    sell(&paris, "o-2").await?;
    let status = paris.get_json("/api/gateway").await?;
    ensure!(status["bridge"]["state"] == "up", "{}", status["bridge"]);
    ensure!(!paris.log().contains("fenced"), "{}", paris.log());
    let orders = Reader::new(kafka.as_administrator().brokers())
        .read(&[format!("{PREFIX}orders")], SOON)
        .await?;
    ensure!(orders.len() == 2, "{orders:?}");

    // A shop whose credentials are removed is refused.
    acls(&kafka, &["remove", "lyon-2"], "").await?;
    let mut second = Gateway::spawn(GATEWAY, gateway(&kafka, "lyon-2", LYON, &mosquitto))?;
    second.wait_ready().await?;
    within("the removed shop to be refused", SOON, async || {
        let status = second.get_json("/api/gateway").await?;
        let problem = status["bridge"]["problem"].as_str().unwrap_or_default();
        ensure!(problem.to_lowercase().contains("auth"), "{}", status["bridge"]);
        Ok(())
    })
    .await
}
