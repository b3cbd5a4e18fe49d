//! Refunds, the figures of a day, and that nothing is invented in a real shop.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE, Shop, without_kafka};

/// The takings of the day in Paris to which all sales of these tests belong.
async fn day(gateway: &Gateway) -> Result<Value> {
    gateway.get_json("/api/days/2026-03-02").await
}

async fn paid(gateway: &Gateway, body: &Value) -> Result<Value> {
    let (status, _, answer) = gateway.post_json("/api/payments", body).await?;
    ensure!(status == 201, "{body}: {status} {answer}");
    Ok(answer)
}

/// The status, and the field that is wrong, of the answer to a body that is refused.
async fn refused(gateway: &Gateway, path: &str, body: &Value) -> Result<String> {
    let (status, _, answer) = gateway.post_json(path, body).await?;
    let kind = match status {
        422 => "invalid-field",
        409 => "refund-not-possible",
        _ => bail!("{body}: {status} {answer}"),
    };
    ensure!(
        answer["type"] == format!("urn:comptoir:problem:{kind}"),
        "{answer}"
    );
    Ok(format!(
        "{status} {}",
        answer["field"].as_str().context("a field")?
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_lowers_the_takings_of_the_page_the_day_and_kafka_alike() -> Result<()> {
    let brokers = comptoir_harness::Kafka::shared().await.brokers();
    let shop = Shop::open_with(brokers, |config| config.with("time_zone = \"Europe/Paris\"")).await?;
    let gateway = &shop.gateway;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    let time = "2026-03-01T23:30:00Z";
    let order = json!({"order_id": "o-1", "customer_name": "Zoé", "amount": 12.5, "currency": "EUR", "timestamp": time,
        "lines": [{"product": "Comté", "quantity": 0.25, "unit": "kg", "unit_price": 42.0, "vat_rate": 5.5, "discount": 0.5},
            {"product": "Pain", "quantity": 2, "unit_price": 1.25, "vat_rate": 5.5}]});
    probe
        .publish("pos/paris-1/till-1/orders", order.to_string())
        .await?;
    let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 12.5, "currency": "EUR", "method": "Credit Card",
        "status": "SUCCESS", "timestamp": time});
    probe
        .publish("pos/paris-1/till-1/payments", payment.to_string())
        .await?;
    // Another till's payment of the same number.
    let mut other = payment.clone();
    (other["order_id"], other["amount"]) = ("o-2".into(), 3.into());
    probe
        .publish("pos/paris-1/till-2/payments", other.to_string())
        .await?;
    shop.drained(3, SOON).await?;

    // A payment cannot be negative, and a refund must be, must name a payment, and pays back no more than was paid.
    let wrong = |body: Value| async move { refused(gateway, "/api/payments", &body).await };
    ensure!(wrong(json!({"order_id": "o-1", "amount": -1, "method": "Cash"})).await? == "422 amount");
    ensure!(wrong(json!({"refund_of": "p-9"})).await? == "409 refund_of");
    ensure!(
        wrong(json!({"refund_of": "p-1"})).await? == "409 refund_of",
        "two tills have it"
    );
    ensure!(wrong(json!({"refund_of": "p-1", "order_id": "o-1", "amount": 5})).await? == "422 amount");
    ensure!(wrong(json!({"refund_of": "p-1", "order_id": "o-1", "amount": -12.51})).await? == "409 amount");
    ensure!(
        wrong(json!({"refund_of": "p-1", "order_id": "o-1", "currency": "USD"})).await? == "409 currency"
    );

    let part =
        json!({"refund_of": "p-1", "order_id": "o-1", "amount": -2.5, "method": "Cash", "timestamp": time});
    let part = paid(gateway, &part).await?;
    ensure!(
        part["amount"] == -2.5 && part["status"] == "SUCCESS" && part["currency"] == "EUR",
        "{part}"
    );
    ensure!(wrong(json!({"refund_of": part["payment_id"], "order_id": "o-1"})).await? == "409 refund_of");
    // Of refunds at the same time, only one takes what is left.
    let rest = json!({"refund_of": "p-1", "order_id": "o-1", "amount": -10, "timestamp": time});
    let posts = (0..8).map(|_| gateway.post_json("/api/payments", &rest));
    let answers = futures::future::try_join_all(posts).await?;
    let stored = answers.iter().filter(|(status, ..)| *status == 201).count();
    ensure!(stored == 1, "{answers:?}");
    let (_, _, rest) = answers
        .iter()
        .find(|(status, ..)| *status == 201)
        .context("a refund")?;
    ensure!(rest["method"] == "Credit Card", "that of the payment: {rest}");
    ensure!(
        wrong(json!({"refund_of": "p-1", "order_id": "o-1"})).await? == "409 refund_of",
        "nothing is left"
    );

    // A payment keeps what was paid back of it, and a refund may pay back less than before.
    let change = |fields: Value| {
        let mut body = json!({"payment_id": "p-1", "device": "till-1", "order_id": "o-1"});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        wrong(body)
    };
    ensure!(change(json!({"status": "FAILED"})).await? == "409 status");
    ensure!(change(json!({"amount": 12.49})).await? == "409 amount");
    ensure!(change(json!({"currency": "USD"})).await? == "409 currency");

    // However many refunds a payment has, and whatever order they name, each counts.
    let many = |number: u32, amount: f64, refund_of: Option<&str>| {
        json!({"payment_id": format!("q-{number}"), "order_id": format!("o-3-{number}"), "amount": amount, "method": "Cash",
            "status": "SUCCESS", "refund_of": refund_of, "timestamp": "2026-03-05T10:00:00Z"})
    };
    let topic = "pos/paris-1/till-3/payments";
    probe.publish(topic, many(0, 10.0, None).to_string()).await?;
    for number in 1..=520 {
        probe
            .publish(topic, many(number, -0.01, Some("q-0")).to_string())
            .await?;
    }
    shop.drained(5 + 521, SOON).await?;
    ensure!(wrong(json!({"refund_of": "q-0", "amount": -4.81})).await? == "409 amount");
    paid(
        gateway,
        &json!({"refund_of": "q-0", "amount": -4.80, "timestamp": "2026-03-05T10:00:00Z"}),
    )
    .await?;
    ensure!(
        wrong(json!({"refund_of": "q-0"})).await? == "409 refund_of",
        "nothing is left"
    );

    shop.drained(5 + 522, SOON).await?;
    let stats = gateway.get_json("/api/stats").await?;
    ensure!(
        stats["total_revenue"] == 3.0 && stats["total_payments"] == 4 + 522,
        "{stats}"
    );
    let records = shop.records().await?;
    let payments = records.iter().filter(|record| record.topic.ends_with("payments"));
    let values = payments.map(|record| serde_json::from_slice::<Value>(&record.value));
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    ensure!(values.len() == 4 + 522, "{}", values.len());
    values.retain(|value| !value["order_id"].as_str().is_some_and(|id| id.starts_with("o-3")));
    let in_kafka: f64 = values.iter().filter_map(|value| value["amount"].as_f64()).sum();
    ensure!(in_kafka == 3.0, "{values:?}");
    ensure!(
        values.iter().filter(|value| value["refund_of"] == "p-1").count() == 2,
        "{values:?}"
    );

    let day = day(gateway).await?;
    ensure!(
        day["time_zone"] == "Europe/Paris" && day["from"] == "2026-03-01T23:00:00Z",
        "{day}"
    );
    let takings =
        json!({"payments": 2, "gross": 15.5, "refunds": 2, "refunded": 12.5, "net": 3.0, "failed": 0});
    ensure!(day["takings"] == takings, "{day}");
    ensure!(
        day["by_vat_rate"] == json!([{"vat_rate": 5.5, "amount": 12.5, "vat": 0.65}]),
        "{day}"
    );
    let tills = day["by_till"].as_array().context("tills")?.iter();
    let tills: Vec<_> = tills
        .map(|till| (till["device"].as_str(), till["net"].as_f64()))
        .collect();
    let by_net = [
        (Some("till-1"), Some(12.5)),
        (Some("till-2"), Some(3.0)),
        (Some("counter"), Some(-12.5)),
    ];
    ensure!(tills == by_net, "{tills:?}");
    ensure!(
        day["by_product"][0]["quantity"] == 0.25 && day.get("complete").is_none(),
        "{day}"
    );
    let before = gateway.get_json("/api/days/2026-03-01").await?;
    ensure!(
        before["takings"]["payments"] == 0 && before["orders"]["orders"] == 0,
        "{before}"
    );
    let (status, answer) = gateway.get("/api/days/2026-02-30").await?;
    ensure!(
        status == 422 && answer.contains("invalid-parameter"),
        "{status} {answer}"
    );
    let today = gateway.get_json("/api/days/today").await?;
    ensure!(today["is_today"] == true, "{today}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_before_the_answer_get_no_payment_back_twice() -> Result<()> {
    let (gateway, _mosquitto, _probe) = without_kafka().await?;
    let url = gateway.http_url()? + "/api/payments";
    let client = reqwest::Client::new();
    for round in 0..25 {
        let (id, order) = (format!("p-{round}"), format!("o-{round}"));
        let payment =
            json!({"payment_id": id, "order_id": order, "amount": 10, "method": "Cash", "status": "SUCCESS"});
        paid(&gateway, &payment).await?;
        let refund = json!({"refund_of": id});
        // Each client is gone before its refund is stored, or just after.
        for patience in [1, 3, 5, 8, 12] {
            let post = client
                .post(&url)
                .json(&refund)
                .timeout(Duration::from_millis(patience));
            drop(post.send().await);
        }
        gateway.post_json("/api/payments", &refund).await?;
        let life = gateway.get_json(&format!("/api/orders/{order}")).await?;
        let payments = life["payments"].as_array().context("payments")?;
        let rest: f64 = payments
            .iter()
            .filter_map(|payment| payment["amount"].as_f64())
            .sum();
        ensure!(rest == 0.0 && payments.len() == 2, "{life}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_second_payment_with_the_same_id_nor_a_move_pays_money_back_twice() -> Result<()> {
    let (gateway, _mosquitto, mut probe) = without_kafka().await?;
    let gateway = &gateway;
    let post = |body: Value| async move { refused(gateway, "/api/payments", &body).await };
    for (number, moved) in ["refund", "payment", "status"].into_iter().enumerate() {
        let (id, refund) = (format!("p-{moved}"), format!("r-{moved}"));
        let order = |name: &str| format!("o-{moved}-{name}");
        let payment = |order: String, amount: f64| json!({"payment_id": id, "order_id": order, "amount": amount, "method": "Cash", "status": "SUCCESS"});
        let of_till = payment(order("till"), 50.0);
        probe
            .publish("pos/paris-1/till-9/payments", of_till.to_string())
            .await?;
        // Of the round before: the till's payment, its refund, and the counter's payment.
        let stored = 3 * number + 1;
        within("the till's payment to be counted", SOON, async || {
            let stats = gateway.get_json("/api/stats").await?;
            ensure!(stats["total_payments"] == stored, "{stats}");
            Ok(())
        })
        .await?;
        paid(gateway, &json!({"refund_of": id, "payment_id": refund})).await?;
        let at = match moved {
            // On the same order, so that the refund could be of either.
            "payment" => order("till"),
            _ => order("counter"),
        };
        paid(gateway, &payment(at, 0.01)).await?;
        let of_till = |fields: Value| {
            let mut body = json!({"payment_id": id, "device": "till-9"});
            body.as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            body
        };
        match moved {
            "refund" => {
                let body = json!({"payment_id": refund, "order_id": order("counter")});
                ensure!(post(body).await? == "422 order_id");
            }
            "payment" => ensure!(post(of_till(json!({"order_id": order("other")}))).await? == "409 order_id"),
            _ => ensure!(post(of_till(json!({"status": "FAILED"}))).await? == "409 status"),
        }
        let again = post(json!({"refund_of": id, "order_id": order("till")})).await?;
        ensure!(again == "409 refund_of", "{moved}: {again}");
    }
    // A till's refund of no order of a payment; then the counter has a payment of that order.
    let refund = json!({"payment_id": "r-1", "refund_of": "p-1", "order_id": "o-unknown", "amount": -30, "method": "Cash",
        "status": "SUCCESS"});
    let payment = |order: &str, amount| json!({"payment_id": "p-1", "order_id": order, "amount": amount, "method": "Cash", "status": "SUCCESS"});
    for body in [payment("o-1", 30.0), refund] {
        probe
            .publish("pos/paris-1/till-9/payments", body.to_string())
            .await?;
    }
    within("the till's refund to be counted", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_payments"] == 9 + 2, "{stats}");
        Ok(())
    })
    .await?;
    paid(gateway, &payment("o-unknown", 0.01)).await?;
    let body = json!({"refund_of": "p-1", "order_id": "o-1"});
    paid(
        gateway,
        &json!({"refund_of": "p-1", "order_id": "o-1", "amount": -0.01}),
    )
    .await?;
    ensure!(post(body).await? == "409 refund_of");

    // A till paid back more than it took. The counter can correct the payment, but not make it smaller.
    let payment =
        json!({"payment_id": "p-2", "order_id": "o-2", "amount": 5, "method": "Cash", "status": "SUCCESS"});
    let mut refund = payment.clone();
    (refund["payment_id"], refund["refund_of"], refund["amount"]) = ("r-2".into(), "p-2".into(), (-8).into());
    for body in [payment, refund] {
        probe
            .publish("pos/paris-1/till-9/payments", body.to_string())
            .await?;
    }
    within("the second refund to be counted", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(stats["total_payments"] == 13 + 2, "{stats}");
        Ok(())
    })
    .await?;
    let change = |field: &str, value: Value| json!({"payment_id": "p-2", "device": "till-9", field: value});
    paid(gateway, &change("method", "PayPal".into())).await?;
    ensure!(post(change("amount", 4.99.into())).await? == "409 amount");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_at_the_same_time_the_second_keeps_what_the_first_has_changed() -> Result<()> {
    let (gateway, _mosquitto, _probe) = without_kafka().await?;
    let change = async |id: &str, fields: Value| -> Result<u16> {
        let mut body = json!({"payment_id": id});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        Ok(gateway.post_json("/api/payments", &body).await?.0)
    };
    for round in 0..20 {
        let (id, order, refund) = (format!("p-{round}"), format!("o-{round}"), format!("r-{round}"));
        let payment =
            json!({"payment_id": id, "order_id": order, "amount": 10, "method": "Cash", "status": "SUCCESS"});
        paid(&gateway, &payment).await?;
        let both = futures::future::try_join(
            change(&id, json!({"amount": 20})),
            change(&id, json!({"method": "PayPal"})),
        );
        ensure!(both.await? == (201, 201));
        let life = gateway.get_json(&format!("/api/orders/{order}")).await?;
        let now = &life["payments"][0];
        ensure!(now["amount"] == 20.0 && now["method"] == "PayPal", "{now}");

        // A refund that shrinks makes room for another one, unless a change of its method restores it.
        paid(&gateway, &json!({"refund_of": id, "payment_id": refund})).await?;
        let other = json!({"payment_id": format!("s-{round}"), "refund_of": id, "amount": -19});
        let (_, answer, _) = futures::future::try_join3(
            change(&refund, json!({"amount": -1})),
            async { Ok(gateway.post_json("/api/payments", &other).await?.0) },
            change(&refund, json!({"method": "Cash"})),
        )
        .await?;
        ensure!(matches!(answer, 201 | 409), "{answer}");
        let life = gateway.get_json(&format!("/api/orders/{order}")).await?;
        let amounts = life["payments"].as_array().context("payments")?;
        let rest: f64 = amounts
            .iter()
            .filter_map(|payment| payment["amount"].as_f64())
            .sum();
        ensure!(rest >= 0.0, "{life}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_shop_invents_no_sale() -> Result<()> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.invent = false;
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    let status = gateway.get_json("/api/gateway").await?;
    ensure!(status["invent"] == false && status["demo"] == false, "{status}");
    let order = json!({"order_id": "o-1", "product": "Pain", "amount": 1.1});
    let payment =
        json!({"payment_id": "p-1", "order_id": "o-1", "amount": 1.1, "method": "Cash", "status": "SUCCESS"});
    let delivery = json!({"delivery_id": "d-1", "order_id": "o-1", "address": "1 rue du Four", "estimated_date": "2026-12-24"});
    for (path, whole, required) in [
        ("/api/orders", order, vec!["order_id", "product", "amount"]),
        (
            "/api/payments",
            payment,
            vec!["payment_id", "order_id", "method", "status"],
        ),
        (
            "/api/deliveries",
            delivery,
            vec!["delivery_id", "order_id", "estimated_date"],
        ),
    ] {
        let first = refused(&gateway, path, &json!({})).await?;
        ensure!(
            required.iter().any(|field| first == format!("422 {field}")),
            "{path} {first}"
        );
        for field in required {
            let mut body = whole.clone();
            body.as_object_mut().context("an object")?.remove(field);
            ensure!(
                refused(&gateway, path, &body).await? == format!("422 {field}"),
                "{path} without {field}"
            );
        }
        let (status, _, answer) = gateway.post_json(path, &whole).await?;
        ensure!(status == 201, "{path}: {status} {answer}");
    }
    // The amount of a payment is that of its order, which is not invented.
    let rest = json!({"payment_id": "p-2", "order_id": "o-1", "method": "Cash", "status": "FAILED"});
    ensure!(paid(&gateway, &rest).await?["amount"] == 1.1);
    let unknown = json!({"payment_id": "p-3", "order_id": "o-9", "method": "Cash", "status": "FAILED"});
    ensure!(refused(&gateway, "/api/payments", &unknown).await? == "422 amount");
    within("four sales to be counted", SOON, async || {
        let stats = gateway.get_json("/api/stats").await?;
        ensure!(
            stats["total_orders"] == 1 && stats["total_payments"] == 2 && stats["total_deliveries"] == 1,
            "{stats}"
        );
        Ok(())
    })
    .await
}
