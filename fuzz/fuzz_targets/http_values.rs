//! `cargo fuzz run --features libfuzzer http_values`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::http_values(data));
