//! The serial line over the chip's USB, and the console on it.

use core::cell::RefCell;
use core::fmt::{self, Write};

use comptoir_device::provision::{ConsoleCommand, HELP, LineReader, Provision};
use esp_hal::Blocking;
use esp_hal::time::{Duration, Instant};
use esp_hal::usb::usb_serial_jtag::UsbSerialJtag;
use esp_storage::FlashStorage;

use crate::flash;

/// How long to wait until the computer at the other end takes a byte. There may be no computer.
const WRITE_TIMEOUT: Duration = Duration::from_millis(20);

struct Port {
    usb: UsbSerialJtag<'static, Blocking>,
    /// The computer did not take the last byte. Until it takes one, writes do not wait.
    is_unread: bool,
}

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let start = Instant::now();
            while self.usb.write_byte_nb(byte).is_err() {
                if self.is_unread || start.elapsed() > WRITE_TIMEOUT {
                    self.is_unread = true;
                    return Err(fmt::Error);
                }
            }
            self.is_unread = false;
        }
        Ok(())
    }
}

/// The serial line.
pub struct Serial(RefCell<Port>);

impl Serial {
    /// A serial line over that port.
    pub fn new(usb: UsbSerialJtag<'static, Blocking>) -> Self {
        let port = Port {
            usb,
            is_unread: false,
        };
        Self(RefCell::new(port))
    }

    /// Writes a line, if a computer reads it.
    pub fn log(&self, line: fmt::Arguments<'_>) {
        let port = &mut *self.0.borrow_mut();
        let _ = port.write_fmt(line);
        let _ = port.write_str("\r\n");
        let _ = port.usb.flush_tx_nb();
    }

    fn byte(&self) -> Option<u8> {
        self.0.borrow_mut().usb.read_byte().ok()
    }

    /// Runs the console, and returns the settings. If the settings are complete, it ends after `timeout` unless a key is
    /// pressed. Otherwise it runs until `save`, which restarts the board.
    pub fn console(&self, flash: &mut FlashStorage<'_>, timeout: Duration) -> Provision {
        let mut settings = flash::settings(flash).unwrap_or_else(|error| {
            self.log(format_args!("till: settings: {error}"));
            Provision::default()
        });
        self.log(format_args!("till: settings: {settings}"));
        self.log(format_args!("till: press a key to change them; {HELP}"));
        let start = Instant::now();
        let mut is_in_use = false;
        let mut reader = LineReader::default();
        while is_in_use || !settings.is_complete() || start.elapsed() < timeout {
            let Some(byte) = self.byte() else { continue };
            is_in_use = true;
            match reader.push(byte, |line| settings.execute(line)) {
                None | Some(Ok(ConsoleCommand::Empty)) => {}
                Some(Ok(ConsoleCommand::Set)) => self.log(format_args!("changed; not saved yet")),
                Some(Ok(ConsoleCommand::Show)) => self.log(format_args!("{settings}")),
                Some(Ok(ConsoleCommand::Help)) => self.log(format_args!("{HELP}")),
                Some(Ok(ConsoleCommand::Save)) => match flash::save(flash, &settings) {
                    Ok(()) => {
                        self.log(format_args!("saved"));
                        esp_hal::system::software_reset()
                    }
                    Err(_) => self.log(format_args!("cannot write the settings to flash")),
                },
                Some(Err(error)) => self.log(format_args!("{error}")),
            }
        }
        settings
    }
}
