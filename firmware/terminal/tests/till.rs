//! Acts at the till, one by one, then in any order.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::convert::Infallible;

use comptoir_terminal::{
    Autopilot, Cart, CartError, Catalogue, CatalogueError, Customer, DeliverTo, Discount, Ids, MAX_ATTEMPTS,
    MAX_PARCELS, Payment, Product, Receipt, Till, TillError, max_frame_sizes,
};
use comptoir_wire::topic::Name;
use comptoir_wire::{
    Currency, Date, DeliveryStatus, EncodeError, Event, Header, MAX_AMOUNT, MAX_FRAME, OrderStatus,
    PaymentMethod, PaymentStatus, Price, PriceList, Prices, decode, encode,
};
use proptest::prelude::*;

fn till() -> Till {
    let names = (Name::new("paris-1").unwrap(), Name::new("till-1").unwrap());
    Till::new(Ids::new(names.0, names.1, 0xabcd), Currency::EUR)
}

fn catalogue() -> Catalogue<400> {
    let mut catalogue = Catalogue::new(Currency::EUR);
    for at in 0..300 {
        catalogue.set(&format!("article {at}"), 100 + at).unwrap();
    }
    catalogue
}

/// Stores all events of the last act, each as a frame; returns a summary of each.
fn store_all(till: &mut Till, next: &mut u32) -> Vec<String> {
    let mut summaries = Vec::new();
    let mut buffer = vec![0; MAX_FRAME];
    while till.has_events() {
        let header = Header {
            epoch: 1,
            seq: *next,
            oldest: 1,
            time_ms: 0,
        };
        let frame = till.store_next(*next, |event| {
            encode(&header, event, &mut buffer).map(<[u8]>::to_vec)
        });
        let frame = frame.unwrap().unwrap();
        summaries.push(match decode(&frame).unwrap().event {
            Event::Order(order) => format!("{} {} {}", order.order_id, order.status, order.lines.len()),
            Event::Payment(payment) => {
                format!("{} {} {}", payment.payment_id, payment.method, payment.status)
            }
            Event::Delivery(delivery) => format!("{} {}", delivery.delivery_id, delivery.status),
        });
        *next += 1;
    }
    summaries
}

/// Takes the next event off the till without looking at it.
fn drop_next(till: &mut Till, seq: u32) {
    till.store_next(seq, |_| Ok::<_, Infallible>(()))
        .unwrap()
        .unwrap();
}

fn add_to_cart(till: &mut Till, articles: impl IntoIterator<Item = (usize, u32)>) {
    let catalogue = catalogue();
    for (at, quantity) in articles {
        till.cart_mut()
            .unwrap()
            .add(catalogue.get(at).unwrap(), quantity)
            .unwrap();
    }
}

const CARD: Payment = Payment::Remote {
    method: PaymentMethod::CreditCard,
    accepted: true,
};
const DECLINED: Payment = Payment::Remote {
    method: PaymentMethod::DebitCard,
    accepted: false,
};

#[test]
fn an_order_carries_the_customers_email() {
    let (mut till, catalogue) = (till(), catalogue());
    till.cart_mut().unwrap().add(&catalogue.products()[0], 1).unwrap();
    let long = "e".repeat(129);
    let customer = |email| Customer {
        name: Some("Zoé"),
        email: Some(email),
    };
    assert_eq!(
        till.check_out(customer(long.as_str()), None),
        Err(TillError::InvalidText)
    );
    till.check_out(customer("zoe@example.com"), None).unwrap();
    let stored = till.store_next(1, |event| match event {
        Event::Order(order) => Ok::<_, Infallible>((
            order.customer_name.to_owned(),
            order.customer_email.map(str::to_owned),
        )),
        _ => panic!("an order comes first"),
    });
    let expected = ("Zoé".to_owned(), Some("zoe@example.com".to_owned()));
    assert_eq!(stored, Some(Ok(expected)));
}

#[test]
fn an_event_that_was_not_stored_stays_at_the_till() {
    let (mut till, mut next) = (till(), 1);
    assert_eq!(till.store_next(1, |_| Ok::<_, ()>(())), None);
    add_to_cart(&mut till, [(0, 1)]);
    till.check_out(None, None).unwrap();
    let mut first = None;
    for _ in 0..2 {
        let failed = till.store_next(1, |event| {
            let event = format!("{event:?}");
            assert_eq!(*first.get_or_insert_with(|| event.clone()), event);
            Err::<(), _>("the flash is worn")
        });
        assert_eq!(failed, Some(Err("the flash is worn")));
        assert_eq!(till.pay(CARD), Err(TillError::NotStored));
    }
    assert_eq!(
        store_all(&mut till, &mut next),
        ["o-paris-1-till-1-abcd-1 Pending 1"]
    );
    assert_eq!(till.pay(CARD), Ok(0));
}

