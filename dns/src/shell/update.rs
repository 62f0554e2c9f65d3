//! Dynamic updates over UDP and streams, each kept in a journal before it is answered.
use super::turn::{Lent, Turn};
use crate::{
    journal::{Journal, JournalError},
    server::{Origin, Server, UpdateRequest},
    update::{update, zone_of},
    wire::{Message, Name, NameBuf, Rcode},
    zone::{Change, Zone},
};
use airglow_device::{BlockDevice, Endpoint, Entropy, Timer, Udp, UdpSocket, WallClock};
use alloc::{sync::Arc, vec::Vec};
use core::{cell::RefCell, convert::Infallible, fmt};

/// Who may change what, and where changes are kept.
pub struct Updates<'u, B, E> {
    allowed: Vec<(NameBuf, NameBuf)>,
    journal: RefCell<Option<Journal<B>>>,
    entropy: &'u E,
    history: usize,
    changed: &'u dyn Fn(Name<'_>),
    /// Each update begins with the zone that the one before it left.
    turn: Turn,
}

impl<B, E> fmt::Debug for Updates<'_, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl<'u, B: BlockDevice, E: Entropy> Updates<'u, B, E> {
    /// Lets who signs with a key change a zone, for each pair of `allowed` (zone, key). Without a journal updates are gone
    /// after a restart. `changed` hears which zone has changed; `history` bounds what is kept for IXFR.
    pub fn new(
        allowed: Vec<(NameBuf, NameBuf)>,
        journal: Option<Journal<B>>,
        history: usize,
        entropy: &'u E,
        changed: &'u dyn Fn(Name<'_>),
    ) -> Self {
        Self { allowed, journal: RefCell::new(journal), entropy, history, changed, turn: Turn::default() }
    }

    /// Whether anybody may change this zone.
    pub fn covers(&self, apex: Name<'_>) -> bool {
        self.allowed.iter().any(|(zone, _)| zone.as_name() == apex)
    }

    /// Writes the reply to `query` into `reply`: that of an update when it is durable, that of anything else at once.
    pub async fn respond(
        &self,
        server: &RefCell<Server<'_>>,
        origin: &Origin<'_>,
        query: &[u8],
        reply: &mut [u8],
    ) -> Option<usize> {
        let request = server.borrow_mut().update_request(origin, query);
        let Some(request) = request else { return server.borrow_mut().respond_to(origin, query, reply) };
        let rcode = match self.update(server, &request).await {
            Ok(()) => Rcode::NOERROR,
            Err(rcode) => rcode,
        };
        server.borrow_mut().reply_to_update(request, rcode, reply)
    }

    async fn update(&self, server: &RefCell<Server<'_>>, request: &UpdateRequest) -> Result<(), Rcode> {
        let message = Message::new(request.message()).map_err(|_| Rcode::FORMERR)?;
        let apex = zone_of(&message)?;
        let _turn = self.turn.take().await;
        let old = server.borrow().zones().get(apex.as_name()).cloned().ok_or(Rcode::NOTAUTH)?;
        let allowed =
            |(zone, key): &(NameBuf, NameBuf)| *zone == apex && Some(key.as_name()) == request.signed_by();
        if !self.allowed.iter().any(allowed) {
            return Err(Rcode::REFUSED);
        }
        let Some((zone, change)) = update(&old, &message)? else { return Ok(()) };
        let zone = zone.with_history(&old, change.clone(), self.history);
        let zone = Arc::new(zone);
        self.keep(server, &zone, &change).await.map_err(|()| Rcode::SERVFAIL)?;
        server.borrow_mut().insert(zone);
        (self.changed)(apex.as_name());
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc2136#section-3.5
    //# When a zone is modified by an UPDATE operation, the server must commit
    //# the change to nonvolatile storage before sending a response to the
    //# requestor or answering any queries or transfers for the modified zone.
    async fn keep(&self, server: &RefCell<Server<'_>>, zone: &Arc<Zone>, change: &Change) -> Result<(), ()> {
        let mut lent = Lent::take(&self.journal);
        let Some(journal) = &mut lent.1 else { return Ok(()) };
        let apex = zone.apex().name();
        let result = match journal.append(apex, change).await {
            Err(JournalError::Full) => {
                let mut zones: Vec<Arc<Zone>> = Vec::new();
                for kept in server.borrow().zones().iter().filter(|kept| self.covers(kept.apex().name())) {
                    zones.push(if kept.apex().name() == apex { zone.clone() } else { kept.clone() });
                }
                journal.rewrite(&zones, self.entropy).await
            }
            other => other,
        };
        result.map_err(|_| ())
    }
}

/// As [`serve_udp`](super::serve_udp), with updates. A reply may have to wait for a disk, so datagrams are taken one by one.
///
/// # Errors
/// The stack's, as when the port is taken.
pub async fn serve_udp_with_updates<U: Udp, B: BlockDevice, E: Entropy>(
    udp: &U,
    on: impl Into<Endpoint>,
    server: &RefCell<Server<'_>>,
    updates: &Updates<'_, B, E>,
    timer: &impl Timer,
    wall_clock: &impl WallClock,
) -> Result<Infallible, U::Error> {
    let now = || crate::server::Now { monotonic: timer.now(), unix: wall_clock.unix_now() };
    let socket = udp.bind(on).await?;
    let (mut query, mut reply) = (alloc::vec![0; 65_535], alloc::vec![0; 4096]);
    loop {
        let (length, from) = socket.recv_from(&mut query).await?;
        let transport = crate::server::Transport::Udp;
        let origin = Origin { peer: Some(from.ip()), transport, now: &now };
        let bytes = query.get(..length).unwrap_or(&[]);
        if let Some(length) = updates.respond(server, &origin, bytes, &mut reply).await {
            // What cannot be sent to one client is no reason to stop.
            let _ = socket.send_to(reply.get(..length).unwrap_or(&[]), from).await;
        }
    }
}
