//! `cargo fuzz run --features libfuzzer http_request`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::http_request(data));
