//! Sparse memory: only chunks that were written exist, because ten thousand tills share one machine.

use std::collections::BTreeMap;

use comptoir_queue::{Memory, RamError};

use super::{PAGE, PAGES};

/// Bytes of a chunk.
const CHUNK: usize = 2 * 1024;
const _: () = assert!(PAGE.is_multiple_of(CHUNK));

/// Chunks by number; a missing chunk is erased.
#[derive(Debug, Default)]
pub struct SparseMemory {
    chunks: BTreeMap<usize, Box<[u8; CHUNK]>>,
}

impl SparseMemory {
    pub fn new() -> Self {
        Self::default()
    }

    /// The position of a random bit among the chunks that exist.
    pub fn used_bit(&self, random: u64) -> u64 {
        let bits = 8 * CHUNK as u64;
        let count = self.chunks.len().max(1) as u64;
        let nth = usize::try_from(random / bits % count).unwrap_or(0);
        let chunk = self.chunks.keys().nth(nth).copied().unwrap_or(0) as u64;
        chunk * bits + random % bits
    }
}

/// Splits `len` bytes from `at` on at the chunk boundaries: the chunk's number, the offset in it, and the range of the bytes.
fn parts(at: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let (place, from) = (at + done, done);
        let within = place % CHUNK;
        done = len.min(from + CHUNK - within);
        (from < len).then_some((place / CHUNK, within, from..done))
    })
}

impl Memory for SparseMemory {
    fn size(&self) -> usize {
        PAGES * PAGE
    }

    fn load(&self, at: usize, bytes: &mut [u8]) -> Result<(), RamError> {
        for (chunk, within, part) in parts(at, bytes.len()) {
            let part = &mut bytes[part];
            match self.chunks.get(&chunk) {
                Some(chunk) => part.copy_from_slice(&chunk[within..within + part.len()]),
                None => part.fill(0xff),
            }
        }
        Ok(())
    }

    fn store(&mut self, at: usize, bytes: &[u8]) -> Result<(), RamError> {
        for (chunk, within, part) in parts(at, bytes.len()) {
            let part = &bytes[part];
            let chunk = self
                .chunks
                .entry(chunk)
                .or_insert_with(|| Box::new([0xff; CHUNK]));
            chunk[within..within + part.len()].copy_from_slice(part);
        }
        Ok(())
    }

    fn clear(&mut self, at: usize, len: usize) -> Result<(), RamError> {
        for (chunk, within, part) in parts(at, len) {
            if part.len() == CHUNK {
                self.chunks.remove(&chunk);
            } else if let Some(chunk) = self.chunks.get_mut(&chunk) {
                chunk[within..within + part.len()].fill(0xff);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Act {
        Store(usize, Vec<u8>),
        Clear(usize, usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let at = 0..4 * CHUNK;
        let act = prop_oneof![
            (at.clone(), prop::collection::vec(any::<u8>(), 0..3 * CHUNK))
                .prop_map(|(at, b)| Act::Store(at, b)),
            (at, 0..3 * CHUNK).prop_map(|(at, len)| Act::Clear(at, len)),
        ];
        prop::collection::vec(act, 0..20)
    }

    proptest! {
        #[test]
        fn sparse_memory_behaves_as_plain_memory(acts in acts()) {
            let (mut sparse, mut plain) = (SparseMemory::new(), vec![0xff; 8 * CHUNK]);
            for act in acts {
                match act {
                    Act::Store(at, bytes) => {
                        sparse.store(at, &bytes).unwrap();
                        plain[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                    Act::Clear(at, len) => {
                        sparse.clear(at, len).unwrap();
                        plain[at..at + len].fill(0xff);
                    }
                }
            }
            let mut read = vec![0; plain.len()];
            sparse.load(0, &mut read).unwrap();
            prop_assert_eq!(read, plain);
        }
    }

    #[test]
    fn cleared_chunks_are_freed() {
        let mut sparse = SparseMemory::new();
        sparse.store(0, &[0; 5 * CHUNK]).unwrap();
        sparse.clear(0, 4 * CHUNK).unwrap();
        assert_eq!(sparse.chunks.len(), 1);
    }
}
