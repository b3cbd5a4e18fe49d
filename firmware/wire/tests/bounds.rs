//! Every field has a bound, and each error names the field.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use comptoir_wire::topic::{Name, NameError, Topic, TopicError};
use comptoir_wire::*;

const HEADER: Header = Header {
    epoch: u32::MAX,
    seq: u32::MAX,
    oldest: u32::MAX,
    time_ms: u64::MAX,
};

fn order<'a>(order_id: &'a str, lines: &'a [Line<'a>]) -> Order<'a> {
    Order {
        order_id,
        customer_name: "Client",
        customer_email: None,
        product: "",
        currency: Currency::EUR,
        amount: 0,
        status: OrderStatus::Pending,
        address: None,
        lines: Lines::from_slice(lines),
    }
}

fn encode_error(header: &Header, event: Event<'_>) -> String {
    encode(header, &event, &mut [0; MAX_FRAME])
        .expect_err("refused")
        .to_string()
}

#[test]
fn an_order_of_250_lines_round_trips() {
    let products: Vec<String> = (0..250).map(|n| format!("Article n° {n}")).collect();
    let lines: Vec<Line<'_>> = products
        .iter()
        .zip(0..)
        .map(|(product, n)| Line {
            product,
            quantity: n,
            unit_price: 99,
        })
        .collect();
    let mut buffer = [0; MAX_FRAME];
    let bytes = encode(&HEADER, &Event::Order(order("o-1", &lines)), &mut buffer).unwrap();
    let Event::Order(read) = decode(bytes).unwrap().event else {
        panic!("an order")
    };
    assert_eq!(read.lines.len(), 250);
    assert!(read.lines.iter().eq(lines.iter().copied()));
}

#[test]
fn the_largest_valid_frame_fits_the_maximum_size() {
    let long = |max: usize| "x".repeat(max);
    let (product, name, email, address) = (
        long(MAX_PRODUCT),
        long(MAX_NAME),
        long(MAX_EMAIL),
        long(MAX_ADDRESS),
    );
    let lines = [Line {
        product: &product,
        quantity: u32::MAX,
        unit_price: MAX_AMOUNT,
    }; MAX_LINES];
    let order_id = long(MAX_ID);
    let largest = Order {
        customer_name: &name,
        customer_email: Some(&email),
        product: &product,
        amount: MAX_AMOUNT,
        status: OrderStatus::Cancelled,
        address: Some(&address),
        ..order(&order_id, &lines)
    };
    let mut buffer = [0; MAX_FRAME];
    let bytes = encode(&HEADER, &Event::Order(largest), &mut buffer).unwrap();
    assert_eq!(decode(bytes).unwrap().event, Event::Order(largest));

    let prices = [Price {
        product: &product,
        unit_price: MAX_AMOUNT,
    }; MAX_PRICES];
    let list = PriceList {
        currency: Currency::EUR,
        prices: Prices::from_slice(&prices),
    };
    let mut buffer = [0; Command::MAX_BYTES];
    let bytes = Command::PriceList(list).encode(&mut buffer).unwrap();
    assert_eq!(bytes.len(), Command::MAX_BYTES);
}

#[test]
fn an_encode_error_names_the_field() {
    let ok = Header {
        epoch: 1,
        seq: 2,
        oldest: 1,
        time_ms: 0,
    };
    let event = Event::Order(order("o", &[]));
    assert_eq!(
        encode_error(&Header { epoch: 0, ..ok }, event),
        "epoch: must not be 0"
    );
    assert_eq!(
        encode_error(&Header { seq: 0, ..ok }, event),
        "seq: counts from 1"
    );
    assert_eq!(
        encode_error(&Header { oldest: 0, ..ok }, event),
        "oldest: must be from 1 to seq"
    );
    assert_eq!(
        encode_error(&Header { oldest: 3, ..ok }, event),
        "oldest: must be from 1 to seq"
    );

    let order = |order_id| order(order_id, &[]);
    let long = "x".repeat(70);
    assert_eq!(
        encode_error(&ok, Event::Order(order(&long))),
        "order_id: 70 bytes, at most 64"
    );
    assert_eq!(
        encode_error(&ok, Event::Order(order(""))),
        "order_id: must not be empty"
    );
    let rich = Order {
        amount: MAX_AMOUNT + 1,
        ..order("o")
    };
    assert_eq!(
        encode_error(&ok, Event::Order(rich)),
        "amount: 1000000000001, at most 1000000000000"
    );
    let lines = [Line {
        product: &long,
        quantity: 1,
        unit_price: 1,
    }];
    let wide = Order {
        lines: Lines::from_slice(&lines),
        ..order("o")
    };
    assert_eq!(
        encode_error(&ok, Event::Order(wide)),
        "lines.product: 70 bytes, at most 64"
    );
    let lines = [Line {
        product: "",
        quantity: 1,
        unit_price: 1,
    }; MAX_LINES + 1];
    let tall = Order {
        lines: Lines::from_slice(&lines),
        ..order("o")
    };
    assert_eq!(
        encode_error(&ok, Event::Order(tall)),
        "lines: 257 elements, at most 256"
    );
}

