//! A subscriber that only counts events.

use std::time::Duration;

use anyhow::{Result, bail};
use comptoir_gateway::ingest::RECEIVE_MAXIMUM;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use super::ResourceSample;

/// An MQTT client with the gateway's receive window that acknowledges immediately.
pub struct Subscriber {
    events: EventLoop,
    /// The event loop ends when its last client is dropped.
    _client: AsyncClient,
}

impl Subscriber {
    /// Connects and subscribes to the events of all tills.
    pub async fn open(port: u16, client_id: &str) -> Result<Self> {
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options
            .set_network_options(network)
            .set_keep_alive(Duration::from_secs(60))
            .set_clean_start(true)
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(2 << 20));
        let (client, mut events) = AsyncClient::new(options, usize::from(RECEIVE_MAXIMUM));
        let filters = ["orders", "payments", "deliveries"]
            .map(|leaf| Filter::new(format!("pos/+/+/{leaf}"), QoS::AtLeastOnce));
        client.subscribe_many(filters).await?;
        loop {
            match events.poll().await? {
                Event::Incoming(Packet::SubAck(_)) => break,
                Event::Incoming(Packet::Disconnect(reason)) => bail!("disconnected: {reason:?}"),
                _ => {}
            }
        }
        Ok(Self {
            events,
            _client: client,
        })
    }

    pub async fn next(&mut self) -> Result<Publish> {
        loop {
            if let Event::Incoming(Packet::Publish(publish)) = self.events.poll().await? {
                return Ok(publish);
            }
        }
    }
}

pub async fn run(port: u16, events: u32) -> Result<()> {
    let mut subscriber = Subscriber::open(port, "count").await?;
    ResourceSample::print()?;
    for _ in 0..events {
        subscriber.next().await?;
    }
    ResourceSample::print()
}
