#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_kafka_source::fuzz::record(data));
