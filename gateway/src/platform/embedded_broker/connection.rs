//! One client connection at the door, which checks each packet before it reaches rumqttd.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::GatewayClient;
use super::limits::{ARRIVING_KIB_OF_ADDRESS, Limits, MAX_FILTERS_OF_CONNECTION, MAX_PACKET, Source};
use super::packet::{
    self, CONNECT, Connect, DISCONNECT, MAX_CONTROL, MAX_PUBLISH_HEAD, PUBACK, PUBLISH, Refusal, Version,
};
use super::places::Place;
use super::rate::Pace;
use super::reader::{CHUNK, Header, PacketReader};
use super::turns::{Turn, Turns};
use crate::platform::metrics::Metrics;

/// A client must have sent its complete CONNECT by then, or it is disconnected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a packet may take to arrive once it has begun. The slowest till's largest packet takes a second. The time
/// that the door itself waits for permits and for the client's pace does not count.
const PACKET_TIMEOUT: Duration = Duration::from_secs(30);
/// This many bytes of a publish must arrive within [`Timeouts::piece`].
const PIECE: usize = 64 << 10;
/// The longest keep-alive, in seconds. It also applies to a client that requests a longer one or none. As the standard
/// prescribes, a connection is closed after one and a half times the keep-alive without a packet.
const MAX_KEEP_ALIVE: u16 = 1_200;
/// The cost, in packets, of a CONNECT and of each filter in a SUBSCRIBE: rumqttd compares a filter with all topics.
const CONNECT_PACKETS: u32 = 10;
const FILTER_PACKETS: u32 = 10;
/// How long rumqttd, on the same machine, may take to answer a CONNECT.
const CONNACK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that has finished sending still receives rumqttd's answers.
const LINGER: Duration = Duration::from_secs(1);
/// How long rumqttd may take to close the connection of a client that has gone.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// A larger publish needs permits from the budget shared by all large publishes (`limits::ARRIVING_KIB`). A till's
/// events are smaller, so they never wait for those of others.
const SMALL_PUBLISH: usize = 32 << 10;

/// Shared by all connections.
pub struct Door {
    /// rumqttd's address for MQTT 3.1.1.
    pub mqtt_3: SocketAddr,
    /// rumqttd's address for MQTT 5.
    pub mqtt_5: SocketAddr,
    pub gateway: GatewayClient,
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
    pub turns: Turns,
    pub timeouts: Timeouts,
}

/// Timeouts that tests shorten.
pub struct Timeouts {
    /// A client must have published or subscribed by then, or it is disconnected.
    pub unused: Duration,
    /// How long [`PIECE`] bytes of a publish may take.
    pub piece: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            unused: Duration::from_secs(60),
            piece: Duration::from_secs(5),
        }
    }
}

/// The DISCONNECT for a connection replaced by a later one with the same client id (MQTT 5: Session taken over).
const TAKEN_OVER: [u8; 3] = [0xE0, 1, 0x8E];

/// Why a connection ends.
pub enum End {
    /// A later connection has the same client id.
    Replaced,
    /// The client broke a rule.
    Refused(Refusal),
    /// The client or rumqttd closed the connection.
    Closed(io::Error),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Closed(error)
    }
}

/// The RETAIN flag in the first byte of a PUBLISH.
const RETAIN: u8 = 1;
/// Largest retained PUBLISH of a till, in bytes after the fixed header.
const MAX_RETAINED: usize = 512;

/// Copies `first` and then rumqttd's output to the client, until one of them ends.
async fn copy(mut first: BytesMut, input: &mut OwnedReadHalf, output: &mut OwnedWriteHalf) -> io::Result<()> {
    output.write_all_buf(&mut first).await?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = input.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        output.write_all(&chunk[..count]).await?;
    }
}

/// A connection whose CONNECT was accepted.
struct Client {
    version: Version,
    keep_alive: u16,
    place: Place,
    pace: Pace,
}

impl Client {
    fn is_gateway(&self) -> bool {
        self.place.source == Source::Gateway
    }
}

/// Waits for a packet from the client.
async fn in_time<T, E: Into<End>>(
    limit: Duration,
    arriving: impl Future<Output = Result<T, E>>,
) -> Result<T, End> {
    match timeout(limit, arriving).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Refusal::QuotaExceeded.into()),
    }
}

