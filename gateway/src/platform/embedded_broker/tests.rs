//! Tests of the built-in broker with clients that break every rule.

use std::net::IpAddr;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::limits::Source;
use super::*;

const SOON: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    door: Arc<Door>,
    gateway: GatewayClient,
    metrics: Arc<Metrics>,
}

async fn start() -> Running {
    start_with(Timeouts::default()).await
}

async fn start_with(timeouts: Timeouts) -> Running {
    let gateway = GatewayClient::new("comptoir-paris-1".to_owned());
    let metrics = Arc::new(Metrics::new().unwrap());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut broker = EmbeddedBroker::start(listen, gateway.clone(), Arc::clone(&metrics))
        .await
        .unwrap();
    Arc::get_mut(&mut broker.door).unwrap().timeouts = timeouts;
    let door = Arc::clone(&broker.door);
    let address = broker.address().unwrap();
    tokio::spawn(broker.run(CancellationToken::new()));
    Running {
        address,
        door,
        gateway,
        metrics,
    }
}

fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = text.as_ref();
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let more = length > 0x7F;
        packet.push((length & 0x7F) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// A CONNECT of MQTT 3.1.1 or 5 with a clean start.
fn connect(level: u8, client_id: impl AsRef<[u8]>, credentials: Option<(&str, &str)>) -> Vec<u8> {
    let flags = if credentials.is_some() { 0xC2 } else { 2 };
    let mut body = [&text("MQTT")[..], &[level, flags, 0, 60]].concat();
    if level == 5 {
        body.push(0);
    }
    body.extend(text(client_id));
    if let Some((user, password)) = credentials {
        body.extend([text(user), text(password)].concat());
    }
    packet(0x10, &body)
}

fn publish(level: u8, topic: impl AsRef<[u8]>, payload: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { &[0] } else { &[] };
    packet(0x32, &[&text(topic)[..], &[0, 9], properties, payload].concat())
}

fn subscribe(level: u8, filter: impl AsRef<[u8]>) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { &[0] } else { &[] };
    packet(0x82, &[&[0, 8], properties, &text(filter), &[1]].concat())
}

async fn client(address: SocketAddr) -> TcpStream {
    timeout(SOON, TcpStream::connect(address)).await.unwrap().unwrap()
}

/// A client at 127.0.0.`host`. The limits treat each of these addresses except 127.0.0.1 as a sender on the network.
async fn client_of(host: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)))
        .unwrap();
    timeout(SOON, socket.connect(address)).await.unwrap().unwrap()
}

/// All bytes from the broker until it closes the connection.
async fn rest(mut client: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset also ends the connection.
    let _ = timeout(SOON, client.read_to_end(&mut answer))
        .await
        .expect("an end");
    answer
}

/// Sends the bytes and returns all bytes from the broker until it closes the connection.
async fn until_closed(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = client(address).await;
    let _ = client.write_all(bytes).await;
    rest(client).await
}