#[test]
fn a_sale_can_be_paid_in_cash_after_a_declined_card() {
    let (mut till, mut next) = (till(), 7);
    add_to_cart(&mut till, [(0, 2), (5, 1), (0, 1)]);
    assert_eq!((till.cart().lines().len(), till.cart().total()), (2, 405));
    till.check_out(None, None).unwrap();
    assert_eq!(till.pay(CARD), Err(TillError::NotStored));
    assert_eq!(
        store_all(&mut till, &mut next),
        ["o-paris-1-till-1-abcd-7 Pending 2"]
    );
    assert_eq!(till.cart_mut().unwrap_err(), TillError::Paying);
    assert_eq!(till.pay(DECLINED), Ok(0));
    assert_eq!(
        store_all(&mut till, &mut next),
        ["p-paris-1-till-1-abcd-7 Debit Card FAILED"]
    );
    assert_eq!(till.pay(Payment::Cash(400)), Err(TillError::InsufficientCash(5)));
    assert_eq!(till.pay(Payment::Cash(1000)), Ok(595));
    let receipt = Receipt::new(&till, Currency::EUR, Some(1000)).to_string();
    assert!(receipt.lines().all(|line| line.len() <= 40), "{receipt}");
    assert!(
        receipt.ends_with("Change                              5.95\n"),
        "{receipt}"
    );
    assert_eq!(
        store_all(&mut till, &mut next),
        [
            "p-paris-1-till-1-abcd-7-2 Cash SUCCESS",
            "o-paris-1-till-1-abcd-7 Completed 2"
        ]
    );
    assert!(till.cart().is_empty() && till.current().is_none());
    assert_eq!(till.refund(), Ok(405));
    assert_eq!(
        store_all(&mut till, &mut next),
        ["o-paris-1-till-1-abcd-7 Cancelled 0"]
    );
    assert_eq!(till.refund(), Err(TillError::NotFound));
    assert_eq!(till.pay(CARD), Err(TillError::NotPaying));
    assert_eq!(till.check_out(None, None), Err(TillError::EmptyCart));
}

/// Also with the longest names, the largest amounts, and a currency without minor units.
#[test]
fn a_receipt_is_at_most_forty_columns_wide() {
    for (code, sum) in [("EUR", "10.00"), ("JPY", "1000"), ("KWD", "1.000")] {
        let currency = Currency::parse(code).unwrap();
        let ids = Ids::new(
            Name::new("paris-1").unwrap(),
            Name::new("till-1").unwrap(),
            0xabcd,
        );
        let mut till = Till::new(ids, currency);
        let cart = till.cart_mut().unwrap();
        for (name, unit_price) in [("é".repeat(32), 500), ("x".repeat(64), 500)] {
            let name = name.as_str().try_into().unwrap();
            cart.add(&Product { name, unit_price }, 1).unwrap();
        }
        let receipt = Receipt::new(&till, currency, Some(1000)).to_string();
        assert!(
            receipt.lines().all(|line| line.chars().count() <= 40),
            "{receipt}"
        );
        let total = receipt.lines().find(|line| line.starts_with("Total")).unwrap();
        assert_eq!(*total, format!("Total {code:<18}{sum:>16}"));
    }
    let mut till = till();
    let name = "dear".try_into().unwrap();
    let dear = Product {
        name,
        unit_price: MAX_AMOUNT,
    };
    till.cart_mut().unwrap().add(&dear, 1).unwrap();
    let receipt = Receipt::new(&till, Currency::EUR, Some(MAX_AMOUNT)).to_string();
    assert!(
        receipt.lines().all(|line| line.chars().count() <= 40),
        "{receipt}"
    );
}

