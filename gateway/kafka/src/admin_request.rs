//! Non-blocking admin requests that the Rust binding of librdkafka lacks: DescribeTopics, and DescribeConfigs of a
//! single broker.

#![expect(unsafe_code, reason = "the binding exposes these functions only as C")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use comptoir_core::position::TopicId;

/// An operation that a topic's ACLs allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
}

/// Kafka's description of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Full name.
    pub name: String,
    /// `None` if the Kafka brokers have no topic ids.
    pub id: Option<TopicId>,
    pub partitions: i32,
    pub error: Option<RDKafkaErrorCode>,
    /// `None` if this Kafka does not report rights.
    rights: Option<Vec<Right>>,
}

impl TopicDescription {
    /// Whether the gateway has this right. True if Kafka does not report rights.
    pub fn allows(&self, right: Right) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.contains(&right))
    }
}

/// An admin request and the queue that its reply goes to.
pub struct AdminRequest<C: ConsumerContext> {
    queue: *mut c::rd_kafka_queue_t,
    /// Keeps the client alive for as long as the queue.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for AdminRequest<C> {}

impl<C: ConsumerContext> AdminRequest<C> {
    /// Asks a Kafka broker to describe these topics (full names). After the timeout `within`, the result is an error.
    ///
    /// By default librdkafka asks the controller, which may be the unreachable broker.
    pub fn topics(consumer: &Arc<BaseConsumer<C>>, broker: i32, names: &[String], within: Duration) -> Self {
        // Topic names were validated; a name with a NUL would be skipped.
        let names: Vec<CString> = names
            .iter()
            .filter_map(|name| CString::new(name.as_str()).ok())
            .collect();
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        Self::ask(consumer, kind, within, |client, options, queue| {
            // SAFETY: the names outlive this call, which copies them.
            unsafe {
                let topics =
                    c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                // Fails only if the option does not apply to this kind of request.
                let error = c::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
                if !error.is_null() {
                    c::rd_kafka_error_destroy(error);
                }
                // Fails only for a number that is not a valid broker id.
                c::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
                c::rd_kafka_DescribeTopics(client, topics, options, queue);
                c::rd_kafka_TopicCollection_destroy(topics);
            }
        })
    }

    /// Asks one Kafka broker for its settings. librdkafka connects to the broker's advertised address.
    pub fn broker(consumer: &Arc<BaseConsumer<C>>, id: i32, within: Duration) -> Self {
        let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        Self::ask(consumer, kind, within, |client, options, queue| {
            // A number contains no NUL.
            let name = CString::new(id.to_string()).unwrap_or_default();
            // SAFETY: the name outlives this call, which copies it.
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
        // SAFETY: the client is alive; the options are ours until they are destroyed here, after the request has copied
        // them.
        unsafe {
            let queue = c::rd_kafka_queue_new(client);
            let options = c::rd_kafka_AdminOptions_new(client, kind);
            // Fails only for a value out of range, far above our timeouts.
            c::rd_kafka_AdminOptions_set_request_timeout(options, within, ptr::null_mut(), 0);
            send(client, options, queue);
            c::rd_kafka_AdminOptions_destroy(options);
            Self {
                queue,
                _consumer: Arc::clone(consumer),
            }
        }
    }

    /// The described topics, or an error after the request's timeout. `None` if there is no reply after `wait`.
    pub fn described(&self, wait: Duration) -> Option<Result<Vec<TopicDescription>, KafkaError>> {
        let reply = self.poll(wait)?;
        Some(reply.error().map_or_else(|| Ok(reply.topics()), Err))
    }

    /// Whether the broker replied, or an error after the request's timeout. `None` if there is no reply after `wait`.
    pub fn answered(&self, wait: Duration) -> Option<Result<(), KafkaError>> {
        let reply = self.poll(wait)?;
        Some(reply.error().map_or(Ok(()), Err))
    }

    fn poll(&self, wait: Duration) -> Option<Reply> {
        let wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is ours.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue, wait) };
        (!event.is_null()).then_some(Reply(event))
    }
}

impl<C: ConsumerContext> Drop for AdminRequest<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is ours. An outstanding reply holds its own reference to everything that it needs.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

/// A reply in librdkafka's queue.
struct Reply(*mut c::rd_kafka_event_t);

impl Reply {
    fn error(&self) -> Option<KafkaError> {
        // SAFETY: the event is ours.
        let error = unsafe { c::rd_kafka_event_error(self.0) };
        code(error).map(KafkaError::AdminOp)
    }

    fn topics(&self) -> Vec<TopicDescription> {
        // SAFETY: the result belongs to the event and lives as long; the function returns null for another event type.
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

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        unsafe { c::rd_kafka_event_destroy(self.0) };
    }
}

/// # Safety
/// `topic` is a description in an event that is alive.
unsafe fn describe(topic: *const c::rd_kafka_TopicDescription_t) -> TopicDescription {
    // SAFETY: upheld by the caller; a description always has a name.
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
/// `id` is a topic's id in an event that is alive, or null.
unsafe fn topic_id(id: *const c::rd_kafka_Uuid_t) -> Option<TopicId> {
    if id.is_null() {
        return None;
    }
    // SAFETY: upheld by the caller.
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
/// `array` is null, or points to `count` elements that live as long as `'a`.
unsafe fn slice<'a, T>(array: *const T, count: usize) -> &'a [T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: upheld by the caller.
    unsafe { std::slice::from_raw_parts(array, count) }
}
