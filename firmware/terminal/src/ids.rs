//! Ids of orders, payments and deliveries.

use core::fmt::Write;

use comptoir_wire::MAX_ID;
use comptoir_wire::topic::Name;
use heapless::String;

/// An order's number at its till: the `seq` of its first event, hence unique within the epoch.
pub type OrderNumber = u32;

/// Generates the ids of one till and epoch, which are unique in the chain.
///
/// An order's id is `o-{store}-{device}-{epoch in hex}-{number}`. Payments begin with `p`, deliveries with `d`, and further
/// payment attempts end in `-{attempt}`. If the names are too long for [`MAX_ID`], a hash replaces them.
#[derive(Clone, Debug)]
pub struct Ids {
    middle: String<MAX_ID>,
}

/// Bytes besides the middle: `o-`, a dash and ten digits, a dash and three digits.
const AROUND: usize = 2 + 11 + 4;

impl Ids {
    /// The ids of a till under the epoch of its queue.
    pub fn new(store: Name<'_>, device: Name<'_>, epoch: u32) -> Self {
        let mut middle = String::new();
        if write!(middle, "{store}-{device}-{epoch:x}").is_err() || middle.len() + AROUND > MAX_ID {
            middle.clear();
            let name = store.bytes().chain([b'/']).chain(device.bytes());
            // FNV-1a. The names of two tills of a chain must not have the same hash.
            let hash = name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            // At most 25 bytes, so this fits.
            let _ = write!(middle, "{hash:016x}-{epoch:x}");
        }
        Self { middle }
    }

    /// The id of an order (`o`), a payment (`p`) or a delivery (`d`).
    pub fn id(&self, kind: char, number: OrderNumber, attempt: u8) -> String<MAX_ID> {
        let mut id = String::new();
        // `new` keeps `middle` short enough for this to fit.
        let _ = write!(id, "{kind}-{}-{number}", self.middle);
        if attempt > 1 {
            let _ = write!(id, "-{attempt}");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tills_with_the_longest_names_fit_and_differ() {
        let longest = "z".repeat(32);
        let (store, other) = (Name::new(&longest).unwrap(), Name::new("a").unwrap());
        let ids = Ids::new(store, store, u32::MAX);
        let id = ids.id('o', u32::MAX, u8::MAX);
        assert!(id.len() <= MAX_ID && id.ends_with("-4294967295-255"), "{id}");
        assert_ne!(
            Ids::new(store, other, 7).id('o', 1, 1),
            Ids::new(other, store, 7).id('o', 1, 1)
        );
        let short = Ids::new(
            Name::new("paris-1").unwrap(),
            Name::new("till-1").unwrap(),
            0xabcd,
        );
        assert_eq!(short.id('p', 12, 2).as_str(), "p-paris-1-till-1-abcd-12-2");
    }
    extern crate std;
}
