//! `GET /api/days/{date}`: the figures of a day.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use comptoir_core::sale::{Money, PaymentMethod, Percent};

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
    pub other_currencies: Vec<OtherCurrency>,
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
    /// The till, or the `counter`. `STORE/TILL` for a till of another store that this gateway serves.
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

/// What was paid in another currency.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OtherCurrency {
    pub currency: &'static str,
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub net: Money,
}
