#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate::service::fuzz::http_request(data));
