//! `cargo fuzz run --features libfuzzer dns_message`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::dns_message(data));
