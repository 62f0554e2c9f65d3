//! Xen's inter-VM byte stream (libxenvchan), over any shared memory and doorbell.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
