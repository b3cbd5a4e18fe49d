//! The bytes that tills in use send and understand. See `golden/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use comptoir_wire::*;

fn golden(version: u8, name: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/golden/v{version}/{name}.hex",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let digits: Vec<u8> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::bytes)
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_golden(name: &str, header: Header, event: Event<'_>) {
    let bytes = golden(1, name);
    let mut buffer = [0; MAX_FRAME];
    assert_eq!(
        hex(encode(&header, &event, &mut buffer).unwrap()),
        hex(&bytes),
        "{name}: encode"
    );
    assert_eq!(decode(&bytes), Ok(Frame { header, event }), "{name}: decode");
    assert_eq!(peek_header(&bytes), Ok(header), "{name}: peek_header");
}

const HEADER: Header = Header {
    epoch: 0xdead_beef,
    seq: 300,
    oldest: 129,
    time_ms: 1_795_348_800_123,
};

#[test]
fn an_order_keeps_its_bytes() {
    let lines = [
        Line {
            product: "Baguette tradition",
            quantity: 2,
            unit_price: 130,
        },
        Line {
            product: "Crème fraîche 20 cl",
            quantity: 1,
            unit_price: 189,
        },
        Line {
            product: "Pommes",
            quantity: 0,
            unit_price: 0,
        },
    ];
    assert_golden(
        "order",
        HEADER,
        Event::Order(Order {
            order_id: "o-paris-1-till-1-1",
            customer_name: "Zoé Lefèvre",
            customer_email: Some("zoe@example.fr"),
            product: "Baguette tradition ×2 + 2 more",
            currency: Currency::EUR,
            amount: 449,
            status: OrderStatus::Pending,
            address: Some("3 rue de la Paix, 75002 Paris"),
            lines: Lines::from_slice(&lines),
        }),
    );
}

#[test]
fn an_order_without_optional_fields_keeps_its_bytes() {
    assert_golden(
        "order-bare",
        Header {
            epoch: 1,
            seq: 1,
            oldest: 1,
            time_ms: 0,
        },
        Event::Order(Order {
            order_id: "1",
            customer_name: "",
            customer_email: None,
            product: "",
            currency: Currency::parse("JPY").unwrap(),
            amount: MAX_AMOUNT,
            status: OrderStatus::Cancelled,
            address: None,
            lines: Lines::from_slice(&[]),
        }),
    );
}

#[test]
fn a_payment_keeps_its_bytes() {
    assert_golden(
        "payment",
        HEADER,
        Event::Payment(Payment {
            payment_id: "p-1",
            order_id: "o-1",
            currency: Currency::EUR,
            amount: 1250,
            method: PaymentMethod::Cash,
            status: PaymentStatus::Failed,
        }),
    );
}

#[test]
fn a_delivery_keeps_its_bytes() {
    assert_golden(
        "delivery",
        Header {
            epoch: u32::MAX,
            seq: u32::MAX,
            oldest: u32::MAX,
            time_ms: u64::MAX,
        },
        Event::Delivery(Delivery {
            delivery_id: "d-1",
            order_id: "o-1",
            address: "12 avenue Jean-Jaurès, 69007 Lyon",
            status: DeliveryStatus::InTransit,
            estimated_date: Date::new(2028, 2, 29).unwrap(),
        }),
    );
}

#[test]
fn an_ack_keeps_its_bytes() {
    let bytes = golden(1, "ack");
    let ack = Ack {
        epoch: 0xdead_beef,
        seq: 300,
    };
    assert_eq!(hex(ack.encode(&mut [0; Ack::MAX_BYTES]).unwrap()), hex(&bytes));
    assert_eq!(Ack::decode(&bytes), Ok(ack));
}

#[test]
fn commands_keep_their_bytes() {
    let prices = [
        Price {
            product: "Baguette tradition",
            unit_price: 135,
        },
        Price {
            product: "Café moulu",
            unit_price: 459,
        },
    ];
    let commands = [
        (
            "command-message",
            Command::Message(Message {
                text: "Fermeture à 19 h",
            }),
        ),
        (
            "command-price-list",
            Command::PriceList(PriceList {
                currency: Currency::EUR,
                prices: Prices::from_slice(&prices),
            }),
        ),
        (
            "command-order-status",
            Command::OrderStatus(OrderStatusChange {
                order_id: "o-1",
                status: OrderStatus::Processing,
            }),
        ),
    ];
    for (name, command) in commands {
        let bytes = golden(1, name);
        let mut buffer = [0; 512];
        assert_eq!(
            hex(command.encode(&mut buffer).unwrap()),
            hex(&bytes),
            "{name}: encode"
        );
        assert_eq!(Command::decode(&bytes), Ok(command), "{name}: decode");
    }
}

/// Variant numbers are part of the format. The golden frames contain only some of them; this covers the others.
#[test]
fn variants_keep_their_numbers() {
    let words: Vec<&str> = OrderStatus::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(words, ["Pending", "Processing", "Completed", "Cancelled"]);
    let words: Vec<&str> = PaymentMethod::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(
        words,
        ["Credit Card", "Debit Card", "PayPal", "Bank Transfer", "Cash"]
    );
    let words: Vec<&str> = PaymentStatus::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(words, ["SUCCESS", "FAILED"]);
    let words: Vec<&str> = DeliveryStatus::ALL.iter().map(|word| word.as_str()).collect();
    assert_eq!(words, ["Pending", "In Transit", "Delivered"]);
}
