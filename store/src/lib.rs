//! Read-only key-value stores: a folder compiled in with its compressed variants.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
