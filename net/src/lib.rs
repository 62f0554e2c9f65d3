//! A TCP/IP stack over any network device: Ethernet, ARP, IPv4, IPv6, ICMP, NDP, UDP, TCP, DHCP.
//!
//! A platform makes a [`Stack`] of its network cards, a timer, memory, and polls [`Stack::run`]; an application uses it
//! through [`airglow_device::Tcp`] and [`airglow_device::Udp`].
//!
//! ```
//! use airglow_device::{
//!     Caps, EthernetSegment, MacAddr, ManualClock, Parameters, SeededEntropy, Udp, UdpSocket,
//! };
//! use airglow_net::{InterfaceConfig, Limits, Stack, tcp::Heap};
//! use core::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//!
//! // Two hosts on an Ethernet in memory; a platform passes its own card, timer and entropy.
//! let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
//! let host = |number: u8, parameters: &str| {
//!     let card = segment.join(MacAddr([2, 0, 0, 0, 0, number]), Caps::new(1500));
//!     let entropy = SeededEntropy::predictable(number.into());
//!     let stack = Stack::new([card], &clock, &entropy, Limits::default(), Heap::default());
//!     let config = InterfaceConfig::from_parameters(&Parameters::new(parameters)).unwrap();
//!     stack.configure(0, &config).unwrap();
//!     stack
//! };
//! let (alice, bob) = (host(1, "ipv4=10.0.0.1/24"), host(2, "ipv4=10.0.0.2/24 gateway=10.0.0.1"));
//!
//! // An application of either.
//! let mut echo = pin!(bob.respond(7, |_peer, question, reply| {
//!     reply.get_mut(..question.len())?.copy_from_slice(question);
//!     Some(question.len())
//! }));
//! let mut client = pin!(async {
//!     let socket = alice.bind(0).await?;
//!     socket.send_to(b"hello", "10.0.0.2:7".parse().unwrap()).await?;
//!     let mut answer = [0; 100];
//!     let (len, _) = socket.recv_from(&mut answer).await?;
//!     assert_eq!(&answer[..len], b"hello");
//!     Ok::<(), airglow_net::Error>(())
//! });
//!
//! // The platform's event loop, as short as it gets.
//! let (mut run_alice, mut run_bob) = (pin!(alice.run()), pin!(bob.run()));
//! let cx = &mut Context::from_waker(Waker::noop());
//! let end = loop {
//!     let _ = (run_alice.as_mut().poll(cx), run_bob.as_mut().poll(cx), echo.as_mut().poll(cx));
//!     if let Poll::Ready(end) = client.as_mut().poll(cx) {
//!         break end;
//!     }
//! };
//! end.unwrap();
//! ```
//!
//! # The layers
//!
//! - [`wire`]: codecs, one file per protocol; no state, no allocation. [`checksum`]: the Internet checksum.
//! - [`Core`]: ARP, IPv4, IPv6, ICMP, neighbour discovery, autoconfiguration, DHCP and UDP as one sans-IO state machine for all
//!   interfaces: frames and the time in, frames out through a [`Link`]. [`tcp::Tcp`] is the other, beside it.
//! - [`Stack`]: the async shell. It owns devices, cores and wakers.
//!
//! # Memory
//!
//! Every table has a size that the caller chose, with an allocator ([`Limits`], feature `alloc`) or without
//! ([`StackMemory`]); nothing a peer sends makes one grow. What finds no room is dropped and counted in [`IpStats`], or takes
//! the place of what was used least recently (neighbours, packets that wait for an address).
//!
//! # The path of a frame
//!
//! A received frame is read where it lies in the device's ring, 64 to a turn. A frame that is sent is written once, into the
//! device's slot: payload, then headers, then checksums, which are computed in one place (or left to a device that offers
//! it). After a turn each device that has something new is flushed once. Between a question and the answer of a
//! [`respond`](airglow_device::Udp::respond) service nothing is copied or allocated.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `std` | yes | implies `alloc` |
//! | `alloc` | yes | [`Limits`], [`tcp::Heap`] |
//! | `dhcp` | yes | [`InterfaceConfig::dhcp`]; without it such a configuration is refused |
//! | `fragments` | yes | packets larger than the way takes, both ways; without it fragments are dropped |
//! | `multicast` | yes | joining groups, IGMP and MLD; without it there are those of IP itself |
//! | `raw` | yes | ping and raw IP sockets |
//! | `forwarding` | yes | [`Stack::set_forwarding`], off until it is called, and [`Filter`] |
//! | `vlan` | yes | [`Stack::add_vlan`] |
//! | `loopback` | yes | packets to one's own addresses |
//! | `cubic`, `rack`, `syn-cookies`, `westwood` | yes | parts of TCP |
//! | `ipv6` | yes | IPv6; without it `InterfaceConfig::default` has it off, and a configuration with it is refused |
//!
//! Protocols that can be left out are constants inside the crate, not `cfg`s: all code is compiled and checked always, and what the
//! constant makes unreachable is not linked.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![allow(async_fn_in_trait)]

