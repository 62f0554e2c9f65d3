//! Neighbour discovery (RFC 4861).
use crate::{
    ip::{Core, Delivery},
    ipv4::Received,
    link::Link,
};
use airglow_device::{Instant, MacAddr};
use core::net::Ipv6Addr;
use heapless::Vec;

/// All nodes of the link.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Core<'_> {
    pub(crate) fn receive_icmpv6<'f>(
        &mut self,
        _now: Instant,
        _received: &Received<'f>,
        _link: &mut dyn Link,
    ) -> Option<Delivery<'f>> {
        None
    }

    pub(crate) fn send_neighbor_solicitation(
        &mut self,
        _now: Instant,
        _link: &mut dyn Link,
        _interface: usize,
        _addr: Ipv6Addr,
        _unicast: bool,
    ) {
    }

    /// The groups the device of `interface` must pass, if they changed.
    pub(crate) fn take_groups(&mut self, _interface: usize, _groups: &mut Vec<MacAddr, 32>) -> bool {
        false
    }
}
