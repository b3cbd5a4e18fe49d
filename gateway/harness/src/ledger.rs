//! The ledger of simulated tills: the events that they sent, and which of them were acked end to end.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One event. With `acked` it must be in Kafka exactly once; without, at most once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LedgerLine {
    /// `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
    /// `orders`, `payments` or `deliveries`.
    pub topic: String,
    /// The `order_id`.
    pub key: String,
    /// When it was published first, RFC 3339.
    pub published: Option<String>,
    /// When it was acked end to end, RFC 3339.
    pub acked: Option<String>,
}

/// Reads the complete lines of a ledger. The last line may be incomplete if the tills were killed.
///
/// # Errors
/// The file cannot be read, or a complete line is not a ledger line.
pub fn read_ledger(path: &Path) -> Result<Vec<LedgerLine>> {
    let file = File::open(path).with_context(|| format!("open the ledger {}", path.display()))?;
    let mut file = BufReader::new(file);
    let mut lines = Vec::new();
    let mut line = String::new();
    while file.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let number = lines.len() + 1;
        let read = serde_json::from_str(&line)
            .with_context(|| format!("{}, line {number}: {line}", path.display()))?;
        lines.push(read);
        line.clear();
    }
    Ok(lines)
}
