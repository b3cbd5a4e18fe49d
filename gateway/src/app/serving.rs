//! The runtime of the pages, with threads of its own that yield the processor to the tills.
//!
//! Anybody on the network can make the HTTP server work, and a Pi has few cores. Threads with a lower priority get what
//! ingest, the journal and the bridge leave of them. The threads that they start (SQLite's readers of the lists, the one
//! that hashes passwords) inherit the priority.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tracing::debug;

use crate::platform::panics;

const THREADS: usize = 2;
/// Added to the nice value of the threads: about a tenth of the weight that the others have.
const NICE_INCREMENT: i32 = 10;

/// Runs the HTTP server and the live pages.
pub struct ServingRuntime(Option<Runtime>);

impl ServingRuntime {
    /// # Errors
    /// The operating system cannot start another thread.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("pages")
            .on_thread_start(|| {
                panics::mark_own_thread();
                if let Err(error) = rustix::process::nice(NICE_INCREMENT) {
                    debug!(%error, "the pages' threads keep the priority of the others");
                }
            })
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a part on this runtime. The returned future ends with it, and panics if it has panicked.
    pub fn run(
        &self,
        part: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let task = self.0.as_ref().map(|runtime| runtime.spawn(part));
        async move {
            if let Some(task) = task
                && let Err(error) = task.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

impl Drop for ServingRuntime {
    fn drop(&mut self) {
        // A runtime must not wait for its threads inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_part_runs_with_a_lower_priority_and_its_panic_is_passed_on() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let serving = ServingRuntime::new().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        serving
            .run(async move {
                // A thread of SQLite is started in the same way.
                let inherited = std::thread::spawn(nice).join().unwrap();
                sender.send((nice(), inherited)).unwrap();
            })
            .await;
        let lower = (nice() + NICE_INCREMENT).min(19);
        assert_eq!(receiver.await.unwrap(), (lower, lower));
        let panics = tokio::spawn(serving.run(async { panic!("the test wants this part to panic") }));
        let ended = tokio::time::timeout(Duration::from_secs(10), panics)
            .await
            .unwrap();
        assert!(ended.unwrap_err().is_panic());
    }
}
