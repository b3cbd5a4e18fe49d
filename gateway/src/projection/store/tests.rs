use std::collections::{BTreeMap, HashMap};

use super::super::ledger::Ledger;
use super::super::personal::ForeignScope;
use super::super::row::{Row, Source};
use super::super::{Cursor, Key, ListFilter, ListOrder, ShopFilter};
use super::sweep::{KEPT, SHOWN, STEP};
use super::*;
use comptoir_journal::Journal;
use jiff::tz::TimeZone;
use sqlx::AssertSqlSafe;

const JOURNAL: &str = "the journal";

async fn store(folder: &Path) -> Store {
    let path = folder.join("dashboard.db");
    Store::open(&path, JOURNAL, Offset(100)).await.unwrap().0
}

fn order(seq: u64) -> Key {
    Key::new(Kind::Order, &format!("o-{seq}"), "lyon-1", "till")
}

fn row(seq: u64, source: Source) -> (Key, Row) {
    let row = Row {
        seq,
        order_id: None,
        status: "Pending".into(),
        time: 1,
        amount: None,
        refund_of: None,
        source,
        creator: "till".into(),
        is_moved: false,
        corrections: 0,
        is_home: true,
    };
    (order(seq), row)
}

fn from_kafka(seq: u64) -> (Key, Row) {
    with_payload(seq, "{}")
}

fn with_payload(seq: u64, payload: &str) -> (Key, Row) {
    let source = Source::Kafka {
        name: "lyon-1/till/1/1".into(),
        payload: payload.into(),
        partition: 0,
        offset: seq as i64,
    };
    row(seq, source)
}

async fn put(store: &mut Store, rows: impl IntoIterator<Item = (Key, Row)>) {
    put_folded(store, rows, Offset(0)).await;
}

/// Writes the rows, and that the store is folded up to this entry.
async fn put_folded(store: &mut Store, rows: impl IntoIterator<Item = (Key, Row)>, folded: Offset) {
    let rows = rows.into_iter().collect();
    let batch = FlushBatch {
        journal: JOURNAL,
        folded,
        totals: &Totals::default(),
        ledger: &Ledger::begin(None),
        rows: &rows,
        places: &[],
        corrections: &[],
        positions: &HashMap::new(),
        others: &OtherShops::default(),
    };
    store.flush(batch).await.unwrap();
}

/// The row numbers, and whether each row has its JSON.
async fn kept(store: &mut Store) -> Vec<(i64, bool)> {
    sqlx::query_as("SELECT seq, payload IS NOT NULL FROM sale ORDER BY seq")
        .fetch_all(store.connection.get().await.unwrap())
        .await
        .unwrap()
}

/// Writes a file that is folded up to 50, applies `change`, and opens it for a journal that ends at `last`. Returns how
/// far the opened file is folded.
async fn folded_after(change: impl FnOnce(&Path), last: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.db");
    let mut store = store(folder.path()).await;
    put_folded(&mut store, (1..=2_000).map(from_kafka), Offset(50)).await;
    store.readers.close().await;
    store.connection.close().await.unwrap();
    change(&path);
    let (mut store, at) = Store::open(&path, JOURNAL, Offset(last)).await.unwrap();
    put(&mut store, [from_kafka(1)]).await;
    at.folded.0
}

