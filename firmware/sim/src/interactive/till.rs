//! The interactive till without its screen: sells into the queue, and survives power cuts.

use comptoir_link::{Backoff, Draft, Settings, Uplink};
use comptoir_queue::QueueError as FlashQueueError;
use comptoir_terminal::{Catalogue, Ids};
use comptoir_wire::topic::Name;
use comptoir_wire::{Currency, EncodeError, MAX_FRAME};

use super::connection::Connection;
use super::desk::Desk;
use super::screen::{Link, State};
use super::{InteractiveError, Options};
use crate::cashier::{today, wire_date};
use crate::queue::{FlashError, Queue, QueueError, UnsyncedEvent, failed};
use crate::tally::{Clock, Tally};
use comptoir_invent as invent;

/// A till that a person operates.
pub struct InteractiveTill<'t> {
    pub options: Options,
    pub desk: Desk,
    /// `None` only during a power cut.
    pub queue: Option<Queue>,
    pub uplink: Uplink,
    pub connection: Connection<'t>,
    pub backoff: Backoff,
    pub clock: Clock,
    pub tally: &'t Tally,
    pub buffer: Box<[u8; MAX_FRAME]>,
}

/// Why an event was not stored.
enum StoreError {
    Encode(EncodeError),
    Queue(FlashError),
}

impl<'t> InteractiveTill<'t> {
    /// # Errors
    /// A name is invalid, or the queue cannot be used.
    pub fn new(options: Options, tally: &'t Tally) -> Result<Self, InteractiveError> {
        let (store, device) = (Name::new(&options.store)?, Name::new(&options.device)?);
        let link = Settings::default();
        let (queue, _) = Queue::open(
            options.queue.as_deref(),
            store,
            device,
            draw_epoch(),
            2 * link.window as usize,
        )?;
        let clock = Clock::start();
        let ids = Ids::new(store, device, queue.flash_queue().epoch());
        let mut catalogue = Catalogue::new(Currency::EUR);
        for (name, price) in invent::PRODUCTS {
            // Articles beyond the catalogue's capacity are left out.
            let _ = catalogue.set(name, price);
        }
        let date = wire_date(today(clock.unix_ms(0)).saturating_add(jiff::Span::new().days(2)));
        Ok(Self {
            uplink: Uplink::new(store, device, queue.flash_queue(), link),
            desk: Desk::new(ids, catalogue, options.language, date),
            options,
            queue: Some(queue),
            connection: Connection::Waiting(0),
            backoff: Backoff::new(250, 5_000),
            clock,
            tally,
            buffer: Box::new([0; MAX_FRAME]),
        })
    }

    /// The state that the screen shows besides the desk.
    pub fn state(&self) -> State {
        let window = self.uplink.window();
        State {
            till: self.name(),
            link: match self.connection {
                Connection::Unplugged => Link::Unplugged,
                Connection::Waiting(_) | Connection::Connecting(_) => Link::Connecting,
                Connection::Up { .. } => Link::Connected,
            },
            acked: window.oldest() - 1,
            newest: window.newest(),
        }
    }

    /// Cuts the power and restores it: the till keeps only its flash.
    ///
    /// # Errors
    /// The flash failed.
    pub fn cut_power(&mut self) -> Result<(), InteractiveError> {
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let (queue, _) = queue
            .restart(draw_epoch())
            .map_err(|error| self.unusable(error))?;
        let (store, device) = (Name::new(&self.options.store)?, Name::new(&self.options.device)?);
        self.uplink = Uplink::new(store, device, queue.flash_queue(), Settings::default());
        self.desk
            .restart(Ids::new(store, device, queue.flash_queue().epoch()));
        self.queue = Some(queue);
        if !matches!(self.connection, Connection::Unplugged) {
            self.connection = Connection::Waiting(0);
        }
        self.desk.show(|words| words.power, format_args!(""));
        Ok(())
    }

    /// Checks whether an order may begin.
    ///
    /// # Errors
    /// The flash failed.
    pub fn check_room(&mut self) -> Result<(), InteractiveError> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        let room = queue.has_room_for_all(self.desk.till.max_frame_sizes());
        self.desk.is_full = !room.map_err(|error| self.unusable(error))?;
        Ok(())
    }

    /// Stores the till's events. They are durable when this returns.
    ///
    /// # Errors
    /// The flash failed, or an event is outside the wire's bounds.
    pub async fn store_events(&mut self) -> Result<(), InteractiveError> {
        while self.desk.till.has_events() {
            let Some(queue) = &mut self.queue else {
                return Ok(());
            };
            let Some(draft) = Draft::new(queue.flash_queue(), &self.uplink) else {
                self.desk.show(|words| words.full, format_args!(""));
                return Ok(());
            };
            let time_ms = self.clock.unix_ms(self.clock.micros());
            let buffer = &mut *self.buffer;
            let stored = self.desk.till.store_next(draft.seq(), |event| {
                let encoded = draft.encode(event, time_ms, buffer).map_err(StoreError::Encode)?;
                queue.push(encoded).map_err(StoreError::Queue)
            });
            match stored {
                None => return Ok(()),
                Some(Ok(event)) => self.sync_and_release(vec![event]).await?,
                Some(Err(StoreError::Queue(FlashQueueError::Full))) => {
                    self.desk.show(|words| words.full, format_args!(""));
                    return Ok(());
                }
                Some(Err(StoreError::Queue(error))) => return Err(self.unusable(error).into()),
                Some(Err(StoreError::Encode(error))) => return Err(InteractiveError::Event(error)),
            }
        }
        Ok(())
    }

    /// Makes the queue's file durable, and only then lets the uplink send the new events.
    pub async fn sync_and_release(&mut self, events: Vec<UnsyncedEvent>) -> Result<(), QueueError> {
        let till = self.name();
        match &mut self.queue {
            Some(queue) => queue.sync_and_release(events, &mut self.uplink, &till).await,
            None => Ok(()),
        }
    }

    /// Deletes the events up to and including `seq`.
    ///
    /// # Errors
    /// The flash failed.
    pub fn delete_through(&mut self, seq: u32) -> Result<(), InteractiveError> {
        let deleted = self
            .queue
            .as_mut()
            .map_or(Ok(()), |queue| queue.delete_through(seq));
        Ok(deleted.map_err(|error| self.unusable(error))?)
    }

    pub fn unusable(&mut self, error: FlashError) -> QueueError {
        failed(&self.name(), self.queue.as_mut().map(Queue::flash), error)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.options.store, self.options.device)
    }
}

fn draw_epoch() -> u32 {
    rand::random_range(1..=u32::MAX)
}
