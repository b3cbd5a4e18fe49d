//! Consumed records.

#![expect(unsafe_code, reason = "the binding panics at a header whose key is not UTF-8")]

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings as c;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use rdkafka::types::RDKafkaRespErr;

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

    /// When the Kafka broker appended the record, in Unix ms. `None` if the topic keeps the producer's time.
    pub fn appended(&self) -> Option<i64> {
        match self.0.timestamp() {
            Timestamp::LogAppendTime(time) => Some(time),
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
        }
    }

    /// Calls `each` with every header. A header without a value counts as empty. Skips headers whose keys are not
    /// UTF-8: Kafka accepts any bytes, and no header of ours has such a key.
    pub fn headers<'m>(&'m self, mut each: impl FnMut(&'m str, &'m [u8])) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid for as long as `self`, and owns its headers.
        let error = unsafe { c::rd_kafka_message_headers(self.0.ptr(), &raw mut headers) };
        if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut key, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: `headers` is not null after a success, and all results are valid for as long as the headers.
            let error = unsafe {
                c::rd_kafka_header_get_all(headers, index, &raw mut key, &raw mut value, &raw mut length)
            };
            if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                // There are no more headers.
                return;
            }
            // SAFETY: librdkafka ends keys with NUL. Key and value live as long as the message.
            let key = unsafe { CStr::from_ptr::<'m>(key) };
            let value: &'m [u8] = match value.is_null() {
                true => &[],
                // SAFETY: as above.
                false => unsafe { std::slice::from_raw_parts(value.cast(), length) },
            };
            if let Ok(key) = key.to_str() {
                each(key, value);
            }
        }
    }
}

/// A record that does not borrow from librdkafka's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Full name.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// Keys and values.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl OwnedRecord {
    /// The value of the first header with this key.
    pub fn header(&self, key: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }
}

impl From<&BorrowedRecord<'_>> for OwnedRecord {
    fn from(record: &BorrowedRecord<'_>) -> Self {
        let mut headers = Vec::new();
        record.headers(|key, value| headers.push((key.to_owned(), value.to_vec())));
        Self {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            key: record.key().to_vec(),
            payload: record.payload().to_vec(),
            headers,
        }
    }
}
