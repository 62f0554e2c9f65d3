//! TLS 1.3, client and server: a sans-IO core and a thin async shell over any byte stream.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod alert;
mod client;
mod connection;
pub mod crypto;
mod error;
mod incoming;
pub mod key_schedule;
mod outgoing;
pub mod protection;
mod server;
#[cfg(feature = "alloc")]
mod shell;
mod signature;
mod verifier;
pub mod wire;

pub use alert::Alert;
pub use client::{Client, ClientConfig};
pub use connection::{Connection, Event, Role};
pub use error::Error;
pub use server::{Certificate, Server, ServerConfig};
#[cfg(feature = "alloc")]
pub use shell::{Acceptor, Limits, StreamError, TlsStream};
pub use verifier::{PinnedKeys, Verifier};

/// Bytes of an incoming buffer that takes the largest record there may be behind part of a large ClientHello.
pub const BUFFER: usize = wire::RECORD_HEADER + wire::MAX_CIPHERTEXT + 4096;

#[cfg(test)]
mod rfc8448;
#[cfg(test)]
mod tests;
