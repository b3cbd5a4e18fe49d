//! What a run is to do.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use comptoir_link::Settings;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::faults::{Faults, Kind};

/// Why a plan cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The MQTT broker's address.
    #[error("{address}: {what}; mqtt://[user:password@]host[:port] is expected")]
    Broker {
        /// As it was given, without the password.
        address: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The store's name.
    #[error("the store's name {name:?}: {what}")]
    Store {
        /// As it was given.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A number out of its range.
    #[error("{option}: {what}")]
    Option {
        /// The command-line option that sets it.
        option: &'static str,
        /// What is wrong.
        what: &'static str,
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
    /// An MQTT broker that asks for no name.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            login: None,
        }
    }

    /// Name or address of the machine.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password.
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
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

/// `mqtt://[user:password@]host[:port]`, port 1883 if none is given; user and password percent-encoded.
impl FromStr for Broker {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let wrong = |what| {
            let after_login = text.rsplit_once('@').map_or(text, |(_, after)| after);
            PlanError::Broker {
                address: after_login.to_owned(),
                what,
            }
        };
        let url = Url::parse(text).map_err(|_| wrong("not an address"))?;
        if !matches!(url.scheme(), "mqtt" | "tcp") {
            return Err(wrong("only mqtt:// is known"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("no host"))?;
        // An IPv6 address is in brackets there, which the resolver does not want.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let plain = |part| {
            percent_decode_str(part)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| wrong("not UTF-8"))
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((plain(user)?, plain(password.unwrap_or(""))?)),
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
    /// Invented ones, at `devices` terminals of one store.
    Invented {
        /// The store's name: `[a-z0-9][a-z0-9-]{0,31}`.
        store: String,
        /// Terminals, named `till-1` and so on.
        devices: u32,
        /// Events a second over all terminals; 0: as fast as possible.
        rate: f64,
    },
    /// Those of a file, at one terminal per store.
    Replayed {
        /// CSV, gzipped if its name ends in `.gz`; see the module `replay`.
        file: PathBuf,
        /// So many times as fast as the file's own clock; `None`: as fast as acks allow.
        speed: Option<f64>,
        /// ISO 4217 code of the file's amounts.
        currency: String,
    },
}

/// When terminals stop selling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// When told to (or when the file is at its end).
    Never,
    /// After so many events over all terminals, exactly; of a replay after the receipt that reaches the
    /// number.
    Events(u64),
    /// After so long.
    After(Duration),
}

/// What a run is to do. Made by [`Plan::new`]; the fields may be changed before the run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to publish.
    pub broker: Broker,
    /// What to sell.
    pub sales: Sales,
    /// When to stop selling.
    pub end: End,
    /// Epochs, ids and sales follow from it, so that the same seed gives the same events.
    pub seed: u64,
    /// Percent of the terminals that speak JSON.
    pub json_terminals: u8,
    /// A file for one JSON line per event, written when it is acked.
    pub ledger: Option<PathBuf>,
    /// A directory for the terminals' queues; `None`: in memory.
    pub queue: Option<PathBuf>,
    /// Unacked events at which a terminal stops selling until the gateway has taken some. It stops before that when
    /// its flash of 4 MiB has no room for another sale.
    pub queue_limit: usize,
    /// What is made to go wrong, and how often.
    pub faults: Faults,
    /// How each terminal sends.
    pub link: Settings,
    /// After the selling has been stopped from outside: how long to wait for acks.
    pub drain: Duration,
}

impl Plan {
    /// `devices` terminals of `store` that sell invented goods, `rate` events a second in all, until told to
    /// stop.
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
            json_terminals: 0,
            ledger: None,
            queue: None,
            queue_limit: 10_000,
            faults: Faults::default(),
            link: Settings::default(),
            drain: Duration::from_secs(10),
        }
    }

    /// # Errors
    /// What cannot be carried out.
    pub fn check(&self) -> Result<(), PlanError> {
        let wrong = |option, what| Err(PlanError::Option { option, what });
        match &self.sales {
            Sales::Invented { store, devices, rate } => {
                comptoir_wire::topic::Name::new(store).map_err(|error| PlanError::Store {
                    name: store.clone(),
                    what: error.to_string(),
                })?;
                if *devices == 0 {
                    return wrong("--devices", "at least 1 is expected");
                }
                if !rate.is_finite() || *rate < 0.0 {
                    return wrong("--rate", "0 or more events a second are expected");
                }
            }
            Sales::Replayed { speed, currency, .. } => {
                if speed.is_some_and(|speed| !speed.is_finite() || speed <= 0.0) {
                    return wrong("--speed", "a factor above 0, or max, is expected");
                }
                if iso_currency::Currency::from_code(currency).is_none() {
                    return wrong("--currency", "an ISO 4217 code is expected");
                }
            }
        }
        if self.json_terminals > 100 {
            return wrong("--json-terminals", "0 to 100 percent are expected");
        }
        if self.queue.is_some() && self.faults.of(Kind::Power) > 0 {
            return wrong(
                "--faults",
                "power cuts are for queues in memory; kill pos-sim for those in files",
            );
        }
        if self.queue_limit == 0 {
            return wrong("--queue-limit", "at least 1 is expected");
        }
        Ok(())
    }

    /// Whether the terminal number `index` (from 0) speaks JSON: the share is spread evenly.
    pub(crate) fn speaks_json(&self, index: u32) -> bool {
        let upto = |index: u64| index * u64::from(self.json_terminals) / 100;
        upto(u64::from(index) + 1) > upto(u64::from(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!("mqtt://pi:1884".parse(), Ok(Broker::new("pi", 1884)));
        assert_eq!("mqtt://[::1]".parse(), Ok(Broker::new("::1", 1883)));
        let broker: Broker = "mqtt://till:p%40ss@pi".parse().unwrap();
        assert_eq!(broker.login(), Some(("till", "p@ss")));
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
    fn json_terminals_are_spread() {
        let mut plan = Plan::new(Broker::new("pi", 1883), "s", 10, 1.0);
        plan.json_terminals = 20;
        let json: Vec<u32> = (0..10).filter(|&index| plan.speaks_json(index)).collect();
        assert_eq!(json, [4, 9]);
        plan.json_terminals = 100;
        assert!((0..10).all(|index| plan.speaks_json(index)));
    }
}
