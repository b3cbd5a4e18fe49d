//! The MQTT topics of tills: `pos/{store}/{device}/{leaf}`.

use core::{error::Error, fmt, ops::Deref};

/// Maximum length of a store's or device's name, in bytes.
pub const MAX_NAME: usize = 32;
/// Maximum length of a topic, in bytes: `pos/`, two names with a slash each, and the longest leaf.
pub const MAX_TOPIC: usize = 4 + 2 * (MAX_NAME + 1) + "deliveries".len();

/// A store's or device's name: `[a-z0-9][a-z0-9-]{0,31}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Validates a name.
    ///
    /// # Errors
    /// The name is empty, too long, begins with a dash, or contains an invalid character.
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

    /// The name, with the lifetime of the original text.
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

/// Why a text is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is empty.
    Empty,
    /// It has more than [`MAX_NAME`] bytes.
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It begins with a dash.
    LeadingDash,
    /// It contains a character that is neither `a`–`z`, `0`–`9` nor a dash.
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

/// The three kinds of events. Their names are also the names of the Kafka topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Orders and their changes of status.
    Orders,
    /// Payment attempts.
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

    /// The inverse of [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The purpose of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// Till → gateway: an event.
    Event(Kind),
    /// Gateway → till, retained: the end-to-end ack.
    Ack,
    /// Till (or its last will) → gateway, retained: `online` or `offline`.
    Status,
    /// Gateway → till: a command from head office.
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

    /// The inverse of [`as_str`](Self::as_str).
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "ack" => Some(Self::Ack),
            "status" => Some(Self::Status),
            "commands" => Some(Self::Commands),
            kind => Kind::parse(kind).map(Self::Event),
        }
    }
}

/// A till's topic. `Display` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    /// The store.
    pub store: Name<'a>,
    /// The till in the store.
    pub device: Name<'a>,
    /// The purpose of the topic.
    pub leaf: Leaf,
}

impl<'a> Topic<'a> {
    /// Parses a topic.
    ///
    /// # Errors
    /// A part of the topic is invalid. The error names the first one.
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

/// Why a text is not a till's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It does not begin with `pos/`.
    Prefix,
    /// It does not have four levels.
    Levels,
    /// The store's name is invalid.
    Store(NameError),
    /// The device's name is invalid.
    Device(NameError),
    /// The last level is not one of a till's topics.
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
