//! The signatures of airglow: what a platform gives, and what a stack offers.
//!
//! Everything above a device is generic over these traits, as an OCaml functor is over its
//! arguments; everything below implements them. A driver depends on this crate alone and so
//! survives new versions of the stacks that use it.
//!
//! | who implements | what |
//! |---|---|
//! | a platform | [`NetDevice`], [`BlockDevice`], [`Clock`], [`Timer`], [`WallClock`], [`Entropy`], [`Platform`] |
//! | a network stack, or the host's sockets | [`Tcp`], [`Listener`], [`Stream`], [`Udp`], [`UdpSocket`] |
//! | a store | [`KeyValue`] |
//!
//! ```
//! use airglow_device::{Clock, Instant, ParameterError, Parameters};
//! use core::time::Duration;
//!
//! // A generic function names the two or three traits it needs, and no platform.
//! fn deadline<'a>(clock: &impl Clock, parameters: &Parameters<'a>) -> Result<Instant, ParameterError<'a>> {
//!     let seconds: u64 = parameters.get("timeout", "a number of seconds")?.unwrap_or(30);
//!     Ok(clock.now() + Duration::from_secs(seconds))
//! }
//!
//! struct Fixed;
//! impl Clock for Fixed {
//!     fn now(&self) -> Instant { Instant::from_secs(100) }
//! }
//! let parameters = Parameters::new("ipv4=10.0.0.2/24 timeout=5");
//! assert_eq!(deadline(&Fixed, &parameters).unwrap(), Instant::from_secs(105));
//! ```
//!
//! Asynchronous functions in these traits return futures that are not `Send`: airglow runs one
//! stack per core and never moves a task between cores.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod block;
mod capture;
mod entropy;
#[cfg(feature = "alloc")]
mod impaired;
mod key_value;
#[cfg(feature = "alloc")]
mod link;
#[cfg(feature = "alloc")]
mod manual_clock;
mod net;
mod offload;
mod parameters;
mod platform;
#[cfg(feature = "alloc")]
mod ram_disk;
mod seeded_entropy;
#[cfg(feature = "alloc")]
mod segment;
pub mod siphash;
mod socket;
mod time;

#[cfg(feature = "alloc")]
pub use capture::{Captured, CapturedRx, CapturedTx};
#[cfg(feature = "alloc")]
pub use impaired::{Impaired, ImpairedRx, ImpairedTx};
#[cfg(feature = "alloc")]
pub use link::{Chance, IN_FLIGHT_BYTES, Impairments, LinkFrame, LinkModel, LinkStats};
#[cfg(feature = "alloc")]
pub use manual_clock::ManualClock;
pub use offload::{Cut, complete_checksum, cut_segments, describe_checksum, partial_checksum, pass_on};
#[cfg(feature = "alloc")]
pub use ram_disk::{RamDisk, RamDiskError};
pub use seeded_entropy::SeededEntropy;
#[cfg(feature = "alloc")]
pub use segment::{EthernetSegment, SegmentPort, SegmentRx, SegmentTx};

pub use block::{BlockDevice, BlockInfo};
pub use capture::{Capture, Direction};
pub use entropy::Entropy;
pub use key_value::{Entry, KeyValue};
pub use net::{
    Caps, Checksums, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame, TxMeta,
};
pub use parameters::{ParameterError, Parameters};
pub use platform::Platform;
pub use socket::{Endpoint, Listener, Stream, Tcp, Udp, UdpSocket};
pub use time::{Clock, Instant, Timer, WallClock};

pub use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};

#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
mod readme {}
