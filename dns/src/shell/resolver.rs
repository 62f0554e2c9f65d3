//! A stub resolver over a platform's sockets.
use super::{
    Dial,
    connections::Connection,
    dial::{Exchange, talk},
};
use crate::{
    NameServer,
    resolver::{Answer, Cache, Found, Query, Verdict, candidates},
    wire::{Name, NameBuf, Rcode, RecordType},
};
use airglow_device::{Entropy, Timer, Udp, UdpSocket};
use airglow_runtime::{sleep, timeout};
use alloc::{boxed::Box, vec::Vec};
use core::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long somebody waits before an answer that has expired does (RFC 8767 section 5: the client response timer).
const PATIENCE: Duration = Duration::from_millis(1800);

/// Whom a resolver asks and how.
#[derive(Clone, Debug)]
pub struct ResolverConfig {
    /// Recursive servers, asked in this order.
    pub servers: Vec<NameServer>,
    /// Domains that are added to short names.
    pub search: Vec<NameBuf>,
    /// Names with fewer dots are tried with the search list first.
    pub ndots: usize,
    /// How long one server may take to answer one question.
    pub timeout: Duration,
    /// How often each server is asked.
    pub attempts: usize,
    /// Answers that are remembered.
    pub cache: usize,
    /// How long a connection over TLS on which nobody waits for an answer is kept: see [`Resolver::close_idle`].
    pub idle: Duration,
}

impl ResolverConfig {
    /// These servers; no search list, two attempts of two seconds each, 256 answers remembered, connections kept for ten seconds.
    pub fn new(servers: Vec<NameServer>) -> Self {
        Self {
            servers,
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(2),
            attempts: 2,
            cache: 256,
            idle: Duration::from_secs(10),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text is no name.
    BadName,
    /// No server answered in time.
    Silent,
    /// The servers answered, with this code.
    Failed(Rcode),
    /// The name does not exist.
    NoSuchName,
    /// It has no records of the type.
    NoRecords,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str("not a domain name"),
            Self::Silent => f.write_str("no name server answers"),
            Self::Failed(rcode) => write!(f, "the name servers answer {rcode:?}"),
            Self::NoSuchName => f.write_str("no such name"),
            Self::NoRecords => f.write_str("the name has no such records"),
        }
    }
}
impl core::error::Error for ResolveError {}

/// Asks recursive servers, over UDP from a random port with a random id and random case, over TCP when that does not do, and
/// those with a certificate's name over TLS alone (RFC 8310's strict profile), one connection to each for all questions; and
/// remembers answers.
pub struct Resolver<'r, U, D: Dial, C, E> {
    udp: &'r U,
    dial: &'r D,
    timer: &'r C,
    entropy: &'r E,
    config: &'r ResolverConfig,
    cache: RefCell<Cache>,
    /// One for each server.
    connections: Vec<Connection<D::Secure<'r>>>,
}

impl<'r, U: Udp, D: Dial, C: Timer, E: Entropy> Resolver<'r, U, D, C, E> {
    /// A resolver with nothing remembered yet.
    pub fn new(udp: &'r U, dial: &'r D, timer: &'r C, entropy: &'r E, config: &'r ResolverConfig) -> Self {
        let cache = RefCell::new(Cache::new(config.cache));
        let connections = config.servers.iter().map(|_| Connection::new()).collect();
        Self { udp, dial, timer, entropy, config, cache, connections }
    }

    /// Closes connections that have been idle for [`ResolverConfig::idle`], until it is dropped. Who looks up names over TLS now
    /// and then runs this beside; without it they stay until their servers close them or the resolver goes.
    pub async fn close_idle(&self) -> Infallible {
        loop {
            let mut next = self.timer.now() + self.config.idle;
            for connection in &self.connections {
                let (idle, patience) = (self.config.idle, self.config.timeout);
                next = next.min(connection.close_idle(self.timer, idle, patience).await);
            }
            sleep(self.timer, next.since(self.timer.now())).await;
        }
    }

