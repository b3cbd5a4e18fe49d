//! The recorded run: tills that send, the times of their acks, and the gateway under strace.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, Mosquitto, MqttMessage, MqttProbe, Scratch, within};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::disk::{Disk, Syncs};
use super::trace::{self, Step};
use super::{DB, FILES, SEED, WAL};

pub const STORE: &str = "paris-1";
pub const DEVICES: [&str; 3] = ["till-1", "till-2", "till-3"];
pub const EPOCH: u32 = 7;
/// The maximum number of unacked events of each device.
const WINDOW: u32 = 12;
/// The rounds of sending after a checkpoint, when SQLite starts the WAL from its beginning.
const ROUNDS_AFTER: u32 = 40;
const DEADLINE: Duration = Duration::from_secs(60);

/// Counts the events of a device up to a number. The payload of the newest, and of some of the others, must be what [`order`]
/// sent. Comparing all payloads would take too long for hundreds of cuts.
pub const INTACT: &str = "
    SELECT count(DISTINCT e.seq) FROM entry e JOIN device d ON d.id = e.device
    WHERE d.store = ?1 AND d.device = ?2 AND e.epoch = ?3 AND e.seq <= ?4 AND e.kind = 0
      AND CASE WHEN e.seq > ?4 - 64 OR e.seq % 32 = 0
          THEN length(e.payload)
               - length(replace(e.payload, replace(hex(zeroblob(32)), '00', printf('%08x', e.seq)), ''))
               = 256 * (1 + e.seq * 7 % 12)
          ELSE true END";

/// An order of 1 to 12 lines, each with a text of 256 characters that is unique to `seq`.
fn order(seq: u32) -> Value {
    let line = json!({"product": format!("{seq:08x}").repeat(32), "quantity": 1, "unit_price": 1});
    json!({
        "epoch": EPOCH, "seq": seq, "order_id": format!("o-{seq}"), "product": "test", "amount": 1,
        "lines": vec![line; 1 + (seq as usize * 7) % 12],
    })
}

/// A recorded run of the gateway.
pub struct Recording {
    pub steps: Vec<Step>,
    /// The acks in the order of their arrival.
    pub acks: Vec<Ack>,
}

/// At `at` (Unix µs) a device received the ack of all its events up to `seq`.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    pub at: u64,
    device: usize,
    seq: u32,
}

/// The highest number of each device that was acked before `at`.
pub fn acked_before(acks: &[Ack], at: u64) -> [u32; DEVICES.len()] {
    let mut acked = [0; DEVICES.len()];
    for ack in acks.iter().take_while(|ack| ack.at < at) {
        acked[ack.device] = acked[ack.device].max(ack.seq);
    }
    acked
}

/// Runs a gateway from an empty disk, over a checkpoint, to an orderly shutdown.
pub async fn record() -> Result<Recording> {
    let mosquitto = Mosquitto::start().await?;
    let scratch = Scratch::new("traced")?;
    let output = scratch.join("trace");
    let mut watched = FILES.map(|name| scratch.join(name)).to_vec();
    // A sync of the folder makes file names durable.
    watched.push(scratch.path().to_owned());
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.journal_path = Some(scratch.join(DB));
    config.wrapper = trace::strace(&output, watched.iter().map(AsRef::as_ref));
    let mut gateway = Gateway::spawn(env!("CARGO_BIN_EXE_gateway"), config)?;
    gateway
        .wait_ready()
        .await
        .context("start the gateway under strace")?;

    let acks = send(&mosquitto.url(), &scratch.join(WAL)).await?;
    let pid = gateway.pid()?;
    gateway.terminate().await?;
    within("strace to have written everything", DEADLINE, async || {
        ensure!(trace::is_complete(&output, pid)?, "the trace does not end yet");
        Ok(())
    })
    .await?;
    let steps = trace::read(&output)?;
    check_replay(&steps, scratch.path())?;
    Ok(Recording { steps, acks })
}

