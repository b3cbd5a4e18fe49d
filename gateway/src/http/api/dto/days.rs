//! `GET /api/days/{date}`: the figures of a day.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use comptoir_core::sale::{Currency, Money, PaymentMethod, Percent};

/// The figures of a day of this shop. Payments and orders count on the day of their newest event. Amounts are exact
/// decimal numbers in `currency`; sales in other currencies are only in `other_currencies`.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShopDay {
    #[schema(value_type = String, format = Date)]
    #[cfg_attr(test, ts(as = "String"))]
    pub date: Date,
    /// IANA name, or the offset from UTC if the machine's time zone has no name.
    pub time_zone: String,
    /// The beginning of the day.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The end of the day, which is the beginning of the next one.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    pub is_today: bool,
    /// False if some sales of the day are missing from the figures, because the gateway no longer keeps them or because
    /// there are more than 50,000. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub complete: Option<bool>,
    /// ISO 4217.
    pub currency: &'static str,
    pub takings: DayTakings,
    pub orders: DayOrders,
    /// The largest net takings first.
    pub by_method: Vec<MethodTakings>,
    /// The largest net takings first.
    pub by_till: Vec<TillTakings>,
    /// The lines of the orders that are not cancelled, by their VAT rate; the lines that name none are last.
    pub by_vat_rate: Vec<VatAmount>,
    /// The lines of the orders that are not cancelled, the largest amount first. At most 200.
    pub by_product: Vec<ProductSales>,
    /// The products that are not in `by_product`.
    pub other_products: OtherProducts,
    /// The hours in which something was paid, oldest first.
    pub by_hour: Vec<HourTakings>,
    pub other_currencies: Vec<NetAmount>,
    /// Absent as long as the day is not closed. The figures of a closed day no longer change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub closing: Option<DayClosing>,
}

/// The closing of a day: what it counted, and what shows that nothing is missing from it.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DayClosing {
    #[serde(flatten)]
    pub counted: ClosingRecord,
    /// SHA-256 of the record in the topic `closings` without this field and the signature, in hexadecimal.
    pub hash: String,
    /// Ed25519 signature of the hash by `key`, in hexadecimal. Absent without the shop's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// What has arrived for the day since. The next closing counts it.
    pub since: Vec<NetAmount>,
}

/// What a closing says in the topic `closings`, beside the figures of the day.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClosingRecord {
    /// 1, 2, 3 … without gaps in a journal.
    pub number: u64,
    #[schema(value_type = String, format = Date)]
    #[cfg_attr(test, ts(as = "String"))]
    pub date: Date,
    #[schema(value_type = String, format = DateTime)]
    pub closed_at: Timestamp,
    /// Null on a gateway without users.
    #[schema(required = true)]
    pub closed_by: Option<String>,
    /// The id of the journal. A new journal begins with number 1.
    pub journal: String,
    /// The last entry of the journal that is counted.
    pub upto: u64,
    /// False if something may be missing: entries were no longer in the journal, the figures differ from the sum of the
    /// payments, or there were more numbers than a closing lists.
    pub complete: bool,
    /// What is counted, by the day of the payments: first `date`, then what arrived late for earlier days. No payment is
    /// counted twice, whatever is closed when.
    pub takings: Vec<CountedTakings>,
    /// What has arrived already for later days. Their closings count it.
    pub later_takings: Vec<CountedTakings>,
    /// The payments for earlier days that arrived after the previous closing, in the order of arrival. At most 500. Empty in
    /// the first closing.
    pub late_payments: Vec<LatePayment>,
    /// Whether there are more late payments than the listed ones.
    pub has_more_late_payments: bool,
    /// The numbers of each till that arrived after the previous closing. At most 2,000 tills and epochs.
    pub numbers: Vec<CoveredNumbers>,
    /// Everything that this and all earlier closings counted.
    pub grand_total: Vec<NetAmount>,
    /// The `hash` of the previous closing; 64 zeros for the first one.
    pub previous: String,
    /// The hash of the entry `upto` in the journal's hash chain, in hexadecimal. Absent if the chain starts later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The public key (Ed25519) that signs this shop's closings, in hexadecimal. Absent without the shop's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a closing counts of a day.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CountedTakings {
    /// Null for payments with a time that cannot be right: more than 400 days old, or days in the future.
    #[schema(value_type = Option<String>, format = Date, required = true)]
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub date: Option<Date>,
    #[serde(flatten)]
    pub amount: NetAmount,
}

