//! Airglow on Unix: host sockets, or airglow's own TCP/IP stack on tap and AF_PACKET devices.
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![allow(async_fn_in_trait)]

#[cfg(target_os = "linux")]
mod card;
mod clock;
mod disk;
mod entropy;
mod host;
mod logger;
mod network;
mod platform;
mod poller;
mod reactor;
mod signals;
mod source;
mod start;
mod sys;
#[cfg(target_os = "linux")]
mod turns;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use card::{OpenError, Packet, Tap};
pub use clock::SystemClock;
pub use disk::FileDisk;
pub use entropy::SystemEntropy;
pub use host::{HostListener, HostStream, HostTcp, HostUdp, HostUdpSocket};
pub use logger::log_to_stderr;
#[cfg(target_os = "linux")]
pub use platform::{CardPlatform, CardStack};
pub use platform::{HostPlatform, Unix};
pub use reactor::Reactor;
#[cfg(target_os = "linux")]
pub use wire::{Wire, WireError};
#[doc(hidden)]
pub use start::{start, told};
