//! The operations on the accounts, by topic.

mod audit;
mod credentials;
mod screens;
mod setup;
mod sign_in;
#[cfg(test)]
mod tests;
mod users;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use comptoir_core::Secret;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, OnceCell};
use tracing::error;

use crate::Error;
use crate::credential::Principal;
use crate::pairing::Pairings;
use crate::password_check::PasswordCheck;
use crate::rate::SetupGuesses;
use crate::store::{self, Store};

/// How precisely the file records a credential's last use. Each change costs an fsync.
const USE_PRECISION: SignedDuration = SignedDuration::from_secs(60);
/// How long a password verified over HTTP Basic is not hashed again.
const BASIC_LIFE: Duration = Duration::from_secs(300);
/// Most HTTP Basic passwords remembered.
const MAX_BASIC: usize = 100;

const SETUP_CODE: &str = "setup_code";

/// The origin of a request.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `None` for this machine's own programs.
    pub address: Option<IpAddr>,
    /// The `User-Agent`.
    pub agent: Option<&'a str>,
}

/// A new session. Its secret is not stored anywhere else.
#[derive(Debug)]
pub struct SignedIn {
    pub principal: Principal,
    pub secret: Secret,
}

/// The users and credentials of this gateway. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// The shop's name, which must not be used as a password.
    shop: String,
    store: OnceCell<Store>,
    /// The file to which the set-up code is written for scripts.
    code_file: PathBuf,
    passwords: PasswordCheck,
    /// Whether an administrator was found. From then on there is always one.
    is_set_up: AtomicBool,
    setup_guesses: SetupGuesses,
    pairings: Pairings,
    basic: Mutex<BasicCache>,
    /// Notified when this process adds an audit entry.
    audited: Notify,
}

/// Recently verified HTTP Basic passwords, as keyed digests.
struct BasicCache {
    key: [u8; 32],
    verified: HashMap<[u8; 32], Instant>,
}

/// Opens or creates the file. Sets a damaged file aside; the gateway then asks for set-up again.
async fn open(path: &Path) -> Result<Store, Error> {
    match Store::open(path).await {
        Err(error) if store::is_damage(&error) => {
            let aside = path.with_extension(format!("damaged-{}", Timestamp::now().as_second()));
            error!(%error, path = %path.display(), aside = %aside.display(),
                "the accounts file is damaged and was put aside; the gateway must be set up again");
            std::fs::rename(path, aside).map_err(sqlx::Error::Io)?;
            Store::open(path).await
        }
        result => result,
    }
}

impl Accounts {
    /// The accounts in the file `path`. The file is opened or created on first use: sales do not wait for it, even on a
    /// full disk. `shop` is the shop's name, which nobody may choose as a password.
    pub fn new(path: &Path, shop: &str) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            shop: shop.to_owned(),
            store: OnceCell::new(),
            code_file: path.with_file_name("setup-code"),
            passwords: PasswordCheck::new(),
            is_set_up: AtomicBool::new(false),
            setup_guesses: SetupGuesses::new(),
            pairings: Pairings::default(),
            basic: Mutex::new(BasicCache {
                key: rand::random(),
                verified: HashMap::new(),
            }),
            audited: Notify::new(),
        }))
    }

    async fn store(&self) -> Result<&Store, Error> {
        self.0.store.get_or_try_init(|| open(&self.0.path)).await
    }

    pub async fn close(&self) {
        if let Some(store) = self.0.store.get() {
            store.close().await;
        }
    }
}
