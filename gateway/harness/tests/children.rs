//! A child process ends with the process that started it, however that one ends.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Scratch, eventually, within};

const DEADLINE: Duration = Duration::from_secs(10);
const PID_FILE: &str = "HARNESS_TEST_PID_FILE";

fn sleeper(log: &Path) -> Result<Process> {
    let mut command = Command::new("sleep");
    command.arg("600");
    Process::spawn("sleep", command, log)
}

/// Not a test by itself: the process that the next test starts and kills.
#[test]
fn parent() -> Result<()> {
    let Some(pid_file) = env::var_os(PID_FILE) else {
        return Ok(());
    };
    let scratch = Scratch::new("parent")?;
    let child = sleeper(&scratch.join("log"))?;
    // Renamed into place, so that the test never reads a partial number.
    let partial = Path::new(&pid_file).with_extension("partial");
    fs::write(&partial, child.pid().to_string())?;
    fs::rename(partial, pid_file)?;
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn a_child_ends_when_its_parent_is_killed() -> Result<()> {
    let scratch = Scratch::new("test")?;
    let pid_file = scratch.join("pid");
    let mut parent = Command::new(env::current_exe()?)
        .args(["--exact", "parent"])
        .env(PID_FILE, &pid_file)
        .stdout(Stdio::null())
        .spawn()?;
    let child = within("the parent's child", DEADLINE, async || {
        Ok(fs::read_to_string(&pid_file)?)
    })
    .await?;
    let child = Path::new("/proc").join(child);
    ensure!(child.exists(), "the child does not run");
    parent.kill()?;
    parent.wait()?;
    eventually("the child to end", DEADLINE, async || {
        // The process that inherits the child may not have waited for it yet: then it is a zombie.
        let state = fs::read_to_string(child.join("stat")).unwrap_or_default();
        ensure!(state.is_empty() || state.contains(") Z "), "{state}");
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_child_outlives_the_thread_that_spawned_it_but_not_its_value() -> Result<()> {
    let scratch = Scratch::new("test")?;
    let log = scratch.join("log");
    let mut child = std::thread::spawn(move || sleeper(&log))
        .join()
        .ok()
        .context("the thread panicked")??;
    child.still_running()?;
    let proc = Path::new("/proc").join(child.pid().to_string());
    drop(child);
    assert!(!proc.exists());
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "waited 50ms for the moon: only stars")]
async fn a_missed_deadline_panics_with_what_was_awaited_and_observed() {
    eventually("the moon", Duration::from_millis(50), async || {
        anyhow::bail!("only stars");
        #[expect(unreachable_code, reason = "gives the type")]
        Ok(())
    })
    .await;
}
