//! A shop as a list of sales, which are random, and their JSON.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

const CURRENCIES: [&str; 4] = ["EUR", "USD", "JPY", "KWD"];
pub const TILLS: [&str; 3] = ["till-1", "till-2", "bar"];
const METHODS: [&str; 3] = ["Cash", "Credit Card", "PayPal"];

/// What the sender of a payment says.
#[derive(Debug, Clone)]
pub struct Payment {
    pub id: String,
    pub till: &'static str,
    pub method: &'static str,
    pub is_success: bool,
    pub currency: &'static str,
    pub minor: i64,
    pub time: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub till: &'static str,
    pub is_cancelled: bool,
    /// Quantity, price in cents and VAT rate in percent of each line.
    pub lines: Vec<(i64, i64, Option<i64>)>,
    pub time: Timestamp,
}

/// The shop as a list of sales.
pub struct Shop {
    pub zone: TimeZone,
    pub payments: HashMap<(&'static str, String), Payment>,
    pub orders: HashMap<String, Order>,
    /// All payments that arrived after the newest closing, in their order.
    pub arrived: Vec<Payment>,
    /// What no closing has counted, in minor units.
    pub uncounted: BTreeMap<(Option<Date>, &'static str), i64>,
    pub grand_total: BTreeMap<String, i64>,
    pub seqs: HashMap<&'static str, u32>,
    /// The number with which the newest closing ended.
    pub covered: HashMap<&'static str, u32>,
    pub closings: u64,
    pub hash: String,
}

fn decimals(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

/// An amount as a JSON number with exactly the currency's decimals.
fn number(minor: i64, currency: &str) -> Value {
    let unit = 10_i64.pow(decimals(currency));
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, rest) = (minor.abs() / unit, minor.abs() % unit);
    let text = match decimals(currency) {
        0 => format!("{sign}{whole}"),
        width => format!("{sign}{whole}.{rest:0width$}", width = width as usize),
    };
    serde_json::from_str(&text).unwrap()
}

/// The reverse of [`number`].
pub fn minor(number: &Value, currency: &str) -> i64 {
    let unit = 10_f64.powi(decimals(currency) as i32);
    (number.as_f64().unwrap() * unit).round() as i64
}

impl Shop {
    pub fn new(zone: &str) -> Self {
        Self {
            zone: TimeZone::get(zone).unwrap(),
            payments: HashMap::new(),
            orders: HashMap::new(),
            arrived: Vec::new(),
            uncounted: BTreeMap::new(),
            grand_total: BTreeMap::new(),
            seqs: HashMap::new(),
            covered: HashMap::new(),
            closings: 0,
            hash: "0".repeat(64),
        }
    }

    pub fn begins(&self, day: Date) -> Timestamp {
        day.to_zoned(self.zone.clone()).unwrap().timestamp()
    }

    /// A time of the day, often one at which mistakes would be made.
    fn time_on(&self, day: Date, random: &mut StdRng) -> Timestamp {
        let (begin, end) = (self.begins(day), self.begins(day.tomorrow().unwrap()));
        let length = end.as_millisecond() - begin.as_millisecond();
        let ms = match random.random_range(0..10) {
            0 => 0,
            1 => length - 1,
            // Around the hours at which clocks change.
            2 | 3 => random.random_range(0..4 * 3_600_000).min(length - 1),
            _ => random.random_range(0..length),
        };
        Timestamp::from_millisecond(begin.as_millisecond() + ms).unwrap()
    }

    /// The time of a sale that arrives on this day: mostly of the same day.
    fn time(&self, day: Date, random: &mut StdRng) -> Timestamp {
        let of = match random.random_range(0..20) {
            0 | 1 => day.saturating_sub(Span::new().days(random.random_range(1..4))),
            2 => day.tomorrow().unwrap(),
            // A wrong clock.
            3 if random.random_bool(0.2) => day.saturating_sub(Span::new().days(900)),
            3 if random.random_bool(0.2) => day.saturating_add(Span::new().days(900)),
            _ => day,
        };
        self.time_on(of, random)
    }

    /// The day to which a time counts.
    pub fn day_of(&self, time: Timestamp) -> Option<Date> {
        let today = Zoned::now().with_time_zone(self.zone.clone()).date();
        let day = time.to_zoned(self.zone.clone()).date();
        let is_plausible =
            day >= today.saturating_sub(Span::new().days(400)) && day <= today.tomorrow().unwrap();
        is_plausible.then_some(day)
    }

    /// Numbers an event of a till.
    fn numbered(&mut self, till: &'static str, mut event: Value) -> Value {
        let seq = self.seqs.entry(till).or_default();
        *seq += 1;
        (event["epoch"], event["seq"]) = (7.into(), (*seq).into());
        event
    }

    /// A payment, or another state of one, and its JSON.
    pub fn pay(&mut self, day: Date, random: &mut StdRng) -> (&'static str, Value) {
        let known = self.payments.len();
        let mut payment = match random.random_bool(0.2) && known > 0 {
            true => {
                let mut payments: Vec<_> = self.payments.values().collect();
                payments.sort_unstable_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
                // Recent ones, most of them.
                let from = known.saturating_sub(30);
                payments[random.random_range(from..known)].clone()
            }
            false => Payment {
                id: format!("p-{known}"),
                till: TILLS[random.random_range(0..TILLS.len())],
                method: METHODS[random.random_range(0..METHODS.len())],
                is_success: true,
                currency: CURRENCIES[random.random_range(0..8_usize).saturating_sub(4)],
                minor: random.random_range(1..100_000),
                time: self.time(day, random),
            },
        };
        payment.is_success = random.random_bool(0.85);
        let is_refund = random.random_bool(0.15);
        if random.random_bool(0.3) {
            payment.minor = random.random_range(1..100_000);
        }
        if random.random_bool(0.3) {
            payment.time = self.time(day, random);
        }
        payment.minor = payment.minor.abs() * if is_refund { -1 } else { 1 };
        self.count(&payment);
        let mut json = json!({
            "payment_id": payment.id, "order_id": "o-1", "amount": number(payment.minor, payment.currency),
            "currency": payment.currency, "method": payment.method, "timestamp": payment.time.to_string(),
            "status": if payment.is_success { "SUCCESS" } else { "FAILED" },
        });
        if is_refund {
            json["refund_of"] = "p".into();
        }
        (payment.till, self.numbered(payment.till, json))
    }

    fn count(&mut self, payment: &Payment) {
        let key = (payment.till, payment.id.clone());
        let before = self.payments.insert(key, payment.clone());
        for (state, sign) in [(before.as_ref(), -1), (Some(payment), 1)] {
            if let Some(state) = state.filter(|state| state.is_success) {
                let day = self.day_of(state.time);
                *self.uncounted.entry((day, state.currency)).or_default() += sign * state.minor;
            }
        }
        self.arrived.push(payment.clone());
    }

    /// An order, or another state of one, and its JSON.
    pub fn order(&mut self, day: Date, random: &mut StdRng) -> (&'static str, Value) {
        let known = self.orders.len();
        let id = match random.random_bool(0.2) && known > 0 {
            true => format!("o-{}", random.random_range(known.saturating_sub(30)..known)),
            false => format!("o-{known}"),
        };
        let mut order = self.orders.get(&id).cloned().unwrap_or_else(|| Order {
            till: TILLS[random.random_range(0..TILLS.len())],
            is_cancelled: false,
            lines: Vec::new(),
            time: self.time(day, random),
        });
        order.is_cancelled = random.random_bool(0.15);
        if order.lines.is_empty() || random.random_bool(0.3) {
            let rates = [None, Some(5), Some(10), Some(20)];
            order.lines = (0..random.random_range(1..4))
                .map(|_| {
                    (
                        random.random_range(1..5),
                        random.random_range(1..9_999),
                        rates[random.random_range(0..4)],
                    )
                })
                .collect();
            order.time = self.time(day, random);
        }
        let lines: Vec<Value> = order
            .lines
            .iter()
            .map(|(quantity, price, rate)| {
                let mut line = json!({"product": format!("a {price}"), "quantity": quantity,
                    "unit_price": number(*price, "EUR")});
                if let Some(rate) = rate {
                    line["vat_rate"] = (*rate).into();
                }
                line
            })
            .collect();
        let json = json!({
            "order_id": id, "customer_name": "Léa", "product": "a", "lines": lines,
            "amount": number(order.amount(), "EUR"), "currency": "EUR", "timestamp": order.time.to_string(),
            "status": if order.is_cancelled { "Cancelled" } else { "Pending" },
        });
        self.orders.insert(id, order.clone());
        (order.till, self.numbered(order.till, json))
    }
}

impl Order {
    /// In cents.
    pub fn amount(&self) -> i64 {
        self.lines
            .iter()
            .map(|(quantity, price, _)| quantity * price)
            .sum()
    }
}