/// Successful payments less refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NetAmount {
    /// ISO 4217.
    pub currency: &'static str,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub net: Money,
}

impl From<Money> for NetAmount {
    fn from(net: Money) -> Self {
        Self {
            currency: net.currency().code(),
            net,
        }
    }
}

/// A payment, or a later state of one, that arrived after its day was closed.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LatePayment {
    /// The event's name: store, till, epoch and number.
    pub ce_id: String,
    /// When it was paid.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    pub payment_id: String,
    pub order_id: String,
    #[schema(value_type = String)]
    #[cfg_attr(test, ts(as = "String"))]
    pub currency: Currency,
    /// Negative for a refund.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub amount: Money,
    pub status: String,
}

/// The numbers of a till that a closing covers: the events of all from `from` to `to` are in the journal, except the missing
/// ones.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CoveredNumbers {
    /// The till, the `counter`, or `_gateway` for the gateway's own records. `STORE/TILL` for a till of another store that
    /// this gateway serves.
    pub device: String,
    /// A till draws a new epoch when it begins to count again.
    pub epoch: u32,
    /// The number after the one with which the previous closing ended.
    pub from: u32,
    pub to: u32,
    /// Ranges of numbers, first and last, that are not in the journal, or only as dead letters.
    pub missing: Vec<[u32; 2]>,
}

/// What was paid.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DayTakings {
    /// Successful payments, without refunds.
    pub payments: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub gross: Money,
    pub refunds: u64,
    /// What was paid back, a positive number.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub refunded: Money,
    /// `gross` less `refunded`.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub net: Money,
    /// Payments that failed.
    pub failed: u64,
}

/// The orders of a day.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DayOrders {
    /// Orders that are not cancelled.
    pub orders: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub amount: Money,
    pub cancelled: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub cancelled_amount: Money,
}

/// What was paid by a method.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MethodTakings {
    pub method: PaymentMethod,
    #[serde(flatten)]
    pub takings: DayTakings,
}

/// What was paid at a till.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TillTakings {
    /// The till, or the `counter`. `STORE/TILL` for a till of another store that this gateway serves. `*` for the tills
    /// beyond the first 1,000.
    pub device: String,
    #[serde(flatten)]
    pub takings: DayTakings,
}

/// The sales with a VAT rate.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VatAmount {
    /// In percent. Null for lines that name no rate.
    #[schema(value_type = Option<f64>, required = true)]
    #[cfg_attr(test, ts(as = "Option<f64>"))]
    pub vat_rate: Option<Percent>,
    /// With VAT.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub amount: Money,
    /// The VAT in `amount`, rounded once for the rate. Null if the rate is.
    #[schema(value_type = Option<f64>, required = true)]
    #[cfg_attr(test, ts(as = "Option<f64>"))]
    pub vat: Option<Money>,
}

/// The sales of a product.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProductSales {
    pub product: String,
    /// Absent for pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub unit: Option<String>,
    pub quantity: f64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub amount: Money,
}

/// The sales of the products that are not listed.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OtherProducts {
    pub products: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub amount: Money,
}

/// What was paid in an hour.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HourTakings {
    /// The beginning of the hour in the shop's time zone.
    #[schema(value_type = String, format = DateTime)]
    pub hour: Timestamp,
    /// Successful payments, without refunds.
    pub payments: u64,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub net: Money,
}
