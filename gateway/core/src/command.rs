//! The numbers of head office's commands to a shop, and which of them a gateway has handled.

/// The limits of a till's memory: lengths in bytes, and the number of prices of a list.
pub use comptoir_wire::{MAX_ID, MAX_MESSAGE, MAX_PRICES, MAX_PRODUCT};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The Kafka header with the [`CommandNumber`].
pub const NUMBER_HEADER: &str = "ce_comptoircommand";

/// Names a command of a shop: head office counts 1, 2, 3 … within a random epoch. Displayed as `{epoch}/{seq}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandNumber {
    /// Not 0.
    pub epoch: u32,
    /// Not 0.
    pub seq: u32,
}

impl fmt::Display for CommandNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.seq)
    }
}

/// A text is not a command number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command number; for example 7/42")]
pub struct InvalidCommandNumber;

impl FromStr for CommandNumber {
    type Err = InvalidCommandNumber;

    fn from_str(text: &str) -> Result<Self, InvalidCommandNumber> {
        let (epoch, seq) = text.split_once('/').ok_or(InvalidCommandNumber)?;
        let number = |text: &str| match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(InvalidCommandNumber),
        };
        Ok(Self {
            epoch: number(epoch)?,
            seq: number(seq)?,
        })
    }
}

/// The commands that a gateway has handled: all numbers from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandledCommands {
    pub epoch: u32,
    /// Absent in JSON if it is 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub first: u32,
    pub last: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

impl HandledCommands {
    /// Whether the command was handled already: its number is not above those handled.
    pub fn includes(handled: Option<Self>, number: CommandNumber) -> bool {
        handled.is_some_and(|handled| handled.epoch == number.epoch && number.seq <= handled.last)
    }

    /// The range after this command. It begins anew in another epoch, or if numbers are missing.
    #[must_use]
    pub fn after(handled: Option<Self>, number: CommandNumber) -> Self {
        let CommandNumber { epoch, seq } = number;
        let continued = handled.filter(|handled| {
            handled.epoch == epoch && (number.seq <= handled.last || handled.last.checked_add(1) == Some(seq))
        });
        match continued {
            Some(handled) => Self {
                last: handled.last.max(seq),
                ..handled
            },
            None => Self {
                epoch,
                first: seq,
                last: seq,
            },
        }
    }

    /// Whether the command is in the range.
    pub fn contains(&self, number: CommandNumber) -> bool {
        self.epoch == number.epoch && (self.first..=self.last).contains(&number.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(epoch: u32, seq: u32) -> CommandNumber {
        CommandNumber { epoch, seq }
    }

    #[test]
    fn a_number_is_written_as_epoch_and_seq() {
        assert_eq!(number(7, 42).to_string().parse(), Ok(number(7, 42)));
        for wrong in ["", "7", "7/", "0/1", "7/0", "7/-1", "7/4294967296", "7/1/1"] {
            assert_eq!(
                wrong.parse::<CommandNumber>(),
                Err(InvalidCommandNumber),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_range_continues_and_begins_anew_after_a_gap_or_in_another_epoch() {
        let mut handled = None;
        for (seq, first) in [(1, 1), (2, 1), (5, 5), (6, 5)] {
            assert!(!HandledCommands::includes(handled, number(7, seq)));
            let after = HandledCommands::after(handled, number(7, seq));
            assert_eq!((after.first, after.last), (first, seq));
            handled = Some(after);
        }
        for repeated in 1..=6 {
            assert!(
                HandledCommands::includes(handled, number(7, repeated)),
                "{repeated}"
            );
        }
        let contained = (1..=7).filter(|seq| handled.unwrap().contains(number(7, *seq)));
        assert_eq!(contained.collect::<Vec<_>>(), [5, 6]);
        assert!(!HandledCommands::includes(handled, number(8, 1)));
        let anew = HandledCommands::after(handled, number(8, 1));
        assert_eq!((anew.epoch, anew.first, anew.last), (8, 1, 1));
    }

    #[test]
    fn a_range_from_the_beginning_has_no_first_number_in_json() {
        let handled = HandledCommands {
            epoch: 7,
            first: 1,
            last: 3,
        };
        let json = serde_json::to_string(&handled).unwrap();
        assert_eq!(json, r#"{"epoch":7,"last":3}"#);
        assert_eq!(serde_json::from_str::<HandledCommands>(&json).unwrap(), handled);
    }
}
