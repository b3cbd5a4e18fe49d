//! The parts that run: named tasks and threads.
//!
//! Each is to run until it is told to stop. One that ends before, by a panic or because it gave up, leaves a gateway that
//! looks alive and is not: [`Parts::failed`] says which, and the process is to end, so that it is started anew.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The parts of a running gateway.
pub struct Parts {
    /// Takes no more in: ingest, HTTP.
    pub stop_intake: CancellationToken,
    intake: JoinSet<()>,
    /// Everything else but the journal's writer.
    pub stop: CancellationToken,
    tasks: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    /// Ends by itself when the journal is closed.
    pub(super) writer: JoinSet<()>,
    /// The first that ended; what follows from it does not matter.
    ended: (mpsc::Sender<&'static str>, mpsc::Receiver<&'static str>),
}

/// Moved into its part, and dropped at its end, also where that is a panic.
struct Alive {
    part: &'static str,
    ended: mpsc::Sender<&'static str>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        // Full: another was first.
        let _ = self.ended.try_send(self.part);
    }
}

impl Parts {
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

    fn alive(&self, part: &'static str) -> Alive {
        Alive {
            part,
            ended: self.ended.0.clone(),
        }
    }

    /// Ends first.
    pub fn intake(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive(part);
        self.intake.spawn(watched(alive, run));
    }

    pub fn task(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive(part);
        self.tasks.spawn(watched(alive, run));
    }

    /// Ends last.
    pub fn writer(&mut self, part: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive(part);
        self.writer.spawn(watched(alive, run));
    }

    pub fn thread(&mut self, part: &'static str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        let alive = self.alive(part);
        let thread = std::thread::Builder::new().name(part.to_owned());
        let thread = thread.spawn(move || {
            let _alive = alive;
            run();
        });
        self.threads
            .push(thread.with_context(|| format!("the thread {part} could not be started"))?);
        Ok(())
    }

    /// Waits for a part that ends though nobody has told it to; its name.
    pub async fn failed(&mut self) -> &'static str {
        match self.ended.1.recv().await {
            Some(part) => part,
            // There is a sender here.
            None => std::future::pending().await,
        }
    }

    /// Takes no more in, lets what was taken in be committed, then ends the others.
    pub async fn stop(&mut self) {
        self.stop_intake.cancel();
        while self.intake.join_next().await.is_some() {}
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the writer, whose journal is closed.
    pub async fn written(&mut self) {
        while self.writer.join_next().await.is_some() {}
    }
}

async fn watched(alive: Alive, run: impl Future<Output = ()>) {
    let _alive = alive;
    run.await;
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn panics() {
        panic!("as this test wants it");
    }

    /// Beside others that go on.
    async fn failed(add: impl FnOnce(&mut Parts)) -> &'static str {
        let mut parts = Parts::new();
        let stop = parts.stop.clone();
        parts.intake("intake", pending());
        parts.task("task", async move { stop.cancelled().await });
        let stop = parts.stop.clone();
        parts
            .thread("thread", move || while !stop.is_cancelled() {})
            .unwrap();
        add(&mut parts);
        let failed = tokio::time::timeout(SOON, parts.failed()).await;
        parts.stop.cancel();
        failed.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whichever_part_ends_is_named() {
        assert_eq!(failed(|parts| parts.intake("a", panics())).await, "a");
        assert_eq!(failed(|parts| parts.task("b", panics())).await, "b");
        assert_eq!(failed(|parts| parts.writer("c", panics())).await, "c");
        assert_eq!(
            failed(|parts| parts.task("d", ready(()))).await,
            "d",
            "without a panic"
        );
        let thread = |parts: &mut Parts| {
            parts.thread("e", || panic!("as this test wants it")).unwrap();
        };
        assert_eq!(failed(thread).await, "e");
    }

    #[tokio::test]
    async fn nothing_fails_while_all_run() {
        let mut parts = Parts::new();
        parts.task("task", pending());
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, parts.failed()).await.is_err());
    }
}
