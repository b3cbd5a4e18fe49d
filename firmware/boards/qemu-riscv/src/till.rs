//! Puts the till on the machine.

use core::fmt;

use comptoir_device::settings::Settings;
use comptoir_device::{Board, Link, Memory, Shift, open, run as run_till};
use comptoir_queue::{SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Random};
use embedded_storage_async::nor_flash::ReadNorFlash;
use smoltcp::wire::Ipv4Address;

use crate::entropy;
use crate::flash::{Flash, SECTOR};
use crate::machine;
use crate::nic::{Buffers, Nic, Port};
use crate::say;

/// Sectors of the queue: two for its notes, six for events.
const SECTORS: usize = 6;
#[expect(clippy::cast_possible_truncation, reason = "2 MiB")]
const QUEUE: core::ops::Range<u32> = 0..((2 + SECTORS) * SECTOR) as u32;
/// The settings: in the middle of the bank.
const SETTINGS: u32 = 0x0100_0000;
/// QEMU's user network: the host's loopback.
const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

struct Machine;

impl Board for Machine {
    fn micros(&self) -> u64 {
        machine::micros()
    }

    fn say(&self, line: fmt::Arguments<'_>) {
        say!("{line}");
    }
}

/// Runs until all is sold and acked; for ever if the settings say so. `tree` is the device tree's address.
pub fn run(tree: usize) -> Result<(), &'static str> {
    static mut MEMORY: Memory = Memory::new();
    static mut PACKETS: Buffers = Buffers::new();
    let (memory, packets) = (&raw mut MEMORY, &raw mut PACKETS);
    // SAFETY: `run` is called once, by the entry.
    let (memory, packets) = unsafe { (&mut *memory, &mut *packets) };
    // SAFETY: as above, once.
    let mut flash = unsafe { Flash::take() };
    let mut text = [0; 256];
    block_on(flash.read(SETTINGS, &mut text)).map_err(|_| "the flash cannot be read")?;
    let settings = Settings::read(&text).map_err(|error| {
        say!("till: settings: {error}");
        "settings"
    })?;
    let machine = Machine;
    // Never of the seed: a format with the same settings would give old names to new events.
    let mut random = Random::new(entropy::draw(tree));
    let epoch = settings.epoch.unwrap_or(random.next_u32());
    let names = (settings.store, settings.device);
    let trouble = |trouble| {
        say!("till: {trouble}");
        "the till stops"
    };
    let (queue, _): (SaleQueue<_, SECTORS>, _) =
        open(&machine, flash, QUEUE, epoch, names).map_err(trouble)?;
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
    let shift = Shift::new(autopilot, settings.events, settings.pace);
    run_till(&machine, Port(&nic), link, queue, shift, random, memory).map_err(trouble)
}
