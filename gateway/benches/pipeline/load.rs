//! The load: terminals of one shop, the same for whoever takes it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sales::{self, Frame};
use crate::terminal::{self, Connection, Pace, Sent};

struct Terminal {
    device: String,
    connection: Connection,
    frames: Vec<Frame>,
}

/// Connected terminals with their events ready.
pub struct Load {
    epoch: u32,
    terminals: Vec<Terminal>,
}

/// A load that runs.
pub struct Running {
    pub begun: Instant,
    stop: CancellationToken,
    terminals: JoinSet<Result<Sent>>,
}

impl Load {
    /// So many events, shared out among the terminals `{name}-1`, `{name}-2` ….
    pub async fn prepare(port: u16, name: &str, terminals: u32, events: u32) -> Result<Self> {
        let epoch = sales::new_epoch();
        let mut prepared = Vec::new();
        for number in 1..=terminals {
            let device = format!("{name}-{number}");
            let more = u32::from(number <= events % terminals);
            let frames = sales::frames(&device, epoch, 2, events / terminals + more)?;
            let mut connection = Connection::open(port, &format!("load-{device}")).await?;
            connection.subscribe(&sales::topic(&device, "ack")).await?;
            prepared.push(Terminal {
                device,
                connection,
                frames,
            });
        }
        Ok(Self {
            epoch,
            terminals: prepared,
        })
    }

    /// As fast as the PUBACKs allow.
    pub fn full(self) -> Running {
        self.start(|_| Pace::Full, false)
    }

    /// At `rate` events per second over all terminals, evenly; until all are acked end to end.
    pub fn paced(self, rate: f64) -> Running {
        let terminals = self.terminals.len() as f64;
        let period = Duration::from_secs_f64(terminals / rate);
        let pace = move |number: usize| Pace::Every {
            period,
            offset: period.mul_f64(number as f64 / terminals),
        };
        self.start(pace, true)
    }

    fn start(self, pace: impl Fn(usize) -> Pace, acked: bool) -> Running {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        let mut terminals = JoinSet::new();
        for (number, terminal) in self.terminals.into_iter().enumerate() {
            let Terminal {
                device,
                connection,
                frames,
            } = terminal;
            let pace = pace(number);
            terminals.spawn(terminal::publish(
                connection,
                device,
                self.epoch,
                frames,
                pace,
                acked,
                stop.clone(),
            ));
        }
        Running {
            begun,
            stop,
            terminals,
        }
    }
}

impl Running {
    /// Publishes no more, and waits until what was published has arrived.
    pub async fn stop(self) -> Result<Vec<Sent>> {
        self.stop.cancel();
        self.finish().await
    }

    /// Waits until all is out.
    pub async fn finish(mut self) -> Result<Vec<Sent>> {
        let mut all = Vec::new();
        while let Some(sent) = self.terminals.join_next().await {
            all.push(sent.context("a terminal's task")??);
        }
        Ok(all)
    }
}

/// Publish to end-to-end ack of all terminals, in milliseconds.
pub fn ack_ms(sent: &[Sent]) -> Vec<f64> {
    sent.iter().flat_map(|sent| sent.ack_ms.iter().copied()).collect()
}
