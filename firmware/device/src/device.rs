//! The till and all that belongs to it but the network: sells, and keeps what it sold.

use core::cell::Cell;

use comptoir_link::{Millis, Settings as Pace, Uplink, Watchdog};
use comptoir_queue::{QueueError, SaleQueue, block_on};
use comptoir_terminal::{Catalogue, Ids, Random, Till};
use comptoir_wire::{Currency, Header, MAX_FRAME, MAX_ID, encode};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;

use crate::till::{Link, PRODUCTS, Trouble};
use crate::{Board, Person, State};

/// minimq keeps eight publishes until their PUBACK.
const PACE: Pace = Pace {
    window: 8,
    resend: 2_000,
    resend_max: 30_000,
};
/// Milliseconds without an ack, while events wait, until the link is made anew, and until the board is, once nothing is at
/// its till.
const PATIENCE: Millis = 120_000;
const LAST_PATIENCE: Millis = 600_000;

/// The till and all that belongs to it but the network.
pub struct Device<'b, B, P, F: MultiwriteNorFlash, const PAGES: usize> {
    pub board: &'b B,
    pub person: P,
    pub till: Till,
    pub catalogue: &'b mut Catalogue<PRODUCTS>,
    pub queue: SaleQueue<F, PAGES>,
    pub uplink: Uplink,
    pub random: Random,
    /// No order may begin: the queue may have no room for all that comes of it.
    pub is_full: bool,
    /// The queue's newest and acked numbers at which that was seen.
    looked_at: Option<(u32, u32)>,
    /// The MQTT broker keeps retained messages, as far as is known.
    pub retains: bool,
    /// When the connection was made, if one was.
    pub connected: Option<Millis>,
    /// Of the link, and of the whole board: what only acks feed.
    dogs: [Cell<Watchdog>; 2],
}

impl<'b, B: Board, P: Person, F: MultiwriteNorFlash, const PAGES: usize> Device<'b, B, P, F, PAGES> {
    // What it needs of the stack is free again for the loop, as with the other functions here that are never inlined:
    // the depth is that of one step, not of all together.
    #[inline(never)]
    pub fn new(
        board: &'b B,
        person: P,
        link: Link<'_>,
        catalogue: &'b mut Catalogue<PRODUCTS>,
        queue: SaleQueue<F, PAGES>,
        random: Random,
    ) -> Self {
        Self {
            board,
            person,
            till: Till::new(Ids::new(link.store, link.device, queue.epoch()), Currency::EUR),
            catalogue,
            uplink: Uplink::new(link.store, link.device, &queue, PACE),
            queue,
            random,
            is_full: false,
            looked_at: None,
            retains: true,
            connected: None,
            dogs: [PATIENCE, LAST_PATIENCE]
                .map(|patience| Cell::new(Watchdog::new(patience, board.millis()))),
        }
    }

    /// Sells what is due: its events are in the queue for good when this returns.
    #[inline(never)]
    pub fn sell(&mut self, buffer: &mut [u8; MAX_FRAME]) -> Result<(), Trouble> {
        let now = self.board.millis();
        self.look_for_room()?;
        let (newest, has_room) = (self.queue.newest(), !self.is_full);
        if !self
            .person
            .act(&mut self.till, self.catalogue, newest, has_room, now)
        {
            return Ok(());
        }
        let Some(seq) = self.queue.next_seq() else {
            return Err(Trouble::NumbersUsedUp);
        };
        let header = Header {
            epoch: self.queue.epoch(),
            seq,
            oldest: self.uplink.window().oldest(),
            // The machine has no clock of the day.
            time_ms: 0,
        };
        let frame = self.till.event(seq, |event| {
            let order = heapless::String::<MAX_ID>::try_from(event.order_id()).unwrap_or_default();
            encode(&header, event, buffer).map(|frame| (frame.len(), event.kind(), order))
        });
        let (len, kind, order) = match frame {
            Some(Ok(kept)) => kept,
            Some(Err(_)) => return Err(Trouble::BeyondWire),
            None => return Ok(()),
        };
        match block_on(self.queue.push(seq, &buffer[..len])) {
            Ok(()) => {
                self.till.queued(seq);
                self.uplink.sold();
                self.person.kept(self.board.millis());
                self.board
                    .say(format_args!("till: sold {seq} {kind} {order} kept"));
                Ok(())
            }
            // There was room when the order began. If the flash is worn since, the event waits at the till.
            Err(QueueError::Full) => Ok(()),
            Err(_) => Err(Trouble::Keep),
        }
    }

    /// Asks the queue whether another order may begin, if anything has come or gone since it was asked last: to answer, it
    /// may go through all of its pages.
    fn look_for_room(&mut self) -> Result<(), Trouble> {
        let at = Some((self.queue.newest(), self.queue.acked()));
        if self.looked_at != at {
            let room = block_on(self.queue.has_room_for_all(self.till.frames_ahead()));
            self.is_full = !room.map_err(|_| Trouble::Read)?;
            self.looked_at = at;
        }
        Ok(())
    }

    /// A turn while there is no connection: a till sells through any outage.
    pub fn sell_offline(&mut self, frame: &mut [u8; MAX_FRAME]) -> Result<(), Trouble> {
        let state = if self.is_full { State::Full } else { State::Offline };
        // There is no link that could be made anew.
        let _ = self.turn(state);
        self.sell(frame)
    }

    /// An ack made events safe.
    pub fn feed(&self) {
        for cell in &self.dogs {
            let mut dog = cell.get();
            dog.feed(self.board.millis());
            cell.set(dog);
        }
    }

    /// Shows the state and feeds the board's watchdog, unless nothing was acked for far too long and nothing is at the till
    /// that a reset would end. Gives whether the link is to be made anew; its patience then begins again, the board's does
    /// not.
    pub fn turn(&self, state: State) -> bool {
        let (now, unacked) = (self.board.millis(), self.queue.len());
        self.board.show(state);
        let [of_link, of_board] = &self.dogs;
        let mut dog = of_board.get();
        if !dog.expired(now, unacked) || !self.till.is_idle() {
            self.board.alive();
        }
        of_board.set(dog);
        let mut dog = of_link.get();
        let expired = dog.expired(now, unacked);
        if expired {
            dog.feed(now);
        }
        of_link.set(dog);
        expired
    }
}
