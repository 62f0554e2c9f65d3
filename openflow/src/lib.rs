//! OpenFlow 1.0, 1.3 and 1.5: codec, switch and controller.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
