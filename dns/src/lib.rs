//! DNS as a library: message codec, zone files, zones in memory, and an authoritative server that does no I/O.
//!
//! ```
//! use airglow_dns::{server::{Config, Server, Transport, Zones}, zone};
//!
//! let text = b"$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n";
//! let apex = "example.com".parse().unwrap();
//! let mut zones = Zones::new();
//! zones.insert(zone::load("example.zone", text, &apex, |_| Err("no includes".into())).unwrap());
//!
//! let mut server = Server::new(zones, Config::default());
//! let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02ns\x07example\x03com\x00\x00\x01\x00\x01";
//! let mut reply = [0; 1232];
//! let length = server.respond(query, Transport::Udp, &mut reply).unwrap();
//! assert_eq!(&reply[..2], b"\x12\x34");            // the query's id
//! assert_eq!(&reply[length - 4..length], &[192, 0, 2, 1]);
//! ```
//!
//! | layer | module | needs |
//! |---|---|---|
//! | codec: names, messages, EDNS(0), record data of every type in use | [`wire`] | nothing: no allocation |
//! | zone files and zones | [`zone`] | `alloc` |
//! | authoritative answers, zone transfers out | [`server`] | `alloc` |
//! | zones kept from elsewhere: AXFR, IXFR, NOTIFY, timers, catalogs | [`secondary`] | `alloc` |
//! | dynamic updates, and a journal of them on a disk, of zones from elsewhere too | [`update`], [`journal`] | `alloc` |
//! | a stub resolver with a cache | [`resolver`], [`shell::Resolver`] | `alloc` |
//! | the server over any UDP and any byte stream | [`shell`] | `alloc` |
//!
//! # How a reply comes about
//! [`server::Server::respond`] reads the question where it lies in the packet, hashes the name once from right to left (which gives
//! the hash of each of its ancestors too), finds zone and node with one table look-up each in the usual case, and writes
//! the reply straight into the caller's buffer, names compressed against what is there. Nothing is allocated.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

/// Signed zones are served: their signatures, and proofs of what is not there. Without it all code is checked and what the constant
/// makes unreachable is not linked.
#[cfg(feature = "alloc")]
const SIGNED: bool = cfg!(feature = "signed");
/// Zones are given to secondaries, and changed ones heard of.
#[cfg(feature = "alloc")]
const TRANSFERS: bool = cfg!(feature = "transfers");

mod error;
#[cfg(feature = "alloc")]
pub mod journal;
#[cfg(feature = "alloc")]
mod name_server;
#[cfg(feature = "alloc")]
pub mod resolver;
#[cfg(feature = "alloc")]
pub mod secondary;
#[cfg(feature = "alloc")]
pub mod server;
#[cfg(feature = "alloc")]
pub mod shell;
#[cfg(feature = "alloc")]
pub mod update;
pub mod wire;
#[cfg(feature = "alloc")]
pub mod zone;

pub use error::Error;
#[cfg(feature = "alloc")]
pub use name_server::{NameServer, NoNameServer};
