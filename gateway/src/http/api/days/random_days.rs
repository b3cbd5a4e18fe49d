//! Random days of shops in zones whose clocks change at different hours: what each closing says must agree with a ledger
//! that only knows the list of payments.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::http::testing::client::{get, post, send};
use crate::http::testing::gateway::TestGateway;
use comptoir_journal::Outcome;

const ZONES: [&str; 8] = [
    "Europe/Paris",
    "America/New_York",
    // Half an hour, not an hour.
    "Australia/Lord_Howe",
    // Days that begin at one o'clock, or have midnight twice.
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
    "Pacific/Auckland",
    "Asia/Kathmandu",
];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "JPY", "KWD"];
const TILLS: [&str; 3] = ["till-1", "till-2", "bar"];
const METHODS: [&str; 3] = ["Cash", "Credit Card", "PayPal"];
/// The days of a shop, before today. A closing tells days of the last 400 apart.
const DAYS: i32 = 394;
const SHOPS: u64 = 26;
const THREADS: usize = 2;
/// Shops of a thread at a time. Each waits for its disk most of the time.
const CONCURRENT: usize = 3;

/// What the sender of a payment says.
#[derive(Debug, Clone)]
struct Payment {
    id: String,
    till: &'static str,
    method: &'static str,
    is_success: bool,
    currency: &'static str,
    minor: i64,
    time: Timestamp,
}

#[derive(Debug, Clone)]
struct Order {
    till: &'static str,
    is_cancelled: bool,
    /// Quantity, price in cents and VAT rate in percent of each line.
    lines: Vec<(i64, i64, Option<i64>)>,
    time: Timestamp,
}