#[test]
fn a_delivery_completes_its_order() {
    let (mut till, mut next) = (till(), 1);
    let date = Date::new(2026, 11, 24).unwrap();
    let to = |address| Some(DeliverTo { address, date });
    add_to_cart(&mut till, [(1, 1)]);
    assert_eq!(till.check_out(None, to("")), Err(TillError::InvalidText));
    assert_eq!(
        till.check_out(Some("n".repeat(97).as_str()), None),
        Err(TillError::InvalidText)
    );
    till.check_out(Some("Ada"), to("1 Rue de la Paix")).unwrap();
    store_all(&mut till, &mut next);
    till.pay(CARD).unwrap();
    assert_eq!(
        store_all(&mut till, &mut next),
        [
            "p-paris-1-till-1-abcd-1 Credit Card SUCCESS",
            "o-paris-1-till-1-abcd-1 Processing 1",
            "d-paris-1-till-1-abcd-1 Pending"
        ]
    );
    assert_eq!(till.advance_parcel(0), Ok(DeliveryStatus::InTransit));
    assert_eq!(
        store_all(&mut till, &mut next),
        ["d-paris-1-till-1-abcd-1 In Transit"]
    );
    assert_eq!(till.advance_parcel(0), Ok(DeliveryStatus::Delivered));
    assert_eq!(
        store_all(&mut till, &mut next),
        [
            "d-paris-1-till-1-abcd-1 Delivered",
            "o-paris-1-till-1-abcd-1 Completed 0"
        ]
    );
    assert_eq!(till.advance_parcel(0), Err(TillError::NotFound));
}

#[test]
fn a_sale_of_250_lines_is_one_order() {
    let (mut till, mut next) = (till(), 1);
    add_to_cart(&mut till, (0..250).map(|at| (at, 1)));
    till.check_out(None, None).unwrap();
    assert_eq!(
        store_all(&mut till, &mut next),
        ["o-paris-1-till-1-abcd-1 Pending 250"]
    );
    till.cancel().unwrap();
    assert_eq!(
        store_all(&mut till, &mut next),
        ["o-paris-1-till-1-abcd-1 Cancelled 250"]
    );
    add_to_cart(&mut till, (0..256).map(|at| (at, 1)));
    let one_more = till.cart_mut().unwrap().add(catalogue().get(299).unwrap(), 1);
    assert_eq!(one_more, Err(CartError::Full));
}

#[test]
fn a_price_list_changes_prices_in_the_tills_currency_only() {
    let mut catalogue = catalogue();
    let prices = [
        Price {
            product: "article 3",
            unit_price: 5,
        },
        Price {
            product: "new",
            unit_price: 6,
        },
    ];
    let list = |currency| PriceList {
        currency,
        prices: Prices::from_slice(&prices),
    };
    assert_eq!(catalogue.apply(&list(Currency::EUR)), Ok(2));
    assert_eq!(
        (catalogue.get(3).unwrap().unit_price, catalogue.products().len()),
        (5, 301)
    );
    let francs = Currency::parse("CHF").unwrap();
    assert_eq!(catalogue.apply(&list(francs)), Err(CatalogueError::WrongCurrency));
    assert_eq!(
        catalogue.set("dear", MAX_AMOUNT + 1),
        Err(CatalogueError::InvalidProduct)
    );
    let mut small = Catalogue::<1>::new(Currency::EUR);
    assert_eq!(
        (small.set("a", 1), small.set("b", 1)),
        (Ok(()), Err(CatalogueError::Full))
    );
}

#[test]
fn a_discount_is_rounded_in_the_customers_favour() {
    let (mut cart, catalogue) = (Cart::new(), catalogue());
    cart.add(catalogue.get(1).unwrap(), 1).unwrap();
    cart.set_discount(Discount::Percent(10)).unwrap();
    assert_eq!((cart.sum(), cart.discount(), cart.total()), (101, 11, 90));
    cart.set_discount(Discount::Amount(1000)).unwrap();
    assert_eq!(cart.total(), 0);
    assert_eq!(
        cart.set_discount(Discount::Percent(101)),
        Err(CartError::InvalidPercent)
    );
}

#[test]
fn an_order_produces_a_bounded_number_of_events() {
    let (mut till, catalogue) = (till(), catalogue());
    till.cart_mut()
        .unwrap()
        .add(catalogue.get(1).unwrap(), 1)
        .unwrap();
    till.check_out(None, None).unwrap();
    drop_next(&mut till, 1);
    for seq in 2..2 + u32::from(MAX_ATTEMPTS) {
        assert_eq!(till.pay(DECLINED), Ok(0));
        drop_next(&mut till, seq);
    }
    assert_eq!(till.pay(CARD), Err(TillError::TooManyAttempts));
    assert_eq!(till.cancel(), Ok(()));
    let order = usize::from(MAX_ATTEMPTS) + 2 + 4;
    assert_eq!(till.max_frame_sizes().count(), order);
    assert_eq!(max_frame_sizes(MAX_PARCELS).count(), order + 3 * MAX_PARCELS);
}

