//! `cargo fuzz run --features libfuzzer frames`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::frames(data));
