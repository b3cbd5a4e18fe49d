//! The end-to-end ack: retained on a terminal's `ack` topic.

use crate::codec::{Reader, Writer, bad};
use crate::{DecodeError, EncodeError, Fault, Version};

/// All events of `epoch` up to and including `seq` are committed and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Never 0.
    pub epoch: u32,
    /// 0: nothing yet.
    pub seq: u32,
}

impl Ack {
    /// The most bytes an ack has.
    pub const MAX_BYTES: usize = 11;

    /// Writes the ack to the start of `buffer`; [`Self::MAX_BYTES`] suffice.
    ///
    /// # Errors
    /// An epoch of 0, or a buffer too small.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        self.encode_as(Version::CURRENT, buffer)
    }

    /// As [`encode`](Self::encode), for a terminal of `version`.
    ///
    /// # Errors
    /// As `encode`.
    pub fn encode_as<'b>(&self, version: Version, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        if self.epoch == 0 {
            return Err(EncodeError::Field {
                field: "epoch",
                fault: Fault::Rule("must not be 0"),
            });
        }
        let mut writer = Writer::version(buffer, version.byte())?;
        writer.u32(self.epoch)?;
        writer.u32(self.seq)?;
        Ok(writer.finish())
    }

    /// Reads the payload of an `ack` topic, all of it.
    ///
    /// # Errors
    /// The first thing wrong with it, by the name of the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::frame(bytes)?;
        let ack = Self {
            epoch: reader.u32("epoch")?,
            seq: reader.u32("seq")?,
        };
        reader.finish()?;
        if ack.epoch == 0 {
            Err(bad("epoch", Fault::Rule("must not be 0")))
        } else {
            Ok(ack)
        }
    }
}
