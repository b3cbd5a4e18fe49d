//! A board whose time goes on with each turn of its network, and whose hardware watchdog bites.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use comptoir_device::{Board, Link, Memory, Shift, State, Trouble, open, run};
use comptoir_queue::{RamFlash, SaleQueue, block_on};
use comptoir_terminal::{Autopilot, Random};
use comptoir_wire::topic::Name;
use comptoir_wire::{Event, MAX_FRAME, decode};

use crate::cable::Cable;
use crate::shop::{DEVICE, PASSWORD, STORE, Shop};
use crate::shore::{ADDRESS, PORT, Shore};

/// Milliseconds without [`Board::alive`] until the hardware resets the board.
pub const BITES: u64 = 8_000;
/// No test is about more than that: what takes longer hangs.
const FOR_EVER: u64 = 3_600_000;
/// Microseconds of a turn while frames are under way, and while none is.
const BUSY: u64 = 200;
const QUIET: u64 = 2_000;

const PAGE: usize = 4096;
const PAGES: usize = 62;
const SIZE: u32 = ((2 + PAGES) * PAGE) as u32;
pub const EPOCH: u32 = 0xc0ff_ee01;

/// A till's flash: all that it has when the power is back.
pub type Flash = RamFlash<Vec<u8>, PAGE>;

pub fn blank() -> Flash {
    RamFlash::new(vec![0xff; SIZE as usize])
}

/// Gives the events that the flash holds, oldest first.
pub fn held(flash: &mut Flash, mut sink: impl FnMut(&Event<'_>)) {
    let (mut queue, _): (SaleQueue<_, PAGES>, _) = block_on(SaleQueue::open(flash, 0..SIZE, EPOCH)).unwrap();
    let mut buffer = vec![0; MAX_FRAME];
    let read = queue.read(1, &mut buffer, |_, frame| {
        sink(&decode(frame).unwrap().event);
        ControlFlow::Continue(())
    });
    block_on(read).unwrap();
}

/// What a person at the till does.
#[derive(Clone, Copy)]
pub struct Day {
    /// Events until the till is switched off; 0: without end.
    pub events: u32,
    /// Milliseconds between two of them.
    pub pace: u64,
    /// Every so many orders has 250 lines.
    pub long_every: u32,
}

/// How a life of the till ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is sold and acked.
    Done,
    /// It cannot go on.
    Stopped(Trouble),
    /// The hardware watchdog has reset it, at that millisecond of this life.
    Bitten(u64),
}

/// The cable's other end, and what happens there at each turn: the test's own.
pub struct World<'c> {
    pub cable: &'c Cable,
    pub shop: Shop,
    shore: Shore<'c>,
}

impl World<'_> {
    fn turn(&mut self, micros: u64) {
        self.shore.turn(micros);
        self.shop.turn(&mut self.shore, micros);
        self.shore.turn(micros);
    }
}

impl<'c> World<'c> {
    pub fn new(cable: &'c Cable) -> Self {
        let [_, end] = cable.ends();
        Self {
            cable,
            shop: Shop::new(),
            shore: Shore::new(end),
        }
    }
}

thread_local! {
    /// The time of this test's machine: minimq asks a clock that all of a program shares.
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

/// What the till tells of itself in one life.
#[derive(Default)]
pub struct Told {
    pub lines: RefCell<Vec<String>>,
    pub states: RefCell<Vec<State>>,
}

impl Told {
    /// Lines that begin with this.
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
    told: &'w Told,
    start: u64,
    /// When the hardware watchdog was fed last, in microseconds.
    fed: Cell<u64>,
    carried: Cell<u64>,
}

/// What unwinds the loop when the board is reset.
struct Reset(u64);

/// Ends this life of the till, from its script: the flash is what is left.
pub fn pull_the_plug() -> ! {
    resume_unwind(Box::new(Reset(0)))
}

impl<S: FnMut(&mut World<'_>, &Told, u64)> Board for Machine<'_, '_, S> {
    fn micros(&self) -> u64 {
        MICROS.get() - self.start
    }

    fn say(&self, line: fmt::Arguments<'_>) {
        self.told.lines.borrow_mut().push(line.to_string());
    }

    fn work(&self) {
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
        (self.script.borrow_mut())(world, self.told, millis);
        assert!(millis < FOR_EVER, "it hangs: {:#?}", self.told.lines.borrow());
        if now - self.fed.get() > BITES * 1000 {
            // No panic: the machine is simply not there any more.
            resume_unwind(Box::new(Reset(millis)));
        }
    }

    fn alive(&self) {
        self.fed.set(MICROS.get());
    }

    fn show(&self, state: State) {
        let mut states = self.told.states.borrow_mut();
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
}

/// Switches the till on, with what its flash holds. `script` is called at each turn of the network, with the
/// milliseconds of this life.
pub fn live(
    world: &mut World<'_>,
    flash: &mut Flash,
    day: Day,
    script: impl FnMut(&mut World<'_>, &Told, u64),
) -> (Ended, Told) {
    let (told, start) = (Told::default(), MICROS.get());
    let [end, _] = world.cable.ends();
    let machine = Machine {
        world: RefCell::new(world),
        script: RefCell::new(script),
        told: &told,
        start,
        fed: Cell::new(start),
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
    let life = AssertUnwindSafe(|| {
        let (queue, _): (SaleQueue<_, PAGES>, _) = open(&machine, flash, 0..SIZE, EPOCH, names)?;
        let shift = Shift::new(
            Autopilot::new(7, queue.newest(), day.long_every),
            day.events,
            day.pace,
        );
        let random = Random::new(7 ^ start);
        run(&machine, end, link, queue, shift, random, &mut memory)
    });
    let ended = match catch_unwind(life) {
        Ok(Ok(())) => Ended::Done,
        Ok(Err(trouble)) => Ended::Stopped(trouble),
        Err(thrown) => match thrown.downcast::<Reset>() {
            Ok(reset) => Ended::Bitten(reset.0),
            Err(panic) => resume_unwind(panic),
        },
    };
    drop(machine);
    (ended, told)
}
