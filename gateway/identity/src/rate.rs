//! Limits on guesses and sign-ins.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Number of buckets in which addresses are counted. A hash that differs in each process assigns them. So memory is
/// bounded, whatever addresses somebody uses, and nobody can choose whose bucket to share.
const BUCKETS: u16 = 1 << 14;
/// Most senders remembered: more than there are buckets of addresses, or accounts.
const MAX_KEYS: usize = BUCKETS as usize;
/// After this time the first guesses of all addresses are reset.
const FIRST_GUESSES_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many wrong set-up codes are allowed at once in total, from addresses that have used up their first guesses, and
/// the time until another is allowed.
const SETUP_BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();
const SETUP_PERIOD: Duration = Duration::from_secs(60);

/// The bucket of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u16);

/// Assigns addresses to buckets.
#[derive(Default)]
pub struct Networks(RandomState);

impl Networks {
    /// The bucket of an address; `None` stands for this machine's own programs.
    pub fn of(&self, address: Option<IpAddr>) -> Network {
        Network((self.0.hash_one(address.map(network_of)) % u64::from(BUCKETS)) as u16)
    }
}

/// Limits the attempts of each sender. The caller decides which attempts count, for example only wrong guesses.
pub struct AttemptLimit<K: Hash + Eq + Clone> {
    counted: DefaultKeyedRateLimiter<K>,
    /// Senders with too many attempts, and how long they must wait.
    blocked: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Clone> AttemptLimit<K> {
    /// Allows `burst` attempts at once, and one more per `period`.
    pub fn new(burst: NonZeroU32, period: Duration) -> Self {
        // `with_period` fails only for a period of zero.
        let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(burst));
        Self {
            counted: RateLimiter::keyed(quota.allow_burst(burst)),
            blocked: Mutex::default(),
        }
    }

    fn blocked(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        // The map stays valid even if a thread panics while it holds the lock.
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether the sender may make another attempt.
    ///
    /// # Errors
    /// The sender has made too many attempts; the error is how long it must wait.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        let mut blocked = self.blocked();
        let now = Instant::now();
        match blocked.get(key) {
            Some(&until) if until > now => Err(until - now),
            Some(_) => {
                blocked.remove(key);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts an attempt.
    pub fn count(&self, key: &K) {
        if self.counted.len() > MAX_KEYS {
            self.counted.retain_recent();
        }
        if let Err(early) = self.counted.check_key(key) {
            let wait = early.wait_time_from(DefaultClock::default().now());
            self.blocked().insert(key.clone(), Instant::now() + wait);
        }
    }
}

/// The first wrong guesses of each address, which are exempt from the total limit. So guesses from other addresses lock
/// nobody out, and an attacker with many addresses gains only a few guesses with each.
pub struct FirstGuesses {
    per_network: u8,
    /// When counting started, and the number of wrong guesses of each bucket since.
    made: Mutex<(Instant, Vec<u8>)>,
}

impl FirstGuesses {
    /// Allows `per_network` guesses a day.
    pub fn new(per_network: u8) -> Self {
        Self {
            per_network,
            made: Mutex::new((Instant::now(), vec![0; usize::from(BUCKETS)])),
        }
    }

    fn made(&self) -> MutexGuard<'_, (Instant, Vec<u8>)> {
        // The counts stay valid even if a thread panics while it holds the lock.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.0.elapsed() >= FIRST_GUESSES_LIFE {
            made.0 = Instant::now();
            made.1.fill(0);
        }
        made
    }

    /// Whether the address has first guesses left.
    pub fn has_left(&self, network: Network) -> bool {
        self.made().1[usize::from(network.0)] < self.per_network
    }

    /// Counts a wrong guess.
    pub fn count(&self, network: Network) {
        let mut made = self.made();
        let count = &mut made.1[usize::from(network.0)];
        *count = count.saturating_add(1);
    }
}

/// Limits guesses of the set-up code. ADR 9 has the arithmetic.
pub struct SetupGuesses {
    first: FirstGuesses,
    in_all: AttemptLimit<()>,
    /// Held while a code is compared, so that simultaneous guesses are all counted.
    turn: Mutex<()>,
}

impl SetupGuesses {
    /// Wrong codes per address that are exempt from the total limit.
    pub const FIRST: u8 = 5;

    pub fn new() -> Self {
        Self {
            first: FirstGuesses::new(Self::FIRST),
            in_all: AttemptLimit::new(SETUP_BURST, SETUP_PERIOD),
            turn: Mutex::default(),
        }
    }

