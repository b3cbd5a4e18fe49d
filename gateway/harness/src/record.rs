//! A Kafka record as a reader receives it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde_json::Value;

/// One committed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Unix milliseconds.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, Vec<u8>>,
}

impl Record {
    pub(crate) fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.into_iter().flatten().collect(),
        }
    }

    /// The key, if it is UTF-8.
    pub fn key_text(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok())
    }

    /// A header, if it exists and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The event id: `{store}/{device}/{epoch}/{seq}`.
    pub fn ce_id(&self) -> Option<&str> {
        self.header("ce_id")
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.value).with_context(|| {
            format!(
                "{} [{}] at {} is not JSON",
                self.topic, self.partition, self.offset
            )
        })
    }
}
