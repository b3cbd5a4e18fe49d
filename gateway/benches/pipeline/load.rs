//! The load: the tills of one shop. It is the same for every program under test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sales::{self, Frame};
use crate::till::{self, Connection, Pace, PublishLog};

/// A connected till with its prepared events.
struct Till {
    device: String,
    connection: Connection,
    frames: Vec<Frame>,
}

/// Connected tills with prepared events.
pub struct Load {
    epoch: u32,
    tills: Vec<Till>,
}

/// A load that is being published.
pub struct RunningLoad {
    pub begun: Instant,
    stop: CancellationToken,
    tills: JoinSet<Result<PublishLog>>,
}

impl Load {
    /// Connects the tills `{name}-1`, `{name}-2` … and divides `events` among them.
    pub async fn prepare(port: u16, name: &str, tills: u32, events: u32) -> Result<Self> {
        let epoch = sales::new_epoch();
        let mut prepared = Vec::new();
        for number in 1..=tills {
            let device = format!("{name}-{number}");
            let more = u32::from(number <= events % tills);
            let frames = sales::frames(&device, epoch, 2, events / tills + more)?;
            let mut connection = Connection::open(port, &format!("load-{device}")).await?;
            connection.subscribe(&sales::topic(&device, "ack")).await?;
            prepared.push(Till {
                device,
                connection,
                frames,
            });
        }
        Ok(Self {
            epoch,
            tills: prepared,
        })
    }

    /// Starts publishing as fast as the PUBACKs allow.
    pub fn full_speed(self) -> RunningLoad {
        self.start(|_| Pace::FullSpeed, false)
    }

    /// Starts publishing `rate` events per second, evenly over all tills. It finishes once all are acked end to end.
    pub fn paced(self, rate: f64) -> RunningLoad {
        let tills = self.tills.len() as f64;
        let period = Duration::from_secs_f64(tills / rate);
        let pace = move |number: usize| Pace::Every {
            period,
            offset: period.mul_f64(number as f64 / tills),
        };
        self.start(pace, true)
    }

    fn start(self, pace: impl Fn(usize) -> Pace, wait_for_acks: bool) -> RunningLoad {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        let mut tills = JoinSet::new();
        for (number, till) in self.tills.into_iter().enumerate() {
            let Till {
                device,
                connection,
                frames,
            } = till;
            let pace = pace(number);
            tills.spawn(till::publish(
                connection,
                device,
                self.epoch,
                frames,
                pace,
                wait_for_acks,
                stop.clone(),
            ));
        }
        RunningLoad { begun, stop, tills }
    }
}

impl RunningLoad {
    /// Stops publishing and waits until the published events have arrived.
    pub async fn stop(self) -> Result<Vec<PublishLog>> {
        self.stop.cancel();
        self.finish().await
    }

    /// Waits until all events are published.
    pub async fn finish(mut self) -> Result<Vec<PublishLog>> {
        let mut all = Vec::new();
        while let Some(sent) = self.tills.join_next().await {
            all.push(sent.context("a till's task")??);
        }
        Ok(all)
    }
}

/// Latency from the publish to the end-to-end ack, over all tills, in milliseconds.
pub fn ack_ms(sent: &[PublishLog]) -> Vec<f64> {
    sent.iter().flat_map(|sent| sent.ack_ms.iter().copied()).collect()
}
