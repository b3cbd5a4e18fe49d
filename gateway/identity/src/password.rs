//! Argon2id hashing, one password at a time, on a thread of its own: each hash takes 19 MiB, which glibc would keep for
//! every thread that has ever hashed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use comptoir_core::Secret;

use crate::Error;
use crate::queue::Queue;
use crate::rate::Network;

/// When a request should be retried that found the queue full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Clone)]
pub struct Hasher(Arc<Shared>);

type Job = Box<dyn FnOnce() + Send>;

struct Shared {
    /// A queue, because each hash takes 19 MiB of memory and most of a core.
    queue: Arc<Queue>,
    /// The thread that hashes; started by the first password.
    worker: Mutex<Option<mpsc::Sender<Job>>>,
    /// A dummy hash, so that verifying takes as long for an unknown user as for an existing one.
    nobody: OnceLock<String>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            queue: Arc::default(),
            worker: Mutex::default(),
            nobody: OnceLock::new(),
        }))
    }

    /// The hash of a password, in the PHC string format.
    ///
    /// # Errors
    /// Too many requests are waiting.
    pub async fn hash(&self, network: Network, password: &Secret) -> Result<String, Error> {
        let password = password.clone();
        self.alone(network, move || hash(password.reveal())).await?
    }

    /// Whether `password` matches `expected`. Without `expected` it never does, but verifying takes as long.
    ///
    /// `before` and `after` belong to it: `before` may refuse, and `after` gets the result. No other password is verified
    /// meanwhile, so that simultaneous guesses are all counted before the next one is checked.
    ///
    /// # Errors
    /// Too many requests are waiting, or `expected` is not a hash; and those of `before`.
    pub async fn verify(
        &self,
        network: Network,
        password: &Secret,
        expected: Option<String>,
        before: impl FnOnce() -> Result<(), Error> + Send + 'static,
        after: impl FnOnce(bool) + Send + 'static,
    ) -> Result<bool, Error> {
        let (password, shared) = (password.clone(), Arc::clone(&self.0));
        let work = move || {
            before()?;
            let is_right = match expected {
                Some(expected) => verify(password.reveal(), &expected),
                None => verify(password.reveal(), shared.nobody()?).map(|_| false),
            }?;
            after(is_right);
            Ok(is_right)
        };
        self.alone(network, work).await?
    }

    /// Runs work on the thread for passwords.
    async fn alone<T: Send + 'static>(
        &self,
        network: Network,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Some(turn) = self.0.queue.turn(network).await else {
            return Err(Error::TooManyAttempts { after: RETRY_AFTER });
        };
        // The turn ends with the work, even if the request has gone away by then.
        let (reply, result) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move || {
            let _turn = turn;
            // Fails if the request has gone away.
            let _ = reply.send(work());
        });
        self.0.run(job)?;
        result
            .await
            .map_err(|_| Error::Hash("hashing a password has panicked".to_owned()))
    }
}

impl Shared {
    /// Hands a job to the thread for passwords.
    fn run(&self, job: Job) -> Result<(), Error> {
        let ended = |error: &dyn std::fmt::Display| Error::Hash(error.to_string());
        // The sender stays valid even if a thread panics while it holds the lock.
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &*worker {
            Some(jobs) => jobs,
            None => {
                let (sender, jobs) = mpsc::channel::<Job>();
                std::thread::Builder::new()
                    .name("passwords".to_owned())
                    .spawn(move || {
                        for job in jobs {
                            // The job's caller reports a panic; later passwords must still be checked.
                            let _ = catch_unwind(AssertUnwindSafe(job));
                        }
                    })
                    .map_err(|error| ended(&error))?;
                worker.insert(sender)
            }
        };
        jobs.send(job).map_err(|error| ended(&error))
    }

    fn nobody(&self) -> Result<&str, Error> {
        if let Some(nobody) = self.nobody.get() {
            return Ok(nobody);
        }
        let nobody = hash(crate::secret::new_secret().reveal())?;
        Ok(self.nobody.get_or_init(|| nobody))
    }
}

fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| Error::Hash(error.to_string()))
}

fn verify(password: &str, expected: &str) -> Result<bool, Error> {
    let expected = PasswordHash::new(expected).map_err(|error| Error::Hash(error.to_string()))?;
    Ok(Argon2::default()
        .verify_password(password.as_bytes(), &expected)
        .is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Networks;

    fn here() -> Network {
        Networks::default().of(None)
    }

    #[tokio::test]
    async fn only_the_password_of_a_hash_matches_it() {
        let hasher = Hasher::new();
        let hash = hasher.hash(here(), &Secret::new("sésame: 1")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, of, expected) in [
            ("sésame: 1", Some(hash.clone()), true),
            ("sesame: 1", Some(hash.clone()), false),
            ("", Some(hash), false),
            ("sésame: 1", None, false),
        ] {
            let matches = hasher
                .verify(here(), &Secret::new(password), of.clone(), || Ok(()), |_| ())
                .await
                .unwrap();
            assert_eq!(matches, expected, "{password} {of:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_runs_eight_wait_and_further_requests_are_rejected() {
        let (hasher, network) = (Hasher::new(), here());
        let password = Secret::new("a password");
        let all = (0..20).map(|_| {
            let (hasher, password) = (hasher.clone(), password.clone());
            tokio::spawn(async move { hasher.verify(network, &password, None, || Ok(()), |_| ()).await })
        });
        let mut rejected = 0;
        for request in all.collect::<Vec<_>>() {
            match request.await.unwrap() {
                Ok(matches) => assert!(!matches),
                Err(Error::TooManyAttempts { .. }) => rejected += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // The first ones may have ended before the last ones started.
        assert!((1..=11).contains(&rejected), "{rejected}");
        assert!(
            !hasher
                .verify(network, &password, None, || Ok(()), |_| ())
                .await
                .unwrap()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_goes_away_lets_no_second_password_be_hashed_at_once() {
        let (hasher, network) = (Hasher::new(), here());
        let (started, has_started) = std::sync::mpsc::channel();
        let (end, is_ended) = std::sync::mpsc::channel::<()>();
        let work = move || {
            started.send(()).unwrap();
            let _ = is_ended.recv();
        };
        let request = {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.alone(network, work).await })
        };
        tokio::task::spawn_blocking(move || has_started.recv().unwrap())
            .await
            .unwrap();
        request.abort();
        assert!(request.await.is_err());
        let mut next = std::pin::pin!(hasher.alone(network, || ()));
        assert!(poll_once(next.as_mut()).await.is_none(), "two ran at once");
        drop(end);
        next.await.unwrap();
    }

    /// The result of a future, if it is ready.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
