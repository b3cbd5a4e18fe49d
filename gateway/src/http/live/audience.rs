//! The audience of the live feed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comptoir_identity::Role;
use tokio::sync::watch;

use super::history::History;
use super::view::PersonalData;

/// The live connections, and the ticks that they read.
#[derive(Default)]
pub struct Audience {
    pub(super) ticks: History,
    /// Number of connections that get one packet per event, by view.
    single: [AtomicUsize; 2],
    /// Number of connections that get batches, by view.
    batched: [AtomicUsize; 2],
    /// The valid credentials with their roles.
    pub(super) credentials: watch::Sender<Arc<HashMap<String, Role>>>,
}

impl Audience {
    /// The views of connections that get one packet per event.
    pub(super) fn single_views(&self) -> [bool; 2] {
        present(&self.single)
    }

    /// The views of connections that get batches.
    pub(super) fn batched_views(&self) -> [bool; 2] {
        present(&self.batched)
    }

    pub(in crate::http) fn count(&self) -> usize {
        let all = self.single.iter().chain(&self.batched);
        all.map(|counter| counter.load(Ordering::SeqCst)).sum()
    }

    /// Counts a connection until the returned value is dropped. Ticks are rendered only for the kinds of connections
    /// that are counted, so a connection must join before it first reads the state.
    pub(super) fn join(&self, is_batched: bool, view: PersonalData) -> Membership<'_> {
        let counters = if is_batched { &self.batched } else { &self.single };
        let counter = &counters[view as usize];
        counter.fetch_add(1, Ordering::SeqCst);
        Membership(counter)
    }
}

fn present(counters: &[AtomicUsize; 2]) -> [bool; 2] {
    counters
        .each_ref()
        .map(|counter| counter.load(Ordering::SeqCst) > 0)
}

pub(super) struct Membership<'a>(&'a AtomicUsize);

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
