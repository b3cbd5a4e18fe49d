//! The end-to-end ack, retained on a till's `ack` topic.

use crate::codec::{Reader, Writer, bad};
use crate::{DecodeError, EncodeError, Fault, Version};

/// All events of `epoch` up to and including `seq` are committed and fsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The till's epoch; never 0.
    pub epoch: u32,
    /// All events up to this number are safe; 0 if none is yet.
    pub seq: u32,
}

impl Ack {
    /// Maximum size of an ack, in bytes.
    pub const MAX_BYTES: usize = 11;

    /// Encodes the ack at the start of `buffer`; [`Self::MAX_BYTES`] suffice.
    ///
    /// # Errors
    /// The epoch is 0, or the buffer is too small.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        self.encode_as(Version::CURRENT, buffer)
    }

    /// Like [`encode`](Self::encode), in the given version.
    ///
    /// # Errors
    /// Same as [`encode`](Self::encode).
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

    /// Decodes the whole payload of an `ack` topic.
    ///
    /// # Errors
    /// A field is invalid. The error names the first one.
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
