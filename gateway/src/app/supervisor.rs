//! Runs the gateway's parts as named tasks and threads, and notices when one ends by itself.
//!
//! Every part runs until the gateway stops. If one ends earlier, because it panicked or gave up, the gateway looks
//! alive but is not. [`Supervisor::wait_for_failure`] reports which part ended, so that the process can exit and be
//! restarted.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::platform::panics;

/// How long a request in progress may take to finish after the gateway begins to stop.
const INTAKE_GRACE: Duration = Duration::from_secs(2);
/// Poll interval of [`Supervisor::join_threads`]; a thread cannot be awaited.
const THREAD_POLL: Duration = Duration::from_millis(10);

/// The tasks and threads of a running gateway.
pub struct Supervisor {
    /// Stops the parts that accept new events: MQTT and HTTP.
    pub stop_intake: CancellationToken,
    intake: JoinSet<()>,
    /// Stops all other parts except the journal's writer.
    pub stop: CancellationToken,
    tasks: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    /// Ends by itself once the journal is closed.
    pub(super) writer: JoinSet<()>,
    /// The name of the first part that ended. Later ends are usually consequences, so the channel has room for one.
    ended: (mpsc::Sender<&'static str>, mpsc::Receiver<&'static str>),
}

/// Reports the end of its part when dropped, so a panic is reported too.
struct EndNotice {
    part: &'static str,
    ended: mpsc::Sender<&'static str>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // If the channel is full, another part ended first.
        let _ = self.ended.try_send(self.part);
    }
}

impl Supervisor {
    pub fn new() -> Self {
        Self {
            stop_intake: CancellationToken::new(),
            intake: JoinSet::new(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            threads: Vec::new(),
            writer: JoinSet::new(),
            ended: mpsc::channel(1),
        }
    }

    fn end_notice(&self, part: &'static str) -> EndNotice {
        EndNotice {
            part,
            ended: self.ended.0.clone(),
        }
    }

    /// Runs a part that accepts events. These parts stop first.
    pub fn spawn_intake(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let notice = self.end_notice(part);
        self.intake.spawn(run_with_notice(notice, run));
    }

    /// Runs a part that processes accepted events.
    pub fn spawn_task(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let notice = self.end_notice(part);
        self.tasks.spawn(run_with_notice(notice, run));
    }

    /// Runs the journal's writer, which stops last.
    pub fn spawn_writer(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let notice = self.end_notice(part);
        self.writer.spawn(run_with_notice(notice, run));
    }

    /// Runs a blocking part on its own thread.
    ///
    /// # Errors
    /// The operating system cannot start another thread.
    pub fn spawn_thread(
        &mut self,
        part: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let notice = self.end_notice(part);
        let thread = std::thread::Builder::new().name(part.to_owned());
        let thread = thread.spawn(move || {
            panics::mark_own_thread();
            let _notice = notice;
            run();
        });
        self.threads
            .push(thread.with_context(|| format!("start the thread \"{part}\""))?);
        Ok(())
    }

    /// Waits until a part ends without having been stopped, and returns its name.
    pub async fn wait_for_failure(&mut self) -> &'static str {
        match self.ended.1.recv().await {
            Some(part) => part,
            // Unreachable: this value holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Stops accepting events, lets the accepted ones be committed, then stops the other tasks.
    ///
    /// HTTP waits for requests in progress. The wait is limited, so that a client that sends half a request cannot
    /// block the stop.
    pub async fn stop(&mut self) {
        self.stop_intake.cancel();
        let intake_ended = async { while self.intake.join_next().await.is_some() {} };
        if tokio::time::timeout(INTAKE_GRACE, intake_ended).await.is_err() {
            debug!("a client has not finished its request");
        }
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits for the threads. [`Self::stop`] has told them to end, but one may be blocked in a call to Kafka.
    pub async fn join_threads(&self) {
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(THREAD_POLL).await;
        }
    }

    /// Waits for the journal's writer, once the journal is closed.
    pub async fn join_writer(&mut self) {
        while self.writer.join_next().await.is_some() {}
    }
}

async fn run_with_notice(notice: EndNotice, run: impl Future<Output = ()>) {
    let _notice = notice;
    run.await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn panics() {
        panic!("the test wants this part to panic");
    }

    /// Adds a part to others that keep running, and returns the name of the part that failed.
    async fn failed(add: impl FnOnce(&mut Supervisor)) -> &'static str {
        let mut supervisor = Supervisor::new();
        let stop = supervisor.stop.clone();
        supervisor.spawn_intake("intake", pending());
        supervisor.spawn_task("task", async move { stop.cancelled().await });
        let stop = supervisor.stop.clone();
        supervisor
            .spawn_thread("thread", move || {
                while !stop.is_cancelled() {
                    std::thread::yield_now()
                }
            })
            .unwrap();
        add(&mut supervisor);
        let failed = tokio::time::timeout(SOON, supervisor.wait_for_failure()).await;
        supervisor.stop.cancel();
        failed.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_ends_is_named_whatever_it_runs_on() {
        assert_eq!(
            failed(|supervisor| supervisor.spawn_intake("a", panics())).await,
            "a"
        );
        assert_eq!(
            failed(|supervisor| supervisor.spawn_task("b", panics())).await,
            "b"
        );
        assert_eq!(
            failed(|supervisor| supervisor.spawn_writer("c", panics())).await,
            "c"
        );
        assert_eq!(
            failed(|supervisor| supervisor.spawn_task("d", ready(()))).await,
            "d",
            "without a panic"
        );
        let thread = |supervisor: &mut Supervisor| {
            supervisor
                .spawn_thread("e", || panic!("the test wants this part to panic"))
                .unwrap();
        };
        assert_eq!(failed(thread).await, "e");
    }

    #[tokio::test]
    async fn no_part_is_reported_while_all_run() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn_task("task", pending());
        let short = Duration::from_millis(50);
        assert!(
            tokio::time::timeout(short, supervisor.wait_for_failure())
                .await
                .is_err()
        );
    }
}
