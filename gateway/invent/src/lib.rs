//! Invents believable sales of a French grocery from a random number generator. Equal random numbers give equal sales.
//!
//! All amounts are in euro cents. Every text fits the limits of `comptoir-wire`.

mod catalogue;

pub use catalogue::PRODUCTS;

use fake::Fake;
use fake::faker::address::raw::{CityName, StreetName};
use fake::faker::name::raw::{FirstName, LastName};
use fake::locales::FR_FR;
use jiff::civil::Date;
use jiff::{Span, ToSpan};
use rand::{Rng, RngExt, seq::index};

use comptoir_wire::{MAX_LINES, MAX_PRODUCT, PaymentMethod};

/// The share of payments that succeed, from 0 to 1.
pub const SUCCESS_RATE: f64 = 0.9;

/// Quantiles of the number of lines per order, in steps of one twentieth, from the minimum to the 95th percentile. The
/// median is 5.
const LINES_AT: [usize; 20] = [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 11, 14, 18, 24, 33];
/// Largest number of lines of an invented order.
const MAX_INVENTED_LINES: usize = 160;
const _: () = assert!(MAX_INVENTED_LINES <= MAX_LINES);

/// An invented order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// First and last name.
    pub customer_name: String,
    /// The domain is reserved for examples, so that no real person can get mail.
    pub customer_email: Option<String>,
    /// Delivery address; `None` if the customer takes the goods away.
    pub address: Option<String>,
    /// The [`summary`] of the lines.
    pub product: String,
    /// At least one.
    pub lines: Vec<Line>,
    /// The total of the lines, in cents.
    pub amount: u64,
}

/// One product of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Product name.
    pub product: String,
    /// Number of pieces, at least one.
    pub quantity: u32,
    /// Price of one piece, in cents.
    pub unit_price: u64,
}

/// Invents an order: a customer and a basket.
pub fn order(rng: &mut (impl Rng + ?Sized)) -> Order {
    let first: &str = FirstName(FR_FR).fake_with_rng(rng);
    let last: &str = LastName(FR_FR).fake_with_rng(rng);
    let customer_email = rng.random_bool(0.6).then(|| email(first, last));
    let address = rng.random_bool(0.25).then(|| address(rng));
    let lines = lines(rng);
    let amount = lines
        .iter()
        .map(|line| u64::from(line.quantity) * line.unit_price)
        .sum();
    Order {
        customer_name: format!("{first} {last}"),
        customer_email,
        address,
        product: summary(&lines),
        lines,
        amount,
    }
}

/// Invents a payment method with the frequencies of a shop: mostly cards.
pub fn payment_method(rng: &mut (impl Rng + ?Sized)) -> PaymentMethod {
    match rng.random_range(0..100) {
        0..34 => PaymentMethod::CreditCard,
        34..66 => PaymentMethod::DebitCard,
        66..90 => PaymentMethod::Cash,
        90..97 => PaymentMethod::PayPal,
        _ => PaymentMethod::BankTransfer,
    }
}

/// Invents a delivery date one to five days after `today`.
pub fn delivery_date(rng: &mut (impl Rng + ?Sized), today: Date) -> Date {
    let days: Span = rng.random_range(1..=5).days();
    today.saturating_add(days)
}

/// Summarises the lines in at most 64 bytes, for example `Baguette tradition ×2 + 3 more`. Empty without lines.
pub fn summary(lines: &[Line]) -> String {
    let Some((first, more)) = lines.split_first() else {
        return String::new();
    };
    let mut tail = String::new();
    if first.quantity != 1 {
        tail = format!(" ×{}", first.quantity);
    }
    if !more.is_empty() {
        tail = format!("{tail} + {} more", more.len());
    }
    let room = MAX_PRODUCT.saturating_sub(tail.len());
    let mut summary = shortened(&first.product, room);
    summary.push_str(&tail);
    summary
}

/// The text if it has at most `max` bytes; otherwise its beginning with an ellipsis.
fn shortened(text: &str, max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(ELLIPSIS.len());
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|&at| at <= room)
        .last()
        .unwrap_or(0);
    format!("{}{ELLIPSIS}", text[..end].trim_end())
}

fn lines(rng: &mut (impl Rng + ?Sized)) -> Vec<Line> {
    let count = basket_size(rng);
    let mut lines = Vec::with_capacity(count);
    while lines.len() < count {
        // No product occurs twice, unless the basket has more lines than the shop has products.
        let picks = index::sample(
            rng,
            catalogue::PRODUCTS.len(),
            catalogue::PRODUCTS.len().min(count - lines.len()),
        );
        for pick in picks {
            let (product, unit_price) = catalogue::PRODUCTS[pick];
            let quantity = match rng.random_range(0..100) {
                0..76 => 1,
                76..92 => 2,
                _ => rng.random_range(3..=6),
            };
            lines.push(Line {
                product: product.to_owned(),
                quantity,
                unit_price,
            });
        }
    }
    lines
}

