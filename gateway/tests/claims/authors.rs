//! Orders, deliveries and payments belong to the device that created them. A correction by another till is shown with
//! its author.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttProbe, within};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE};

struct Counter {
    gateway: Gateway,
    mosquitto: Mosquitto,
    probe: MqttProbe,
    /// Events sent so far.
    sent: u64,
}

impl Counter {
    async fn open() -> Result<Self> {
        let mosquitto = Mosquitto::start().await?;
        let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
        gateway.wait_ready().await?;
        let probe = MqttProbe::connect(&mosquitto.url()).await?;
        Ok(Self {
            gateway,
            mosquitto,
            probe,
            sent: 0,
        })
    }

    /// Publishes an event as a till, and waits until it is in the journal.
    async fn publish(&mut self, till: &str, kind: &str, event: &Value) -> Result<()> {
        let topic = format!("pos/{STORE}/{till}/{kind}");
        self.probe.publish(&topic, event.to_string()).await?;
        self.sent += 1;
        within("the event to be stored", SOON, async || {
            let status = self.gateway.get_json("/api/gateway").await?;
            ensure!(
                status["journal"]["last_offset"] == self.sent,
                "{}",
                status["journal"]
            );
            Ok(())
        })
        .await
    }

    /// The order, once `holds` is true of its history.
    async fn order(&self, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        within("the order's state", SOON, async || {
            let life = self.gateway.get_json("/api/orders/o-1").await?;
            ensure!(holds(&life), "{life:#}");
            Ok(life)
        })
        .await
    }
}

fn order(status: &str, amount: f64) -> Value {
    json!({"order_id": "o-1", "customer_name": "Ada", "product": "Vélo", "amount": amount, "status": status})
}

#[tokio::test(flavor = "multi_thread")]
async fn another_till_moves_an_order_forwards_and_everything_else_is_kept_as_its_correction() -> Result<()> {
    let mut shop = Counter::open().await?;
    shop.publish("till-1", "orders", &order("Pending", 900.0)).await?;
    shop.publish("till-2", "orders", &order("Cancelled", 900.0))
        .await?;
    let life = shop
        .order(|life| life["corrections"].as_array().is_some_and(|all| all.len() == 1))
        .await?;
    ensure!(
        life["order"]["status"] == "Pending" && life["order"]["corrections"] == 1,
        "{life:#}"
    );
    let correction = &life["corrections"][0];
    ensure!(
        correction["device"] == "till-2"
            && correction["status"] == "Cancelled"
            && correction["applied"] == false,
        "{correction}"
    );

    // A status that moves forwards is applied; the amount that comes with it is not.
    let collected = json!({"order_id": "o-1", "product": "Vélo", "amount": 0.01, "status": "Completed"});
    shop.publish("till-2", "orders", &collected).await?;
    let moved = |life: &Value| {
        let order = &life["order"];
        order["status"] == "Completed"
            && order["amount"] == 900.0
            && order["customer_name"] == "Ada"
            && order["device"] == "till-1"
    };
    let life = shop.order(moved).await?;
    ensure!(
        life["corrections"][1]["applied"] == true && life["corrections"][1]["amount"] == 0.01,
        "{life:#}"
    );
    let list = shop.gateway.get_json("/api/orders").await?;
    ensure!(
        list["items"][0]["status"] == "Completed" && list["items"][0]["amount"] == 900.0,
        "{list:#}"
    );
    ensure!(list["items"][0]["corrections"] == 2, "{list:#}");
    let completed = shop.gateway.get_json("/api/orders?status=Completed").await?;
    ensure!(
        completed["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1),
        "{completed:#}"
    );

    // A restart changes nothing.
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.order(moved).await?;
    shop.probe = MqttProbe::connect(&shop.mosquitto.url()).await?;

    // A person at the counter may cancel the order. The amount stays as the till sold it.
    let (status, _, body) = shop
        .gateway
        .post_json("/api/orders", &json!({"order_id": "o-1", "status": "Cancelled"}))
        .await?;
    ensure!(status == 201 && body["amount"] == 900.0, "{body}");
    shop.sent += 1;
    shop.order(|life| life["order"]["status"] == "Cancelled").await?;
    // The till that sold it may also change it.
    shop.publish("till-1", "orders", &order("Pending", 850.0)).await?;
    let life = shop.order(|life| life["order"]["amount"] == 850.0).await?;
    ensure!(life["order"]["status"] == "Pending", "{life:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_till_changes_neither_a_delivery_backwards_nor_a_payment() -> Result<()> {
    let mut shop = Counter::open().await?;
    let delivery = |status: &str, address: &str| json!({"delivery_id": "d-1", "order_id": "o-1", "address": address, "estimated_date": "2026-12-24", "status": status});
    let payment = |status: &str, amount: f64| json!({"payment_id": "p-1", "order_id": "o-1", "amount": amount, "method": "Cash", "status": status});
    shop.publish("till-1", "deliveries", &delivery("In Transit", "1 rue du Four"))
        .await?;
    shop.publish("till-1", "payments", &payment("SUCCESS", 900.0))
        .await?;
    shop.publish("till-2", "deliveries", &delivery("Pending", "9 rue Noire"))
        .await?;
    shop.publish("till-2", "payments", &payment("FAILED", 900.0))
        .await?;
    let life = shop
        .order(|life| life["payments"].as_array().is_some_and(|all| all.len() == 2))
        .await?;
    let delivered = &life["deliveries"][0];
    ensure!(
        delivered["status"] == "In Transit" && delivered["address"] == "1 rue du Four",
        "{delivered}"
    );
    ensure!(life["corrections"][0]["kind"] == "delivery", "{life:#}");
    let of = |device: &str| {
        let payments = life["payments"].as_array().context("payments")?;
        let payment = payments.iter().find(|payment| payment["device"] == device);
        payment.context("a payment of its own").cloned()
    };
    ensure!(of("till-1")?["status"] == "SUCCESS" && of("till-2")?["status"] == "FAILED");
    let stats = shop.gateway.get_json("/api/stats").await?;
    ensure!(stats["total_revenue"] == 900.0, "{stats}");
    // The device name `counter` belongs to the people at the gateway, so no till may use it.
    let forged = json!({"delivery_id": "d-1", "order_id": "o-1", "address": "9 rue Noire", "estimated_date": "2026-12-24"});
    shop.publish("counter", "deliveries", &forged).await?;
    let status = shop.gateway.get_json("/api/gateway").await?;
    ensure!(status["dead_letters"] == 1, "{status}");
    Ok(())
}
