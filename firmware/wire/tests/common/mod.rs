//! Strategies for every valid frame, shared by the property tests.

use comptoir_wire::topic::MAX_NAME as MAX_TOPIC_NAME;
use comptoir_wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A text of at most `max` bytes, with characters of one to four bytes.
pub fn text(max: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=max).prop_map(move |chars| {
        let mut text = String::new();
        for c in chars {
            if text.len() + c.len_utf8() <= max {
                text.push(c);
            }
        }
        text
    })
}

pub fn id() -> impl Strategy<Value = String> {
    text(MAX_ID).prop_map(|id| if id.is_empty() { "x".to_owned() } else { id })
}

pub fn currency() -> impl Strategy<Value = Currency> {
    [b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z'].prop_map(|code| Currency::new(code).unwrap())
}

pub fn header() -> impl Strategy<Value = Header> {
    (1..=u32::MAX, 1..=u32::MAX, any::<u32>(), any::<u64>()).prop_map(|(epoch, seq, below, time_ms)| Header {
        epoch,
        seq,
        oldest: 1 + below % seq,
        time_ms,
    })
}

/// The owned parts of an event, which [`with_event`] borrows.
#[derive(Clone, Debug)]
pub struct Parts {
    pub kind: u8,
    pub ids: [String; 2],
    pub name: String,
    pub email: Option<String>,
    pub product: String,
    pub address: Option<String>,
    pub currency: Currency,
    pub amount: u64,
    pub words: (OrderStatus, PaymentMethod, PaymentStatus, DeliveryStatus),
    pub date: Date,
    pub lines: Vec<(String, u32, u64)>,
}

pub fn parts(max_lines: usize) -> impl Strategy<Value = Parts> {
    let words = (
        select(OrderStatus::ALL),
        select(PaymentMethod::ALL),
        select(PaymentStatus::ALL),
        select(DeliveryStatus::ALL),
    );
    let date = (1u16..=9999, 1u8..=12, 1u8..=28).prop_map(|(y, m, d)| Date::new(y, m, d).unwrap());
    let texts = (
        [id(), id()],
        text(MAX_NAME),
        proptest::option::of(text(MAX_EMAIL)),
        text(MAX_PRODUCT),
        proptest::option::of(text(MAX_ADDRESS)),
    );
    let lines = vec((text(MAX_PRODUCT), any::<u32>(), 0..=MAX_AMOUNT), 0..=max_lines);
    (0u8..3, texts, currency(), 0..=MAX_AMOUNT, words, date, lines).prop_map(
        |(kind, (ids, name, email, product, address), currency, amount, words, date, lines)| Parts {
            kind,
            ids,
            name,
            email,
            product,
            address,
            currency,
            amount,
            words,
            date,
            lines,
        },
    )
}

pub fn with_event<T>(parts: &Parts, then: impl FnOnce(Event<'_>) -> T) -> T {
    let lines: Vec<Line<'_>> = parts
        .lines
        .iter()
        .map(|&(ref product, quantity, unit_price)| Line {
            product,
            quantity,
            unit_price,
        })
        .collect();
    let (status, method, paid, delivery_status) = parts.words;
    let [id, order_id] = &parts.ids;
    let &Parts { currency, amount, .. } = parts;
    then(match parts.kind {
        0 => Event::Order(Order {
            order_id,
            customer_name: &parts.name,
            customer_email: parts.email.as_deref(),
            product: &parts.product,
            currency,
            amount,
            status,
            address: parts.address.as_deref(),
            lines: Lines::from_slice(&lines),
        }),
        1 => Event::Payment(Payment {
            payment_id: id,
            order_id,
            currency,
            amount,
            method,
            status: paid,
        }),
        _ => Event::Delivery(Delivery {
            delivery_id: id,
            order_id,
            address: parts.address.as_deref().unwrap_or(""),
            status: delivery_status,
            estimated_date: parts.date,
        }),
    })
}

#[allow(dead_code, reason = "not every test crate makes topics")]
pub fn topic_name() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9-]{0,31}".prop_filter("bounded", |name| name.len() <= MAX_TOPIC_NAME)
}
