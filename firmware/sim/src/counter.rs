//! `pos-sim till`: a till that a person works at, with the same till, queue and link as the simulated ones.
//!
//! The keyboard's plug pulls the network's, another key cuts the power: what was confirmed is on the flash.

mod desk;
mod screen;
mod words;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comptoir_link::{Backoff, Heard, LinkError, Millis, Settings, Spoke, Uplink};
use comptoir_queue::{QueueError as FlashQueueError, block_on};
use comptoir_terminal::{Catalogue, Ids};
use comptoir_wire::topic::Name;
use comptoir_wire::{Command, Currency, EncodeError, Header, MAX_FRAME, encode};
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cashier::{today, wire_date};
use crate::client::Client;
use crate::dialect::Dialect;
use crate::faults::{Dice, Faults};
use crate::invent;
use crate::plan::Broker;
use crate::pulse::{Feel, Pulse};
use crate::queue::{FlashError, Queue, QueueError, failed};
use crate::session::{Session, SessionError};
use crate::tally::{Clock, Tally};

use desk::{Desk, Key, Wish};
use screen::{Link as Shown, State};
pub use words::Language;

/// What `pos-sim till` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to publish.
    pub broker: Broker,
    /// The shop.
    pub store: String,
    /// The till.
    pub device: String,
    /// A directory for its flash; `None`: in memory.
    pub queue: Option<PathBuf>,
    /// Of the screen.
    pub language: Language,
}

/// Why the interactive till cannot work.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// There is nobody to show anything to.
    #[error("till: standard output is no terminal; the simulated tills (--store) need none")]
    NoTerminal,
    /// A name is none.
    #[error("the name of the store or the till: {0}")]
    Name(#[from] comptoir_wire::topic::NameError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The terminal.
    #[error("the terminal: {0}")]
    Terminal(#[from] std::io::Error),
    /// An event is beyond the bounds of the wire.
    #[error("an event cannot be written: {0}")]
    Event(EncodeError),
    /// The histogram of the latencies.
    #[error("latencies: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
}

/// Keys that nobody has taken yet.
const KEYS: usize = 32;
/// How often the screen is drawn if nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// The network's cable, and what hangs on it.
enum Line<'t> {
    Unplugged,
    Waiting(Millis),
    Connecting(JoinHandle<Result<Session, SessionError>>),
    Up { client: Box<Client<'t>>, pulse: Pulse },
}

struct Counter<'t> {
    options: Options,
    desk: Desk,
    /// `None` only while the power is cut.
    queue: Option<Queue>,
    uplink: Uplink,
    line: Line<'t>,
    backoff: Backoff,
    clock: Clock,
    tally: &'t Tally,
    buffer: Box<[u8; MAX_FRAME]>,
}

/// Works until the person quits. What is unacked then stays in the file, or is gone with the memory.
///
/// # Errors
/// Standard output is no terminal, the names are none, or the queue's file cannot be used.
pub async fn run(options: Options) -> Result<(), CounterError> {
    if !std::io::stdout().is_terminal() {
        return Err(CounterError::NoTerminal);
    }
    let tally = Tally::new()?;
    let mut counter = Counter::new(options, &tally)?;
    let (sender, mut keys) = mpsc::channel(KEYS);
    let mut terminal = ratatui::try_init()?;
    // Ends when nobody listens any more.
    let reading = tokio::task::spawn_blocking(move || read_keys(&sender));
    let worked = async {
        loop {
            counter.look_for_room()?;
            let state = counter.state();
            terminal.draw(|frame| screen::draw(frame, &counter.desk, &state))?;
            tokio::select! {
                key = keys.recv() => match key.map(|key| counter.desk.key(key)) {
                    None | Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Plug) => counter.plug(),
                    Some(Wish::PowerCut) => counter.power_cut()?,
                    Some(Wish::Nothing) => {}
                },
                () = counter.line_ready() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            counter.ring_up().await?;
            counter.converse()?;
        }
    };
    let worked: Result<(), CounterError> = worked.await;
    ratatui::try_restore()?;
    drop(keys);
    counter.leave().await;
    // It looks up every so often, and sees then that nobody listens.
    let _ = reading.await;
    worked
}