async fn read_exactly(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(SOON, client.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    bytes
}

/// Asserts that one client receives what another publishes.
async fn still_serves(broker: &Running, round: u32) {
    let topic = format!("pos/paris-1/till-{round}/payments");
    let mut reader = client(broker.address).await;
    let bytes = [connect(4, format!("reader-{round}"), None), subscribe(4, &topic)].concat();
    reader.write_all(&bytes).await.unwrap();
    assert_eq!(read_exactly(&mut reader, 4).await, [0x20, 2, 0, 0]);
    assert_eq!(read_exactly(&mut reader, 5).await, [0x90, 3, 0, 8, 1]);
    let mut writer = client(broker.address).await;
    let bytes = [
        connect(4, format!("writer-{round}"), None),
        publish(4, &topic, b"sold"),
    ]
    .concat();
    writer.write_all(&bytes).await.unwrap();
    assert_eq!(read_exactly(&mut writer, 8).await, [0x20, 2, 0, 0, 0x40, 2, 0, 9]);
    let received = read_exactly(&mut reader, 2 + 2 + topic.len() + 2 + 4).await;
    assert!(received.ends_with(b"sold"), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_topics_filters_and_client_ids_are_refused_and_the_broker_keeps_serving() {
    let broker = start().await;
    for topic in [
        "é",
        "é/x",
        "pos/é/x/ack",
        "a/#",
        "+",
        "$SYS/x",
        "pos/p/t/commands",
    ] {
        let bytes = [connect(5, "odd", None), publish(5, topic, b"x")].concat();
        let answer = until_closed(broker.address, &bytes).await;
        assert!(answer.ends_with(&[0xE0, 1, 0x90]), "{topic}: {answer:?}");
        until_closed(
            broker.address,
            &[connect(4, "odd", None), publish(4, topic, b"x")].concat(),
        )
        .await;
    }
    for filter in ["é", "a#", "$share/group/a", "#/a"] {
        until_closed(
            broker.address,
            &[connect(4, "odd", None), subscribe(4, filter)].concat(),
        )
        .await;
    }
    for id in ["é", "a/b", "a/b", "+"] {
        let answer = until_closed(broker.address, &connect(4, id, None)).await;
        assert_eq!(answer, [0x20, 2, 0, 2], "{id}");
    }
    still_serves(&broker, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_serving_after_thousands_of_random_packets() {
    let broker = start().await;
    let mut random = SmallRng::seed_from_u64(7);
    let began = Instant::now();
    for round in 0..1_500 {
        let level = if random.random_bool(0.5) { 4 } else { 5 };
        let mut bytes = connect(level, format!("fuzz-{}", round % 20), None);
        for _ in 0..random.random_range(0..4) {
            let mut name: Vec<u8> = (0..random.random_range(0..12))
                .map(|_| match random.random_range(0..4) {
                    0 => random.random(),
                    1 => b'/',
                    _ => *b"pos+#$\xc3\xa9".get(random.random_range(0..8)).unwrap(),
                })
                .collect();
            if random.random_bool(0.3) {
                name = b"pos/paris-1/till-1/orders".to_vec();
            }
            bytes.extend(match random.random_range(0..4) {
                0 => publish(level, &name, b"x"),
                1 => subscribe(level, &name),
                2 => packet(random.random(), &name),
                _ => packet(0x82, &name),
            });
        }
        for _ in 0..random.random_range(0..3) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(0..bytes.len() + 1).max(bytes.len() / 2));
        let mut client = client(broker.address).await;
        // The broker may close the connection first.
        let _ = client.write_all(&bytes).await;
        let _ = client.shutdown().await;
        if round % 300 == 299 {
            still_serves(&broker, round).await;
        }
    }
    println!("{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_gateway_may_use_its_client_id_and_publish_acks() {
    let broker = start().await;
    let GatewayClient {
        client_id, password, ..
    } = broker.gateway.clone();
    for credentials in [None, Some(("gateway", "guessed"))] {
        let answer = until_closed(broker.address, &connect(4, &client_id, credentials)).await;
        assert_eq!(answer, [0x20, 2, 0, 2]);
        let answer = until_closed(broker.address, &connect(5, &client_id, credentials)).await;
        assert_eq!(answer, [0x20, 3, 0, 0x85, 0]);
    }
    let mut gateway = client(broker.address).await;
    let own = connect(4, &client_id, Some(("gateway", password.reveal())));
    let bytes = [own, publish(4, "pos/paris-1/till-1/ack", b"x")].concat();
    gateway.write_all(&bytes).await.unwrap();
    assert_eq!(
        read_exactly(&mut gateway, 8).await,
        [0x20, 2, 0, 0, 0x40, 2, 0, 9]
    );
    until_closed(broker.address, &connect(4, &client_id, None)).await;
    gateway.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read_exactly(&mut gateway, 2).await, [0xD0, 0], "still connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_keep_no_client_out() {
    let broker = start().await;
    let mut idle = Vec::new();
    for _ in 0..1_100 {
        idle.push(client(broker.address).await);
    }
    still_serves(&broker, 1).await;
    let gave_way = broker
        .metrics
        .broker_refused
        .with_label_values(&["waiting"])
        .get();
    assert!(gave_way >= 800, "{gave_way}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_replace_each_other_in_no_time_do_not_stop_the_broker() {
    let broker = start().await;
    for round in 0..300 {
        let mut clients = Vec::new();
        for level in [4, 5, 4] {
            let mut client = client(broker.address).await;
            let _ = client.write_all(&connect(level, "twin", None)).await;
            clients.push(client);
        }
        if round % 100 == 99 {
            still_serves(&broker, round).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_large_ends_its_connection_only() {
    let broker = start().await;
    // A publish of 2 MB and a SUBSCRIBE of 16 KB; their length fields suffice.
    for packet in [&[0x32, 0x80, 0x80, 0x80, 2][..], &[0x82, 0x80, 0x80, 1]] {
        let answer = until_closed(broker.address, &[&connect(5, "large", None), packet].concat()).await;
        assert!(answer.ends_with(&[0xE0, 1, 0x95]), "{answer:?}");
    }
    still_serves(&broker, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_the_broker_is_slowed_down_and_not_disconnected() {
    let broker = start().await;
    for host in [1, 2] {
        let mut flooder = client_of(host, broker.address).await;
        let publish = packet(
            0x30,
            &[&text("pos/paris-1/flooder/orders")[..], &[0; 200]].concat(),
        );
        let bytes = [
            connect(4, format!("flooder-{host}"), None),
            publish.repeat(3_000),
            vec![0xC0, 0],
        ]
        .concat();
        let began = Instant::now();
        let (mut from_broker, mut to_broker) = flooder.split();
        let answers = async {
            let mut answers = [0; 6];
            from_broker.read_exact(&mut answers).await.unwrap();
            answers
        };
        let (sent, answers) = timeout(SOON, async { tokio::join!(to_broker.write_all(&bytes), answers) })
            .await
            .unwrap();
        sent.unwrap();
        assert_eq!(answers, [0x20, 2, 0, 0, 0xD0, 0]);
        // A burst of 2,000, then 500 per second.
        assert!(
            began.elapsed() >= Duration::from_millis(1_900),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_publishes_of_one_address_do_not_delay_those_of_others() {
    let broker = start_with(Timeouts {
        piece: Duration::from_secs(600),
        ..Timeouts::default()
    })
    .await;
    let free = broker.door.limits.arriving.available_permits();
    let mut half_sent = Vec::new();
    for number in 0..20 {
        let mut client = client_of(2, broker.address).await;
        let bytes = connect(4, format!("large-{number}"), None);
        client.write_all(&bytes).await.unwrap();
        assert_eq!(read_exactly(&mut client, 4).await, [0x20, 2, 0, 0]);
        half_sent.push(client);
    }
    let large = publish(4, "pos/paris-1/large/orders", &vec![0; 2_000_000]);
    for client in &mut half_sent {
        client.write_all(&large[..50_000]).await.unwrap();
    }
    timeout(SOON, async {
        while broker.door.limits.arriving.available_permits() == free {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut till = client_of(3, broker.address).await;
    till.write_all(&connect(4, "till", None)).await.unwrap();
    assert_eq!(read_exactly(&mut till, 4).await, [0x20, 2, 0, 0]);
    for _ in 0..20 {
        let order = publish(4, "pos/paris-1/till-1/orders", &[b' '; 40_000]);
        till.write_all(&order).await.unwrap();
        assert_eq!(read_exactly(&mut till, 4).await, [0x40, 2, 0, 9]);
    }
    let held = free - broker.door.limits.arriving.available_permits();
    assert!(held <= free / 8, "{held} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_sent_publish_that_makes_no_progress_ends_its_connection() {
    let broker = start_with(Timeouts {
        piece: Duration::from_millis(200),
        ..Timeouts::default()
    })
    .await;
    let large = publish(5, "pos/paris-1/large/orders", &vec![0; 2_000_000]);
    let bytes = [connect(5, "large", None), large[..300_000].to_vec()].concat();
    let answer = until_closed(broker.address, &bytes).await;
    assert!(answer.ends_with(&[0xE0, 1, 0x97]), "{answer:?}");
    still_serves(&broker, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nobody_uses_is_closed() {
    let broker = start_with(Timeouts {
        unused: Duration::from_millis(200),
        ..Timeouts::default()
    })
    .await;
    let mut used = client(broker.address).await;
    let bytes = [connect(4, "used", None), subscribe(4, "pos/paris-1/till-1/ack")].concat();
    used.write_all(&bytes).await.unwrap();
    assert_eq!(
        read_exactly(&mut used, 9).await,
        [0x20, 2, 0, 0, 0x90, 3, 0, 8, 1]
    );
    let answer = until_closed(broker.address, &connect(5, "unused", None)).await;
    assert!(answer.ends_with(&[0xE0, 1, 0x8D]), "{answer:?}");
    used.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read_exactly(&mut used, 2).await, [0xD0, 0], "still connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_closed_and_one_without_a_keep_alive_gets_one() {
    let broker = start().await;
    let mut connect_packet = connect(5, "silent", None);
    connect_packet[10..12].copy_from_slice(&[0, 1]);
    let answer = until_closed(
        broker.address,
        &[connect_packet.clone(), subscribe(5, "pos/paris-1/till-1/ack")].concat(),
    )
    .await;
    assert!(answer.ends_with(&[0xE0, 1, 0x8D]), "{answer:?}");
    connect_packet[10..12].fill(0);
    let mut client = client(broker.address).await;
    client.write_all(&connect_packet).await.unwrap();
    let connack = read_exactly(&mut client, 8).await;
    assert_eq!(connack[5..], [0x13, 0x04, 0xB0], "20 minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_takes_the_place_of_a_client_whose_address_has_the_most() {
    let broker = start().await;
    let places = &broker.door.limits.places;
    let taken = |host, count| -> Vec<_> {
        let source = Source::of(IpAddr::from([127, 0, 0, host]));
        (0..count).map(|_| places.take(source).unwrap()).collect()
    };
    let _others: Vec<_> = (10..19).map(|host| taken(host, 100)).collect();
    let _own = taken(2, MAX_CONNECTIONS - 901);
    let mut greedy = client_of(2, broker.address).await;
    greedy.write_all(&connect(5, "greedy", None)).await.unwrap();
    assert_eq!(read_exactly(&mut greedy, 4).await[3], 0, "connected");
    let mut till = client_of(3, broker.address).await;
    till.write_all(&connect(4, "till", None)).await.unwrap();
    assert_eq!(read_exactly(&mut till, 4).await, [0x20, 2, 0, 0]);
    let answer = rest(greedy).await;
    assert!(answer.ends_with(&[0xE0, 1, 0x97]), "{answer:?}");
}
