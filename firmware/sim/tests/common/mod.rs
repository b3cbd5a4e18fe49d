//! A real Mosquitto on a free port, and a minimal gateway that acks end to end.

#![allow(dead_code, reason = "each test crate uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comptoir_sim::{Broker, End, Plan, Progress, SimError, Summary};
use comptoir_wire::topic::{Leaf, Topic};
use comptoir_wire::{Ack, decode};
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A Mosquitto without persistence: its sessions and retained messages are lost when it stops.
pub struct Mosquitto {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Mosquitto {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        );
        std::fs::write(directory.path().join("mosquitto.conf"), config).unwrap();
        Self {
            child: Self::spawn(&directory),
            port,
            directory,
        }
    }

    fn spawn(directory: &tempfile::TempDir) -> Child {
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(directory.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is in PATH or /usr/sbin")
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.child = Self::spawn(&self.directory);
    }

    pub fn broker(&self) -> Broker {
        Broker::new("127.0.0.1", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the stand-in gateway misbehaves.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Ignores every n-th event; 0: none.
    pub drop_each: u64,
    /// Acks at most this number of a till.
    pub ack_at_most: Option<u32>,
}

/// A stand-in for the gateway: accepts each till's events strictly in order of `seq`, and acks them.
pub struct Acker {
    journal: Arc<Mutex<Journal>>,
    _tasks: JoinSet<()>,
}

/// A received event: the last level of its topic, and its payload.
pub type ReceivedEvent = (String, Vec<u8>);

/// A till, `{store}/{device}`, and an epoch.
pub type TillEpoch = (String, u32);

#[derive(Default)]
struct Journal {
    /// Number of events received, in order or not.
    received: u64,
    /// The accepted events, from seq 1 on.
    events: HashMap<TillEpoch, Vec<ReceivedEvent>>,
    json: HashMap<String, bool>,
    /// The tills and epochs that are due an ack.
    dirty: Vec<TillEpoch>,
    has_dirty: Arc<Notify>,
    statuses: HashMap<String, String>,
    keeps_events: bool,
    is_subscribed: bool,
    counts: HashMap<TillEpoch, u32>,
}

impl Acker {
    /// With `keep_events` the events themselves are remembered, not only their number.
    pub fn start(broker: &Broker, faults: Faults, keep_events: bool) -> Self {
        let mut options = MqttOptions::new("acker", broker.host(), broker.port());
        options
            .set_clean_start(true)
            .set_receive_maximum(Some(1000))
            .set_max_packet_size(Some(1 << 16));
        options.set_outgoing_inflight_upper_limit(1000);
        let (client, mut events) = AsyncClient::new(options, 1000);
        // With Nagle's algorithm a small packet waits up to 40 ms for the TCP ACK of the previous one.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.options.set_network_options(network);
        let journal = Arc::new(Mutex::new(Journal {
            keeps_events: keep_events,
            ..Journal::default()
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(client.clone(), events, Arc::clone(&journal), faults));
        tasks.spawn(ack(client, Arc::clone(&journal), faults));
        Self {
            journal,
            _tasks: tasks,
        }
    }

    /// Waits for the subscription: events published before it are resent only seconds later.
    pub async fn subscribed(&self) {
        until("the stand-in gateway to subscribe", || {
            self.journal.lock().unwrap().is_subscribed
        })
        .await;
    }

    /// Number of accepted events of each till and epoch.
    pub fn counts(&self) -> HashMap<TillEpoch, u32> {
        self.journal.lock().unwrap().counts.clone()
    }

    pub fn total(&self) -> u64 {
        self.counts().values().map(|&count| u64::from(count)).sum()
    }

    /// The events of a till, if they are remembered.
    pub fn events(&self, till: &str) -> Vec<ReceivedEvent> {
        let journal = self.journal.lock().unwrap();
        journal
            .events
            .iter()
            .filter(|((name, _), _)| name == till)
            .flat_map(|(_, events)| events.clone())
            .collect()
    }

    pub fn status(&self, till: &str) -> Option<String> {
        self.journal.lock().unwrap().statuses.get(till).cloned()
    }
}

async fn receive(client: AsyncClient, mut events: EventLoop, journal: Arc<Mutex<Journal>>, faults: Faults) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe("pos/+/+/+", QoS::AtLeastOnce).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => journal.lock().unwrap().is_subscribed = true,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = std::str::from_utf8(&publish.topic).unwrap();
                let topic = Topic::parse(topic).unwrap();
                journal.lock().unwrap().accept(topic, &publish.payload, faults);
            }
            Ok(_) => {}
            // The pause between two attempts to connect; nothing waits for it.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Journal {
    fn accept(&mut self, topic: Topic<'_>, payload: &[u8], faults: Faults) {
        let till = format!("{}/{}", topic.store, topic.device);
        let kind = match topic.leaf {
            Leaf::Event(kind) => kind,
            Leaf::Status => {
                self.statuses
                    .insert(till, String::from_utf8(payload.to_vec()).unwrap());
                return;
            }
            _ => return,
        };
        self.received += 1;
        if faults.drop_each > 0 && self.received.is_multiple_of(faults.drop_each) {
            return;
        }
        let is_json = payload.first() == Some(&b'{');
        let (epoch, seq, oldest) = if is_json {
            let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
            let number = |field: &str| u32::try_from(event[field].as_u64().unwrap()).unwrap();
            (number("epoch"), number("seq"), number("oldest"))
        } else {
            let frame = decode(payload).unwrap();
            assert_eq!(frame.event.kind(), kind);
            (frame.header.epoch, frame.header.seq, frame.header.oldest)
        };
        self.json.insert(till.clone(), is_json);
        let name = (till, epoch);
        let count = self.counts.entry(name.clone()).or_default();
        assert!(
            oldest <= *count + 1,
            "{} forgot events below {oldest}, but only {count} are accepted",
            name.0
        );
        if seq == *count + 1 {
            *count += 1;
            if self.keeps_events {
                self.events
                    .entry(name.clone())
                    .or_default()
                    .push((kind.to_string(), payload.to_vec()));
            }
        }
        self.dirty.push(name);
        self.has_dirty.notify_one();
    }
}

async fn ack(client: AsyncClient, journal: Arc<Mutex<Journal>>, faults: Faults) {
    let has_dirty = Arc::clone(&journal.lock().unwrap().has_dirty);
    loop {
        has_dirty.notified().await;
        let acks: Vec<(String, Vec<u8>)> = {
            let mut journal = journal.lock().unwrap();
            let mut dirty = std::mem::take(&mut journal.dirty);
            dirty.sort_unstable();
            dirty.dedup();
            dirty
                .into_iter()
                .map(|name| {
                    let seq = journal.counts[&name].min(faults.ack_at_most.unwrap_or(u32::MAX));
                    let ack = if journal.json[&name.0] {
                        format!(r#"{{"epoch":{},"seq":{seq}}}"#, name.1).into_bytes()
                    } else {
                        Ack { epoch: name.1, seq }
                            .encode(&mut [0; Ack::MAX_BYTES])
                            .unwrap()
                            .to_vec()
                    };
                    (format!("pos/{}/ack", name.0), ack)
                })
                .collect()
        };
        for (topic, ack) in acks {
            client.publish(topic, QoS::AtLeastOnce, true, ack).await.unwrap();
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Runs a plan to its end, for at most a minute.
pub async fn run(plan: Plan) -> Result<Summary, SimError> {
    run_within(MINUTE, plan).await
}

pub async fn run_within(limit: Duration, plan: Plan) -> Result<Summary, SimError> {
    Run::start(plan).end_within(limit).await
}

/// A run in the background.
pub struct Run {
    task: JoinHandle<Result<Summary, SimError>>,
    progress: watch::Receiver<Progress>,
    stop: CancellationToken,
}

impl Run {
    pub fn start(plan: Plan) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(comptoir_sim::run(plan, stop.clone(), sender));
        Self { task, progress, stop }
    }

    /// Waits until the progress satisfies the condition, for at most half a minute.
    pub async fn until(&mut self, what: &str, condition: impl FnMut(&Progress) -> bool) -> Progress {
        let progress = self.progress.wait_for(condition);
        match tokio::time::timeout(HALF_MINUTE, progress).await {
            Ok(Ok(progress)) => progress.clone(),
            Ok(Err(_)) => panic!("the run ended before {what}"),
            Err(_) => panic!("waited in vain for {what}"),
        }
    }

    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops the selling.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end, for at most a minute.
    pub async fn end(self) -> Result<Summary, SimError> {
        self.end_within(MINUTE).await
    }

    async fn end_within(self, limit: Duration) -> Result<Summary, SimError> {
        let task = tokio::time::timeout(limit, self.task).await;
        task.expect("the run ends in time").unwrap()
    }
}

/// Waits until the condition holds, for at most half a minute.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(HALF_MINUTE, poll).await;
    assert!(done.is_ok(), "waited in vain for {what}");
}

/// A plan of this many events, always with the same seed.
pub fn plan(mosquitto: &Mosquitto, devices: u32, rate: f64, events: u64) -> Plan {
    let mut plan = Plan::new(mosquitto.broker(), "paris-1", devices, rate);
    plan.seed = 42;
    plan.end = End::Events(events);
    plan
}

/// Drops every so many-th publish.
pub fn dropping_each(count: u64) -> Faults {
    Faults {
        drop_each: count,
        ..Faults::default()
    }
}

/// Resends after 200 ms, so that a test with losses ends soon.
pub fn resend_quickly(plan: &mut Plan) {
    plan.link.resend = 200;
    plan.link.resend_max = 1_000;
}
