//! A till reduced to what the load needs: MQTT 5 on a plain socket, with many publishes in one write.
//!
//! A full MQTT client uses more CPU time for a publish than the gateway for the whole event. On shared cores the benchmark
//! would mostly measure that client.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use comptoir_wire::Ack;
use rumqttc::v5::mqttbytes::v5::{Connect, Filter, Packet, PubAck, Publish, Subscribe};
use rumqttc::v5::mqttbytes::{Error as MqttError, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::sales::{self, Frame};

/// Largest number of publishes without a PUBACK.
const WINDOW: u64 = 64;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Size of the buffers, in bytes.
const CHUNK: usize = 64 << 10;

/// An MQTT 5 connection, QoS 1.
pub struct Connection {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Connection {
    pub async fn open(port: u16, client_id: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            incoming: BytesMut::with_capacity(CHUNK),
            outgoing: BytesMut::with_capacity(CHUNK),
        };
        let connect = Connect {
            keep_alive: 0,
            client_id: client_id.to_owned(),
            clean_start: true,
            properties: None,
        };
        connection.queue(&Packet::Connect(connect, None, None))?;
        match connection.next().await? {
            Packet::ConnAck(_) => Ok(connection),
            other => bail!("the MQTT broker answers CONNECT with {other:?}"),
        }
    }

    pub async fn subscribe(&mut self, filter: &str) -> Result<()> {
        let mut subscribe = Subscribe::new(Filter::new(filter, QoS::AtLeastOnce), None);
        subscribe.pkid = 1;
        self.queue(&Packet::Subscribe(subscribe))?;
        match self.next().await? {
            Packet::SubAck(_) => Ok(()),
            other => bail!("the MQTT broker answers SUBSCRIBE with {other:?}"),
        }
    }

    pub fn queue(&mut self, packet: &Packet) -> Result<()> {
        packet.write(&mut self.outgoing, None).context("write a packet")?;
        Ok(())
    }

    pub fn queue_publish(&mut self, topic: &Bytes, payload: &Bytes, pkid: u16) -> Result<()> {
        self.queue(&Packet::Publish(Publish {
            qos: QoS::AtLeastOnce,
            topic: topic.clone(),
            pkid,
            payload: payload.clone(),
            ..Publish::default()
        }))
    }

    /// Sends the queued packets.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.outgoing.is_empty() {
            self.stream.write_all(&self.outgoing).await?;
            self.outgoing.clear();
        }
        Ok(())
    }

    /// The next packet in the receive buffer, if it is complete.
    pub fn received(&mut self) -> Result<Option<Packet>> {
        match Packet::read(&mut self.incoming, None) {
            Ok(packet) => Ok(Some(packet)),
            Err(MqttError::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error).context("read a packet"),
        }
    }

    /// Waits until the socket is readable and reads into the buffer. Cancel-safe.
    pub async fn receive(&mut self) -> Result<()> {
        self.incoming.reserve(CHUNK);
        if self.stream.read_buf(&mut self.incoming).await? == 0 {
            bail!("the MQTT broker closed the connection");
        }
        Ok(())
    }

    /// Sends the queued packets and waits for the next one.
    pub async fn next(&mut self) -> Result<Packet> {
        self.flush().await?;
        loop {
            if let Some(packet) = self.received()? {
                return Ok(packet);
            }
            tokio::time::timeout(TIMEOUT, self.receive())
                .await
                .context("the MQTT broker does not respond")??;
        }
    }
}

/// How fast a till publishes.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As fast as the PUBACKs allow.
    FullSpeed,
    /// One event in each period, the first after `offset`.
    Every { period: Duration, offset: Duration },
}

/// When a till's events were published and acked. Event `seq` is at index `seq - 1`.
#[derive(Debug, Default)]
pub struct PublishLog {
    pub device: String,
    pub published: Vec<Instant>,
    /// Latency from the publish to the end-to-end ack, for the acked events, in milliseconds.
    pub ack_ms: Vec<f64>,
}

/// Publishes the frames, or as many as fit until `stop`. Ends when the MQTT broker has acknowledged them; with
/// `wait_for_acks`, when the gateway has acked them too.
pub async fn publish(
    mut connection: Connection,
    device: String,
    epoch: u32,
    frames: Vec<Frame>,
    pace: Pace,
    wait_for_acks: bool,
    stop: CancellationToken,
) -> Result<PublishLog> {
    let topics = comptoir_wire::topic::Kind::ALL.map(|kind| {
        let topic = sales::topic(&device, kind.as_str());
        (kind, Bytes::from(topic))
    });
    let (begun, mut all) = (Instant::now(), frames.len() as u64);
    let due = |number: u64| match pace {
        Pace::FullSpeed => begun,
        Pace::Every { period, offset } => begun + offset + period.mul_f64(number as f64),
    };
    let mut sent = PublishLog {
        device,
        ..PublishLog::default()
    };
    let mut puback = 0;
    loop {
        let number = sent.published.len() as u64;
        if stop.is_cancelled() {
            all = number;
        }
        if number < all && number - puback < WINDOW && due(number) <= Instant::now() {
            let Frame { kind, bytes } = &frames[number as usize];
            let topic = topics.iter().find(|(other, _)| other == kind);
            let (_, topic) = topic.context("every kind has a topic")?;
            let pkid = (number % u64::from(u16::MAX)) as u16 + 1;
            connection.queue_publish(topic, bytes, pkid)?;
            sent.published.push(Instant::now());
            continue;
        }
        connection.flush().await?;
        if puback == all && (!wait_for_acks || sent.ack_ms.len() as u64 == all) {
            return Ok(sent);
        }
        let wait = match number < all && number - puback < WINDOW {
            true => due(number).saturating_duration_since(Instant::now()),
            false => TIMEOUT,
        };
        match tokio::time::timeout(wait, connection.receive()).await {
            Ok(received) => received?,
            Err(_) if wait == TIMEOUT => bail!("neither PUBACK nor ack came within {TIMEOUT:?}"),
            Err(_) => continue,
        }
        let now = Instant::now();
        while let Some(packet) = connection.received()? {
            match packet {
                Packet::PubAck(_) => puback += 1,
                Packet::Publish(ack) => {
                    connection.queue(&Packet::PubAck(PubAck::new(ack.pkid, None)))?;
                    // An ack of another epoch was retained before this run.
                    if let Ok(ack) = Ack::decode(&ack.payload)
                        && ack.epoch == epoch
                    {
                        let upto = (ack.seq as usize).min(sent.published.len());
                        let waits = sent.published[sent.ack_ms.len().min(upto)..upto]
                            .iter()
                            .map(|at| now.duration_since(*at).as_secs_f64() * 1e3);
                        sent.ack_ms.extend(waits);
                    }
                }
                Packet::Disconnect(reason) => bail!("the MQTT broker disconnected: {reason:?}"),
                _ => {}
            }
        }
    }
}
