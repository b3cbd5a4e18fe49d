//! Any bytes as settings and any input on the serial line give a result or an error, never a panic.

#![allow(clippy::unwrap_used, reason = "tests")]

use comptoir_device::provision::{LineReader, Provision, ProvisionError, RECORD};
use comptoir_device::settings::Settings;
use crc::{CRC_32_ISO_HDLC, Crc};
use proptest::collection::vec;
use proptest::prelude::*;

/// Text that mixes meaningful words with arbitrary ones.
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

/// A record of any text, with the right length and checksum.
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
    fn any_bytes_are_parsed_as_settings_or_refused(bytes in vec(any::<u8>(), 0..300), text in text()) {
        for bytes in [&bytes[..], text.as_bytes()] {
            if let Err(error) = Settings::read(bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_record_is_parsed_or_refused(bytes in vec(any::<u8>(), RECORD), len: u16, text in text()) {
        let mut any: [u8; RECORD] = bytes.try_into().unwrap();
        prop_assert_eq!(Provision::from_record(&any).is_ok(), false);
        any[..4].copy_from_slice(b"CMP1");
        any[4..6].copy_from_slice(&len.to_le_bytes());
        prop_assert_eq!(Provision::from_record(&any), Err(ProvisionError::Damaged));
        if let Ok(read) = Provision::from_record(&record(&text)) {
            prop_assert_eq!(Provision::from_record(&read.record()), Ok(read));
        }
    }

    /// A refused line changes nothing, and accepted settings round-trip through a record.
    #[test]
    fn any_line_is_executed_or_refused(typed in vec(text(), 1..20), noise in vec(any::<u8>(), 0..40)) {
        let (mut provision, mut reader) = (Provision::default(), LineReader::default());
        let typed = typed.iter().flat_map(|line| line.bytes().chain(*b"\r\n"));
        for byte in noise.into_iter().chain(typed) {
            let before = provision.clone();
            if let Some(Err(_)) = reader.push(byte, |line| provision.execute(line)) {
                prop_assert_eq!(&provision, &before);
            }
        }
        prop_assert_eq!(Provision::from_record(&provision.record()), Ok(provision));
    }
}