#[tokio::test]
async fn a_file_that_is_damaged_or_does_not_match_the_journal_is_rebuilt() {
    let whole = |_: &Path| {};
    assert_eq!(folded_after(whole, 50).await, 50);
    assert_eq!(folded_after(whole, 80).await, 50);
    assert_eq!(folded_after(whole, 49).await, 0, "newer than the journal");
    let damage = |from: usize, to: usize, byte: u8| {
        move |path: &Path| {
            let mut bytes = std::fs::read(path).unwrap();
            let pages = bytes.len() / 4_096;
            bytes[from * pages / 4 * 4_096..to * pages / 4 * 4_096].fill(byte);
            std::fs::write(path, bytes).unwrap();
        }
    };
    assert_eq!(folded_after(damage(2, 3, 0xa5), 80).await, 0, "in the middle");
    assert_eq!(folded_after(damage(3, 4, 0), 80).await, 0, "zeros at the end");
    assert_eq!(folded_after(damage(0, 1, 0xa5), 80).await, 0, "at the beginning");
    let cut = |path: &Path| {
        let half = std::fs::metadata(path).unwrap().len() / 2;
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(half).unwrap();
    };
    assert_eq!(folded_after(cut, 80).await, 0, "cut in half");
    let other = |path: &Path| std::fs::write(path, "my shopping list").unwrap();
    assert_eq!(folded_after(other, 80).await, 0);
}

#[tokio::test]
async fn rows_that_cannot_be_shown_are_deleted_and_rows_in_the_journal_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let own = |seq, entry| row(seq, Source::Entry(Offset(entry)));
    put(
        &mut store,
        [own(1, 10), own(2, 20), from_kafka(3), from_kafka(4), own(5, 21)],
    )
    .await;
    // As if the newest row were KEPT rows after the fourth.
    store.sweep(Offset(20), KEPT + 4).await.unwrap();
    assert_eq!(kept(&mut store).await, [(2, false), (4, false), (5, false)]);
}

#[tokio::test]
async fn the_same_id_in_two_stores_or_of_two_tills_names_several_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let keys = [
        Key::new(Kind::Order, "1", "lyon-1", "till-1"),
        Key::new(Kind::Order, "1", "paris-1", "till-1"),
        Key::new(Kind::Payment, "1", "paris-1", "till-1"),
        Key::new(Kind::Payment, "1", "paris-1", "till-2"),
    ];
    let rows = keys
        .iter()
        .zip(1..)
        .map(|(key, seq)| (key.clone(), row(seq, Source::Entry(Offset(seq))).1));
    put(&mut store, rows).await;
    let found = store.rows(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    for (key, seq) in keys.iter().zip(1..) {
        assert_eq!(found[key].seq, seq, "{key:?}");
    }
    let elsewhere = Key::new(Kind::Payment, "1", "lyon-1", "till-1");
    assert!(store.rows(&[&elsewhere]).await.unwrap().is_empty());
    let mut devices = store.devices_of("1", "paris-1").await.unwrap();
    devices.sort();
    assert_eq!(devices, ["till-1".into(), "till-2".into()]);
}

#[tokio::test]
async fn only_the_newest_rows_from_kafka_keep_their_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    put(&mut store, (1..=3).map(from_kafka)).await;
    store.sweep(Offset(1), SHOWN + 2).await.unwrap();
    assert_eq!(kept(&mut store).await, [(1, false), (2, true), (3, true)]);
    let known = store.rows(&[&order(1)]).await.unwrap();
    assert_eq!(known.len(), 1, "the sale is recognised all the same");
}

#[tokio::test]
async fn a_sweep_proceeds_in_steps_and_starts_again_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let far = STEP * 2 + 100;
    put(&mut store, [1, STEP + 50, far].map(from_kafka)).await;
    let next = KEPT + far + 1;
    let mut left = Vec::new();
    for _ in 0..4 {
        store.sweep(Offset(1), next).await.unwrap();
        left.push(kept(&mut store).await.len());
    }
    assert_eq!(left, [2, 1, 0, 0]);
    put(&mut store, [from_kafka(2)]).await;
    while store.sweep.is_running {
        store.sweep(Offset(1), next).await.unwrap();
    }
    store.sweep(Offset(1), next).await.unwrap();
    assert_eq!(kept(&mut store).await.len(), 1);
    store.want_sweep();
    store.sweep(Offset(1), next).await.unwrap();
    assert_eq!(kept(&mut store).await.len(), 0);
}

