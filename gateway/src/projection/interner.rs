//! Interned strings: a string that occurs in many rows is stored once.

use std::collections::HashSet;
use std::sync::Arc;

/// Most interned strings, more than one shop has statuses, currencies, stores and tills. Further strings, from foreign
/// records, are not shared.
const MAX_STRINGS: usize = 1_024;

#[derive(Default)]
pub(super) struct Interner(HashSet<Arc<str>>);

impl Interner {
    pub fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(interned) = self.0.get(text) {
            return Arc::clone(interned);
        }
        let text: Arc<str> = text.into();
        if self.0.len() < MAX_STRINGS {
            self.0.insert(Arc::clone(&text));
        }
        text
    }
}
