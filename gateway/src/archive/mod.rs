//! Signed archives of the journal, and the proof that an archive or a journal is unchanged.
//!
//! An archive is a tar file with the entries of a period, its closings, and a signature over every byte before it.
//! `select` finds its contents, `write` makes it, and `automatic` decides when the gateway makes one by itself. `verify`
//! checks an archive or a journal, and `closings` the chain of the closings in it. `docs/interfaces/archive.md` describes the
//! format for other programs, and `docs/adr/0026-proof.md` has the reasons.

pub mod automatic;
pub mod closings;
mod format;
mod select;
pub mod verify;
pub mod write;

use comptoir_journal::Offset;

/// An offset that no entry reaches.
const LAST: Offset = Offset(i64::MAX as u64);
