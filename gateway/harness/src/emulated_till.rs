//! The firmware of a till in QEMU. Its flash is a file and survives the emulated machine.

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
/// Bytes of the flash bank.
const BANK: usize = 32 << 20;
/// Offset of the board's settings in the flash bank.
const SETTINGS: u64 = 16 << 20;

/// An emulated board, switched on or off.
#[derive(Debug)]
pub struct EmulatedTill {
    image: &'static Path,
    machine: Option<Process>,
    scratch: Scratch,
}

impl EmulatedTill {
    /// Bytes of an erase sector.
    pub const SECTOR: usize = 256 << 10;
    /// Bytes of the queue's sectors, at the start of the flash.
    pub const QUEUE: usize = 8 * Self::SECTOR;

    /// A board with erased flash, switched off. `settings` are the board's, for example `device=till-7;port=1883`.
    ///
    /// # Errors
    /// The firmware image cannot be built. The message says what to install.
    pub fn new(settings: &str) -> Result<Self> {
        let image = image::build_once()?;
        let scratch = Scratch::new("emulated-till")?;
        let mut flash = File::create(scratch.join("flash.img")).context("create the flash file")?;
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

    /// The firmware image that all emulated tills run.
    ///
    /// # Errors
    /// Same as [`new`](Self::new).
    pub fn image() -> Result<Image> {
        Image::read()
    }

    /// Switches it on.
    ///
    /// # Errors
    /// QEMU is not installed.
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

    /// Cuts the power (SIGKILL). Returns the content of the queue's flash after the cut.
    ///
    /// # Errors
    /// The till had already switched itself off, or the flash cannot be read.
    pub fn pull_the_plug(&mut self) -> Result<Vec<u8>> {
        let mut machine = self.machine.take().context("the till is off")?;
        machine.still_running()?;
        machine.kill();
        self.flash()
    }

    /// Resets the machine, as its reset button does. Returns the content of the queue's flash at the reset.
    ///
    /// # Errors
    /// The till is off, or QEMU's monitor refuses.
    pub async fn reset(&mut self) -> Result<Vec<u8>> {
        let mut monitor = Monitor::connect(&self.monitor()).await?;
        // The machine is stopped between reading and the reset, so the flash cannot change in between.
        monitor.execute("stop").await?;
        let flash = self.flash()?;
        monitor.execute("system_reset").await?;
        monitor.execute("cont").await?;
        Ok(flash)
    }

    /// Waits until the till has switched itself off.
    ///
    /// # Errors
    /// It is off already, or still on at the deadline.
    pub async fn finish(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match &mut self.machine {
            Some(machine) => machine.wait(deadline).await,
            None => bail!("the till is off"),
        }
    }

    /// Waits until the till has confirmed the sale with sequence number `seq` or a later one.
    ///
    /// # Errors
    /// The till has not confirmed it by the deadline.
    pub async fn sold(&self, seq: u32, deadline: Duration) -> Result<()> {
        within("the till's sale", deadline, async || {
            let newest = self.newest();
            ensure!(newest >= seq, "{newest} of {seq}\n{}", self.log());
            Ok(())
        })
        .await
    }

    /// Waits until the till writes to the queue's flash, so that it differs from `before`.
    ///
    /// # Errors
    /// The flash has not changed by the deadline, or cannot be read.
    pub async fn writes(&self, before: &[u8], deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        // No pause between two reads, unlike `within`: writing a sale takes only a few milliseconds.
        while self.flash()? == before {
            ensure!(
                Instant::now() < end,
                "waited {deadline:?} for the flash to change"
            );
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The content of the queue's flash now.
    ///
    /// # Errors
    /// The flash file cannot be read.
    pub fn flash(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; Self::QUEUE];
        File::open(self.flash_file())
            .and_then(|mut file| file.read_exact(&mut bytes))
            .context("read the flash")?;
        Ok(bytes)
    }

    /// The sales that the till has confirmed on its serial line, in order. A power cut can lose the last line.
    pub fn sales(&self) -> Vec<ConfirmedSale> {
        serial::sales(&self.log())
    }

    /// The sequence number of the last confirmed sale; 0 if there is none.
    pub fn newest(&self) -> u32 {
        self.sales().last().map_or(0, |sale| sale.seq)
    }

    /// The stack use from the last start until the till switched itself off.
    ///
    /// # Errors
    /// The till has not switched itself off.
    pub fn stack(&self) -> Result<Stack> {
        serial::stack(&self.log())
            .with_context(|| format!("the till has not reported its stack\n{}", self.log()))
    }

    /// The output of the serial line since the first start.
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
