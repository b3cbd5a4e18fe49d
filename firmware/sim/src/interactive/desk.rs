//! The keys of the interactive till: which act each one performs.

use std::fmt::Write;

use comptoir_terminal::{Catalogue, DeliverTo, Discount, Ids, Money, Payment, Receipt, Till, TillError};
use comptoir_wire::{Currency, Date, DeliveryStatus, PaymentMethod};

use super::words::{Language, Words};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Enter,
    Escape,
    Backspace,
    Char(char),
    /// Ctrl-C: quits at any time.
    Interrupt,
}

/// An action that a key requests from the surrounding program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    None,
    /// Pull the network's plug, or plug it in.
    TogglePlug,
    CutPower,
    Quit,
}

/// The number that the person is typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    Cash,
    Discount,
}

/// The address of every delivery; the interactive till does not ask for one.
const ADDRESS: &str = "1 Rue de Rivoli, 75001 Paris";
/// Maximum number of articles in the catalogue.
pub const ARTICLES: usize = 64;
/// Maximum number of digits of an input.
const DIGITS: usize = 9;

/// The till, and the state of its screen.
pub struct Desk {
    pub till: Till,
    pub catalogue: Catalogue<ARTICLES>,
    /// Index of the selected article.
    pub at: usize,
    pub typing: Option<(Typing, String)>,
    /// The message about the last act or event.
    pub message: String,
    pub language: Language,
    /// The estimated date of every delivery.
    pub date: Date,
    /// The receipt of the order that was paid last, until the next cart is filled.
    pub receipt: Option<String>,
    /// No order may begin, because the queue may lack room for all of its events.
    pub is_full: bool,
}

impl Desk {
    pub fn new(ids: Ids, catalogue: Catalogue<ARTICLES>, language: Language, date: Date) -> Self {
        Self {
            till: Till::new(ids, Currency::EUR),
            catalogue,
            at: 0,
            typing: None,
            message: String::new(),
            language,
            date,
            receipt: None,
            is_full: false,
        }
    }

    /// Restarts the till: the cart, an order being paid and deliveries in progress are forgotten.
    pub fn restart(&mut self, ids: Ids) {
        self.till = Till::new(ids, Currency::EUR);
        self.typing = None;
    }

    pub fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// Handles a key.
    pub fn key(&mut self, key: Key) -> Action {
        if key == Key::Interrupt {
            return Action::Quit;
        }
        if let Some(input) = self.typing.take() {
            self.edit_input(input, key);
            return Action::None;
        }
        match key {
            Key::Char('q') => return Action::Quit,
            Key::Char('n') => return Action::TogglePlug,
            Key::Char('k') => return Action::CutPower,
            _ => {}
        }
        self.message.clear();
        let result = if self.till.current().is_some() {
            self.key_while_paying(key)
        } else {
            self.key_while_selling(key)
        };
        if let Err(error) = result {
            self.message.push_str(self.words().refusal(error));
        }
        Action::None
    }

