//! Keeping zones from elsewhere, and telling others of changes: [`Secondaries`] and [`Notifier`] over a platform's sockets.
use super::{
    Copies, Dial, DialError, Ended, Limits,
    dial::{Talk, read_message, talk},
    framed, write,
};
use crate::{
    journal::{Copy, JournalError},
    secondary::{
        Bounds, CatalogError, Incoming, Next, Notice, Notifier, Peer, Received, Secondaries, TransferError,
        ask, is_behind, members,
    },
    server::{Exchange, Notification, Notified, Server, Unbelieved},
    wire::{Builder, Class, Flags, Message, Name, NameBuf, Rcode, RecordType, Section, rdata},
    zone::{Zone, soa_numbers},
};
use airglow_device::{BlockDevice, Entropy, Stream, Timer, Udp, UdpSocket, WallClock};
use airglow_runtime::{TaskSet, timeout};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};

/// Zones that are asked about, and targets told, at the same time.
const AT_ONCE: usize = 16;
/// How long a primary may take to answer over UDP, and how often it is asked.
const ANSWER: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
/// Seconds by which the clock may have been set back since a zone was kept.
const CLOCK: u64 = 300;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// What happened to a zone that is kept from elsewhere.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The version with this serial came, whole or as changes to the one before.
    Transferred {
        /// The serial.
        serial: u32,
        /// It came as changes (IXFR).
        incremental: bool,
    },
    /// The primary could not be asked or gave no zone.
    Failed(Failure),
    /// No primary could be asked for so long that the zone is no longer served.
    Expired,
    /// A catalog that is none; its members stay as they were.
    NoCatalog(CatalogError),
    /// A catalog no longer lists it.
    Unlisted,
    /// A catalog lists it anew: what was kept of it is forgotten.
    Reset,
    /// A catalog lists it, and it is here already for another reason; that stays.
    Clash,
    /// It was on the disk with this serial, and is young enough to be served.
    Restored {
        /// The serial.
        serial: u32,
    },
    /// The disk does not keep it: after a restart it is transferred again.
    NotKept,
}

/// Why a primary gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be reached, or did not answer in time.
    Silent,
    /// It is spoken to over TLS, and there was none for this reason.
    Insecure(String),
    /// What it gave is no zone.
    Transfer(TransferError),
    /// A signature is asked for, and nobody told this platform the time.
    NoTime,
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Silent => Self::Silent,
            DialError::Insecure(why) => Self::Insecure(why),
        }
    }
}

impl From<Ended> for Failure {
    fn from(_: Ended) -> Self {
        Self::Silent
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transferred { serial, incremental } => {
                let how = if *incremental { "the changes" } else { "the whole zone" };
                write!(f, "transferred {how}, serial {serial}")
            }
            Self::Failed(Failure::Silent) => f.write_str("the primary does not answer"),
            Self::Failed(Failure::Insecure(why)) => write!(f, "no TLS with the primary: {why}"),
            Self::Failed(Failure::Transfer(error)) => write!(f, "transfer failed: {error}"),
            Self::Failed(Failure::NoTime) => f.write_str("signatures need the time of day"),
            Self::Expired => f.write_str("expired: no primary was reached for too long"),
            Self::NoCatalog(error) => write!(f, "{error}"),
            Self::Unlisted => f.write_str("the catalog no longer lists it"),
            Self::Reset => f.write_str("a catalog lists it anew: what was kept is forgotten"),
            Self::Clash => f.write_str("a catalog lists it, but it is here for another reason"),
            Self::Restored { serial } => write!(f, "found on the disk, serial {serial}"),
            Self::NotKept => f.write_str("the disk does not keep it"),
        }
    }
}

/// Zones kept from elsewhere and targets to be told. A server hears NOTIFYs through it ([`Notified`]);
/// [`Self::run`] does the work.
pub struct Replication<'r> {
    secondaries: RefCell<Secondaries>,
    notifier: RefCell<Notifier>,
    bounds: Bounds,
    timer: &'r dyn Timer,
    report: &'r dyn Fn(Name<'_>, Event),
    waker: RefCell<Option<Waker>>,
}

impl fmt::Debug for Replication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replication").field("zones", &self.secondaries.borrow().len()).finish_non_exhaustive()
    }
}

