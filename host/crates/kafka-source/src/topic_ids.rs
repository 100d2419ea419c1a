//! The ids of topics. librdkafka tells them where topics are described, for which the Rust library has no call.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr::NonNull,
    time::Duration,
};

use rdkafka::{
    ClientContext,
    bindings::{self, rd_kafka_AdminOptions_t, rd_kafka_TopicCollection_t, rd_kafka_event_t, rd_kafka_queue_t},
    client::Client,
    types::{RDKafkaErrorCode as Code, RDKafkaRespErr},
};

/// How the brokers describe a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Described {
    /// Its id, and its number of partitions.
    There { id: String, partitions: usize },
    /// Why it is not described.
    Refused(Code),
}

/// What brokers without ids of topics tell.
pub(super) const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A handle of librdkafka that is given back when it is dropped.
struct Owned<T> {
    handle: NonNull<T>,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// `give_back` is the function that librdkafka names for a handle of this kind.
    fn new(handle: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Result<Self, Code> {
        NonNull::new(handle).map(|handle| Self { handle, give_back }).ok_or(Code::Fail)
    }

    fn get(&self) -> *mut T {
        self.handle.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    #[allow(unsafe_code, reason = "a handle of librdkafka is given back")]
    fn drop(&mut self) {
        // SAFETY: the handle came from librdkafka and is not null, it is given back once, here, and nothing borrows from it any longer:
        // `describe` copies what it reads before its handles are dropped.
        unsafe { (self.give_back)(self.get()) }
    }
}

/// What the brokers tell of topics with these names.
///
/// # Errors
/// They do not answer within `timeout`, or refuse as a whole.
#[allow(unsafe_code, reason = "the library has no safe call for it")]
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, Described>, Code> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let native = client.native_ptr();
    let mut ignored: [c_char; 256] = [0; 256];
    // SAFETY: `client` is borrowed, so `native` is alive during the whole call, and librdkafka's handles may be used by any thread. The
    // handles that are made are checked for null and given back by `Owned`, in the reverse order in which they were made: the event
    // before the queue. The names end with a zero and live as long as `names`; the collection copies them. At most `ignored.len()` bytes
    // are written to `ignored`. The event is one of a `DescribeTopics` request where its result is not null; the descriptions belong to
    // it, their count is what librdkafka wrote to `count`, and what is read of them is copied before the event is given back. Names and
    // ids are texts that end with a zero, and null is looked for where it may come.
    unsafe {
        let queue: Owned<rd_kafka_queue_t> = Owned::new(bindings::rd_kafka_queue_new(native), bindings::rd_kafka_queue_destroy)?;
        let options: Owned<rd_kafka_AdminOptions_t> = Owned::new(
            bindings::rd_kafka_AdminOptions_new(native, bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            bindings::rd_kafka_AdminOptions_destroy,
        )?;
        bindings::rd_kafka_AdminOptions_set_request_timeout(options.get(), milliseconds.max(1), ignored.as_mut_ptr(), ignored.len());
        let topics: Owned<rd_kafka_TopicCollection_t> = Owned::new(
            bindings::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            bindings::rd_kafka_TopicCollection_destroy,
        )?;
        bindings::rd_kafka_DescribeTopics(native, topics.get(), options.get(), queue.get());
        // the request ends by its own timeout, a moment later at most
        let event = bindings::rd_kafka_queue_poll(queue.get(), milliseconds.saturating_add(1000));
        if event.is_null() {
            return Err(Code::OperationTimedOut);
        }
        let event: Owned<rd_kafka_event_t> = Owned::new(event, bindings::rd_kafka_event_destroy)?;
        let code = bindings::rd_kafka_event_error(event.get());
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code.into());
        }
        let result = bindings::rd_kafka_event_DescribeTopics_result(event.get());
        if result.is_null() {
            return Err(Code::Fail);
        }
        let mut count = 0;
        let descriptions = bindings::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let mut described = BTreeMap::new();
        for at in 0..if descriptions.is_null() { 0 } else { count } {
            let description = *descriptions.add(at);
            let name = bindings::rd_kafka_TopicDescription_name(description);
            if name.is_null() {
                continue;
            }
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            let error = bindings::rd_kafka_TopicDescription_error(description);
            let code = if error.is_null() { RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR } else { bindings::rd_kafka_error_code(error) };
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                described.insert(name, Described::Refused(code.into()));
                continue;
            }
            let id = bindings::rd_kafka_TopicDescription_topic_id(description);
            let id = if id.is_null() { std::ptr::null() } else { bindings::rd_kafka_Uuid_base64str(id) };
            let id = if id.is_null() { NO_ID.to_owned() } else { CStr::from_ptr(id).to_string_lossy().into_owned() };
            let mut partitions = 0;
            bindings::rd_kafka_TopicDescription_partitions(description, &mut partitions);
            described.insert(name, Described::There { id, partitions });
        }
        Ok(described)
    }
}
