//! `gateway forget`: frees the room that a device takes in the journal.
//!
//! The journal has a single writer. The command asks the running gateway over HTTP; if none runs, it opens the journal
//! itself.

use std::process::ExitCode;

use anyhow::Context;
use comptoir_core::event::DeviceId;
use comptoir_journal::{Forgotten, Journal, OpenError};

use super::arguments::ConfigArguments;
use super::running_gateway::RunningGateway;
use crate::config::Config;

/// Forgets `device`.
///
/// # Errors
/// The journal does not know the device or cannot be written, or the running gateway refuses or does not answer.
pub async fn run(arguments: &ConfigArguments, device: &DeviceId) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    // Opening would create a missing journal.
    let exists = Journal::exists_at(&config.journal.path).await?;
    anyhow::ensure!(exists, "there is no journal at {}", config.journal.path.display());
    let opened = Journal::open(&config.journal.path, config.journal.max_bytes).await;
    let forgotten = match opened {
        Ok((journal, writer)) => {
            let writer = tokio::spawn(writer.of_store(&config.store).run());
            let forgotten = journal.forget(device.clone()).await;
            journal.close().await;
            writer.await.context("close the journal")?;
            forgotten?.with_context(|| {
                format!("the journal does not know {device}; the gateway page lists the devices")
            })?
        }
        Err(OpenError::InUse { .. }) => ask(&config, device).await?,
        Err(error) => return Err(error.into()),
    };
    println!(
        "{device}: {} epochs removed, {} kept with their numbers but without taking room",
        forgotten.removed, forgotten.dormant
    );
    if forgotten.pending > 0 {
        println!(
            "{} epochs have events that are not in Kafka yet and stay as they are; repeat the command later",
            forgotten.pending
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(config: &Config, device: &DeviceId) -> anyhow::Result<Forgotten> {
    let path = format!("/api/devices/{device}/forget");
    let body = RunningGateway::of(config)?.post(&path, None).await?;
    let count = |field: &str| body[field].as_u64().unwrap_or_default();
    Ok(Forgotten {
        removed: count("removed_epochs"),
        dormant: count("dormant_epochs"),
        pending: count("pending_epochs"),
    })
}
