//! `cargo fuzz run --features libfuzzer http_response`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::http_response(data));
