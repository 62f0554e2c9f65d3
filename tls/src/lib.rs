//! TLS 1.3, client and server, and with a feature TLS 1.2: a sans-IO core and a thin async shell over any byte stream.
//!
//! A [`Connection`] is one end as a state machine: bytes in, bytes out, in two buffers of the caller's. A
//! [`TlsStream`] is a stream over a stream, an [`Acceptor`] a listener over a listener.
//!
//! ```
//! use airglow_device::SeededEntropy;
//! use airglow_tls::{Certificate, ClientConfig, Connection, Event, PinnedKeys, ServerConfig};
//! use airglow_tls::crypto::{Hash, PrivateKey, Provider, RustCrypto, Transcript, subject_public_key_info};
//!
//! let certificate: &[u8] = include_bytes!("../tests/keys/p256.der");
//! let chain = [certificate];
//! let key = PrivateKey::from_der(include_bytes!("../tests/keys/p256.pkcs8.der")).unwrap();
//! let certificates = [Certificate::new(&chain, &key, &["p256.example"])];
//! let config = ServerConfig::new(RustCrypto, &certificates);
//! let entropy = SeededEntropy::predictable(1); // For tests only.
//! let mut server = Connection::server(&config, &entropy, vec![0; 4096], vec![0; 4096]);
//!
//! let mut hash = RustCrypto.hash(Hash::Sha256);
//! hash.update(subject_public_key_info(certificate).unwrap());
//! let pins = [*hash.current().first_chunk().unwrap()];
//! let config = ClientConfig::new(RustCrypto, PinnedKeys(&pins));
//! let mut client = Connection::client(&config, "p256.example", &entropy, vec![0; 4096], vec![0; 4096]).unwrap();
//!
//! for _ in 0..2 {
//!     let hello = client.output().len();
//!     server.space()[..hello].copy_from_slice(client.output());
//!     client.sent(hello);
//!     server.received(hello);
//!     let _ = server.process().unwrap();
//!
//!     let answer = server.output().len();
//!     client.space()[..answer].copy_from_slice(server.output());
//!     server.sent(answer);
//!     client.received(answer);
//!     if client.process().unwrap() == Event::Idle && client.is_connected() {
//!         client.write(b"hello").unwrap();
//!     }
//! }
//! assert_eq!(server.plaintext(), b"hello");
//! ```
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod alert;
#[cfg(feature = "alloc")]
mod algorithms;
#[cfg(feature = "alloc")]
mod authorities;
mod buffer;
mod certificate_type;
mod client;
mod compression;
mod config;
mod connection;
mod cookie;
pub mod crypto;
mod error;
mod exchange;
mod incoming;
mod key_log;
pub mod key_schedule;
mod outgoing;
#[cfg(feature = "alloc")]
pub mod pem;
pub mod protection;
mod server;
mod sessions;
mod shell;
mod signature;
mod tickets;
#[cfg(feature = "tls12")]
mod tls12;
mod verifier;
pub mod wire;

pub use alert::Alert;
#[cfg(feature = "ocsp")]
pub use authorities::Stapling;
#[cfg(feature = "alloc")]
pub use authorities::{Authorities, AuthoritiesError};
pub use buffer::Buffer;
#[cfg(feature = "raw-public-keys")]
pub use certificate_type::CertificateType;
pub use client::Client;
#[cfg(feature = "certificate-compression")]
pub use compression::CompressedCertificate;
#[cfg(feature = "early-data")]
pub use config::EarlyData;
pub use config::{Certificate, ClientAuthentication, ClientConfig, ServerConfig, Version};
pub use connection::{Connection, Event, Exporter, Role};
pub use cookie::CookieKey;
pub use error::Error;
pub use key_log::{KeyLog, KeyLogLine};
pub use server::Server;
#[cfg(feature = "alloc")]
pub use sessions::SessionCache;
pub use sessions::{MAX_TICKET, Session, Sessions};
#[cfg(feature = "alloc")]
pub use shell::Acceptor;
pub use shell::{FixedAcceptor, Limits, StreamError, TlsStream};
pub use tickets::{MAX_SERVER_TICKET, Resumption, TicketKeys, Tickets};
pub use verifier::{ClientVerifier, PinnedKeys, Verifier};

/// Bytes of an incoming buffer that takes the largest record there may be behind part of a large ClientHello.
pub const BUFFER: usize = wire::RECORD_HEADER + wire::MAX_CIPHERTEXT + 4096;

#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(test)]
mod rfc8448;
#[cfg(test)]
mod tests;
