//! Whatever the flash holds where settings should be, and whatever is typed on the serial line: an answer, never a panic.

#![allow(clippy::unwrap_used, reason = "tests")]

use comptoir_device::provision::{LineReader, Provision, ProvisionError, RECORD};
use comptoir_device::settings::Settings;
use crc::{CRC_32_ISO_HDLC, Crc};
use proptest::collection::vec;
use proptest::prelude::*;

/// Text with the words that mean something, and others.
fn text() -> impl Strategy<Value = String> {
    let keys = prop::sample::select(vec![
        "store",
        "device",
        "port",
        "events",
        "pace",
        "long_every",
        "seed",
        "wifi.ssid",
        "wifi.password",
        "mqtt.host",
        "mqtt.port",
        "set ",
        "show",
        "save",
        "help",
        "=",
        ";",
        " ",
        "\n",
        "65536",
        "-1",
        "0",
        "till-7",
        "10.0.0.1",
    ]);
    let piece = prop_oneof![keys.prop_map(str::to_owned), any::<String>()];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A record whose length and sum are right, whatever it says.
fn record(text: &str) -> [u8; RECORD] {
    let mut record = [0xff; RECORD];
    let text = &text.as_bytes()[..text.len().min(RECORD - 10)];
    record[..4].copy_from_slice(b"CMP1");
    record[4..6].copy_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
    record[6..10].copy_from_slice(&Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(text).to_le_bytes());
    record[10..10 + text.len()].copy_from_slice(text);
    record
}

proptest! {
    #[test]
    fn settings_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), text in text()) {
        for bytes in [&bytes[..], text.as_bytes()] {
            if let Err(error) = Settings::read(bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn records_are_read_or_refused(bytes in vec(any::<u8>(), RECORD), len: u16, text in text()) {
        let mut any: [u8; RECORD] = bytes.try_into().unwrap();
        prop_assert_eq!(Provision::from_record(&any).is_ok(), false);
        any[..4].copy_from_slice(b"CMP1");
        any[4..6].copy_from_slice(&len.to_le_bytes());
        prop_assert_eq!(Provision::from_record(&any), Err(ProvisionError::Damaged));
        if let Ok(read) = Provision::from_record(&record(&text)) {
            prop_assert_eq!(Provision::from_record(&read.record()), Ok(read));
        }
    }

    /// What was taken is what is saved; what was refused changed nothing.
    #[test]
    fn lines_are_taken_or_refused(typed in vec(text(), 1..20), noise in vec(any::<u8>(), 0..40)) {
        let (mut provision, mut reader) = (Provision::default(), LineReader::default());
        let typed = typed.iter().flat_map(|line| line.bytes().chain(*b"\r\n"));
        for byte in noise.into_iter().chain(typed) {
            let before = provision.clone();
            if let Some(Err(_)) = reader.push(byte, |line| provision.take(line)) {
                prop_assert_eq!(&provision, &before);
            }
        }
        prop_assert_eq!(Provision::from_record(&provision.record()), Ok(provision));
    }
}
