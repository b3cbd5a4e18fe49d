//! Tests of live connections over a real socket.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::http::StatusCode;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{LiveConnections, LiveFeed, PersonalData};
use crate::http::connections::ConnectionLimits;
use crate::http::testing::client::{post, send};
use crate::http::testing::gateway::TestGateway;
use crate::http::{router, serve};

const SOON: Duration = Duration::from_secs(20);

/// Serves a gateway to clients with this view. Returns the Socket.IO address.
async fn listen(gateway: &TestGateway, view: PersonalData) -> (String, DropGuard) {
    let stop = CancellationToken::new();
    let feed = LiveFeed {
        app: Arc::clone(&gateway.app),
    };
    tokio::spawn(feed.run(stop.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, io) = router(&gateway.app);
    let router = router.layer(Extension(view));
    let connections = Arc::clone(&gateway.app.connections);
    tokio::spawn(serve(listener, None, (router, io), connections, stop.clone()));
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    (url, stop.drop_guard())
}

async fn order(gateway: &TestGateway, id: &str) {
    let order = json!({"order_id": id, "customer_name": "Anna", "customer_email": "anna@b.example", "address": "Rue 1"});
    let answer = send(gateway.router(), post("/api/orders", order.to_string())).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// The data of the next message with this name.
async fn next_event<S>(socket: &mut S, name: &str) -> Value
where
    S: futures::Stream<Item = Result<Message, Error>> + futures::Sink<Message, Error = Error> + Unpin,
{
    let reading = async {
        loop {
            let message = socket.next().await.unwrap().unwrap().into_text().unwrap();
            if &*message == "2" {
                socket.send("3".into()).await.unwrap();
            } else if let Some(event) = message.strip_prefix("42") {
                let [event, data]: [Value; 2] = serde_json::from_str(event).unwrap();
                if event == name {
                    return data;
                }
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_access_to_personal_data_gets_none_in_any_message() {
    for (view, email, address) in [
        (PersonalData::Shown, json!("anna@b.example"), json!("Rue 1")),
        (PersonalData::Hidden, Value::Null, Value::Null),
    ] {
        for is_batched in [false, true] {
            let gateway = TestGateway::start().await;
            let (url, _stop) = listen(&gateway, view).await;
            order(&gateway, "o-1").await;
            let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
            let auth = json!({"batch": is_batched});
            socket.send(format!("40{auth}").into()).await.unwrap();
            let state = next_event(&mut socket, "initial_data").await;
            let check = |order: &Value, id: &str| {
                assert_eq!(order["order_id"], id, "{order}");
                assert_eq!(order["customer_name"], "Anna");
                assert_eq!(
                    (&order["customer_email"], &order["address"]),
                    (&email, &address),
                    "{order}"
                );
            };
            check(&state["orders"][0], "o-1");
            order(&gateway, "o-2").await;
            let live = match is_batched {
                false => next_event(&mut socket, "new_order").await,
                true => loop {
                    let batch = next_event(&mut socket, "batch").await;
                    if let Some(order) = batch["orders"].get(0) {
                        break order.clone();
                    }
                },
            };
            check(&live, "o-2");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_connect_at_the_same_time_share_one_snapshot() {
    let gateway = TestGateway::start().await;
    order(&gateway, "o-1").await;
    let app = &gateway.app;
    let snapshots = &app.live.snapshots;
    let (first, second) = tokio::join!(
        snapshots.get(app, PersonalData::Shown),
        snapshots.get(app, PersonalData::Shown),
    );
    let first = first.unwrap();
    assert!(Arc::ptr_eq(&first.json, &second.unwrap().json));
    let hidden = snapshots.get(app, PersonalData::Hidden).await.unwrap();
    assert!(first.json.get().contains("anna@b.example") && !hidden.json.get().contains("anna@b.example"));
    // The changes since then are in the next one.
    order(&gateway, "o-2").await;
    let later = snapshots.get(app, PersonalData::Shown).await.unwrap();
    assert!(later.json.get().contains("\"o-2\""), "{}", later.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_beyond_the_limit_are_refused_whether_they_join_or_not() {
    let limits = ConnectionLimits {
        total: 16,
        ..ConnectionLimits::new(1_024)
    };
    let gateway = TestGateway::with_state(|app| app.live = LiveConnections::new(limits)).await;
    let (url, _stop) = listen(&gateway, PersonalData::Shown).await;
    // Two of four live connections may be without credentials. These do not join the namespace.
    let (first, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let _second = tokio_tungstenite::connect_async(&url).await.unwrap();
    let third = tokio_tungstenite::connect_async(&url).await;
    let Err(Error::Http(refused)) = third else {
        panic!("{third:?}");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(first);
    let again = async { while tokio_tungstenite::connect_async(&url).await.is_err() {} };
    tokio::time::timeout(SOON, again).await.unwrap();
}
