//! Opening and naming sockets: one dual-stack socket serves both versions of IP.
use airglow_device::Endpoint;
use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketAddrAny, SocketType, sockopt},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

/// A non-blocking socket that children do not inherit.
pub(super) fn open(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        net::socket_with(family, kind, net::SocketFlags::NONBLOCK | net::SocketFlags::CLOEXEC, None)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let fd = net::socket(family, kind, None)?;
        prepare(&fd)?;
        Ok(fd)
    }
}

/// What `SOCK_NONBLOCK | SOCK_CLOEXEC` does where the socket calls do not take it.
#[cfg(not(target_os = "linux"))]
pub(super) fn prepare(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::io::ioctl_fionbio(fd, true)?;
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    #[cfg(target_vendor = "apple")]
    sockopt::set_socket_nosigpipe(fd, true)?;
    Ok(())
}

/// A bound socket. Every address means both versions of IP, or IPv4 alone on a host without IPv6.
pub(super) fn bind(on: Endpoint, kind: SocketType, reuse_port: bool) -> io::Result<OwnedFd> {
    let on_address = |addr: IpAddr, dual: bool| -> Result<OwnedFd, Errno> {
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = open(family, kind)?;
        if addr.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, !dual)?;
        }
        if kind == SocketType::STREAM {
            // Connections of an earlier process that are in TIME-WAIT do not keep the port.
            sockopt::set_socket_reuseaddr(&fd, true)?;
        }
        if reuse_port {
            sockopt::set_socket_reuseport(&fd, true)?;
        }
        net::bind(&fd, &SocketAddr::new(addr, on.port))?;
        Ok(fd)
    };
    let fd = match on.addr {
        Some(addr) => on_address(addr, false),
        None => match on_address(Ipv6Addr::UNSPECIFIED.into(), true) {
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::NOPROTOOPT) => {
                on_address(Ipv4Addr::UNSPECIFIED.into(), false)
            }
            result => result,
        },
    };
    Ok(fd?)
}

/// An address as a person writes it: IPv4 when it is IPv4 on a dual-stack socket.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(v6.ip().to_canonical(), v6.port())
        }
        addr => addr,
    }
}

/// `to` as a socket of the same family as `local` takes it.
pub(super) fn for_family(local: SocketAddr, to: SocketAddr) -> SocketAddr {
    match (local, to) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => to,
    }
}

/// What the kernel returned, as a socket address.
pub(super) fn from_any(any: SocketAddrAny) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(any)?)
}

/// Where a socket is bound, not made canonical.
pub(super) fn local(fd: impl std::os::fd::AsFd) -> io::Result<SocketAddr> {
    from_any(net::getsockname(fd)?)
}
