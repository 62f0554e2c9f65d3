//! `cargo fuzz run --features libfuzzer tls_server`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::tls_server(data));
