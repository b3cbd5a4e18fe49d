//! Words that come again and again, each kept once.

use std::sync::Arc;

/// More than all the statuses and currencies that one shop sees; others, of foreign records, are not kept.
const MOST: usize = 16;

#[derive(Default)]
pub(super) struct Words(Vec<Arc<str>>);

impl Words {
    pub fn share(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        if self.0.len() < MOST {
            self.0.push(Arc::clone(&word));
        }
        word
    }
}
