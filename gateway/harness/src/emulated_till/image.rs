//! The image that the emulated till runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// Builds it, once per process: after a build of these sources that is a look at their times.
///
/// # Errors
/// It cannot be built; the message says what to install.
pub(super) fn built() -> Result<&'static Path> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match IMAGE.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(image) => Ok(image),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/boards/build-qemu-riscv.sh");
    let test = std::env::current_exe().context("find this test's own binary")?;
    // A test is in target/<profile>/deps.
    let target = test
        .ancestors()
        .nth(3)
        .context("find the folder of what is built")?;
    let output = Command::new(&script)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .with_context(|| format!("start {}", script.display()))?;
    ensure!(
        output.status.success(),
        "the bare-metal image cannot be built\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = String::from_utf8(output.stdout).context("read the image's path")?;
    Ok(PathBuf::from(path.trim_end()))
}