fn basket_size(rng: &mut (impl Rng + ?Sized)) -> usize {
    let quantile = rng.random_range(0..LINES_AT.len());
    let from = LINES_AT[quantile];
    match LINES_AT.get(quantile + 1) {
        Some(&to) => rng.random_range(from..=to),
        None => {
            // The long tail: the smallest of three draws is usually near its start.
            let draw = (0..3).map(|_| rng.random_range(from..=MAX_INVENTED_LINES)).min();
            draw.unwrap_or(from)
        }
    }
}

fn address(rng: &mut (impl Rng + ?Sized)) -> String {
    let number = rng.random_range(1..=180);
    let street: String = StreetName(FR_FR).fake_with_rng(rng);
    let department = rng.random_range(1..=95);
    let office = rng.random_range(0..50) * 10;
    let city: String = CityName(FR_FR).fake_with_rng(rng);
    shortened(
        &format!("{number} {street}, {department:02}{office:03} {city}"),
        comptoir_wire::MAX_ADDRESS,
    )
}

fn email(first: &str, last: &str) -> String {
    let name: String = format!("{first}.{last}")
        .chars()
        .flat_map(char::to_lowercase)
        .filter_map(plain)
        .collect();
    format!("{name}@example.com")
}

/// The letter without accents. `None` for characters that cannot be part of an email address here.
fn plain(letter: char) -> Option<char> {
    match letter {
        'a'..='z' | '.' | '-' => Some(letter),
        'à' | 'â' | 'ä' => Some('a'),
        'ç' => Some('c'),
        'é' | 'è' | 'ê' | 'ë' => Some('e'),
        'î' | 'ï' => Some('i'),
        'ô' | 'ö' => Some('o'),
        'ù' | 'û' | 'ü' => Some('u'),
        'ÿ' => Some('y'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comptoir_wire::{MAX_ADDRESS, MAX_EMAIL, MAX_NAME};
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    fn rng() -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(1)
    }

    #[test]
    fn orders_fit_the_limits_of_the_wire_and_their_lines_add_up() {
        let mut rng = rng();
        for _ in 0..5_000 {
            let order = order(&mut rng);
            assert!(order.customer_name.len() <= MAX_NAME);
            assert!(
                order
                    .customer_email
                    .as_ref()
                    .is_none_or(|email| email.is_ascii() && email.len() <= MAX_EMAIL)
            );
            assert!(
                order
                    .address
                    .as_ref()
                    .is_none_or(|address| address.len() <= MAX_ADDRESS)
            );
            assert!(order.product.len() <= MAX_PRODUCT);
            assert!(
                order
                    .lines
                    .iter()
                    .all(|line| line.product.len() <= MAX_PRODUCT && line.quantity > 0)
            );
            assert_eq!(
                order.amount,
                order
                    .lines
                    .iter()
                    .map(|l| u64::from(l.quantity) * l.unit_price)
                    .sum::<u64>()
            );
        }
    }

    #[test]
    fn basket_sizes_have_the_intended_distribution() {
        let mut rng = rng();
        let mut sizes: Vec<usize> = (0..20_000).map(|_| basket_size(&mut rng)).collect();
        sizes.sort_unstable();
        assert_eq!(sizes[10_000], 5);
        let long = sizes.iter().filter(|&&size| size > 50).count();
        assert!((100..800).contains(&long), "{long} of 20,000 above 50 lines");
        assert!(sizes[0] == 1 && sizes[19_999] <= MAX_INVENTED_LINES);
    }

    #[test]
    fn equal_random_numbers_give_equal_orders() {
        assert_eq!(order(&mut rng()), order(&mut rng()));
    }

    #[test]
    fn a_summary_fits_and_counts_the_remaining_lines() {
        let line = |product: &str, quantity| Line {
            product: product.to_owned(),
            quantity,
            unit_price: 1,
        };
        assert_eq!(summary(&[]), "");
        assert_eq!(summary(&[line("Miel", 1)]), "Miel");
        assert_eq!(summary(&[line("Miel", 2), line("Pain", 1)]), "Miel ×2 + 1 more");
        let long = summary(&[line(&"é".repeat(32), 1), line("Pain", 1)]);
        assert!(
            long.len() <= MAX_PRODUCT && long.ends_with("é… + 1 more"),
            "{long}"
        );
    }
}
