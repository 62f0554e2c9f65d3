//! An interface of the host that airglow is to answer on, and the host no longer.
use super::{OpenError, link::Link, tap::NAME};
use crate::{
    reactor::Reactor,
    sys::interface::{self, Name},
};
use airglow_device::MacAddr;
use std::{ffi::c_int, fs, io, os::fd::OwnedFd};

/// What is being done when most things fail.
pub(super) const OPENING: &str = "opening the interface";

/// What is known of the interface before a card is made of it.
pub(super) struct Claim<'a> {
    text: &'a str,
    pub name: Name,
    pub control: OwnedFd,
    pub index: c_int,
    /// The interface's own address.
    pub mac: MacAddr,
    pub mtu: usize,
}

impl<'a> Claim<'a> {
    /// Looks at the interface `name`, which must be an Ethernet interface without an IPv4 address of the host's.
    pub(super) fn new(text: &'a str) -> Result<Self, OpenError> {
        let fail = |error: io::Error, advice: String| OpenError::new(text, OPENING, error, advice);
        let Some(name) = Name::new(text) else {
            return Err(fail(io::ErrorKind::InvalidInput.into(), NAME.to_owned()));
        };
        let plain = |error| fail(error, String::new());
        let control = interface::control().map_err(plain)?;
        let index = interface::index(&control, name).map_err(|error| {
            fail(error, format!("as root, a pair of interfaces is made by: ip link add {text} type veth"))
        })?;
        if let Some(address) = interface::ipv4(&control, name) {
            let taken =
                io::Error::new(io::ErrorKind::AddrInUse, format!("the host has the address {address} there"));
            return Err(fail(taken, format!("as root, type: ip address flush dev {text}")));
        }
        let mac = interface::mac(&control, name).map_err(plain)?;
        let mtu = interface::mtu(&control, name).map_err(plain)?;
        Ok(Self { text, name, control, index, mac, mtu })
    }

    pub(super) fn fail(&self, doing: &'static str, error: io::Error, advice: String) -> OpenError {
        OpenError::new(self.text, doing, error, advice)
    }

    /// Switches the host's IPv6 off there and sets the interface up.
    pub(super) fn take_over(&self) -> Result<(), OpenError> {
        let name = self.text;
        silence_ipv6(name)
            .map_err(|error| self.fail("switching the host's IPv6 off on", error, String::new()))?;
        if let Err(error) = interface::set_up(&self.control, self.name) {
            log::warn!("{name} is down; as root, type: ip link set {name} up ({error})");
        }
        Ok(())
    }

    /// Watches the interface's state from now on.
    pub(super) fn watch(self, reactor: &Reactor) -> Result<Link, OpenError> {
        let Self { text, name, control, .. } = self;
        Link::watch(reactor, control, name)
            .map_err(|error| OpenError::new(text, OPENING, error, String::new()))
    }
}

/// With an IPv6 address of its own the host would answer beside us, and its link-local address, made from the same
/// hardware address, would be ours too.
fn silence_ipv6(name: &str) -> io::Result<()> {
    let switch = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    match fs::read_to_string(&switch) {
        Ok(value) if value.trim() == "1" => Ok(()),
        Ok(_) => fs::write(&switch, "1").map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{error}; as root, type: sysctl net.ipv6.conf.{name}.disable_ipv6=1"),
            )
        }),
        // A kernel without IPv6.
        Err(_) => Ok(()),
    }
}
