//! Airglow on Unix: host sockets, or airglow's own TCP/IP stack on tap, AF_PACKET and AF_XDP devices.
//!
//! An application gets this crate through the facade `airglow`; its boot parameter `net=` chooses the network. Used
//! alone, the pieces are an event loop and what it drives:
//!
//! ```
//! use airglow_device::{Stream, Tcp, Write};
//! use airglow_platform_unix::{HostTcp, Reactor};
//! use airglow_runtime::block_on;
//! use std::net::TcpListener;
//!
//! let peer = TcpListener::bind("127.0.0.1:0")?;
//! let reactor = Reactor::new()?;
//! let tcp = HostTcp::new(&reactor);
//! block_on(&reactor, async {
//!     let mut stream = tcp.connect(peer.local_addr()?).await?;
//!     stream.write_all(b"hello").await?;
//!     stream.close().await
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`Reactor`] | descriptors and timers; what [`block_on`](airglow_runtime::block_on) sleeps in |
//! | [`HostTcp`], [`HostUdp`] | the host's sockets |
//! | `Tap`, `Packet`, `Xdp` | network cards for a stack of airglow's own (Linux) |
//! | [`SystemClock`], [`SystemEntropy`], [`FileDisk`] | time of day, randomness, a disk |
//! | [`Unix`], [`main!`] | all of it as the [`Platform`](airglow_device::Platform) of an application |
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
#[cfg(target_os = "linux")]
mod recording;
mod signals;
mod source;
mod start;
mod sys;
#[cfg(target_os = "linux")]
mod turns;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
pub use card::{OpenError, Packet, Tap, Xdp};
pub use clock::SystemClock;
pub use disk::FileDisk;
pub use entropy::SystemEntropy;
pub use host::{HostListener, HostStream, HostTcp, HostUdp, HostUdpSocket};
pub use logger::log_to_stderr;
#[cfg(target_os = "linux")]
pub use platform::{CardPlatform, CardStack};
pub use platform::{HostPlatform, Unix};
pub use reactor::Reactor;
#[doc(hidden)]
pub use start::{start, told};
#[cfg(target_os = "linux")]
pub use wire::{Wire, WireError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
