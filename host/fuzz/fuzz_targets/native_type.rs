#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_model::fuzz::native_type(data));
