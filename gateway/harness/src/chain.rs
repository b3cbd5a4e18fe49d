//! A chain of shops that writes to Kafka as gateways do: signed events in transactions, and signed states. And what somebody
//! writes who has a shop's password.

#![expect(
    unsafe_code,
    reason = "the binding cannot write a header whose key is not UTF-8"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use comptoir_core::command::{HandledCommands, NUMBER_HEADER};
use comptoir_core::mac::SignedRecord;
use comptoir_core::shop_secret::ShopSecret;
use rdkafka::ClientConfig;
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

/// What an outside audit expects of a shop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub orders: i64,
    pub payments: i64,
    /// Successful payments, in minor units.
    pub takings: i64,
    pub events: i64,
}

/// A record as a shop writes it.
#[derive(Debug, Clone)]
pub struct SignedEvent {
    pub topic: &'static str,
    pub name: String,
    pub kind: &'static str,
    pub key: String,
    pub value: String,
    pub code: String,
}

impl SignedEvent {
    pub fn new(store: &str, topic: &'static str, seq: u32, key: &str, value: String) -> Self {
        let name = format!("{store}/till-1/7/{seq}");
        let kind = match topic {
            "orders" => "comptoir.order",
            "payments" => "comptoir.payment",
            _ => "comptoir.delivery",
        };
        let record = SignedRecord {
            ce_id: name.as_bytes(),
            ce_type: kind.as_bytes(),
            key: key.as_bytes(),
            value: value.as_bytes(),
        };
        let code = record.sign(&Chain::secret(store).record_key());
        Self {
            topic,
            name,
            kind,
            key: key.to_owned(),
            value,
            code,
        }
    }
}

/// The shops of a chain, and what they have sold.
pub struct Chain {
    producer: ThreadedProducer<DefaultProducerContext>,
    /// Without transactions: of the states, and of attackers.
    publisher: ThreadedProducer<DefaultProducerContext>,
    prefix: String,
    /// Of the sales.
    time: String,
    sold: BTreeMap<String, Account>,
}

impl Chain {
    /// The secret of a shop, derived from its name.
    pub fn secret(store: &str) -> ShopSecret {
        let mut bytes = [7; 32];
        for (at, byte) in store.bytes().enumerate() {
            bytes[at % 32] ^= byte;
        }
        ShopSecret::new(bytes)
    }

    /// Connects to Kafka.
    ///
    /// # Errors
    /// Kafka does not reply.
    pub fn new(brokers: &str, prefix: &str) -> Result<Self> {
        Self::with_producer(brokers, prefix, "chain")
    }

