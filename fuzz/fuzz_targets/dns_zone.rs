//! `cargo fuzz run --features libfuzzer dns_zone`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::dns_zone(data));
