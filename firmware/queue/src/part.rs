//! One item of the flash queue: a part of an event's frame.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// Bytes before the part itself.
pub const HEADER: usize = 14;
/// Bytes of an item, at most: whole words, also of 32 bytes; six of them fill a page of 4 KiB, and two turned bits among
/// them are corrected.
pub const ITEM: usize = 640;
const _: () = assert!(8 * ITEM <= crate::ecc::PAIRS);
/// Bytes of an item as earlier builds wrote it, at most.
pub const LONGEST: usize = 992;
/// Bytes of a frame in one item, at most.
pub const PART: usize = ITEM - HEADER;

// One table less in the image: 20 KiB at the most are summed per sale.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What an item says about its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHeader {
    pub epoch: u32,
    pub seq: u32,
    /// Of the whole frame: parts belong together only if it is the same.
    pub crc: u32,
    pub index: u8,
    pub count: u8,
}

pub fn checksum(frame: &[u8]) -> u32 {
    CRC.checksum(frame)
}

/// Items that a frame of `len` bytes takes. At most 33 for the largest frame, so a `u8` holds it.
pub const fn count(len: usize) -> usize {
    if len == 0 { 1 } else { len.div_ceil(PART) }
}

impl PartHeader {
    /// Whether it is the next part of the event that `last` is a part of.
    fn follows(&self, last: &Self) -> bool {
        // No overflow: `index` is below `count`.
        *self
            == Self {
                index: last.index + 1,
                ..*last
            }
    }

    /// Writes an item to `item`; its length.
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

    /// Reads an item: what it says, and its part. `None` if it is none of this queue's.
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
        let makes_sense =
            header.epoch != 0 && header.seq != 0 && index < count && part.len() <= LONGEST - HEADER;
        makes_sense.then_some((header, part))
    }
}

/// Puts the parts of frames together, as they come.
#[derive(Default)]
pub struct Assembly {
    open: Option<Open>,
}

/// The parts so far.
struct Open {
    last: PartHeader,
    len: usize,
    sum: Digest<'static, u32, NoTable>,
}

impl Assembly {
    /// Takes the next part; the length of the frame once it is whole. `put` is given where in the frame it belongs, and
    /// says whether there is room.
    pub fn take(
        &mut self,
        header: PartHeader,
        part: &[u8],
        put: impl FnOnce(usize, &[u8]) -> bool,
    ) -> Option<usize> {
        let mut open = match self.open.take() {
            // A write that did not read back was done again, and reads all the same now.
            Some(open) if open.last == header => {
                self.open = Some(open);
                return None;
            }
            Some(open) if header.follows(&open.last) => open,
            _ if header.index == 0 => Open {
                last: header,
                len: 0,
                sum: CRC.digest(),
            },
            _ => return None,
        };
        if !put(open.len, part) {
            return None;
        }
        open.last = header;
        open.len += part.len();
        open.sum.update(part);
        if header.index + 1 < header.count {
            self.open = Some(open);
            return None;
        }
        (open.sum.finalize() == header.crc).then_some(open.len)
    }

    /// As [`take`](Self::take), into `buffer`.
    pub fn take_into(&mut self, header: PartHeader, part: &[u8], buffer: &mut [u8]) -> Option<usize> {
        self.take(header, part, |at, part| {
            let room = buffer.get_mut(at..at + part.len());
            room.map(|room| room.copy_from_slice(part)).is_some()
        })
    }

    /// As [`take`](Self::take), for whether it becomes whole alone.
    pub fn is_whole(&mut self, header: PartHeader, part: &[u8]) -> bool {
        self.take(header, part, |_, _| true).is_some()
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
    fn an_item_is_read_as_written() {
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
    fn parts_of_a_cut_sale_and_of_its_successor_never_mix() {
        let (old, new) = ([1; 3 * PART], [2; 3 * PART]);
        let old: [_; 3] = core::array::from_fn(|at| parts(5, &old).nth(at).unwrap());
        let new: [_; 3] = core::array::from_fn(|at| parts(5, &new).nth(at).unwrap());
        let mut buffer = [0; 4 * PART];
        let mut assembly = Assembly::default();
        let whole = |assembly: &mut Assembly, parts: &[(PartHeader, &[u8])], buffer: &mut [u8]| {
            parts
                .iter()
                .filter_map(|(header, part)| assembly.take_into(*header, part, buffer))
                .last()
        };
        // Cut after the first part; then the first part of the successor was damaged.
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
        // Written again after a write that did not read back.
        let again = [new[0], new[0], new[1], new[2], new[2]];
        assert_eq!(whole(&mut assembly, &again, &mut buffer), Some(3 * PART));
    }
}
