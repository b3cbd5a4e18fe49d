//! The configuration of a run.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use comptoir_link::Settings;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::faults::{Faults, Kind};

/// Why a plan is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The MQTT broker's address is invalid.
    #[error(
        "{address}: {reason}; write mqtt://[user:password@]host[:port], for example mqtt://localhost:1883"
    )]
    Broker {
        /// The address without the password.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store's name is invalid.
    #[error("--store {name:?}: {reason}; for example paris-1")]
    Store {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option is out of range.
    #[error("{option}: {reason}")]
    Option {
        /// The command-line option.
        option: &'static str,
        /// The accepted values.
        reason: &'static str,
    },
}

/// An MQTT broker's address. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

impl Broker {
    /// An MQTT broker that needs no login.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            login: None,
        }
    }

    /// Host name or IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password of a till, whose name is `STORE/TILL`. In the address, `{till}` stands for the name: a broker
    /// that binds client ids to users lets each user connect once.
    pub fn login(&self, till: &str) -> Option<(String, &str)> {
        self.login
            .as_ref()
            .map(|(user, password)| (user.replace("{till}", till), password.as_str()))
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mqtt://{}{}:{}",
            if self.login.is_some() { "…@" } else { "" },
            self.host,
            self.port
        )
    }
}

/// `mqtt://[user:password@]host[:port]`. The port defaults to 1883; user and password are percent-encoded.
impl FromStr for Broker {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let invalid = |reason| {
            let after_login = text.rsplit_once('@').map_or(text, |(_, after)| after);
            PlanError::Broker {
                address: after_login.to_owned(),
                reason,
            }
        };
        let url = Url::parse(text).map_err(|_| invalid("not a URL"))?;
        if !matches!(url.scheme(), "mqtt" | "tcp") {
            return Err(invalid("only mqtt:// is supported"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| invalid("the host is missing"))?;
        // The URL has an IPv6 address in brackets, which the resolver does not accept.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let decode = |part| {
            percent_decode_str(part)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| invalid("user or password is not UTF-8"))
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user)?, decode(password.unwrap_or(""))?)),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(1883),
            login,
        })
    }
}

/// Where the sales come from.
#[derive(Clone, Debug)]
pub enum Sales {
    /// Invented sales at `devices` tills of one store.
    Invented {
        /// The store's name: `[a-z0-9][a-z0-9-]{0,31}`.
        store: String,
        /// Number of tills, named `till-1` and so on.
        devices: u32,
        /// Events per second over all tills; 0: as fast as possible.
        rate: f64,
    },
    /// The receipts of a file, at one till per store.
    Replayed {
        /// CSV, gzipped if its name ends in `.gz`; see the module `replay`.
        file: PathBuf,
        /// Speed relative to the file's timestamps; `None`: as fast as acks allow.
        speed: Option<f64>,
        /// ISO 4217 code of the file's amounts.
        currency: String,
    },
}

/// When tills stop selling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// When the run is stopped, or at the end of the file.
    Never,
    /// After exactly this many events over all tills; a replay stops after the receipt that reaches the number.
    Events(u64),
    /// After this time.
    After(Duration),
}

/// The configuration of a run. [`Plan::new`] has the defaults; the fields may be changed before the run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The MQTT broker to publish to.
    pub broker: Broker,
    /// What to sell.
    pub sales: Sales,
    /// When to stop selling.
    pub end: End,
    /// Determines epochs, ids and sales: the same seed gives the same events.
    pub seed: u64,
    /// Percentage of the tills that speak JSON.
    pub json_tills: u8,
    /// File for the ledger: one JSON line per event, written when it is acked.
    pub ledger: Option<PathBuf>,
    /// Directory for the tills' queues; `None`: in memory.
    pub queue: Option<PathBuf>,
    /// Number of unacked events at which a till stops selling until some are acked. It stops earlier if its flash of 4 MiB
    /// has no room for another sale.
    pub queue_limit: usize,
    /// The rates of injected faults.
    pub faults: Faults,
    /// The send window of each till.
    pub link: Settings,
    /// How long to wait for acks after the run is stopped.
    pub drain: Duration,
}

