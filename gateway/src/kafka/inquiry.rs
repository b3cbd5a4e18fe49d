//! Questions to Kafka whose answers are not waited for: librdkafka's admin requests that its Rust binding lacks.

#![expect(unsafe_code, reason = "the binding has these functions of the C library only")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::positions::TopicId;

/// A right that a topic's access list gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
}

/// What Kafka says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    pub id: Option<TopicId>,
    pub partitions: i32,
    pub error: Option<RDKafkaErrorCode>,
    /// `None`: this Kafka does not tell.
    rights: Option<Vec<Right>>,
}

impl TopicDescription {
    /// Whether the gateway has this right, as far as Kafka tells.
    pub fn allows(&self, right: Right) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.contains(&right))
    }
}

/// A question that was asked, and the queue into which its answer comes.
pub struct Inquiry<C: ConsumerContext> {
    queue: *mut c::rd_kafka_queue_t,
    /// Must not end before the queue.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for Inquiry<C> {}

impl<C: ConsumerContext> Inquiry<C> {
    /// Asks a Kafka broker for these topics, by their full names. After `within` the answer is an error.
    ///
    /// Not the controller, which librdkafka would choose: it may be the one that is away.
    pub fn topics(consumer: &Arc<BaseConsumer<C>>, broker: i32, names: &[String], within: Duration) -> Self {
        // Names of topics were checked; one with a NUL would only not be found.
        let names: Vec<CString> = names
            .iter()
            .filter_map(|name| CString::new(name.as_str()).ok())
            .collect();
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        Self::ask(consumer, kind, within, |client, options, queue| {
            // SAFETY: the names live to the end of this call, which copies them.
            unsafe {
                let topics =
                    c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                // An error would only mean that the option does not belong to this request.
                let error = c::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
                if !error.is_null() {
                    c::rd_kafka_error_destroy(error);
                }
                // Refused only where the number is none of a broker's.
                c::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
                c::rd_kafka_DescribeTopics(client, topics, options, queue);
                c::rd_kafka_TopicCollection_destroy(topics);
            }
        })
    }

    /// Asks one Kafka broker for its settings, for which it must be reached under the address that it advertises.
    pub fn broker(consumer: &Arc<BaseConsumer<C>>, id: i32, within: Duration) -> Self {
        let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        Self::ask(consumer, kind, within, |client, options, queue| {
            // A number has no NUL.
            let name = CString::new(id.to_string()).unwrap_or_default();
            // SAFETY: the name lives to the end of this call, which copies it.
            unsafe {
                let broker = c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER;
                let mut broker = c::rd_kafka_ConfigResource_new(broker, name.as_ptr());
                c::rd_kafka_DescribeConfigs(client, &raw mut broker, 1, options, queue);
                c::rd_kafka_ConfigResource_destroy(broker);
            }
        })
    }

    fn ask(
        consumer: &Arc<BaseConsumer<C>>,
        kind: c::rd_kafka_admin_op_t,
        within: Duration,
        send: impl FnOnce(*mut c::rd_kafka_t, *mut c::rd_kafka_AdminOptions_t, *mut c::rd_kafka_queue_t),
    ) -> Self {
        let client = consumer.client().native_ptr();
        let within = c_int::try_from(within.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the client lives; the options are ours until they are destroyed here, after the request has copied them.
        unsafe {
            let queue = c::rd_kafka_queue_new(client);
            let options = c::rd_kafka_AdminOptions_new(client, kind);
            // Refused only out of its range, which ends far above what anybody waits.
            c::rd_kafka_AdminOptions_set_request_timeout(options, within, ptr::null_mut(), 0);
            send(client, options, queue);
            c::rd_kafka_AdminOptions_destroy(options);
            Self {
                queue,
                _consumer: Arc::clone(consumer),
            }
        }
    }

    /// The topics, if the answer comes within this time; an error where there was none in time.
    pub fn described(&self, wait: Duration) -> Option<Result<Vec<TopicDescription>, KafkaError>> {
        let answer = self.poll(wait)?;
        Some(answer.error().map_or_else(|| Ok(answer.topics()), Err))
    }

    /// Whether the question was answered: yes, no, or not yet.
    pub fn answered(&self, wait: Duration) -> Option<Result<(), KafkaError>> {
        let answer = self.poll(wait)?;
        Some(answer.error().map_or(Ok(()), Err))
    }

    fn poll(&self, wait: Duration) -> Option<Answer> {
        let wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is ours.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue, wait) };
        (!event.is_null()).then_some(Answer(event))
    }
}

impl<C: ConsumerContext> Drop for Inquiry<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is ours. An answer that is still to come keeps what it needs of it.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

struct Answer(*mut c::rd_kafka_event_t);

impl Answer {
    fn error(&self) -> Option<KafkaError> {
        // SAFETY: the event is ours.
        let error = unsafe { c::rd_kafka_event_error(self.0) };
        code(error).map(KafkaError::AdminOp)
    }

    fn topics(&self) -> Vec<TopicDescription> {
        // SAFETY: what the event holds lives as long as it; its type was asked for.
        unsafe {
            let result = c::rd_kafka_event_DescribeTopics_result(self.0);
            if result.is_null() {
                return Vec::new();
            }
            let mut count = 0;
            let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            slice(topics.cast_const(), count)
                .iter()
                .map(|topic| describe(*topic))
                .collect()
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        unsafe { c::rd_kafka_event_destroy(self.0) };
    }
}

/// # Safety
/// A topic's description, of an event that lives.
unsafe fn describe(topic: *const c::rd_kafka_TopicDescription_t) -> TopicDescription {
    // SAFETY: the caller's promise; a name always is there.
    unsafe {
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let mut count = 0;
        let operations = c::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        let rights = slice(operations, count)
            .iter()
            .filter_map(|operation| match operation {
                c::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ => Some(Right::Read),
                c::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE => Some(Right::Write),
                _ => None,
            });
        TopicDescription {
            name: CStr::from_ptr(c::rd_kafka_TopicDescription_name(topic))
                .to_string_lossy()
                .into_owned(),
            id: topic_id(c::rd_kafka_TopicDescription_topic_id(topic)),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            error: code(c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic))),
            rights: (!operations.is_null()).then(|| rights.collect()),
        }
    }
}

/// # Safety
/// A topic's id, or null.
unsafe fn topic_id(id: *const c::rd_kafka_Uuid_t) -> Option<TopicId> {
    if id.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let halves = unsafe {
        [
            c::rd_kafka_Uuid_most_significant_bits(id),
            c::rd_kafka_Uuid_least_significant_bits(id),
        ]
    };
    let [most, least] = halves.map(|half| u128::from(half.cast_unsigned()));
    TopicId::new(most << 64 | least)
}

fn code(error: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into())
}

/// # Safety
/// An array of so many, or null.
unsafe fn slice<'a, T>(array: *const T, count: usize) -> &'a [T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(array, count) }
}
