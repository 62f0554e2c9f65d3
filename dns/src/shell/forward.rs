//! Updates that a secondary hands on to its primary: RFC 2136 section 6.
use super::{
    Dial, Replication,
    dial::{Exchange, Unanswered, talk},
};
use crate::{
    server::{Now, Origin, Server, Transport},
    update::zone_of,
    wire::{HEADER, Message, Opcode, RecordType},
};
use airglow_device::{Endpoint, Timer, Udp, UdpSocket, WallClock};
use airglow_runtime::{Either, TaskSet, select};
use alloc::vec::Vec;
use core::{cell::RefCell, convert::Infallible, future::poll_fn, task::Poll, time::Duration};

/// Updates on their way at once; further ones are answered as if there was no forwarding.
const AT_ONCE: usize = 16;
/// How long a primary may take to take a connection, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether `query` is an update that is signed: by whom is the primary's to judge.
fn is_signed_update(query: &[u8]) -> bool {
    let Ok(message) = Message::new(query) else { return false };
    message.flags().opcode() == Opcode::UPDATE
        && message.records().map_while(Result::ok).last().is_some_and(|last| last.rtype == RecordType::TSIG)
}

impl Replication<'_> {
    /// Whether `query` is a signed update of a zone that is kept from elsewhere, for [`Self::forward`].
    pub fn takes_update(&self, query: &[u8]) -> bool {
        let zone = || Message::new(query).ok().and_then(|message| zone_of(&message).ok());
        is_signed_update(query) && zone().is_some_and(|zone| self.primaries(zone.as_name()).is_some())
    }

    /// The primary's reply to an update; `None` when none of the zone's primaries answers. The message goes and comes as it
    /// is, over a connection of its own, so that the signatures hold.
    pub async fn forward(&self, dial: &impl Dial, query: &[u8]) -> Option<Vec<u8>> {
        let message = Message::new(query).ok()?;
        let zone = zone_of(&message).ok()?;
        for primary in self.primaries(zone.as_name())?.iter() {
            let exchange = Exchange { query, timer: self.timer(), patience: PATIENCE };
            match talk(dial, &primary.server, self.timer(), PATIENCE, exchange).await {
                Ok(reply) if reply.get(..2) == query.get(..2) && reply.len() >= HEADER => return Some(reply),
                Err(Unanswered::NotReached) => continue,
                _ => {}
            }
            // It may have done what it was told: another is not told the same.
            return None;
        }
        None
    }
}

/// As [`serve_udp`](super::serve_udp), and signed updates of zones that `replication` keeps are handed on. A reply to those
/// has to wait, so datagrams are taken one by one.
///
/// # Errors
/// The stack's, as when the port is taken.
pub async fn serve_udp_forwarding<U: Udp>(
    udp: &U,
    on: impl Into<Endpoint>,
    server: &RefCell<Server<'_>>,
    replication: &Replication<'_>,
    dial: &impl Dial,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
) -> Result<Infallible, U::Error> {
    let now = || Now { monotonic: timer.now(), unix: wall_clock.unix_now() };
    let socket = udp.bind(on).await?;
    let socket = &socket;
    let tasks = TaskSet::new(AT_ONCE);
    let receiving = async {
        let (mut query, mut reply) = (alloc::vec![0; 65_535], alloc::vec![0; 4096]);
        loop {
            let (length, from) = socket.recv_from(&mut query).await?;
            let bytes = query.get(..length).unwrap_or(&[]);
            if tasks.len() < AT_ONCE && replication.takes_update(bytes) {
                let bytes = bytes.to_vec();
                let _ = tasks.spawn(async move {
                    if let Some(reply) = replication.forward(dial, &bytes).await {
                        let _ = socket.send_to(&reply, from).await;
                    }
                });
                continue;
            }
            let origin = Origin { peer: Some(from.ip()), transport: Transport::Udp, now: &now };
            let length = server.borrow_mut().respond_to(&origin, bytes, &mut reply);
            if let Some(length) = length {
                // What cannot be sent to one client is no reason to stop.
                let _ = socket.send_to(reply.get(..length).unwrap_or(&[]), from).await;
            }
        }
    };
    let forwarding = poll_fn(|cx| {
        let _ = tasks.poll_tasks(cx);
        Poll::<Infallible>::Pending
    });
    match select(receiving, forwarding).await {
        Either::Left(ended) => ended,
        Either::Right(never) => match never {},
    }
}
