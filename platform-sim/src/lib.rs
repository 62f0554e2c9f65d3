//! Airglow in a simulation: any number of hosts in one process, each with airglow's own TCP/IP stack, on bad wires, with a virtual
//! clock, from one seed.
//!
//! An application that is generic over [`Platform`](airglow_device::Platform), or over the signatures it needs, runs here unchanged; what it is
//! handed is a [`Machine`].
//!
//! ```
//! use airglow_device::{Listener, Platform, Read, Stream, Tcp, Write};
//! use airglow_platform_sim::Simulation;
//! use std::time::Duration;
//!
//! let simulation = Simulation::new(7);
//! let lan = simulation.segment("lan");
//! let server = simulation.host("server", "");
//! server.plug(&lan, "ipv4=10.0.0.1/24");
//! server.run(async |machine| {
//!     let listener = machine.tcp().listen(7).await.map_err(|e| e.to_string())?;
//!     let mut stream = listener.accept().await.map_err(|e| e.to_string())?;
//!     stream.write_all(b"hello").await.map_err(|e| e.to_string())?;
//!     stream.close().await.map_err(|e| e.to_string())
//! });
//! let client = simulation.host("client", "");
//! let cable = client.plug(&lan, "ipv4=10.0.0.2/24 delay=50ms loss=10%");
//! client.run(async |machine| {
//!     let mut stream = machine.tcp().connect(([10, 0, 0, 1], 7).into()).await.map_err(|e| e.to_string())?;
//!     let mut answer = [0; 5];
//!     stream.read_exact(&mut answer).await.map_err(|e| format!("{e:?}"))?;
//!     assert_eq!(&answer, b"hello");
//!     Ok(())
//! });
//! // Nobody hears anybody for ten seconds of virtual time, which take no time.
//! cable.cut();
//! simulation.run_for(Duration::from_secs(10));
//! assert_eq!(client.outcome(), None);
//! cable.mend();
//! assert_eq!(simulation.block_on(client.ended()), Ok(()));
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`Simulation`] | hosts, networks, the clock, the seed; drives everything |
//! | [`Host`] | a name, cards, disks, an application, a power switch |
//! | [`Segment`], [`Cable`] | a perfect switch; what hangs each card on it, with delay, loss, rate, partitions |
//! | [`Machine`] | the [`Platform`](airglow_device::Platform) of an application |
//! | [`Recording`] | what passed the cards, for Wireshark |
//! | [`seeds`] | one scenario with many seeds; one that fails is named, recorded, and can be replayed |
//!
//! Two runs with the same seed are the same byte for byte as long as the applications take time and randomness from their platform alone:
//! a `HashMap` with the standard library's random keys that is iterated over is a difference, and so is the system's clock.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cable;
mod clock;
mod disk;
mod host;
mod machine;
mod recording;
mod seeds;
mod segment;
mod simulation;

pub use cable::Cable;
pub use clock::VirtualClock;
pub use disk::Disk;
pub use host::{Host, Outcome};
pub use machine::{Machine, SLOTS, SimStack};
pub use recording::Recording;
pub use seeds::{Run, seeds};
pub use segment::Segment;
pub use simulation::Simulation;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