#[tokio::test]
async fn personal_data_of_other_gateways_sales_is_erased_by_order_and_by_age() {
    const HOUR: i64 = 3_600_000;
    // 2026-01-01
    const BEGIN: i64 = 1_767_225_600_000;
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let named = |seq: u64, time: i64| {
        let source = Source::Kafka {
            name: "lyon-1/till/1/1".into(),
            payload: format!(r#"{{"customer_name":"Marie {seq}","amount":1.10}}"#).into(),
            partition: 0,
            offset: seq as i64,
        };
        let (key, mut row) = row(seq, source);
        row.time = time;
        (key, row)
    };
    let own = row(5, Source::Entry(Offset(1)));
    let rows = [
        named(1, BEGIN),
        named(2, BEGIN + HOUR),
        named(3, BEGIN + 2 * HOUR),
        named(4, 1),
        own,
    ];
    put(&mut store, rows).await;
    let of_2 = [
        ("lyon-1".to_owned(), "o-2".to_owned()),
        ("paris-1".to_owned(), "o-3".to_owned()),
    ];
    let by_order = ForeignScope::Orders(of_2.into());
    assert_eq!(store.erase(&by_order).await.unwrap(), 1);
    assert_eq!(store.erase(&by_order).await.unwrap(), 0, "nothing is left");
    // Sales with an impossible time keep their data.
    let by_age = ForeignScope::Before(BEGIN + 2 * HOUR);
    assert_eq!(store.erase(&by_age).await.unwrap(), 1);
    let payloads: Vec<Option<String>> = sqlx::query_scalar("SELECT payload FROM sale ORDER BY seq")
        .fetch_all(store.connection.get().await.unwrap())
        .await
        .unwrap();
    let payloads: Vec<&str> = payloads
        .iter()
        .map(|json| json.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(
        payloads,
        [
            r#"{"customer_name":"","amount":1.10}"#,
            r#"{"customer_name":"","amount":1.10}"#,
            r#"{"customer_name":"Marie 3","amount":1.10}"#,
            r#"{"customer_name":"Marie 4","amount":1.10}"#,
            "",
        ]
    );
}

/// Sorting would read every sale of years for one page.
#[tokio::test]
async fn no_list_is_sorted_and_each_page_of_a_period_or_device_uses_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let connection = store.connection.get().await.unwrap();
    let periods = [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))];
    let mut filters = Vec::new();
    for order in [ListOrder::NewestEvent, ListOrder::FirstEvent] {
        for shop in [ShopFilter::Home, ShopFilter::Other("lyon-2")] {
            for status in [None, Some("Pending")] {
                for device in [None, Some("till-1")] {
                    filters.extend(periods.map(|(from, to)| ListFilter {
                        shop,
                        status,
                        device,
                        from,
                        to,
                        order,
                    }));
                }
            }
        }
    }
    for filter in filters {
        let (cursor, index) = match (filter.is_by_time(), filter.device) {
            (true, Some(_)) => (
                Cursor::Time { time: 1, row: 1 },
                "sale_device (kind=? AND <expr>=?",
            ),
            (true, None) => (Cursor::Time { time: 1, row: 1 }, "sale_time (kind=?"),
            (false, _) => (Cursor::Row(1), "kind=?"),
        };
        for before in [None, Some(cursor)] {
            let plan = sqlx::query(AssertSqlSafe(format!(
                "EXPLAIN QUERY PLAN {}",
                filter.sql(before)
            )));
            let plan = plan.fetch_all(&mut *connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?} {before:?}: {plan}");
            assert!(plan.contains(index), "{filter:?} {before:?}: {plan}");
        }
    }
}

fn sale(seq: u64, customer: &str, email: &str) -> (Key, Row) {
    let json = serde_json::json!({
        "order_id": format!("o-{seq}"), "customer_name": customer, "customer_email": email, "product": "Dariole",
        "amount": 3, "currency": "EUR", "status": "Pending", "timestamp": "2026-11-22T10:00:00Z", "store": "lyon-1",
        "device": "till",
    });
    with_payload(seq, &json.to_string())
}

