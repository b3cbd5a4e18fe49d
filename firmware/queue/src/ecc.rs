//! Turned bits, found by the checksums that sequential-storage keeps beside each item.
//!
//! ```text
//! item   CRC-32C of the data u32 · length u16 · CRC-16 of the length u16 · data          (little endian)
//! ```
//!
//! Its checksums detect; here they correct. That takes no byte more, so items of earlier builds are corrected too.
//!
//! * Data and its CRC are one codeword. Any two differ in 4 bits at least, and in 6 as long as there are no more than
//!   [`PAIRS`] bits of data: one turned bit is told from everything else, or two of them.
//! * So are the length and its CRC: any two differ in 3 bits at least, and one turned bit is corrected.
//! * A deleted item's CRC is 0. One or two bits that turned there make no item of it again.
//!
//! A checksum is linear: what a turned bit adds to it depends on its distance to the end alone. Walking the codeword
//! from its end with a shift register passes what each bit adds, so no table is needed.

use core::iter::successors;

use crc::{Algorithm, CRC_32_ISCSI, Crc};

use crate::part::LONGEST;

/// Bytes of an item's header.
pub const HEADER: usize = 8;
/// Bits of an item's data up to which two turned ones are told apart from any other two: CRC-32C has Hamming distance 6
/// so far.
pub const PAIRS: usize = 5243;

const POLY: u32 = 0x82f6_3b78;

// sequential-storage begins with 0xEEEE_EEEE, which is this reflected.
static SUM: Crc<u32> = Crc::<u32>::new(&Algorithm {
    init: 0x7777_7777,
    ..CRC_32_ISCSI
});

/// A checksum that data is given to bit by bit.
pub type Digest = crc::Digest<'static, u32>;

/// Of an item's data.
pub fn digest() -> Digest {
    SUM.digest()
}

/// Where bits have turned, one or two: in the stored checksum, or in the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// To be inverted in the stored checksum.
    pub stored: u32,
    /// To be inverted in the data: which byte, and there.
    pub data: [Option<(usize, u8)>; 2],
}

/// The header's second half as it was written, one turned bit corrected. `None`: it is no such half.
pub fn length(read: u32) -> Option<u32> {
    if is_length(read) {
        return Some(read);
    }
    (0..u32::BITS).map(|bit| read ^ (1 << bit)).find(|&length| {
        // Nothing longer is written, and so erased flash is far from any length.
        is_length(length) && (1..=LONGEST).contains(&((length & 0xffff) as usize))
    })
}

fn is_length(half: u32) -> bool {
    let [low, high, crc @ ..] = half.to_le_bytes();
    length_crc([low, high]) == u16::from_le_bytes(crc)
}

/// sequential-storage's: CRC-16F/4.2, never 0xFFFF.
fn length_crc(length: [u8; 2]) -> u16 {
    let mut crc = 0xffff ^ u16::from_le_bytes(length);
    for _ in 0..16 {
        crc = (crc >> 1) ^ if crc & 1 == 1 { 0x1a2e } else { 0 };
    }
    !crc - u16::from(crc == 0)
}

/// sequential-storage stores this for that checksum: its lowest byte is neither erased nor deleted.
fn adapted(sum: u32) -> u32 {
    sum ^ u32::from(matches!(sum & 0xff, 0 | 0xff))
}

/// Which bits turned, where `len` bytes of data have that checksum and this one is stored. `None`: too many.
pub fn locate(sum: u32, stored: u32, len: usize, most: usize) -> Option<Turned> {
    // What is stored may differ from the checksum in its lowest bit. No two answers fit: the codewords' distance
    // leaves room for that bit.
    let differences = || [sum ^ stored, sum ^ stored ^ 1].into_iter();
    let bits = 32 + 8 * len;
    let fits = |places: [Option<usize>; 2]| {
        let mut turned = Turned::default();
        let mut whole = sum;
        for (place, data) in places.into_iter().zip(&mut turned.data) {
            match place {
                None => {}
                Some(place @ 0..32) => turned.stored ^= 0x8000_0000 >> place,
                Some(place) => {
                    let bit = (bits - 1).checked_sub(place)?;
                    *data = Some((bit / 8, 1 << (bit % 8)));
                    whole ^= adds(bits).nth(place)?;
                }
            }
        }
        (adapted(whole) == stored ^ turned.stored).then_some(turned)
    };
    let none = || fits([None; 2]);
    let one = || {
        differences().find_map(|difference| {
            let place = adds(bits).position(|adds| adds == difference)?;
            fits([Some(place), None])
        })
    };
    let two = || {
        let distinct = most > 1 && 8 * len <= PAIRS;
        differences()
            .filter(|_| distinct)
            .find_map(|difference| fits(pair(difference, bits)?.map(Some)))
    };
    none().or_else(one).or_else(two)
}

/// What each bit of a codeword adds to its checksum, from its end: the stored checksum's own bits, then the data's.
fn adds(bits: usize) -> impl Iterator<Item = u32> {
    let next = |&adds: &u32| Some((adds >> 1) ^ if adds & 1 == 1 { POLY } else { 0 });
    successors(Some(0x8000_0000), next).take(bits)
}

