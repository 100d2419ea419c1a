#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(sluicegate::config::load_str(text, std::path::Path::new("/"), |_| None)));
