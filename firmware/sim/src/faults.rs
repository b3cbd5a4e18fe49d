//! What can go wrong with a terminal, drawn from a seed: the same seed, the same faults.

use std::fmt;
use std::str::FromStr;

use comptoir_queue::{Fault as PowerCut, PART};
use comptoir_terminal::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The power goes at one of the flash writes of an event, or of a deletion after it. The terminal starts again
    /// from its flash.
    Power,
    /// A bit of the flash in use turns, unless two have turned near it since what is stored there was written.
    Flash,
    /// A publish does not arrive, or an ack does not.
    Drop,
    /// A publish arrives twice.
    Duplicate,
    /// A publish arrives later than those after it.
    Delay,
    /// Nothing passes for a while, either way, on a connection that looks alive. Sometimes the while outlasts the
    /// keep-alive.
    Hang,
    /// The connection is cut.
    Break,
    /// The clock is absent, or wrong by anything.
    Clock,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Power,
        Self::Flash,
        Self::Drop,
        Self::Duplicate,
        Self::Delay,
        Self::Hang,
        Self::Break,
        Self::Clock,
    ];

    /// As on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Flash => "flash",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Delay => "delay",
            Self::Hang => "hang",
            Self::Break => "break",
            Self::Clock => "clock",
        }
    }
}

/// How often each kind of fault strikes, in percent of the events sold (power, flash, clock) or of the publishes
/// (the others). 0 each by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    percent: [u8; Kind::ALL.len()],
}

impl Faults {
    /// The same for every kind.
    pub fn all(percent: u8) -> Self {
        Self {
            percent: [percent.min(100); Kind::ALL.len()],
        }
    }

    /// Sets one kind.
    #[must_use]
    pub fn with(mut self, kind: Kind, percent: u8) -> Self {
        self.percent[kind as usize] = percent.min(100);
        self
    }

    /// Of one kind.
    pub fn of(&self, kind: Kind) -> u8 {
        self.percent[kind as usize]
    }

    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// `power=5,drop=2`, or `all=5`; later ones count.
impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for pair in text.split(',') {
            let (name, percent) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?}: KIND=PERCENT is expected"))?;
            let percent: u8 = percent
                .parse()
                .ok()
                .filter(|&percent| percent <= 100)
                .ok_or_else(|| format!("{pair:?}: 0 to 100 percent are expected"))?;
            match Kind::ALL.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => faults = faults.with(kind, percent),
                None if name == "all" => faults = Self::all(percent),
                None => {
                    let known = Kind::ALL.map(Kind::as_str).join(", ");
                    return Err(format!("{name:?} is none of {known}, all"));
                }
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of one publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It does not.
    Lost,
    /// Twice.
    Twice,
    /// Late.
    Late,
    /// It does not, and nothing else does for a while.
    Hangs,
    /// It does not: the connection is gone.
    Breaks,
}

/// Decides when faults strike one terminal.
#[derive(Clone, Debug)]
pub struct Dice {
    faults: Faults,
    random: Random,
}

/// Writes and erases of a sale and its deletion, about: a power cut comes at one of so many.
const OPERATIONS: u32 = 12;
/// One hang among so many is a long one.
const LONG: u32 = 200;

impl Dice {
    /// The same seed, the same faults.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            random: Random::new(seed),
        }
    }

    /// Whether a fault strikes now.
    pub fn strikes(&mut self, kind: Kind) -> bool {
        let percent = u32::from(self.faults.of(kind));
        percent > 0 && self.random.below(100) < percent
    }

    /// The power cut that strikes an event, if one does.
    pub fn power_cut(&mut self) -> Option<PowerCut> {
        self.strikes(Kind::Power).then(|| PowerCut {
            after: self.random.below(OPERATIONS),
            seed: self.random.next_u32(),
        })
    }

    /// What becomes of a publish.
    pub fn fate(&mut self) -> Fate {
        let fates = [
            (Kind::Break, Fate::Breaks),
            (Kind::Hang, Fate::Hangs),
            (Kind::Drop, Fate::Lost),
            (Kind::Delay, Fate::Late),
            (Kind::Duplicate, Fate::Twice),
        ];
        let struck = fates.into_iter().find(|&(kind, _)| self.strikes(kind));
        struck.map_or(Fate::Arrives, |(_, fate)| fate)
    }

    /// How long a link hangs: up to `short`, or sometimes `long` at least and half as much again at most.
    pub fn hang(&mut self, short: u64, long: u64) -> u64 {
        match self.random.below(LONG) {
            0 => long + self.draw() % (long / 2).max(1),
            _ => 1 + self.draw() % short.max(1),
        }
    }

    /// The time that a terminal's clock says when it is `time_ms`; `None` if no fault strikes it.
    pub fn clock(&mut self, time_ms: u64) -> Option<u64> {
        const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
        self.strikes(Kind::Clock).then(|| match self.random.below(3) {
            0 => 0,
            1 => time_ms.saturating_sub(YEAR_MS),
            _ => self.random.next_u64(),
        })
    }

    /// Others with the same faults, that strike at other times.
    pub fn fork(&mut self) -> Self {
        Self::new(self.faults, self.draw())
    }

    /// Uniform over all of `u64`.
    pub fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }
}

