//! Autoconfiguration of IPv6 addresses (RFC 4862).
use crate::{config::InterfaceConfig, error::Error, ip::Core, link::Link};
use airglow_device::Instant;
use core::net::IpAddr;

pub(crate) struct RouterSolicitation {}
impl RouterSolicitation {
    pub const IDLE: Self = Self {};
}

impl Core<'_> {
    pub(crate) fn start_ipv6(&mut self, _: Instant, _: usize, _: &InterfaceConfig) -> Result<(), Error> {
        Ok(())
    }
    pub(crate) fn start_router_solicitation(&mut self, _: Instant, _: usize) {}
    pub(crate) fn poll_routers(&mut self, _: Instant, _: &mut dyn Link) {}

    /// Probes, announcements and expiries of addresses.
    pub(crate) fn poll_addresses(&mut self, now: Instant, link: &mut dyn Link) {
        for index in 0..self.addresses.len() {
            let Some(Some(address)) = self.addresses.get(index) else { continue };
            if address.valid_until <= now {
                let addr = address.cidr.addr;
                self.remove_address(addr);
                continue;
            }
            if address.next <= now {
                match address.cidr.addr {
                    IpAddr::V4(_) => self.poll_ipv4_address(now, index, link),
                    IpAddr::V6(_) => {}
                }
            }
            if let Some(Some(address)) = self.addresses.get(index) {
                self.next = self.next.min(address.next).min(address.valid_until);
            }
        }
    }
}