/// A store whose sales, with the numbers before `end`, are indexed.
async fn indexed(folder: &Path, sales: impl IntoIterator<Item = (Key, Row)>, end: u64) -> (Store, Journal) {
    let (journal, _) = Journal::open(&folder.join("journal.db"), 1 << 20).await.unwrap();
    let mut store = store(folder).await;
    store.open_search(&TimeZone::UTC).await.unwrap();
    put(&mut store, sales).await;
    let keys: Vec<i64> = (0..end).map(|seq| sale_key(Kind::Order, seq)).collect();
    let texts = store.texts_of(&journal, &TimeZone::UTC, &keys).await.unwrap();
    let texts: Vec<_> = BTreeMap::from_iter(texts).into_iter().collect();
    store.write_step(0, end, &texts).await.unwrap();
    store.blocks.insert(0, end);
    (store, journal)
}

/// How many sales the index finds, and how many texts have the word.
async fn found(store: &mut Store, expression: &str, word: &str) -> (i64, i64) {
    let connection = store.connection().await.unwrap();
    let query = sqlx::query_as(
        "SELECT (SELECT count(*) FROM search_0 WHERE search_0 MATCH ?),
                (SELECT count(*) FROM search_text WHERE instr(open || ' ' || hidden, ?))",
    );
    query
        .bind(expression)
        .bind(word)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_that_is_being_erased_is_indexed_again_only_after_it_was_erased() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, journal) = indexed(folder.path(), [sale(1, "Ysoline", "")], 10).await;
    let orders = [("lyon-1".to_owned(), "o-1".to_owned())];
    store.mark_orders(&orders, Reason::BeingErased).await.unwrap();
    // The fold goes on meanwhile, and indexes what was erased before.
    store.index_erased(&journal, &TimeZone::UTC).await.unwrap();
    put(&mut store, [sale(1, "", "")]).await;
    store.index_erased(&journal, &TimeZone::UTC).await.unwrap();
    assert_eq!(found(&mut store, "ysoline", "ysoline").await, (1, 1));
    // The gateway ends before it has told the index.
    store.close().await.unwrap();

    let (mut store, _) = Store::open(&folder.path().join("dashboard.db"), JOURNAL, Offset(100))
        .await
        .unwrap();
    store.open_search(&TimeZone::UTC).await.unwrap();
    store.index_erased(&journal, &TimeZone::UTC).await.unwrap();
    assert_eq!(found(&mut store, "ysoline", "ysoline").await, (0, 0));
}

#[tokio::test]
async fn a_word_that_becomes_open_or_hidden_is_once_in_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let sales = |changed: bool| {
        (0..1_100).map(move |seq| match (seq, changed) {
            (7, false) => sale(seq, "Camille", "Quincampoix"),
            (7, true) => sale(seq, "Quincampoix", ""),
            (_, false) => sale(seq, "Camille", ""),
            (_, true) => sale(seq, "Perrine", ""),
        })
    };
    let (mut store, journal) = indexed(folder.path(), sales(false), 1_100).await;
    assert_eq!(
        found(&mut store, "{hidden} : quincampoix", "quincampoix").await,
        (1, 1)
    );
    put(&mut store, sales(true)).await;
    while store.index_changes(&journal, &TimeZone::UTC).await.unwrap() {}
    assert_eq!(
        found(&mut store, "{open} : quincampoix", "quincampoix").await,
        (1, 1)
    );
    assert_eq!(
        found(&mut store, "{hidden} : quincampoix", "quincampoix").await,
        (0, 1)
    );
    // 76 changes wait for others.
    assert_eq!(found(&mut store, "perrine", "perrine").await, (1_023, 1_023));
    assert_eq!(found(&mut store, "camille", "camille").await, (1_099, 1_099));
}
