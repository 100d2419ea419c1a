#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_authoring::fuzz::rows_file(data));
