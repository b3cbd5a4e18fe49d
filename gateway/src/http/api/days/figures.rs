//! Adds up the sales of a day.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::Day;
use crate::http::api::dto;
use comptoir_core::event::Kind;
use comptoir_core::sale::draft::{Draft, from_json};
use comptoir_core::sale::{Currency, Money, PaymentMethod, Percent, Quantity};

/// Most products in an answer.
const MAX_PRODUCTS: usize = 200;
/// Most products that are told apart. A sender can invent any number of names.
const MAX_NAMES: usize = 20_000;
/// Most VAT rates that are told apart.
const MAX_RATES: usize = 100;
/// Most tills that are told apart. A sender can invent any number of names.
const MAX_TILLS: usize = 1_000;
/// Stands for the other tills. No till can have this name.
const OTHER_TILLS: &str = "*";

/// The sums of a day so far, in minor units.
pub struct Figures {
    store: String,
    currency: Currency,
    zone: TimeZone,
    takings: Sum,
    orders: Count,
    cancelled: Count,
    by_method: HashMap<PaymentMethod, Sum>,
    by_till: HashMap<String, Sum>,
    by_vat_rate: BTreeMap<Option<Percent>, i64>,
    by_product: HashMap<(String, Option<String>), (Decimal, i64)>,
    /// Of the products beyond [`MAX_NAMES`].
    unnamed: Count,
    by_hour: BTreeMap<Timestamp, Count>,
    other_currencies: BTreeMap<Currency, i64>,
}

/// A number of things, and their amount in minor units.
#[derive(Default)]
struct Count {
    number: u64,
    minor: i64,
}

impl Count {
    fn add(&mut self, number: u64, minor: i64) {
        self.number += number;
        self.minor = self.minor.saturating_add(minor);
    }
}

#[derive(Default)]
struct Sum {
    payments: u64,
    gross: i64,
    refunds: u64,
    refunded: i64,
    failed: u64,
}

impl Sum {
    fn add(&mut self, minor: i64, is_success: bool, is_refund: bool) {
        match (is_success, is_refund) {
            (true, false) => {
                self.payments += 1;
                self.gross = self.gross.saturating_add(minor);
            }
            (true, true) => {
                self.refunds += 1;
                self.refunded = self.refunded.saturating_sub(minor);
            }
            (false, _) => self.failed += 1,
        }
    }

    fn net(&self) -> i64 {
        self.gross.saturating_sub(self.refunded)
    }

    fn shown(&self, currency: Currency) -> dto::DayTakings {
        let money = |minor| Money::sum(minor, currency);
        dto::DayTakings {
            payments: self.payments,
            gross: money(self.gross),
            refunds: self.refunds,
            refunded: money(self.refunded),
            net: money(self.net()),
            failed: self.failed,
        }
    }
}

impl Figures {
    pub fn new(store: &str, currency: Currency, zone: TimeZone) -> Self {
        Self {
            store: store.to_owned(),
            currency,
            zone,
            takings: Sum::default(),
            orders: Count::default(),
            cancelled: Count::default(),
            by_method: HashMap::new(),
            by_till: HashMap::new(),
            by_vat_rate: BTreeMap::new(),
            by_product: HashMap::new(),
            unnamed: Count::default(),
            by_hour: BTreeMap::new(),
            other_currencies: BTreeMap::new(),
        }
    }

    /// Adds an order or a payment. Its JSON was valid when it was stored.
    pub fn add(&mut self, kind: Kind, json: &str) {
        let Ok(sale) = from_json::<Draft>(json.as_bytes()) else {
            return;
        };
        let currency = sale.currency.unwrap_or(self.currency);
        let amount = sale
            .amount
            .and_then(|amount| Money::from_signed_decimal(amount.0, currency).ok());
        let minor = amount.map_or(0, Money::minor);
        match kind {
            Kind::Order if currency == self.currency => self.add_order(sale, minor),
            Kind::Payment => self.add_payment(sale, minor, currency),
            Kind::Order | Kind::Delivery => {}
        }
    }

    fn add_payment(&mut self, payment: Draft, minor: i64, currency: Currency) {
        let is_success = payment.status.as_deref() == Some("SUCCESS");
        if currency != self.currency {
            if is_success {
                let net = self.other_currencies.entry(currency).or_default();
                *net = net.saturating_add(minor);
            }
            return;
        }
        let is_refund = payment.refund_of.is_some();
        self.takings.add(minor, is_success, is_refund);
        if let Some(method) = payment.method {
            let sum = self.by_method.entry(method).or_default();
            sum.add(minor, is_success, is_refund);
        }
        let device = payment.device.unwrap_or_default();
        // A gateway may serve the tills of several stores, which have the same names.
        let till = match payment.store {
            Some(store) if store != self.store => format!("{store}/{device}"),
            _ => device,
        };
        let is_known = self.by_till.len() < MAX_TILLS || self.by_till.contains_key(&till);
        let till = if is_known { till } else { OTHER_TILLS.to_owned() };
        let sum = self.by_till.entry(till).or_default();
        sum.add(minor, is_success, is_refund);
        if let Some(hour) = payment
            .timestamp
            .filter(|_| is_success)
            .and_then(|time| self.hour_of(time))
        {
            let count = self.by_hour.entry(hour).or_default();
            count.add(u64::from(!is_refund), minor);
        }
    }

