//! A till's day: its sales, and the acks among them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test crate uses a part; tests may panic"
)]

use std::ops::ControlFlow;

use comptoir_queue::{OpenOutcome, QueueError, RamError, RamFlash, SaleQueue, block_on};
use comptoir_wire::MAX_FRAME;

pub const PAGE: usize = 4096;
pub const PAGES: usize = 14;
pub const LEN: u32 = (2 + PAGES as u32) * PAGE as u32;
pub const EPOCH: u32 = 0xc0ff_ee01;

pub type Flash = RamFlash<Vec<u8>, PAGE>;
pub type Queue<'f> = SaleQueue<&'f mut Flash, PAGES>;
pub type Error = QueueError<RamError>;

pub fn blank() -> Flash {
    RamFlash::new(vec![0xff; LEN as usize])
}

pub fn open(flash: &mut Flash, epoch: u32) -> Result<(Queue<'_>, OpenOutcome), Error> {
    block_on(SaleQueue::open(flash, 0..LEN, epoch))
}

/// The frame of an event, different for each number and attempt.
pub fn frame(seq: u32, attempt: u8, len: usize) -> Vec<u8> {
    let first = seq.to_le_bytes().into_iter().chain([attempt]);
    let rest = (0u32..).map(|at| (at.wrapping_mul(31) ^ seq ^ u32::from(attempt)).to_le_bytes()[0]);
    first.chain(rest).take(len.max(5)).collect()
}

/// All events in the queue.
pub fn held(queue: &mut Queue<'_>) -> Result<Vec<(u32, Vec<u8>)>, Error> {
    let (mut held, mut buffer) = (Vec::new(), vec![0; MAX_FRAME]);
    block_on(queue.read(0, &mut buffer, |seq, frame| {
        held.push((seq, frame.to_vec()));
        ControlFlow::Continue(())
    }))?;
    Ok(held)
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Sell an event of that many bytes.
    Sell(usize),
    /// Ack all but that many events.
    AckAllBut(u32),
}

/// Ten hours with some receipts of 250 lines, and with outages in which the queue grows.
pub fn day() -> Vec<Step> {
    let mut steps = Vec::new();
    for hour in 0..10usize {
        for sale in 0..12usize {
            steps.push(Step::Sell(140 + (hour * 37 + sale * 53) % 260));
            if hour % 3 != 1 && sale % 4 == 3 {
                steps.push(Step::AckAllBut(u32::try_from(sale % 3).unwrap()));
            }
        }
        if hour % 4 == 2 {
            steps.push(Step::Sell(12_500 + hour * 700));
        }
        if hour % 3 == 2 {
            steps.push(Step::AckAllBut(0));
        }
    }
    steps
}
