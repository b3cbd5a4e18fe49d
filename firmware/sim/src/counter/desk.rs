//! The interactive till without its screen, its flash and its network: what keys do.

use std::fmt::Write;

use comptoir_terminal::{Catalogue, DeliverTo, Discount, Ids, Money, Payment, Receipt, Till, TillError};
use comptoir_wire::{Currency, Date, DeliveryStatus, PaymentMethod};

use super::words::{Language, Words};

/// A key, whatever keyboard it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Enter,
    Escape,
    Backspace,
    Char(char),
    /// Ctrl-C: ends it, whatever is going on.
    Interrupt,
}

/// What a key asks for that is not the till's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    /// Plug the network in, or pull its plug.
    Plug,
    /// Cut the power.
    PowerCut,
    Quit,
}

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    Cash,
    Discount,
}

/// Where invented customers have their goods sent; the interactive till asks no addresses.
const ADDRESS: &str = "1 Rue de Rivoli, 75001 Paris";
/// Articles of the till.
pub const ARTICLES: usize = 64;
/// Digits that are taken.
const DIGITS: usize = 9;

/// The till and whatever its screen shows of it.
pub struct Desk {
    pub till: Till,
    pub catalogue: Catalogue<ARTICLES>,
    /// The article that is chosen.
    pub at: usize,
    pub typing: Option<(Typing, String)>,
    /// The last thing that happened, for people.
    pub said: String,
    pub language: Language,
    /// When a delivery is to arrive.
    pub date: Date,
    /// Of the order that was paid last, until the next one's cart is filled.
    pub receipt: Option<String>,
    /// No order may begin: the queue may have no room for all that comes of it.
    pub is_full: bool,
}

impl Desk {
    pub fn new(ids: Ids, catalogue: Catalogue<ARTICLES>, language: Language, date: Date) -> Self {
        Self {
            till: Till::new(ids, Currency::EUR),
            catalogue,
            at: 0,
            typing: None,
            said: String::new(),
            language,
            date,
            receipt: None,
            is_full: false,
        }
    }

    /// The till has no more than its flash: what was under way is gone.
    pub fn restart(&mut self, ids: Ids) {
        self.till = Till::new(ids, Currency::EUR);
        self.typing = None;
    }

    pub fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Wish {
        if key == Key::Interrupt {
            return Wish::Quit;
        }
        if let Some(typed) = self.typing.take() {
            self.type_on(typed, key);
            return Wish::Nothing;
        }
        match key {
            Key::Char('q') => return Wish::Quit,
            Key::Char('n') => return Wish::Plug,
            Key::Char('k') => return Wish::PowerCut,
            _ => {}
        }
        self.said.clear();
        let done = if self.till.current().is_some() {
            self.key_while_paying(key)
        } else {
            self.key_while_selling(key)
        };
        if let Err(error) = done {
            self.said.push_str(self.words().refusal(error));
        }
        Wish::Nothing
    }

    fn key_while_selling(&mut self, key: Key) -> Result<(), TillError> {
        if self.is_full && matches!(key, Key::Char('c' | 'l' | 'r')) {
            self.say(|words| words.full, format_args!(""));
            return Ok(());
        }
        let last = self.catalogue.products().len().saturating_sub(1);
        match key {
            Key::Up => self.at = self.at.saturating_sub(1),
            Key::Down => self.at = (self.at + 1).min(last),
            Key::Enter | Key::Char('+') => self.change(1)?,
            Key::Char('-') => self.change(-1)?,
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
                self.say(|words| words.refunded, format_args!(" {amount}"));
            }
            Key::Char('v') => {
                let status: DeliveryStatus = self.till.move_parcel(0)?;
                self.say(|words| words.delivery, format_args!(": {status}"));
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
                self.say(|words| words.paid, format_args!(""));
            }
            Key::Char('3') => {
                self.till.pay(card(false))?;
                self.say(|words| words.declined, format_args!(""));
            }
            Key::Char('x') => {
                self.till.cancel()?;
                self.say(|words| words.cancelled, format_args!(""));
            }
            _ => {}
        }
        Ok(())
    }

    /// One more of the article that is chosen, or one less.
    fn change(&mut self, by: i32) -> Result<(), TillError> {
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
        // Full, or too dear: the cart is as it was.
        changed.map_err(|_| TillError::TooManyAttempts)
    }

    fn type_on(&mut self, (what, mut text): (Typing, String), key: Key) {
        match key {
            Key::Escape => return,
            Key::Enter => return self.typed(what, &text),
            Key::Backspace => _ = text.pop(),
            Key::Char(digit @ ('0'..='9' | '.' | ',')) if text.len() < DIGITS => {
                text.push(if digit == ',' { '.' } else { digit });
            }
            _ => {}
        }
        self.typing = Some((what, text));
    }

    fn typed(&mut self, what: Typing, text: &str) {
        self.said.clear();
        match what {
            Typing::Discount => {
                let percent = text.parse().ok();
                let set = percent.map(|percent| {
                    let cart = self.till.cart_mut().ok()?;
                    cart.set_discount(Discount::Percent(percent)).ok()
                });
                if set.flatten().is_none() {
                    self.said.push_str(self.words().number);
                }
            }
            Typing::Cash => {
                let due = self.till.current().map_or(0, |sale| sale.amount);
                let Some(given) = (if text.is_empty() { Some(due) } else { cents(text) }) else {
                    self.said.push_str(self.words().number);
                    return;
                };
                match self.till.pay(Payment::Cash(given)) {
                    Ok(change) => {
                        self.print(Some(given));
                        let change = Money::new(change);
                        self.say(|words| words.change, format_args!(" {change}"));
                    }
                    Err(error) => self.said.push_str(self.words().refusal(error)),
                }
            }
        }
    }

    /// Of the order that is paid now: its cart is emptied when its events are in the queue.
    fn print(&mut self, given: Option<u64>) {
        self.receipt = Some(Receipt::new(&self.till, Currency::EUR, given).to_string());
    }

    /// Tells people what happened.
    pub fn say(&mut self, word: impl FnOnce(&Words) -> &str, more: std::fmt::Arguments<'_>) {
        self.said = word(self.words()).to_owned();
        // A string takes everything.
        let _ = self.said.write_fmt(more);
    }
}

