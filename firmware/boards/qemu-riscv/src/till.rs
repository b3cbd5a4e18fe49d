//! Runs the till on this machine's flash, network and clock.

use core::fmt;

use comptoir_device::settings::Settings;
use comptoir_device::{Board, Link, Memory, PacedOperator, open, run as run_till};
use comptoir_queue::{SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Random};
use embedded_storage_async::nor_flash::ReadNorFlash;
use smoltcp::wire::Ipv4Address;

use crate::entropy;
use crate::flash::{Flash, SECTOR};
use crate::log;
use crate::machine;
use crate::nic::{Buffers, Nic, Port};

/// Sectors for events; the queue has two more for its notes.
const SECTORS: usize = 6;
#[expect(clippy::cast_possible_truncation, reason = "2 MiB")]
const QUEUE: core::ops::Range<u32> = 0..((2 + SECTORS) * SECTOR) as u32;
/// Offset of the settings, in the middle of the bank.
const SETTINGS: u32 = 0x0100_0000;
/// The host's loopback in QEMU's user network.
const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

struct Machine;

impl Board for Machine {
    fn micros(&self) -> u64 {
        machine::micros()
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        log!("{line}");
    }
}

/// Runs until no more sales will come and everything is acked; for ever if the settings say so. `device_tree` is the
/// address of the device tree.
pub fn run(device_tree: usize) -> Result<(), &'static str> {
    static mut MEMORY: Memory = Memory::new();
    static mut PACKETS: Buffers = Buffers::new();
    let (memory, packets) = (&raw mut MEMORY, &raw mut PACKETS);
    // SAFETY: the entry point calls `run` once.
    let (memory, packets) = unsafe { (&mut *memory, &mut *packets) };
    // SAFETY: as above.
    let mut flash = unsafe { Flash::take() };
    let mut text = [0; 256];
    block_on(flash.read(SETTINGS, &mut text)).map_err(|_| "cannot read the flash")?;
    let settings = Settings::read(&text).map_err(|error| {
        log!("till: settings: {error}");
        "invalid settings"
    })?;
    let machine = Machine;
    // Does not use the autopilot's seed: after a format with the same settings, new events would get the names of old
    // ones.
    let mut random = Random::new(entropy::draw(device_tree));
    let epoch = settings.epoch.unwrap_or(random.next_u32());
    let names = (settings.store, settings.device);
    let stop = |error| {
        log!("till: {error}");
        "the till stops"
    };
    let (queue, _): (SaleQueue<_, SECTORS>, _) = open(&machine, flash, QUEUE, epoch, names).map_err(stop)?;
    let nic = Nic::find(packets).ok_or("there is no network card")?;
    let link = Link {
        store: settings.store,
        device: settings.device,
        broker: HOST,
        port: settings.port,
        password: settings.password,
        mac: nic.mac(),
    };
    let autopilot = Autopilot::new(settings.seed, queue.newest(), settings.long_every);
    let operator = PacedOperator::new(autopilot, settings.events, settings.pace);
    run_till(&machine, Port(&nic), link, queue, operator, random, memory).map_err(stop)
}