impl Door {
    /// Serves a client until one side closes the connection or the client breaks a rule.
    pub async fn serve(&self, client: TcpStream, address: IpAddr) {
        // Without this, small packets would wait for the client's delayed ack. An error also shows up at the first
        // read.
        let _ = client.set_nodelay(true);
        let (input, mut output) = client.into_split();
        let mut reader = PacketReader::new(input);
        let waiting = self.limits.wait();
        let arrived = tokio::select! {
            arrived = timeout(CONNECT_TIMEOUT, self.connect(&mut reader, address)) => arrived,
            () = waiting.gives_way.cancelled() => {
                self.count("waiting");
                return;
            }
        };
        let (packet, connect, pace) = match arrived {
            Ok(Ok(arrived)) => arrived,
            Ok(Err((End::Refused(refusal), version))) => {
                return self.refuse(refusal, &refusal.connack(version), &mut output).await;
            }
            Ok(Err((End::Closed(_) | End::Replaced, _))) => return,
            Err(_) => {
                self.count("waiting");
                return;
            }
        };
        drop(waiting);
        let version = connect.version;
        let place = match self.admit(&connect, pace.source()) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(refusal, &refusal.connack(version), &mut output).await,
        };
        let Some(turn) = self.turns.take(&connect.client_id).await else {
            return;
        };
        let client = Client {
            version,
            keep_alive: connect.keep_alive,
            place,
            pace,
        };
        match self.forward(reader, &mut output, &packet, client, turn).await {
            Err(End::Replaced) if version == Version::V5 => {
                // The client may be gone.
                let _ = output.write_all(&TAKEN_OVER).await;
            }
            Err(End::Replaced) => {}
            Err(End::Refused(refusal)) => {
                self.refuse(refusal, &refusal.disconnect(version), &mut output)
                    .await;
            }
            Err(End::Closed(problem)) => debug!(%problem, "an MQTT connection ended"),
            Ok(()) => {}
        }
    }

    fn count(&self, reason: &str) {
        self.metrics.broker_refused.with_label_values(&[reason]).inc();
    }

    async fn refuse(&self, refusal: Refusal, answer: &[u8], output: &mut OwnedWriteHalf) {
        self.count(refusal.label());
        debug!(?refusal, "an MQTT client was refused");
        // The client may be gone.
        let _ = output.write_all(answer).await;
        let _ = output.shutdown().await;
    }

    /// Reads the CONNECT, and waits until the rate limit of the client's address lets it pass.
    async fn connect(
        &self,
        reader: &mut PacketReader<OwnedReadHalf>,
        address: IpAddr,
    ) -> Result<(BytesMut, Connect, Pace), (End, Version)> {
        let before_version = |end: End| (end, Version::V3);
        reader
            .begin()
            .await
            .map_err(|error| before_version(error.into()))?;
        let header = reader.header().await.map_err(before_version)?;
        if header.first != CONNECT << 4 {
            return Err(before_version(Refusal::Protocol.into()));
        }
        if header.remaining > MAX_CONTROL {
            return Err(before_version(Refusal::TooLarge.into()));
        }
        let length = header.length + header.remaining;
        let filled = reader.fill(length).await;
        filled.map_err(|error| before_version(error.into()))?;
        let mut packet = reader.buffer.split_to(length);
        let connect = packet::connect(&mut packet[header.length..]);
        let mut connect = connect.map_err(|(refusal, version)| (refusal.into(), version))?;
        if connect.client_id.is_empty() {
            // rumqttd would assign a client id and remember it as well.
            connect.client_id = uuid::Uuid::new_v4().simple().to_string();
        }
        let source = self
            .source(&connect, address)
            .map_err(|refusal| (refusal.into(), connect.version))?;
        let mut pace = self.limits.rates.pace(source);
        pace.wait(CONNECT_PACKETS, length).await;
        Ok((packet, connect, pace))
    }

    /// Decides whether the client is the gateway.
    fn source(&self, connect: &Connect, address: IpAddr) -> Result<Source, Refusal> {
        let gateway = &self.gateway;
        if connect.client_id != gateway.client_id {
            return Ok(Source::of(address));
        }
        match &connect.credentials {
            Some((_, password)) if password == gateway.password.reveal().as_bytes() => Ok(Source::Gateway),
            _ => Err(Refusal::ClientId),
        }
    }

    /// Decides whether the client may connect.
    fn admit(&self, connect: &Connect, source: Source) -> Result<Place, Refusal> {
        if let Some(topic) = &connect.will_topic
            && source != Source::Gateway
        {
            self.check_topic(topic, source)?;
        }
        let place = self.limits.places.take(source)?;
        self.limits.note_client_id(&connect.client_id, source)?;
        Ok(place)
    }

    fn check_topic(&self, topic: &str, source: Source) -> Result<(), Refusal> {
        match packet::is_till_topic(topic) {
            true => self.limits.note_topic(topic, source),
            false => Err(Refusal::TopicInvalid),
        }
    }

    async fn forward(
        &self,
        reader: PacketReader<OwnedReadHalf>,
        output: &mut OwnedWriteHalf,
        connect: &[u8],
        mut client: Client,
        turn: Turn,
    ) -> Result<(), End> {
        let server = match client.version {
            Version::V3 => self.mqtt_3,
            Version::V5 => self.mqtt_5,
        };
        let server = TcpStream::connect(server).await?;
        server.set_nodelay(true)?;
        let (mut from_server, mut to_server) = server.into_split();
        to_server.write_all(connect).await?;
        // rumqttd panics at the second CONNECT with a client id if the first connection was gone before its CONNACK. So
        // the connection stays open and keeps its turn until the CONNACK arrives, whatever the client does.
        let mut connack = BytesMut::with_capacity(CHUNK);
        let count = match timeout(CONNACK_TIMEOUT, from_server.read_buf(&mut connack)).await {
            Ok(count) => count?,
            Err(elapsed) => {
                tokio::spawn(async move {
                    // rumqttd's answer no longer matters.
                    let _ = from_server.read_buf(&mut connack).await;
                    drop((to_server, turn));
                });
                return Err(io::Error::from(elapsed).into());
            }
        };
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        if client.version == Version::V5 && !(1..=MAX_KEEP_ALIVE).contains(&client.keep_alive) {
            packet::set_server_keep_alive(&mut connack, MAX_KEEP_ALIVE);
        }
        let is_displaced = client.place.is_displaced.clone();
        let end = {
            let mut to_client = pin!(copy(connack, &mut from_server, output));
            let (end, is_client_done) = tokio::select! {
                end = self.forward_packets(reader, &mut to_server, &mut client) => (end, true),
                // The future has completed and must not be polled again.
                end = &mut to_client => (end.map_err(End::from), false),
                () = turn.is_replaced.cancelled() => (Err(End::Replaced), false),
                () = is_displaced.cancelled() => (Err(Refusal::QuotaExceeded.into()), false),
            };
            // Fails if rumqttd has already closed the connection.
            let _ = to_server.shutdown().await;
            if is_client_done && end.is_ok() {
                // The client may still be waiting for rumqttd's answers to its last packets.
                let _ = timeout(LINGER, to_client).await;
            }
            end
        };
        // The turn ends when rumqttd has closed the connection. Its remaining output is discarded.
        let _ = timeout(
            CLOSE_TIMEOUT,
            tokio::io::copy(&mut from_server, &mut tokio::io::sink()),
        )
        .await;
        drop(turn);
        end
    }

    /// Forwards the client's packets. Ends after its DISCONNECT.
    async fn forward_packets(
        &self,
        mut reader: PacketReader<OwnedReadHalf>,
        server: &mut OwnedWriteHalf,
        client: &mut Client,
    ) -> Result<(), End> {
        let keep_alive = match client.keep_alive {
            0 => MAX_KEEP_ALIVE,
            asked => asked.min(MAX_KEEP_ALIVE),
        };
        let max_silence = Duration::from_secs(keep_alive.into()) * 3 / 2;
        let unused_until = Instant::now() + self.timeouts.unused;
        let mut is_used = client.is_gateway();
        let mut filters = HashSet::new();
        loop {
            let mut until = Instant::now() + max_silence;
            if !is_used {
                until = until.min(unused_until);
            }
            let kind = match timeout_at(until, reader.begin()).await {
                Ok(Ok(first)) => first >> 4,
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Refusal::Silent.into()),
            };
            let header = in_time(PACKET_TIMEOUT, reader.header()).await?;
            if kind == PUBLISH {
                self.forward_publish(&mut reader, &header, server, client).await?;
                is_used = true;
            } else {
                self.forward_control(&mut reader, &header, server, client, &mut filters)
                    .await?;
                is_used |= !filters.is_empty();
            }
            if kind == DISCONNECT {
                return Ok(());
            }
        }
    }

    async fn forward_publish(
        &self,
        reader: &mut PacketReader<OwnedReadHalf>,
        header: &Header,
        server: &mut OwnedWriteHalf,
        client: &mut Client,
    ) -> Result<(), End> {
        if header.remaining > MAX_PACKET {
            return Err(Refusal::TooLarge.into());
        }
        let head = header.remaining.min(MAX_PUBLISH_HEAD);
        in_time(PACKET_TIMEOUT, reader.fill(header.length + head)).await?;
        let topic = packet::publish_topic(
            header.first,
            &reader.buffer[header.length..header.length + head],
            client.version,
        )?;
        // A topic alias stands for a topic that was checked before.
        let is_status = topic.ends_with("/status");
        if !client.is_gateway() && !topic.is_empty() {
            self.check_topic(topic, client.place.source)?;
        }
        // rumqttd keeps retained messages until it ends. A till may only retain its status, which is one word.
        if !client.is_gateway() && header.first & RETAIN != 0 {
            match (is_status, header.remaining <= MAX_RETAINED) {
                (true, true) => {}
                (true, false) => return Err(Refusal::TooLarge.into()),
                (false, _) => reader.buffer[0] &= !RETAIN,
            }
        }
        let length = header.length + header.remaining;
        client.pace.wait(1, length).await;
        let kib = match header.remaining > SMALL_PUBLISH {
            true => (header.remaining as u32 / 1024 + 1).min(ARRIVING_KIB_OF_ADDRESS),
            false => 0,
        };
        // The permits of the address come first, so that its connections wait for each other and do not hold up those
        // of others.
        let _of_address = client.place.arriving.acquire_many(kib).await;
        let _of_all = self.limits.arriving.acquire_many(kib).await;
        in_time(PACKET_TIMEOUT, self.forward_pieces(reader, server, length)).await
    }

    /// Forwards `length` bytes. They must not arrive too slowly, because others may be waiting for the permits.
    async fn forward_pieces(
        &self,
        reader: &mut PacketReader<OwnedReadHalf>,
        server: &mut OwnedWriteHalf,
        mut left: usize,
    ) -> Result<(), End> {
        while left > 0 {
            let mut piece = left.min(PIECE);
            left -= piece;
            let mut until = Instant::now() + self.timeouts.piece;
            while piece > 0 {
                match timeout_at(until, reader.fill(1)).await {
                    Ok(filled) => filled?,
                    Err(_) => return Err(Refusal::QuotaExceeded.into()),
                }
                let count = reader.buffer.len().min(piece);
                let began = Instant::now();
                server.write_all(&reader.buffer[..count]).await?;
                // Slowness of rumqttd is not the client's fault.
                until += began.elapsed();
                reader.buffer.advance(count);
                piece -= count;
            }
        }
        Ok(())
    }

    /// Forwards a packet other than PUBLISH.
    async fn forward_control(
        &self,
        reader: &mut PacketReader<OwnedReadHalf>,
        header: &Header,
        server: &mut OwnedWriteHalf,
        client: &mut Client,
        filters: &mut HashSet<String>,
    ) -> Result<(), End> {
        if header.remaining > MAX_CONTROL {
            return Err(Refusal::TooLarge.into());
        }
        let length = header.length + header.remaining;
        in_time(PACKET_TIMEOUT, reader.fill(length)).await?;
        let mut packet = reader.buffer.split_to(length);
        let mut packets = 1;
        for filter in packet::control(header.first, &mut packet[header.length..], client.version)? {
            self.limits.note_filter(&filter, client.place.source)?;
            filters.insert(filter);
            packets += FILTER_PACKETS;
        }
        if filters.len() > MAX_FILTERS_OF_CONNECTION {
            return Err(Refusal::QuotaExceeded.into());
        }
        // rumqttd ends a connection that acknowledges messages it never received, so there are no more PUBACKs than
        // publishes.
        if header.first >> 4 != PUBACK {
            client.pace.wait(packets, length).await;
        }
        in_time(PACKET_TIMEOUT, server.write_all(&packet)).await
    }
}
