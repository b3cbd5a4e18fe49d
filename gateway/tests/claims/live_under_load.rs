//! Socket.IO under load: whoever was away, or is slow, is told everything all the same.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::{Heard, Listener, PosSim, within};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::shop::{LATER, SOON, STORE, Shop};

fn tills(shop: &Shop, rate: u32, events: u64) -> Result<PosSim> {
    let (rate, events) = (rate.to_string(), events.to_string());
    let url = shop.mosquitto.url();
    PosSim::spawn([
        "--broker",
        &url,
        "--store",
        STORE,
        "--devices",
        "5",
        "--rate",
        &rate,
        "--events",
        &events,
    ])
}

/// What a client knows, by what it was told.
#[derive(Default)]
struct Known {
    /// Of the events, as they came.
    offsets: Vec<u64>,
    rows: HashMap<String, u64>,
    /// By `ce_id`: partition and offset.
    places: HashMap<String, (i64, i64)>,
    stats: Value,
    states: usize,
}

impl Known {
    fn of(heard: &[Heard]) -> Result<Self> {
        let mut known = Self::default();
        for heard in heard {
            known.hear(&heard.event, &heard.data)?;
        }
        Ok(known)
    }

    fn hear(&mut self, event: &str, data: &Value) -> Result<()> {
        match event {
            "new_order" | "new_payment" | "new_delivery" => {
                let offset = data["journal_offset"].as_u64();
                self.offsets.push(offset.context("an event of no place")?);
                let row = data["row"].as_u64().with_context(|| format!("no row: {data}"))?;
                self.rows.insert(name(data)?, row);
                self.place(data)
            }
            "event_confirmed" => self.place(data),
            "stats_update" => {
                self.stats = data.clone();
                Ok(())
            }
            "initial_data" => {
                self.states += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&mut self, data: &Value) -> Result<()> {
        if let Some(place) = data["partition"].as_i64().zip(data["offset"].as_i64()) {
            self.places.insert(name(data)?, place);
        }
        Ok(())
    }

    /// Each event after `after` and up to `last` came once, in order, with its row, and its place as Kafka has it.
    async fn is_whole(&self, shop: &Shop, after: u64, last: u64) -> Result<()> {
        let all: Vec<u64> = (after + 1..=last).collect();
        let odd = self.offsets.iter().zip(&all).find(|(came, due)| came != due);
        ensure!(self.offsets == all, "{} came; {odd:?}", self.offsets.len());
        for record in shop.records().await? {
            let name = record.ce_id().context("a record of no name")?;
            if self.rows.contains_key(name) {
                let place = Some(&(i64::from(record.partition), record.offset));
                ensure!(
                    self.places.get(name) == place,
                    "{name}: {:?}",
                    self.places.get(name)
                );
            }
        }
        for path in ["orders", "payments", "deliveries"] {
            let list = shop.gateway.get_json(&format!("/api/{path}?limit=500")).await?;
            for item in list["items"].as_array().context("a page")? {
                let row = self.rows.get(&name(item)?);
                ensure!(
                    row.is_none() || row.copied() == item["row"].as_u64(),
                    "{item}: {row:?}"
                );
            }
        }
        Ok(())
    }
}

fn name(data: &Value) -> Result<String> {
    Ok(data["ce_id"].as_str().context("no ce_id")?.to_owned())
}

async fn stored(shop: &Shop) -> Result<u64> {
    let status = shop.gateway.get_json("/api/gateway").await?;
    status["journal"]["last_offset"].as_u64().context("last_offset")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_cut_off_under_load_gets_all_with_their_places() -> Result<()> {
    const EVENTS: u64 = 3_000;
    let shop = Shop::open().await?;
    let url = shop.gateway.http_url()?;
    let mut before = Listener::connect(&url, None)?;
    within("initial_data", SOON, async || {
        ensure!(Known::of(&before.heard()?)?.states == 1);
        Ok(())
    })
    .await?;
    let mut sim = tills(&shop, 300, EVENTS)?;
    let known = within("some hundred events", SOON, async || {
        let known = Known::of(&before.heard()?)?;
        ensure!(known.offsets.len() > 300, "{}", known.offsets.len());
        Ok(known)
    })
    .await?;
    drop(before);
    let after = *known.offsets.last().context("an event")?;
    ensure!(
        known.offsets == (1..=after).collect::<Vec<_>>(),
        "{:?}",
        known.offsets
    );

    within(
        "much that it misses, in Kafka before it is back",
        SOON,
        async || {
            let list = shop.gateway.get_json("/api/orders?limit=500").await?;
            let orders = list["items"].as_array().context("a page")?.iter();
            let missed = orders.filter(|order| order["journal_offset"].as_u64() > Some(after));
            let confirmed = missed.filter(|order| order["partition"].is_i64()).count();
            ensure!(confirmed > 100, "{confirmed} orders are confirmed");
            Ok(())
        },
    )
    .await?;
    let mut again = Listener::connect(&url, Some(&json!({"after": after})))?;
    sim.finish(LATER).await?;
    shop.drained(EVENTS, LATER).await?;
    within("what it missed, and the rest", SOON, async || {
        let known = Known::of(&again.heard()?)?;
        ensure!(
            known.offsets.len() as u64 >= EVENTS - after,
            "{}",
            known.offsets.len()
        );
        let placed = known.rows.keys().filter(|name| known.places.contains_key(*name));
        let placed = placed.count();
        ensure!(placed == known.rows.len(), "{placed} of {}", known.rows.len());
        known.is_whole(&shop, after, EVENTS).await
    })
    .await
}

/// A client of every event that reads when it is told to.
struct Slow {
    socket: WebSocketStream<TcpStream>,
    known: Known,
    asked: u32,
}

impl Slow {
    async fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("no http")?;
        let tcp = TcpSocket::new_v4()?;
        // As a phone's, not as a server's on the same machine: what waits shall wait at the gateway.
        tcp.set_recv_buffer_size(64 << 10)?;
        let tcp = tcp.connect(address.parse()?).await?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
        let known = Known::default();
        let mut slow = Self {
            socket,
            known,
            asked: 0,
        };
        while slow.known.states == 0 {
            slow.read().await?;
        }
        Ok(slow)
    }

    /// Takes one message.
    async fn read(&mut self) -> Result<()> {
        let message = timeout(SOON, self.socket.next()).await.context("nothing comes")?;
        let message = message.context("the gateway closes the connection")??;
        let Message::Text(text) = message else {
            return Ok(());
        };
        match text.as_bytes() {
            [b'0', ..] => self.socket.send(Message::text("40")).await?,
            [b'2'] => {
                self.asked += 1;
                self.socket.send(Message::text("3")).await?;
            }
            [b'4', b'2', json @ ..] => {
                let (event, data): (String, Value) = serde_json::from_slice(json)?;
                self.known.hear(&event, &data)?;
            }
            [b'4', b'0', ..] => {}
            _ => bail!("the gateway says {text}"),
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_stays_and_is_told_all_in_the_end() -> Result<()> {
    const EVENTS: u64 = 14_000;
    let shop = Shop::open().await?;
    let mut slow = Slow::connect(&shop.gateway.http_url()?).await?;
    let mut sim = tills(&shop, 400, EVENTS)?;
    // A tenth of what comes, until it has been asked again whether it lives: its slowness is the input. The first time
    // is at the beginning.
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while slow.asked < 2 {
        pace.tick().await;
        slow.read().await?;
    }
    let (heard, stored) = (slow.known.offsets.len() as u64, stored(&shop).await?);
    println!("{heard} of {stored} heard when it was asked");
    ensure!(stored > heard + 5_000, "it is not behind: {heard} of {stored}");

    let end = Instant::now() + LATER;
    while (slow.known.offsets.len() as u64) < EVENTS || (slow.known.places.len() as u64) < EVENTS {
        let (events, places) = (slow.known.offsets.len(), slow.known.places.len());
        ensure!(Instant::now() < end, "{events} came, {places} confirmed");
        let read = slow.read().await;
        read.with_context(|| format!("{events} came, {places} confirmed"))?;
    }
    sim.finish(SOON).await?;
    slow.known.is_whole(&shop, 0, EVENTS).await?;
    ensure!(
        slow.known.states == 1,
        "what the journal has is no reason for a state"
    );
    let stats = shop.gateway.get_json("/api/stats").await?;
    while slow.known.stats != stats {
        slow.read().await.context("its totals are not the gateway's")?;
    }
    Ok(())
}
