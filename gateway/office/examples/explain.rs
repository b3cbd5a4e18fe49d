//! Prints how PostgreSQL executes each query of the pages, over years of generated sales:
//!
//! ```text
//! cargo run --release -p comptoir-office --example explain -- [ORDERS]
//! ```
//!
//! It runs the functions that answer requests, on a scratch PostgreSQL whose `auto_explain` logs the plans with times and
//! buffers. ADR 17 quotes the result.

use std::env;
use std::time::Instant;

use anyhow::{Context as _, Result};
use comptoir_core::Secret;
use comptoir_harness::Postgres;
use comptoir_office::access::{Caller, VisibleShops};
use comptoir_office::comparison::{ComparisonQuery, compare, known_stores};
use comptoir_office::database::{MIGRATIONS, pools};
use comptoir_office::overview::overview;
use comptoir_office::sales::{SalesQuery, page};
use comptoir_office::stats::{Period, shop_stats};
use jiff::{SignedDuration, Timestamp};
use sqlx::{AssertSqlSafe, Executor as _, PgPool};

const SHOPS: u32 = 100;
const YEARS: u32 = 3;
/// Each order has a payment; every fourth one has a delivery.
const ORDERS: u32 = 2_000_000;
const DATABASE: &str = "office";
/// It has no deliveries.
const SHOP: &str = "shop-7";

#[tokio::main]
async fn main() -> Result<()> {
    let orders: u32 = match env::args().nth(1) {
        Some(number) => number
            .parse()
            .context("ORDERS: not a number; for example 2000000")?,
        None => ORDERS,
    };
    let postgres = Postgres::start().await?;
    postgres.create_database(DATABASE).await?;
    let pool = pools(&Secret::new(postgres.url(DATABASE)))?.own;
    MIGRATIONS.run(&pool).await?;
    eprintln!("generating {orders} orders of {SHOPS} shops over {YEARS} years …");
    for statement in generate(orders) {
        pool.execute(AssertSqlSafe(statement)).await?;
    }
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_buffers = on",
    ] {
        let statement = format!("ALTER DATABASE {DATABASE} SET {setting}");
        pool.execute(AssertSqlSafe(statement)).await?;
    }
    let sizes = "SELECT string_agg(format('%s: %s rows, %s', relname, reltuples::bigint, \
                 pg_size_pretty(pg_total_relation_size(oid))), E'\\n' ORDER BY relname) FROM pg_class \
                 WHERE relname IN ('sale', 'figure')";
    println!("{}\n", postgres.query(DATABASE, sizes).await?);
    pool.close().await;
    // Connections from now on log their plans.
    let pool = pools(&Secret::new(postgres.url(DATABASE)))?.requests;
    for query in Query::ALL {
        // The second time from PostgreSQL's cache.
        query.run(&pool).await?;
        let logged = postgres.log().len();
        let started = Instant::now();
        query.run(&pool).await?;
        println!(
            "== {query:?}: {:.1} ms\n",
            started.elapsed().as_secs_f64() * 1_000.0
        );
        let log = postgres.log();
        println!("{}", log.get(logged..).unwrap_or_default());
    }
    Ok(())
}

/// The sales as the fold would leave them, then the figures as the migration counts them.
fn generate(orders: u32) -> Vec<String> {
    let insert = |kind: &str, id: &str, values: &str, filter: &str| {
        format!(
            "INSERT INTO sale (store, kind, device, id, creator, creator_epoch, creator_seq, order_id, status, time, amount, \
             currency, corrections, value) SELECT 'shop-' || n % {SHOPS}, '{kind}', {values}, 0, json_build_object('id', \
             '{id}-' || n, 'customer_name', 'Ada', 'product', 'Pain') FROM (SELECT n, now() - interval '{YEARS} years' * \
             (1 - n::float8 / {orders}) AS day FROM generate_series(1, {orders}) AS n) AS numbers, \
             LATERAL (SELECT date_trunc('day', day) + interval '8 hours' + random() * interval '11 hours' AS time) AS times \
             {filter}"
        )
    };
    // Sales from 8 to 19 o'clock.
    let order = "'', 'o-' || n, 'till-1', 7, n, 'o-' || n, 'Completed', time, 1000 + n % 5000, 'EUR'";
    let payment = "'till-1', 'p-' || n, 'till-1', 7, n, 'o-' || n, CASE WHEN n % 20 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, \
                   time, 1000 + n % 5000, 'EUR'";
    let delivery = "'', 'd-' || n, 'till-1', 7, n, 'o-' || n, 'Pending', time, NULL, NULL";
    let figures = include_str!("../migrations/0004_figures.sql");
    let fill = figures
        .split(';')
        .find(|statement| statement.contains("INSERT INTO figure"));
    vec![
        format!(
            "INSERT INTO shop (store, heard) SELECT 'shop-' || n, now() FROM generate_series(0, {}) AS n",
            SHOPS - 1
        ),
        insert("order", "o", order, ""),
        insert("payment", "p", payment, ""),
        insert("delivery", "d", delivery, "WHERE n % 4 = 0"),
        fill.unwrap_or_default().to_owned(),
        "VACUUM (ANALYZE)".to_owned(),
    ]
}

