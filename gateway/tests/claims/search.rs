//! Sales are found by their words, whether they are indexed or too new for that.

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, MqttProbe, within};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::shop::{LATER, SOON, STORE, Shop, tills, without_kafka};

/// More than the rows that wait to be indexed.
const OTHERS: u64 = 8_000;
/// More than the changed rows that wait to be indexed.
const CHANGED: u64 = 1_500;

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Result<()> {
    let (status, _, answer) = gateway.post_json(path, body).await?;
    ensure!(status == 201, "{path}: {status} {answer}");
    Ok(())
}

/// Sells something that nobody else buys. `number` makes the ids and the customer differ.
async fn sell(gateway: &Gateway, number: u32) -> Result<()> {
    let order = json!({"order_id": format!("cmd-{number}"), "customer_name": format!("Ysoline Quatremère {number}"),
        "customer_email": "ysoline@example.org", "address": "17 traboule des Œillets", "product": "Dariole",
        "lines": [{"product": "Dariole", "quantity": 1, "unit_price": 7391.5}], "amount": 7391.5, "status": "Pending",
        "timestamp": "2026-11-28T23:30:00Z"});
    post(gateway, "/api/orders", &order).await?;
    let payment = json!({"payment_id": format!("paie-{number}"), "order_id": format!("cmd-{number}"), "amount": 7391.5,
        "method": "Cash", "status": "SUCCESS", "timestamp": "2026-11-28T23:30:00Z"});
    post(gateway, "/api/payments", &payment).await?;
    let delivery = json!({"delivery_id": format!("colis-{number}"), "order_id": format!("cmd-{number}"),
        "address": "17 traboule des Œillets", "status": "Pending", "timestamp": "2026-11-28T23:30:00Z"});
    post(gateway, "/api/deliveries", &delivery).await
}

