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
    datagrams::send_whole(shared.source().fd(), bound.is_ipv6());
    let mut batch = Datagrams::new();
    loop {
        let received = shared.read(|fd| batch.receive(fd)).await;
        let full = matches!(received, Ok(datagrams::BATCH));
        match received {
            Ok(_) if full => {}
            Ok(_) => shared.source().came_short(Direction::Read),
            // ICMP's answer to an earlier reply of ours: the peer has gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        }
        batch.answer(&mut answer);
        let mut first = 0;
        while first < batch.messages() {
            let sent = poll_fn(|cx| {
                shared.source().poll_io(shared.reactor(), cx, Direction::Write, |fd| {
                    match batch.send(fd, first) {
                        Err(error @ (Errno::AGAIN | Errno::INTR)) => Err(error),
                        sent => Ok(sent),
                    }
                })
            });
            match sent.await? {
                Ok(count) => first += count,
                Err(error) if batch.split(first, error) => first = 0,
                // What is wrong with one peer is no reason to stop serving the others: skip it.
                Err(_) => first += 1,
            }
        }
        // A flood must not shut out the other tasks; without one they have their turn before the next batch.
        if full {
            airglow_runtime::yield_now().await;
        }
    }
}
