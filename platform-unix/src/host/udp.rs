//! UDP over the host's sockets.
use super::{address, queue::Shared};
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
};
use airglow_device::{Endpoint, Udp, UdpSocket};
use rustix::{
    io::Errno,
    net::{self, RecvFlags, SendFlags, SocketType, sockopt},
};
use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr};

/// The kernel's receive queue, in bytes; what does not fit is dropped, and counted by the kernel.
const RECEIVE_QUEUE: usize = 2 * 1024 * 1024;

/// UDP over the host's sockets.
#[derive(Clone)]
pub struct HostUdp {
    reactor: Reactor,
    reuse_port: bool,
}

impl HostUdp {
    /// UDP whose sockets `reactor` watches.
    pub fn new(reactor: &Reactor) -> Self {
        Self { reactor: reactor.clone(), reuse_port: false }
    }

    /// Ports opened from here on may be opened again by other processes of the same user with the same setting
    /// (`SO_REUSEPORT`), and the kernel shares the peers out among them: one process per core.
    pub fn with_reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    fn open(&self, on: Endpoint) -> io::Result<Shared> {
        let fd = address::bind(on, SocketType::DGRAM, self.reuse_port)?;
        // As much as the system allows.
        let _ = sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_QUEUE);
        Ok(Shared::new(self.reactor.clone(), Source::new(fd)))
    }
}

impl Udp for HostUdp {
    type Error = io::Error;
    type Socket<'a> = HostUdpSocket;

    async fn bind(&self, on: impl Into<Endpoint>) -> io::Result<HostUdpSocket> {
        let shared = self.open(on.into())?;
        let bound = address::local(shared.source().fd())?;
        Ok(HostUdpSocket { shared, bound })
    }

    async fn respond(
        &self,
        on: impl Into<Endpoint>,
        answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
    ) -> io::Result<Infallible> {
        let shared = self.open(on.into())?;
        super::respond(&shared, answer).await
    }
}

/// A bound UDP port of the host.
pub struct HostUdpSocket {
    shared: Shared,
    // As the kernel says it: `[::]` where the socket serves both versions of IP.
    bound: SocketAddr,
}

impl HostUdpSocket {
    /// As [`Udp::respond`], on a port that is open already: who has it may send further datagrams meanwhile.
    ///
    /// # Errors
    /// The port failed.
    pub async fn respond(
        &self,
        answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
    ) -> io::Result<Infallible> {
        super::respond(&self.shared, answer).await
    }
}

impl UdpSocket for HostUdpSocket {
    type Error = io::Error;

    async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self
            .shared
            .read(|fd| {
                loop {
                    match net::recvfrom(fd, &mut *buf, RecvFlags::empty()) {
                        Ok((count, _, Some(from))) => return Ok((count, from)),
                        // No address: nobody to tell of. A refusal: ICMP's answer to an earlier datagram of ours.
                        Ok((_, _, None)) | Err(Errno::CONNREFUSED) => {}
                        Err(error) => return Err(error),
                    }
                }
            })
            .await?;
        Ok((count, address::canonical(address::from_any(from)?)))
    }

    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = address::for_family(self.bound, to);
        poll_fn(|cx| {
            self.shared.source().poll_io(self.shared.reactor(), cx, Direction::Write, |fd| {
                net::sendto(fd, datagram, SendFlags::empty(), &to).map(drop)
            })
        })
        .await
    }

    fn local(&self) -> SocketAddr {
        address::canonical(self.bound)
    }
}
