//! TLS 1.3, client and server: a sans-IO core and a thin async shell over any byte stream.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
