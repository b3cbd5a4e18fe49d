//! A list inside a frame, decoded one element at a time without a copy.

use core::{fmt, marker::PhantomData};

use crate::codec::{Reader, Record, Writer, bad};
use crate::{DecodeError, EncodeError, Fault, Line};

/// An order's lines in another representation. They are converted one at a time, because a till has no memory for a
/// slice of [`Line`]s.
pub trait LineSource: Sync {
    /// Number of lines.
    fn count(&self) -> usize;
    /// The line at an index. `None` if and only if the index is [`count`](Self::count) or more.
    fn line(&self, at: usize) -> Option<Line<'_>>;
}

/// A list of `T`: a slice or a [`LineSource`] to encode, or the validated bytes of a decoded frame. All encode to the same
/// bytes.
pub struct Seq<'a, T> {
    source: Source<'a, T>,
}

enum Source<'a, T> {
    Slice(&'a [T]),
    /// The lines at the indices `next..end`.
    Lines {
        next: usize,
        end: usize,
        of: &'a dyn LineSource,
    },
    /// Invariant: `bytes` begins with `count` elements that were decoded once without an error.
    Frame {
        count: usize,
        bytes: &'a [u8],
    },
}

impl<'a, T> Seq<'a, T> {
    /// A list to encode; encoding checks its bounds.
    pub const fn from_slice(slice: &'a [T]) -> Self {
        Self {
            source: Source::Slice(slice),
        }
    }

    /// Number of elements.
    pub const fn len(&self) -> usize {
        match self.source {
            Source::Slice(slice) => slice.len(),
            Source::Lines { next, end, .. } => end - next,
            Source::Frame { count, .. } => count,
        }
    }

    /// Whether the list is empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Seq<'a, Line<'a>> {
    /// A list to encode; encoding checks its bounds.
    pub fn from_source(source: &'a dyn LineSource) -> Self {
        Self {
            source: Source::Lines {
                next: 0,
                end: source.count(),
                of: source,
            },
        }
    }
}

impl<'a, T: Record<'a>> Seq<'a, T> {
    /// The elements in order, each decoded on demand.
    pub fn iter(&self) -> SeqIter<'a, T> {
        SeqIter {
            source: self.source,
            element: PhantomData,
        }
    }

    pub(crate) fn write(
        &self,
        w: &mut Writer<'_>,
        field: &'static str,
        max: usize,
    ) -> Result<(), EncodeError> {
        let count = self.len();
        if count > max {
            return Err(EncodeError::Field {
                field,
                fault: Fault::TooMany { count, max },
            });
        }
        w.u64(count as u64)?;
        self.iter().try_for_each(|element| element.write(w))
    }

    pub(crate) fn read(r: &mut Reader<'a>, field: &'static str, max: usize) -> Result<Self, DecodeError> {
        let count = r.u32(field)? as usize;
        if count > max {
            return Err(bad(field, Fault::TooMany { count, max }));
        }
        let bytes = r.rest();
        for _ in 0..count {
            T::read(r)?;
        }
        Ok(Self {
            source: Source::Frame { count, bytes },
        })
    }
}

impl<T> Clone for Seq<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Seq<'_, T> {}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

impl<'a, T: Record<'a> + PartialEq> PartialEq for Seq<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Record<'a> + Eq> Eq for Seq<'a, T> {}

impl<'a, T: Record<'a> + fmt::Debug> fmt::Debug for Seq<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Record<'a>> IntoIterator for Seq<'a, T> {
    type Item = T;
    type IntoIter = SeqIter<'a, T>;

    fn into_iter(self) -> SeqIter<'a, T> {
        self.iter()
    }
}

/// The elements of a [`Seq`].
pub struct SeqIter<'a, T> {
    source: Source<'a, T>,
    element: PhantomData<T>,
}

impl<'a, T: Record<'a>> Iterator for SeqIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.source {
            Source::Slice(slice) => {
                let (first, rest) = slice.split_first()?;
                *slice = rest;
                Some(*first)
            }
            Source::Lines { next, end, of } => {
                let at = *next;
                *next = (at + 1).min(*end);
                (at < *end).then(|| T::from_source(*of, at)).flatten()
            }
            Source::Frame { count, bytes } => {
                *count = count.checked_sub(1)?;
                let mut reader = Reader::within(bytes);
                // These bytes were decoded once without an error, so this does not fail.
                let element = T::read(&mut reader).ok()?;
                *bytes = reader.rest();
                Some(element)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = Seq { source: self.source }.len();
        (len, Some(len))
    }
}

impl<'a, T: Record<'a>> ExactSizeIterator for SeqIter<'a, T> {}