/// What a page asks for.
#[derive(Debug, Clone, Copy)]
enum Query {
    Overview,
    StatsOfAllYears,
    StatsOfADay,
    SevenDays,
    NinetyTwoDays,
    FourWeeks,
    FiftyThreeWeeks,
    FiftyThreeWeeksOfOneShop,
    NewestSales,
    NewestSalesOfAShop,
    NewestDeliveriesOfAShopWithoutAny,
    SalesOfAShopTwoYearsAgo,
    PaymentsOfAllShops,
    SearchById,
    SearchByShortPrefix,
}

impl Query {
    const ALL: [Self; 15] = [
        Self::Overview,
        Self::StatsOfAllYears,
        Self::StatsOfADay,
        Self::SevenDays,
        Self::NinetyTwoDays,
        Self::FourWeeks,
        Self::FiftyThreeWeeks,
        Self::FiftyThreeWeeksOfOneShop,
        Self::NewestSales,
        Self::NewestSalesOfAShop,
        Self::NewestDeliveriesOfAShopWithoutAny,
        Self::SalesOfAShopTwoYearsAgo,
        Self::PaymentsOfAllShops,
        Self::SearchById,
        Self::SearchByShortPrefix,
    ];

    async fn run(self, pool: &PgPool) -> Result<()> {
        let now = Timestamp::now();
        let ago = |days: i64| now - SignedDuration::from_hours(24 * days);
        let all = SalesQuery::default;
        let of_shop = || SalesQuery {
            store: Some(SHOP.to_owned()),
            ..all()
        };
        match self {
            Self::Overview => drop(overview(pool, "", now, ago(1)).await?),
            Self::StatsOfAllYears => stats(pool, Period::default(), now).await?,
            Self::StatsOfADay => {
                let since = Some(ago(1));
                stats(pool, Period { since, until: None }.rounded(), now).await?;
            }
            Self::SevenDays => comparison(pool, "day", 7, None, now).await?,
            Self::NinetyTwoDays => comparison(pool, "day", 92, None, now).await?,
            Self::FourWeeks => comparison(pool, "week", 28, None, now).await?,
            Self::FiftyThreeWeeks => comparison(pool, "week", 365, None, now).await?,
            Self::FiftyThreeWeeksOfOneShop => comparison(pool, "week", 365, Some(SHOP), now).await?,
            Self::NewestSales => sales(pool, all()).await?,
            Self::NewestSalesOfAShop => sales(pool, of_shop()).await?,
            Self::SalesOfAShopTwoYearsAgo => {
                let until = Some(ago(730));
                sales(pool, SalesQuery { until, ..of_shop() }).await?;
            }
            Self::PaymentsOfAllShops => {
                let kind = Some("payment".to_owned());
                sales(pool, SalesQuery { kind, ..all() }).await?;
            }
            Self::NewestDeliveriesOfAShopWithoutAny => {
                let kind = Some("delivery".to_owned());
                sales(pool, SalesQuery { kind, ..of_shop() }).await?;
            }
            Self::SearchById | Self::SearchByShortPrefix => {
                let search = match self {
                    Self::SearchById => "o-12345",
                    _ => "o-1",
                };
                let search = Some(search.to_owned());
                sales(pool, SalesQuery { search, ..all() }).await?;
            }
        }
        Ok(())
    }
}

async fn stats(pool: &PgPool, period: Period, now: Timestamp) -> Result<()> {
    shop_stats(&mut *pool.acquire().await?, SHOP, period, now).await?;
    Ok(())
}

async fn comparison(pool: &PgPool, by: &str, days: i64, store: Option<&str>, now: Timestamp) -> Result<()> {
    let since = now.to_zoned(jiff::tz::TimeZone::UTC).date() - SignedDuration::from_hours(24 * (days - 1));
    let query = ComparisonQuery {
        by: Some(by.to_owned()),
        since: Some(since.to_string()),
        time_zone: Some("Europe/Paris".to_owned()),
        ..ComparisonQuery::default()
    };
    let plan = query.check(now)?;
    let mut connection = pool.acquire().await?;
    let stores = match store {
        Some(store) => vec![store.to_owned()],
        None => known_stores(&mut connection, VisibleShops::All.for_sql()).await?,
    };
    compare(&mut connection, &plan, &stores).await?;
    Ok(())
}

async fn sales(pool: &PgPool, query: SalesQuery) -> Result<()> {
    let filter = query.check(&Caller::local())?;
    page(pool, "", &filter).await?;
    Ok(())
}
