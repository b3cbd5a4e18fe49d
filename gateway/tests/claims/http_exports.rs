//! Lists of a period or of a device, searches, and lists as CSV files.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use comptoir_harness::MqttProbe;
use reqwest::header;
use serde_json::{Value, json};

use crate::shop::{LATER, SOON, Shop, tills};

/// A payment of a till that speaks JSON, at a minute of an hour.
async fn pay(probe: &mut MqttProbe, till: &str, id: u32, minute: u32) -> Result<()> {
    let payment = json!({"payment_id": format!("p-{id}"), "order_id": format!("o-{id}"), "amount": 12.5, "method": "Cash",
        "status": "SUCCESS", "timestamp": format!("2026-03-01T10:{minute:02}:00Z")});
    let topic = format!("pos/paris-1/{till}/payments");
    probe.publish(&topic, payment.to_string()).await
}

/// The ids of the items on all pages of a list. `id`: the name of the field.
async fn listed(shop: &Shop, path: &str, id: &str, query: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = shop.gateway.get_json(&format!("{path}?{query}{cursor}")).await?;
        let items = page["items"].as_array().context("items")?.iter();
        ids.extend(items.filter_map(|item| item[id].as_str().map(str::to_owned)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

/// A list as a file, with the language of the reader.
async fn file(shop: &Shop, path: &str, language: &str) -> Result<String> {
    let url = shop.gateway.http_url()? + path;
    let request = reqwest::Client::new()
        .get(url)
        .header(header::ACCEPT, "text/csv")
        .header(header::ACCEPT_LANGUAGE, language);
    let answer = request.send().await?.error_for_status()?;
    ensure!(answer.headers()[header::CONTENT_TYPE] == "text/csv; charset=utf-8");
    let name = answer.headers()[header::CONTENT_DISPOSITION].to_str()?;
    ensure!(name.starts_with("attachment; filename=\""), "{name}");
    // Not `text()`, which removes the byte order mark.
    Ok(String::from_utf8(answer.bytes().await?.to_vec())?)
}

/// The rows of a file by the names of its columns.
fn rows(file: &str, separator: u8) -> Result<Vec<Vec<(String, String)>>> {
    let Some(text) = file.strip_prefix('\u{feff}') else {
        bail!("no byte order mark: {file:.40}")
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let names = reader.headers()?.clone();
    let row = |row: csv::StringRecord| {
        let cells = names.iter().zip(&row);
        cells
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    };
    Ok(reader
        .records()
        .map(|record| record.map(row))
        .collect::<Result<_, _>>()?)
}

fn cell<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    let found = row.iter().find(|(column, _)| column == name);
    found.map_or("", |(_, cell)| cell.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_and_a_till_select_exactly_their_sales() -> Result<()> {
    let shop = Shop::open().await?;
    let mut probe = MqttProbe::connect(&shop.mosquitto.url()).await?;
    // Stored in another order than they happened.
    for id in (0..60).rev() {
        pay(
            &mut probe,
            ["till-1", "till-2", "till-3"][id as usize % 3],
            id,
            id,
        )
        .await?;
    }
    shop.drained(60, SOON).await?;
    let payments = async |query: &str| listed(&shop, "/api/payments", "payment_id", query).await;
    let ids = |ids: &mut dyn Iterator<Item = u32>| ids.map(|id| format!("p-{id}")).collect::<Vec<_>>();
    for limit in ["", "&limit=7"] {
        let all = payments(&format!("from=2026-03-01T10:00:00Z{limit}")).await?;
        ensure!(all == ids(&mut (0..60).rev()), "{all:?}");
        let period = format!("from=2026-03-01T10:20:00Z&to=2026-03-01T11:40:00%2B01:00{limit}");
        let found = payments(&period).await?;
        ensure!(found == ids(&mut (20..40).rev()), "{found:?}");
        let of_till = payments(&format!("device=till-2{limit}")).await?;
        ensure!(
            of_till == ids(&mut (0..60).rev().filter(|id| id % 3 == 1)),
            "{of_till:?}"
        );
        let both = payments(&format!("{period}&device=till-3&status=SUCCESS")).await?;
        ensure!(
            both == ids(&mut (20..40).rev().filter(|id| id % 3 == 2)),
            "{both:?}"
        );
        ensure!(payments(&format!("{period}&status=FAILED")).await?.is_empty());
        ensure!(payments(&format!("device=till-9{limit}")).await?.is_empty());
    }
    let page = shop
        .gateway
        .get_json("/api/payments?device=till-2&limit=1")
        .await?;
    let of_device = page["next_cursor"].as_str().context("a next page")?;
    for (query, field) in [
        ("from=yesterday".to_owned(), "from"),
        ("to=2026-03-01".to_owned(), "to"),
        ("cursor=1.".to_owned(), "cursor"),
        (format!("cursor={of_device}.1"), "cursor"),
    ] {
        let (status, body) = shop.gateway.get(&format!("/api/payments?{query}")).await?;
        let problem: Value = serde_json::from_str(&body)?;
        ensure!(
            status == 422 && problem["field"] == field,
            "{query}: {status} {body}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_every_sale_once_and_its_total_is_the_total_of_the_page() -> Result<()> {
    let mut shop = Shop::open().await?;
    // Several pages of the list, not all of them written to the projection's file when the export begins.
    let mut sim = tills(&shop.mosquitto, 3, 1_500, 0)?;
    sim.finish(LATER).await?;
    shop.drained(1_500, LATER).await?;
    let stats = shop.gateway.get_json("/api/stats").await?;
    for (path, id, total) in [
        ("/api/orders", "order_id", "total_orders"),
        ("/api/payments", "payment_id", "total_payments"),
        ("/api/deliveries", "delivery_id", "total_deliveries"),
    ] {
        let text = file(&shop, path, "en").await?;
        let rows = rows(&text, b',')?;
        ensure!(
            stats[total] == rows.len(),
            "{path}: {} rows, {}",
            rows.len(),
            stats[total]
        );
        // Tills number their payments independently.
        let ids: BTreeSet<_> = rows
            .iter()
            .map(|row| (cell(row, "store"), cell(row, "device"), cell(row, id)))
            .collect();
        ensure!(ids.len() == rows.len(), "{path}: a sale is in the file twice");
    }
    let payments = file(&shop, "/api/payments?status=SUCCESS", "fr-FR,fr;q=0.9").await?;
    let mut cents = 0;
    for row in rows(&payments, b';')? {
        let amount = cell(&row, "amount");
        ensure!(!amount.contains('.'), "{amount}");
        let (euros, decimals) = amount.split_once(',').unwrap_or((amount, "0"));
        cents += euros.parse::<u64>()? * 100 + format!("{decimals:0<2}").parse::<u64>()?;
    }
    let revenue = stats["total_revenue"].to_string();
    let (euros, decimals) = revenue.split_once('.').unwrap_or((&revenue, "0"));
    let total = euros.parse::<u64>()? * 100 + format!("{decimals:0<2}").parse::<u64>()?;
    ensure!(cents == total, "{cents} cents in the file, {total} on the page");
    ensure!(shop.gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_somebody_typed_is_no_formula_in_a_spreadsheet() -> Result<()> {
    let shop = Shop::open().await?;
    let name = "=HYPERLINK(\"http://evil.example\";\"Éclair\")";
    let order = json!({"order_id": "o-1", "customer_name": name, "status": "Completed"});
    let (status, _, body) = shop.gateway.post_json("/api/orders", &order).await?;
    ensure!(status == 201, "{body}");
    for (language, separator) in [("fr", b';'), ("en", b',')] {
        let text = file(&shop, "/api/orders", language).await?;
        let rows = rows(&text, separator)?;
        let shown = cell(&rows[0], "customer_name");
        ensure!(shown == format!("'{name}"), "{shown}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_each_sale_with_the_words_and_none_without() -> Result<()> {
    let shop = Shop::open().await?;
    for id in 0..60 {
        let (name, product) = (
            ["Léa Müller", "Jean Petit"][id % 2],
            ["Thé", "Œuf", "Pain"][id % 3],
        );
        // Every field that is searched, because the gateway invents the others.
        let order = json!({"order_id": format!("o-{id:02}"), "customer_name": name, "product": product,
            "customer_email": "customer@example.org", "address": "1 rue Haute", "status": "Completed"});
        let (status, _, body) = shop.gateway.post_json("/api/orders", &order).await?;
        ensure!(status == 201, "{body}");
    }
    let found = async |query: &str| listed(&shop, "/api/orders", "order_id", query).await;
    let ids = |of: &dyn Fn(usize) -> bool| -> Vec<String> {
        let ids = (0..60).rev().filter(|id| of(*id));
        ids.map(|id| format!("o-{id:02}")).collect()
    };
    for limit in ["", "&limit=7", "&limit=1"] {
        ensure!(found(&format!("q=muller{limit}")).await? == ids(&|id| id % 2 == 0));
        ensure!(found(&format!("q=oeuf+L%C3%89A{limit}")).await? == ids(&|id| id % 6 == 4));
        ensure!(found(&format!("q=o-17{limit}")).await? == ["o-17"]);
        ensure!(found(&format!("q=nobody{limit}")).await?.is_empty());
        ensure!(found(&format!("q=%20{limit}")).await?.len() == 60);
    }
    let text = file(&shop, "/api/orders?q=petit+pain", "en").await?;
    let in_file: Vec<String> = rows(&text, b',')?
        .iter()
        .map(|row| cell(row, "order_id").to_owned())
        .collect();
    ensure!(in_file == ids(&|id| id % 6 == 5), "{in_file:?}");
    let (status, body) = shop
        .gateway
        .get(&format!("/api/orders?q={}", "x".repeat(201)))
        .await?;
    let problem: Value = serde_json::from_str(&body)?;
    ensure!(status == 422 && problem["field"] == "q", "{status} {body}");
    Ok(())
}
