//! Parses the output of the till's serial line.

/// A line `till: sold {seq} {topic} {order_id} kept`: the till has written the event to its flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedSale {
    pub seq: u32,
    /// `orders`, `payments` or `deliveries`.
    pub topic: String,
    /// The `order_id`.
    pub key: String,
}

/// A line `till: stack {used} bytes of {size}`, the last before it switches itself off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// Largest use, in bytes.
    pub used: u64,
    /// Bytes available.
    pub size: u64,
}

/// `None` before the till has switched itself off.
pub(super) fn stack(log: &str) -> Option<Stack> {
    let (used, size) = log
        .lines()
        .last()?
        .strip_prefix("till: stack ")?
        .split_once(" bytes of ")?;
    Some(Stack {
        used: used.parse().ok()?,
        size: size.parse().ok()?,
    })
}

/// The confirmed sales, in order.
pub(super) fn sales(log: &str) -> Vec<ConfirmedSale> {
    log.lines().filter_map(sale).collect()
}

/// `None` for other lines, and for a line that a power cut has left without its last word: that sale was not confirmed.
fn sale(line: &str) -> Option<ConfirmedSale> {
    // After a power cut, an incomplete line can stand before the first line of the next start.
    let (_, message) = line.trim_end().rsplit_once("till: ")?;
    let mut words = message.strip_prefix("sold ")?.strip_suffix(" kept")?.split(' ');
    Some(ConfirmedSale {
        seq: words.next()?.parse().ok()?,
        topic: words.next()?.to_owned(),
        key: words.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_confirms_nothing() {
        let log = "till: paris-1/till-7 Formatted: epoch 00000001, newest 0, unacked 0\n\
                   till: sold 1 orders o-1 kept\r\n\
                   till: sold 2 payments o-1 kep\
                   till: paris-1/till-7 Found: epoch 00000001, newest 2, unacked 2\n\
                   till: sold 3 payments o-\
                   till: sold 3 deliveries o-1 kept\n\
                   till: acked 3\n\
                   till: sold 4 orders o-";
        let confirmed: Vec<_> = sales(log)
            .into_iter()
            .map(|sale| (sale.seq, sale.topic))
            .collect();
        assert_eq!(
            confirmed,
            [(1, "orders".to_owned()), (3, "deliveries".to_owned())]
        );
    }
}
