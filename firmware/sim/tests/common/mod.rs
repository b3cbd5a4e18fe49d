//! A real Mosquitto on a free port, and a small stand-in for the gateway that acks end to end.

#![allow(dead_code, reason = "not every test crate needs all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comptoir_sim::{Broker, Plan, Progress, SimError, Summary};
use comptoir_wire::topic::{Leaf, Topic};
use comptoir_wire::{Ack, decode};
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A Mosquitto without persistence: what it held is lost with it.
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

/// How the stand-in misbehaves.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Every n-th event is not seen; 0: none.
    pub overlook_each: u64,
    /// Nothing is acked above so many events of a terminal.
    pub ack_at_most: Option<u32>,
}

/// Takes the events of each terminal strictly in order of seq, as the gateway does, and acks them.
pub struct Acker {
    taken: Arc<Mutex<Taken>>,
    _tasks: JoinSet<()>,
}

/// One event as it arrived: where, and its bytes.
pub type Arrived = (String, Vec<u8>);

#[derive(Default)]
struct Taken {
    seen: u64,
    /// `{store}/{device}` and epoch: the events from seq 1 on.
    events: HashMap<(String, u32), Vec<Arrived>>,
    json: HashMap<String, bool>,
    dirty: Vec<(String, u32)>,
    statuses: HashMap<String, String>,
    keep: bool,
    listens: bool,
    counts: HashMap<(String, u32), u32>,
}

impl Acker {
    /// `keep`: remembers the events, not only how many.
    pub fn start(broker: &Broker, faults: Faults, keep: bool) -> Self {
        let mut options = MqttOptions::new("acker", broker.host(), broker.port());
        options
            .set_clean_start(true)
            .set_receive_maximum(Some(1000))
            .set_max_packet_size(Some(1 << 16));
        options.set_outgoing_inflight_upper_limit(1000);
        let (client, mut events) = AsyncClient::new(options, 1000);
        // Small packets are not to wait for the acknowledgement of those before them: that takes 40 ms.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.options.set_network_options(network);
        let taken = Arc::new(Mutex::new(Taken {
            keep,
            ..Taken::default()
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(hear(client.clone(), events, Arc::clone(&taken), faults));
        tasks.spawn(ack(client, Arc::clone(&taken), faults));
        Self { taken, _tasks: tasks }
    }

    /// Waits until it is subscribed: what is published before is sent again seconds later.
    pub async fn listens(&self) {
        until("the stand-in to be subscribed", || {
            self.taken.lock().unwrap().listens
        })
        .await;
    }

    /// How many events of each terminal and epoch were taken.
    pub fn counts(&self) -> HashMap<(String, u32), u32> {
        self.taken.lock().unwrap().counts.clone()
    }

    pub fn total(&self) -> u64 {
        self.counts().values().map(|&count| u64::from(count)).sum()
    }

    /// The events of a terminal, if they were kept.
    pub fn events(&self, terminal: &str) -> Vec<Arrived> {
        let taken = self.taken.lock().unwrap();
        taken
            .events
            .iter()
            .filter(|((name, _), _)| name == terminal)
            .flat_map(|(_, events)| events.clone())
            .collect()
    }

    pub fn status(&self, terminal: &str) -> Option<String> {
        self.taken.lock().unwrap().statuses.get(terminal).cloned()
    }
}

async fn hear(client: AsyncClient, mut events: EventLoop, taken: Arc<Mutex<Taken>>, faults: Faults) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe("pos/+/+/+", QoS::AtLeastOnce).unwrap();
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => taken.lock().unwrap().listens = true,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = std::str::from_utf8(&publish.topic).unwrap();
                let topic = Topic::parse(topic).unwrap();
                taken.lock().unwrap().take(topic, &publish.payload, faults);
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Taken {
    fn take(&mut self, topic: Topic<'_>, payload: &[u8], faults: Faults) {
        let terminal = format!("{}/{}", topic.store, topic.device);
        let kind = match topic.leaf {
            Leaf::Event(kind) => kind,
            Leaf::Status => {
                self.statuses
                    .insert(terminal, String::from_utf8(payload.to_vec()).unwrap());
                return;
            }
            _ => return,
        };
        self.seen += 1;
        if faults.overlook_each > 0 && self.seen.is_multiple_of(faults.overlook_each) {
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
        self.json.insert(terminal.clone(), is_json);
        let name = (terminal, epoch);
        let count = self.counts.entry(name.clone()).or_default();
        assert!(
            oldest <= *count + 1,
            "{}: forgot {oldest} of which only {count} are taken",
            name.0
        );
        if seq == *count + 1 {
            *count += 1;
            if self.keep {
                self.events
                    .entry(name.clone())
                    .or_default()
                    .push((kind.to_string(), payload.to_vec()));
            }
        }
        self.dirty.push(name);
    }
}

async fn ack(client: AsyncClient, taken: Arc<Mutex<Taken>>, faults: Faults) {
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let acks: Vec<(String, Vec<u8>)> = {
            let mut taken = taken.lock().unwrap();
            let mut dirty = std::mem::take(&mut taken.dirty);
            dirty.sort_unstable();
            dirty.dedup();
            dirty
                .into_iter()
                .map(|name| {
                    let seq = taken.counts[&name].min(faults.ack_at_most.unwrap_or(u32::MAX));
                    let ack = if taken.json[&name.0] {
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

/// Runs a plan to its end, which has to come within a minute.
pub async fn run(plan: Plan) -> Result<Summary, SimError> {
    run_within(MINUTE, plan, CancellationToken::new()).await
}

pub async fn run_until(plan: Plan, stop: CancellationToken) -> Result<Summary, SimError> {
    run_within(MINUTE, plan, stop).await
}

pub async fn run_within(limit: Duration, plan: Plan, stop: CancellationToken) -> Result<Summary, SimError> {
    let (progress, _watched) = watch::channel(Progress::default());
    let run = comptoir_sim::run(plan, stop, progress);
    tokio::time::timeout(limit, run).await.expect("an end in time")
}

/// Waits until it is so, for half a minute at most.
pub async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}
