//! Socket.IO under load: even a client that was disconnected, or is slow, receives every event.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::{Listener, SocketIoEvent, within};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::shop::{LATER, SOON, Shop, tills};

/// The state of a client, from the messages that it received.
#[derive(Default)]
struct ClientState {
    /// The journal offsets of the events, in the order of their arrival.
    offsets: Vec<u64>,
    /// The row of each event, by `ce_id`.
    rows: HashMap<String, u64>,
    /// The partition and offset of each confirmed event, by `ce_id`.
    places: HashMap<String, (i64, i64)>,
    stats: Value,
    /// The number of `initial_data` messages.
    snapshots: usize,
}

impl ClientState {
    fn from_messages(messages: &[SocketIoEvent]) -> Result<Self> {
        let mut state = Self::default();
        for message in messages {
            state.apply(&message.event, &message.data)?;
        }
        Ok(state)
    }

    fn apply(&mut self, event: &str, data: &Value) -> Result<()> {
        match event {
            "new_order" | "new_payment" | "new_delivery" => {
                let offset = data["journal_offset"].as_u64();
                self.offsets
                    .push(offset.context("an event without a journal offset")?);
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
                self.snapshots += 1;
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

    /// Fails unless each event after `after` and up to `last` arrived once, in order, with its row, and with its place in Kafka.
    async fn check_complete(&self, shop: &Shop, after: u64, last: u64) -> Result<()> {
        let all: Vec<u64> = (after + 1..=last).collect();
        let first_difference = self
            .offsets
            .iter()
            .zip(&all)
            .find(|(got, expected)| got != expected);
        ensure!(
            self.offsets == all,
            "{} events arrived; first difference (got, expected): {first_difference:?}",
            self.offsets.len()
        );
        for record in shop.records().await? {
            let name = record.ce_id().context("a record without ce_id")?;
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
async fn a_client_disconnected_under_load_receives_every_event_with_its_place_in_kafka() -> Result<()> {
    const EVENTS: u64 = 3_000;
    let shop = Shop::open().await?;
    let url = shop.gateway.http_url()?;
    let mut before = Listener::connect(&url, None)?;
    within("initial_data", SOON, async || {
        ensure!(ClientState::from_messages(&before.events()?)?.snapshots == 1);
        Ok(())
    })
    .await?;
    let mut sim = tills(&shop.mosquitto, 5, EVENTS, 300)?;
    let state = within("300 events to arrive", SOON, async || {
        let state = ClientState::from_messages(&before.events()?)?;
        ensure!(state.offsets.len() > 300, "{}", state.offsets.len());
        Ok(state)
    })
    .await?;
    drop(before);
    let after = *state.offsets.last().context("an event")?;
    ensure!(
        state.offsets == (1..=after).collect::<Vec<_>>(),
        "{:?}",
        state.offsets
    );

    within(
        "100 missed orders to be in Kafka before the client is back",
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
    within("the missed events and the rest", SOON, async || {
        let state = ClientState::from_messages(&again.events()?)?;
        ensure!(
            state.offsets.len() as u64 >= EVENTS - after,
            "{}",
            state.offsets.len()
        );
        let placed = state.rows.keys().filter(|name| state.places.contains_key(*name));
        let placed = placed.count();
        ensure!(placed == state.rows.len(), "{placed} of {}", state.rows.len());
        state.check_complete(&shop, after, EVENTS).await
    })
    .await
}

/// A client that receives each event separately, and reads only when the test says so.
struct SlowClient {
    socket: WebSocketStream<TcpStream>,
    state: ClientState,
    /// The number of pings from the gateway.
    pings: u32,
}

impl SlowClient {
    async fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("no http")?;
        let tcp = TcpSocket::new_v4()?;
        // As small as a phone's, so that unread data waits in the gateway and not in this process's kernel buffer.
        tcp.set_recv_buffer_size(64 << 10)?;
        let tcp = tcp.connect(address.parse()?).await?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
        let mut client = Self {
            socket,
            state: ClientState::default(),
            pings: 0,
        };
        while client.state.snapshots == 0 {
            client.read().await?;
        }
        Ok(client)
    }

    /// Reads one message.
    async fn read(&mut self) -> Result<()> {
        let message = timeout(SOON, self.socket.next())
            .await
            .context("no message arrives")?;
        let message = message.context("the gateway closes the connection")??;
        let Message::Text(text) = message else {
            return Ok(());
        };
        match text.as_bytes() {
            [b'0', ..] => self.socket.send(Message::text("40")).await?,
            [b'2'] => {
                self.pings += 1;
                self.socket.send(Message::text("3")).await?;
            }
            [b'4', b'2', json @ ..] => {
                let (event, data): (String, Value) = serde_json::from_slice(json)?;
                self.state.apply(&event, &data)?;
            }
            [b'4', b'0', ..] => {}
            _ => bail!("an unexpected message: {text}"),
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_stays_connected_and_receives_every_event() -> Result<()> {
    const EVENTS: u64 = 14_000;
    let shop = Shop::open().await?;
    let mut slow = SlowClient::connect(&shop.gateway.http_url()?).await?;
    let mut sim = tills(&shop.mosquitto, 5, EVENTS, 400)?;
    // The client's slowness is the input, so this pace is intended: it reads a tenth of the messages, until its second ping.
    // The first ping comes at the beginning.
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while slow.pings < 2 {
        pace.tick().await;
        slow.read().await?;
    }
    let (received, stored) = (slow.state.offsets.len() as u64, stored(&shop).await?);
    println!("{received} of {stored} events received at the second ping");
    ensure!(
        stored > received + 5_000,
        "the client is not far behind: {received} of {stored}"
    );

    let end = Instant::now() + LATER;
    while (slow.state.offsets.len() as u64) < EVENTS || (slow.state.places.len() as u64) < EVENTS {
        let (events, places) = (slow.state.offsets.len(), slow.state.places.len());
        ensure!(Instant::now() < end, "{events} arrived, {places} confirmed");
        let read = slow.read().await;
        read.with_context(|| format!("{events} arrived, {places} confirmed"))?;
    }
    sim.finish(SOON).await?;
    slow.state.check_complete(&shop, 0, EVENTS).await?;
    ensure!(
        slow.state.snapshots == 1,
        "the client got initial_data again although the journal has all events"
    );
    let stats = shop.gateway.get_json("/api/stats").await?;
    while slow.state.stats != stats {
        slow.read()
            .await
            .context("the client's last totals differ from the gateway's")?;
    }
    Ok(())
}
