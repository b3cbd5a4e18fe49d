//! What HTTP and Socket.IO say, and nothing else: the shapes of the contract's sections 3 and 4.
//!
//! The API's description and the pages' TypeScript types are generated from these; a test fails when
//! `web/src/lib/api/types.ts` is another than what they give. Times are UTC, RFC 3339. Amounts are exact decimal
//! numbers in JSON.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::event::Kind;
use crate::sale::{DeliveryStatus, Money, OrderStatus, PaymentMethod, PaymentStatus};

/// Where an event is. Part of each item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Whereabouts {
    /// Names the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
    pub ce_id: String,
    pub origin: Origin,
    /// It is in Kafka.
    pub confirmed: bool,
    /// Its place in the order in which all were first seen; a later state of the same keeps it. Missing only in the
    /// answer to a `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub row: Option<u64>,
    /// Of local ones: its place in this gateway's journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub journal_offset: Option<u64>,
    /// In Kafka, once it was read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub offset: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Stored by this gateway.
    Local,
    /// Another's, read from Kafka.
    Kafka,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Line {
    pub product: String,
    pub quantity: u32,
    pub unit_price: f64,
}

/// An order as it is shown: the contract's JSON, and where it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Order {
    pub order_id: String,
    pub customer_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub customer_email: Option<String>,
    /// Sums up the lines, for people.
    pub product: String,
    pub lines: Vec<Line>,
    pub amount: f64,
    pub currency: String,
    pub status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub address: Option<String>,
    pub timestamp: String,
    pub store: String,
    pub device: String,
    #[serde(flatten)]
    pub whereabouts: Whereabouts,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Payment {
    pub payment_id: String,
    pub order_id: String,
    pub amount: f64,
    pub currency: String,
    pub method: PaymentMethod,
    pub status: PaymentStatus,
    pub timestamp: String,
    pub store: String,
    pub device: String,
    #[serde(flatten)]
    pub whereabouts: Whereabouts,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Delivery {
    pub delivery_id: String,
    pub order_id: String,
    pub address: String,
    pub status: DeliveryStatus,
    /// `YYYY-MM-DD`.
    pub estimated_date: String,
    pub timestamp: String,
    pub store: String,
    pub device: String,
    #[serde(flatten)]
    pub whereabouts: Whereabouts,
}

/// A page of a list, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// An order's life, each list oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct OrderLife<O, P, D> {
    /// Null if only what belongs to it is known.
    #[schema(value_type = Option<Order>)]
    pub order: Option<O>,
    #[schema(value_type = Vec<Payment>)]
    pub payments: Vec<P>,
    #[schema(value_type = Vec<Delivery>)]
    pub deliveries: Vec<D>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stats {
    pub total_orders: u64,
    pub total_payments: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub total_deliveries: u64,
    /// Of successful payments in the shop's currency.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub total_revenue: Money,
    pub currency: &'static str,
    /// Per cent, 0 to 100.
    pub payment_success_rate: f64,
    /// By the hour of UTC in which it happened, oldest first, of at least the last three days; hours without anything are
    /// left out.
    pub orders_per_hour: Vec<Hour>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Hour {
    /// Its beginning.
    #[schema(value_type = String, format = DateTime)]
    pub hour: Timestamp,
    pub orders: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub deliveries: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub revenue: Money,
    pub quarters: Quarters,
}

/// What happened in an hour, by its four quarters: days and hours of every time zone can be summed from these.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Quarters {
    pub orders: [u64; 4],
    pub success_payments: [u64; 4],
    pub failed_payments: [u64; 4],
    pub deliveries: [u64; 4],
    #[schema(value_type = [f64; 4])]
    #[cfg_attr(test, ts(as = "[f64; 4]"))]
    pub revenue: [Money; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    Up,
    Down,
    /// Not configured.
    Off,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Link {
    pub state: LinkState,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub problem: Option<String>,
    /// What works less well than it should while the link is up, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct JournalStatus {
    /// Kept here, in Kafka or not.
    pub events: u64,
    /// Not yet in Kafka.
    pub pending: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_pending: Option<Timestamp>,
    pub bytes: u64,
    pub max_bytes: u64,
    /// True while nothing is accepted: full, or the disk does not work.
    pub refusing: bool,
    pub first_offset: u64,
    pub last_offset: u64,
    /// Everything at or below it is in Kafka.
    pub watermark: u64,
    pub duplicates: u64,
    /// Events that were acked and have since been lost, because the journal's files were damaged or not copied whole. Each
    /// epoch of a device says which.
    pub lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    Synchronised,
    /// Nothing sets it: times that are shown may be wrong.
    Unsynchronised,
    /// The operating system does not say.
    Unknown,
}

/// The clock of the gateway's machine.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Clock {
    pub state: ClockState,
    /// When it was set last, within the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub jump: Option<ClockJump>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClockJump {
    /// By the clock as it is set now.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// By so much; backwards if negative.
    pub seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The next offset to be read back; never beyond `end`.
    pub position: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub lag: Option<i64>,
}

/// The part of the gateway's state that is also pushed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GatewayStatus {
    pub store: String,
    pub version: &'static str,
    /// Kafka is in memory and can be taken down by `POST /api/demo/kafka`.
    pub demo: bool,
    pub mqtt: Link,
    pub kafka: Link,
    /// The transactional producer, journal → Kafka.
    pub bridge: Link,
    /// To Kafka's topic of commands.
    pub commands: Link,
    pub clock: Clock,
    pub journal: JournalStatus,
    /// Under which the topics are read back; null without Kafka.
    pub consumer_group: Option<String>,
    pub partitions: Vec<Partition>,
    pub dead_letters: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Gateway {
    #[serde(flatten)]
    pub status: GatewayStatus,
    pub devices: Vec<Device>,
    /// The last hour's, oldest first.
    pub backlog: Vec<BacklogPoint>,
    /// What is wrong with the present settings: with any of it, the last good ones are in force.
    pub settings_problems: Vec<SettingsProblem>,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SettingsProblem {
    /// The file, or "the environment".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub place: Option<String>,
    /// `journal.max_bytes`; none where the file cannot be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BacklogPoint {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub pending: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Device {
    pub store: String,
    pub device: String,
    /// What its status topic says; null if it never said.
    pub online: Option<bool>,
    pub epochs: Vec<Epoch>,
    pub received: u64,
    pub stored: u64,
    pub in_kafka: u64,
    /// Inclusive ranges of numbers that never came, of the latest epochs.
    pub missing: Vec<[u32; 2]>,
    /// Events that came under a number that the till had used for another sale. They are kept, numbered by the gateway.
    pub reused: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Epoch {
    pub epoch: u32,
    /// The highest number that came.
    pub received: u32,
    pub stored: u64,
    pub in_kafka: u64,
    /// Numbers that the terminal no longer holds and that never came here: another gateway has acked them, or they are
    /// lost. Of an epoch that was known here they are `missing`, too.
    pub elsewhere: u64,
    /// Inclusive ranges of numbers whose events are not here.
    pub missing: Vec<[u32; 2]>,
    /// Of those missing, the ones that were acked and then lost with a part of the journal's files. They are taken if they
    /// are sent again.
    pub lost: Vec<[u32; 2]>,
}

/// One dead letter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadLetter {
    pub offset: u64,
    pub ce_id: String,
    /// The MQTT topic on which it came.
    pub topic: String,
    pub reason: String,
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// When it was taken in after all.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retried: Option<Timestamp>,
    pub bytes: usize,
    /// Base64, whole.
    pub payload: String,
}

/// The event that a dead letter has become.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Retried {
    pub ce_id: String,
}

/// Whether the demonstration's Kafka is to be reached.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DemoKafka {
    pub up: bool,
}

// ---- Socket.IO ----

/// What a client may say when it connects. Nothing is needed.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct Auth {
    /// Sends `batch` instead of one packet for each event, and `alive` every four seconds.
    pub batch: bool,
    /// The `journal_offset` of the last event that the client has: later ones of this gateway are sent, in order,
    /// after `initial_data`, as far as the journal still has them. Not for `batch`. To be said anew at each
    /// reconnection: without it, what was missed comes only as far as it is in `initial_data`.
    #[serde(deserialize_with = "number_or_nothing")]
    #[cfg_attr(test, ts(optional))]
    pub after: Option<u64>,
}

