#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate::source::mysql::fuzz::gtid(data));
