//! The flash queue against a plain model, under power cuts at any write or erase.

use std::ops::ControlFlow;

use comptoir_queue::{OpenOutcome, PowerCut, QueueError, RamError, RamFlash, SaleQueue, block_on};
use comptoir_wire::MAX_FRAME;

const PAGE: usize = 4096;
const PAGES: usize = 14;
const LEN: u32 = (2 + PAGES as u32) * PAGE as u32;
/// Operations of one input; more would only take longer.
const MAX_OPERATIONS: usize = 64;

type Flash = RamFlash<Vec<u8>, PAGE>;
type Queue<'f> = SaleQueue<&'f mut Flash, PAGES>;
type Error = QueueError<RamError>;

/// One operation, encoded as a byte and up to three bytes of arguments.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Store an event of that many bytes.
    Push(usize),
    /// Delete all events except that many.
    DeleteAllBut(u32),
    /// Open the queue again.
    Restart,
    /// Cut the power during the next operation.
    CutPower(PowerCut),
    /// Delete everything and begin a new epoch.
    Format,
}

fn operations(mut bytes: &[u8]) -> impl Iterator<Item = Operation> {
    std::iter::from_fn(move || {
        let mut next = || {
            let (&first, rest) = bytes.split_first()?;
            bytes = rest;
            Some(first)
        };
        Some(match next()? % 8 {
            0..=3 => Operation::Push(1 + usize::from(u16::from_le_bytes([next()?, next()?])) % MAX_FRAME),
            4 => Operation::DeleteAllBut(next()?.into()),
            5 => Operation::Restart,
            6 => Operation::CutPower(PowerCut {
                after: u32::from(next()?) % 48,
                seed: u32::from_le_bytes([next()?, next()?, 0x55, 0xaa]),
            }),
            _ => Operation::Format,
        })
    })
    .take(MAX_OPERATIONS)
}

/// The expected contents of the queue.
#[derive(Clone, Debug)]
struct Model {
    epoch: u32,
    newest: u32,
    /// Confirmed and unacked events, oldest first.
    events: Vec<(u32, Vec<u8>)>,
}

/// Applies the operations that `bytes` encode to a queue and to a model, and compares the two after each.
///
/// # Panics
/// If the queue loses, duplicates or changes a confirmed event, or gives a number twice.
pub fn queue_model(bytes: &[u8]) {
    let mut flash = Flash::new(vec![0xff; LEN as usize]);
    let mut model = Model {
        epoch: 1,
        newest: 0,
        events: Vec::new(),
    };
    let (_, outcome) = open(&mut flash, model.epoch).expect("blank flash opens");
    assert_eq!(outcome, OpenOutcome::Formatted);
    for (count, operation) in (1..).zip(operations(bytes)) {
        if let Operation::CutPower(cut) = operation {
            flash.cut_power(cut);
            continue;
        }
        let before = model.clone();
        let result = apply(&mut flash, operation, count, &mut model);
        if flash.restore_power() {
            assert!(
                matches!(result, Err(QueueError::Flash(RamError::NoPower))),
                "{result:?}"
            );
            model = recover(&mut flash, operation, count, before);
        } else {
            assert_eq!(result, Ok(()), "{operation:?}");
        }
        let (mut queue, _) = open(&mut flash, u32::MAX).expect("the queue opens");
        assert_eq!((queue.epoch(), queue.newest()), (model.epoch, model.newest));
        assert!(contents(&mut queue) == model.events, "{operation:?}");
    }
}

/// Opens the queue and applies one operation. The model changes only if the operation succeeds.
fn apply(flash: &mut Flash, operation: Operation, count: u32, model: &mut Model) -> Result<(), Error> {
    match operation {
        Operation::Push(len) => {
            let (mut queue, _) = open(flash, u32::MAX)?;
            let (seq, frame) = (model.newest + 1, frame(model.newest + 1, count, len));
            let has_room = block_on(queue.has_room_for(len))?;
            match block_on(queue.push(seq, &frame)) {
                Ok(()) => {
                    assert!(has_room);
                    model.newest = seq;
                    model.events.push((seq, frame));
                }
                Err(QueueError::Full) => assert!(!has_room),
                Err(error) => return Err(error),
            }
        }
        Operation::DeleteAllBut(rest) => {
            let (mut queue, _) = open(flash, u32::MAX)?;
            let through = model.newest.saturating_sub(rest);
            let deleted = block_on(queue.delete_through(through))? as usize;
            let unacked = model.events.len();
            model.events.retain(|&(seq, _)| seq > through);
            assert_eq!(deleted, unacked - model.events.len());
        }
        Operation::Restart => _ = open(flash, u32::MAX)?,
        Operation::Format => {
            let epoch = model.epoch + 1;
            block_on(SaleQueue::<_, PAGES>::format(&mut *flash, 0..LEN, epoch))?;
            *model = Model {
                epoch,
                newest: 0,
                events: Vec::new(),
            };
        }
        Operation::CutPower(_) => {}
    }
    Ok(())
}

/// Returns the contents of the queue after a power cut during `operation`, and checks that they are permitted.
fn recover(flash: &mut Flash, operation: Operation, count: u32, before: Model) -> Model {
    let (mut queue, outcome) = open(flash, before.epoch + 1).expect("the queue opens after a power cut");
    let (epoch, newest, events) = (queue.epoch(), queue.newest(), contents(&mut queue));
    let mut model = before;
    match operation {
        // The event is there completely, or not at all.
        Operation::Push(len) if newest > model.newest => {
            model.newest += 1;
            model.events.push((model.newest, frame(model.newest, count, len)));
        }
        // Acked events may still be there, the oldest ones deleted first.
        Operation::DeleteAllBut(rest) => {
            let through = model.newest.saturating_sub(rest);
            let deleted = events.first().map_or(through, |&(seq, _)| seq - 1);
            model.events.retain(|&(seq, _)| seq > deleted.min(through));
        }
        // Either the old epoch, possibly without its events, or a new and empty one.
        Operation::Format if epoch == model.epoch => {
            assert!(events.iter().all(|event| model.events.contains(event)));
            model.events.clone_from(&events);
        }
        Operation::Format => {
            assert!(epoch == model.epoch + 1 && events.is_empty());
            model = Model {
                epoch,
                newest: 0,
                events: Vec::new(),
            };
        }
        _ => {}
    }
    assert!(outcome == OpenOutcome::Found || matches!(operation, Operation::Format));
    assert_eq!((epoch, newest), (model.epoch, model.newest), "{operation:?}");
    assert!(events == model.events, "{operation:?}");
    model
}

fn open(flash: &mut Flash, epoch: u32) -> Result<(Queue<'_>, OpenOutcome), Error> {
    block_on(SaleQueue::open(flash, 0..LEN, epoch))
}

/// All events in the queue.
fn contents(queue: &mut Queue<'_>) -> Vec<(u32, Vec<u8>)> {
    let (mut events, mut buffer) = (Vec::new(), vec![0; MAX_FRAME]);
    let read = queue.read(0, &mut buffer, |seq, frame| {
        events.push((seq, frame.to_vec()));
        ControlFlow::Continue(())
    });
    block_on(read).expect("the queue is readable");
    events
}

/// The frame of an event, different for each number and each attempt to store it.
fn frame(seq: u32, attempt: u32, len: usize) -> Vec<u8> {
    let byte = |at: u32| (at.wrapping_mul(31) ^ seq ^ attempt.rotate_left(3)).to_le_bytes()[0];
    (0..).map(byte).take(len).collect()
}