/// Who says something else there wants no more than what everybody gets.
fn number_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|said| said.as_u64())
}

/// `initial_data`: everything that a page begins with. It may come again, and then replaces everything.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct InitialData<O, P, D> {
    /// The newest first, at most 50 of each.
    pub orders: Vec<O>,
    pub payments: Vec<P>,
    pub deliveries: Vec<D>,
    pub stats: Stats,
    pub gateway: GatewayStatus,
}

/// `event_confirmed`: an event of this gateway was read back from Kafka.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Confirmed {
    pub kind: Kind,
    pub ce_id: String,
    pub order_id: String,
    pub partition: i32,
    pub offset: i64,
}

/// `batch`: what came together, of each kind only the newest 50 rows: older ones would not be seen.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(concrete(O = Order, P = Payment, D = Delivery)))]
pub struct Batch<O, P, D> {
    /// Oldest first.
    pub orders: Vec<O>,
    pub payments: Vec<P>,
    pub deliveries: Vec<D>,
    pub confirmed: Vec<Confirmed>,
    pub stats: Option<Stats>,
    pub gateway: Option<GatewayStatus>,
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use serde_json::json;
    use ts_rs::{Config, TS};

    use super::*;
    use crate::dashboard::problem::{Problem, ProblemType, Stored};
    use crate::sale::Currency;