impl Notified for Replication<'_> {
    fn notified(&self, notification: &Notification<'_>) -> Rcode {
        let rcode = self.secondaries.borrow_mut().notified(notification, self.timer.now());
        self.wake();
        rcode
    }
}

impl<'r> Replication<'r> {
    /// Tells `targets` of changes. `report` hears what happens to zones.
    pub fn new(
        targets: Vec<Peer>,
        bounds: Bounds,
        timer: &'r dyn Timer,
        report: &'r dyn Fn(Name<'_>, Event),
    ) -> Self {
        Self {
            secondaries: RefCell::new(Secondaries::new()),
            notifier: RefCell::new(Notifier::new(targets)),
            bounds,
            timer,
            report,
            waker: RefCell::new(None),
        }
    }

    /// Keeps a zone from `primaries`; a catalog's members too. Until it comes, questions about it get SERVFAIL.
    pub fn add(&self, server: &RefCell<Server<'_>>, apex: Name<'_>, primaries: Arc<[Peer]>, catalog: bool) {
        self.secondaries.borrow_mut().add(apex, primaries, catalog, self.timer.now());
        if server.borrow().zones().get(apex).is_none() {
            server.borrow_mut().set_absent(apex);
        }
        self.wake();
    }

    /// Members of catalogs that are in this group are kept from `primaries`, and not from their catalog's own. To be said
    /// before the first catalog is added.
    pub fn set_group(&self, group: &[u8], primaries: Arc<[Peer]>) {
        self.secondaries.borrow_mut().set_group(group, primaries);
    }

    /// Serves what the disk has kept of the zones that were added, if it has not expired at `unix`, seconds since 1970;
    /// and takes over what its catalogs list. Primaries are asked for news at once.
    pub fn restore(&self, server: &RefCell<Server<'_>>, copies: &[Copy], unix: u64) {
        // Catalogs first: they say which others are kept.
        for wanted in [true, false] {
            for Copy { zone, confirmed } in copies {
                let name = zone.apex().name();
                if self.secondaries.borrow().get(name) != Some(wanted) {
                    continue;
                }
                let age = match unix.checked_sub(*confirmed) {
                    // The clock was set back by more than clocks are: nobody knows how old it is.
                    None if confirmed - unix > CLOCK => u64::MAX,
                    age => age.unwrap_or(0),
                };
                let now = self.timer.now();
                if self.secondaries.borrow_mut().restored(zone, Duration::from_secs(age), now) {
                    server.borrow_mut().insert(zone.clone());
                    (self.report)(name, Event::Restored { serial: zone.serial() });
                } else {
                    (self.report)(name, Event::Expired);
                }
                if wanted {
                    self.list(server, zone);
                }
            }
        }
        self.wake();
    }

    /// A zone has another version, from wherever: the targets are told.
    pub fn changed(&self, apex: Name<'_>) {
        self.notifier.borrow_mut().changed(apex, self.timer.now());
        self.wake();
    }

    pub(super) fn primaries(&self, apex: Name<'_>) -> Option<Arc<[Peer]>> {
        self.secondaries.borrow().primaries(apex)
    }

    pub(super) fn timer(&self) -> &'r dyn Timer {
        self.timer
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Refreshes zones and tells of changes, until it is dropped. What comes is kept in `copies`.
    pub async fn run<B: BlockDevice>(
        &self,
        server: &RefCell<Server<'_>>,
        copies: Option<&Copies<B>>,
        dial: &impl Dial,
        udp: &impl Udp,
        wall_clock: &impl WallClock,
        entropy: &impl Entropy,
    ) -> Infallible {
        let network = Network { dial, udp, timer: self.timer, wall_clock, entropy, bounds: self.bounds };
        let network = &network;
        let tasks = TaskSet::new(AT_ONCE);
        poll_fn(|cx| {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            loop {
                let _ = tasks.poll_tasks(cx);
                if tasks.len() == AT_ONCE {
                    // Whoever ends wakes us.
                    break;
                }
                let now = self.timer.now();
                let next = self.secondaries.borrow_mut().next(now);
                let due = match next {
                    Next::Refresh { apex, primary } => {
                        let _ = tasks.spawn(self.refresh(server, copies, network, apex, primary));
                        continue;
                    }
                    Next::Expired(apex) => {
                        server.borrow_mut().set_absent(apex.as_name());
                        (self.report)(apex.as_name(), Event::Expired);
                        continue;
                    }
                    Next::At(at) => at,
                };
                let notice = self.notifier.borrow_mut().next(now);
                match notice {
                    Ok(notice) => {
                        let _ = tasks.spawn(self.tell(server, network, notice));
                    }
                    Err(at) => {
                        let at = at.min(due);
                        if at != airglow_device::Instant::MAX {
                            self.timer.wake_at(at, cx.waker());
                        }
                        break;
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn refresh<B: BlockDevice, D: Dial, U: Udp, W: WallClock, E: Entropy>(
        &self,
        server: &RefCell<Server<'_>>,
        copies: Option<&Copies<B>>,
        network: &Network<'_, D, U, W, E>,
        apex: NameBuf,
        primary: Peer,
    ) {
        let name = apex.as_name();
        let number = self.secondaries.borrow().number(name);
        let have = server.borrow().zones().get(name).cloned();
        let result = network.fetch(name, &primary, have.clone()).await;
        let now = self.timer.now();
        let Some(catalog) = self.secondaries.borrow().get(name) else { return };
        // It may be kept from others by now.
        if self.secondaries.borrow().number(name) != number {
            return self.wake();
        }
        let unix = network.wall_clock.unix_now().map(|now| now.as_secs());
        let copies = copies.zip(unix);
        match (result, have) {
            (Ok(Received::Current), Some(have)) => {
                self.secondaries.borrow_mut().succeeded(&have, now);
                // It may have expired meanwhile.
                if server.borrow().zones().get(name).is_none() {
                    server.borrow_mut().insert(have.clone());
                }
                if let Some((copies, unix)) = copies {
                    self.is_kept(name, copies.confirm(server, &have, unix, network.entropy).await);
                }
            }
            (Ok(Received::Current), None) => self.secondaries.borrow_mut().failed(name, now),
            (Ok(received @ (Received::Whole(_) | Received::Changed(_))), have) => {
                let incremental = matches!(received, Received::Changed(_));
                let (Received::Whole(zone) | Received::Changed(zone)) = received else { return };
                let zone = Arc::new(zone);
                self.secondaries.borrow_mut().succeeded(&zone, now);
                server.borrow_mut().insert(zone.clone());
                (self.report)(name, Event::Transferred { serial: zone.serial(), incremental });
                self.changed(name);
                let gone = if catalog { self.list(server, &zone) } else { Vec::new() };
                if let Some((copies, unix)) = copies {
                    let kept = copies.keep(server, have.as_deref(), &zone, unix, network.entropy).await;
                    self.is_kept(name, kept);
                    for gone in gone {
                        let name = gone.as_name();
                        self.is_kept(name, copies.forget(server, name, network.entropy).await);
                    }
                }
            }
            (Err(failure), _) => {
                self.secondaries.borrow_mut().failed(name, now);
                (self.report)(name, Event::Failed(failure));
            }
        }
        self.wake();
    }

    fn is_kept<X>(&self, name: Name<'_>, written: Result<(), JournalError<X>>) {
        if written.is_err() {
            (self.report)(name, Event::NotKept);
        }
    }

    /// Takes over what a catalog lists, and says of which zones nothing is kept any more.
    fn list(&self, server: &RefCell<Server<'_>>, catalog: &Zone) -> Vec<NameBuf> {
        let name = catalog.apex().name();
        let members = match members(catalog) {
            Ok(members) => members,
            Err(error) => {
                (self.report)(name, Event::NoCatalog(error));
                return Vec::new();
            }
        };
        let here = |apex: Name<'_>| server.borrow().zones().get(apex).is_some();
        let listed = self.secondaries.borrow_mut().list(name, &members, here, self.timer.now());
        for apex in &listed.clashing {
            (self.report)(apex.as_name(), Event::Clash);
        }
        let mut forgotten = listed.gone;
        for apex in &forgotten {
            server.borrow_mut().remove(apex.as_name());
            (self.report)(apex.as_name(), Event::Unlisted);
        }
        for apex in &listed.reset {
            server.borrow_mut().set_absent(apex.as_name());
            (self.report)(apex.as_name(), Event::Reset);
        }
        forgotten.extend(listed.reset);
        for member in members {
            let name = member.zone.as_name();
            let kept = self.secondaries.borrow().get(name).is_some();
            if kept && server.borrow().zones().get(name).is_none() {
                server.borrow_mut().set_absent(name);
            }
        }
        forgotten
    }

    async fn tell<D: Dial, U: Udp, W: WallClock, E: Entropy>(
        &self,
        server: &RefCell<Server<'_>>,
        network: &Network<'_, D, U, W, E>,
        notice: Notice,
    ) {
        let zone = server.borrow().zones().get(notice.apex.as_name()).cloned();
        if let Some(zone) = zone {
            let id = network.entropy.u64() as u16;
            let mut bytes = alloc::vec![0; 1232];
            if let Some(length) = notice.write(&zone, id, &mut bytes) {
                let is_answer = |message: &[u8]| notice.is_answer(id, message);
                if network.datagram(&notice.target, bytes, length, 1, is_answer).await.is_ok() {
                    self.notifier.borrow_mut().answered(&notice);
                }
            }
        }
        self.wake();
    }
}

/// What the work needs.
struct Network<'n, D, U, W, E> {
    dial: &'n D,
    udp: &'n U,
    timer: &'n dyn Timer,
    wall_clock: &'n W,
    entropy: &'n E,
    bounds: Bounds,
}

impl<D: Dial, U: Udp, W: WallClock, E: Entropy> Network<'_, D, U, W, E> {
    /// Signs the message of `length` bytes for `peer`, if that has a key.
    fn signed(
        &self,
        peer: &Peer,
        bytes: &mut Vec<u8>,
        length: usize,
    ) -> Result<(usize, Option<Exchange>), Failure> {
        let Some(key) = &peer.key else { return Ok((length, None)) };
        let now = unix(self.wall_clock)?;
        bytes.resize(length + 700, 0);
        let signed = Exchange::sign(key, now, bytes, length);
        let (length, exchange) = signed.ok_or(Failure::Transfer(TransferError::Message))?;
        Ok((length, Some(exchange)))
    }

    /// Sends a datagram from a port of its own and returns the answer, `tries` times if there is none.
    async fn datagram(
        &self,
        peer: &Peer,
        mut bytes: Vec<u8>,
        length: usize,
        tries: usize,
        is_answer: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Failure> {
        let (length, exchange) = self.signed(peer, &mut bytes, length)?;
        let socket = self.udp.bind(0).await.map_err(|_| Failure::Silent)?;
        let mut answer = alloc::vec![0; 4096];
        for _ in 0..tries {
            answer.resize(4096, 0);
            let sent = bytes.get(..length).unwrap_or(&[]);
            if socket.send_to(sent, peer.server.address).await.is_err() {
                return Err(Failure::Silent);
            }
            let received = timeout(self.timer, ANSWER, async {
                loop {
                    let Ok((length, from)) = socket.recv_from(&mut answer).await else { return None };
                    let message = answer.get(..length).unwrap_or(&[]);
                    if from != peer.server.address || !is_answer(message) {
                        continue;
                    }
                    return Some(length);
                }
            });
            let Ok(Some(length)) = received.await else { continue };
            answer.truncate(length);
            if let Some(mut exchange) = exchange {
                let checked = exchange.check(&answer, unix(self.wall_clock)?);
                // What says no unsigned, says no.
                let refused =
                    Message::new(&answer).is_ok_and(|message| message.flags().rcode() != Rcode::NOERROR);
                if !(checked == Err(Unbelieved::Missing) && refused) {
                    checked.map_err(|why| Failure::Transfer(TransferError::Signature(why)))?;
                }
            }
            return Ok(answer);
        }
        Err(Failure::Silent)
    }

    /// What the primary has: asked over UDP for its serial when there is a version here, transferred when there is news. Over
    /// TLS nothing is asked in the clear: the answer to IXFR says too that there is no news (RFC 1995 section 2).
    async fn fetch(
        &self,
        apex: Name<'_>,
        primary: &Peer,
        have: Option<Arc<Zone>>,
    ) -> Result<Received, Failure> {
        if let Some(have) = &have
            && primary.server.tls.is_none()
            && let Ok(serial) = self.serial(apex, primary).await?
            && !is_behind(have, serial)
        {
            return Ok(Received::Current);
        }
        match self.transfer(apex, primary, have.clone(), have.clone()).await {
            // A primary that does not give changes, or gives ones that are not those of the version here, has the zone whole.
            Err(Failure::Transfer(error))
                if have.is_some()
                    && !matches!(error, TransferError::Signature(_) | TransferError::TooLarge) =>
            {
                self.transfer(apex, primary, None, have).await
            }
            other => other,
        }
    }

    /// The primary's serial; an inner error when it answers without one.
    async fn serial(&self, apex: Name<'_>, primary: &Peer) -> Result<Result<u32, Rcode>, Failure> {
        let id = self.entropy.u64() as u16;
        let mut bytes = alloc::vec![0; 600];
        let length = question(apex, id, &mut bytes).ok_or(Failure::Silent)?;
        let is_answer = |message: &[u8]| {
            Message::new(message).is_ok_and(|message| {
                let named = message.question().is_ok_and(|(question, _)| question.name.as_name() == apex);
                message.id() == id && message.flags().has(Flags::QR) && named
            })
        };
        let answer = self.datagram(primary, bytes, length, TRIES, is_answer).await?;
        let message = Message::new(&answer).map_err(|_| Failure::Silent)?;
        let mut data = [0; 600];
        for record in message.records().map_while(Result::ok) {
            if record.section == Section::Answer
                && record.rtype == RecordType::SOA
                && record.name.as_name() == apex
            {
                let (at, length) = (record.rdata_offset, record.rdata.len());
                let copied = rdata::from_message(record.rtype, &answer, at, length, &mut data);
                let numbers = copied.ok().and_then(|length| soa_numbers(data.get(..length)?));
                if let Some((serial, _)) = numbers {
                    return Ok(Ok(serial));
                }
            }
        }
        let rcode = message.flags().rcode();
        if rcode == Rcode::NOERROR {
            return Ok(Err(rcode));
        }
        Err(Failure::Transfer(TransferError::Refused(rcode)))
    }

    /// Asks for what has changed since `from`, or for all. `have` is what the result is compared with.
    async fn transfer(
        &self,
        apex: Name<'_>,
        primary: &Peer,
        from: Option<Arc<Zone>>,
        have: Option<Arc<Zone>>,
    ) -> Result<Received, Failure> {
        let id = self.entropy.u64() as u16;
        let mut query = alloc::vec![0; 1024];
        let length = ask(apex, id, from.as_deref(), &mut query).ok_or(Failure::Silent)?;
        let (length, exchange) = self.signed(primary, &mut query, length)?;
        query.truncate(length);
        let fetching = Fetching {
            query: framed(&query).ok_or(Failure::Silent)?,
            signed: exchange.is_some(),
            incoming: Incoming::new(apex, id, have, exchange, self.bounds),
            timer: self.timer,
            wall_clock: self.wall_clock,
        };
        talk(self.dial, &primary.server, self.timer, CONNECT, fetching).await
    }
}

/// A transfer over a connection of its own.
struct Fetching<'f, W> {
    query: Vec<u8>,
    signed: bool,
    incoming: Incoming,
    timer: &'f dyn Timer,
    wall_clock: &'f W,
}

impl<W: WallClock> Talk for Fetching<'_, W> {
    type Outcome = Received;
    type Error = Failure;
    async fn talk(mut self, mut stream: impl Stream) -> Result<Received, Failure> {
        stream.set_nodelay(true);
        let limits = Limits { idle: Duration::from_secs(30), ..Limits::default() };
        write(&mut stream, &self.query, self.timer, &limits).await?;
        let mut message = Vec::new();
        loop {
            read_message(&mut stream, &mut message, self.timer, &limits).await?;
            let now = if self.signed { unix(self.wall_clock)? } else { 0 };
            if let Some(received) = self.incoming.message(&message, now).map_err(Failure::Transfer)? {
                let _ = stream.close().await;
                return Ok(received);
            }
        }
    }
}

/// The time for signatures.
fn unix(wall_clock: &impl WallClock) -> Result<u64, Failure> {
    wall_clock.unix_now().map(|now| now.as_secs()).ok_or(Failure::NoTime)
}

/// The question for a zone's SOA.
fn question(apex: Name<'_>, id: u16, out: &mut [u8]) -> Option<usize> {
    let mut builder = Builder::new(out, id, Flags(0)).ok()?;
    builder.question(apex, RecordType::SOA, Class::IN).ok()?;
    Some(builder.finish())
}
