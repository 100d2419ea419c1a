#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_generator::fuzz::position(data));