/// Each case is the frame of a payment with one change.
#[test]
fn a_decode_error_names_the_field() {
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let payment = Payment {
            payment_id: "p1",
            order_id: "o1",
            currency: Currency::EUR,
            amount: 5,
            method: PaymentMethod::Cash,
            status: PaymentStatus::Success,
        };
        let mut buffer = [0; 64];
        let header = Header {
            epoch: 1,
            seq: 1,
            oldest: 1,
            time_ms: 1,
        };
        let mut bytes = encode(&header, &Event::Payment(payment), &mut buffer)
            .unwrap()
            .to_vec();
        // version epoch seq oldest time | kind | 2 p 1 | 2 o 1 | E U R | amount | method | status
        assert_eq!(bytes.len(), 18);
        change(&mut bytes);
        decode(&bytes).expect_err("refused").to_string()
    };
    assert_eq!(error(&|b| b.clear()), "empty payload");
    assert_eq!(
        error(&|b| b[0] = 0),
        "unsupported format version 0; supported are 1 to 1"
    );
    assert_eq!(
        error(&|b| b[0] = b'{'),
        "unsupported format version 123; supported are 1 to 1"
    );
    assert_eq!(error(&|b| b[1] = 0), "epoch: must not be 0");
    assert_eq!(error(&|b| b[5] = 3), "event: unknown variant 3");
    assert_eq!(error(&|b| b[6] = 100), "payment_id: 100 bytes, at most 64");
    assert_eq!(error(&|b| b[6] = 50), "payment_id: the frame ends in this field");
    assert_eq!(error(&|b| b[7] = 0xff), "payment_id: not UTF-8");
    assert_eq!(
        error(&|b| b[12] = b'e'),
        "currency: three upper-case letters expected"
    );
    assert_eq!(error(&|b| b[16] = 5), "method: unknown variant 5");
    assert_eq!(error(&|b| b[17] = 2), "status: unknown variant 2");
    assert_eq!(error(&|b| b.truncate(17)), "status: the frame ends in this field");
    assert_eq!(error(&|b| b.push(0)), "1 bytes after the frame's end");
    assert_eq!(
        error(&|b| b.resize(MAX_FRAME + 1, 0)),
        "frame: 20481 bytes, at most 20480"
    );
    let too_large = |b: &mut Vec<u8>| {
        b.splice(15..16, [0xff; 9].into_iter().chain([1]));
    };
    assert_eq!(
        error(&too_large),
        "amount: 18446744073709551615, at most 1000000000000"
    );
    let too_many_bits = |b: &mut Vec<u8>| {
        b.splice(15..16, [0xff; 11]);
    };
    assert_eq!(error(&too_many_bits), "amount: the number does not fit the field");
}

#[test]
fn only_dates_of_the_calendar_are_valid() {
    for (year, month, day) in [
        (0, 1, 1),
        (10_000, 1, 1),
        (2026, 0, 1),
        (2026, 13, 1),
        (2026, 4, 31),
        (2026, 1, 0),
    ] {
        assert_eq!(Date::new(year, month, day), None, "{year}-{month}-{day}");
    }
    assert_eq!(Date::new(2026, 2, 29), None);
    assert_eq!(Date::new(1900, 2, 29), None);
    assert_eq!(
        Date::new(2000, 2, 29).map(|date| date.to_string()).as_deref(),
        Some("2000-02-29")
    );
}

#[test]
fn a_topic_error_names_the_invalid_part() {
    let error = |topic: &str| Topic::parse(topic).expect_err("refused").to_string();
    assert_eq!(error("orders"), "topic: does not begin with pos/");
    assert_eq!(
        error("pos/paris-1/orders"),
        "topic: pos/{store}/{device}/{leaf} expected"
    );
    assert_eq!(
        error("pos/paris-1/till-1/orders/x"),
        "topic: pos/{store}/{device}/{leaf} expected"
    );
    assert_eq!(error("pos//till-1/orders"), "topic: store: empty");
    assert_eq!(
        error("pos/Paris/till-1/orders"),
        "topic: store: 'P' is not a lower-case letter, a digit or a dash"
    );
    assert_eq!(error("pos/paris/-1/orders"), "topic: device: begins with a dash");
    assert_eq!(Topic::parse("pos/a/b/refunds"), Err(TopicError::Leaf));
    assert_eq!(Name::new(&"a".repeat(33)), Err(NameError::TooLong { len: 33 }));
    assert!(Name::new(&"a".repeat(32)).is_ok());
}
