//! HTTP/1.1 server and client: a sans-IO core and a thin async shell over any byte stream.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
