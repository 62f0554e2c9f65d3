//! `cargo fuzz run --features libfuzzer tls_ocsp`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| airglow_fuzz::tls_ocsp(data));
