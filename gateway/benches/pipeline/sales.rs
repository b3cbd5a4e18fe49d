//! The events of the load: those that `pos-sim` would invent, prepared before the measurement.

use anyhow::{Context, Result, anyhow};
use bytes::{Bytes, BytesMut};
use comptoir_gateway::config::Config;
use comptoir_gateway::ingest::decode::Decoder;
use comptoir_journal::{Numbering, Submission};
use comptoir_sim::cashier::{Cashier, generator};
use comptoir_wire::topic::{Kind, Name};
use comptoir_wire::{Header, MAX_FRAME};
use jiff::Timestamp;

/// The store of all events.
pub const STORE: &str = "paris-1";

/// One event as a till publishes it.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: Kind,
    pub bytes: Bytes,
}

/// `pos/{store}/{device}/{leaf}`.
pub fn topic(device: &str, leaf: &str) -> String {
    format!("pos/{STORE}/{device}/{leaf}")
}

/// The first `count` events of a till, encoded with postcard, with sequence numbers 1, 2, 3 … Equal seeds give equal events
/// apart from the epoch.
pub fn frames(device: &str, epoch: u32, seed: u64, count: u32) -> Result<Vec<Frame>> {
    let name = |text| Name::new(text).map_err(|error| anyhow!("{text}: {error}"));
    let (store, device) = (name(STORE)?, name(device)?);
    let mut cashier = Cashier::new(store, device, epoch, generator(seed, store, device, 0));
    let time_ms = u64::try_from(Timestamp::now().as_millisecond())?;
    let mut buffer = vec![0; MAX_FRAME];
    let mut all = BytesMut::new();
    let mut ends = Vec::new();
    for seq in 1..=count {
        let header = Header {
            epoch,
            seq,
            oldest: 1,
            time_ms,
        };
        let encoded = cashier.store_next(seq, time_ms, |event| -> Result<()> {
            let bytes = comptoir_wire::encode(&header, event, &mut buffer)
                .map_err(|error| anyhow!("encode an event: {error}"))?;
            all.extend_from_slice(bytes);
            ends.push((event.kind(), all.len()));
            Ok(())
        });
        encoded.context("the cashier has no more events")??;
    }
    let all = all.freeze();
    let mut begin = 0;
    let frames = ends.into_iter().map(|(kind, end)| {
        let bytes = all.slice(begin..end);
        begin = end;
        Frame { kind, bytes }
    });
    Ok(frames.collect())
}

/// Events as the gateway decodes them, as JSON. The pool is used in a cycle, and is large enough that neither compression
/// nor a cache profits from repetition.
pub struct Pool {
    events: Vec<Submission>,
    epoch: u32,
}

const POOL_DEVICES: u32 = 20;
const POOL_EVENTS: u32 = 1_000;

impl Pool {
    pub fn new() -> Result<Self> {
        let decoder = Decoder {
            store: STORE.to_owned(),
            currency: Config::default().currency,
        };
        let (epoch, now) = (new_epoch(), Timestamp::now());
        let mut of_devices = Vec::new();
        for device in 1..=POOL_DEVICES {
            let device = format!("till-{device}");
            let frames = frames(&device, epoch, 1, POOL_EVENTS)?;
            let submissions = frames.iter().map(|frame| {
                let topic = topic(&device, frame.kind.as_str());
                decoder.decode(topic.as_bytes(), &frame.bytes, now)
            });
            of_devices.push(submissions.collect::<Vec<_>>());
        }
        // Interleaved, as events of several tills arrive.
        let events = (0..POOL_EVENTS as usize)
            .flat_map(|at| of_devices.iter().map(move |events| events[at].clone()))
            .collect();
        Ok(Self { events, epoch })
    }

    /// Event number `at` of an endless sequence, with its sequence number. Each device counts on from cycle to cycle.
    pub fn event(&self, at: u32) -> (&Submission, u32) {
        let event = &self.events[at as usize % self.events.len()];
        (event, at / POOL_DEVICES + 1)
    }

    /// The same event with that sequence number, ready to be appended.
    pub fn submission(&self, at: u32) -> Submission {
        let (event, number) = self.event(at);
        let mut event = event.clone();
        if let Numbering::Till { seq, .. } = &mut event.numbering {
            *seq = number;
        }
        event
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }
}

/// A random epoch, as of a newly formatted flash, so that event ids differ from those of earlier runs.
pub fn new_epoch() -> u32 {
    rand::random_range(1..=u32::MAX)
}

/// Device and sequence number of a `ce_id`, `{store}/{device}/{epoch}/{seq}`.
pub fn parse_ce_id(ce_id: &str) -> Result<(&str, u32)> {
    let mut parts = ce_id.split('/').skip(1);
    let device = parts.next().context("a ce_id names a device")?;
    let seq = parts.nth(1).context("a ce_id has a seq")?.parse()?;
    Ok((device, seq))
}
