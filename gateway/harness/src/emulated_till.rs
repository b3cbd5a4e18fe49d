//! A till on bare metal, in QEMU: its flash is a file, so it outlives the machine.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::eventually::within;
use crate::process::Process;
use crate::scratch::Scratch;

const QEMU: &str = "qemu-system-riscv32";
/// A bank of the machine's flash, in bytes, and where the settings are in it.
const FLASH: usize = 32 << 20;
const SETTINGS: u64 = 16 << 20;

/// The emulated board, on or off.
#[derive(Debug)]
pub struct EmulatedTill {
    image: &'static Path,
    scratch: Scratch,
    machine: Option<Process>,
}

impl EmulatedTill {
    /// A board with new flash, switched off. `settings` are those of the board, e.g. `device=till-7;port=1883`.
    ///
    /// # Errors
    /// The image cannot be built: the message says what to install.
    pub fn new(settings: &str) -> Result<Self> {
        let scratch = Scratch::new("emulated-till")?;
        let mut flash = File::create(scratch.join("flash.img")).context("make the flash")?;
        flash.write_all(&vec![0xff; FLASH]).context("erase the flash")?;
        flash.seek(SeekFrom::Start(SETTINGS))?;
        flash
            .write_all(settings.as_bytes())
            .context("write the settings")?;
        Ok(Self {
            image: image()?,
            scratch,
            machine: None,
        })
    }

    /// Switches it on.
    ///
    /// # Errors
    /// QEMU is not there.
    pub fn switch_on(&mut self) -> Result<()> {
        let flash = self.scratch.join("flash.img");
        let mut command = Command::new(QEMU);
        command
            .args([
                "-machine",
                "virt",
                "-m",
                "16",
                "-nographic",
                "-monitor",
                "none",
                "-serial",
                "stdio",
            ])
            .arg("-bios")
            .arg(self.image)
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={}", flash.display()))
            .args(["-netdev", "user,id=n0", "-device", "virtio-net-device,netdev=n0"]);
        let machine = Process::spawn("till", command, &self.serial()).with_context(|| {
            format!("{QEMU}: install Debian's qemu-system-misc, or your system's QEMU for RISC-V")
        })?;
        self.machine = Some(machine);
        Ok(())
    }

    /// Pulls the plug (SIGKILL).
    pub fn pull_the_plug(&mut self) {
        self.machine = None;
    }

    /// Waits until it has switched itself off.
    ///
    /// # Errors
    /// It is off already, or still on when the deadline has passed.
    pub async fn finish(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match &mut self.machine {
            Some(machine) => machine.wait(deadline).await,
            None => bail!("the till is off"),
        }
    }

    /// Waits until it has said that it sold this number, or a later one.
    ///
    /// # Errors
    /// It ended, or did not within the deadline.
    pub async fn sold(&mut self, seq: u32, deadline: Duration) -> Result<()> {
        within("the till's sale", deadline, async || {
            let newest = self.sales().last().map(|sale| sale.seq);
            ensure!(newest >= Some(seq), "{newest:?} of {seq}\n{}", self.log());
            Ok(())
        })
        .await
    }

    /// What it has confirmed, as far as the serial line was told before a plug was pulled.
    pub fn sales(&self) -> Vec<ConfirmedSale> {
        self.log().lines().filter_map(ConfirmedSale::parse).collect()
    }

    /// What the serial line said, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.serial()).unwrap_or_default()
    }

    fn serial(&self) -> PathBuf {
        self.scratch.join("serial.log")
    }
}

/// A line `till: sold {seq} {topic} {order_id} kept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedSale {
    pub seq: u32,
    /// `orders`, `payments` or `deliveries`.
    pub topic: String,
    /// The `order_id`.
    pub key: String,
}

impl ConfirmedSale {
    fn parse(line: &str) -> Option<Self> {
        // The last word: a line that was cut off says nothing.
        let words = line
            .trim_end()
            .strip_prefix("till: sold ")?
            .strip_suffix(" kept")?;
        let mut words = words.split(' ');
        Some(Self {
            seq: words.next()?.parse().ok()?,
            topic: words.next()?.to_owned(),
            key: words.next()?.to_owned(),
        })
    }
}

/// Builds the image once per process.
fn image() -> Result<&'static Path> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match IMAGE.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(image) => Ok(image),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/boards/build-qemu-riscv.sh");
    let test = std::env::current_exe().context("find this test's own binary")?;
    let target = test
        .ancestors()
        .nth(3)
        .context("find the folder of what is built")?;
    let output = Command::new(&script)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .with_context(|| format!("start {}", script.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the bare-metal image cannot be built\n{errors}"
    );
    print!("{errors}");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}