    const TYPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/src/lib/api/types.ts");

    fn typescript() -> String {
        let config = Config::new().with_large_int("number");
        let declarations = [
            Kind::decl(&config),
            OrderStatus::decl(&config),
            PaymentMethod::decl(&config),
            PaymentStatus::decl(&config),
            DeliveryStatus::decl(&config),
            Origin::decl(&config),
            Whereabouts::decl(&config),
            Line::decl(&config),
            Order::decl(&config),
            Payment::decl(&config),
            Delivery::decl(&config),
            Page::<Order>::decl(&config),
            OrderLife::<Order, Payment, Delivery>::decl(&config),
            Quarters::decl(&config),
            Hour::decl(&config),
            Stats::decl(&config),
            LinkState::decl(&config),
            Link::decl(&config),
            JournalStatus::decl(&config),
            ClockState::decl(&config),
            ClockJump::decl(&config),
            Clock::decl(&config),
            Partition::decl(&config),
            GatewayStatus::decl(&config),
            Epoch::decl(&config),
            Device::decl(&config),
            BacklogPoint::decl(&config),
            Gateway::decl(&config),
            SettingsProblem::decl(&config),
            DeadLetter::decl(&config),
            Retried::decl(&config),
            DemoKafka::decl(&config),
            ProblemType::decl(&config),
            Stored::decl(&config),
            Problem::decl(&config),
            Auth::decl(&config),
            Confirmed::decl(&config),
            InitialData::<Order, Payment, Delivery>::decl(&config),
            Batch::<Order, Payment, Delivery>::decl(&config),
        ];
        let head = "// Made from gateway/src/dashboard/dto.rs by `make types`. Do not change it here.\n";
        let types = declarations.iter().fold(head.to_owned(), |text, declaration| {
            format!("{text}\nexport {declaration}\n")
        });
        format!("{types}\n{}\n{}", problems(), decimals())
    }

    /// For the pages' tests and the simulated gateway; nothing in the built pages uses it.
    fn problems() -> String {
        let entries: String = ProblemType::ALL
            .into_iter()
            .map(|kind| {
                let of = kind.definition();
                let definition = json!({
                    "title": of.title, "status": of.status.as_u16(), "stored": of.stored, "retry_after": of.retry_after,
                });
                format!("  {}: {definition},\n", json!(kind))
            })
            .collect();
        let definition = "{ title: string, status: number, stored: Stored, retry_after: number | null, }";
        format!("export const PROBLEMS: Record<ProblemType, {definition}> = {{\n{entries}}};\n")
    }

    /// Browsers know other decimals of some currencies than ISO 4217 says.
    fn decimals() -> String {
        let mut unusual: Vec<_> = Currency::all()
            .filter(|currency| currency.decimals() != 2)
            .map(|currency| format!("{}: {}", currency.code(), currency.decimals()))
            .collect();
        unusual.sort();
        format!(
            "/** Decimals of the currencies that have other than two. */\nexport const DECIMALS: Readonly<Record<string, number>> = {{ {} }};\n",
            unusual.join(", ")
        )
    }

    #[test]
    fn the_pages_have_the_types_of_the_gateway() {
        if env::var_os("COMPTOIR_WRITE_TYPES").is_some() {
            fs::write(TYPES, typescript()).unwrap();
        }
        let (there, now) = (fs::read_to_string(TYPES).unwrap(), typescript());
        let differs = there.lines().zip(now.lines()).find(|(there, now)| there != now);
        assert!(
            there == now,
            "{TYPES} is out of date: run `make types` ({differs:?})"
        );
    }
}
