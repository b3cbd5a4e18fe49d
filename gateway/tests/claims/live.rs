//! Socket.IO: an independent client (python-socketio) receives every event as it happens, and those that it missed.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{GatewayConfig, Kafka, Listener, SocketIoEvent, free_port, within};
use serde_json::{Value, json};

use crate::shop::{SOON, Shop};

/// The data of each received event with this name.
fn data_of<'a>(heard: &'a [SocketIoEvent], event: &str) -> Vec<&'a Value> {
    let events = heard.iter().filter(|heard| heard.event == event);
    events.map(|heard| &heard.data).collect()
}

async fn initial_data(listener: &mut Listener) -> Result<Value> {
    within("initial_data", SOON, async || {
        let heard = listener.events()?;
        let first = data_of(&heard, "initial_data").first().copied().cloned();
        first.context("not yet")
    })
    .await
}

async fn order(shop: &Shop, id: &str) -> Result<Value> {
    let (status, _, order) = shop
        .gateway
        .post_json("/api/orders", &json!({"order_id": id}))
        .await?;
    ensure!(status == 201, "{order}");
    Ok(order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_receives_every_event_and_its_confirmation() -> Result<()> {
    let shop = Shop::open().await?;
    let before = order(&shop, "o-before").await?;
    let mut listener = Listener::connect(&shop.gateway.http_url()?, None)?;
    let state = initial_data(&mut listener).await?;
    ensure!(state["orders"][0]["order_id"] == before["order_id"], "{state}");
    ensure!(
        state["stats"]["total_orders"] == 1 && state["gateway"]["journal"]["events"] == 1,
        "{state}"
    );

    let order = order(&shop, "o-1").await?;
    let about = json!({"order_id": "o-1"});
    let (_, _, payment) = shop.gateway.post_json("/api/payments", &about).await?;
    let (_, _, delivery) = shop.gateway.post_json("/api/deliveries", &about).await?;
    let sent = [
        ("new_order", &order),
        ("new_payment", &payment),
        ("new_delivery", &delivery),
    ];
    within("all events to be received and confirmed", SOON, async || {
        let heard = listener.events()?;
        for (event, sent) in sent {
            let seen = data_of(&heard, event);
            ensure!(seen.len() == 1, "{event}: {} times", seen.len());
            // The event may have reached Kafka between the answer and the live update.
            let mut seen = seen[0].clone();
            seen["confirmed"] = sent["confirmed"].clone();
            let row = seen.as_object_mut().context("object")?.remove("row");
            ensure!(row.is_some_and(|row| row.is_u64()), "{event} has no row");
            ensure!(seen == *sent, "received {seen}, posted {sent}");
            let confirmed = data_of(&heard, "event_confirmed");
            let of_it = confirmed
                .iter()
                .find(|confirmed| confirmed["ce_id"] == sent["ce_id"]);
            let of_it = of_it.with_context(|| format!("{event} is not confirmed"))?;
            ensure!(of_it["partition"].is_i64() && of_it["offset"].is_i64(), "{of_it}");
        }
        let stats = shop.gateway.get_json("/api/stats").await?;
        ensure!(
            data_of(&heard, "stats_update").last() == Some(&&stats),
            "the last totals differ from {stats}"
        );
        let status = data_of(&heard, "gateway_status");
        let status = status.last().context("no gateway_status")?;
        ensure!(status["journal"]["pending"] == 0, "{status}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_disconnected_receives_what_it_missed_in_order() -> Result<()> {
    // A fixed port, so that the client finds the gateway after its restart.
    let listen = format!("127.0.0.1:{}", free_port()?);
    let mut shop = Shop::open_with(Kafka::shared().await.brokers(), |config| GatewayConfig {
        http_listen: listen,
        ..config
    })
    .await?;
    let last = order(&shop, "o-seen").await?;
    for missed in 0..120 {
        order(&shop, &format!("o-{missed}")).await?;
    }
    // The client names the last event that it has. To the gateway, a reconnect and a new process are the same.
    let auth = json!({"after": last["journal_offset"]});
    let mut listener = Listener::connect(&shop.gateway.http_url()?, Some(&auth))?;
    within("the missed events", SOON, async || {
        let heard = listener.events()?;
        let ids: Vec<_> = data_of(&heard, "new_order")
            .iter()
            .map(|order| order["order_id"].clone())
            .collect();
        let missed: Vec<Value> = (0..120).map(|missed| json!(format!("o-{missed}"))).collect();
        ensure!(ids == missed, "{} events arrived", ids.len());
        Ok(())
    })
    .await?;

    // The gateway is killed, and the client reconnects by itself.
    shop.gateway.kill9()?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    let state = within("the state after the restart", SOON, async || {
        let heard = listener.events()?;
        let states = data_of(&heard, "initial_data");
        ensure!(states.len() == 2, "{} states", states.len());
        Ok(states[1].clone())
    })
    .await?;
    ensure!(
        state["orders"].as_array().context("orders")?.len() == 50,
        "initial_data does not have the newest 50 orders"
    );
    ensure!(
        state["orders"][0]["order_id"] == "o-119" && state["stats"]["total_orders"] == 121,
        "{state}"
    );
    Ok(())
}