#[derive(Clone, Debug)]
enum Act {
    Add(usize, u32),
    Set(usize, u32),
    Discount(u8),
    CheckOut(bool),
    Pay(bool),
    Cash(u64),
    Cancel,
    Refund,
    Advance(usize),
    Store,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..300usize, prop_oneof![0..4u32, any::<u32>()]).prop_map(|(at, n)| Act::Add(at, n)),
        2 => (0..6usize, prop_oneof![0..4u32, any::<u32>()]).prop_map(|(at, n)| Act::Set(at, n)),
        1 => any::<u8>().prop_map(Act::Discount),
        4 => any::<bool>().prop_map(Act::CheckOut),
        3 => any::<bool>().prop_map(Act::Pay),
        2 => prop_oneof![Just(u64::MAX), 0..2000u64].prop_map(Act::Cash),
        1 => Just(Act::Cancel),
        1 => Just(Act::Refund),
        2 => (0..9usize).prop_map(Act::Advance),
        9 => Just(Act::Store),
    ]
}

proptest! {
    /// After any sequence of acts there was no panic, every event was within its bounds, each order went through a valid
    /// sequence of statuses, and the customer paid exactly the amount.
    #[test]
    fn every_order_goes_through_a_valid_sequence_of_statuses(acts in prop::collection::vec(act(), 0..300)) {
        let (mut till, catalogue, mut next) = (till(), catalogue(), 1);
        let mut histories = HashMap::<String, Vec<String>>::new();
        let mut buffer = vec![0; MAX_FRAME];
        for act in acts {
            // A refused act changes nothing.
            match act {
                Act::Add(at, n) => {
                    _ = till.cart_mut().map(|cart| cart.add(catalogue.get(at).unwrap(), n));
                }
                Act::Set(at, n) => _ = till.cart_mut().map(|cart| cart.set_quantity(at, n)),
                Act::Discount(percent) => {
                    _ = till.cart_mut().map(|cart| cart.set_discount(Discount::Percent(percent)));
                }
                Act::CheckOut(deliver) => {
                    let date = Date::new(2026, 1, 1).unwrap();
                    _ = till.check_out(None, deliver.then_some(DeliverTo { address: "here", date }));
                }
                Act::Pay(accepted) => {
                    _ = till.pay(Payment::Remote { method: PaymentMethod::PayPal, accepted });
                }
                Act::Cash(given) => {
                    let amount = till.current().map(|sale| sale.amount);
                    if let Ok(change) = till.pay(Payment::Cash(given)) {
                        prop_assert_eq!(Some(given - change), amount);
                    }
                }
                Act::Cancel => _ = till.cancel(),
                Act::Refund => _ = till.refund(),
                Act::Advance(at) => _ = till.advance_parcel(at),
                Act::Store => {
                    let header = Header { epoch: 1, seq: next, oldest: 1, time_ms: 0 };
                    let stored = till.store_next(next, |event| {
                        encode(&header, event, &mut buffer)?;
                        let status = match event {
                            Event::Order(order) => order.status.as_str(),
                            Event::Payment(payment) => payment.status.as_str(),
                            Event::Delivery(delivery) => delivery.status.as_str(),
                        };
                        histories.entry(event.order_id().to_owned()).or_default().push(status.to_owned());
                        Ok::<_, EncodeError>(())
                    });
                    if let Some(stored) = stored {
                        stored.unwrap();
                        next += 1;
                    }
                }
            }
            prop_assert!(till.cart().sum() <= MAX_AMOUNT);
        }
        for history in histories.values() {
            let statuses = history.join(" ").replace(&format!(" {}", PaymentStatus::Failed), "");
            let valid = [
                "Pending SUCCESS Completed Cancelled",
                "Pending SUCCESS Processing Pending In Transit Delivered Completed",
                "Pending Cancelled",
            ];
            prop_assert!(valid.iter().any(|valid| valid.starts_with(&statuses)), "{}", statuses);
            prop_assert!(history[0] == OrderStatus::Pending.as_str());
        }
    }
}

#[test]
fn the_autopilot_repeats_its_day_for_the_same_seed_and_performs_every_act() {
    let day = |seed, from| {
        let (mut till, mut catalogue, mut next) = (till(), Catalogue::<16>::new(Currency::EUR), from + 1);
        Autopilot::fill(&mut catalogue);
        let (mut autopilot, mut summaries) = (Autopilot::new(seed, from, 50), Vec::new());
        while summaries.len() < 3000 {
            autopilot.act(&mut till, &catalogue, true);
            summaries.extend(store_all(&mut till, &mut next));
        }
        summaries
    };
    assert_eq!(day(1, 0), day(1, 0));
    assert_ne!(day(1, 0), day(2, 0));
    let summaries = day(1, 0).join("\n");
    for act in [
        "Cash SUCCESS",
        "FAILED",
        "Cancelled",
        "In Transit",
        "Completed 0",
        "Pending 250",
    ] {
        assert!(summaries.contains(act), "{act}");
    }
}