    fn key_while_selling(&mut self, key: Key) -> Result<(), TillError> {
        if self.is_full && matches!(key, Key::Char('c' | 'l' | 'r')) {
            self.show(|words| words.full, format_args!(""));
            return Ok(());
        }
        let last = self.catalogue.products().len().saturating_sub(1);
        match key {
            Key::Up => self.at = self.at.saturating_sub(1),
            Key::Down => self.at = (self.at + 1).min(last),
            Key::Enter | Key::Char('+') => self.change_quantity(1)?,
            Key::Char('-') => self.change_quantity(-1)?,
            Key::Char('d') => self.typing = Some((Typing::Discount, String::new())),
            Key::Char('c') => self.till.check_out(None, None)?,
            Key::Char('l') => {
                let to = DeliverTo {
                    address: ADDRESS,
                    date: self.date,
                };
                self.till.check_out(None, Some(to))?;
            }
            Key::Char('r') => {
                let amount = Money::new(self.till.refund()?);
                self.show(|words| words.refunded, format_args!(" {amount}"));
            }
            Key::Char('v') => {
                let status: DeliveryStatus = self.till.advance_parcel(0)?;
                self.show(|words| words.delivery, format_args!(": {status}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn key_while_paying(&mut self, key: Key) -> Result<(), TillError> {
        let card = |accepted| Payment::Remote {
            method: PaymentMethod::CreditCard,
            accepted,
        };
        match key {
            Key::Char('1') => self.typing = Some((Typing::Cash, String::new())),
            Key::Char('2') => {
                self.till.pay(card(true))?;
                self.print(None);
                self.show(|words| words.paid, format_args!(""));
            }
            Key::Char('3') => {
                self.till.pay(card(false))?;
                self.show(|words| words.declined, format_args!(""));
            }
            Key::Char('x') => {
                self.till.cancel()?;
                self.show(|words| words.cancelled, format_args!(""));
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds one piece of the selected article to the cart, or removes one.
    fn change_quantity(&mut self, by: i32) -> Result<(), TillError> {
        let Some(product) = self.catalogue.get(self.at) else {
            return Ok(());
        };
        let cart = self.till.cart_mut()?;
        self.receipt = None;
        let changed = if by > 0 {
            cart.add(product, 1)
        } else {
            let same = |line: &comptoir_terminal::CartLine| line.name == product.name;
            match cart.lines().iter().position(same) {
                Some(at) => cart.set_quantity(at, cart.lines()[at].quantity.saturating_sub(1)),
                None => Ok(()),
            }
        };
        // The cart is full or too expensive. The message for too many attempts fits here too: "No more of that now."
        changed.map_err(|_| TillError::TooManyAttempts)
    }

    fn edit_input(&mut self, (typing, mut text): (Typing, String), key: Key) {
        match key {
            Key::Escape => return,
            Key::Enter => return self.use_input(typing, &text),
            Key::Backspace => _ = text.pop(),
            Key::Char(digit @ ('0'..='9' | '.' | ',')) if text.len() < DIGITS => {
                text.push(if digit == ',' { '.' } else { digit });
            }
            _ => {}
        }
        self.typing = Some((typing, text));
    }

    fn use_input(&mut self, typing: Typing, text: &str) {
        self.message.clear();
        match typing {
            Typing::Discount => {
                let percent = text.parse().ok();
                let set = percent.map(|percent| {
                    let cart = self.till.cart_mut().ok()?;
                    cart.set_discount(Discount::Percent(percent)).ok()
                });
                if set.flatten().is_none() {
                    self.message.push_str(self.words().number);
                }
            }
            Typing::Cash => {
                let due = self.till.current().map_or(0, |sale| sale.amount);
                let Some(given) = (if text.is_empty() { Some(due) } else { cents(text) }) else {
                    self.message.push_str(self.words().number);
                    return;
                };
                match self.till.pay(Payment::Cash(given)) {
                    Ok(change) => {
                        self.print(Some(given));
                        let change = Money::new(change);
                        self.show(|words| words.change, format_args!(" {change}"));
                    }
                    Err(error) => self.message.push_str(self.words().refusal(error)),
                }
            }
        }
    }

    /// Prints the receipt before the order's events are stored, which empties the cart.
    fn print(&mut self, given: Option<u64>) {
        self.receipt = Some(Receipt::new(&self.till, Currency::EUR, given).to_string());
    }

    /// Shows a message: a text in the screen's language, and details.
    pub fn show(&mut self, text: impl FnOnce(&Words) -> &str, details: std::fmt::Arguments<'_>) {
        self.message = text(self.words()).to_owned();
        // Writing to a string does not fail.
        let _ = self.message.write_fmt(details);
    }
}

/// Parses `12`, `12.5` or `12.50` as cents.
fn cents(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 2 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    whole.checked_mul(100)?.checked_add(part)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use comptoir_wire::Event;
    use comptoir_wire::topic::Name;
    use std::convert::Infallible;

    pub fn desk(language: Language) -> Desk {
        let ids = Ids::new(Name::new("paris-1").unwrap(), Name::new("till-1").unwrap(), 7);
        let mut catalogue = Catalogue::new(Currency::EUR);
        for (name, price) in [("Espresso", 250), ("Croissant", 180)] {
            catalogue.set(name, price).unwrap();
        }
        Desk::new(ids, catalogue, language, Date::new(2026, 12, 24).unwrap())
    }

    /// Presses keys, and stores the resulting events; returns a summary of each event.
    fn press(desk: &mut Desk, keys: &str) -> Vec<String> {
        let (mut summaries, mut seq) = (Vec::new(), 1);
        for key in keys.chars() {
            let key = match key {
                '⏎' => Key::Enter,
                '↓' => Key::Down,
                '⌫' => Key::Backspace,
                '⎋' => Key::Escape,
                other => Key::Char(other),
            };
            assert_eq!(desk.key(key), Action::None);
            while let Some(stored) = desk.till.store_next(seq, |event| {
                Ok::<_, Infallible>(match event {
                    Event::Order(order) => format!("{} {}", order.status, order.amount),
                    Event::Payment(payment) => format!("{} {}", payment.method, payment.status),
                    Event::Delivery(delivery) => delivery.status.to_string(),
                })
            }) {
                summaries.push(stored.unwrap());
                seq += 1;
            }
        }
        summaries
    }

    #[test]
    fn a_sale_with_discount_paid_in_cash_gives_change() {
        let mut desk = desk(Language::English);
        let events = press(&mut desk, "++↓+-+d10⏎c120⏎");
        assert_eq!(events, ["Pending 612", "Cash SUCCESS", "Completed 612"]);
        assert_eq!(desk.message, "Paid. Change 13.88");
        let receipt = desk.receipt.clone().unwrap();
        assert!(receipt.starts_with("o-paris-1-till-1-7-1\n"), "{receipt}");
        assert!(
            receipt.contains("Croissant\n") && receipt.ends_with("13.88\n"),
            "{receipt}"
        );
        assert_eq!(press(&mut desk, "r"), ["Cancelled 612"]);
        assert_eq!(desk.message, "Refunded 6.12");
    }

    #[test]
    fn after_a_declined_card_the_order_is_paid_again_or_cancelled() {
        let mut desk = desk(Language::French);
        let events = press(&mut desk, "+c32");
        assert_eq!(
            events,
            [
                "Pending 250",
                "Credit Card FAILED",
                "Credit Card SUCCESS",
                "Completed 250"
            ]
        );
        assert_eq!(press(&mut desk, "+cx"), ["Pending 250", "Cancelled 250"]);
        assert_eq!(desk.message, "Annulé.");
    }

    #[test]
    fn a_delivery_advances_to_delivered_and_completes_its_order() {
        let mut desk = desk(Language::English);
        let events = press(&mut desk, "+l2vv");
        assert_eq!(
            events,
            [
                "Pending 250",
                "Credit Card SUCCESS",
                "Processing 250",
                "Pending",
                "In Transit",
                "Delivered",
                "Completed 250"
            ]
        );
    }

    #[test]
    fn invalid_input_is_refused_and_changes_nothing() {
        let mut desk = desk(Language::English);
        assert_eq!(press(&mut desk, "c"), Vec::<String>::new());
        assert_eq!(desk.message, "The cart is empty.");
        assert_eq!(press(&mut desk, "+d101⏎"), Vec::<String>::new());
        assert_eq!(desk.message, "Not a valid number.");
        press(&mut desk, "c12.509⏎");
        assert_eq!(desk.message, "Not a valid number.");
        press(&mut desk, "12.4⏎");
        assert_eq!(desk.message, "The cash does not cover the amount.");
        press(&mut desk, "19⌫⎋");
        assert!(desk.typing.is_none() && desk.till.current().is_some());
        assert_eq!(press(&mut desk, "1⏎")[0], "Cash SUCCESS");
    }

    #[test]
    fn a_full_queue_refuses_new_sales_and_lets_the_current_one_finish() {
        let mut desk = desk(Language::English);
        assert_eq!(press(&mut desk, "+c"), ["Pending 250"]);
        desk.is_full = true;
        assert_eq!(
            press(&mut desk, "32"),
            ["Credit Card FAILED", "Credit Card SUCCESS", "Completed 250"]
        );
        assert_eq!(press(&mut desk, "+clr"), Vec::<String>::new());
        assert!(desk.message.starts_with("The queue is full"), "{}", desk.message);
        desk.is_full = false;
        assert_eq!(press(&mut desk, "c"), ["Pending 250"]);
    }

    #[test]
    fn quit_plug_and_power_keys_work_and_typing_ignores_them() {
        let mut desk = desk(Language::English);
        let keys = ['q', 'n', 'k'].map(|key| desk.key(Key::Char(key)));
        assert_eq!(keys, [Action::Quit, Action::TogglePlug, Action::CutPower]);
        desk.key(Key::Char('d'));
        assert_eq!(desk.key(Key::Char('q')), Action::None);
        assert_eq!(desk.key(Key::Interrupt), Action::Quit);
    }
}