    /// The beginning of the hour on the shop's clocks.
    fn hour_of(&self, time: Timestamp) -> Option<Timestamp> {
        let past = i64::from(time.to_zoned(self.zone.clone()).minute()) * 60_000;
        let in_minute = time.as_millisecond().rem_euclid(60_000);
        Timestamp::from_millisecond(time.as_millisecond() - past - in_minute).ok()
    }

    fn add_order(&mut self, order: Draft, minor: i64) {
        if order.status.as_deref() == Some("Cancelled") {
            return self.cancelled.add(1, minor);
        }
        self.orders.add(1, minor);
        let lines = order.lines.unwrap_or_default();
        if lines.is_empty() {
            return self.add_line(
                order.product.unwrap_or_default(),
                None,
                None,
                (Decimal::ONE, minor),
            );
        }
        for line in lines {
            let minor = line.amount(self.currency).unwrap_or(0);
            let quantity = line.quantity.unwrap_or(Quantity::ONE).decimal();
            self.add_line(
                line.product.unwrap_or_default(),
                line.unit,
                line.vat_rate,
                (quantity, minor),
            );
        }
    }

    fn add_line(
        &mut self,
        product: String,
        unit: Option<String>,
        rate: Option<Percent>,
        (quantity, minor): (Decimal, i64),
    ) {
        let is_known = self.by_vat_rate.len() < MAX_RATES || self.by_vat_rate.contains_key(&rate);
        let sum = self.by_vat_rate.entry(rate.filter(|_| is_known)).or_default();
        *sum = sum.saturating_add(minor);
        let key = (product, unit);
        if self.by_product.len() >= MAX_NAMES && !self.by_product.contains_key(&key) {
            return self.unnamed.add(1, minor);
        }
        let sum = self.by_product.entry(key).or_default();
        sum.0 = sum.0.saturating_add(quantity);
        sum.1 = sum.1.saturating_add(minor);
    }