fn read_keys(keys: &mpsc::Sender<Key>) {
    while !keys.is_closed() {
        if !event::poll(TICK).unwrap_or(false) {
            continue;
        }
        let Ok(event) = event::read() else { return };
        let TerminalEvent::Key(key) = event else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let key = match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
            KeyCode::Up => Key::Up,
            KeyCode::Down => Key::Down,
            KeyCode::Enter => Key::Enter,
            KeyCode::Esc => Key::Escape,
            KeyCode::Backspace => Key::Backspace,
            KeyCode::Char(character) => Key::Char(character.to_ascii_lowercase()),
            _ => continue,
        };
        if keys.blocking_send(key).is_err() {
            return;
        }
    }
}

impl<'t> Counter<'t> {
    fn new(options: Options, tally: &'t Tally) -> Result<Self, CounterError> {
        let (store, device) = (Name::new(&options.store)?, Name::new(&options.device)?);
        let epoch = rand::random_range(1..=u32::MAX);
        let link = Settings::default();
        let (queue, _) = Queue::open(
            options.queue.as_deref(),
            store,
            device,
            epoch,
            2 * link.window as usize,
        )?;
        let clock = Clock::start();
        let ids = Ids::new(store, device, queue.flash_queue().epoch());
        let mut catalogue = Catalogue::new(Currency::EUR);
        for (name, price) in invent::PRODUCTS {
            // As many as there are.
            let _ = catalogue.set(name, price);
        }
        let date = wire_date(today(clock.unix_ms(0)).saturating_add(jiff::Span::new().days(2)));
        Ok(Self {
            uplink: Uplink::new(store, device, queue.flash_queue(), link),
            desk: Desk::new(ids, catalogue, options.language, date),
            options,
            queue: Some(queue),
            line: Line::Waiting(0),
            backoff: Backoff::new(250, 5_000),
            clock,
            tally,
            buffer: Box::new([0; MAX_FRAME]),
        })
    }

    fn state(&self) -> State {
        let window = self.uplink.window();
        State {
            terminal: format!("{}/{}", self.options.store, self.options.device),
            link: match self.line {
                Line::Unplugged => Shown::Unplugged,
                Line::Waiting(_) | Line::Connecting(_) => Shown::Connecting,
                Line::Up { .. } => Shown::Connected,
            },
            acked: window.oldest() - 1,
            newest: window.newest(),
        }
    }

    fn plug(&mut self) {
        self.line = match self.line {
            Line::Unplugged => Line::Waiting(0),
            // Pulled: nobody says goodbye.
            _ => Line::Unplugged,
        };
    }

    /// The power goes and comes back: the terminal has its flash, and nothing else.
    fn power_cut(&mut self) -> Result<(), CounterError> {
        let Some(queue) = self.queue.take() else {
            return Ok(());
        };
        let epoch = rand::random_range(1..=u32::MAX);
        let (queue, _) = queue.restart(epoch).map_err(|error| self.unusable(error))?;
        let (store, device) = (Name::new(&self.options.store)?, Name::new(&self.options.device)?);
        self.uplink = Uplink::new(store, device, queue.flash_queue(), Settings::default());
        self.desk
            .restart(Ids::new(store, device, queue.flash_queue().epoch()));
        self.queue = Some(queue);
        if !matches!(self.line, Line::Unplugged) {
            self.line = Line::Waiting(0);
        }
        self.desk.say(|words| words.power, format_args!(""));
        Ok(())
    }

