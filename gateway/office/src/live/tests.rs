//! What a client may have, also with callers that the binary does not have yet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use comptoir_core::event::{EventName, Kind};
use comptoir_identity::Role;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::item::{LiveItem, PersonalData};
use super::{Auth, Live, Rejection, Subscription, admit};
use crate::access::{Caller, VisibleShops};
use crate::metrics::Metrics;
use crate::record::{EventRecord, Place};

const DEADLINE: Duration = Duration::from_secs(20);

/// Serves live connections to a viewer of these shops. Returns the port's address.
async fn serve(live: &Arc<Live>, stores: &[&str]) -> String {
    let caller = caller(Role::Viewer, Some(stores));
    let identify = middleware::from_fn(move |mut request: Request, next: Next| {
        request.extensions_mut().insert(caller.clone());
        next.run(request)
    });
    let router = Router::new()
        .fallback(|| async { "" })
        .layer(live.layer())
        .layer(identify);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address.to_string()
}

fn order(store: &str) -> EventRecord {
    EventRecord {
        place: Place {
            topic: "orders".to_owned(),
            partition: 0,
            offset: 41,
            appended: "2026-11-30T10:00:01Z".parse().unwrap(),
        },
        name: EventName::parse(&format!("{store}/till-1/7/42")).unwrap(),
        kind: Kind::Order,
        id: "o-1".to_owned(),
        order_id: "o-1".to_owned(),
        status: "Pending".to_owned(),
        amount: None,
        time: "2026-11-30T10:00:00Z".parse().unwrap(),
        value: r#"{"order_id":"o-1","customer_email":"a@b.example"}"#.to_owned(),
    }
}

/// The texts that a client gets until it is rejected or has the event of paris-1.
async fn texts(address: &str, auth: &Value, live: &Live) -> Vec<String> {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Message::text(format!("40{auth}"))).await.unwrap();
    let mut texts = Vec::new();
    loop {
        let message = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
        let text = message.unwrap().unwrap().to_text().unwrap().to_owned();
        texts.push(text.clone());
        if text.contains("\"reload\"") {
            let events = ["lyon-2", "paris-1"].map(order);
            let items: Vec<LiveItem<'_>> = events.iter().map(LiveItem::new).collect();
            live.audience.publish([(Kind::Order, &events[1].place)], &items);
        }
        if text.starts_with("44") || text.contains("paris-1") {
            return texts;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_nothing_of_a_shop_that_it_may_not_see() {
    let live = Live::new(100, Arc::new(Metrics::new().unwrap()));
    live.audience.reload(false);
    let address = serve(&live, &["paris-1"]).await;
    for auth in [json!({}), json!({"store": "paris-1"})] {
        let texts = texts(&address, &auth, &live).await;
        assert!(!texts.iter().any(|text| text.contains("lyon-2")), "{texts:?}");
        let event = texts.last().unwrap();
        assert!(event.starts_with("42[\"new_order\""), "{event}");
        // A viewer.
        assert!(event.contains(r#""customer_email":null"#), "{event}");
    }
    let texts = texts(&address, &json!({"store": "lyon-2"}), &live).await;
    let rejection = texts.last().unwrap();
    assert!(
        rejection.starts_with("44") && rejection.contains("unknown-shop"),
        "{texts:?}"
    );
    assert!(!texts.iter().any(|text| text.contains("reload")), "{texts:?}");
}

fn caller(role: Role, stores: Option<&[&str]>) -> Caller {
    let shops = stores.map_or(VisibleShops::All, |stores| {
        VisibleShops::Some(Arc::new(stores.iter().map(|&store| store.to_owned()).collect()))
    });
    Caller {
        name: Arc::from("ada"),
        credential: None,
        role,
        shops,
    }
}

fn wants(store: Option<&str>) -> Option<Auth> {
    Some(Auth {
        store: store.map(str::to_owned),
    })
}

#[test]
fn a_client_gets_only_shops_that_it_may_see() {
    let some = caller(Role::Viewer, Some(&["lyon-2", "paris-1"]));
    let of = |caller: &Caller, auth| admit(caller, auth).map(|(subscription, _)| subscription);
    let shops = |stores: &[&str]| {
        let stores = stores.iter().map(|&store| store.to_owned());
        Ok(Subscription::Shops(stores.collect::<BTreeSet<_>>()))
    };
    assert_eq!(of(&some, wants(Some("paris-1"))), shops(&["paris-1"]));
    assert_eq!(of(&some, wants(None)), shops(&["lyon-2", "paris-1"]));
    assert_eq!(of(&some, wants(Some("nice-3"))), Err(Rejection::UnknownShop));
    assert_eq!(of(&some, None), Err(Rejection::UnknownShop));
    let all = caller(Role::Administrator, None);
    assert_eq!(of(&all, wants(None)), Ok(Subscription::AllShops));
    assert_eq!(of(&all, wants(Some("nice-3"))), shops(&["nice-3"]));
    assert_eq!(of(&all, wants(Some("Nice"))), Err(Rejection::UnknownShop));
}

#[test]
fn only_managers_and_administrators_see_personal_data() {
    for (role, view) in [
        (Role::Viewer, PersonalData::Hidden),
        (Role::Cashier, PersonalData::Hidden),
        (Role::Manager, PersonalData::Shown),
        (Role::Administrator, PersonalData::Shown),
    ] {
        let (_, seen) = admit(&caller(role, None), wants(None)).unwrap();
        assert_eq!(seen, view, "{role:?}");
    }
}
