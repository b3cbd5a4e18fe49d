use super::*;

const LIMITS: ConnectionLimits = ConnectionLimits {
    total: 4,
    per_sender: 3,
    head: Duration::ZERO,
    idle: Duration::from_secs(3_600),
    stall: Duration::from_secs(3_600),
    join: Duration::ZERO,
};

pub fn connections() -> Arc<Connections> {
    Connections::new(LIMITS, Arc::new(Metrics::new().unwrap()))
}

fn client(address: &str) -> ClientAddress {
    ClientAddress::new(address.parse().unwrap())
}

fn is_closed(slot: &Slot) -> bool {
    slot.connection().closing().is_cancelled()
}

#[test]
fn http_has_at_most_half_of_the_descriptors() {
    for (descriptors, total, per_sender) in [
        (1, 1, 1),
        (1_024, 512, 128),
        (8_192, 4_096, 256),
        (1 << 20, 4_096, 256),
    ] {
        let limits = ConnectionLimits::new(descriptors);
        assert_eq!(
            (limits.total, limits.per_sender),
            (total, per_sender),
            "{descriptors}"
        );
    }
}

#[test]
fn a_flood_from_one_address_displaces_its_own_oldest_connection() {
    let connections = connections();
    let other = connections.admit(client("192.168.1.1")).unwrap();
    let flood: Vec<_> = (0..3)
        .map(|_| connections.admit(client("10.0.0.1")).unwrap())
        .collect();
    let more = connections.admit(client("10.0.0.1")).unwrap();
    let closed: Vec<bool> = flood.iter().map(is_closed).collect();
    assert_eq!(closed, [true, false, false]);
    assert!(!is_closed(&other) && !is_closed(&more));
    assert_eq!(connections.count(), 4);
}

#[test]
fn if_all_places_are_taken_the_sender_with_the_most_waiting_connections_gives_one_up() {
    let connections = connections();
    let first = connections.admit(client("192.168.1.1")).unwrap();
    let flood: Vec<_> = (0..3)
        .map(|_| connections.admit(client("127.0.0.1")).unwrap())
        .collect();
    let newcomer = connections.admit(client("192.168.1.2")).unwrap();
    assert!(
        !is_closed(&first),
        "the oldest connection, but of a sender that has only this one"
    );
    let closed: Vec<bool> = flood.iter().map(is_closed).collect();
    assert_eq!(closed, [true, false, false]);
    assert!(!is_closed(&newcomer));
}

#[test]
fn a_connection_that_is_answered_or_live_is_not_closed() {
    let connections = connections();
    let slots: Vec<_> = (0..4)
        .map(|_| connections.admit(client("127.0.0.1")).unwrap())
        .collect();
    let requests: Vec<_> = slots
        .iter()
        .map(|slot| slot.connection().begin_request())
        .collect();
    requests[0].upgrade();
    assert!(
        connections.admit(client("192.168.1.2")).is_none(),
        "there is nothing to close"
    );
    drop(requests);
    assert!(connections.admit(client("192.168.1.2")).is_some());
    assert!(!is_closed(&slots[0]), "a WebSocket");
    assert!(is_closed(&slots[1]), "idle");
}

#[test]
fn half_a_head_expires_and_an_idle_connection_has_longer() {
    let connections = connections();
    let half = connections.admit(client("192.168.1.1")).unwrap();
    let idle = connections.admit(client("192.168.1.1")).unwrap();
    drop(idle.connection().begin_request());
    let answering = connections.admit(client("192.168.1.1")).unwrap();
    let _request = answering.connection().begin_request();
    connections.close_expired();
    assert!(is_closed(&half) && !is_closed(&idle) && !is_closed(&answering));
    assert_eq!(idle.connection().note_read(1), Ok(()));
    connections.close_expired();
    assert!(
        is_closed(&idle),
        "a byte of the next request has arrived, and no more in time"
    );
}

#[test]
fn a_websocket_whose_client_does_not_join_or_never_speaks_is_closed() {
    let connections = connections();
    let websocket = || {
        let slot = connections.admit(client("192.168.1.1")).unwrap();
        let request = slot.connection().begin_request();
        request.upgrade();
        slot
    };
    let (silent, stranger, page) = (websocket(), websocket(), websocket());
    // Its session has joined by polling, but the WebSocket never takes it over.
    silent.connection().note_joined();
    assert_eq!(stranger.connection().note_read(100), Ok(()));
    page.connection().note_joined();
    assert_eq!(page.connection().note_read(100), Ok(()));
    connections.close_expired();
    assert!(is_closed(&silent) && is_closed(&stranger) && !is_closed(&page));
}

#[test]
fn a_websocket_that_sends_more_than_a_page_does_fails() {
    let connections = connections();
    let slot = connections.admit(client("192.168.1.1")).unwrap();
    let connection = slot.connection();
    assert_eq!(connection.note_read(1 << 20), Ok(()), "the body of a request");
    connection.begin_request().upgrade();
    assert_eq!(connection.note_read(WEBSOCKET_BYTES as usize), Ok(()));
    assert_eq!(connection.note_read(100), Err(TooMuchInput));
}

#[tokio::test]
async fn nothing_is_accepted_while_closed_connections_keep_their_sockets() {
    let connections = connections();
    let slots: Vec<_> = (0..LIMITS.total + MAX_CLOSING)
        .map(|_| connections.admit(client("127.0.0.1")).unwrap())
        .collect();
    let short = Duration::from_millis(20);
    let waiting = tokio::time::timeout(short, connections.wait_for_descriptors()).await;
    assert!(waiting.is_err());
    drop(slots);
    connections.wait_for_descriptors().await;
    assert_eq!(connections.count(), 0);
}
