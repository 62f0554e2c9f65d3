//! What workers leave to the main thread, which alone changes zones: updates, and word that a zone has changed elsewhere.
use crate::{
    doorbell::Doorbell,
    letter::{self, Letter, letter},
    service::Service,
};
use airglow::device::{Clock, Platform, Udp, WallClock};
use airglow_dns::{
    secondary::Peer,
    server::{Notification, Notified, Now, Origin, Transport},
    shell::Dial,
    wire::{NameBuf, Rcode},
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    net::IpAddr,
    string::String,
    sync::{Arc, Mutex, PoisonError},
    vec,
    vec::Vec,
};

/// Jobs that wait at most; what comes beyond is refused.
const JOBS: usize = 256;

/// What the main thread is asked to do.
#[allow(clippy::large_enum_variant, reason = "there are few at a time, and not for long")]
pub(crate) enum Job {
    /// A primary says that a zone has changed.
    Notified { zone: NameBuf, peer: Option<IpAddr>, signed_by: Option<NameBuf> },
    /// An update, whose reply a worker is to send.
    Update {
        query: Vec<u8>,
        peer: Option<IpAddr>,
        transport: Transport,
        reply: letter::Sender<Option<Vec<u8>>>,
    },
}

/// The jobs of the main thread.
#[derive(Debug)]
pub(crate) struct MainThread {
    jobs: Mutex<VecDeque<Job>>,
    doorbell: Doorbell,
    /// The addresses of primaries without a key, and the keys of the others.
    primaries: Vec<(IpAddr, Option<NameBuf>)>,
    /// Updates are taken.
    pub(crate) updates: bool,
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Notified { .. } => "Notified",
            Self::Update { .. } => "Update",
        })
    }
}

impl MainThread {
    /// For zones from `primaries`.
    pub(crate) fn new<'p>(primaries: impl Iterator<Item = &'p Peer>, updates: bool) -> Result<Self, String> {
        let known =
            |peer: &Peer| (peer.server.address.ip().to_canonical(), peer.key.as_ref().map(|key| *key.name()));
        Ok(Self {
            jobs: Mutex::default(),
            doorbell: Doorbell::new()?,
            primaries: primaries.map(known).collect(),
            updates,
        })
    }

    fn add(&self, job: Job) -> bool {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= JOBS {
            return false;
        }
        jobs.push_back(job);
        drop(jobs);
        self.doorbell.ring();
        true
    }

    /// Where the reply to an update will come, for the thread that `doorbell` wakes; `None` when too many wait.
    pub(crate) fn update(
        &self,
        origin: &Origin<'_>,
        query: &[u8],
        doorbell: &Arc<Doorbell>,
    ) -> Option<Letter<Option<Vec<u8>>>> {
        let (reply, letter) = letter(doorbell);
        let job =
            Job::Update { query: query.to_vec(), peer: origin.peer, transport: origin.transport, reply };
        self.add(job).then_some(letter)
    }

    /// Does the jobs, one after the other.
    pub(crate) async fn work(&self, udp: &impl Udp, job: impl AsyncFn(Job)) -> Result<Infallible, String> {
        let look = async || {
            loop {
                let next = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(next) = next else { break };
                job(next).await;
            }
        };
        self.doorbell.answer(udp, look).await
    }
}

/// Workers know who is a primary of some zone; of which, the main thread does.
impl Notified for MainThread {
    fn notified(&self, notification: &Notification<'_>) -> Rcode {
        let known = self.primaries.iter().any(|(address, key)| match key {
            Some(key) => notification.signed_by == Some(key.as_name()),
            None => notification.peer == Some(*address),
        });
        if !known {
            return Rcode::REFUSED;
        }
        let job = Job::Notified {
            zone: NameBuf::from_name(notification.zone),
            peer: notification.peer,
            signed_by: notification.signed_by.map(NameBuf::from_name),
        };
        if self.add(job) { Rcode::NOERROR } else { Rcode::SERVFAIL }
    }
}

/// Does a job with what the main thread has.
pub(crate) async fn work_on<P: Platform, D: Dial>(
    job: Job,
    notified: Option<&dyn Notified>,
    service: &Service<'_, '_, P, D>,
) {
    match job {
        Job::Notified { zone, peer, signed_by } => {
            let signed_by = signed_by.as_ref().map(NameBuf::as_name);
            let zone = zone.as_name();
            let notification = Notification { zone, peer, signed_by, serial: None };
            let _ = notified.map(|notified| notified.notified(&notification));
        }
        Job::Update { query, peer, transport, reply } => {
            let (timer, wall_clock) = (service.platform.timer(), service.platform.wall_clock());
            let now = || Now { monotonic: timer.now(), unix: wall_clock.unix_now() };
            let origin = Origin { peer, transport, now: &now };
            let mut bytes = vec![0; 4096];
            let length = match service.updates {
                Some(updates) => updates.respond(service.server, &origin, &query, &mut bytes).await,
                None => None,
            };
            bytes.truncate(length.unwrap_or(0));
            reply.send(length.map(|_| bytes));
        }
    }
}
