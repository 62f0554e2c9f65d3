//! `cargo fuzz run --features libfuzzer offload`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::offload(data));
