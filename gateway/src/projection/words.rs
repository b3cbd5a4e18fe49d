//! Words that come again and again, each kept once.

use std::collections::HashSet;
use std::sync::Arc;

/// More than all the statuses, currencies, stores and tills that one shop sees; others, of foreign records, are not kept.
const MOST: usize = 1_024;

#[derive(Default)]
pub(super) struct Words(HashSet<Arc<str>>);

impl Words {
    pub fn share(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.get(word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        if self.0.len() < MOST {
            self.0.insert(Arc::clone(&word));
        }
        word
    }
}
