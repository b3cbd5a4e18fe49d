//! The clients of this replica, and what each of them wants.
//!
//! A client that does not keep up misses messages, and is told to reload as soon as it has room. So a slow client costs
//! [`super::MAX_WAITING`] messages and delays nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comptoir_core::event::Kind;
use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use socketioxide::{SendError, SocketError};

use super::item::{LiveItem, PersonalData};
use crate::access::Caller;
use crate::fold::kind_name;
use crate::metrics::Metrics;
use crate::record::Place;

/// How often a client that has missed messages is told to reload, at most.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
const RELOAD: &str = "reload";

/// The shops whose events a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    AllShops,
    Shops(BTreeSet<String>),
}

/// By kind and partition, the offset after the last record of the tail.
pub type SentPositions = BTreeMap<&'static str, BTreeMap<i32, i64>>;

/// The message `reload`: from now on the client gets every event; it must read the earlier ones again.
#[derive(Debug, Serialize)]
struct Reload<'a> {
    /// Whether offsets begin again, because a topic was recreated.
    restart: bool,
    sent: &'a SentPositions,
}

struct Client {
    socket: SocketRef,
    caller: Caller,
    subscription: Subscription,
    view: PersonalData,
    /// Set while the client must be told to reload: when that was last tried.
    behind: Option<Instant>,
}

#[derive(Default)]
struct State {
    clients: HashMap<Sid, Client>,
    all_shops: HashSet<Sid>,
    by_store: HashMap<String, HashSet<Sid>>,
    sent: SentPositions,
    /// Whether the tail is being read. Before, clients cannot know what they miss.
    is_following: bool,
}

/// The clients of this replica.
pub struct Audience {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

/// The outcome of handing a client its messages.
enum HandOutcome {
    All,
    Behind,
    Closed,
}

impl Audience {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another thread leaves at worst an index entry without its client.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client. Its first message is `reload`, once the tail is being read.
    pub fn join(&self, socket: SocketRef, caller: Caller, subscription: Subscription, view: PersonalData) {
        let id = socket.id;
        let mut state = self.lock();
        match &subscription {
            Subscription::AllShops => {
                state.all_shops.insert(id);
            }
            Subscription::Shops(stores) => {
                for store in stores {
                    state.by_store.entry(store.clone()).or_default().insert(id);
                }
            }
        }
        let client = Client {
            socket: socket.clone(),
            caller,
            subscription,
            view,
            behind: None,
        };
        state.clients.insert(id, client);
        if state.is_following {
            state.tell_to_reload(&[id], false);
        }
        // It may have left before its handler for that was set.
        if !socket.connected() {
            state.remove(id);
        }
        self.count(&state);
    }

    pub fn leave(&self, id: Sid) {
        let mut state = self.lock();
        state.remove(id);
        self.count(&state);
    }

    /// Whose connections are open, each session or token once.
    pub fn callers(&self) -> Vec<Caller> {
        let state = self.lock();
        let callers = state.clients.values().map(|client| &client.caller);
        let by_id: HashMap<Option<&str>, &Caller> =
            callers.map(|caller| (caller.credential_id(), caller)).collect();
        by_id.into_values().cloned().collect()
    }

    /// Closes the connections of these callers.
    pub fn disconnect(&self, must_leave: impl Fn(&Caller) -> bool) {
        let leaving: Vec<SocketRef> = {
            let state = self.lock();
            let clients = state.clients.values();
            let leaving = clients.filter(|client| must_leave(&client.caller));
            leaving.map(|client| client.socket.clone()).collect()
        };
        // Without the lock, which the handler of a disconnect takes.
        for socket in leaving {
            // Fails only if it has left already.
            let _ = socket.disconnect();
        }
    }

    pub fn clients(&self) -> usize {
        self.lock().clients.len()
    }

    /// Called when the tail is being read, or again after records were skipped (`restart`: a topic was recreated).
    pub fn reload(&self, restart: bool) {
        let mut state = self.lock();
        state.is_following = true;
        if restart {
            state.sent.clear();
        }
        let all: Vec<Sid> = state.clients.keys().copied().collect();
        state.tell_to_reload(&all, restart);
        self.count(&state);
    }

