//! What whoever sets the machine up decides, kept on flash behind the queue: `store=paris-1;device=till-7;…`, and 0xFF
//! after it, as erased flash has.

use comptoir_wire::topic::Name;
use embedded_storage_async::nor_flash::ReadNorFlash;

use crate::flash::{Flash, FlashError};

/// Where on the flash: the middle of the bank.
pub const PLACE: u32 = 0x0100_0000;

/// Reads the text into `buffer`.
///
/// # Errors
/// The flash.
pub async fn text<'b>(flash: &mut Flash, buffer: &'b mut [u8]) -> Result<&'b [u8], FlashError> {
    flash.read(PLACE, buffer).await?;
    let end = buffer.iter().position(|&byte| matches!(byte, 0 | 0xff));
    Ok(&buffer[..end.unwrap_or(buffer.len())])
}

/// All settings, with what holds for those that are not given.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The shop.
    pub store: Name<'a>,
    /// The terminal.
    pub device: Name<'a>,
    /// The MQTT broker's port on the host.
    pub port: u16,
    /// The autopilot sells until the queue has given this number; 0: without end.
    pub events: u32,
    /// Milliseconds between two events.
    pub pace: u64,
    /// Every so many orders has 250 lines; 0: none has.
    pub long_every: u32,
    /// Of all that is random.
    pub seed: u64,
}

impl<'a> Settings<'a> {
    /// Reads `key=value` pairs between semicolons. `Err`: what is not understood.
    pub fn parse(text: &'a str) -> Result<Self, &'a str> {
        let name = |text| Name::new(text).map_err(|_| text);
        let mut settings = Self {
            store: name("paris-1")?,
            device: name("till-1")?,
            port: 1883,
            events: 0,
            pace: 500,
            long_every: 50,
            seed: 1,
        };
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(pair)?;
            let number = || value.parse::<u64>().map_err(|_| pair);
            let small = || value.parse::<u32>().map_err(|_| pair);
            match key {
                "store" => settings.store = name(value)?,
                "device" => settings.device = name(value)?,
                "port" => settings.port = value.parse().map_err(|_| pair)?,
                "events" => settings.events = small()?,
                "pace" => settings.pace = number()?,
                "long_every" => settings.long_every = small()?,
                "seed" => settings.seed = number()?,
                _ => return Err(pair),
            }
        }
        Ok(settings)
    }
}
