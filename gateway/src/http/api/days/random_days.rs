//! Random days of shops in zones whose clocks change at different hours: what each closing says must agree with a ledger
//! that only knows the list of payments.

mod shop;

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use shop::{Order, Payment, Shop, TILLS, minor};

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
/// The days of a shop, before today. A closing tells days of the last 400 apart.
const DAYS: i32 = 394;
const SHOPS: u64 = 26;
const THREADS: usize = 2;
/// Shops of a thread at a time. Each waits for its disk most of the time.
const CONCURRENT: usize = 3;

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
