//! Classifies records in Kafka: an event or a state that provably comes from the shop it names, or a record to keep
//! apart.

use comptoir_core::command::HandledCommands;
use comptoir_core::event::{EventName, Kind};
use comptoir_core::mac::{MAC_HEADER, SignedRecord};
use comptoir_core::sale::draft::{Draft, from_json};
use comptoir_core::sale::{self, Currency};
use comptoir_kafka::BorrowedRecord;
use jiff::Timestamp;

use crate::keys::ShopKeys;
use crate::state::{self, Commands, GatewayState};

/// Longest value of an event or a state, in bytes.
const MAX_VALUE: usize = 512 << 10;
/// Most bytes stored of a value that is kept apart.
const MAX_KEPT: usize = 4 << 10;
/// Most bytes stored of a key that is kept apart.
const MAX_KEY: usize = 256;
/// Most characters stored of the name that a record claims.
const MAX_NAME: usize = 256;

/// The location of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Full name.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// When Kafka appended the record. If the topic keeps the producer's time, which proves nothing, the time of
    /// reading.
    pub appended: Timestamp,
}

/// A sale read from Kafka.
#[derive(Debug, Clone)]
pub struct EventRecord {
    pub place: Place,
    pub name: EventName,
    pub kind: Kind,
    /// The id of the order, the payment or the delivery.
    pub id: String,
    pub order_id: String,
    pub status: String,
    /// Minor units and currency; `None` for a delivery.
    pub amount: Option<(i64, Currency)>,
    pub time: Timestamp,
    pub value: String,
}

/// The state of a gateway, read from Kafka.
#[derive(Debug, Clone)]
pub struct StateRecord {
    pub place: Place,
    pub store: String,
    pub time: Timestamp,
    /// Whether it says which commands were handed over.
    pub reports_commands: bool,
    pub handled_commands: Option<HandledCommands>,
    pub value: String,
}

/// Why a record does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It names a shop whose key is unknown.
    UnknownShop,
    /// It is not signed by the shop that it names.
    Forged,
    /// Its value is not a sale of the topic's kind.
    NotASale,
    /// Its value is not a valid gateway state.
    NotAState,
    /// PostgreSQL cannot store it.
    Unstorable,
}

impl Reason {
    pub const ALL: [Self; 5] = [
        Self::UnknownShop,
        Self::Forged,
        Self::NotASale,
        Self::NotAState,
        Self::Unstorable,
    ];

    /// The word used in the database and in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownShop => "unknown-shop",
            Self::Forged => "forged",
            Self::NotASale => "not-a-sale",
            Self::NotAState => "not-a-state",
            Self::Unstorable => "unstorable",
        }
    }
}

/// A record that does not count.
#[derive(Debug, Clone)]
pub struct ApartRecord {
    pub place: Place,
    pub reason: Reason,
    /// The name that it claims.
    pub name: String,
    /// The first 256 bytes.
    pub key: Vec<u8>,
    /// The first 4 KiB.
    pub value: Vec<u8>,
}

#[derive(Debug, Clone)]
pub enum CheckedRecord {
    Event(Box<EventRecord>),
    State(StateRecord),
    Apart(ApartRecord),
}

impl CheckedRecord {
    pub fn place(&self) -> &Place {
        match self {
            Self::Event(event) => &event.place,
            Self::State(state) => &state.place,
            Self::Apart(apart) => &apart.place,
        }
    }

    /// The same record, kept apart because PostgreSQL cannot store it.
    pub fn into_unstorable(self) -> ApartRecord {
        let (place, name, value) = match self {
            Self::Event(event) => (event.place, event.name.to_string(), event.value.into_bytes()),
            Self::State(state) => (state.place, state.store, state.value.into_bytes()),
            Self::Apart(apart) => return apart,
        };
        apart(place, Reason::Unstorable, &name, &[], &value)
    }
}

/// The full names of the topics to read.
pub fn topics(prefix: &str) -> Vec<String> {
    let names = Kind::ALL
        .map(Kind::topic)
        .into_iter()
        .chain([comptoir_kafka::GATEWAYS]);
    names.map(|name| format!("{prefix}{name}")).collect()
}

