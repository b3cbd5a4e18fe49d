//! `GET /api/stats`: the shop's totals.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use comptoir_core::sale::Money;

/// The totals of a shop since the beginning, and of its recent hours.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stats {
    pub total_orders: u64,
    pub total_payments: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub total_deliveries: u64,
    /// Successful payments less refunds in `currency`, an exact decimal number.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub total_revenue: Money,
    /// The shop's currency, an ISO 4217 code.
    pub currency: &'static str,
    /// The share of successful payments in percent, 0 to 100.
    pub payment_success_rate: f64,
    /// At least the last three days by hour, in UTC, oldest first. Hours without events are left out.
    pub orders_per_hour: Vec<Hour>,
}

/// The totals of one hour, by the time of the events.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Hour {
    /// The start of the hour.
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

/// The totals of the four quarters of an hour. Time zones differ by multiples of a quarter of an hour, so the days and
/// hours of every time zone can be summed from them.
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
