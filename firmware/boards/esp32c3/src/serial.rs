//! The serial line over the chip's own USB, and the console on it.

use core::cell::RefCell;
use core::fmt::{self, Write};

use comptoir_device::provision::{Asked, HELP, LineReader, Provision};
use esp_hal::Blocking;
use esp_hal::time::{Duration, Instant};
use esp_hal::usb::usb_serial_jtag::UsbSerialJtag;
use esp_storage::FlashStorage;

use crate::flash;

/// How long the computer at the other end may take for a byte. Nobody need be there.
const PATIENCE: Duration = Duration::from_millis(20);

struct Port {
    usb: UsbSerialJtag<'static, Blocking>,
    /// Nobody took the last byte: no more waiting until somebody does.
    is_alone: bool,
}

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let start = Instant::now();
            while self.usb.write_byte_nb(byte).is_err() {
                if self.is_alone || start.elapsed() > PATIENCE {
                    self.is_alone = true;
                    return Err(fmt::Error);
                }
            }
            self.is_alone = false;
        }
        Ok(())
    }
}

/// The line.
pub struct Serial(RefCell<Port>);

impl Serial {
    /// Over that port.
    pub fn new(usb: UsbSerialJtag<'static, Blocking>) -> Self {
        let port = Port { usb, is_alone: false };
        Self(RefCell::new(port))
    }

    /// Says a line, if somebody is there to read it.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        let port = &mut *self.0.borrow_mut();
        let _ = port.write_fmt(line);
        let _ = port.write_str("\r\n");
        let _ = port.usb.flush_tx_nb();
    }

    fn byte(&self) -> Option<u8> {
        self.0.borrow_mut().usb.read_byte().ok()
    }

    /// Lets somebody change the settings: for `patience` if they can be used as they are, and until `save`
    /// otherwise, or once a key was pressed. Gives those that hold; `save` starts the board anew.
    pub fn console(&self, flash: &mut FlashStorage<'_>, patience: Duration) -> Provision {
        let mut settings = flash::settings(flash).unwrap_or_else(|trouble| {
            self.say(format_args!("till: settings: {trouble}"));
            Provision::default()
        });
        self.say(format_args!("till: settings: {settings}"));
        self.say(format_args!("till: press a key to change them; {HELP}"));
        let start = Instant::now();
        let mut is_in_use = false;
        let mut reader = LineReader::default();
        while is_in_use || !settings.is_complete() || start.elapsed() < patience {
            let Some(byte) = self.byte() else { continue };
            is_in_use = true;
            match reader.push(byte, |line| settings.take(line)) {
                None | Some(Ok(Asked::Nothing)) => {}
                Some(Ok(Asked::Changed)) => self.say(format_args!("changed; not saved yet")),
                Some(Ok(Asked::Show)) => self.say(format_args!("{settings}")),
                Some(Ok(Asked::Help)) => self.say(format_args!("{HELP}")),
                Some(Ok(Asked::Save)) => match flash::save(flash, &settings) {
                    Ok(()) => {
                        self.say(format_args!("saved"));
                        esp_hal::system::software_reset()
                    }
                    Err(_) => self.say(format_args!("the flash does not take the settings")),
                },
                Some(Err(trouble)) => self.say(format_args!("{trouble}")),
            }
        }
        settings
    }
}
