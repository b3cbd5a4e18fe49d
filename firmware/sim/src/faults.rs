//! Fault injection: the faults of a till, drawn from a seed. The same seed gives the same faults.

use std::fmt;
use std::str::FromStr;

use comptoir_queue::{PART, PowerCut};
use comptoir_terminal::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The power is cut during one of the flash writes of an event, or of a deletion after it. The till restarts from its
    /// flash.
    Power,
    /// A bit of the flash in use flips, unless two bits near it have flipped since the data there was written.
    Flash,
    /// A publish or an ack is lost.
    Drop,
    /// A publish arrives twice.
    Duplicate,
    /// A publish arrives after later ones.
    Delay,
    /// A connection that looks alive passes nothing in either direction for a while, sometimes for longer than the
    /// keep-alive.
    Hang,
    /// The connection is cut.
    Break,
    /// The clock is missing, or wrong by any amount.
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

    /// The name on the command line.
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

/// The rate of each kind of fault, in percent of the events sold (power, flash, clock) or of the publishes (the others). All
/// are 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    percent: [u8; Kind::ALL.len()],
}

impl Faults {
    /// The same rate for every kind.
    pub fn all(percent: u8) -> Self {
        Self {
            percent: [percent.min(100); Kind::ALL.len()],
        }
    }

    /// Sets the rate of one kind.
    #[must_use]
    pub fn with(mut self, kind: Kind, percent: u8) -> Self {
        self.percent[kind as usize] = percent.min(100);
        self
    }

    /// The rate of one kind.
    pub fn of(&self, kind: Kind) -> u8 {
        self.percent[kind as usize]
    }

    /// Whether all rates are 0.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// `power=5,drop=2`, or `all=5`. The last value for a kind wins.
impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for pair in text.split(',') {
            let (name, percent) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?}: write KIND=PERCENT, for example drop=2"))?;
            let percent: u8 = percent
                .parse()
                .ok()
                .filter(|&percent| percent <= 100)
                .ok_or_else(|| format!("{pair:?}: the percentage must be from 0 to 100"))?;
            match Kind::ALL.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => faults = faults.with(kind, percent),
                None if name == "all" => faults = Self::all(percent),
                None => {
                    let kinds = Kind::ALL.map(Kind::as_str).join(", ");
                    return Err(format!(
                        "{name:?} is not a kind of fault; use one of {kinds}, all"
                    ));
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

/// What happens to one publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives late.
    Late,
    /// It is lost, and the connection hangs for a while.
    Hangs,
    /// It is lost, and so is the connection.
    Breaks,
}

/// Draws the faults of one till.
#[derive(Clone, Debug)]
pub struct Dice {
    faults: Faults,
    random: Random,
}

/// Approximate number of writes and erases of a sale and its deletion; a power cut strikes one of them.
const OPERATIONS: u32 = 12;
/// One hang in this many is a long one.
const LONG: u32 = 200;

impl Dice {
    /// Dice whose results depend on the seed alone.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            random: Random::new(seed),
        }
    }

    /// Whether a fault of that kind strikes now.
    pub fn strikes(&mut self, kind: Kind) -> bool {
        let percent = u32::from(self.faults.of(kind));
        percent > 0 && self.random.below(100) < percent
    }

    /// The power cut that strikes the next event, if one does.
    pub fn power_cut(&mut self) -> Option<PowerCut> {
        self.strikes(Kind::Power).then(|| PowerCut {
            after: self.random.below(OPERATIONS),
            seed: self.random.next_u32(),
        })
    }

    /// What happens to the next publish.
    pub fn fate(&mut self) -> Fate {
        let fates = [
            (Kind::Break, Fate::Breaks),
            (Kind::Hang, Fate::Hangs),
            (Kind::Drop, Fate::Lost),
            (Kind::Delay, Fate::Late),
            (Kind::Duplicate, Fate::Twice),
        ];
        let fate = fates.into_iter().find(|&(kind, _)| self.strikes(kind));
        fate.map_or(Fate::Arrives, |(_, fate)| fate)
    }

    /// How long a connection hangs: at most `short`, or sometimes from `long` to one and a half times `long`.
    pub fn hang(&mut self, short: u64, long: u64) -> u64 {
        match self.random.below(LONG) {
            0 => long + self.draw() % (long / 2).max(1),
            _ => 1 + self.draw() % short.max(1),
        }
    }

    /// The wrong time that a till's clock shows at `time_ms`; `None` if no fault strikes it.
    pub fn clock(&mut self, time_ms: u64) -> Option<u64> {
        const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
        self.strikes(Kind::Clock).then(|| match self.random.below(3) {
            0 => 0,
            1 => time_ms.saturating_sub(YEAR_MS),
            _ => self.random.next_u64(),
        })
    }

    /// Dice with the same rates and different results.
    pub fn fork(&mut self) -> Self {
        Self::new(self.faults, self.draw())
    }

    /// Uniform over all of `u64`.
    pub fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }
}

