//! A till on bare metal, in QEMU: its flash is a file, so it outlives the machine.

mod image;
mod monitor;
mod serial;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use crate::eventually::within;
use crate::process::{Process, read_log};
use crate::scratch::Scratch;
pub use image::Image;
use monitor::Monitor;
pub use serial::{ConfirmedSale, Stack};

const QEMU: &str = "qemu-system-riscv32";
/// Bytes of the flash bank, and where in it the board looks for its settings.
const BANK: usize = 32 << 20;
const SETTINGS: u64 = 16 << 20;

/// The emulated board, on or off.
#[derive(Debug)]
pub struct EmulatedTill {
    image: &'static Path,
    machine: Option<Process>,
    scratch: Scratch,
}

impl EmulatedTill {
    /// Bytes of an erase sector, and of the sectors at the start of the flash that the board's queue takes.
    pub const SECTOR: usize = 256 << 10;
    pub const QUEUE: usize = 8 * Self::SECTOR;

    /// A board with new flash, switched off. `settings` are those of the board, e.g. `device=till-7;port=1883`.
    ///
    /// # Errors
    /// The image cannot be built: the message says what to install.
    pub fn new(settings: &str) -> Result<Self> {
        let image = image::built()?;
        let scratch = Scratch::new("emulated-till")?;
        let mut flash = File::create(scratch.join("flash.img")).context("make the flash")?;
        flash.write_all(&vec![0xff; BANK]).context("erase the flash")?;
        flash.seek(SeekFrom::Start(SETTINGS))?;
        flash
            .write_all(settings.as_bytes())
            .context("write the settings")?;
        Ok(Self {
            image,
            machine: None,
            scratch,
        })
    }

    /// What it runs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn image() -> Result<Image> {
        Image::read()
    }

    /// Switches it on.
    ///
    /// # Errors
    /// QEMU is not there.
    pub fn switch_on(&mut self) -> Result<()> {
        let mut command = Command::new(QEMU);
        command
            .args(["-machine", "virt", "-m", "16", "-display", "none"])
            .args(["-monitor", "none", "-serial", "stdio"])
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", self.monitor().display()))
            .arg("-bios")
            .arg(self.image)
            .arg("-drive")
            .arg(format!(
                "if=pflash,unit=1,format=raw,file={}",
                self.flash_file().display()
            ))
            .args(["-netdev", "user,id=n0", "-device", "virtio-net-device,netdev=n0"]);
        let machine = Process::spawn("the till", command, &self.serial()).with_context(|| {
            format!("{QEMU}: install Debian's qemu-system-misc, or your system's QEMU for RISC-V")
        })?;
        self.machine = Some(machine);
        Ok(())
    }

    /// Pulls the plug (SIGKILL); the queue's flash, as that left it.
    ///
    /// # Errors
    /// It had switched itself off before, or the flash cannot be read.
    pub fn pull_the_plug(&mut self) -> Result<Vec<u8>> {
        let mut machine = self.machine.take().context("the till is off")?;
        machine.still_running()?;
        machine.kill();
        self.flash()
    }

    /// Resets the machine, as its button does; the queue's flash, as that left it.
    ///
    /// # Errors
    /// It is off, or QEMU's monitor does not do it.
    pub async fn reset(&mut self) -> Result<Vec<u8>> {
        let mut monitor = Monitor::connect(&self.monitor()).await?;
        // Between the two no instruction is executed, so what is read is what the reset leaves.
        monitor.execute("stop").await?;
        let flash = self.flash()?;
        monitor.execute("system_reset").await?;
        monitor.execute("cont").await?;
        Ok(flash)
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

    /// Waits until it has confirmed the sale with this number, or a later one.
    ///
    /// # Errors
    /// It did not within the deadline.
    pub async fn sold(&self, seq: u32, deadline: Duration) -> Result<()> {
        within("the till's sale", deadline, async || {
            let newest = self.newest();
            ensure!(newest >= seq, "{newest} of {seq}\n{}", self.log());
            Ok(())
        })
        .await
    }

    /// Waits until the queue's flash is no longer `before`: until it is being written.
    ///
    /// # Errors
    /// It did not change within the deadline, or cannot be read.
    pub async fn writes(&self, before: &[u8], deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        // Without a pause, unlike `within`: a sale is written in a few milliseconds.
        while self.flash()? == before {
            ensure!(
                Instant::now() < end,
                "waited {deadline:?} for the flash to change"
            );
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What the queue's flash holds now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn flash(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; Self::QUEUE];
        File::open(self.flash_file())
            .and_then(|mut file| file.read_exact(&mut bytes))
            .context("read the flash")?;
        Ok(bytes)
    }

    /// What it has confirmed, in that order, as far as the serial line was told before a plug was pulled.
    pub fn sales(&self) -> Vec<ConfirmedSale> {
        serial::sales(&self.log())
    }

    /// The number of the sale that it confirmed last; 0 if there is none.
    pub fn newest(&self) -> u32 {
        self.sales().last().map_or(0, |sale| sale.seq)
    }

    /// What it used of its stack from its last start until it switched itself off.
    ///
    /// # Errors
    /// It has not switched itself off.
    pub fn stack(&self) -> Result<Stack> {
        serial::stack(&self.log()).with_context(|| format!("the till tells no stack\n{}", self.log()))
    }

    /// What the serial line said, over all its lives.
    pub fn log(&self) -> String {
        read_log(&self.serial())
    }

    fn serial(&self) -> PathBuf {
        self.scratch.join("serial.log")
    }

    fn flash_file(&self) -> PathBuf {
        self.scratch.join("flash.img")
    }

    fn monitor(&self) -> PathBuf {
        self.scratch.join("monitor")
    }
}