/// Bits that have turned on one terminal's flash, so that no stored part of an event gets more than are corrected.
#[derive(Clone, Debug, Default)]
pub struct Turned {
    /// Each bit, and the newest event then.
    bits: Vec<(u64, u32)>,
}

impl Turned {
    /// Bits within which a part lies, with what sequential-storage puts around it.
    const PART: u64 = 8 * (PART as u64 + 64);
    /// In each part, two are corrected; of its length, which takes so many bits, one.
    const MOST: usize = 2;
    const LENGTH: u64 = 32;

    /// Whether another bit may turn, while the events from `acked` to `newest` are held; it has, if so.
    pub fn bears(&mut self, bit: u64, acked: u32, newest: u32) -> bool {
        // What was stored then is gone once it is acked; what is written after that is on erased flash.
        self.bits.retain(|&(_, newest)| newest > acked);
        let near = |within: u64| {
            let others = self
                .bits
                .iter()
                .filter(move |(other, _)| other.abs_diff(bit) < within);
            others.count()
        };
        let bears = near(Self::PART) < Self::MOST && near(Self::LENGTH) == 0;
        if bears {
            self.bits.push((bit, newest));
        }
        bears
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_read_from_the_command_line() {
        let faults: Faults = "all=5,flash=0,drop=20".parse().unwrap();
        assert_eq!(
            (
                faults.of(Kind::Power),
                faults.of(Kind::Flash),
                faults.of(Kind::Drop)
            ),
            (5, 0, 20)
        );
        assert!(Faults::default().are_none() && !faults.are_none());
        for (wrong, told) in [
            ("power", "KIND=PERCENT"),
            ("power=101", "0 to 100"),
            ("fire=1", "none of power"),
        ] {
            let error = wrong.parse::<Faults>().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn strike_as_often_as_asked() {
        let mut dice = Dice::new(Faults::default().with(Kind::Drop, 5), 1);
        let lost = (0..10_000).filter(|_| dice.fate() == Fate::Lost).count();
        assert!((400..600).contains(&lost), "{lost}");
        assert!((0..1000).all(|_| !dice.strikes(Kind::Power) && dice.clock(1).is_none()));
    }

    #[test]
    fn no_part_gets_more_turned_bits_than_it_bears() {
        let mut turned = Turned::default();
        assert!(turned.bears(10_000, 0, 5) && turned.bears(10_300, 0, 7));
        assert!(!turned.bears(9_000, 0, 8) && turned.bears(20_000, 0, 8));
        assert!(!turned.bears(20_031, 0, 8) && turned.bears(20_032, 0, 8));
        // The first was acked.
        assert!(turned.bears(9_000, 5, 8) && !turned.bears(9_001, 6, 9));
    }

    #[test]
    fn a_hang_is_short_but_for_some() {
        let mut dice = Dice::new(Faults::all(5), 2);
        let hangs: Vec<u64> = (0..10_000).map(|_| dice.hang(500, 60_000)).collect();
        let (long, short): (Vec<_>, Vec<_>) = hangs.into_iter().partition(|&hang| hang > 500);
        assert!((20..100).contains(&long.len()), "{}", long.len());
        assert!(long.iter().all(|hang| (60_000..90_000).contains(hang)));
        assert!(short.iter().all(|&hang| hang > 0));
    }
}
