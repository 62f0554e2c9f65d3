//! Answering datagrams one by one, where the kernel has no calls for batches.
use super::{address, queue::Shared};
use crate::source::Direction;
use rustix::net::{self, RecvFlags, SendFlags};
use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr};

/// The longest datagram that IP can carry.
const LONGEST: usize = 65_535;
/// Room for a reply: what fits one Ethernet frame over IPv6.
const REPLY: usize = 1452;

/// Answers every datagram.
pub(super) async fn respond(
    shared: &Shared,
    mut answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>,
) -> io::Result<Infallible> {
    let mut question = vec![0; LONGEST];
    let mut reply = [0; REPLY];
    loop {
        let (count, from) = shared
            .read(|fd| {
                net::recvfrom(fd, &mut *question, RecvFlags::empty()).map(|(count, _, from)| (count, from))
            })
            .await?;
        let Some(from) = from else { continue };
        let from = address::from_any(from)?;
        let Some(len) = answer(address::canonical(from), &question[..count], &mut reply) else { continue };
        let reply = &reply[..len.min(REPLY)];
        let sent = poll_fn(|cx| {
            shared.source().poll_io(shared.reactor(), cx, Direction::Write, |fd| {
                net::sendto(fd, reply, SendFlags::empty(), &from).map(drop)
            })
        });
        // What is wrong with one peer is no reason to stop serving the others.
        if let Err(error) = sent.await {
            log::debug!("no reply to {from}: {error}");
        }
    }
}
