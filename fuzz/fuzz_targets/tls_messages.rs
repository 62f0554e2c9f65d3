//! `cargo fuzz run --features libfuzzer tls_messages`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::tls_messages(data));
