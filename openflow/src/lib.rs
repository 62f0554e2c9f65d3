//! OpenFlow 1.0, 1.3, 1.4 and 1.5: codec, and a switch and a controller that do no I/O.
//!
//! ```
//! use airglow_device::{Instant, MacAddr, RxMeta};
//! use airglow_openflow::{switch::{Config, Output, Switch}, wire::{self, Action, FlowMod, Kind, Match, Version}};
//!
//! struct Sent(Vec<u32>);
//! impl Output for Sent {
//!     fn transmit(&mut self, port: u32, _frame: &[u8], _meta: RxMeta) -> bool {
//!         self.0.push(port);
//!         true
//!     }
//! }
//!
//! let mut switch = Switch::new(Config::new(1), 0);
//! for number in 1..=2 {
//!     switch.add_port(Instant::ZERO, number, "port", MacAddr([2, 0, 0, 0, 0, number as u8]), 0);
//! }
//! // A controller's bytes: hello, then a flow that sends everything out of port 2.
//! let controller = switch.connected();
//! let mut sent = Sent(vec![]);
//! switch.message(Instant::ZERO, controller, &[4, 0, 0, 8, 0, 0, 0, 1], &mut sent).unwrap();
//! let flow = FlowMod::add(Match::ANY).priority(1).actions(vec![Action::output(2)]);
//! let mut message = vec![];
//! wire::emit(Version::V13, Kind::FlowMod, 2, &mut message, |out| flow.emit(Version::V13, out));
//! switch.message(Instant::ZERO, controller, &message, &mut sent).unwrap();
//!
//! switch.receive(Instant::ZERO, 1, &[0; 60], &mut sent);
//! assert_eq!(sent.0, [2]);
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | messages, matches, actions, instructions; every refusal has the error type and code of its version |
//! | [`packet`] | the key that a flow matches, read from a frame; changes written back, checksums mended (RFC 1624) |
//! | [`switch`] | tables, groups, meters, timeouts, buffers, controllers with roles, statistics |
//! | [`controller`] | switches' handshakes, events, requests and answers; a learning switch and shortest-path routing on top; a server |
//! | [`shell`] | the switch over any network devices and any byte streams |
//!
//! # How a frame finds its flow
//! The frame's fields are read once into a key of 248 bytes. An exact-match cache of 8,192 keys answers for flows under way. Behind
//! it each table keeps its rules in one hash table for each different mask (tuple-space search), masks by falling priority, so
//! that a look-up costs one hash for each mask that could still win, however many rules there are.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod controller;
pub mod packet;
pub mod shell;
mod stream;
pub mod switch;
pub mod wire;