/// Fails unless the steps produce the real files byte for byte, which shows that the trace is complete.
fn check_replay(steps: &[Step], folder: &Path) -> Result<()> {
    let mut disk = Disk::new(Syncs::All);
    steps.iter().for_each(|step| disk.apply(step));
    let replayed = disk.live();
    for name in FILES {
        let real = std::fs::read(folder.join(name)).ok();
        ensure!(
            replayed.get(name) == real.as_ref(),
            "the replay of {name} differs from the file"
        );
    }
    Ok(())
}

/// Sends until some rounds after a checkpoint, and waits until everything is acked.
async fn send(url: &str, wal: &Path) -> Result<Vec<Ack>> {
    let (acks, mut acked) = listen(url).await?;
    let mut tills = MqttProbe::connect(url).await?;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut sent = [0; DEVICES.len()];
    let mut first = checkpoints(wal)?;
    let end = tokio::time::Instant::now() + DEADLINE;
    let mut after = 0;
    while after < ROUNDS_AFTER {
        ensure!(
            tokio::time::Instant::now() < end,
            "no checkpoint within {DEADLINE:?}"
        );
        let begun = checkpoints(wal)?;
        first = first.or(begun);
        after += u32::from(begun > first);
        let mut messages = Vec::new();
        for (device, sent) in DEVICES.iter().zip(&mut sent) {
            for _ in 0..random.random_range(0..=3) {
                *sent += 1;
                let payload = order(*sent).to_string().into();
                messages.push((format!("pos/{STORE}/{device}/orders"), payload, false));
            }
        }
        tills.publish_all(messages).await?;
        let reached = |acked: &[u32; DEVICES.len()]| {
            let mut devices = acked.iter().zip(&sent);
            devices.all(|(acked, sent)| acked + WINDOW >= *sent)
        };
        tokio::time::timeout(DEADLINE, acked.wait_for(reached))
            .await
            .context("no more acks")??;
    }
    let all = tokio::time::timeout(DEADLINE, acked.wait_for(|acked| *acked == sent));
    all.await.context("not everything was acked")??;
    let acks = acks.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(acks.clone())
}

type Acks = Arc<Mutex<Vec<Ack>>>;

/// Records every ack with the time of its arrival, and publishes the highest acked number of each device.
async fn listen(url: &str) -> Result<(Acks, watch::Receiver<[u32; DEVICES.len()]>)> {
    let mut probe = MqttProbe::connect(url).await?;
    probe.subscribe(&format!("pos/{STORE}/+/ack")).await?;
    let acks = Acks::default();
    let (progress, acked) = watch::channel([0; DEVICES.len()]);
    let written = acks.clone();
    tokio::spawn(async move {
        // The task ends with the test, or when no ack arrives within the deadline.
        while let Ok(message) = probe.next(DEADLINE).await {
            let Some(ack) = ack(&message) else { break };
            written.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
            progress.send_modify(|acked| acked[ack.device] = acked[ack.device].max(ack.seq));
        }
    });
    Ok((acks, acked))
}

fn ack(message: &MqttMessage) -> Option<Ack> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let device = message.topic.split('/').nth(2)?;
    let text: Value = serde_json::from_slice(&message.payload).ok()?;
    Some(Ack {
        at: u64::try_from(at.as_micros()).ok()?,
        device: DEVICES.iter().position(|name| *name == device)?,
        seq: u32::try_from(text["seq"].as_u64()?).ok()?,
    })
}

/// The checkpoint sequence number in the WAL's header, which counts how often SQLite restarted the WAL. `None` while the WAL
/// is empty, as after a start.
fn checkpoints(wal: &Path) -> Result<Option<u32>> {
    let file = File::open(wal)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let mut number = [0; 4];
    file.read_exact_at(&mut number, 12)?;
    Ok(Some(u32::from_be_bytes(number)))
}
