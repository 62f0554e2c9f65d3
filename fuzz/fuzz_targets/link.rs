//! `cargo fuzz run --features libfuzzer link`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::link(data));
