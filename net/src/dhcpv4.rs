//! A DHCP client (RFC 2131).
use crate::{ip::Core, ipv4::Received, link::Link, wire::udp::Datagram};
use airglow_device::Instant;
use core::net::IpAddr;

pub(crate) struct Client {}

impl Core<'_> {
    pub(crate) fn start_dhcp(&mut self, _: Instant, _: usize) {}
    pub(crate) fn restart_dhcp(&mut self, _: Instant, _: usize) {}
    pub(crate) fn decline_dhcp(&mut self, _: Instant, _: usize, _: IpAddr) {}
    pub(crate) fn dhcp_waits(&self, _: usize) -> bool {
        false
    }
    pub(crate) fn receive_dhcp(&mut self, _: Instant, _: &Received<'_>, _: &Datagram<'_>) -> bool {
        false
    }
    pub(crate) fn poll_dhcp(&mut self, _: Instant, _: &mut dyn Link) {}
    pub(crate) fn dhcp_timeout(&self) -> Instant {
        Instant::MAX
    }
}
