#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate_mysql::fuzz::row(data));
