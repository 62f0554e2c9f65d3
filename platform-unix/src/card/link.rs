//! Whether the interface is up, asked of the kernel only when it has said that something changed.
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
    sys::interface::{self, Name},
};
use airglow_device::LinkState;
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink},
};
use std::{cell::Cell, io, os::fd::OwnedFd, rc::Rc, task::Waker};

/// The multicast group of changes of interfaces, as a mask (`rtnetlink(7)`).
const RTMGRP_LINK: u32 = 1;

/// An interface of the host and a netlink socket that hears of changes.
pub(super) struct Link {
    reactor: Reactor,
    control: OwnedFd,
    name: Name,
    changes: Rc<Source>,
    up: Cell<bool>,
}

impl Link {
    pub(super) fn watch(reactor: &Reactor, control: OwnedFd, name: Name) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let changes = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&changes, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        // Asked after listening began, so that no change falls between.
        let up = interface::is_running(&control, name)?;
        Ok(Self { reactor: reactor.clone(), control, name, changes: Source::new(changes), up: Cell::new(up) })
    }

    pub(super) fn state(&self) -> LinkState {
        if self.changes.is_ready(Direction::Read) {
            // What the messages say does not matter, only that there were some.
            let mut message = [0; 4096];
            while let Ok(_) | Err(Errno::INTR | Errno::NOBUFS) =
                rustix::net::recv(self.changes.fd(), &mut message, RecvFlags::empty())
            {}
            if self.changes.would_block(&self.reactor, Direction::Read).is_err() {
                log::warn!("{}: changes of the link go unnoticed", self.name);
            }
            self.up.set(interface::is_running(&self.control, self.name).unwrap_or(false));
        }
        if self.up.get() { LinkState::Up } else { LinkState::Down }
    }

    /// The link is not as it was at the last look.
    pub(super) fn changed(&self) -> bool {
        let before = self.up.get();
        self.state();
        before != self.up.get()
    }

    pub(super) fn wait(&self, waker: &Waker) {
        self.changes.wait(Direction::Read, waker);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reactor.remove(&self.changes);
    }
}
