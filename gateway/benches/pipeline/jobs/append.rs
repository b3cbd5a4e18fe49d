//! Appends through the gateway's own journal, in the batches that ingest makes under full load.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, Result};
use comptoir_journal::Journal;

use super::ResourceSample;
use crate::sales::Pool;

/// Events per batch.
const BATCH: u32 = 512;
/// Largest number of batches that wait for their commit.
const MAX_WAITING: usize = 4;

pub async fn run(path: &Path, events: u32) -> Result<()> {
    let (journal, writer) = Journal::open(path, 1 << 40).await?;
    let writer = tokio::spawn(writer.run());
    // The pool has a new epoch, so event ids of an earlier run on the same journal are not repeated.
    let pool = Pool::new()?;
    ResourceSample::print()?;
    let mut waiting = VecDeque::new();
    let mut at = 0;
    while at < events || !waiting.is_empty() {
        if at < events && waiting.len() < MAX_WAITING {
            let end = events.min(at + BATCH);
            let batch = (at..end).map(|at| pool.submission(at)).collect();
            waiting.push_back(journal.submit(batch).await?);
            at = end;
        } else if let Some(receipt) = waiting.pop_front() {
            receipt.await.context("the journal's writer is gone")??;
        }
    }
    ResourceSample::print()?;
    journal.close().await;
    writer.await?;
    Ok(())
}