/// Decides which records count.
pub struct Checker {
    pub keys: ShopKeys,
    /// Records that Kafka appended before this time count without a signature.
    pub unsigned_before: Option<Timestamp>,
    /// The prefix of all topics.
    pub prefix: String,
}

/// The parts of a record that decide its classification.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    ce_id: &'a [u8],
    ce_type: &'a [u8],
    code: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
    /// When Kafka appended it, by Kafka's clock.
    appended: Option<Timestamp>,
}

impl Checker {
    pub fn check(&self, record: &BorrowedRecord<'_>) -> CheckedRecord {
        let appended = record
            .appended()
            .and_then(|time| Timestamp::from_millisecond(time).ok());
        let place = Place {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            appended: appended.unwrap_or_else(sale::now),
        };
        let mut parts = Parts {
            ce_id: &[],
            ce_type: &[],
            code: &[],
            key: record.key(),
            value: record.payload(),
            appended,
        };
        record.headers(|name, value| match name {
            "ce_id" => parts.ce_id = value,
            "ce_type" => parts.ce_type = value,
            MAC_HEADER => parts.code = value,
            _ => {}
        });
        let topic = place.topic.strip_prefix(&self.prefix);
        match topic.and_then(Kind::from_topic) {
            Some(kind) => self.check_event(place, kind, parts),
            None => self.check_state(place, parts),
        }
    }

    fn check_event(&self, place: Place, kind: Kind, parts: Parts<'_>) -> CheckedRecord {
        let name = String::from_utf8_lossy(parts.ce_id);
        let keep_apart =
            |place, reason| CheckedRecord::Apart(apart(place, reason, &name, parts.key, parts.value));
        // A record whose name is not an event name claims no shop.
        let Some(event) = EventName::parse(&name) else {
            return keep_apart(place, Reason::Forged);
        };
        // The signature covers the type, so a record cannot be moved to the topic of another kind.
        let is_signed =
            parts.ce_type == kind.event_type().as_bytes() && self.is_signed(event.device.store(), parts);
        if let Err(reason) = self.judge(event.device.store(), is_signed, parts.appended) {
            return keep_apart(place, reason);
        }
        match read_event(place.clone(), event, kind, parts.value) {
            Some(event) => CheckedRecord::Event(Box::new(event)),
            None => keep_apart(place, Reason::NotASale),
        }
    }

    fn check_state(&self, place: Place, parts: Parts<'_>) -> CheckedRecord {
        let store = String::from_utf8_lossy(parts.key).into_owned();
        // Headers that are the same in every record are not written, but the signature covers them.
        let signed = Parts {
            ce_id: parts.key,
            ce_type: state::TYPE.as_bytes(),
            ..parts
        };
        let keep_apart =
            |place, reason| CheckedRecord::Apart(apart(place, reason, &store, parts.key, parts.value));
        // States have always been signed.
        if let Err(reason) = self.judge(&store, self.is_signed(&store, signed), None) {
            return keep_apart(place, reason);
        }
        let state = match parts.value.len() {
            0..=MAX_VALUE => serde_json::from_slice::<GatewayState>(parts.value).ok(),
            _ => None,
        }
        .filter(GatewayState::is_sound);
        let value = std::str::from_utf8(parts.value);
        match state.zip(value.ok()) {
            Some((state, value)) => CheckedRecord::State(StateRecord {
                place,
                store,
                time: state.time,
                reports_commands: state.commands.is_some(),
                handled_commands: state.commands.as_ref().and_then(Commands::handled),
                value: value.to_owned(),
            }),
            None => keep_apart(place, Reason::NotAState),
        }
    }

    fn is_signed(&self, store: &str, parts: Parts<'_>) -> bool {
        let record = SignedRecord {
            ce_id: parts.ce_id,
            ce_type: parts.ce_type,
            key: parts.key,
            value: parts.value,
        };
        self.keys.verify(store, &record, parts.code)
    }

    fn judge(&self, store: &str, is_signed: bool, appended: Option<Timestamp>) -> Result<(), Reason> {
        let is_old = appended
            .zip(self.unsigned_before)
            .is_some_and(|(appended, before)| appended < before);
        match is_signed || is_old {
            true => Ok(()),
            false if self.keys.knows(store) => Err(Reason::Forged),
            false => Err(Reason::UnknownShop),
        }
    }
}

