//! Appending through the gateway's own journal, in the batches that ingest makes of a flood.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, Result};
use comptoir_gateway::journal::Journal;

use super::Mark;
use crate::sales::Pool;

const BATCH: u32 = 512;
/// Batches that wait for their commit.
const BATCHES: usize = 4;

pub async fn run(path: &Path, events: u32) -> Result<()> {
    let (journal, writer) = Journal::open(path, 1 << 40).await?;
    let writer = tokio::spawn(writer.run());
    // With an epoch of its own: the numbers of an earlier run are not in the way.
    let pool = Pool::new()?;
    Mark::print()?;
    let mut waiting = VecDeque::new();
    let mut at = 0;
    while at < events || !waiting.is_empty() {
        if at < events && waiting.len() < BATCHES {
            let end = events.min(at + BATCH);
            let batch = (at..end).map(|at| pool.submission(at)).collect();
            waiting.push_back(journal.submit(batch).await?);
            at = end;
        } else if let Some(receipt) = waiting.pop_front() {
            receipt.await.context("the journal's writer is gone")??;
        }
    }
    Mark::print()?;
    journal.close().await;
    writer.await?;
    Ok(())
}
