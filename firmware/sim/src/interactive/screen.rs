//! The interactive till's screen, for a terminal of at least 80 columns and 24 lines.

use comptoir_terminal::Money;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, List, ListState, Paragraph};

use super::desk::{Desk, Typing};

/// The state that the screen shows besides the till.
#[derive(Clone, Debug)]
pub struct State {
    /// `{store}/{device}`.
    pub till: String,
    pub link: Link,
    /// Events up to this number are acked.
    pub acked: u32,
    /// The newest event's number.
    pub newest: u32,
}

/// The state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Unplugged,
    Connecting,
    Connected,
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, desk: &Desk, state: &State) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(5),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(3),
    ]);
    let [top, middle, parcels, message, help] = areas.areas(frame.area());
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(middle);
    let words = desk.words();
    frame.render_widget(Paragraph::new(status(desk, state)).reversed(), top);
    draw_articles(frame, left, desk);
    draw_cart(frame, right, desk);
    let deliveries = desk
        .till
        .parcels()
        .iter()
        .map(|parcel| format!("{} ({})", parcel.sale.product, parcel.status));
    let deliveries: Vec<String> = deliveries.collect();
    let line = format!(
        "{} {}: {}",
        deliveries.len(),
        words.parcels,
        deliveries.join(", ")
    );
    frame.render_widget(Paragraph::new(line), parcels);
    let line = match &desk.typing {
        Some((Typing::Cash, text)) => format!("{}: {text}_", words.cash),
        Some((Typing::Discount, text)) => format!("{}: {text}_", words.percent),
        None => desk.message.clone(),
    };
    frame.render_widget(Paragraph::new(line).bold(), message);
    let lines = match (&desk.typing, desk.till.current()) {
        (Some(_), _) => &words.help_typing,
        (None, Some(_)) => &words.help_paying,
        (None, None) => &words.help_selling,
    };
    frame.render_widget(Paragraph::new(lines.map(Line::from).to_vec()).dim(), help);
}

fn status(desk: &Desk, state: &State) -> String {
    let words = desk.words();
    let link = match state.link {
        Link::Unplugged => words.unplugged,
        Link::Connecting => words.connecting,
        Link::Connected => words.connected,
    };
    let unacked = state.newest - state.acked;
    let numbers = match unacked {
        0 => String::new(),
        1 => format!(" ({})", state.newest),
        _ => format!(" ({}…{})", state.acked + 1, state.newest),
    };
    format!(
        " {}  {link}  {}: {unacked} {}{numbers}, {} {}",
        state.till, words.queue, words.unacked, state.acked, words.acked
    )
}

fn draw_articles(frame: &mut Frame<'_>, area: Rect, desk: &Desk) {
    let width = usize::from(area.width.saturating_sub(2));
    let lines = desk
        .catalogue
        .products()
        .iter()
        .map(|product| row(&product.name, &Money::new(product.unit_price).to_string(), width));
    let list = List::new(lines)
        .block(Block::bordered().title(desk.words().articles))
        .highlight_style(Style::new().reversed());
    let mut selection = ListState::default().with_selected(Some(desk.at));
    frame.render_stateful_widget(list, area, &mut selection);
}

fn draw_cart(frame: &mut Frame<'_>, area: Rect, desk: &Desk) {
    let (words, cart) = (desk.words(), desk.till.cart());
    let title = match desk.till.current() {
        Some(_) => words.paying,
        None => words.cart,
    };
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    if let (Some(receipt), true) = (&desk.receipt, cart.is_empty()) {
        frame.render_widget(Paragraph::new(receipt.as_str()).dim(), inside);
        return;
    }
    let [lines, sums] = Layout::vertical([Constraint::Min(1), Constraint::Length(2)]).areas(inside);
    let width = usize::from(inside.width);
    // If not all lines fit, the last ones are shown.
    let skipped = cart.lines().len().saturating_sub(usize::from(lines.height));
    let rows = cart.lines().iter().skip(skipped).map(|line| {
        let sum = Money::new(line.unit_price * u64::from(line.quantity));
        Line::from(row(
            &format!("{} × {}", line.quantity, line.name),
            &sum.to_string(),
            width,
        ))
    });
    frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()), lines);
    let discount = match cart.discount() {
        0 => String::new(),
        discount => row(words.discount, &format!("-{}", Money::new(discount)), width),
    };
    let total = row(words.total, &format!("{} EUR", Money::new(cart.total())), width);
    let sums_text = vec![Line::from(discount), Line::from(total).bold()];
    frame.render_widget(Paragraph::new(sums_text), sums);
}

/// A text on the left and an amount on the right, `width` columns in all. The text is cut if necessary.
fn row(text: &str, sum: &str, width: usize) -> String {
    let room = width.saturating_sub(sum.chars().count() + 1);
    let kept: String = text.chars().take(room).collect();
    format!("{kept:<room$} {sum}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interactive::desk::Key;
    use crate::interactive::desk::tests::desk;
    use crate::interactive::words::Language;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(desk: &Desk, link: Link) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let state = State {
            till: "paris-1/till-1".to_owned(),
            link,
            acked: 3,
            newest: 5,
        };
        terminal.draw(|frame| draw(frame, desk, &state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| {
            (0..80)
                .map(|x| buffer[(x, y)].symbol().to_owned())
                .collect::<String>()
        };
        (0..24).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_screen_shows_till_queue_and_network_in_80_by_24() {
        let mut desk = desk(Language::English);
        for key in [
            Key::Char('+'),
            Key::Char('+'),
            Key::Down,
            Key::Char('+'),
            Key::Char('d'),
        ] {
            desk.key(key);
        }
        desk.key(Key::Char('5'));
        let screen = screen(&desk, Link::Connected);
        assert_eq!(
            screen[0],
            " paris-1/till-1  connected  queue: 2 unacked (4…5), 3 acked"
        );
        assert!(
            screen[2].contains("Espresso") && screen[2].contains("2.50"),
            "{}",
            screen[2]
        );
        assert!(
            screen[2].contains("2 × Espresso") && screen[2].contains("5.00"),
            "{}",
            screen[2]
        );
        let all = screen.join("\n");
        assert!(all.contains("Total") && all.contains("6.80 EUR"), "{all}");
        assert!(all.contains("Discount in percent: 5_"), "{all}");
        assert!(screen[21].starts_with("digits"), "{all}");
    }

    #[test]
    fn the_french_texts_are_shown_and_every_help_line_fits() {
        let screen = screen(&desk(Language::French), Link::Unplugged);
        assert!(
            screen[0].contains("réseau débranché  file: 2 non acquittés"),
            "{}",
            screen[0]
        );
        for language in [Language::English, Language::French] {
            let words = language.words();
            let helps = [words.help_selling, words.help_paying, words.help_typing];
            let longest = helps.iter().flatten().map(|line| line.chars().count()).max();
            assert!(longest.is_some_and(|longest| longest <= 80), "{longest:?}");
        }
        assert!(screen[23].contains("k couper le courant"), "{}", screen[23]);
    }
}
