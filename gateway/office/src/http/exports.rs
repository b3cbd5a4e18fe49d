//! Limits the CSV files that are written at the same time, because each holds a connection to PostgreSQL.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Files written at the same time, each for another caller.
const MAX_FILES: usize = 2;

/// The files that are being written, by [`identity`](crate::access::Caller::identity) of the caller.
#[derive(Debug, Clone, Default)]
pub struct Exports(Arc<Mutex<HashSet<String>>>);

/// Why no file can be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExportsBusy {
    #[error("Another file is being written for you")]
    Own,
    #[error("Files are being written for {MAX_FILES} others")]
    Others,
}

impl Exports {
    /// Takes a place until the returned value is dropped.
    ///
    /// # Errors
    /// Too many files are being written.
    pub fn begin(&self, identity: &str) -> Result<Export, ExportsBusy> {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.contains(identity) {
            return Err(ExportsBusy::Own);
        }
        if writing.len() >= MAX_FILES {
            return Err(ExportsBusy::Others);
        }
        writing.insert(identity.to_owned());
        Ok(Export {
            exports: self.clone(),
            identity: identity.to_owned(),
        })
    }
}

/// The place of a file that is being written.
#[derive(Debug)]
pub struct Export {
    exports: Exports,
    identity: String,
}

impl Drop for Export {
    fn drop(&mut self) {
        let mut writing = self.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
        writing.remove(&self.identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_one_place_and_leaves_one_to_others() {
        let exports = Exports::default();
        let first = exports.begin("account anna").unwrap();
        assert_eq!(exports.begin("account anna").unwrap_err(), ExportsBusy::Own);
        let _second = exports.begin("token 7").unwrap();
        assert_eq!(exports.begin("account boris").unwrap_err(), ExportsBusy::Others);
        drop(first);
        assert!(exports.begin("account anna").is_ok());
    }
}
