//! Replayed receipts arrive complete: orders, lines and sums of each store.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use common::{Acker, Faults, Mosquitto, run};
use comptoir_sim::{Plan, Sales, SimError};
use comptoir_wire::{Event, PaymentStatus, decode};

/// Orders, lines, and the sum of the amounts in cents.
type Totals = BTreeMap<String, (u64, u64, u64)>;

/// Writes receipts of three stores, some long, some with lines of 0 pieces or 0.00. Returns the totals, which are computed
/// independently of the program.
fn fixture(path: &Path) -> Totals {
    let mut csv =
        flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    writeln!(
        csv,
        "timestamp,basket_id,store_id,product,quantity,amount,weather"
    )
    .unwrap();
    let mut totals = Totals::new();
    for basket in 0u64..400 {
        let store = ["17", "North-2", "292"][usize::try_from(basket % 3).unwrap()];
        let lines = if basket % 97 == 0 {
            161
        } else {
            1 + basket * 7 % 13
        };
        let total = totals.entry(store.to_ascii_lowercase()).or_default();
        total.0 += 1;
        for line in 0..lines {
            let cents = if line % 11 == 10 {
                0
            } else {
                (basket * 31 + line * 17) % 4_000
            };
            let (quantity, seconds) = (line % 4, basket % 60);
            let (whole, part) = (cents / 100, cents % 100);
            writeln!(csv, "2026-01-05T10:{:02}:{seconds:02}Z,{basket},{store},\"GOODS, NO {line}\",{quantity},{whole}.{part:02},fair", basket / 60).unwrap();
            total.1 += 1;
            total.2 += cents;
        }
    }
    csv.finish().unwrap();
    totals
}

fn replay(mosquitto: &Mosquitto, file: &Path, speed: Option<f64>) -> Plan {
    let mut plan = Plan::new(mosquitto.broker(), "", 1, 0.0);
    plan.seed = 1;
    plan.sales = Sales::Replayed {
        file: file.to_owned(),
        speed,
        currency: "USD".to_owned(),
    };
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn the_totals_of_each_store_are_those_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sales.csv.gz");
    let expected = fixture(&file);
    arrives_completely(&file, expected, 1_767_607_200_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a file of real receipts: COMPTOIR_SALES=FILE.csv.gz"]
async fn real_receipts_arrive_completely() {
    let file = std::path::PathBuf::from(std::env::var("COMPTOIR_SALES").unwrap());
    let source = flate2::read::MultiGzDecoder::new(std::fs::File::open(&file).unwrap());
    let (mut totals, mut last) = (Totals::new(), None);
    for row in csv::Reader::from_reader(source).records() {
        let row = row.unwrap();
        let total = totals.entry(row[0].to_owned()).or_default();
        let basket = (row[0].to_owned(), row[1].to_owned());
        total.0 += u64::from(last.replace(basket.clone()) != Some(basket));
        total.1 += 1;
        let (whole, cents) = row[5].split_once('.').unwrap();
        total.2 += whole.parse::<u64>().unwrap() * 100 + cents.parse::<u64>().unwrap();
    }
    arrives_completely(&file, totals, 1).await;
}

/// Replays the file, and compares what arrives with the expected totals.
async fn arrives_completely(file: &Path, expected: Totals, not_before: u64) {
    let mosquitto = Mosquitto::start();
    let acker = Acker::start(&mosquitto.broker(), Faults::default(), true);
    let summary = run(replay(&mosquitto, file, None)).await.unwrap();
    let baskets: u64 = expected.values().map(|totals| totals.0).sum();
    assert_eq!((summary.sold, summary.unacked), (2 * baskets, 0));
    assert_eq!(summary.tills, expected.len() as u64);

    let mut orders = Totals::new();
    let mut paid = BTreeMap::<String, u64>::new();
    for store in expected.keys() {
        for (_, bytes) in acker.events(&format!("{store}/till-1")) {
            match decode(&bytes).unwrap() {
                frame if frame.header.time_ms < not_before => panic!("not the file's time"),
                frame => match frame.event {
                    Event::Order(order) => {
                        assert!(order.order_id.starts_with(store.as_str()));
                        assert_eq!(order.currency.as_str(), "USD");
                        let totals = orders.entry(store.clone()).or_default();
                        totals.0 += 1;
                        totals.1 += order.lines.len() as u64;
                        totals.2 += order.amount;
                    }
                    Event::Payment(payment) => {
                        assert_eq!(payment.status, PaymentStatus::Success);
                        *paid.entry(store.clone()).or_default() += payment.amount;
                    }
                    Event::Delivery(_) => panic!("no deliveries in the file"),
                },
            }
        }
    }
    assert_eq!(orders, expected);
    assert!(expected.iter().all(|(store, totals)| paid[store] == totals.2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_the_pace_of_the_files_timestamps() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sales.csv");
    let rows = "1,1,2026-01-05T10:00:00Z,TEA,1,1.00\n1,2,2026-01-05T10:01:40Z,TEA,1,1.00\n";
    std::fs::write(
        &file,
        format!("store_id,basket_id,timestamp,product,quantity,amount\n{rows}"),
    )
    .unwrap();
    let mosquitto = Mosquitto::start();
    let _acker = Acker::start(&mosquitto.broker(), Faults::default(), false);
    let summary = run(replay(&mosquitto, &file, Some(100.0))).await.unwrap();
    assert_eq!(summary.acked, 4);
    assert!((1.0..5.0).contains(&summary.seconds), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_row_is_named_by_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sales.csv");
    let rows = "1,1,2026-01-05T10:00:00Z,TEA,1,1.00\n1,2,2026-01-05T10:01:40Z,TEA,1,one\n";
    std::fs::write(
        &file,
        format!("store_id,basket_id,timestamp,product,quantity,amount\n{rows}"),
    )
    .unwrap();
    let mosquitto = Mosquitto::start();
    let error = run(replay(&mosquitto, &file, None)).await.unwrap_err();
    assert!(matches!(error, SimError::Replay(_)));
    assert!(
        error
            .to_string()
            .ends_with("sales.csv, line 3, amount: \"one\" is not a decimal number"),
        "{error}"
    );
}
