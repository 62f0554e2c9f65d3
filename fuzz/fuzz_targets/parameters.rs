//! `cargo fuzz run --features libfuzzer parameters`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::parameters(data));
