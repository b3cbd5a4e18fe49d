//! Properties that hold for every valid frame, and for any other payload.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Parts, currency, header, parts, text, topic_name, with_event};
use comptoir_wire::topic::{Kind, Leaf, MAX_TOPIC, Name, Topic};
use comptoir_wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn encoded(header: &Header, parts: &Parts) -> Vec<u8> {
    let mut buffer = vec![0; MAX_FRAME];
    with_event(parts, |event| {
        encode(header, &event, &mut buffer)
            .expect("the strategy stays within the bounds")
            .to_vec()
    })
}

/// Stands in for a till's cart.
impl LineSource for Parts {
    fn count(&self) -> usize {
        self.lines.len()
    }

    fn line(&self, at: usize) -> Option<Line<'_>> {
        self.lines.get(at).map(|(product, quantity, unit_price)| Line {
            product,
            quantity: *quantity,
            unit_price: *unit_price,
        })
    }
}

/// Decodes `bytes` in every way, and iterates over the lazily decoded lists. A panic fails the test.
fn decode_all(bytes: &[u8]) {
    let _ = peek_header(bytes);
    let _ = set_oldest(&mut bytes.to_vec(), bytes.len(), 1);
    let _ = Ack::decode(bytes);
    if let Err(error) = decode(bytes) {
        assert!(!error.to_string().is_empty());
    }
    if let Ok(Frame {
        event: Event::Order(order),
        ..
    }) = decode(bytes)
    {
        assert_eq!(order.lines.iter().count(), order.lines.len());
    }
    if let Ok(Command::PriceList(list)) = Command::decode(bytes) {
        assert_eq!(list.prices.iter().count(), list.prices.len());
    }
}

proptest! {
    #[test]
    fn events_round_trip(header in header(), parts in parts(40)) {
        let bytes = encoded(&header, &parts);
        let frame = decode(&bytes).unwrap();
        prop_assert_eq!(frame.header, header);
        with_event(&parts, |event| assert_eq!(frame.event, event));
        // A decoded event encodes to the same bytes: a list from a frame is as good as a slice.
        let mut again = vec![0; MAX_FRAME];
        prop_assert_eq!(encode(&frame.header, &frame.event, &mut again).unwrap(), &bytes[..]);
    }

    #[test]
    fn lines_from_a_source_encode_as_lines_from_a_slice(header in header(), parts in parts(40)) {
        let bytes = encoded(&header, &parts);
        with_event(&parts, |event| {
            let Event::Order(order) = event else { return };
            let lines = Lines::from_source(&parts);
            assert_eq!((lines.len(), lines.iter().len()), (parts.lines.len(), parts.lines.len()));
            assert_eq!(lines, order.lines);
            let mut buffer = vec![0; MAX_FRAME];
            let again = encode(&header, &Event::Order(Order { lines, ..order }), &mut buffer);
            assert_eq!(again, Ok(&bytes[..]));
        });
    }

    #[test]
    fn set_oldest_changes_nothing_else(header in header(), parts in parts(4), below in any::<u32>()) {
        let oldest = 1 + below % header.seq;
        let mut buffer = vec![0; MAX_FRAME];
        let before = encoded(&header, &parts);
        buffer[..before.len()].copy_from_slice(&before);
        let after = set_oldest(&mut buffer, before.len(), oldest).unwrap();
        prop_assert_eq!(after, encoded(&Header { oldest, ..header }, &parts));
    }

    #[test]
    fn acks_round_trip(epoch in 1..=u32::MAX, seq: u32) {
        let mut buffer = [0; Ack::MAX_BYTES];
        let ack = Ack { epoch, seq };
        prop_assert_eq!(Ack::decode(ack.encode(&mut buffer).unwrap()), Ok(ack));
    }

    #[test]
    fn price_lists_round_trip(currency in currency(), prices in vec((text(MAX_PRODUCT), 0..=MAX_AMOUNT), 0..20)) {
        let prices: Vec<Price<'_>> =
            prices.iter().map(|&(ref product, unit_price)| Price { product, unit_price }).collect();
        let command = Command::PriceList(PriceList { currency, prices: Prices::from_slice(&prices) });
        let mut buffer = vec![0; MAX_FRAME];
        prop_assert_eq!(Command::decode(command.encode(&mut buffer).unwrap()), Ok(command));
    }

    #[test]
    fn messages_round_trip(text in text(MAX_MESSAGE)) {
        let command = Command::Message(Message { text: &text });
        let mut buffer = vec![0; MAX_FRAME];
        prop_assert_eq!(Command::decode(command.encode(&mut buffer).unwrap()), Ok(command));
    }

    #[test]
    fn decoding_noise_never_panics(mut bytes in vec(any::<u8>(), 0..600), version in 0u8..3) {
        decode_all(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        decode_all(&bytes);
    }

    #[test]
    fn decoding_damaged_frames_never_panics(
        header in header(),
        parts in parts(4),
        flips in vec((any::<Index>(), any::<u8>()), 1..8),
        cut in any::<Index>(),
    ) {
        let mut bytes = encoded(&header, &parts);
        decode_all(&bytes[..cut.index(bytes.len())]);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            decode_all(&bytes);
        }
    }

    /// Neither a truncated frame nor a frame with extra bytes is accepted.
    #[test]
    fn only_complete_frames_are_accepted(header in header(), parts in parts(4), cut in any::<Index>(), extra in 1usize..9) {
        let mut bytes = encoded(&header, &parts);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.resize(bytes.len() + extra, 0);
        prop_assert_eq!(decode(&bytes), Err(DecodeError::Trailing { bytes: extra }));
    }

    #[test]
    fn the_header_is_readable_before_any_garbage(header in header(), parts in parts(2), garbage in vec(any::<u8>(), 0..40_000)) {
        let whole = encoded(&header, &parts);
        let behind = (0..=whole.len()).find(|&end| peek_header(&whole[..end]).is_ok()).unwrap();
        let mut bytes = whole[..behind].to_vec();
        bytes.extend(garbage);
        prop_assert_eq!(peek_header(&bytes), Ok(header));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_refused(header in header(), parts in parts(4), short in any::<Index>()) {
        let bytes = encoded(&header, &parts);
        let mut buffer = vec![0; short.index(bytes.len())];
        with_event(&parts, |event| assert_eq!(encode(&header, &event, &mut buffer), Err(EncodeError::BufferFull)));
    }

    #[test]
    fn topics_round_trip(
        store in topic_name(),
        device in topic_name(),
        leaf in select(&[
            Leaf::Event(Kind::Orders), Leaf::Event(Kind::Payments), Leaf::Event(Kind::Deliveries),
            Leaf::Ack, Leaf::Status, Leaf::Commands,
        ]),
    ) {
        let topic = Topic { store: Name::new(&store).unwrap(), device: Name::new(&device).unwrap(), leaf };
        let text = topic.to_string();
        prop_assert!(text.len() <= MAX_TOPIC);
        prop_assert_eq!(Topic::parse(&text), Ok(topic));
    }

    #[test]
    fn any_text_is_parsed_as_a_topic_or_refused(topic in ".{0,80}", tail in "[a-z/+#-]{0,40}") {
        let _ = Topic::parse(&topic);
        if let Ok(topic) = Topic::parse(&format!("pos/{tail}")) {
            prop_assert_eq!(topic.to_string(), format!("pos/{tail}"));
        }
    }
}
