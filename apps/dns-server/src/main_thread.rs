//! What workers leave to the main thread, which alone changes zones: updates, and word that a zone has changed elsewhere.
use airglow::device::{Udp, UdpSocket};
use airglow_dns::{
    secondary::Peer,
    server::{Notification, Notified, Origin, Transport},
    wire::{NameBuf, Rcode},
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    format, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    string::String,
    sync::{
        Mutex, OnceLock, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
    vec::Vec,
};

/// Jobs that wait at most; what comes beyond is refused.
const JOBS: usize = 256;
/// How long a worker waits for the reply to an update; then there is none, and the client asks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the main thread is asked to do.
#[allow(clippy::large_enum_variant, reason = "there are few at a time, and not for long")]
pub(crate) enum Job {
    /// A primary says that a zone has changed.
    Notified { zone: NameBuf, peer: Option<IpAddr>, signed_by: Option<NameBuf> },
    /// An update, whose reply a worker waits for.
    Update { query: Vec<u8>, peer: Option<IpAddr>, transport: Transport, reply: SyncSender<Option<Vec<u8>>> },
}

/// The jobs of the main thread.
#[derive(Debug)]
pub(crate) struct MainThread {
    jobs: Mutex<VecDeque<Job>>,
    /// Where a datagram wakes the main thread, and what sends it.
    wake_at: OnceLock<SocketAddr>,
    waking: std::net::UdpSocket,
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
    pub(crate) fn new<'p>(primaries: impl Iterator<Item = &'p Peer>, updates: bool) -> io::Result<Self> {
        let known =
            |peer: &Peer| (peer.server.address.ip().to_canonical(), peer.key.as_ref().map(|key| *key.name()));
        Ok(Self {
            jobs: Mutex::default(),
            wake_at: OnceLock::new(),
            waking: std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
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
        if let Some(wake_at) = self.wake_at.get() {
            // One that is lost on the way finds others waiting there.
            let _ = self.waking.send_to(&[0], wake_at);
        }
        true
    }

    /// The reply to an update, for which a worker waits.
    pub(crate) fn update(&self, origin: &Origin<'_>, query: &[u8]) -> Option<Vec<u8>> {
        let (reply, answer) = sync_channel(1);
        let job =
            Job::Update { query: query.to_vec(), peer: origin.peer, transport: origin.transport, reply };
        if !self.add(job) {
            return None;
        }
        answer.recv_timeout(PATIENCE).ok().flatten()
    }

    /// Does the jobs, one after the other.
    pub(crate) async fn work(&self, udp: &impl Udp, job: impl AsyncFn(Job)) -> Result<Infallible, String> {
        let failed = |error| format!("a UDP port on loopback: {error}");
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = udp.bind(loopback).await.map_err(|error| failed(format!("{error}")))?;
        let _ = self.wake_at.set(socket.local());
        loop {
            loop {
                let next = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(next) = next else { break };
                job(next).await;
            }
            socket.recv_from(&mut [0; 1]).await.map_err(|error| failed(format!("{error}")))?;
        }
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
