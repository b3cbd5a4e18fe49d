//! The MQTT topics of terminals: `pos/{store}/{device}/{leaf}`.

use core::{error::Error, fmt, ops::Deref};

/// The longest name of a store or device, in bytes.
pub const MAX_NAME: usize = 32;
/// The longest topic, in bytes: `pos/` and two names, each with its slash, and the longest leaf.
pub const MAX_TOPIC: usize = 4 + 2 * (MAX_NAME + 1) + "deliveries".len();

/// A store's or device's name: `[a-z0-9][a-z0-9-]{0,31}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: &'a str) -> Result<Self, NameError> {
        let bytes = name.as_bytes();
        match bytes {
            [] => Err(NameError::Empty),
            _ if bytes.len() > MAX_NAME => Err(NameError::TooLong { len: bytes.len() }),
            [b'-', ..] => Err(NameError::LeadingDash),
            _ => match name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
                Some(character) => Err(NameError::Character(character)),
                None => Ok(Self(name)),
            },
        }
    }

    /// The name, as long as the text it was read from.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl Deref for Name<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No character.
    Empty,
    /// More than [`MAX_NAME`] bytes.
    TooLong {
        /// Bytes it has.
        len: usize,
    },
    /// A dash first.
    LeadingDash,
    /// A character that is neither `a`–`z`, `0`–`9` nor a dash.
    Character(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::TooLong { len } => write!(f, "{len} bytes, at most {MAX_NAME}"),
            Self::LeadingDash => f.write_str("begins with a dash"),
            Self::Character(c) => write!(f, "{c:?} is not a lower-case letter, a digit or a dash"),
        }
    }
}

impl Error for NameError {}

/// The three kinds of events; also the names of the Kafka topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Orders and their changes of status.
    Orders,
    /// Attempts to pay.
    Payments,
    /// Deliveries and their changes of status.
    Deliveries,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Payments, Self::Deliveries];

    /// The last part of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Deliveries => "deliveries",
        }
    }

    /// The kind of a word of [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// Terminal → gateway: an event.
    Event(Kind),
    /// Gateway → terminal, retained: the end-to-end ack.
    Ack,
    /// Terminal (or its last will), retained: `online` or `offline`.
    Status,
    /// Gateway → terminal: a command of head office.
    Commands,
}

impl Leaf {
    /// The last part of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event(kind) => kind.as_str(),
            Self::Ack => "ack",
            Self::Status => "status",
            Self::Commands => "commands",
        }
    }

    /// The leaf of a word of [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "ack" => Some(Self::Ack),
            "status" => Some(Self::Status),
            "commands" => Some(Self::Commands),
            kind => Kind::parse(kind).map(Self::Event),
        }
    }
}

/// A topic of a terminal. `Display` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    /// The shop.
    pub store: Name<'a>,
    /// The terminal in the shop.
    pub device: Name<'a>,
    /// What the topic is for.
    pub leaf: Leaf,
}

impl<'a> Topic<'a> {
    /// # Errors
    /// Which part of the topic is wrong.
    pub fn parse(topic: &'a str) -> Result<Self, TopicError> {
        let mut parts = topic.split('/');
        if parts.next() != Some("pos") {
            return Err(TopicError::Prefix);
        }
        let (Some(store), Some(device), Some(leaf), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TopicError::Levels);
        };
        Ok(Self {
            store: Name::new(store).map_err(TopicError::Store)?,
            device: Name::new(device).map_err(TopicError::Device)?,
            leaf: Leaf::parse(leaf).ok_or(TopicError::Leaf)?,
        })
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pos/{}/{}/{}", self.store, self.device, self.leaf.as_str())
    }
}

/// Why a text is not the topic of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It does not begin with `pos/`.
    Prefix,
    /// It has not four levels.
    Levels,
    /// The store's name is none.
    Store(NameError),
    /// The device's name is none.
    Device(NameError),
    /// The last level is none that terminals have.
    Leaf,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => f.write_str("topic: does not begin with pos/"),
            Self::Levels => f.write_str("topic: pos/{store}/{device}/{leaf} expected"),
            Self::Store(error) => write!(f, "topic: store: {error}"),
            Self::Device(error) => write!(f, "topic: device: {error}"),
            Self::Leaf => {
                f.write_str("topic: leaf: orders, payments, deliveries, ack, status or commands expected")
            }
        }
    }
}

impl Error for TopicError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) | Self::Device(error) => Some(error),
            _ => None,
        }
    }
}
