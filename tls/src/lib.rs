//! TLS 1.3, client and server: a sans-IO core and a thin async shell over any byte stream.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod alert;
pub mod crypto;
mod error;
pub mod key_schedule;
pub mod protection;
pub mod wire;

pub use alert::Alert;
pub use error::Error;

#[cfg(test)]
mod rfc8448;