    /// As [`Chain::new`], for one of several chains that write to the same topics: each has a transactional producer of its
    /// own, as each gateway has.
    ///
    /// # Errors
    /// As [`Chain::new`].
    pub fn with_producer(brokers: &str, prefix: &str, name: &str) -> Result<Self> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", format!("{prefix}{name}"))
            .set("linger.ms", "1")
            .create()?;
        producer.init_transactions(TIMEOUT)?;
        let publisher = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "1")
            .set("compression.type", "zstd")
            .set("message.max.bytes", "200000000")
            .create()?;
        Ok(Self {
            producer,
            publisher,
            prefix: prefix.to_owned(),
            time: "2026-01-30T10:00:00Z".to_owned(),
            sold: BTreeMap::new(),
        })
    }

    /// Sets the time of the sales that follow (RFC 3339).
    pub fn set_time(&mut self, time: String) {
        self.time = time;
    }

    /// What the shops have sold so far.
    pub fn sold(&self) -> &BTreeMap<String, Account> {
        &self.sold
    }

    /// One transaction, in which each of the shops sells once. `round` numbers the sales of a shop from 0.
    ///
    /// # Errors
    /// Kafka does not take the records.
    pub fn sell(&mut self, stores: &[String], round: u32) -> Result<()> {
        self.producer.begin_transaction()?;
        for store in stores {
            for event in sale(store, round, &self.time) {
                self.send(&event)?;
            }
        }
        self.producer.commit_transaction(TIMEOUT)?;
        for store in stores {
            let account = self.sold.entry(store.clone()).or_default();
            account.orders += 1;
            account.payments += 1;
            account.takings += amount(round);
            account.events += 3;
        }
        Ok(())
    }

    /// As [`Self::sell`], but the transaction is aborted, as that of a gateway that dies.
    ///
    /// # Errors
    /// As [`Self::sell`].
    pub fn sell_and_abort(&mut self, stores: &[String], round: u32) -> Result<()> {
        self.producer.begin_transaction()?;
        for store in stores {
            for event in sale(store, round, &self.time) {
                self.send(&event)?;
            }
        }
        self.producer.flush(TIMEOUT)?;
        self.producer.abort_transaction(TIMEOUT)?;
        Ok(())
    }

    /// Writes records as they are.
    ///
    /// # Errors
    /// As [`Self::sell`].
    pub fn write(&self, events: &[SignedEvent]) -> Result<()> {
        self.producer.begin_transaction()?;
        for event in events {
            self.send(event)?;
        }
        self.producer.commit_transaction(TIMEOUT)?;
        Ok(())
    }

    /// Writes the state of a gateway, a JSON text.
    ///
    /// # Errors
    /// As [`Self::sell`].
    pub fn publish(&self, store: &str, value: &str) -> Result<()> {
        let record = SignedRecord {
            ce_id: store.as_bytes(),
            ce_type: b"comptoir.gateway",
            key: store.as_bytes(),
            value: value.as_bytes(),
        };
        let code = record.sign(&Self::secret(store).record_key());
        let topic = format!("{}gateways", self.prefix);
        let headers = headers(&[("ce_comptoirmac", &code)]);
        let record = BaseRecord::to(&topic).key(store).payload(value).headers(headers);
        self.publisher.send(record).map_err(|(error, _)| error)?;
        Ok(self.publisher.flush(TIMEOUT)?)
    }

    /// Writes a record that has a header whose key is not UTF-8.
    ///
    /// # Errors
    /// As [`Self::sell`].
    pub fn write_binary_header(&self, topic: &str) -> Result<()> {
        const KEY: &CStr = c"\xff";
        const VALUE: &[u8] = b"value";
        let topic = CString::new(format!("{}{topic}", self.prefix))?;
        // SAFETY: the arguments are those that the types before them announce, and librdkafka copies what they point to.
        let error = unsafe {
            c::rd_kafka_producev(
                self.publisher.client().native_ptr(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
                topic.as_ptr(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                c::RD_KAFKA_MSG_F_COPY,
                // A compacted topic accepts no record without a key.
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                VALUE.as_ptr(),
                VALUE.len(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                VALUE.as_ptr(),
                VALUE.len(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER,
                KEY.as_ptr(),
                VALUE.as_ptr(),
                VALUE.len(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                ptr::null_mut::<u8>(),
                c::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        ensure!(
            error == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            "{error:?}"
        );
        Ok(self.publisher.flush(TIMEOUT)?)
    }

    /// Writes a batch to a partition that is small for Kafka and that no client decompresses: zeros.
    ///
    /// # Errors
    /// As [`Self::sell`].
    pub fn write_undecodable(&self, topic: &str, partition: i32) -> Result<()> {
        let topic = format!("{}{topic}", self.prefix);
        let zeros = vec![0; 110_000_000];
        let record = BaseRecord::<(), [u8]>::to(&topic)
            .partition(partition)
            .payload(&zeros);
        self.publisher.send(record).map_err(|(error, _)| error)?;
        Ok(self.publisher.flush(TIMEOUT)?)
    }

    fn send(&self, event: &SignedEvent) -> Result<()> {
        let headers = [
            ("ce_id", event.name.as_str()),
            ("ce_type", event.kind),
            ("ce_comptoirmac", event.code.as_str()),
        ];
        self.queue(event.topic, &event.key, &event.value, &headers)
    }

    fn queue(&self, topic: &str, key: &str, value: &str, headers: &[(&str, &str)]) -> Result<()> {
        let topic = format!("{}{topic}", self.prefix);
        let headers = self::headers(headers);
        let record = BaseRecord::to(&topic).key(key).payload(value).headers(headers);
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("the producer's queue is full")
    }
}

/// The commands that head office sends to the shops, as their gateways would handle them.
pub struct Inbox {
    consumer: BaseConsumer,
    prefix: String,
    handled: BTreeMap<String, HandledCommands>,
}

impl Inbox {
    /// Reads the topics of these shops, which exist, from their beginning.
    ///
    /// # Errors
    /// Kafka's client cannot be created.
    pub fn new(brokers: &str, prefix: &str, stores: &[String]) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            // Never used: the partitions are assigned by hand.
            .set("group.id", format!("{prefix}chain"))
            .set("enable.auto.commit", "false")
            .create()?;
        let mut partitions = TopicPartitionList::new();
        for store in stores {
            partitions.add_partition_offset(&format!("{prefix}commands.{store}"), 0, Offset::Beginning)?;
        }
        consumer.assign(&partitions)?;
        Ok(Self {
            consumer,
            prefix: prefix.to_owned(),
            handled: BTreeMap::new(),
        })
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// Kafka does not return a record.
    pub fn read(&mut self) -> Result<()> {
        while let Some(record) = self.consumer.poll(Duration::from_millis(20)) {
            let record = record?;
            let folder = format!("{}commands.", self.prefix);
            let store = record
                .topic()
                .strip_prefix(&folder)
                .unwrap_or_default()
                .to_owned();
            let numbers = record.headers().into_iter().flat_map(Headers::iter);
            let mut numbers = numbers.filter(|header| header.key == NUMBER_HEADER);
            let number = numbers
                .next()
                .and_then(|header| std::str::from_utf8(header.value?).ok());
            if let Some(number) = number.and_then(|text| text.parse().ok()) {
                let before = self.handled.get(&store).copied();
                self.handled.insert(store, HandledCommands::after(before, number));
            }
        }
        Ok(())
    }

    /// The commands that a shop has received.
    pub fn handled(&self, store: &str) -> Option<HandledCommands> {
        self.handled.get(store).copied()
    }
}

fn headers(headers: &[(&str, &str)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header {
            key,
            value: Some(*value),
        })
    })
}

/// The amount of a shop's sale, in cents: three more each time.
fn amount(round: u32) -> i64 {
    1_250 + 3 * i64::from(round)
}

/// A shop's sale of this number: an order, its payment, and its completion, at this time (RFC 3339).
pub fn sale(store: &str, round: u32, time: &str) -> [SignedEvent; 3] {
    let (order, seq, minor) = (format!("o-{round}"), 3 * round, amount(round));
    let amount = format!("{}.{:02}", minor / 100, minor % 100);
    let of_order = |status: &str| {
        format!(
            r#"{{"order_id":"{order}","customer_name":"Ada","product":"Pain","lines":[],"amount":{amount},"currency":"EUR","status":"{status}","timestamp":"{time}","store":"{store}","device":"till-1"}}"#
        )
    };
    let payment = format!(
        r#"{{"payment_id":"p-{round}","order_id":"{order}","amount":{amount},"currency":"EUR","method":"Cash","status":"SUCCESS","timestamp":"{time}","store":"{store}","device":"till-1"}}"#
    );
    [
        SignedEvent::new(store, "orders", seq + 1, &order, of_order("Pending")),
        SignedEvent::new(store, "payments", seq + 2, &order, payment),
        SignedEvent::new(store, "orders", seq + 3, &order, of_order("Completed")),
    ]
}
