//! Resource limits for the clients of the built-in broker, per client and in total. [`super::places`] limits the
//! connections and [`super::rate`] the speed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::packet::Refusal;
use super::places::Places;
use super::rate::Rates;

/// Most connections whose CONNECT was accepted.
pub const MAX_CONNECTIONS: usize = 1_024;
/// Most of the [`MAX_CONNECTIONS`] from one address or one IPv6 network. The gateway's own machine is exempt: it may
/// simulate many tills.
pub const MAX_OF_ADDRESS: usize = 128;
/// Most connections without a CONNECT. Beyond that, the oldest is closed, so that idle sockets keep no till out.
const MAX_WAITING: usize = 256;
/// Largest packet, in bytes: the same as the largest one that the gateway accepts.
pub const MAX_PACKET: usize = 2 << 20;
/// Most payload in transit from the clients to rumqttd, in KiB. rumqttd holds a packet in memory until it is complete,
/// and a client can send it slowly.
const ARRIVING_KIB: u32 = 32 << 10;
/// The part of [`ARRIVING_KIB`] for one address: one packet of the largest size.
pub const ARRIVING_KIB_OF_ADDRESS: u32 = ARRIVING_KIB / 16;
/// Most filters that one connection may subscribe to. A till has two.
pub const MAX_FILTERS_OF_CONNECTION: usize = 64;
/// Most filters, topics and client ids in total. rumqttd remembers each of them until it ends, even after its client
/// has gone: a log per filter, an index entry per topic, and the last connections of a client id.
const MAX_FILTERS: usize = 4_096;
/// Half a kilobyte each.
const MAX_TOPICS: usize = 131_072;
const MAX_CLIENT_IDS: usize = 131_072;
/// Most new names that one address, or one IPv6 network, may introduce. This machine is exempt, as above.
const MAX_FILTERS_OF_ADDRESS: usize = 256;
const MAX_TOPICS_OF_ADDRESS: usize = 2_048;
const MAX_CLIENT_IDS_OF_ADDRESS: usize = 8_192;
/// The last half of each kind of names is reserved for addresses that have introduced fewer names than this. So a few
/// addresses cannot use up a limit. A till has two filters, four topics and one client id.
const FEW_FILTERS: usize = 4;
const FEW_TOPICS: usize = 16;
const FEW_CLIENT_IDS: usize = 8;

/// The origin of a connection, as the limits distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The gateway's own connection, which is exempt from all limits.
    Gateway,
    /// Another program on the gateway's machine.
    OwnMachine,
    /// An address on the network. An IPv6 address stands for its network, because one machine may have a whole network.
    Network(IpAddr),
}

impl Source {
    /// The source of a client's connection. Only the usual loopback address counts as this machine, so that tests can
    /// act as several senders.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST => Self::OwnMachine,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Network(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            address => Self::Network(address),
        }
    }
}

/// Current usage of all limits.
pub struct Limits {
    state: Arc<Mutex<State>>,
    pub places: Places,
    pub rates: Rates,
    /// Permits for [`ARRIVING_KIB`].
    pub arriving: Semaphore,
    hasher: RandomState,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            places: Places::default(),
            rates: Rates::default(),
            arriving: Semaphore::new(ARRIVING_KIB as usize),
            hasher: RandomState::new(),
        }
    }
}

#[derive(Default)]
struct State {
    /// Connections without a CONNECT, oldest first.
    waiting: VecDeque<(u64, CancellationToken)>,
    next: u64,
    filters: HashSet<u64>,
    topics: HashSet<u64>,
    client_ids: HashSet<u64>,
    /// How many names each address has introduced.
    named: HashMap<IpAddr, Named>,
}

#[derive(Default)]
struct Named {
    filters: usize,
    topics: usize,
    client_ids: usize,
}

/// One kind of names that rumqttd remembers.
struct NameKind {
    names: fn(&mut State) -> &mut HashSet<u64>,
    max: usize,
    /// How many of them an address has introduced.
    of_address: fn(&mut Named) -> &mut usize,
    max_of_address: usize,
    /// An address that has introduced fewer may also use the last half of `max`.
    few: usize,
}

const FILTERS: NameKind = NameKind {
    names: |state| &mut state.filters,
    max: MAX_FILTERS,
    of_address: |named| &mut named.filters,
    max_of_address: MAX_FILTERS_OF_ADDRESS,
    few: FEW_FILTERS,
};
const TOPICS: NameKind = NameKind {
    names: |state| &mut state.topics,
    max: MAX_TOPICS,
    of_address: |named| &mut named.topics,
    max_of_address: MAX_TOPICS_OF_ADDRESS,
    few: FEW_TOPICS,
};
const CLIENT_IDS: NameKind = NameKind {
    names: |state| &mut state.client_ids,
    max: MAX_CLIENT_IDS,
    of_address: |named| &mut named.client_ids,
    max_of_address: MAX_CLIENT_IDS_OF_ADDRESS,
    few: FEW_CLIENT_IDS,
};

