//! Error correction with the checksums that sequential-storage stores with each item.
//!
//! ```text
//! item   CRC-32C of the data u32 · length u16 · CRC-16 of the length u16 · data          (little endian)
//! ```
//!
//! sequential-storage uses its checksums only to detect errors; this module corrects errors with them. It needs no extra
//! bytes, so it also corrects items of earlier builds.
//!
//! * The data and its CRC-32C form a codeword with a Hamming distance of 4, or 6 up to [`PAIRS`] bits of data. So one
//!   flipped bit can be located, or two in the shorter codewords.
//! * The length and its CRC-16 form a codeword with a Hamming distance of 3, so one flipped bit can be located.
//! * The CRC of a deleted item is 0. One or two flipped bits do not bring the item back.
//!
//! A CRC is linear: the syndrome of a flipped bit (its contribution to the checksum) depends only on the bit's distance from
//! the end. A shift register that walks the codeword from its end produces all syndromes, so no table is needed.

use core::iter::successors;

use crc::{Algorithm, CRC_32_ISCSI, Crc};

use crate::part::LONGEST;

/// Bytes of an item's header.
pub const HEADER: usize = 8;
/// Maximum number of data bits for which two flipped bits can be located: the limit of CRC-32C's Hamming distance of 6.
pub const PAIRS: usize = 5243;

const POLY: u32 = 0x82f6_3b78;

// sequential-storage starts with 0xEEEE_EEEE, which is the reflection of this value.
static SUM: Crc<u32> = Crc::<u32>::new(&Algorithm {
    init: 0x7777_7777,
    ..CRC_32_ISCSI
});

/// An incremental checksum.
pub type Digest = crc::Digest<'static, u32>;

/// The checksum of an item's data, to be fed incrementally.
pub fn digest() -> Digest {
    SUM.digest()
}

/// The one or two flipped bits of an item: masks to XOR with the stored checksum and with bytes of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// Mask for the stored checksum.
    pub stored: u32,
    /// Index of a byte of the data, and the mask for it.
    pub data: [Option<(usize, u8)>; 2],
}

/// The second half of the header (length and CRC-16) with one flipped bit corrected. `None` if it is not a header.
pub fn length(read: u32) -> Option<u32> {
    if is_length(read) {
        return Some(read);
    }
    (0..u32::BITS).map(|bit| read ^ (1 << bit)).find(|&length| {
        // Longer items are never written. Rejecting them keeps erased flash far from any valid length.
        is_length(length) && (1..=LONGEST).contains(&((length & 0xffff) as usize))
    })
}

fn is_length(half: u32) -> bool {
    let [low, high, crc @ ..] = half.to_le_bytes();
    length_crc([low, high]) == u16::from_le_bytes(crc)
}

/// sequential-storage's checksum of the length: CRC-16F/4.2, never 0xFFFF.
fn length_crc(length: [u8; 2]) -> u16 {
    let mut crc = 0xffff ^ u16::from_le_bytes(length);
    for _ in 0..16 {
        crc = (crc >> 1) ^ if crc & 1 == 1 { 0x1a2e } else { 0 };
    }
    !crc - u16::from(crc == 0)
}

/// The value that sequential-storage stores for a checksum: its lowest byte must not look erased or deleted.
fn adapted(sum: u32) -> u32 {
    sum ^ u32::from(matches!(sum & 0xff, 0 | 0xff))
}