/// The bits that have flipped on one till's flash. Limits them to what the queue can correct.
#[derive(Clone, Debug, Default)]
pub struct BitFlips {
    /// Each bit's position, and the newest event at that time.
    bits: Vec<(u64, u32)>,
}

impl BitFlips {
    /// Bits of a stored part, including sequential-storage's overhead.
    const PART: u64 = 8 * (PART as u64 + 64);
    /// The queue corrects two bits of a part, and one in the bits of its length.
    const MAX: usize = 2;
    const LENGTH: u64 = 32;

    /// Whether another bit may flip while the queue holds the events after `acked` up to `newest`. Counts it if so.
    pub fn admits(&mut self, bit: u64, acked: u32, newest: u32) -> bool {
        // Once the events of that time are acked, their data is gone, and new data is written to erased flash.
        self.bits.retain(|&(_, newest)| newest > acked);
        let near = |within: u64| {
            let others = self
                .bits
                .iter()
                .filter(move |(other, _)| other.abs_diff(bit) < within);
            others.count()
        };
        let is_correctable = near(Self::PART) < Self::MAX && near(Self::LENGTH) == 0;
        if is_correctable {
            self.bits.push((bit, newest));
        }
        is_correctable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_from_the_command_line() {
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
        for (invalid, hint) in [
            ("power", "KIND=PERCENT"),
            ("power=101", "0 to 100"),
            ("fire=1", "one of power"),
        ] {
            let error = invalid.parse::<Faults>().unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn faults_strike_at_the_requested_rate() {
        let mut dice = Dice::new(Faults::default().with(Kind::Drop, 5), 1);
        let lost = (0..10_000).filter(|_| dice.fate() == Fate::Lost).count();
        assert!((400..600).contains(&lost), "{lost}");
        assert!((0..1000).all(|_| !dice.strikes(Kind::Power) && dice.clock(1).is_none()));
    }

    #[test]
    fn no_part_gets_more_bit_flips_than_the_queue_corrects() {
        let mut flips = BitFlips::default();
        assert!(flips.admits(10_000, 0, 5) && flips.admits(10_300, 0, 7));
        assert!(!flips.admits(9_000, 0, 8) && flips.admits(20_000, 0, 8));
        assert!(!flips.admits(20_031, 0, 8) && flips.admits(20_032, 0, 8));
        // The event of the first flip was acked.
        assert!(flips.admits(9_000, 5, 8) && !flips.admits(9_001, 6, 9));
    }

    #[test]
    fn most_hangs_are_short() {
        let mut dice = Dice::new(Faults::all(5), 2);
        let hangs: Vec<u64> = (0..10_000).map(|_| dice.hang(500, 60_000)).collect();
        let (long, short): (Vec<_>, Vec<_>) = hangs.into_iter().partition(|&hang| hang > 500);
        assert!((20..100).contains(&long.len()), "{}", long.len());
        assert!(long.iter().all(|hang| (60_000..90_000).contains(hang)));
        assert!(short.iter().all(|&hang| hang > 0));
    }
}
