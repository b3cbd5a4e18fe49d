//! A simulated board. Its time advances with each turn of the network, and its hardware watchdog resets it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use comptoir_device::{Board, DeviceError, Link, Memory, PacedOperator, State, open, run};
use comptoir_queue::{RamFlash, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Random};
use comptoir_wire::topic::Name;
use comptoir_wire::{Event, MAX_FRAME, decode};

use crate::cable::Cable;
use crate::host::{ADDRESS, Host, PORT};
use crate::shop::{DEVICE, PASSWORD, STORE, Shop};

/// Milliseconds without [`Board::feed_watchdog`] until the hardware resets the board.
pub const WATCHDOG: u64 = 8_000;
/// Milliseconds after which a run counts as hanging; no test needs that much simulated time.
const HANGS_AFTER: u64 = 3_600_000;
/// Microseconds of a turn while frames are in transit, and while none is.
const BUSY: u64 = 200;
const QUIET: u64 = 2_000;

const PAGE: usize = 4096;
const PAGES: usize = 62;
const SIZE: u32 = ((2 + PAGES) * PAGE) as u32;
pub const EPOCH: u32 = 0xc0ff_ee01;

/// A till's flash, the only memory that survives a power cut.
pub type Flash = RamFlash<Vec<u8>, PAGE>;

pub fn blank() -> Flash {
    RamFlash::new(vec![0xff; SIZE as usize])
}

/// Passes the events on the flash to `sink`, oldest first.
pub fn held(flash: &mut Flash, mut sink: impl FnMut(&Event<'_>)) {
    let (mut queue, _): (SaleQueue<_, PAGES>, _) = block_on(SaleQueue::open(flash, 0..SIZE, EPOCH)).unwrap();
    let mut buffer = vec![0; MAX_FRAME];
    let read = queue.read(1, &mut buffer, |_, frame| {
        sink(&decode(frame).unwrap().event);
        ControlFlow::Continue(())
    });
    block_on(read).unwrap();
}

/// The sales of a run.
#[derive(Clone, Copy)]
pub struct Day {
    /// Number of events until the till ends; 0: for ever.
    pub events: u32,
    /// Milliseconds between two events.
    pub pace: u64,
    /// Every n-th order has 250 lines.
    pub long_every: u32,
}

/// The outcome of a run of the till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is sold and acked.
    Done,
    /// The till cannot go on.
    Stopped(DeviceError),
    /// The hardware watchdog reset the board at that millisecond, or the script cut the power at 0.
    Reset(u64),
}

/// The cable, and the host and the shop at its other end.
pub struct World<'c> {
    pub cable: &'c Cable,
    pub shop: Shop,
    host: Host<'c>,
}

impl World<'_> {
    fn turn(&mut self, micros: u64) {
        self.host.turn(micros);
        self.shop.turn(&mut self.host, micros);
        self.host.turn(micros);
    }
}

impl<'c> World<'c> {
    pub fn new(cable: &'c Cable) -> Self {
        let [_, end] = cable.ends();
        Self {
            cable,
            shop: Shop::new(),
            host: Host::new(end),
        }
    }
}

thread_local! {
    /// The simulated time. It is thread-local because minimq uses a global clock, and tests run in threads.
    static MICROS: Cell<u64> = const { Cell::new(0) };
}

struct Clock;

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        MICROS.get()
    }

    fn schedule_wake(&self, _: u64, waker: &std::task::Waker) {
        waker.wake_by_ref();
    }
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

/// The till's output in one run.
#[derive(Default)]
pub struct Log {
    pub lines: RefCell<Vec<String>>,
    pub states: RefCell<Vec<State>>,
}

impl Log {
    /// Number of lines with that prefix.
    pub fn count(&self, start: &str) -> usize {
        self.lines
            .borrow()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }
}

struct Machine<'w, 'c, S> {
    world: RefCell<&'w mut World<'c>>,
    script: RefCell<S>,
    log: &'w Log,
    start: u64,
    /// When the hardware watchdog was fed last, in microseconds.
    fed_at: Cell<u64>,
    carried: Cell<u64>,
}

/// The payload that unwinds the main loop when the board is reset.
struct Reset(u64);

/// Ends the run from its script, like a power cut: only the flash remains.
pub fn cut_power() -> ! {
    resume_unwind(Box::new(Reset(0)))
}

impl<S: FnMut(&mut World<'_>, &Log, u64)> Board for Machine<'_, '_, S> {
    fn micros(&self) -> u64 {
        MICROS.get() - self.start
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.log.lines.borrow_mut().push(line.to_string());
    }

    fn poll(&self) {
        let world = &mut **self.world.borrow_mut();
        let carried = world.cable.carried();
        let step = if self.carried.replace(carried) == carried {
            QUIET
        } else {
            BUSY
        };
        let now = MICROS.get() + step;
        MICROS.set(now);
        world.turn(now);
        let millis = self.millis();
        (self.script.borrow_mut())(world, self.log, millis);
        assert!(millis < HANGS_AFTER, "no end: {:#?}", self.log.lines.borrow());
        if now - self.fed_at.get() > WATCHDOG * 1000 {
            // Unwinds without a panic message: a reset is not an error of the test.
            resume_unwind(Box::new(Reset(millis)));
        }
    }

    fn feed_watchdog(&self) {
        self.fed_at.set(MICROS.get());
    }

    fn show_state(&self, state: State) {
        let mut states = self.log.states.borrow_mut();
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
}

/// Runs the till with the contents of its flash. Calls `script` at each turn of the network, with the milliseconds since the
/// start of this run.
pub fn run_till(
    world: &mut World<'_>,
    flash: &mut Flash,
    day: Day,
    script: impl FnMut(&mut World<'_>, &Log, u64),
) -> (Outcome, Log) {
    let (log, start) = (Log::default(), MICROS.get());
    let [end, _] = world.cable.ends();
    let machine = Machine {
        world: RefCell::new(world),
        script: RefCell::new(script),
        log: &log,
        start,
        fed_at: Cell::new(start),
        carried: Cell::new(0),
    };
    let names = (Name::new(STORE).unwrap(), Name::new(DEVICE).unwrap());
    let link = Link {
        store: names.0,
        device: names.1,
        password: PASSWORD,
        broker: ADDRESS,
        port: PORT,
        mac: [2, 0, 0, 0, 0, 7],
    };
    let mut memory = Box::new(Memory::new());
    let main_loop = AssertUnwindSafe(|| {
        let (queue, _): (SaleQueue<_, PAGES>, _) = open(&machine, flash, 0..SIZE, EPOCH, names)?;
        let operator = PacedOperator::new(
            Autopilot::new(7, queue.newest(), day.long_every),
            day.events,
            day.pace,
        );
        let random = Random::new(7 ^ start);
        run(&machine, end, link, queue, operator, random, &mut memory)
    });
    let outcome = match catch_unwind(main_loop) {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(error)) => Outcome::Stopped(error),
        Err(payload) => match payload.downcast::<Reset>() {
            Ok(reset) => Outcome::Reset(reset.0),
            Err(panic) => resume_unwind(panic),
        },
    };
    drop(machine);
    (outcome, log)
}
