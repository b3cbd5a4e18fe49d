//! Decoding arbitrary bytes never panics, and every decoded value can be encoded and decoded again to an equal value.

use comptoir_wire::{Ack, Command, Event, Frame, Header, MAX_FRAME, decode, encode, peek_header, set_oldest};

/// Decodes `bytes` as an event, an ack and a command.
///
/// Equal values are required, not equal bytes: a varint may be longer than necessary, and is encoded in its shortest form.
///
/// # Panics
/// If a property of the wire format is violated.
pub fn wire_decode(bytes: &[u8]) {
    event(bytes);
    if let Ok(ack) = Ack::decode(bytes) {
        let mut buffer = [0; Ack::MAX_BYTES];
        let encoded = ack.encode(&mut buffer).expect("a decoded ack can be encoded");
        assert!(encoded.len() <= bytes.len());
        assert_eq!(Ack::decode(encoded), Ok(ack));
    }
    match Command::decode(bytes) {
        Ok(command) => {
            let mut buffer = [0; Command::MAX_BYTES];
            let encoded = command
                .encode(&mut buffer)
                .expect("a decoded command can be encoded");
            assert!(encoded.len() <= bytes.len());
            assert_eq!(Command::decode(encoded), Ok(command));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn event(bytes: &[u8]) {
    let frame = match decode(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // The header may still be readable.
            let _ = peek_header(bytes);
            return;
        }
    };
    let Frame { header, event } = frame;
    assert_eq!(peek_header(bytes), Ok(header));
    if let Event::Order(order) = event {
        assert_eq!(order.lines.iter().count(), order.lines.len());
    }
    let mut buffer = [0; MAX_FRAME];
    let encoded = encode(&header, &event, &mut buffer).expect("a decoded event can be encoded");
    assert!(encoded.len() <= bytes.len());
    assert_eq!(decode(encoded), Ok(frame));

    let len = encoded.len();
    let resent = set_oldest(&mut buffer, len, header.seq).expect("seq is a valid oldest");
    let expected = Header {
        oldest: header.seq,
        ..header
    };
    assert_eq!(
        decode(resent),
        Ok(Frame {
            header: expected,
            event
        })
    );
}
