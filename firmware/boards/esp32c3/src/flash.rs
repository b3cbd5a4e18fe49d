//! The chip's flash: the settings and the queue, each in its partition. The offsets match `partitions.csv`.

use comptoir_device::provision::{Provision, ProvisionError, RECORD};
use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use esp_storage::{FlashStorage, FlashStorageError};

const SECTOR: u32 = FlashStorage::SECTOR_SIZE;
/// Two sectors with one record each. They are written one after the other, so a power cut leaves one of them intact.
const SETTINGS: [u32; 2] = [0x0021_0000, 0x0021_0000 + SECTOR];
const QUEUE: u32 = 0x0022_0000;
/// Size of the queue's partition, in bytes.
pub const QUEUE_BYTES: u32 = 0x0004_0000;
/// Sectors for events; the queue uses two more for its notes.
pub const SECTORS: usize = (QUEUE_BYTES / SECTOR) as usize - 2;

/// esp-storage requires word-aligned buffers.
#[repr(align(4))]
struct Aligned([u8; RECORD]);

/// The saved settings.
///
/// # Errors
/// Nothing was saved, or no record is intact.
pub fn settings(flash: &mut FlashStorage<'_>) -> Result<Provision, ProvisionError> {
    let mut found = Err(ProvisionError::NoRecord);
    for at in SETTINGS {
        let mut record = Aligned([0; RECORD]);
        if flash.read_nor(at, &mut record.0).is_err() {
            continue;
        }
        match Provision::from_record(&record.0) {
            Ok(settings) => return Ok(settings),
            Err(ProvisionError::NoRecord) => {}
            Err(error) => found = Err(error),
        }
    }
    found
}

/// Saves the settings.
///
/// # Errors
/// The flash failed.
pub fn save(flash: &mut FlashStorage<'_>, settings: &Provision) -> Result<(), FlashStorageError> {
    let record = Aligned(settings.record());
    for at in SETTINGS {
        flash.erase(at, at + SECTOR)?;
        flash.write_nor(at, &record.0)?;
    }
    Ok(())
}

/// An error of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError(FlashStorageError);

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self.0 {
            FlashStorageError::NotAligned => NorFlashErrorKind::NotAligned,
            FlashStorageError::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// The queue's partition.
pub struct QueueFlash<'d>(pub FlashStorage<'d>);

fn place(offset: u32, len: usize) -> Result<u32, FlashError> {
    match u32::try_from(len).ok().and_then(|len| offset.checked_add(len)) {
        Some(end) if end <= QUEUE_BYTES => Ok(QUEUE + offset),
        _ => Err(FlashError(FlashStorageError::OutOfBounds)),
    }
}

impl ErrorType for QueueFlash<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for QueueFlash<'_> {
    const READ_SIZE: usize = FlashStorage::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let at = place(offset, bytes.len())?;
        self.0.read_nor(at, bytes).map_err(FlashError)
    }

    fn capacity(&self) -> usize {
        QUEUE_BYTES as usize
    }
}

impl NorFlash for QueueFlash<'_> {
    const WRITE_SIZE: usize = FlashStorage::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashStorage::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let (from, to) = (place(from, 0)?, place(to, 0)?);
        self.0.erase(from, to).map_err(FlashError)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = place(offset, bytes.len())?;
        self.0.write_nor(at, bytes).map_err(FlashError)
    }
}

// Without the chip's flash encryption a word may be written again if that only clears bits.
impl MultiwriteNorFlash for QueueFlash<'_> {}
