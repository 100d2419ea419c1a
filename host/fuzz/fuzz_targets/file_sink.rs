#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_file_sink::fuzz::file_sink(data));