/// The ids that a search finds on all its pages, in order.
async fn found(gateway: &Gateway, list: &str, words: &str) -> Result<Vec<String>> {
    let id = match list {
        "orders" => "order_id",
        "payments" => "payment_id",
        _ => "delivery_id",
    };
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gateway
            .get_json(&format!("/api/{list}?q={words}&limit=1{cursor}"))
            .await?;
        let items = page["items"].as_array().context("items")?.iter();
        ids.extend(items.filter_map(|item| item[id].as_str().map(str::to_owned)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

/// Checks that the sales with these numbers are found by all that a person may know of them.
async fn ensure_found(gateway: &Gateway, numbers: &[u32]) -> Result<()> {
    let ids =
        |kind: &str| -> Vec<String> { numbers.iter().map(|number| format!("{kind}-{number}")).collect() };
    for words in [
        "ysol",
        "QUATREMERE",
        "Quatrem%C3%A8re+YSOLINE",
        "dariole",
        "cmd",
        "oeillets+traboule",
        "ysoline@example.org",
        "7391,50",
        "7391.50",
        "2026-11-29+dariole",
        "17+%C5%93illets",
    ] {
        let found = found(gateway, "orders", words).await?;
        ensure!(found == ids("cmd"), "{words}: {found:?}");
    }
    for words in ["paie", "cmd", "7391,50", "counter+7391.50", "2026-11-29+7391,50"] {
        let found = found(gateway, "payments", words).await?;
        ensure!(found == ids("paie"), "{words}: {found:?}");
    }
    for words in ["colis", "cmd", "traboule", "oeil"] {
        let found = found(gateway, "deliveries", words).await?;
        ensure!(found == ids("colis"), "{words}: {found:?}");
    }
    let first = format!("cmd-{}", numbers[0]);
    for (list, words) in [("orders", &*first), ("payments", &first), ("deliveries", &first)] {
        ensure!(found(gateway, list, words).await?.len() == 1, "{list} {words}");
    }
    // Words begin where words begin, and a short one is a whole word.
    for words in [
        "uatremere",
        "ys",
        "7391.51",
        "2026-11-28+dariole",
        "dariole+nobody",
    ] {
        let found = found(gateway, "orders", words).await?;
        ensure!(found.is_empty(), "{words}: {found:?}");
    }
    Ok(())
}

fn file(gateway: &Gateway) -> std::path::PathBuf {
    gateway.journal_path().with_file_name("journal-dashboard.db")
}

async fn open(gateway: &Gateway) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file(gateway));
    Ok(options.connect().await?)
}

/// Waits until so many sales are indexed.
async fn indexed(gateway: &Gateway, sales: i64) -> Result<()> {
    let mut file = open(gateway).await?;
    within("the sales to be indexed", LATER, async || {
        // A further page waits for what is not in the file yet.
        gateway.get("/api/orders?limit=500&cursor=1").await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM search_text")
            .fetch_one(&mut file)
            .await?;
        ensure!(count >= sales, "{count}");
        Ok(())
    })
    .await?;
    Ok(file.close().await?)
}

/// How many of these words the index has.
async fn in_index(gateway: &Gateway, words: &[&str]) -> Result<usize> {
    let mut file = open(gateway).await?;
    sqlx::query("CREATE VIRTUAL TABLE temp.word USING fts5vocab('main', 'search_0', 'row')")
        .execute(&mut file)
        .await?;
    let mut count = 0;
    for word in words {
        let known: Option<String> = sqlx::query_scalar("SELECT term FROM temp.word WHERE term = ?")
            .bind(word)
            .fetch_optional(&mut file)
            .await?;
        count += usize::from(known.is_some());
    }
    file.close().await?;
    Ok(count)
}

/// Whether the file has these bytes anywhere, also in what is free. The gateway must have ended.
fn in_file(gateway: &Gateway, text: &str) -> Result<bool> {
    let bytes = std::fs::read(file(gateway))?;
    Ok(bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_found_by_each_of_its_words_newest_first_also_after_a_rebuild_and_an_upgrade() -> Result<()>
{
    let mosquitto = comptoir_harness::Mosquitto::start().await?;
    let config =
        comptoir_harness::GatewayConfig::new(STORE, &mosquitto.url()).with("time_zone = \"Europe/Paris\"");
    let mut gateway = Gateway::spawn(crate::shop::GATEWAY, config)?;
    gateway.wait_ready().await?;
    sell(&gateway, 1).await?;
    ensure_found(&gateway, &[1]).await?;
    tills(&mosquitto, 5, OTHERS, 0)?.finish(LATER).await?;
    indexed(&gateway, 4_000).await?;
    ensure!(in_index(&gateway, &["quatremere", "ysoline"]).await? == 2);
    sell(&gateway, 2).await?;
    ensure_found(&gateway, &[2, 1]).await?;

    // A later state is found by its own words only.
    let change = json!({"order_id": "cmd-1", "customer_name": "Ancelin Vauquelin"});
    post(&gateway, "/api/orders", &change).await?;
    ensure!(found(&gateway, "orders", "vauq").await? == ["cmd-1"]);
    ensure!(
        found(&gateway, "orders", "ysoline").await?.len() == 2,
        "by its e-mail address"
    );
    ensure!(found(&gateway, "orders", "quatremere").await? == ["cmd-2"]);
    // Its day is that of its latest event.
    let change = json!({"order_id": "cmd-1", "customer_name": "Ysoline Quatremère 1",
        "timestamp": "2026-11-28T23:30:00Z"});
    post(&gateway, "/api/orders", &change).await?;
    ensure_found(&gateway, &[2, 1]).await?;
    ensure!(gateway.terminate().await?.success());
    ensure!(!in_file(&gateway, "vauquelin")?);

    gateway.start_again()?;
    gateway.wait_ready().await?;
    ensure_found(&gateway, &[2, 1]).await?;
    ensure!(gateway.terminate().await?.success());

    std::fs::remove_file(file(&gateway))?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    within("the rebuild", SOON, async || {
        ensure_found(&gateway, &[2, 1]).await
    })
    .await?;
    indexed(&gateway, 4_000).await?;
    ensure_found(&gateway, &[2, 1]).await?;
    ensure!(gateway.terminate().await?.success());

    // The file as the former schema had it.
    let mut old = open(&gateway).await?;
    for statement in [
        "DROP TABLE search_0",
        "DROP TABLE search_block",
        "DROP TABLE search_text",
        "DROP TABLE search_pending",
        "DROP TABLE search_changed",
        "DROP TABLE search_form",
        "DELETE FROM _sqlx_migrations WHERE version IN (9, 10)",
    ] {
        sqlx::query(statement).execute(&mut old).await?;
    }
    old.close().await?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    ensure_found(&gateway, &[2, 1]).await?;
    indexed(&gateway, 4_000).await?;
    ensure_found(&gateway, &[2, 1]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_is_not_found_and_no_byte_of_the_index_names_them() -> Result<()> {
    let mut shop = Shop::open().await?;
    sell(&shop.gateway, 1).await?;
    sell(&shop.gateway, 2).await?;
    let change = json!({"order_id": "cmd-2", "customer_name": "Ancelin", "customer_email": "a@example.org",
        "address": "2 rue Basse"});
    post(&shop.gateway, "/api/orders", &change).await?;
    tills(&shop.mosquitto, 5, OTHERS, 0)?.finish(LATER).await?;
    shop.drained(OTHERS + 7, LATER).await?;
    indexed(&shop.gateway, 4_000).await?;
    let words = ["quatremere", "ysoline", "traboule", "oeillets"];
    ensure!(in_index(&shop.gateway, &words).await? == words.len());
    ensure!(shop.gateway.terminate().await?.success());
    for word in words {
        ensure!(in_file(&shop.gateway, word)?, "{word}");
    }
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;

    let erase = ["customer", "erase", "ysoline@example.org", "--yes"];
    let (status, said) = shop.gateway.run(&erase, SOON).await?;
    ensure!(status.success(), "{status} {said}");
    for words in ["ysoline", "quatremere", "traboule", "oeillets"] {
        for list in ["orders", "deliveries"] {
            let found = found(&shop.gateway, list, words).await?;
            ensure!(found.is_empty(), "{words}: {found:?}");
        }
    }
    ensure!(in_index(&shop.gateway, &words).await? == 0);
    // The sales stay, and are found by what is left of them.
    ensure!(found(&shop.gateway, "orders", "dariole+7391,50").await? == ["cmd-2", "cmd-1"]);
    ensure!(
        found(&shop.gateway, "orders", "ancelin").await?.is_empty(),
        "of the same order"
    );
    ensure!(shop.gateway.terminate().await?.success());
    for word in words {
        ensure!(!in_file(&shop.gateway, word)?, "{word}");
    }
    Ok(())
}

/// Publishes orders of a till, after `before` other events. The seventh has a customer with this name, whom no other order
/// has.
async fn order(shop: &Shop, name: &str, before: u64) -> Result<()> {
    let topic = format!("pos/{STORE}/till-9/orders");
    let mut till = MqttProbe::connect(&shop.mosquitto.url()).await?;
    // The broker drops what it cannot queue.
    for first in (0..CHANGED).step_by(500) {
        let end = CHANGED.min(first + 500);
        let orders = (first..end).map(|number| {
            let (name, email) = match number {
                7 => (name, "ysoline@example.org"),
                _ => ("Camille", "camille@example.org"),
            };
            let order = json!({"order_id": format!("lot-{number}"), "customer_name": name, "customer_email": email,
                "product": "Dariole", "amount": before, "status": "Pending"});
            (topic.clone(), order.to_string().into(), false)
        });
        till.publish_all(orders).await?;
        shop.drained(before + end, LATER).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_that_change_after_they_were_indexed_are_found_by_their_new_words_and_can_be_erased()
-> Result<()> {
    let mut shop = Shop::open().await?;
    order(&shop, "Ysoline", 0).await?;
    tills(&shop.mosquitto, 5, OTHERS, 0)?.finish(LATER).await?;
    indexed(&shop.gateway, 4_000).await?;
    ensure!(found(&shop.gateway, "orders", "ysoline+dariole").await? == ["lot-7"]);

    // A few changes wait for others. They are found nevertheless.
    let change = json!({"order_id": "lot-7", "customer_name": "Frédégonde"});
    post(&shop.gateway, "/api/orders", &change).await?;
    let changed = found(&shop.gateway, "orders", "fredegonde").await?;
    ensure!(changed == ["lot-7"], "{changed:?}");
    ensure!(in_index(&shop.gateway, &["fredegonde", "theodebert"]).await? == 0);
    order(&shop, "Théodebert", CHANGED + OTHERS + 1).await?;
    within("the new words to be indexed", LATER, async || {
        shop.gateway.get("/api/orders?limit=500&cursor=1").await?;
        ensure!(in_index(&shop.gateway, &["theodebert"]).await? == 1);
        Ok(())
    })
    .await?;
    ensure!(found(&shop.gateway, "orders", "theodebert+lot-7").await? == ["lot-7"]);
    // The index still has the former words. The sale no longer does.
    let former = found(&shop.gateway, "orders", "fredegonde").await?;
    ensure!(former.is_empty(), "{former:?}");

    let erase = ["customer", "erase", "ysoline@example.org", "--yes"];
    let (status, said) = shop.gateway.run(&erase, SOON).await?;
    ensure!(status.success(), "{status} {said}");
    for words in ["ysoline", "fredegonde", "theodebert"] {
        let found = found(&shop.gateway, "orders", words).await?;
        ensure!(found.is_empty(), "{words}: {found:?}");
    }
    // And those whose number begins like it.
    ensure!(found(&shop.gateway, "orders", "lot-7").await?.len() == 111);
    ensure!(shop.gateway.terminate().await?.success());
    for word in ["ysoline", "fredegonde", "theodebert"] {
        ensure!(!in_file(&shop.gateway, word)?, "{word}");
    }
    Ok(())
}

/// The gateway ended after it had erased a customer from the journal, and before it had told the index.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_cut_off_is_completed_in_the_index_at_the_next_start() -> Result<()> {
    let (mut gateway, mosquitto, _probe) = without_kafka().await?;
    sell(&gateway, 1).await?;
    tills(&mosquitto, 5, OTHERS, 0)?.finish(LATER).await?;
    indexed(&gateway, 4_000).await?;
    ensure!(gateway.terminate().await?.success());
    let options = SqliteConnectOptions::new().filename(gateway.journal_path());
    let mut journal = options.connect().await?;
    let erased = sqlx::query(
        "UPDATE entry SET payload = json_set(payload, '$.customer_name', '') WHERE payload LIKE '%Quatrem%'",
    );
    ensure!(erased.execute(&mut journal).await?.rows_affected() == 1);
    journal.close().await?;
    let mut dashboard = open(&gateway).await?;
    let noted = sqlx::query(
        "INSERT INTO search_pending (sale, reason) SELECT (kind << 48) | seq, 2 FROM sale WHERE id = 'cmd-1'",
    );
    ensure!(noted.execute(&mut dashboard).await?.rows_affected() == 1);
    dashboard.close().await?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    within("the index to be completed", SOON, async || {
        ensure!(in_index(&gateway, &["quatremere"]).await? == 0);
        Ok(())
    })
    .await?;
    ensure!(found(&gateway, "orders", "quatremere").await?.is_empty());
    ensure!(found(&gateway, "orders", "dariole").await? == ["cmd-1"]);
    ensure!(gateway.terminate().await?.success());
    ensure!(!in_file(&gateway, "quatremere")?);
    Ok(())
}