    /// The addresses of a host: those of `text` itself if it is one, otherwise IPv6 and then IPv4 ones, by the search list.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn addresses(&self, text: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = text.parse() {
            return Ok([address].into());
        }
        let names = candidates(text, &self.config.search, self.config.ndots);
        let mut failed = ResolveError::BadName;
        for name in names {
            let (six, four) = airglow_runtime::join(
                self.lookup(name.as_name(), RecordType::AAAA),
                self.lookup(name.as_name(), RecordType::A),
            )
            .await;
            let mut addresses = Vec::new();
            for answer in [&six, &four].into_iter().flatten() {
                for data in &answer.records {
                    addresses.extend(<[u8; 16]>::try_from(&**data).ok().map(IpAddr::from));
                    addresses.extend(<[u8; 4]>::try_from(&**data).ok().map(IpAddr::from));
                }
            }
            if !addresses.is_empty() {
                return Ok(addresses);
            }
            failed = match (six, four) {
                (Err(error), _) | (_, Err(error)) => error,
                (Ok(six), _) if six.rcode == Rcode::NXDOMAIN => ResolveError::NoSuchName,
                _ => ResolveError::NoRecords,
            };
            // Only a name that is not there makes room for the next.
            if failed != ResolveError::NoSuchName && failed != ResolveError::NoRecords {
                break;
            }
        }
        Err(failed)
    }

    /// What `name`, whole, has of a type. NXDOMAIN is an answer too.
    ///
    /// # Errors
    /// [`ResolveError::Silent`], [`ResolveError::Failed`], when nothing that was learnt before does.
    pub async fn lookup(&self, name: Name<'_>, rtype: RecordType) -> Result<Answer, ResolveError> {
        let found = self.cache.borrow_mut().find(name, rtype, self.timer.now());
        let stale = match found {
            Found::Fresh(answer) | Found::Stale { answer, ask: false } => return Ok(answer),
            Found::Stale { answer, .. } => Some(answer),
            Found::Nothing => None,
        };
        let asked = match &stale {
            None => self.ask(name, rtype).await,
            Some(_) => {
                let asking = timeout(self.timer, PATIENCE, self.ask(name, rtype));
                asking.await.unwrap_or(Err(ResolveError::Silent))
            }
        };
        let now = self.timer.now();
        match (asked, stale) {
            (Ok(answer), _) => {
                self.cache.borrow_mut().insert(name, rtype, &answer, now);
                Ok(answer)
            }
            (Err(_), Some(stale)) => {
                self.cache.borrow_mut().failed(name, rtype, now);
                Ok(stale)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(&self, name: Name<'_>, rtype: RecordType) -> Result<Answer, ResolveError> {
        let mut failed = ResolveError::Silent;
        for _ in 0..self.config.attempts {
            for (server, connection) in self.config.servers.iter().zip(&self.connections) {
                let mut edns = true;
                let mut verdict = self.first(server, connection, name, rtype, edns).await;
                if verdict == Some(Verdict::AskPlain) {
                    edns = false;
                    verdict = self.first(server, connection, name, rtype, edns).await;
                }
                if verdict == Some(Verdict::AskOverTcp) {
                    verdict = self.stream(server, name, rtype, edns).await;
                }
                match verdict {
                    Some(Verdict::Answer(answer)) => return Ok(answer),
                    Some(Verdict::Failed(rcode)) => failed = ResolveError::Failed(rcode),
                    Some(Verdict::AskPlain) => failed = ResolveError::Failed(Rcode::FORMERR),
                    _ => {}
                }
            }
        }
        Err(failed)
    }

    fn query(&self, name: Name<'_>, rtype: RecordType, edns: bool) -> Option<(Query, Vec<u8>)> {
        let mut random = [0; 48];
        self.entropy.fill(&mut random);
        let query = Query::new(name, rtype, &random);
        let mut bytes = alloc::vec![0; 512];
        let length = query.write(edns, &mut bytes)?;
        bytes.truncate(length);
        Some((query, bytes))
    }

    /// One question in the way that the server is asked first; `None` without an answer.
    async fn first(
        &self,
        server: &'r NameServer,
        connection: &Connection<D::Secure<'r>>,
        name: Name<'_>,
        rtype: RecordType,
        edns: bool,
    ) -> Option<Verdict> {
        let Some(called) = &server.tls else { return self.datagram(server.address, name, rtype, edns).await };
        let (query, bytes) = self.query(name, rtype, edns)?;
        let dial = async || self.dial.secure(server.address, called).await;
        let judge = |message: &[u8]| match query.judge(message, false) {
            Verdict::Ignore => None,
            verdict => Some(verdict),
        };
        // TLS has much to remember: not in the future of everybody who might need it.
        Box::pin(connection.ask(dial, self.timer, self.config.timeout, &bytes, judge)).await
    }

    /// One question from a port of its own; `None` without an answer.
    async fn datagram(
        &self,
        server: SocketAddr,
        name: Name<'_>,
        rtype: RecordType,
        edns: bool,
    ) -> Option<Verdict> {
        let (query, bytes) = self.query(name, rtype, edns)?;
        let socket = self.udp.bind(0).await.ok()?;
        socket.send_to(&bytes, server).await.ok()?;
        let mut reply = alloc::vec![0; 4096];
        let answer = timeout(self.timer, self.config.timeout, async {
            loop {
                let (length, from) = socket.recv_from(&mut reply).await.ok()?;
                if from != server {
                    continue;
                }
                match query.judge(reply.get(..length).unwrap_or(&[]), true) {
                    Verdict::Ignore => {}
                    verdict => return Some(verdict),
                }
            }
        });
        answer.await.ok().flatten()
    }

    async fn stream(
        &self,
        server: &NameServer,
        name: Name<'_>,
        rtype: RecordType,
        edns: bool,
    ) -> Option<Verdict> {
        let (query, bytes) = self.query(name, rtype, edns)?;
        let (timer, patience) = (self.timer, self.config.timeout);
        let exchange = Exchange { query: &bytes, timer, patience };
        let reply = talk(self.dial, server, timer, patience, exchange).await.ok()?;
        Some(query.judge(&reply, false))
    }
}
