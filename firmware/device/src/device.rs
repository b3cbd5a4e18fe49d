//! The till and everything that belongs to it except the network: sells, and stores its sales.

use core::cell::Cell;

use comptoir_link::{Draft, Millis, Settings as LinkSettings, Uplink, Watchdog};
use comptoir_queue::{QueueError, SaleQueue, block_on};
use comptoir_terminal::{Catalogue, Ids, Random, Till};
use comptoir_wire::{Currency, MAX_FRAME};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

use crate::main_loop::{DeviceError, Link, PRODUCTS};
use crate::{Board, Operator, State};

/// minimq keeps eight publishes until their PUBACK.
const LINK_SETTINGS: LinkSettings = LinkSettings {
    window: 8,
    resend: 2_000,
    resend_max: 30_000,
};
/// Milliseconds without an ack, while events wait, until the till reconnects.
const RECONNECT_TIMEOUT: Millis = 120_000;
/// Milliseconds without an ack, while events wait, until the board is reset, provided that the till is idle.
const RESET_TIMEOUT: Millis = 600_000;
/// The boards have no real-time clock.
const NO_CLOCK: u64 = 0;

/// The till and everything that belongs to it except the network.
pub struct Device<'b, B, P, F: MultiwriteNorFlash, const PAGES: usize> {
    pub board: &'b B,
    pub operator: P,
    pub till: Till,
    pub catalogue: &'b mut Catalogue<PRODUCTS>,
    pub queue: SaleQueue<F, PAGES>,
    pub uplink: Uplink,
    pub random: Random,
    /// No order may begin, because the queue may lack room for all of its events.
    pub is_full: bool,
    /// The queue's newest and acked numbers when `is_full` was determined.
    room_checked_at: Option<(u32, u32)>,
    /// Whether the MQTT broker supports retained messages, as far as is known.
    pub broker_retains: bool,
    /// When the connection was made, if there was one.
    pub connected_at: Option<Millis>,
    /// Only acks feed these two.
    link_watchdog: Cell<Watchdog>,
    board_watchdog: Cell<Watchdog>,
}

impl<'b, B: Board, P: Operator, F: MultiwriteNorFlash, const PAGES: usize> Device<'b, B, P, F, PAGES> {
    // `#[inline(never)]` on this type's functions returns their stack space to the main loop: the maximum depth is that
    // of one step, not of all steps together.
    #[inline(never)]
    pub fn new(
        board: &'b B,
        operator: P,
        link: Link<'_>,
        catalogue: &'b mut Catalogue<PRODUCTS>,
        queue: SaleQueue<F, PAGES>,
        random: Random,
    ) -> Self {
        let watchdog = |timeout| Cell::new(Watchdog::new(timeout, board.millis()));
        Self {
            board,
            operator,
            till: Till::new(Ids::new(link.store, link.device, queue.epoch()), Currency::EUR),
            catalogue,
            uplink: Uplink::new(link.store, link.device, &queue, LINK_SETTINGS),
            queue,
            random,
            is_full: false,
            room_checked_at: None,
            broker_retains: true,
            connected_at: None,
            link_watchdog: watchdog(RECONNECT_TIMEOUT),
            board_watchdog: watchdog(RESET_TIMEOUT),
        }
    }

    /// Lets the operator act, and stores the next event that results. The event is on flash when this returns.
    #[inline(never)]
    pub fn sell(&mut self, buffer: &mut [u8; MAX_FRAME]) -> Result<(), DeviceError> {
        let now = self.board.millis();
        self.check_room()?;
        let (newest, has_room) = (self.queue.newest(), !self.is_full);
        if !self
            .operator
            .act(&mut self.till, self.catalogue, newest, has_room, now)
        {
            return Ok(());
        }
        let draft = Draft::new(&self.queue, &self.uplink).ok_or(DeviceError::EpochExhausted)?;
        let stored = self.till.store_next(draft.seq(), |event| {
            let encoded = draft
                .encode(event, NO_CLOCK, buffer)
                .map_err(|_| Some(DeviceError::Encode))?;
            let stored = match block_on(encoded.push(&mut self.queue)) {
                Ok(stored) => stored,
                // There was room when the order began. If the flash has worn out since, the event waits at the till.
                Err(QueueError::Full) => return Err(None),
                Err(_) => return Err(Some(DeviceError::Store)),
            };
            let (seq, kind, order) = (stored.seq(), event.kind(), event.order_id());
            self.board
                .log(format_args!("till: sold {seq} {kind} {order} kept"));
            Ok(stored)
        });
        match stored {
            Some(Ok(stored)) => {
                self.uplink.release(stored);
                self.operator.on_stored(self.board.millis());
                Ok(())
            }
            Some(Err(Some(error))) => Err(error),
            None | Some(Err(None)) => Ok(()),
        }
    }

    /// Asks the queue whether another order may begin. Asks only after an event was added or deleted, because the queue may
    /// have to read all of its pages to answer.
    fn check_room(&mut self) -> Result<(), DeviceError> {
        let numbers = Some((self.queue.newest(), self.queue.acked()));
        if self.room_checked_at != numbers {
            let room = block_on(self.queue.has_room_for_all(self.till.max_frame_sizes()));
            self.is_full = !room.map_err(|_| DeviceError::Read)?;
            self.room_checked_at = numbers;
        }
        Ok(())
    }

    /// One turn without a connection: a till sells through any outage.
    pub fn sell_offline(&mut self, frame: &mut [u8; MAX_FRAME]) -> Result<(), DeviceError> {
        let state = if self.is_full { State::Full } else { State::Offline };
        // There is no connection to replace.
        let _ = self.check_watchdogs(state);
        self.sell(frame)
    }

    /// Feeds both watchdogs: an ack made events safe.
    pub fn feed_watchdogs(&self) {
        for cell in [&self.link_watchdog, &self.board_watchdog] {
            let mut watchdog = cell.get();
            watchdog.feed(self.board.millis());
            cell.set(watchdog);
        }
    }

    /// Shows the state, and feeds the hardware watchdog unless nothing was acked for [`RESET_TIMEOUT`] and a reset
    /// would lose nothing. Returns whether to reconnect; this restarts the reconnect timeout, but not the board's.
    pub fn check_watchdogs(&self, state: State) -> bool {
        let (now, unacked) = (self.board.millis(), self.queue.len());
        self.board.show_state(state);
        let mut watchdog = self.board_watchdog.get();
        if !watchdog.has_expired(now, unacked) || !self.till.is_idle() {
            self.board.feed_watchdog();
        }
        self.board_watchdog.set(watchdog);
        let mut watchdog = self.link_watchdog.get();
        let has_expired = watchdog.has_expired(now, unacked);
        if has_expired {
            watchdog.feed(now);
        }
        self.link_watchdog.set(watchdog);
        has_expired
    }
}
