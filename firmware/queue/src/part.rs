//! The items of the flash queue: the parts of an event's frame, and their assembly.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// Bytes of an item's header.
pub const HEADER: usize = 14;
/// Maximum size of an item in bytes. It is a multiple of all common word sizes up to 32 bytes, six items fill a page of 4 KiB,
/// and two flipped bits in an item can be corrected.
pub const ITEM: usize = 640;
const _: () = assert!(8 * ITEM <= crate::ecc::PAIRS);
/// Maximum size of an item written by earlier builds, in bytes.
pub const LONGEST: usize = 992;
/// Maximum number of frame bytes in one item.
pub const PART: usize = ITEM - HEADER;

// Without a table the image is smaller. At most 20 KiB are checksummed per sale.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The header of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHeader {
    pub epoch: u32,
    pub seq: u32,
    /// Checksum of the whole frame. Only parts with the same checksum belong together.
    pub crc: u32,
    pub index: u8,
    pub count: u8,
}

pub fn checksum(frame: &[u8]) -> u32 {
    CRC.checksum(frame)
}

/// Number of items for a frame of `len` bytes: at most 33, so a `u8` holds it.
pub const fn count(len: usize) -> usize {
    if len == 0 { 1 } else { len.div_ceil(PART) }
}

impl PartHeader {
    /// Whether this part comes directly after `last` in the same frame.
    fn follows(&self, last: &Self) -> bool {
        // `index` is below `count`, so this does not overflow.
        *self
            == Self {
                index: last.index + 1,
                ..*last
            }
    }

    /// Writes the header and the part to `item`; returns the item's length.
    pub fn write(&self, part: &[u8], item: &mut [u8; LONGEST]) -> usize {
        item[..4].copy_from_slice(&self.epoch.to_le_bytes());
        item[4..8].copy_from_slice(&self.seq.to_le_bytes());
        item[8..12].copy_from_slice(&self.crc.to_le_bytes());
        item[12] = self.index;
        item[13] = self.count;
        let end = HEADER + part.len();
        item[HEADER..end].copy_from_slice(part);
        end
    }

    /// Splits an item into header and part. `None` if the item does not belong to a queue.
    pub fn read(item: &[u8]) -> Option<(Self, &[u8])> {
        let (header, part) = item.split_first_chunk::<HEADER>()?;
        let &[e0, e1, e2, e3, s0, s1, s2, s3, c0, c1, c2, c3, index, count] = header;
        let header = Self {
            epoch: u32::from_le_bytes([e0, e1, e2, e3]),
            seq: u32::from_le_bytes([s0, s1, s2, s3]),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            index,
            count,
        };
        let is_valid =
            header.epoch != 0 && header.seq != 0 && index < count && part.len() <= LONGEST - HEADER;
        is_valid.then_some((header, part))
    }
}

/// Assembles frames from a sequence of parts.
#[derive(Default)]
pub struct Assembly {
    partial: Option<PartialFrame>,
}

/// The parts of a frame so far.
struct PartialFrame {
    last: PartHeader,
    len: usize,
    sum: Digest<'static, u32, NoTable>,
}

impl Assembly {
    /// Adds the next part; returns the frame's length once the frame is complete. `put` gets the part's offset in the frame,
    /// and returns whether there is room.
    pub fn add(
        &mut self,
        header: PartHeader,
        part: &[u8],
        put: impl FnOnce(usize, &[u8]) -> bool,
    ) -> Option<usize> {
        let mut partial = match self.partial.take() {
            // A duplicate: the first write failed its read-back and was repeated, but can be read now.
            Some(partial) if partial.last == header => {
                self.partial = Some(partial);
                return None;
            }
            Some(partial) if header.follows(&partial.last) => partial,
            _ if header.index == 0 => PartialFrame {
                last: header,
                len: 0,
                sum: CRC.digest(),
            },
            _ => return None,
        };
        if !put(partial.len, part) {
            return None;
        }
        partial.last = header;
        partial.len += part.len();
        partial.sum.update(part);
        if header.index + 1 < header.count {
            self.partial = Some(partial);
            return None;
        }
        (partial.sum.finalize() == header.crc).then_some(partial.len)
    }

    /// Like [`add`](Self::add), and copies the parts to `buffer`.
    pub fn add_into(&mut self, header: PartHeader, part: &[u8], buffer: &mut [u8]) -> Option<usize> {
        self.add(header, part, |at, part| {
            let room = buffer.get_mut(at..at + part.len());
            room.map(|room| room.copy_from_slice(part)).is_some()
        })
    }

    /// Like [`add`](Self::add), but only checks whether the frame is complete.
    pub fn completes(&mut self, header: PartHeader, part: &[u8]) -> bool {
        self.add(header, part, |_, _| true).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(seq: u32, frame: &[u8]) -> impl Iterator<Item = (PartHeader, &[u8])> {
        let (crc, count) = (checksum(frame), u8::try_from(count(frame.len())).unwrap());
        frame.chunks(PART).zip(0..).map(move |(part, index)| {
            let header = PartHeader {
                epoch: 7,
                seq,
                crc,
                index,
                count,
            };
            (header, part)
        })
    }

    #[test]
    fn an_item_round_trips() {
        let mut item = [0; LONGEST];
        let part = [9; PART];
        for (header, part) in parts(3, &part) {
            let len = header.write(part, &mut item);
            assert_eq!(PartHeader::read(&item[..len]), Some((header, part)));
        }
        assert_eq!(PartHeader::read(&item[..HEADER - 1]), None);
        assert_eq!(PartHeader::read(&[0; HEADER]), None);
    }

    #[test]
    fn parts_of_an_incomplete_event_and_of_its_successor_never_mix() {
        let (old, new) = ([1; 3 * PART], [2; 3 * PART]);
        let old: [_; 3] = core::array::from_fn(|at| parts(5, &old).nth(at).unwrap());
        let new: [_; 3] = core::array::from_fn(|at| parts(5, &new).nth(at).unwrap());
        let mut buffer = [0; 4 * PART];
        let mut assembly = Assembly::default();
        let whole = |assembly: &mut Assembly, parts: &[(PartHeader, &[u8])], buffer: &mut [u8]| {
            parts
                .iter()
                .filter_map(|(header, part)| assembly.add_into(*header, part, buffer))
                .last()
        };
        // A power cut came after the first part, and then the first part of the next attempt is damaged.
        assert_eq!(whole(&mut assembly, &[old[0], new[1], new[2]], &mut buffer), None);
        assert_eq!(
            whole(
                &mut assembly,
                &[old[0], old[1], new[0], new[1], new[2]],
                &mut buffer
            ),
            Some(3 * PART)
        );
        assert_eq!(buffer[..3 * PART], [2; 3 * PART]);
        // Duplicates from writes that failed their read-back.
        let again = [new[0], new[0], new[1], new[2], new[2]];
        assert_eq!(whole(&mut assembly, &again, &mut buffer), Some(3 * PART));
    }
}
