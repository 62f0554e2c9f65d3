//! The area `unix`: airglow's own stack against the kernel's, in network namespaces that the tests make.
use super::Tests;
use crate::failure::Result;

/// What the tests use.
const PACKAGES: &[&str] =
    &["arping", "curl", "dnsmasq-base", "iperf3", "iproute2", "iputils-ping", "ndisc6", "util-linux"];

/// The same website over host sockets, tap and AF_PACKET, and the stack's neighbours.
pub fn test(tests: &mut Tests) -> Result {
    tests.need(PACKAGES)?;
    Ok(())
}
