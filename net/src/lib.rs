//! A TCP/IP stack over any network device: Ethernet, ARP, IPv4, IPv6, ICMP, NDP, UDP, TCP, DHCP.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]
#![allow(async_fn_in_trait)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod address;
mod arp;
pub mod checksum;
mod config;
mod dhcpv4;
mod error;
mod icmp;
mod interface;
mod ip;
mod ipv4;
mod ipv6;
mod link;
mod memory;
mod ndp;
mod neighbor;
mod output;
mod random;
mod route;
mod slaac;
pub mod socket;
mod stack;
pub mod tcp;
#[cfg(test)]
mod tests;
mod udp;
pub mod wire;

pub use address::{Address, AddressState, Origin};
pub use config::{Cidr, InterfaceConfig, IpCidr, Ipv4Cidr, Ipv4Config, Ipv6Cidr, Ipv6Config, NotACidr};
pub use error::Error;
pub use ip::{Core, Delivery, IpStats};
pub use link::Link;
#[cfg(feature = "alloc")]
pub use memory::Limits;
pub use memory::{Memory, StackMemory};
pub use route::RouteEntry;
pub use socket::udp::UdpSocket;
pub use stack::{Output, Stack};
pub use udp::Responder;
