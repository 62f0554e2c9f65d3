//! `cargo fuzz run --features libfuzzer wire_codecs`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::wire_codecs(data));