/// Parses a sale. The gateway has validated it; a later version may use values that this one does not know.
fn read_event(place: Place, name: EventName, kind: Kind, value: &[u8]) -> Option<EventRecord> {
    if value.len() > MAX_VALUE {
        return None;
    }
    let draft: Draft = from_json(value).ok()?;
    let currency = draft.currency;
    let amount = match (draft.amount, currency, kind) {
        (_, _, Kind::Delivery) => None,
        (Some(amount), Some(currency), _) => {
            // Validated below: only a refund has a negative amount.
            let money = sale::Money::from_signed_decimal(amount.0, currency).ok()?;
            Some((money.minor(), currency))
        }
        _ => return None,
    };
    let id = match kind {
        Kind::Order => draft.order_id.clone(),
        Kind::Payment => draft.payment_id.clone(),
        Kind::Delivery => draft.delivery_id.clone(),
    };
    let (id, order_id) = (id?, draft.order_id.clone()?);
    let (status, time) = (draft.status.clone()?, draft.timestamp?);
    // Validates all other fields too.
    draft.complete(kind, currency.unwrap_or(Currency::EUR)).ok()?;
    Some(EventRecord {
        place,
        name,
        kind,
        id,
        order_id,
        status,
        amount,
        time,
        value: std::str::from_utf8(value).ok()?.to_owned(),
    })
}

