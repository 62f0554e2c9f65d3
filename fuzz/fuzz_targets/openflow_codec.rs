//! `cargo fuzz run --features libfuzzer openflow_codec`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::openflow_codec(data));