    /// Hands events to the clients that want them. `read`: the records since the last call, whether they are events
    /// or not.
    pub fn publish<'a>(&self, read: impl IntoIterator<Item = (Kind, &'a Place)>, items: &[LiveItem<'_>]) {
        let mut state = self.lock();
        for (kind, place) in read {
            let positions = state.sent.entry(kind_name(kind)).or_default();
            positions.insert(place.partition, place.offset + 1);
        }
        let mut of_store: BTreeMap<&str, Vec<&LiveItem<'_>>> = BTreeMap::new();
        for item in items {
            of_store.entry(item.store()).or_default().push(item);
        }
        let all: Vec<&LiveItem<'_>> = items.iter().collect();
        let mut wanted: Vec<(Sid, &[&LiveItem<'_>])> = Vec::new();
        wanted.extend(state.all_shops.iter().map(|id| (*id, &*all)));
        for (store, items) in &of_store {
            let ids = state.by_store.get(*store).into_iter().flatten();
            wanted.extend(ids.map(|id| (*id, &**items)));
        }
        let (mut messages, mut dropped) = (0, 0);
        for (id, items) in wanted {
            let Some(client) = state.clients.get_mut(&id) else {
                continue;
            };
            match client.hand(items) {
                HandOutcome::All => messages += items.len(),
                HandOutcome::Behind => dropped += items.len(),
                HandOutcome::Closed => state.remove(id),
            }
        }
        self.metrics.live_messages.inc_by(messages as u64);
        self.metrics.live_dropped.inc_by(dropped as u64);
        state.retry();
        self.count(&state);
    }

    /// Tells clients that have missed something to reload, if they have room by now.
    pub fn retry(&self) {
        let mut state = self.lock();
        state.retry();
        self.count(&state);
    }

    fn count(&self, state: &State) {
        let count = i64::try_from(state.clients.len()).unwrap_or(i64::MAX);
        self.metrics.live_connections.set(count);
    }
}

impl State {
    fn remove(&mut self, id: Sid) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        match client.subscription {
            Subscription::AllShops => {
                self.all_shops.remove(&id);
            }
            Subscription::Shops(stores) => {
                for store in stores {
                    if let Some(ids) = self.by_store.get_mut(&store) {
                        ids.remove(&id);
                        if ids.is_empty() {
                            self.by_store.remove(&store);
                        }
                    }
                }
            }
        }
    }

    fn tell_to_reload(&mut self, ids: &[Sid], restart: bool) {
        let reload = Reload {
            restart,
            sent: &self.sent,
        };
        let mut closed = Vec::new();
        for id in ids {
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            match client.socket.emit(RELOAD, &reload) {
                Ok(()) => client.behind = None,
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    client.behind = Some(Instant::now());
                }
                Err(_) => closed.push(*id),
            }
        }
        for id in closed {
            self.remove(id);
        }
    }

    fn retry(&mut self) {
        let is_due = |client: &Client| client.behind.is_some_and(|tried| tried.elapsed() >= RELOAD_EVERY);
        let clients = self.clients.iter();
        let due: Vec<Sid> = clients
            .filter(|(_, client)| is_due(client))
            .map(|(id, _)| *id)
            .collect();
        self.tell_to_reload(&due, false);
    }
}

impl Client {
    fn hand(&mut self, items: &[&LiveItem<'_>]) -> HandOutcome {
        if self.behind.is_some() {
            return HandOutcome::Behind;
        }
        for item in items {
            let Some(json) = item.json(self.view) else {
                // Too long to be sent.
                let now = Instant::now();
                self.behind = Some(now.checked_sub(RELOAD_EVERY).unwrap_or(now));
                return HandOutcome::Behind;
            };
            match self.socket.emit(item.name(), json) {
                Ok(()) => {}
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    self.behind = Some(Instant::now());
                    return HandOutcome::Behind;
                }
                Err(_) => return HandOutcome::Closed,
            }
        }
        HandOutcome::All
    }
}