#[cfg(feature = "alloc")]
extern crate alloc;

/// IPv6 is linked. An entry point of it returns at once when it is not, and the compiler drops the rest.
const IPV6: bool = cfg!(feature = "ipv6");
/// The DHCP client is linked.
const DHCP: bool = cfg!(feature = "dhcp");
/// It also asks for what goes with a fixed address.
const DHCP_INFORM: bool = cfg!(feature = "dhcp-inform");
/// Fragmentation and reassembly are linked.
const FRAGMENTS: bool = cfg!(feature = "fragments");
/// Groups, IGMP and MLD are linked.
const MULTICAST: bool = cfg!(feature = "multicast");
/// Ping and raw sockets are linked.
const RAW: bool = cfg!(feature = "raw");
/// Forwarding and the filter are linked.
const FORWARDING: bool = cfg!(feature = "forwarding");
/// Redirects of IPv4 are heeded.
const REDIRECTS: bool = cfg!(feature = "redirects");
/// VLANs are linked.
const VLAN: bool = cfg!(feature = "vlan");
/// The way to ourselves is linked.
const LOOPBACK: bool = cfg!(feature = "loopback");

mod address;
mod arp;
pub mod checksum;
mod config;
mod dhcpv4;
#[cfg(feature = "dhcpv6")]
mod dhcpv6;
mod error;
mod forward;
mod fragment;
pub mod happy_eyeballs;
mod icmp;
mod interface;
mod ip;
mod ipv4;
mod ipv6;
mod link;
mod loopback;
mod memory;
mod multicast;
mod ndp;
mod neighbor;
mod output;
mod path_mtu;
mod policy;
mod random;
mod raw;
mod reassembly;
mod route;
#[cfg(feature = "search-list")]
mod search_list;
mod slaac;
pub mod socket;
mod stack;
pub mod tcp;
#[cfg(test)]
mod tests;
mod udp;
pub mod wire;

pub use address::{Address, AddressState, Origin};
pub use config::{
    Cidr, InterfaceConfig, InterfaceIdentifier, IpCidr, Ipv4Cidr, Ipv4Config, Ipv6Cidr, Ipv6Config, NotACidr,
};
pub use error::Error;
pub use forward::{Filter, Passing, Verdict};
pub use ip::{Core, Delivery, IpStats};
pub use link::Link;
pub use loopback::LoopbackMemory;
#[cfg(feature = "alloc")]
pub use memory::Limits;
pub use memory::{GroupMemory, Memory, StackMemory};
pub use policy::sort_destinations;
pub use reassembly::ReassemblyMemory;
pub use route::RouteEntry;
pub use socket::{
    raw::{PingSocket, RawSocket},
    udp::UdpSocket,
};
pub use stack::{Output, Stack};
pub use udp::Responder;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
