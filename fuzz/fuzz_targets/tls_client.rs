//! `cargo fuzz run --features libfuzzer tls_client`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::tls_client(data));
