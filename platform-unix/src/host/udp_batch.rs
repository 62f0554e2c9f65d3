//! Answering datagrams in batches: one system call receives up to 64, one sends their replies.
use super::{address, queue::Shared};
use crate::{
    source::Direction,
    sys::datagrams::{self, Datagrams},
};
use rustix::io::Errno;
use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr};

/// Answers every datagram, from the address it was sent to.
pub(super) async fn respond(
    shared: &Shared,
    mut answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
) -> io::Result<Infallible> {
    let bound = address::local(shared.source().fd())?;
    if bound.ip().is_unspecified() {
        datagrams::want_local_address(shared.source().fd(), bound.is_ipv6())?;
    }
    let mut batch = Datagrams::new();
    loop {
        let received = shared.read(|fd| batch.receive(fd)).await;
        match received {
            Ok(count) if count < datagrams::BATCH => shared.source().came_short(Direction::Read),
            Ok(_) => {}
            // ICMP's answer to an earlier reply of ours: the peer has gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        }
        batch.answer(&mut answer);
        let mut first = 0;
        while first < batch.replies() {
            let sent = poll_fn(|cx| {
                shared.source().poll_io(shared.reactor(), cx, Direction::Write, |fd| {
                    match batch.send(fd, first) {
                        Err(error @ (Errno::AGAIN | Errno::INTR)) => Err(error),
                        // What is wrong with one peer is no reason to stop serving the others: skip it.
                        Err(_) => Ok(1),
                        Ok(count) => Ok(count),
                    }
                })
            });
            first += sent.await?;
        }
        // A flood must not shut out the other tasks.
        airglow_runtime::yield_now().await;
    }
}