impl Plan {
    /// `devices` tills of `store` that sell invented goods, at `rate` events per second in all, until the run is stopped.
    pub fn new(broker: Broker, store: impl Into<String>, devices: u32, rate: f64) -> Self {
        Self {
            broker,
            sales: Sales::Invented {
                store: store.into(),
                devices,
                rate,
            },
            end: End::Never,
            seed: rand::random(),
            json_tills: 0,
            ledger: None,
            queue: None,
            queue_limit: 10_000,
            faults: Faults::default(),
            link: Settings::default(),
            drain: Duration::from_secs(10),
        }
    }

    /// Validates the plan.
    ///
    /// # Errors
    /// A name or a number is invalid; the error says which.
    pub fn check(&self) -> Result<(), PlanError> {
        let invalid = |option, reason| Err(PlanError::Option { option, reason });
        match &self.sales {
            Sales::Invented { store, devices, rate } => {
                comptoir_wire::topic::Name::new(store).map_err(|error| PlanError::Store {
                    name: store.clone(),
                    reason: error.to_string(),
                })?;
                if *devices == 0 {
                    return invalid("--devices", "must be at least 1");
                }
                if !rate.is_finite() || *rate < 0.0 {
                    return invalid("--rate", "must be 0 or more events per second");
                }
            }
            Sales::Replayed { speed, currency, .. } => {
                if speed.is_some_and(|speed| !speed.is_finite() || speed <= 0.0) {
                    return invalid("--speed", "must be a factor above 0, or max");
                }
                if iso_currency::Currency::from_code(currency).is_none() {
                    return invalid("--currency", "must be an ISO 4217 code, for example EUR");
                }
            }
        }
        if self.json_tills > 100 {
            return invalid("--json-terminals", "must be a percentage from 0 to 100");
        }
        if self.queue.is_some() && self.faults.of(Kind::Power) > 0 {
            return invalid(
                "--faults",
                "power cuts work only without --queue; kill pos-sim to test queues in files",
            );
        }
        if self.queue_limit == 0 {
            return invalid("--queue-limit", "must be at least 1");
        }
        Ok(())
    }

    /// Whether the till with that index (from 0) speaks JSON. The JSON tills are spread evenly.
    pub(crate) fn speaks_json(&self, index: u32) -> bool {
        let upto = |index: u64| index * u64::from(self.json_tills) / 100;
        upto(u64::from(index) + 1) > upto(u64::from(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_address_is_parsed_and_never_shows_the_password() {
        assert_eq!("mqtt://pi:1884".parse(), Ok(Broker::new("pi", 1884)));
        assert_eq!("mqtt://[::1]".parse(), Ok(Broker::new("::1", 1883)));
        let broker: Broker = "mqtt://till:p%40ss@pi".parse().unwrap();
        assert_eq!(broker.login("s/till-1"), Some(("till".to_owned(), "p@ss")));
        assert_eq!(format!("{broker:?}"), "mqtt://…@pi:1883");
        let error = "mqtts://till:secret@pi"
            .parse::<Broker>()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("only mqtt://") && !error.contains("secret"),
            "{error}"
        );
        assert!("pi:1883".parse::<Broker>().is_err());
    }

    #[test]
    fn each_till_can_log_in_as_itself() {
        let broker: Broker = "mqtt://{till}:secret@pi".parse().unwrap();
        assert_eq!(
            broker.login("paris-1/till-2"),
            Some(("paris-1/till-2".to_owned(), "secret"))
        );
    }

    #[test]
    fn json_tills_are_spread_evenly() {
        let mut plan = Plan::new(Broker::new("pi", 1883), "s", 10, 1.0);
        plan.json_tills = 20;
        let json: Vec<u32> = (0..10).filter(|&index| plan.speaks_json(index)).collect();
        assert_eq!(json, [4, 9]);
        plan.json_tills = 100;
        assert!((0..10).all(|index| plan.speaks_json(index)));
    }
}