/// `12`, `12.5` or `12.50` in cents.
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
    use comptoir_wire::topic::Name;

    pub fn desk(language: Language) -> Desk {
        let ids = Ids::new(Name::new("paris-1").unwrap(), Name::new("till-1").unwrap(), 7);
        let mut catalogue = Catalogue::new(Currency::EUR);
        for (name, price) in [("Espresso", 250), ("Croissant", 180)] {
            catalogue.set(name, price).unwrap();
        }
        Desk::new(ids, catalogue, language, Date::new(2026, 12, 24).unwrap())
    }

    /// Presses keys, and queues what comes of it; what came, in words.
    fn press(desk: &mut Desk, keys: &str) -> Vec<String> {
        let (mut words, mut seq) = (Vec::new(), 1);
        for key in keys.chars() {
            let key = match key {
                '⏎' => Key::Enter,
                '↓' => Key::Down,
                '⌫' => Key::Backspace,
                '⎋' => Key::Escape,
                other => Key::Char(other),
            };
            assert_eq!(desk.key(key), Wish::Nothing);
            while let Some(word) = desk.till.event(seq, |event| match event {
                comptoir_wire::Event::Order(order) => format!("{} {}", order.status, order.amount),
                comptoir_wire::Event::Payment(payment) => format!("{} {}", payment.method, payment.status),
                comptoir_wire::Event::Delivery(delivery) => delivery.status.to_string(),
            }) {
                words.push(word);
                desk.till.queued(seq);
                seq += 1;
            }
        }
        words
    }

    #[test]
    fn a_sale_with_discount_paid_in_cash_gives_change() {
        let mut desk = desk(Language::English);
        let words = press(&mut desk, "++↓+-+d10⏎c120⏎");
        assert_eq!(words, ["Pending 612", "Cash SUCCESS", "Completed 612"]);
        assert_eq!(desk.said, "Paid. Change 13.88");
        let receipt = desk.receipt.clone().unwrap();
        assert!(receipt.starts_with("o-paris-1-till-1-7-1\n"), "{receipt}");
        assert!(
            receipt.contains("Croissant\n") && receipt.ends_with("13.88\n"),
            "{receipt}"
        );
        assert_eq!(press(&mut desk, "r"), ["Cancelled 612"]);
        assert_eq!(desk.said, "Refunded 6.12");
    }

    #[test]
    fn a_declined_card_is_tried_again_or_cancelled() {
        let mut desk = desk(Language::French);
        let words = press(&mut desk, "+c32");
        assert_eq!(
            words,
            [
                "Pending 250",
                "Credit Card FAILED",
                "Credit Card SUCCESS",
                "Completed 250"
            ]
        );
        assert_eq!(press(&mut desk, "+cx"), ["Pending 250", "Cancelled 250"]);
        assert_eq!(desk.said, "Annulé.");
    }

    #[test]
    fn deliveries_go_their_way() {
        let mut desk = desk(Language::English);
        let words = press(&mut desk, "+l2vv");
        assert_eq!(
            words,
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
    fn nonsense_is_refused_and_changes_nothing() {
        let mut desk = desk(Language::English);
        assert_eq!(press(&mut desk, "c"), Vec::<String>::new());
        assert_eq!(desk.said, "The cart is empty.");
        assert_eq!(press(&mut desk, "+d101⏎"), Vec::<String>::new());
        assert_eq!(desk.said, "That is no such number.");
        press(&mut desk, "c12.509⏎");
        assert_eq!(desk.said, "That is no such number.");
        press(&mut desk, "12.4⏎");
        assert_eq!(desk.said, "That is too little.");
        press(&mut desk, "19⌫⎋");
        assert!(desk.typing.is_none() && desk.till.current().is_some());
        assert_eq!(press(&mut desk, "1⏎")[0], "Cash SUCCESS");
    }

    #[test]
    fn a_full_queue_is_told_before_the_sale_and_ends_none_that_has_begun() {
        let mut desk = desk(Language::English);
        assert_eq!(press(&mut desk, "+c"), ["Pending 250"]);
        desk.is_full = true;
        assert_eq!(
            press(&mut desk, "32"),
            ["Credit Card FAILED", "Credit Card SUCCESS", "Completed 250"]
        );
        assert_eq!(press(&mut desk, "+clr"), Vec::<String>::new());
        assert!(desk.said.starts_with("The queue is full"), "{}", desk.said);
        desk.is_full = false;
        assert_eq!(press(&mut desk, "c"), ["Pending 250"]);
    }

    #[test]
    fn keys_that_are_not_the_tills() {
        let mut desk = desk(Language::English);
        let keys = ['q', 'n', 'k'].map(|key| desk.key(Key::Char(key)));
        assert_eq!(keys, [Wish::Quit, Wish::Plug, Wish::PowerCut]);
        desk.key(Key::Char('d'));
        assert_eq!(desk.key(Key::Char('q')), Wish::Nothing);
        assert_eq!(desk.key(Key::Interrupt), Wish::Quit);
    }
}