/// Bits looked at together, and places for them: a hash table that never fills, on any stack.
const BLOCK: usize = 128;
const SLOTS: usize = 2 * BLOCK;

/// Two bits that add that together.
fn pair(difference: u32, bits: usize) -> Option<[usize; 2]> {
    for first in (0..bits).step_by(BLOCK) {
        let mut table = [0; SLOTS];
        for adds in adds(bits).skip(first).take(BLOCK) {
            if let Some(slot) = probe(adds).find(|&slot| table[slot] == 0) {
                table[slot] = adds;
            }
        }
        // No bit adds 0, so an empty slot ends the search.
        let holds = |wanted: u32| {
            let end = |&slot: &usize| table[slot] == wanted || table[slot] == 0;
            wanted != 0 && probe(wanted).find(end).is_some_and(|slot| table[slot] == wanted)
        };
        // Earlier bits were in an earlier block.
        let other = (first..)
            .zip(adds(bits).skip(first))
            .find(|&(_, adds)| holds(adds ^ difference));
        if let Some((other, adds_other)) = other {
            let place = adds(bits).position(|adds| adds == adds_other ^ difference)?;
            return Some([place, other]);
        }
    }
    None
}

/// The slots where a value may be, the likeliest first.
fn probe(value: u32) -> impl Iterator<Item = usize> {
    let first = (value.wrapping_mul(0x9e37_79b9) >> 24) as usize;
    (0..SLOTS).map(move |next| (first + next) % SLOTS)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn sum(data: &[u8]) -> u32 {
        let mut digest = digest();
        digest.update(data);
        digest.finalize()
    }

    fn data(len: usize, seed: u8) -> Vec<u8> {
        (0..len)
            .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) ^ (at >> 5) as u8)
            .collect()
    }

    /// Turns a bit of data and stored checksum, counted through.
    fn turn(data: &mut [u8], stored: &mut u32, bit: usize) {
        match data.get_mut(bit / 8) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => *stored ^= 1 << (bit % 32),
        }
    }

    fn corrects(len: usize, seed: u8, bits: &[usize]) {
        let written = data(len, seed);
        let (mut read, stored) = (written.clone(), adapted(sum(&written)));
        let mut read_stored = stored;
        for &bit in bits {
            turn(&mut read, &mut read_stored, bit);
        }
        let turned = locate(sum(&read), read_stored, len, 2).unwrap();
        for (at, mask) in turned.data.into_iter().flatten() {
            read[at] ^= mask;
        }
        assert_eq!(
            (read, read_stored ^ turned.stored),
            (written, stored),
            "{len} {seed} {bits:?}"
        );
    }

    #[test]
    fn every_single_bit_of_the_longest_and_the_shortest_item_is_found() {
        for (len, seed) in [(9, 0), (15, 1), (640, 2), (LONGEST, 3)] {
            (0..8 * len + 32).for_each(|bit| corrects(len, seed, &[bit]));
        }
        // Also where what is stored is not the checksum itself.
        let changed = (0..=255).filter(|&seed| {
            let sum = sum(&data(40, seed));
            adapted(sum) != sum
        });
        let changed: Vec<u8> = changed.collect();
        assert!(!changed.is_empty());
        for seed in changed {
            (0..8 * 40 + 32).for_each(|bit| corrects(40, seed, &[bit]));
        }
    }

    #[test]
    fn every_two_bits_of_a_short_item_are_found_and_many_of_the_longest_written() {
        let bits = 8 * 15 + 32;
        for first in 0..bits {
            (first + 1..bits).for_each(|second| corrects(15, 4, &[first, second]));
        }
        let bits = 8 * 640 + 32;
        for first in (0..bits).step_by(397) {
            (first + 1..bits)
                .step_by(211)
                .for_each(|second| corrects(640, 5, &[first, second]));
        }
    }

    #[test]
    fn three_bits_are_left_alone() {
        let written = data(640, 6);
        for first in (0..8 * 640).step_by(509) {
            let (mut read, mut stored) = (written.clone(), adapted(sum(&written)));
            for bit in [
                first,
                (3 * first + 17) % (8 * 640),
                (7 * first + 1000) % (8 * 640),
            ] {
                turn(&mut read, &mut stored, bit);
            }
            assert_eq!(locate(sum(&read), stored, 640, 2), None, "{first}");
        }
    }

    #[test]
    fn a_turned_bit_of_any_length_is_corrected_and_erased_flash_is_no_length() {
        for len in 1..=LONGEST as u16 {
            let [low, high] = len.to_le_bytes();
            let half = u32::from(len) | (u32::from(length_crc([low, high])) << 16);
            assert_eq!(length(half), Some(half));
            for bit in 0..32 {
                assert_eq!(length(half ^ (1 << bit)), Some(half), "{len} {bit}");
            }
        }
        let erased = [u32::MAX].into_iter().chain((0..32).map(|bit| !(1 << bit)));
        for half in erased {
            assert!(
                length(half).is_none_or(|half| half & 0xffff > LONGEST as u32),
                "{half:x}"
            );
        }
    }
}
