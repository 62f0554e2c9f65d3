//! A TCP/IP stack over any network device: Ethernet, ARP, IPv4, IPv6, ICMP, NDP, UDP, TCP, DHCP.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

pub mod socket;
pub mod tcp;