fn apart(place: Place, reason: Reason, name: &str, key: &[u8], value: &[u8]) -> ApartRecord {
    let name = name.chars().take(MAX_NAME);
    ApartRecord {
        place,
        reason,
        // Texts in PostgreSQL cannot contain NUL.
        name: name.map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect(),
        key: key[..key.len().min(MAX_KEY)].to_vec(),
        value: value[..value.len().min(MAX_KEPT)].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use comptoir_core::shop_secret::ShopSecret;

    use super::*;

    const VALUE: &str = r#"{"payment_id":"p-1","order_id":"o-1","amount":12.50,"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"2026-11-22T10:00:00.5Z","store":"paris-1","device":"till-1","later":[1]}"#;
    const NAME: &str = "paris-1/till-1/7/42";

    fn secret() -> ShopSecret {
        ShopSecret::new([7; 32])
    }

    fn checker() -> Checker {
        let line = format!("paris-1 {}", secret().exported_record_key());
        Checker {
            keys: ShopKeys::parse(&line).unwrap(),
            unsigned_before: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            prefix: "shop-".to_owned(),
        }
    }

    fn place(topic: &str) -> Place {
        Place {
            topic: topic.to_owned(),
            partition: 0,
            offset: 5,
            appended: "2026-11-22T10:00:01Z".parse().unwrap(),
        }
    }

    fn parts<'a>(name: &'a str, value: &'a str, code: &'a str) -> Parts<'a> {
        Parts {
            ce_id: name.as_bytes(),
            ce_type: b"comptoir.payment",
            code: code.as_bytes(),
            key: b"o-1",
            value: value.as_bytes(),
            appended: Some("2026-11-22T10:00:01Z".parse().unwrap()),
        }
    }

    fn code(name: &str, value: &str) -> String {
        let record = SignedRecord {
            ce_id: name.as_bytes(),
            ce_type: b"comptoir.payment",
            key: b"o-1",
            value: value.as_bytes(),
        };
        record.sign(&secret().record_key())
    }

    fn reason(record: CheckedRecord) -> Option<Reason> {
        match record {
            CheckedRecord::Apart(apart) => Some(apart.reason),
            _ => None,
        }
    }

    #[test]
    fn a_signed_sale_counts_with_its_unknown_fields() {
        let (checker, code) = (checker(), code(NAME, VALUE));
        let record = checker.check_event(place("shop-payments"), Kind::Payment, parts(NAME, VALUE, &code));
        let CheckedRecord::Event(event) = record else {
            panic!("{record:?}");
        };
        assert_eq!(
            (&*event.id, &*event.order_id, &*event.status),
            ("p-1", "o-1", "SUCCESS")
        );
        assert_eq!(event.amount, Some((1_250, Currency::EUR)));
        assert_eq!((event.name.to_string(), &*event.value), (NAME.to_owned(), VALUE));
    }

    #[test]
    fn what_is_not_provably_the_shops_is_kept_apart() {
        let checker = checker();
        let check = |kind, name: &str, value: &str, code: &str| {
            reason(checker.check_event(place("shop-payments"), kind, parts(name, value, code)))
        };
        let valid = code(NAME, VALUE);
        assert_eq!(check(Kind::Payment, NAME, VALUE, ""), Some(Reason::Forged));
        assert_eq!(check(Kind::Payment, NAME, "{}", &valid), Some(Reason::Forged));
        // Moved to another topic.
        assert_eq!(check(Kind::Order, NAME, VALUE, &valid), Some(Reason::Forged));
        assert_eq!(check(Kind::Payment, "", VALUE, &valid), Some(Reason::Forged));
        let other = "lyon-2/till-1/7/42";
        assert_eq!(
            check(Kind::Payment, other, VALUE, &code(other, VALUE)),
            Some(Reason::UnknownShop)
        );
        for value in ["{}", "", "[", r#"{"payment_id":"p-1","amount":1}"#] {
            assert_eq!(
                check(Kind::Payment, NAME, value, &code(NAME, value)),
                Some(Reason::NotASale),
                "{value}"
            );
        }
    }

    #[test]
    fn only_kafkas_clock_makes_an_unsigned_record_old() {
        let checker = checker();
        let with = |appended: Option<&str>| {
            let appended = appended.map(|time| time.parse().unwrap());
            let parts = Parts {
                appended,
                ..parts(NAME, VALUE, "")
            };
            reason(checker.check_event(place("shop-payments"), Kind::Payment, parts))
        };
        assert_eq!(with(Some("2025-12-31T23:59:59Z")), None);
        assert_eq!(with(Some("2026-01-01T00:00:00Z")), Some(Reason::Forged));
        assert_eq!(with(None), Some(Reason::Forged));
    }

    #[test]
    fn a_state_counts_if_its_shop_has_signed_it() {
        let checker = checker();
        let value = r#"{"time":"2026-11-30T18:02:11Z","version":"0.5.0","started":"2026-11-30T18:00:00Z","last_exit":"stopped","journal":{"bytes":1,"max_bytes":2},"devices":[],"later":7}"#;
        let check = |store: &str, value: &str, code: &str| {
            let parts = Parts {
                ce_id: b"",
                ce_type: b"",
                key: store.as_bytes(),
                value: value.as_bytes(),
                ..parts("", "", code)
            };
            checker.check_state(place("shop-gateways"), parts)
        };
        let sign = |store: &str, value: &str| {
            let record = SignedRecord {
                ce_id: store.as_bytes(),
                ce_type: b"comptoir.gateway",
                key: store.as_bytes(),
                value: value.as_bytes(),
            };
            record.sign(&secret().record_key())
        };
        let CheckedRecord::State(state) = check("paris-1", value, &sign("paris-1", value)) else {
            panic!("a signed state is kept apart");
        };
        assert_eq!((&*state.store, &*state.value), ("paris-1", value));
        let apart = |store, value, code: &str| reason(check(store, value, code));
        for unsound in [
            r#""later":7,"problems":["\u0000"]"#,
            r#""later":7,"problems":["Kafka is down"]"#,
            r#""later":7,"every":4294967295"#,
            r#""later":7,"every":0"#,
        ] {
            let value = value.replace(r#""later":7"#, unsound);
            let found = reason(check("paris-1", &value, &sign("paris-1", &value)));
            assert_eq!(found, Some(Reason::NotAState), "{unsound}");
        }
        assert_eq!(apart("paris-1", value, ""), Some(Reason::Forged));
        assert_eq!(
            apart("lyon-2", value, &sign("lyon-2", value)),
            Some(Reason::UnknownShop)
        );
        assert_eq!(
            apart("paris-1", "{}", &sign("paris-1", "{}")),
            Some(Reason::NotAState)
        );
    }
}
