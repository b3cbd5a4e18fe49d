//! Consumed records.

use rdkafka::message::{BorrowedMessage, Headers, Message as _, Timestamp};

/// A record in librdkafka's buffer.
pub struct BorrowedRecord<'a>(pub(in super::super) BorrowedMessage<'a>);

impl BorrowedRecord<'_> {
    /// Full name.
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    pub fn key(&self) -> &[u8] {
        self.0.key().unwrap_or_default()
    }

    pub fn payload(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }

    /// Unix ms, if the producer or the broker set one.
    pub fn timestamp(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// When the Kafka broker appended the record, in Unix ms. `None` if its topic keeps the producer's time.
    pub fn appended(&self) -> Option<i64> {
        match self.0.timestamp() {
            Timestamp::LogAppendTime(time) => Some(time),
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
        }
    }

    /// Calls `each` with every header. A header without a value counts as empty.
    pub fn headers<'m>(&'m self, mut each: impl FnMut(&'m str, &'m [u8])) {
        if let Some(headers) = self.0.headers() {
            for header in headers.iter() {
                each(header.key, header.value.unwrap_or_default());
            }
        }
    }
}

/// A record that is independent of librdkafka's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Full name.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
}

impl From<&BorrowedRecord<'_>> for OwnedRecord {
    fn from(record: &BorrowedRecord<'_>) -> Self {
        Self {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            key: record.key().to_vec(),
            payload: record.payload().to_vec(),
        }
    }
}
