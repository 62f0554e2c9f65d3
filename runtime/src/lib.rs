//! The smallest async executor that works everywhere: block_on, an allocation-free pool, task sets, timers.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