/// Locates the flipped bits of `len` bytes of data whose checksum is `sum` while `stored` is on flash. Corrects at most `most`
/// bits; `None` if there are more.
pub fn locate(sum: u32, stored: u32, len: usize, most: usize) -> Option<Correction> {
    // The stored value may differ from the checksum in its lowest bit. The codewords' distance leaves room for that bit, so
    // the solution is still unique.
    let differences = || [sum ^ stored, sum ^ stored ^ 1].into_iter();
    let bits = 32 + 8 * len;
    let fits = |places: [Option<usize>; 2]| {
        let mut correction = Correction::default();
        let mut whole = sum;
        for (place, data) in places.into_iter().zip(&mut correction.data) {
            match place {
                None => {}
                Some(place @ 0..32) => correction.stored ^= 0x8000_0000 >> place,
                Some(place) => {
                    let bit = (bits - 1).checked_sub(place)?;
                    *data = Some((bit / 8, 1 << (bit % 8)));
                    whole ^= syndromes(bits).nth(place)?;
                }
            }
        }
        (adapted(whole) == stored ^ correction.stored).then_some(correction)
    };
    let none = || fits([None; 2]);
    let one = || {
        differences().find_map(|difference| {
            let place = syndromes(bits).position(|syndrome| syndrome == difference)?;
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

/// The syndrome of each bit of a codeword, from its end: first the bits of the stored checksum, then those of the data.
fn syndromes(bits: usize) -> impl Iterator<Item = u32> {
    let next = |&syndrome: &u32| Some((syndrome >> 1) ^ if syndrome & 1 == 1 { POLY } else { 0 });
    successors(Some(0x8000_0000), next).take(bits)
}

/// Number of bits searched at a time, and of slots in their hash table. The table never fills, and fits on any stack.
const BLOCK: usize = 128;
const SLOTS: usize = 2 * BLOCK;

/// The positions of two bits whose syndromes combine to `difference`.
fn pair(difference: u32, bits: usize) -> Option<[usize; 2]> {
    for first in (0..bits).step_by(BLOCK) {
        let mut table = [0; SLOTS];
        for syndrome in syndromes(bits).skip(first).take(BLOCK) {
            if let Some(slot) = probe(syndrome).find(|&slot| table[slot] == 0) {
                table[slot] = syndrome;
            }
        }
        // No syndrome is 0, so an empty slot ends the search.
        let contains = |wanted: u32| {
            let end = |&slot: &usize| table[slot] == wanted || table[slot] == 0;
            wanted != 0 && probe(wanted).find(end).is_some_and(|slot| table[slot] == wanted)
        };
        // Pairs with earlier bits were found with an earlier block.
        let other = (first..)
            .zip(syndromes(bits).skip(first))
            .find(|&(_, syndrome)| contains(syndrome ^ difference));
        if let Some((other, syndrome)) = other {
            let place = syndromes(bits).position(|other| other == syndrome ^ difference)?;
            return Some([place, other]);
        }
    }
    None
}

/// The slots where a value may be, in probing order.
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

    /// Flips a bit; the bits of the data are numbered first, then those of the stored checksum.
    fn flip(data: &mut [u8], stored: &mut u32, bit: usize) {
        match data.get_mut(bit / 8) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => *stored ^= 1 << (bit % 32),
        }
    }

    fn assert_corrects(len: usize, seed: u8, bits: &[usize]) {
        let written = data(len, seed);
        let (mut read, stored) = (written.clone(), adapted(sum(&written)));
        let mut read_stored = stored;
        for &bit in bits {
            flip(&mut read, &mut read_stored, bit);
        }
        let correction = locate(sum(&read), read_stored, len, 2).unwrap();
        for (at, mask) in correction.data.into_iter().flatten() {
            read[at] ^= mask;
        }
        assert_eq!(
            (read, read_stored ^ correction.stored),
            (written, stored),
            "{len} {seed} {bits:?}"
        );
    }

    #[test]
    fn every_single_bit_flip_is_located_in_the_shortest_and_the_longest_item() {
        for (len, seed) in [(9, 0), (15, 1), (640, 2), (LONGEST, 3)] {
            (0..8 * len + 32).for_each(|bit| assert_corrects(len, seed, &[bit]));
        }
        // The same for a stored value that differs from the checksum.
        let changed = (0..=255).filter(|&seed| {
            let sum = sum(&data(40, seed));
            adapted(sum) != sum
        });
        let changed: Vec<u8> = changed.collect();
        assert!(!changed.is_empty());
        for seed in changed {
            (0..8 * 40 + 32).for_each(|bit| assert_corrects(40, seed, &[bit]));
        }
    }

    #[test]
    fn every_pair_of_bit_flips_is_located_in_a_short_item_and_many_in_the_longest_one() {
        let bits = 8 * 15 + 32;
        for first in 0..bits {
            (first + 1..bits).for_each(|second| assert_corrects(15, 4, &[first, second]));
        }
        let bits = 8 * 640 + 32;
        for first in (0..bits).step_by(397) {
            (first + 1..bits)
                .step_by(211)
                .for_each(|second| assert_corrects(640, 5, &[first, second]));
        }
    }

    #[test]
    fn three_bit_flips_are_not_corrected_wrongly() {
        let written = data(640, 6);
        for first in (0..8 * 640).step_by(509) {
            let (mut read, mut stored) = (written.clone(), adapted(sum(&written)));
            for bit in [
                first,
                (3 * first + 17) % (8 * 640),
                (7 * first + 1000) % (8 * 640),
            ] {
                flip(&mut read, &mut stored, bit);
            }
            assert_eq!(locate(sum(&read), stored, 640, 2), None, "{first}");
        }
    }

    #[test]
    fn a_bit_flip_in_any_length_is_corrected_and_erased_flash_is_not_a_length() {
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
