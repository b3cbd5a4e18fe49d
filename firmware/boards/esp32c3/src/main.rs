//! A till on an ESP32-C3. Nothing is decided here: `comptoir-device` is put on the chip's flash, Wi-Fi, light, button
//! and watchdog.

#![no_std]
#![no_main]

mod flash;
mod serial;
mod wifi;

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::panic::PanicInfo;
use core::pin::{Pin, pin};
use core::task::{Context, Waker};

use comptoir_device::{Board, Button, Debounce, Link, Memory, State, lit, open, run};
use comptoir_queue::SaleQueue;
use comptoir_terminal::{Autopilot, Random};
use comptoir_wire::topic::Name;
use esp_hal::clock::CpuClock;
use esp_hal::gpio::{Input, InputConfig, Level, Output, OutputConfig, Pull};
use esp_hal::peripherals::TIMG0;
use esp_hal::rng::{Trng, TrngSource};
use esp_hal::time::{Duration, Instant};
use esp_hal::timer::timg::{MwdtStage, TimerGroup, Wdt};
use esp_hal::usb::usb_serial_jtag::UsbSerialJtag;
use esp_radio::wifi::{Interface, WifiController};
use esp_storage::FlashStorage;

use crate::flash::{QUEUE_BYTES, QueueFlash, SECTORS};
use crate::serial::Serial;

esp_bootloader_esp_idf::esp_app_desc!();

/// The Wi-Fi driver's memory. Nothing of the till is on it.
const RADIO_HEAP: usize = 72 * 1024;
/// How long the console waits for a key at the start.
const CONSOLE: Duration = Duration::from_secs(3);
/// The hardware watchdog: longer than every step of the loop.
const WATCHDOG: Duration = Duration::from_secs(30);

struct Chip<'a> {
    serial: &'a Serial,
    wifi: RefCell<Pin<&'a mut dyn Future<Output = ()>>>,
    light: RefCell<Output<'static>>,
    button: Input<'static>,
    debounce: RefCell<Debounce>,
    /// The button, since the till last asked.
    was_pressed: Cell<bool>,
    watchdog: RefCell<Wdt<TIMG0<'static>>>,
    state: Cell<State>,
}

impl Board for Chip<'_> {
    fn micros(&self) -> u64 {
        micros()
    }

    fn say(&self, line: fmt::Arguments<'_>) {
        self.serial.say(line);
    }

    fn work(&self) {
        // It never ends.
        let _ = self
            .wifi
            .borrow_mut()
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        // The light is on when its pin is low.
        let dark = !lit(self.state.get(), self.millis());
        self.light.borrow_mut().set_level(dark.into());
        if self
            .debounce
            .borrow_mut()
            .look(self.button.is_low(), self.millis())
        {
            self.was_pressed.set(true);
        }
    }

    fn alive(&self) {
        self.watchdog.borrow_mut().feed();
    }

    fn show(&self, state: State) {
        self.state.set(state);
    }
}

fn micros() -> u64 {
    Instant::now().duration_since_epoch().as_micros()
}

/// 64 bits of the chip's true randomness, which its converter's noise feeds.
fn draw(random: &Trng) -> u64 {
    (u64::from(random.random()) << 32) | u64::from(random.random())
}

#[esp_hal::main]
fn main() -> ! {
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    esp_alloc::heap_allocator!(size: RADIO_HEAP);
    let serial = Serial::new(UsbSerialJtag::new(chip.USB_DEVICE));
    let mut flash = FlashStorage::new(chip.FLASH);
    let settings = serial.console(&mut flash, CONSOLE);
    let (epoch, seed) = {
        let _source = TrngSource::new(chip.RNG, chip.ADC1);
        match Trng::try_new() {
            Ok(random) => (random.random(), draw(&random)),
            Err(_) => stop(&serial, format_args!("no randomness")),
        }
    };
    let timers = TimerGroup::new(chip.TIMG0);
    esp_rtos::start(timers.timer0, chip.FROM_CPU_INTR0);
    let mut watchdog = timers.wdt;
    watchdog.set_timeout(MwdtStage::Stage0, WATCHDOG);
    watchdog.enable();

    let (Ok(store), Ok(device)) = (Name::new(&settings.store), Name::new(&settings.device)) else {
        stop(&serial, format_args!("store and device are no names"));
    };
    let mut controller = match WifiController::new(chip.WIFI, Default::default()) {
        Ok(controller) => controller,
        Err(trouble) => stop(&serial, format_args!("Wi-Fi: {trouble:?}")),
    };
    if let Err(trouble) = wifi::config(&settings).and_then(|config| controller.set_config(&config)) {
        stop(&serial, format_args!("Wi-Fi: {trouble:?}"));
    }
    let card = Interface::station();
    let link = Link {
        store,
        device,
        password: &settings.login,
        broker: settings.host,
        port: settings.port,
        mac: card.mac_address(),
    };
    let joined = pin!(wifi::stay_joined(controller, &serial));
    let board = Chip {
        serial: &serial,
        wifi: RefCell::new(joined),
        light: RefCell::new(Output::new(chip.GPIO8, Level::High, OutputConfig::default())),
        button: Input::new(chip.GPIO9, InputConfig::default().with_pull(Pull::Up)),
        debounce: RefCell::default(),
        was_pressed: Cell::new(false),
        watchdog: RefCell::new(watchdog),
        state: Cell::new(State::Offline),
    };

    static mut MEMORY: Memory = Memory::new();
    let memory = &raw mut MEMORY;
    // SAFETY: `main` is called once, and nothing else names it.
    let memory = unsafe { &mut *memory };
    let opened = open(&board, QueueFlash(flash), 0..QUEUE_BYTES, epoch, (store, device));
    let queue: SaleQueue<_, SECTORS> = match opened {
        Ok((queue, _)) => queue,
        Err(trouble) => stop(&serial, format_args!("{trouble}")),
    };
    let autopilot = Autopilot::new(seed, queue.newest(), 0);
    let button = Button::new(autopilot, || board.was_pressed.take());
    match run(
        &board,
        wifi::Card(card),
        link,
        queue,
        button,
        Random::new(seed),
        memory,
    ) {
        Ok(()) => stop(&serial, format_args!("nothing more to sell")),
        Err(trouble) => stop(&serial, format_args!("{trouble}")),
    }
}

/// Says why, and starts anew.
fn stop(serial: &Serial, trouble: fmt::Arguments<'_>) -> ! {
    serial.say(format_args!("till: cannot go on: {trouble}"));
    let start = Instant::now();
    // Time for the line to be read, and no quick circle of restarts.
    while start.elapsed() < Duration::from_secs(5) {}
    esp_hal::system::software_reset()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // The serial line may be what panicked; the queue is on flash.
    esp_hal::system::software_reset()
}
