//! Rate limits for each sender.
//!
//! The limits are far above what the pages of a shop need, and far below what would slow the gateway down. Users behind
//! one address, such as a reverse proxy on another machine, share one limit. This machine is exempt.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::connections::{ClientAddress, Sender};
use super::{AppState, Problem, ProblemType};
use crate::platform::metrics::HttpLimit;

/// Requests per second, for reads and for writes each.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Burst size: a page is a dozen files, and a few pages may be opened at once.
const BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Number of buckets in which senders are counted. A hash that differs in each process assigns them. So memory is
/// bounded, whatever addresses somebody uses, and nobody can choose whose bucket to share.
const BUCKETS: u64 = 1 << 14;

type Buckets = RateLimiter<u16, HashMapStateStore<u16>, DefaultClock>;

/// The request rates of all senders.
pub struct RequestRates {
    hasher: RandomState,
    reads: Buckets,
    writes: Buckets,
}

impl Default for RequestRates {
    fn default() -> Self {
        let buckets = || RateLimiter::hashmap(Quota::per_second(PER_SECOND).allow_burst(BURST));
        Self {
            hasher: RandomState::new(),
            reads: buckets(),
            writes: buckets(),
        }
    }
}

impl RequestRates {
    /// Counts a request. Returns false if it exceeds the limit.
    pub(in crate::http) fn allow(&self, sender: Sender, is_read: bool) -> bool {
        // Benchmarks, scripts and reverse proxies send thousands a second from this machine.
        if sender == Sender::Loopback {
            return true;
        }
        let bucket = (self.hasher.hash_one(sender) % BUCKETS) as u16;
        let buckets = if is_read { &self.reads } else { &self.writes };
        buckets.check_key(&bucket).is_ok()
    }
}

/// Middleware: rejects requests of a sender that exceeds its limit.
pub async fn check(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ConnectInfo<ClientAddress>>();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_allowed = client.is_none_or(|client| app.request_rates.allow(client.0.sender(), is_read));
    if is_allowed {
        return next.run(request).await;
    }
    app.metrics.http_limit(HttpLimit::Requests);
    Problem::new(
        ProblemType::TooManyRequests,
        format!(
            "This address has sent more than {PER_SECOND} requests a second. Nothing was stored. Wait for a second, then send \
             the request again."
        ),
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str) -> Sender {
        ClientAddress::new(address.parse().unwrap()).sender()
    }

    fn allowed(rates: &RequestRates, address: &str, is_read: bool) -> usize {
        (0..10 * BURST.get())
            .filter(|_| rates.allow(sender(address), is_read))
            .count()
    }

    #[test]
    fn a_burst_passes_then_the_rate_applies_to_each_address_and_not_to_this_machine() {
        let rates = RequestRates::default();
        let burst = BURST.get() as usize;
        let passed = allowed(&rates, "192.168.1.5", true);
        assert!((burst..2 * burst).contains(&passed), "{passed}");
        assert!(!rates.allow(sender("192.168.1.5"), true));
        let writes = allowed(&rates, "192.168.1.5", false);
        assert!(writes >= burst, "reads and writes are counted apart: {writes}");
        // Hardly any of many other senders shares the bucket.
        let others = (0..250).filter(|last| rates.allow(sender(&format!("192.168.2.{last}")), true));
        assert!(others.count() > 240);
        assert_eq!(allowed(&rates, "127.0.0.1", true), 10 * burst);
    }

    #[test]
    fn the_memory_is_bounded_whatever_addresses_are_used() {
        let rates = RequestRates::default();
        for network in 0..200_000_u32 {
            let [a, b, c, d] = network.to_be_bytes();
            rates.allow(Sender::V6([0x20, 1, 0x0d, 0xb8, a, b, c, d]), true);
        }
        assert!(rates.reads.len() <= BUCKETS as usize, "{}", rates.reads.len());
    }
}