    /// Compares a code if the address may guess. Only wrong codes count.
    ///
    /// # Errors
    /// The address must wait; the error is how long.
    pub fn guess(&self, network: Network, is_right: impl FnOnce() -> bool) -> Result<bool, Duration> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = self.first.has_left(network);
        if !is_first {
            self.in_all.check(&())?;
        }
        if is_right() {
            return Ok(true);
        }
        match is_first {
            true => self.first.count(network),
            false => self.in_all.count(&()),
        }
        Ok(false)
    }
}

/// The network that counts as one address: for IPv6 the whole /64, which anyone can have.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Addresses in different buckets.
    pub fn distinct<const N: usize>(networks: &Networks) -> [IpAddr; N] {
        let mut found: Vec<(Network, IpAddr)> = Vec::new();
        let addresses = (1..u32::MAX).map(|number| IpAddr::from(number.to_be_bytes()));
        for address in addresses {
            let network = networks.of(Some(address));
            if found.iter().all(|(other, _)| *other != network) {
                found.push((network, address));
            }
            if found.len() == N {
                break;
            }
        }
        let found: Vec<IpAddr> = found.into_iter().map(|(_, address)| address).collect();
        found.try_into().unwrap()
    }

    const SECONDS: Duration = Duration::from_secs(6);

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_sender_has_its_own_attempts() {
        let limit = AttemptLimit::new(NonZeroU32::new(10).unwrap(), SECONDS);
        for _ in 0..100 {
            limit.check(&"one").unwrap();
        }
        for _ in 0..=10 {
            limit.check(&"one").unwrap();
            limit.count(&"one");
        }
        let wait = limit.check(&"one").unwrap_err();
        assert!(wait <= SECONDS && wait > SECONDS / 2, "{wait:?}");
        limit.check(&"other").unwrap();
    }

    #[test]
    fn a_sender_that_has_waited_may_try_again() {
        let limit = AttemptLimit::new(NonZeroU32::MIN, Duration::from_millis(5));
        limit.count(&"one");
        limit.count(&"one");
        let wait = limit.check(&"one").unwrap_err();
        std::thread::sleep(wait);
        limit.check(&"one").unwrap();
    }

    #[test]
    fn the_memory_is_bounded_and_a_new_address_may_guess_whatever_addresses_have_guessed() {
        let (networks, limit) = (Networks::default(), AttemptLimit::new(NonZeroU32::MIN, SECONDS));
        let first = FirstGuesses::new(1);
        for number in 0..3_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let address = [0x20, 1, 0x0d, 0xb8, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 1];
            let network = networks.of(Some(IpAddr::from(address)));
            first.count(network);
            for _ in 0..2 {
                limit.count(&network);
            }
        }
        assert!(limit.blocked().len() <= MAX_KEYS);
        let others: Vec<Network> = (0..250)
            .map(|last| networks.of(address(&format!("192.0.2.{last}"))))
            .collect();
        // A fifth of the buckets is used up.
        let allowed = others
            .iter()
            .filter(|&&network| first.has_left(network) && limit.check(&network).is_ok());
        assert!(allowed.count() > 150);
    }

    #[test]
    fn wrong_setup_codes_of_other_addresses_do_not_keep_a_new_address_out() {
        let (networks, guesses) = (Networks::default(), SetupGuesses::new());
        let [attacker, owner] = distinct(&networks).map(|address| networks.of(Some(address)));
        let compared = (0..1_000).filter(|_| guesses.guess(attacker, || false).is_ok());
        let (first, burst) = (usize::from(SetupGuesses::FIRST), SETUP_BURST.get() as usize);
        assert_eq!(compared.count(), first + burst + 1);
        let wait = guesses.guess(attacker, || true).unwrap_err();
        assert!(wait <= SETUP_PERIOD, "{wait:?}");
        // The owner mistypes it too.
        assert_eq!(guesses.guess(owner, || false), Ok(false));
        assert_eq!(guesses.guess(owner, || true), Ok(true));
    }

    #[test]
    fn guesses_at_the_same_moment_are_all_counted() {
        let (networks, guesses) = (Networks::default(), SetupGuesses::new());
        let network = networks.of(None);
        let guess = || {
            (0..100)
                .filter(|_| guesses.guess(network, || false).is_ok())
                .count()
        };
        let compared: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(guess)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(
            compared,
            usize::from(SetupGuesses::FIRST) + SETUP_BURST.get() as usize + 1
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_sender() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