/// The shop as a list of sales.
struct Shop {
    zone: TimeZone,
    payments: HashMap<(&'static str, String), Payment>,
    orders: HashMap<String, Order>,
    /// All payments that arrived after the newest closing, in their order.
    arrived: Vec<Payment>,
    /// What no closing has counted, in minor units.
    uncounted: BTreeMap<(Option<Date>, &'static str), i64>,
    grand_total: BTreeMap<String, i64>,
    seqs: HashMap<&'static str, u32>,
    /// The number with which the newest closing ended.
    covered: HashMap<&'static str, u32>,
    closings: u64,
    hash: String,
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
fn minor(number: &Value, currency: &str) -> i64 {
    let unit = 10_f64.powi(decimals(currency) as i32);
    (number.as_f64().unwrap() * unit).round() as i64
}

/// Sums by day and currency, without those that are zero.
fn sums(list: &Value) -> BTreeMap<(String, String), i64> {
    let mut sums = BTreeMap::new();
    for taking in list.as_array().unwrap() {
        let currency = taking["currency"].as_str().unwrap();
        let date = taking["date"].as_str().unwrap_or_default();
        let sum: &mut i64 = sums.entry((date.to_owned(), currency.to_owned())).or_default();
        *sum += minor(&taking["net"], currency);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

impl Shop {
    fn new(zone: &str) -> Self {
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

    fn begins(&self, day: Date) -> Timestamp {
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
    fn day_of(&self, time: Timestamp) -> Option<Date> {
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
    fn pay(&mut self, day: Date, random: &mut StdRng) -> (&'static str, Value) {
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
    fn order(&mut self, day: Date, random: &mut StdRng) -> (&'static str, Value) {
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

    /// Compares a closing with the list, and closes the list's day.
    fn check(&mut self, day: Date, closed: &Value) {
        self.check_figures(day, closed);
        let closing = &closed["closing"];
        assert_eq!(closing["date"], day.to_string());
        assert_eq!(closing["number"], self.closings + 1);
        assert_eq!(closing["complete"], true);
        assert_eq!(closing["previous"], self.hash);
        let is_counted = |date: &Option<Date>| date.is_none_or(|date| date <= day);
        let of = |wanted: bool| -> BTreeMap<(String, String), i64> {
            let chosen = self.uncounted.iter();
            let chosen = chosen.filter(|((date, _), sum)| is_counted(date) == wanted && **sum != 0);
            let text = |date: &Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
            chosen
                .map(|((date, currency), sum)| ((text(date), (*currency).to_owned()), *sum))
                .collect()
        };
        let counted = of(true);
        assert_eq!(sums(&closing["takings"]), counted);
        assert_eq!(sums(&closing["later_takings"]), of(false));
        for ((_, currency), sum) in counted {
            *self.grand_total.entry(currency).or_default() += sum;
        }
        let total: BTreeMap<(String, String), i64> = self
            .grand_total
            .iter()
            .filter(|(_, sum)| **sum != 0)
            .map(|(currency, sum)| ((String::new(), currency.clone()), *sum))
            .collect();
        assert_eq!(sums(&closing["grand_total"]), total);
        self.uncounted.retain(|(date, _), _| !is_counted(date));
        self.check_late(day, closing);
        self.check_numbers(closing);
        self.closings += 1;
        self.hash = closing["hash"].as_str().unwrap().to_owned();
        self.arrived.clear();
    }

    fn check_late(&self, day: Date, closing: &Value) {
        let begin = self.begins(day);
        // The first closing lists none.
        let late = self
            .arrived
            .iter()
            .filter(|payment| payment.time < begin && self.closings > 0);
        let expected: Vec<_> = late
            .map(|payment| (payment.id.clone(), payment.minor, payment.time.to_string()))
            .collect();
        let listed = closing["late_payments"].as_array().unwrap().iter();
        let listed: Vec<_> = listed
            .map(|late| {
                let text = |field: &str| late[field].as_str().unwrap().to_owned();
                (
                    text("payment_id"),
                    minor(&late["amount"], &text("currency")),
                    text("time"),
                )
            })
            .collect();
        assert_eq!(listed, expected);
    }

    fn check_numbers(&mut self, closing: &Value) {
        let mut listed: HashMap<&str, (u32, u32)> = HashMap::new();
        for numbers in closing["numbers"].as_array().unwrap() {
            assert_eq!(numbers["missing"], json!([]), "{numbers}");
            let number = |field: &str| numbers[field].as_u64().unwrap() as u32;
            listed.insert(
                numbers["device"].as_str().unwrap(),
                (number("from"), number("to")),
            );
        }
        for till in TILLS {
            let last = self.seqs.get(till).copied().unwrap_or_default();
            let covered = self.covered.insert(till, last).unwrap_or_default();
            let expected = (last > covered).then_some((covered + 1, last));
            assert_eq!(listed.get(till).copied(), expected, "{till}");
        }
    }

    /// The figures of a day are those of the newest states.
    fn check_figures(&self, day: Date, figures: &Value) {
        let is_of_day = |time: Timestamp| time.to_zoned(self.zone.clone()).date() == day;
        let payments: Vec<_> = self
            .payments
            .values()
            .filter(|payment| is_of_day(payment.time))
            .collect();
        assert_eq!(figures["complete"], Value::Null);
        let all: Vec<&Payment> = payments
            .iter()
            .copied()
            .filter(|payment| payment.currency == "EUR")
            .collect();
        check_takings(&figures["takings"], &all);
        for (list, field, value) in [
            (
                "by_till",
                "device",
                (|payment| payment.till) as fn(&Payment) -> &'static str,
            ),
            ("by_method", "method", |payment| payment.method),
        ] {
            let mut groups: BTreeMap<&str, Vec<&Payment>> = BTreeMap::new();
            for payment in &all {
                groups.entry(value(payment)).or_default().push(payment);
            }
            let list = figures[list].as_array().unwrap();
            assert_eq!(list.len(), groups.len(), "{list:?}");
            for group in list {
                check_takings(group, &groups[group[field].as_str().unwrap()]);
            }
        }
        let mut hours: BTreeMap<i64, i64> = BTreeMap::new();
        for payment in all.iter().filter(|payment| payment.is_success) {
            // Each of these zones differs from UTC by a multiple of a quarter of an hour.
            let zoned = payment.time.to_zoned(self.zone.clone());
            let past = SignedDuration::from_mins(zoned.minute().into())
                + SignedDuration::from_secs(zoned.second().into())
                + SignedDuration::from_nanos(zoned.subsec_nanosecond().into());
            *hours.entry((payment.time - past).as_second()).or_default() += payment.minor;
        }
        let listed: BTreeMap<i64, i64> = figures["by_hour"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hour| {
                let begin: Timestamp = hour["hour"].as_str().unwrap().parse().unwrap();
                (begin.as_second(), minor(&hour["net"], "EUR"))
            })
            .collect();
        assert_eq!(listed, hours);
        let mut others: BTreeMap<(String, String), i64> = BTreeMap::new();
        for payment in payments
            .iter()
            .filter(|payment| payment.is_success && payment.currency != "EUR")
        {
            *others
                .entry((String::new(), payment.currency.to_owned()))
                .or_default() += payment.minor;
        }
        others.retain(|_, sum| *sum != 0);
        assert_eq!(sums(&figures["other_currencies"]), others);

        let orders = self.orders.values().filter(|order| is_of_day(order.time));
        let (cancelled, sold): (Vec<&Order>, Vec<&Order>) = orders.partition(|order| order.is_cancelled);
        let amount = |orders: &[&Order]| orders.iter().map(|order| order.amount()).sum::<i64>();
        let said = &figures["orders"];
        assert_eq!(
            (&said["orders"], &said["cancelled"]),
            (&json!(sold.len()), &json!(cancelled.len()))
        );
        assert_eq!(minor(&said["amount"], "EUR"), amount(&sold));
        assert_eq!(minor(&said["cancelled_amount"], "EUR"), amount(&cancelled));
        let mut by_rate: BTreeMap<Option<i64>, i64> = BTreeMap::new();
        for (quantity, price, rate) in sold.iter().flat_map(|order| &order.lines) {
            *by_rate.entry(*rate).or_default() += quantity * price;
        }
        let listed = figures["by_vat_rate"].as_array().unwrap().iter();
        let listed: BTreeMap<Option<i64>, i64> = listed
            .map(|rate| {
                (
                    rate["vat_rate"].as_f64().map(|rate| rate as i64),
                    minor(&rate["amount"], "EUR"),
                )
            })
            .collect();
        assert_eq!(listed, by_rate);
        let products = figures["by_product"].as_array().unwrap().iter();
        let products: i64 = products.map(|product| minor(&product["amount"], "EUR")).sum();
        assert_eq!(
            products + minor(&figures["other_products"]["amount"], "EUR"),
            amount(&sold)
        );
    }
}

impl Order {
    /// In cents.
    fn amount(&self) -> i64 {
        self.lines
            .iter()
            .map(|(quantity, price, _)| quantity * price)
            .sum()
    }
}

fn check_takings(takings: &Value, payments: &[&Payment]) {
    let of = |chosen: fn(&Payment) -> bool| {
        let chosen = payments.iter().filter(|payment| chosen(payment));
        chosen.fold((0_u64, 0_i64), |(count, sum), payment| {
            (count + 1, sum + payment.minor)
        })
    };
    let (paid, gross) = of(|payment| payment.is_success && payment.minor > 0);
    let (refunds, refunded) = of(|payment| payment.is_success && payment.minor < 0);
    let (failed, _) = of(|payment| !payment.is_success);
    let said = |field: &str| minor(&takings[field], "EUR");
    assert_eq!(
        (&takings["payments"], &takings["refunds"], &takings["failed"]),
        (&json!(paid), &json!(refunds), &json!(failed)),
        "{takings}"
    );
    assert_eq!(
        (said("gross"), said("refunded"), said("net")),
        (gross, -refunded, gross + refunded),
        "{takings}"
    );
}

/// The days of one shop. The seed makes everything but today's date.
async fn run(zone: &str, seed: u64) -> u32 {
    // Printed only if the test fails.
    println!("{zone}, seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut shop = Shop::new(zone);
    let gateway = TestGateway::in_time_zone(shop.zone.clone()).await;
    let router = gateway.router();
    let today = Zoned::now().with_time_zone(shop.zone.clone()).date();
    let (mut days, mut closed_days) = (0, Vec::new());
    for before in (1..=DAYS).rev() {
        let day = today.saturating_sub(Span::new().days(before));
        days += 1;
        let mut batch = Vec::new();
        for _ in 0..random.random_range(0..9) {
            let (kind, (till, json)) = match random.random_bool(0.7) {
                true => ("payments", shop.pay(day, &mut random)),
                false => ("orders", shop.order(day, &mut random)),
            };
            let topic = format!("pos/{}/{till}/{kind}", gateway.app.store);
            let now = Timestamp::now();
            let submission = gateway
                .app
                .decoder
                .decode(topic.as_bytes(), json.to_string().as_bytes(), now);
            assert_eq!(submission.reason, None, "{json}");
            // Some arrive twice.
            batch.extend(std::iter::repeat_n(submission, random.random_range(1..8) / 7 + 1));
        }
        let receipt = gateway.app.journal.append(batch).await.unwrap();
        let is_good = |outcome: &Outcome| matches!(outcome, Outcome::Stored(..) | Outcome::Duplicate);
        assert!(receipt.outcomes.iter().all(is_good), "{:?}", receipt.outcomes);
        if random.random_bool(0.15) {
            // Nobody closed it.
            continue;
        }
        let answer = send(router.clone(), post(&format!("/api/days/{day}/close"), "")).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        shop.check(day, &answer.body);
        closed_days.push((day, answer.body));
        if random.random_bool(0.05) {
            let chosen = random.random_range(0..closed_days.len());
            let (day, frozen) = &mut closed_days[chosen];
            let mut now = send(router.clone(), get(&format!("/api/days/{day}"))).await.body;
            let since = shop
                .uncounted
                .iter()
                .filter(|((of, _), sum)| *of == Some(*day) && **sum != 0);
            let since: BTreeMap<(String, String), i64> = since
                .map(|((_, currency), sum)| ((String::new(), (*currency).to_owned()), *sum))
                .collect();
            assert_eq!(sums(&now["closing"]["since"]), since);
            (now["closing"]["since"], frozen["closing"]["since"]) = (json!([]), json!([]));
            assert_eq!(now, *frozen, "{day}");
        }
    }
    days
}

#[test]
fn every_closing_of_ten_thousand_random_days_agrees_with_a_plain_ledger() {
    let run_some = |thread: usize| {
        let seeds = (0..SHOPS).skip(thread).step_by(THREADS);
        let shops = seeds.map(|seed| run(ZONES[seed as usize % ZONES.len()], seed));
        let all = futures::stream::iter(shops).buffer_unordered(CONCURRENT);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let days: Vec<u32> = runtime.unwrap().block_on(all.collect());
        days.iter().sum::<u32>()
    };
    let days: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run_some(thread)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(days >= 10_000, "{days}");
}
