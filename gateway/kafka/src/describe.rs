//! Describes topics, and waits for the reply.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::Error;
use super::admin_request::{AdminRequest, TopicDescription};

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const DESCRIBE: &str = "describe its topics";

/// Describes topics (full names). Asks one broker after the other until one replies. An absent topic has an error.
pub fn describe_topics<C: ConsumerContext>(
    admin: &Arc<BaseConsumer<C>>,
    topics: &[String],
) -> Result<Vec<TopicDescription>, Error> {
    let failed = Error::of(DESCRIBE);
    let first = topics.first().map(String::as_str);
    let metadata = admin.fetch_metadata(first, REQUEST_TIMEOUT).map_err(&failed)?;
    let mut result = Err(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown));
    for broker in metadata.brokers() {
        let request = AdminRequest::topics(admin, broker.id(), topics, REQUEST_TIMEOUT);
        // Longer than the request's own timeout, after which its reply is an error.
        let reply = request.described(REQUEST_TIMEOUT + REQUEST_TIMEOUT);
        result = reply.unwrap_or(Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)));
        if result.is_ok() {
            break;
        }
    }
    result.map_err(failed)
}
