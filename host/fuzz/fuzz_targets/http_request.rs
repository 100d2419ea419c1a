#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate::fuzz::http_request(data));
