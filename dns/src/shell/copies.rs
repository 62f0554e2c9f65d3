//! Zones from elsewhere on a disk: [`Replication`](super::Replication) has them there again after a restart.
use super::turn::{Lent, Turn};
use crate::{
    journal::{Copy, Journal, JournalError},
    server::Server,
    wire::Name,
    zone::Zone,
};
use airglow_device::{BlockDevice, Entropy};
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::{cell::RefCell, fmt};

/// Where a secondary's zones are kept.
pub struct Copies<B> {
    journal: RefCell<Option<Journal<B>>>,
    /// What is kept, and when its primary was last known to have nothing newer.
    confirmed: RefCell<BTreeMap<Vec<u8>, u64>>,
    turn: Turn,
}

impl<B> fmt::Debug for Copies<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("zones", &self.confirmed.borrow().len()).finish_non_exhaustive()
    }
}

/// What is to be written.
enum Task<'t> {
    /// This zone, which stands in the place of the other.
    Keep(Option<&'t Zone>, &'t Arc<Zone>, u64),
    Confirm(&'t Arc<Zone>, u64),
    Forget(Name<'t>),
}

impl<B: BlockDevice> Copies<B> {
    /// Keeps zones in `journal`, which was opened with [`Journal::open_copies`] and keeps `copies`.
    pub fn new(journal: Journal<B>, copies: &[Copy]) -> Self {
        let confirmed = copies.iter().map(|copy| (key(copy.zone.apex().name()), copy.confirmed)).collect();
        Self {
            journal: RefCell::new(Some(journal)),
            confirmed: RefCell::new(confirmed),
            turn: Turn::default(),
        }
    }

    /// Keeps `zone`, which is served now in the place of `old`.
    pub(super) async fn keep(
        &self,
        server: &RefCell<Server<'_>>,
        old: Option<&Zone>,
        zone: &Arc<Zone>,
        unix: u64,
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        self.work(server, Task::Keep(old, zone, unix), entropy).await
    }

    /// Keeps that there is nothing newer than `zone`.
    pub(super) async fn confirm(
        &self,
        server: &RefCell<Server<'_>>,
        zone: &Arc<Zone>,
        unix: u64,
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        self.work(server, Task::Confirm(zone, unix), entropy).await
    }

    /// Keeps a zone no longer.
    pub(super) async fn forget(
        &self,
        server: &RefCell<Server<'_>>,
        apex: Name<'_>,
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        self.work(server, Task::Forget(apex), entropy).await
    }

    async fn work(
        &self,
        server: &RefCell<Server<'_>>,
        task: Task<'_>,
        entropy: &impl Entropy,
    ) -> Result<(), JournalError<B::Error>> {
        let _turn = self.turn.take().await;
        let mut lent = Lent::take(&self.journal);
        let Some(journal) = &mut lent.1 else { return Ok(()) };
        let key = match &task {
            Task::Keep(_, zone, _) | Task::Confirm(zone, _) => key(zone.apex().name()),
            Task::Forget(apex) => key(*apex),
        };
        // Until it is written, nobody knows what is kept of it.
        let before = self.confirmed.borrow_mut().remove(&key);
        let (written, unix) = match task {
            Task::Keep(old, zone, unix) => {
                let copy = Copy { zone: zone.clone(), confirmed: unix };
                (journal.keep_copy(old.filter(|_| before.is_some()), &copy).await, Some(unix))
            }
            Task::Confirm(zone, unix) if before.is_some() => {
                (journal.confirm(zone.apex().name(), unix).await, Some(unix))
            }
            Task::Confirm(zone, unix) => {
                let copy = Copy { zone: zone.clone(), confirmed: unix };
                (journal.keep_copy(None, &copy).await, Some(unix))
            }
            Task::Forget(apex) => (journal.forget(apex).await, None),
        };
        let kept =
            |confirmed: &mut BTreeMap<Vec<u8>, u64>| unix.map(|unix| confirmed.insert(key.clone(), unix));
        match written {
            Err(JournalError::Full) => {
                kept(&mut self.confirmed.borrow_mut());
                let copies = self.all(server);
                let written = journal.rewrite_copies(&copies, entropy).await;
                if written.is_err() {
                    self.confirmed.borrow_mut().remove(&key);
                }
                written
            }
            Ok(()) => {
                kept(&mut self.confirmed.borrow_mut());
                Ok(())
            }
            failed => failed,
        }
    }

    /// Everything that is kept, as it is served.
    fn all(&self, server: &RefCell<Server<'_>>) -> Vec<Copy> {
        let (server, confirmed) = (server.borrow(), self.confirmed.borrow());
        let copy = |zone: &Arc<Zone>| {
            let confirmed = *confirmed.get(&key(zone.apex().name()))?;
            Some(Copy { zone: zone.clone(), confirmed })
        };
        server.zones().iter().filter_map(copy).collect()
    }
}

fn key(apex: Name<'_>) -> Vec<u8> {
    apex.as_bytes().to_ascii_lowercase()
}
