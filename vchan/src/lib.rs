//! Xen's inter-VM byte stream, byte-compatible with `libxenvchan`: two rings in memory that two domains share, and a doorbell.
//!
//! The crate works over any shared memory and any doorbell; `airglow-platform-xen` brings grant tables and event channels,
//! [`memory`] a pair within one process.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use airglow_vchan::memory;
//!
//! // Two ends in one process, as a server and a client in two domains would have them.
//! let shared = memory::Shared::new(1024, 2048);
//! let (mut server, mut client) = shared.ends();
//! assert_eq!(client.try_write(b"hello"), Ok(5));
//! let mut buffer = [0; 16];
//! assert_eq!(server.try_read(&mut buffer), Ok(5));
//! assert_eq!(&buffer[..5], b"hello");
//! # }
//! ```
//!
//! A [`Channel`] is an [`airglow_device::Stream`], so whatever runs over TCP runs over it unchanged.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod channel;
mod error;
mod interface;
#[cfg(all(feature = "alloc", not(loom)))]
pub mod memory;
mod ring;
mod stream;
mod sync;

pub use channel::{Channel, Doorbell, Role};
pub use error::Error;
pub use interface::{Header, Indices, Interface, Orders};
