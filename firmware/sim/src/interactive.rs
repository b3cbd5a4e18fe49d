//! `pos-sim till`: a till for a person at a keyboard, with the same till, queue and uplink as the simulated ones.
//!
//! One key pulls the network's plug, another cuts the power. The flash keeps every confirmed sale.

mod connection;
mod desk;
mod screen;
mod till;
mod words;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use comptoir_wire::EncodeError;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use crate::plan::Broker;
use crate::queue::QueueError;
use crate::tally::Tally;

use desk::{Action, Key};
use till::InteractiveTill;
pub use words::Language;

/// The options of `pos-sim till`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The MQTT broker to publish to.
    pub broker: Broker,
    /// The store's name.
    pub store: String,
    /// The till's name.
    pub device: String,
    /// Directory for the till's flash; `None`: in memory.
    pub queue: Option<PathBuf>,
    /// The screen's language.
    pub language: Language,
}

/// Why the interactive till cannot work.
#[derive(Debug, thiserror::Error)]
pub enum InteractiveError {
    /// Standard output is not a terminal.
    #[error("pos-sim till needs a terminal; run `pos-sim --store NAME` for simulated tills without one")]
    NoTerminal,
    /// A name is invalid.
    #[error("invalid name of the store or the till: {0}")]
    Name(#[from] comptoir_wire::topic::NameError),
    /// The queue cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The terminal cannot be used.
    #[error("the terminal: {0}")]
    Terminal(#[from] std::io::Error),
    /// An event is outside the wire's bounds.
    #[error("cannot encode an event: {0}")]
    Event(EncodeError),
    /// The histogram of latencies cannot be created.
    #[error("latency histogram: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
}

/// Maximum number of key presses that wait to be handled.
const KEYS: usize = 32;
/// How often the screen is drawn if nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Runs until the person quits. Unacked events then stay in the file, or are lost with the memory.
///
/// # Errors
/// Standard output is not a terminal, a name is invalid, or the queue's file cannot be used.
pub async fn run(options: Options) -> Result<(), InteractiveError> {
    if !std::io::stdout().is_terminal() {
        return Err(InteractiveError::NoTerminal);
    }
    let tally = Tally::new()?;
    let mut till = InteractiveTill::new(options, &tally)?;
    let (sender, mut keys) = mpsc::channel(KEYS);
    let mut terminal = ratatui::try_init()?;
    // Ends when the receiver is dropped.
    let reader = tokio::task::spawn_blocking(move || read_keys(&sender));
    let session = async {
        loop {
            till.check_room()?;
            let state = till.state();
            terminal.draw(|frame| screen::draw(frame, &till.desk, &state))?;
            tokio::select! {
                key = keys.recv() => match key.map(|key| till.desk.key(key)) {
                    None | Some(Action::Quit) => return Ok(()),
                    Some(Action::TogglePlug) => till.toggle_plug(),
                    Some(Action::CutPower) => till.cut_power()?,
                    Some(Action::None) => {}
                },
                () = till.connection_ready() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            till.store_events().await?;
            till.drive_connection()?;
        }
    };
    let result: Result<(), InteractiveError> = session.await;
    ratatui::try_restore()?;
    drop(keys);
    till.shut_down().await;
    // It notices within a tick that the receiver is gone.
    let _ = reader.await;
    result
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
