//! `cargo fuzz run --features libfuzzer dns_server`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::dns_server(data));
