//! CPU time, memory and disk writes of a process, from the operating system's accounting.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Totals since the process started. The difference between two samples is the use in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all threads, including those that have ended.
    pub cpu: Duration,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// Largest resident memory so far.
    pub peak_rss_bytes: u64,
    /// Bytes passed to the storage layer. Writes to the page cache count when they are made.
    pub disk_bytes_written: u64,
}

/// The totals of the process `pid`.
///
/// # Errors
/// The process has ended, or belongs to another user.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat = read(pid, "stat")?;
    let status = read(pid, "status")?;
    let io = read(pid, "io")?;
    // proc(5): the second field is the program's name in parentheses, which may itself contain blanks and parentheses.
    // utime and stime are the fields 14 and 15, in clock ticks.
    let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has no name")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap_or(0))
        .sum();
    Ok(Usage {
        cpu: Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?,
        rss_bytes: number(&status, "VmRSS:")? * 1024,
        peak_rss_bytes: number(&status, "VmHWM:")? * 1024,
        disk_bytes_written: number(&io, "write_bytes:")?,
    })
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

fn number(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value
        .with_context(|| format!("/proc has no {name}"))?
        .parse()
        .context("read a number of /proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_this_process_is_plausible() {
        let used = usage(std::process::id()).unwrap();
        assert!(
            used.rss_bytes > 100_000 && used.peak_rss_bytes >= used.rss_bytes,
            "{used:?}"
        );
    }
}
