//! A till on an ESP32-C3: `comptoir-device` on the chip's flash, Wi-Fi, light, button and watchdog. Only hardware access is
//! here; the till's behaviour is the same on every board.

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

use comptoir_device::{Board, ButtonOperator, Debounce, Link, Memory, State, is_lit, open, run};
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

/// Heap of the Wi-Fi driver, in bytes. The till itself does not allocate.
const RADIO_HEAP: usize = 72 * 1024;
/// How long the console waits for a key after a reset.
const CONSOLE: Duration = Duration::from_secs(3);
/// Timeout of the hardware watchdog, which is longer than any step of the main loop.
const WATCHDOG: Duration = Duration::from_secs(30);

struct Chip<'a> {
    serial: &'a Serial,
    wifi: RefCell<Pin<&'a mut dyn Future<Output = ()>>>,
    light: RefCell<Output<'static>>,
    button: Input<'static>,
    debounce: RefCell<Debounce>,
    /// Whether the button was pressed since the till last asked.
    was_pressed: Cell<bool>,
    watchdog: RefCell<Wdt<TIMG0<'static>>>,
    state: Cell<State>,
}

impl Board for Chip<'_> {
    fn micros(&self) -> u64 {
        micros()
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.serial.log(line);
    }

    fn poll(&self) {
        // The future never ends.
        let _ = self
            .wifi
            .borrow_mut()
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        // The light is active-low.
        let dark = !is_lit(self.state.get(), self.millis());
        self.light.borrow_mut().set_level(dark.into());
        if self
            .debounce
            .borrow_mut()
            .sample(self.button.is_low(), self.millis())
        {
            self.was_pressed.set(true);
        }
    }

    fn feed_watchdog(&self) {
        self.watchdog.borrow_mut().feed();
    }

    fn show_state(&self, state: State) {
        self.state.set(state);
    }
}

fn micros() -> u64 {
    Instant::now().duration_since_epoch().as_micros()
}

/// 64 bits from the chip's true random number generator, whose entropy source is the ADC's noise.
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
            Err(_) => stop(&serial, format_args!("no entropy source")),
        }
    };
    let timers = TimerGroup::new(chip.TIMG0);
    esp_rtos::start(timers.timer0, chip.FROM_CPU_INTR0);
    let mut watchdog = timers.wdt;
    watchdog.set_timeout(MwdtStage::Stage0, WATCHDOG);
    watchdog.enable();

    let (Ok(store), Ok(device)) = (Name::new(&settings.store), Name::new(&settings.device)) else {
        stop(&serial, format_args!("store or device is not a valid name"));
    };
    let mut controller = match WifiController::new(chip.WIFI, Default::default()) {
        Ok(controller) => controller,
        Err(error) => stop(&serial, format_args!("Wi-Fi: {error:?}")),
    };
    if let Err(error) = wifi::config(&settings).and_then(|config| controller.set_config(&config)) {
        stop(&serial, format_args!("Wi-Fi: {error:?}"));
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
    // SAFETY: `main` is called once, and nothing else uses the static.
    let memory = unsafe { &mut *memory };
    let opened = open(&board, QueueFlash(flash), 0..QUEUE_BYTES, epoch, (store, device));
    let queue: SaleQueue<_, SECTORS> = match opened {
        Ok((queue, _)) => queue,
        Err(error) => stop(&serial, format_args!("{error}")),
    };
    let autopilot = Autopilot::new(seed, queue.newest(), 0);
    let button = ButtonOperator::new(autopilot, || board.was_pressed.take());
    match run(
        &board,
        wifi::Card(card),
        link,
        queue,
        button,
        Random::new(seed),
        memory,
    ) {
        Ok(()) => stop(&serial, format_args!("no more sales")),
        Err(error) => stop(&serial, format_args!("{error}")),
    }
}

/// Logs the reason, and restarts the board.
fn stop(serial: &Serial, reason: fmt::Arguments<'_>) -> ! {
    serial.log(format_args!("till: cannot go on: {reason}"));
    let start = Instant::now();
    // Leaves time to read the line, and keeps the board from restarting in a tight loop.
    while start.elapsed() < Duration::from_secs(5) {}
    esp_hal::system::software_reset()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // Prints no message, because the serial line may have caused the panic. The queue on flash survives.
    esp_hal::system::software_reset()
}