    /// Whether the desk may begin an order.
    fn look_for_room(&mut self) -> Result<(), CounterError> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        let room = queue.has_room_for_all(self.desk.till.frames_ahead());
        self.desk.is_full = !room.map_err(|error| self.unusable(error))?;
        Ok(())
    }

    /// What the till left goes to the queue; when this returns, it is there for good.
    async fn ring_up(&mut self) -> Result<(), CounterError> {
        while self.desk.till.has_events() {
            let Some(queue) = &mut self.queue else {
                return Ok(());
            };
            let Some(seq) = queue.flash_queue().next_seq() else {
                self.desk.say(|words| words.full, format_args!(""));
                return Ok(());
            };
            let header = Header {
                epoch: self.uplink.window().epoch(),
                seq,
                oldest: self.uplink.window().oldest(),
                time_ms: self.clock.unix_ms(self.clock.micros()),
            };
            let buffer = &mut *self.buffer;
            let frame = self
                .desk
                .till
                .event(seq, |event| encode(&header, event, buffer).map(<[u8]>::len));
            let Some(len) = frame.transpose().map_err(CounterError::Event)? else {
                return Ok(());
            };
            let pushed = queue.push(seq, &buffer[..len]);
            let file = queue.sync();
            if pushed == Err(FlashQueueError::Full) {
                self.desk.say(|words| words.full, format_args!(""));
                return Ok(());
            }
            pushed.map_err(|error| self.unusable(error))?;
            if let Some(file) = file {
                self.sync(file).await?;
            }
            self.desk.till.queued(seq);
            self.uplink.sold();
        }
        Ok(())
    }

    async fn sync(&self, file: Arc<std::fs::File>) -> Result<(), QueueError> {
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| QueueError::Sync {
                terminal: format!("{}/{}", self.options.store, self.options.device),
                source,
            })
    }

    /// Waits until the line has something to do. Dropping the future loses nothing.
    async fn line_ready(&mut self) {
        match &mut self.line {
            Line::Up { client, .. } => {
                // What is wrong with it shows when it is read.
                let _ = client.session().ready().await;
            }
            Line::Connecting(attempt) if !attempt.is_finished() => tokio::time::sleep(TICK / 10).await,
            Line::Connecting(_) => {}
            Line::Unplugged | Line::Waiting(_) => std::future::pending().await,
        }
    }

    /// One turn of the line: connects, hears, speaks. A line that is lost is made anew.
    fn converse(&mut self) -> Result<(), CounterError> {
        let now = self.clock.millis();
        self.line = match std::mem::replace(&mut self.line, Line::Unplugged) {
            Line::Waiting(until) if until <= now => {
                let (broker, identity) = (self.options.broker.clone(), self.uplink.identity().clone());
                Line::Connecting(tokio::spawn(
                    async move { Session::connect(&broker, &identity).await },
                ))
            }
            Line::Connecting(attempt) if attempt.is_finished() => match block_on(attempt) {
                Ok(Ok(session)) => self.greet(session),
                _ => self.wait(),
            },
            Line::Up {
                mut client,
                mut pulse,
            } => match self.talk(&mut client, &mut pulse, now)? {
                true => Line::Up { client, pulse },
                false => self.wait(),
            },
            other => other,
        };
        Ok(())
    }

    fn wait(&mut self) -> Line<'t> {
        Line::Waiting(self.clock.millis() + self.backoff.wait(rand::random()))
    }

    fn greet(&mut self, session: Session) -> Line<'t> {
        let dice = Dice::new(Faults::default(), 0);
        let keep_alive = session.keep_alive();
        let mut client = Client::new(session, Dialect::Postcard, dice, self.tally);
        match block_on(self.uplink.greet(&mut client)) {
            Ok(()) => Line::Up {
                client: Box::new(client),
                pulse: Pulse::new(self.clock.millis(), keep_alive),
            },
            Err(_) => self.wait(),
        }
    }

    /// Whether the connection is still one.
    fn talk(
        &mut self,
        client: &mut Client<'t>,
        pulse: &mut Pulse,
        now: Millis,
    ) -> Result<bool, CounterError> {
        match client.turn(now).and_then(|()| client.session().read()) {
            Ok(true) => pulse.heard(now),
            Ok(false) => {}
            Err(_) => return Ok(false),
        }
        match pulse.feel(now) {
            Feel::Well => {}
            Feel::Quiet => {
                if client.session().ping().is_err() {
                    return Ok(false);
                }
            }
            Feel::Dead => return Ok(false),
        }
        let (uplink, desk) = (&mut self.uplink, &mut self.desk);
        let mut safe = None;
        loop {
            let heard =
                client.received(
                    |topic, payload| match uplink.hear(topic, payload, now, rand::random()) {
                        Heard::Safe(seq) => safe = Some(seq),
                        Heard::Command(Command::Message(message)) => {
                            desk.say(|words| words.head_office, format_args!(": {}", message.text));
                        }
                        Heard::Command(Command::PriceList(list)) => {
                            let taken = desk.catalogue.take(&list).unwrap_or(0);
                            desk.say(|words| words.head_office, format_args!(": {taken} "));
                            desk.said.push_str(desk.words().prices);
                        }
                        Heard::Command(Command::OrderStatus(change)) => desk.say(
                            |words| words.head_office,
                            format_args!(": {} {}", change.order_id, change.status),
                        ),
                        // A person draws epochs at random: nobody else has this one.
                        Heard::ForeignAck | Heard::OldAck | Heard::Garbled(_) | Heard::Other => {}
                    },
                );
            match heard {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(_) => return Ok(false),
            }
        }
        if let Some(seq) = safe {
            // Only now: who throws the till off at once is not asked all the time.
            self.backoff.reset();
            self.delete_through(seq)?;
            if self.desk.said.is_empty() {
                self.desk.say(|words| words.safe, format_args!(" {seq}"));
            }
        }
        self.publish(client, pulse, now)
    }

    fn publish(
        &mut self,
        client: &mut Client<'t>,
        pulse: &mut Pulse,
        now: Millis,
    ) -> Result<bool, CounterError> {
        loop {
            let Some(queue) = &mut self.queue else {
                return Ok(true);
            };
            let spoke = self.uplink.speak(
                client,
                SessionError::is_busy,
                queue,
                now,
                rand::random(),
                &mut self.buffer,
            );
            match block_on(spoke) {
                Ok(Spoke::Nothing) => break,
                Ok(Spoke::Published { .. }) => {}
                Ok(Spoke::Lost { seq }) => {
                    self.delete_through(seq)?;
                    self.desk.say(|words| words.lost, format_args!(" {seq}"));
                }
                Err(LinkError::Mqtt(_)) => return Ok(false),
                Err(LinkError::Queue(error)) => return Err(self.unusable(error).into()),
            }
        }
        let Ok(went) = client.write() else {
            return Ok(false);
        };
        if went {
            pulse.spoke(now);
        }
        Ok(true)
    }

    fn delete_through(&mut self, seq: u32) -> Result<(), CounterError> {
        let deleted = self
            .queue
            .as_mut()
            .map_or(Ok(()), |queue| queue.delete_through(seq));
        Ok(deleted.map_err(|error| self.unusable(error))?)
    }

    /// Says goodbye, if there is a connection.
    async fn leave(mut self) {
        if let Line::Up { mut client, .. } = std::mem::replace(&mut self.line, Line::Unplugged) {
            // Whatever comes of it, the last will says the same.
            let _ = block_on(self.uplink.part(&mut *client));
            let _ = client.into_session().close().await;
        }
        if let Some(file) = self.queue.as_mut().and_then(Queue::sync) {
            // Only deletions: what they delete is sent again at worst.
            let _ = self.sync(file).await;
        }
    }

    fn unusable(&mut self, error: FlashError) -> QueueError {
        let terminal = format!("{}/{}", self.options.store, self.options.device);
        failed(&terminal, self.queue.as_mut().map(Queue::flash), error)
    }
}