/// A connection that has not sent its CONNECT yet.
pub struct Waiting {
    state: Arc<Mutex<State>>,
    number: u64,
    /// Cancelled when the connection must give way to a newer one.
    pub gives_way: CancellationToken,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.waiting.retain(|(number, _)| *number != self.number);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic elsewhere leaves the counts consistent.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Limits {
    /// Registers a new connection. If there are too many without a CONNECT, the oldest gives way.
    pub fn wait(&self) -> Waiting {
        let gives_way = CancellationToken::new();
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, gives_way.clone()));
        if state.waiting.len() > MAX_WAITING
            && let Some((_, oldest)) = state.waiting.pop_front()
        {
            oldest.cancel();
        }
        Waiting {
            state: Arc::clone(&self.state),
            number,
            gives_way,
        }
    }

    /// Records a name that rumqttd will remember, and charges it to the address that introduced it.
    fn note(&self, name: &str, source: Source, kind: &NameKind) -> Result<(), Refusal> {
        let names = kind.names;
        let hash = self.hasher.hash_one(name);
        let mut state = lock(&self.state);
        let state = &mut *state;
        if names(state).contains(&hash) {
            return Ok(());
        }
        let count = names(state).len();
        let is_in_first_half = count < kind.max / 2;
        let is_allowed = match source {
            Source::Gateway => true,
            Source::OwnMachine => is_in_first_half,
            // Checked before an entry is created: below the maximum, a new address may always introduce one name, so
            // every entry is used.
            Source::Network(_) if count >= kind.max => false,
            Source::Network(address) => {
                let own = (kind.of_address)(state.named.entry(address).or_default());
                let is_allowed = *own
                    < if is_in_first_half {
                        kind.max_of_address
                    } else {
                        kind.few
                    };
                *own += usize::from(is_allowed);
                is_allowed
            }
        };
        if !is_allowed {
            return Err(Refusal::QuotaExceeded);
        }
        names(state).insert(hash);
        Ok(())
    }

    /// Records a filter.
    ///
    /// # Errors
    /// There are too many filters in total or from this source.
    pub fn note_filter(&self, filter: &str, source: Source) -> Result<(), Refusal> {
        self.note(filter, source, &FILTERS)
    }

    /// Records a topic.
    ///
    /// # Errors
    /// There are too many topics in total or from this source.
    pub fn note_topic(&self, topic: &str, source: Source) -> Result<(), Refusal> {
        self.note(topic, source, &TOPICS)
    }

    /// Records a client id.
    ///
    /// # Errors
    /// There are too many client ids in total or from this source.
    pub fn note_client_id(&self, client_id: &str, source: Source) -> Result<(), Refusal> {
        self.note(client_id, source, &CLIENT_IDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, host]))
    }

    #[test]
    fn one_address_cannot_take_the_names_of_others() {
        let limits = Limits::default();
        let (till, other) = (network(7), network(8));
        for number in 0..MAX_TOPICS_OF_ADDRESS {
            limits.note_topic(&number.to_string(), till).unwrap();
        }
        assert!(limits.note_topic("another", till).is_err());
        assert!(limits.note_topic("7", till).is_ok(), "a known one");
        assert!(limits.note_filter("another", till).is_ok());
        assert!(limits.note_topic("another", other).is_ok());
        assert!(limits.note_topic("a third", Source::OwnMachine).is_ok());
        for number in 0..MAX_CLIENT_IDS_OF_ADDRESS {
            limits.note_client_id(&number.to_string(), till).unwrap();
        }
        assert!(limits.note_client_id("another", till).is_err());
        assert!(limits.note_client_id("another", other).is_ok());
    }

    #[test]
    fn a_few_addresses_cannot_use_up_the_names() {
        let limits = Limits::default();
        for host in 1..=200 {
            for number in 0..MAX_FILTERS_OF_ADDRESS {
                // Refused from a certain number on.
                let _ = limits.note_filter(&format!("{host}/{number}"), network(host));
            }
        }
        for number in 0..MAX_FILTERS {
            let _ = limits.note_filter(&number.to_string(), Source::OwnMachine);
        }
        for host in 201..=250 {
            for leaf in ["ack", "commands"] {
                let noted = limits.note_filter(&format!("pos/paris-1/till-{host}/{leaf}"), network(host));
                assert!(noted.is_ok(), "{host}: {leaf}");
            }
        }
        assert!(limits.note_filter("1/0", network(1)).is_ok(), "a known one");
        assert!(limits.note_filter("1/none", network(1)).is_err());
    }

    #[test]
    fn names_are_bounded_for_all_but_the_gateway() {
        let limits = Limits::default();
        for number in 0..=u16::MAX {
            let address = IpAddr::from(Ipv4Addr::from(0xC000_0000 + u32::from(number)));
            let _ = limits.note_filter(&number.to_string(), Source::of(address));
        }
        assert_eq!(lock(&limits.state).filters.len(), MAX_FILTERS);
        assert!(limits.note_filter("another", network(1)).is_err());
        assert!(limits.note_filter("another", Source::Gateway).is_ok());
        assert!(
            limits.note_filter("7", Source::OwnMachine).is_ok() && limits.note_topic("7", network(1)).is_ok()
        );
    }

    #[test]
    fn the_oldest_connection_without_a_connect_gives_way() {
        let limits = Limits::default();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| limits.wait()).collect();
        assert!(waiting.iter().all(|each| !each.gives_way.is_cancelled()));
        drop(waiting.remove(0));
        let _new = limits.wait();
        assert!(!waiting[0].gives_way.is_cancelled());
        let _newest = limits.wait();
        assert!(waiting[0].gives_way.is_cancelled() && !waiting[1].gives_way.is_cancelled());
    }
}
