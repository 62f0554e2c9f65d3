//! `cargo fuzz run --features libfuzzer http_server`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::http_server(data));