    pub(super) fn finish(self, day: &Day, is_today: bool, is_complete: bool) -> dto::ShopDay {
        let currency = self.currency;
        let money = |minor| Money::sum(minor, currency);
        let mut by_method: Vec<_> = self.by_method.into_iter().collect();
        by_method.sort_by_key(|(method, sum)| (Reverse(sum.net()), *method as u8));
        let mut by_till: Vec<_> = self.by_till.into_iter().collect();
        by_till.sort_by(|(a, x), (b, y)| y.net().cmp(&x.net()).then_with(|| a.cmp(b)));
        let mut products: Vec<_> = self.by_product.into_iter().collect();
        products.sort_by(|(a, x), (b, y)| y.1.cmp(&x.1).then_with(|| a.cmp(b)));
        let others = products.split_off(products.len().min(MAX_PRODUCTS));
        let others_amount = others.iter().fold(self.unnamed.minor, |sum, (_, (_, minor))| {
            sum.saturating_add(*minor)
        });
        // The lines without a rate are the smallest key.
        let mut by_vat_rate: Vec<_> = self.by_vat_rate.into_iter().collect();
        by_vat_rate.sort_by_key(|(rate, _)| (rate.is_none(), *rate));
        dto::ShopDay {
            date: day.date,
            time_zone: day.time_zone.clone(),
            from: day.from,
            to: day.to,
            is_today,
            complete: (!is_complete).then_some(false),
            currency: currency.code(),
            takings: self.takings.shown(currency),
            orders: dto::DayOrders {
                orders: self.orders.number,
                amount: money(self.orders.minor),
                cancelled: self.cancelled.number,
                cancelled_amount: money(self.cancelled.minor),
            },
            by_method: by_method
                .into_iter()
                .map(|(method, sum)| dto::MethodTakings {
                    method,
                    takings: sum.shown(currency),
                })
                .collect(),
            by_till: by_till
                .into_iter()
                .map(|(device, sum)| dto::TillTakings {
                    device,
                    takings: sum.shown(currency),
                })
                .collect(),
            by_vat_rate: by_vat_rate
                .into_iter()
                .map(|(vat_rate, minor)| dto::VatAmount {
                    vat_rate,
                    amount: money(minor),
                    vat: vat_rate.map(|rate| money(rate.tax_in(minor))),
                })
                .collect(),
            by_product: products
                .into_iter()
                .map(|((product, unit), (quantity, minor))| dto::ProductSales {
                    product,
                    unit,
                    // At most three decimals of a number of goods: shown, not calculated with.
                    quantity: quantity.to_f64().unwrap_or_default(),
                    amount: money(minor),
                })
                .collect(),
            other_products: dto::OtherProducts {
                products: others.len() as u64 + self.unnamed.number,
                amount: money(others_amount),
            },
            by_hour: self
                .by_hour
                .into_iter()
                .map(|(hour, count)| dto::HourTakings {
                    hour,
                    payments: count.number,
                    net: money(count.minor),
                })
                .collect(),
            other_currencies: self
                .other_currencies
                .into_iter()
                .map(|(currency, minor)| Money::sum(minor, currency).into())
                .collect(),
            closing: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(sales: &[(Kind, &str)]) -> serde_json::Value {
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let today = "2026-12-02".parse().unwrap();
        let day = Day::parse("today", today, &zone).unwrap();
        let mut figures = Figures::new("paris-1", Currency::EUR, zone);
        for (kind, json) in sales {
            figures.add(*kind, json);
        }
        serde_json::to_value(figures.finish(&day, true, true)).unwrap()
    }

    #[test]
    fn refunds_and_failed_payments_are_told_apart_and_other_currencies_are_not_added() {
        let payment = |amount: &str, rest: &str| {
            format!(
                r#"{{"payment_id":"p","order_id":"o","amount":{amount},"device":"till-1","timestamp":"2026-12-02T10:15:00Z",{rest}}}"#
            )
        };
        let cash = r#""method":"Cash","currency":"EUR","status":"SUCCESS""#;
        let sales = [
            payment("10.00", cash),
            payment("-4.00", &format!(r#"{cash},"refund_of":"p""#)),
            payment("3.00", r#""method":"Cash","currency":"EUR","status":"FAILED""#),
            payment(
                "20.00",
                r#""method":"PayPal","currency":"EUR","status":"SUCCESS""#,
            ),
            payment("7.00", r#""method":"Cash","currency":"USD","status":"SUCCESS""#),
        ];
        let sales: Vec<_> = sales.iter().map(|json| (Kind::Payment, &**json)).collect();
        let day = day(&sales);
        assert_eq!(
            day["takings"],
            serde_json::json!({"payments": 2, "gross": 30.0, "refunds": 1, "refunded": 4.0, "net": 26.0, "failed": 1})
        );
        assert_eq!(day["by_method"][0]["method"], "PayPal");
        assert_eq!(
            (&day["by_method"][1]["net"], &day["by_method"][1]["failed"]),
            (&6.0.into(), &1.into())
        );
        assert_eq!(day["by_till"][0]["net"], 26.0);
        assert_eq!(
            day["other_currencies"],
            serde_json::json!([{"currency": "USD", "net": 7.0}])
        );
        // 15:45 there.
        let hour = serde_json::json!([{"hour": "2026-12-02T09:30:00Z", "payments": 2, "net": 26.0}]);
        assert_eq!(day["by_hour"], hour);
    }

    #[test]
    fn lines_count_by_product_and_rate_and_cancelled_orders_do_not() {
        let order = |status: &str, lines: &str| {
            format!(
                r#"{{"order_id":"o","product":"x","amount":9.99,"currency":"EUR","status":"{status}","lines":[{lines}]}}"#
            )
        };
        let cheese = r#"{"product":"Comté","quantity":0.25,"unit":"kg","unit_price":32.00,"vat_rate":5.5,"discount":0.50}"#;
        let bread = r#"{"product":"Pain","quantity":2,"unit_price":1.10,"vat_rate":5.5},{"product":"Vin","unit_price":12.00,"vat_rate":20},{"product":"Sac","quantity":0,"unit_price":0.20}"#;
        let sales = [
            order("Completed", cheese),
            order("Pending", bread),
            order("Cancelled", bread),
            order("Pending", ""),
        ];
        let sales: Vec<_> = sales.iter().map(|json| (Kind::Order, &**json)).collect();
        let day = day(&sales);
        assert_eq!(
            (&day["orders"]["orders"], &day["orders"]["cancelled"]),
            (&3.into(), &1.into())
        );
        assert_eq!(
            day["by_vat_rate"],
            serde_json::json!([
                {"vat_rate": 5.5, "amount": 9.7, "vat": 0.51},
                {"vat_rate": 20, "amount": 12.0, "vat": 2.0},
                {"vat_rate": null, "amount": 10.19, "vat": null},
            ])
        );
        let products = day["by_product"].as_array().unwrap();
        assert_eq!(products[0]["product"], "Vin");
        assert_eq!(
            products[2],
            serde_json::json!({"product": "Comté", "unit": "kg", "quantity": 0.25, "amount": 7.5})
        );
    }

    #[test]
    fn beyond_two_hundred_products_the_rest_is_one_sum() {
        let lines: Vec<String> = (1..=203)
            .map(|price| format!(r#"{{"product":"Pain {price}","unit_price":{price}}}"#))
            .collect();
        let order = format!(
            r#"{{"order_id":"o","product":"x","amount":1,"status":"Pending","lines":[{}]}}"#,
            lines.join(",")
        );
        let day = day(&[(Kind::Order, &order)]);
        assert_eq!(day["by_product"].as_array().unwrap().len(), 200);
        assert_eq!(
            day["other_products"],
            serde_json::json!({"products": 3, "amount": 6.0})
        );
    }
}
