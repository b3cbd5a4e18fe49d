//! `GET /api/stats`: the shop's totals.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use comptoir_core::sale::Money;

/// The totals of the shop.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stats {
    pub total_orders: u64,
    pub total_payments: u64,
    pub success_payments: u64,
    pub failed_payments: u64,
    pub total_deliveries: u64,
    /// The sum of the successful payments in the shop's currency.
    #[schema(value_type = f64)]
    #[cfg_attr(test, ts(as = "f64"))]
    pub total_revenue: Money,
    pub currency: &'static str,
    /// Percent, 0 to 100.
    pub payment_success_rate: f64,
    /// At least the last three days by hour of UTC, oldest first. Hours without events are left out.
    pub orders_per_hour: Vec<Hour>,
}

/// The totals of one hour, by the time at which the events happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Hour {
    /// The beginning of the hour.
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

/// The totals of an hour by its four quarters, from which the days and hours of every time zone can be summed: time zones
/// differ by multiples of a quarter of an hour.
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
