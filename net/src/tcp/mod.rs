//! TCP (RFC 9293) as a sans-IO state machine: segments in, segments out, the time passed in.
//!
//! [`Tcp`] is the whole of it: listeners with their SYN and accept queues, connections, and what is left of them in
//! TIME-WAIT. It sees neither checksums nor IP headers, knows no socket, clock, waker or executor, and takes its
//! memory from a [`Storage`]: [`Heap`] (feature `alloc`) or [`Fixed`].
//!
//! A caller (the async [`Stack`](crate::Stack), a test, a simulation)
//!
//! 1. hands every segment for one of its addresses to [`Tcp::input`],
//! 2. then calls [`Tcp::poll_transmit`] once for the whole batch, and again when the device has room,
//! 3. drains [`Tcp::next_ready`] and [`Tcp::next_acceptable`] and wakes whom they name,
//! 4. sleeps until [`Tcp::poll_timeout`] at the latest and calls [`Tcp::poll_transmit`] then.
//!
//! | | done | not done |
//! |---|---|---|
//! | RFC 9293 | all states, both opens, both closes, resets, Nagle, silly windows both ways, persist, keep-alive, R2 | urgent data is delivered in line; R1 is not reported |
//! | RFC 5681, 6582, 6928, 6298 | slow start, fast retransmit and recovery, ten segments at first, RTO with Karn | the RTO's floor is 200 ms, not 1 s |
//! | RFC 2018, 6675, 2883 | both ways, bounded scoreboards, D-SACK both ways | rescue retransmission (RACK's probe does its work) |
//! | RFC 7323 | window scale, timestamps, PAWS | a segment without the agreed option is taken all the same |
//! | RFC 5961, 5927, 1337, 6191, 6528, 6056 | challenges, ICMP checks, TIME-WAIT protected and reused, keyed numbers and ports | - |
//! | RFC 4821 | a path that swallows large packets is found out by timeouts, small ones go through it, and probes with data find the largest that does, where the peer has SACK; known to all connections (and UDP) from then on, tried again after ten minutes | without SACK |
//! | RFC 5482 | the user timeout option, by choice, in SYNs and acknowledgments without data | it in SYN,ACKs |
//! | RFC 3168 | ECN granted to whom asks, asked for by choice ([`Ecn`]); marks echoed and answered | AccECN, ABE (8511) |
//! | congestion | [CUBIC](congestion::Cubic) (RFC 9438, the default), NewReno, [Westwood+'s](congestion::Westwood) floor under it; HyStart++ (RFC 9406), byte counting (RFC 3465), PRR (RFC 6937), unused windows (RFC 7661, but for idle ones: RFC 5681) | pacing |
//! | loss detection | RACK-TLP (RFC 8985); SACK or duplicate acknowledgments where it is left out or the peer has no SACK; what was no loss is taken back by timestamps or D-SACK (RFC 3522, 3708, 4015), and a timeout by F-RTO (RFC 5682) where there are no timestamps | - |
//! | overload | bounded SYN and accept queues, connections, buffers, TIME-WAIT; SYN cookies (RFC 4987) that keep window scale and SACK where there are timestamps; bounds on a peer's connections and receive buffers; receive windows that follow the reader and send buffers that follow the congestion window, within the budget | a bound on a peer's send buffers |
//! | observation | counters of the whole and of each connection ([`Info`]); a trace (feature `trace`) | - |
//!
//! CUBIC, Westwood+, RACK-TLP, F-RTO, the search of RFC 4821, SYN cookies and traces are features of this crate; an image leaves out what it has no room for.
//!
//! User calls ([`Tcp::write`], [`Tcp::close`], ...) only change state; what they cause to be sent goes out with the next
//! [`Tcp::poll_transmit`], so a batch of writes costs one flush.
mod buffer;
pub mod congestion;
mod connection;
#[cfg(feature = "syn-cookies")]
mod cookie;
mod flight;
mod info;
mod input;
mod isn;
mod listener;
#[cfg(feature = "plpmtud")]
mod plpmtud;
#[cfg(feature = "rack")]
mod rack;
mod reassembly;
mod receiver;
mod recovery;
mod rtt;
mod segments;
mod sender;
mod sequence;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod time_wait;
mod transmit;
mod user;
#[cfg(feature = "user-timeout")]
mod user_timeout;

pub use connection::{Connection, State};
pub use info::Info;
#[cfg(feature = "trace")]
pub use info::Sample;
pub use listener::{HalfOpen, Listening};
pub use sequence::Seq;
pub use storage::{Array, Fixed, Limits, ListenerRecord, Memory, Parts, Pool, Record, Storage};
#[cfg(feature = "alloc")]
pub use storage::{Growing, Heap, HeapLimits};
#[cfg(feature = "alloc")]
pub use table::VecRows;
pub use table::{ArrayRows, Inline, Link, Rows, Table};
pub use time_wait::TimeWait;

pub(crate) use crate::Error;
use airglow_device::{Full, Instant};
use core::{net::IpAddr, time::Duration};

/// The way to a destination, as IP sees it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The local address to send from.
    pub source: IpAddr,
    /// The largest IP payload (TCP header and data) that fits one packet: path MTU less the IP header.
    pub mtu: usize,
    /// The largest IP payload the device cuts into segments itself (TSO); 0 when it cannot.
    pub tso: usize,
}

/// What TCP asks of IP.
pub trait IpOutput {
    /// The way to `dst`; `None` when there is no route.
    fn route(&mut self, dst: IpAddr) -> Option<Route>;

    /// Sends one IP packet of protocol 6 whose payload is `len` bytes, written by `fill`.
    ///
    /// `fill` writes every byte. The checksum field is left zero: the IP side completes it or leaves it to the device.
    /// `tso_segment`: the TCP payload size the device cuts at, 0 for one segment. `traffic_class`: the field of the IP header, ECN
    /// in its two lowest bits.
    /// [`Full`]: the transmit ring has no room, nothing was sent, `fill` was not called; the caller tries again when there is.
    /// A packet that IP cannot send for another reason (neighbour unknown yet, route gone) is IP's to queue or drop: `Ok`.
    fn send(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        traffic_class: u8,
        len: usize,
        tso_segment: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full>;

    /// The largest IP payload to `dst` that is not known to be too large, for a search (RFC 4821); at least what
    /// [`route`](Self::route) says. 0, where there is no search.
    fn largest(&mut self, dst: IpAddr) -> usize {
        let _ = dst;
        0
    }

    /// IP payloads of `mtu` bytes get through to `dst`, larger ones do not or it is not known, and such of more than `most` do not.
    fn path_found(&mut self, dst: IpAddr, mtu: usize, most: usize) {
        let _ = (dst, mtu, most);
    }
}

/// An ICMP error about a segment that this side sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcmpError {
    /// Protocol, port or (administratively) host unreachable: what RFC 1122 section 4.2.3.9 calls a hard error.
    Hard,
    /// Network or host unreachable, time exceeded, source route failed: a soft error.
    Soft,
    /// Packet too big or fragmentation needed: the next hop takes packets of this many bytes, IP header included.
    TooBig(usize),
}

/// Names a connection that belongs to the caller, from [`Tcp::connect`] or [`Tcp::accept`] to [`Tcp::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// Names a listener, from [`Tcp::listen`] to [`Tcp::unlisten`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerHandle {
    index: u32,
    generation: u32,
}

/// A connection's name: both addresses and both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub local: IpAddr,
    pub remote: IpAddr,
    pub local_port: u16,
    pub remote_port: u16,
}

/// Explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ecn {
    /// Neither asked for nor granted.
    Off,
    /// Granted to a peer that asks. The default.
    #[default]
    Accept,
    /// Asked for in connections that this side opens, too.
    Offer,
}

/// Times and choices; every one has a default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How long an acknowledgment may wait for data to travel with: 40 ms (RFC 9293 section 3.8.6.3: below 500 ms).
    pub delayed_ack: Duration,
    /// The least retransmission timeout: 200 ms. RFC 6298 section 2.4 says 1 s and allows less where it is found to do better.
    pub least_timeout: Duration,
    /// How long unacknowledged data is sent again before the connection is given up (R2): 120 s.
    pub user_timeout: Duration,
    /// Tell peers how long that is, and heed what they tell (RFC 5482), within the limits below; not at first.
    #[cfg(feature = "user-timeout")]
    pub exchange_user_timeouts: bool,
    /// A user timeout that a peer asks for is taken as no less than this: 100 s.
    #[cfg(feature = "user-timeout")]
    pub least_user_timeout: Duration,
    /// And as no more than this, for how long a peer may hold what a connection takes: an hour.
    #[cfg(feature = "user-timeout")]
    pub most_user_timeout: Duration,
    /// The same for a SYN: 180 s.
    pub connect_timeout: Duration,
    /// How long a connection that the user let go waits in FIN-WAIT-2 for the peer to close: 60 s.
    pub fin_wait_2: Duration,
    /// 2 MSL: 60 s. RFC 9293 section 3.4.1 takes MSL as 2 minutes; 30 s is the common choice.
    pub time_wait: Duration,
    /// The backlog of a listener opened through `airglow_device::Tcp`: 128.
    pub backlog: u16,
    /// How often a SYN,ACK is sent again: 5 times, 63 s in all.
    pub syn_ack_retries: u8,
    /// The least time between two answers of one connection to segments that may be forged (RFC 5961 section 7): 50 ms.
    pub challenge_interval: Duration,
    /// How new connections answer congestion.
    pub congestion: congestion::Congestion,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// After so many timeouts in a row of a full-sized segment smaller ones are tried: 3. 0: never.
    pub black_hole_timeouts: u8,
    /// Probe with larger segments where those sent are smaller than both links take (RFC 4821).
    #[cfg(feature = "plpmtud")]
    pub probe_sizes: bool,
    /// The most connections that one peer's address may have opened to this host; a further one is reset. No bound at first.
    pub peer_connections: usize,
    /// The most bytes of buffers that the connections of one peer's address may hold; beyond, no receive buffer grows. No bound at first.
    pub peer_memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delayed_ack: Duration::from_millis(40),
            least_timeout: Duration::from_millis(200),
            user_timeout: Duration::from_secs(120),
            #[cfg(feature = "user-timeout")]
            exchange_user_timeouts: false,
            #[cfg(feature = "user-timeout")]
            least_user_timeout: Duration::from_secs(100),
            #[cfg(feature = "user-timeout")]
            most_user_timeout: Duration::from_secs(3600),
            connect_timeout: Duration::from_secs(180),
            fin_wait_2: Duration::from_secs(60),
            time_wait: Duration::from_secs(60),
            backlog: 128,
            syn_ack_retries: 5,
            challenge_interval: Duration::from_millis(50),
            congestion: congestion::Congestion::default(),
            timestamps: true,
            sack: true,
            ecn: Ecn::default(),
            black_hole_timeouts: 3,
            #[cfg(feature = "plpmtud")]
            probe_sizes: true,
            peer_connections: usize::MAX,
            peer_memory: usize::MAX,
        }
    }
}

/// Counters of the whole of TCP. They wrap after 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpStats {
    /// Segments received; several coalesced ones count once.
    pub segments_received: u64,
    /// Segments handed to IP; one that the device cuts counts once.
    pub segments_sent: u64,
    /// Bytes of data received in order.
    pub bytes_received: u64,
    /// Bytes of data sent, retransmissions included.
    pub bytes_sent: u64,
    /// Segments that were not a TCP header (dropped).
    pub malformed: u64,
    /// Segments outside the window or with an impossible acknowledgment (answered or dropped).
    pub unacceptable: u64,
    /// Segments that belong to no connection and no listener (answered with a reset).
    pub no_connection: u64,
    /// SYNs dropped because the SYN queue was full.
    pub syn_queue_full: u64,
    /// SYNs answered with a cookie because the SYN queue was full.
    pub syn_cookies_sent: u64,
    /// Connections that came of a cookie.
    pub syn_cookies_accepted: u64,
    /// Acknowledgments of a SYN,ACK that had no valid cookie (answered with a reset).
    pub syn_cookies_refused: u64,
    /// Connections reset because their peer had as many as it may have.
    pub peer_connections_full: u64,
    /// Buffers not enlarged because their peer's connections held as much as they may.
    pub peer_memory_full: u64,
    /// Last acknowledgments of a handshake dropped because the accept queue was full.
    pub accept_queue_full: u64,
    /// The same, and connects refused, because there was no place for another connection.
    pub connections_full: u64,
    /// Handshakes given up: no answer to our SYN,ACK.
    pub handshakes_abandoned: u64,
    /// Connections that reached ESTABLISHED.
    pub established: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Times fast retransmit began.
    pub fast_retransmits: u64,
    /// Segments with data sent again.
    pub retransmitted: u64,
    /// Probes of the end of a flight that got no answer (RFC 8985 section 7).
    pub tail_probes: u64,
    /// Connections that went on with small segments because large ones got no answer.
    pub black_holes: u64,
    /// Segments larger than the usual ones, sent to see whether they get through (RFC 4821).
    pub size_probes: u64,
    /// Probes of a closed window.
    pub window_probes: u64,
    /// Keep-alive probes.
    pub keep_alives: u64,
    /// Challenge acknowledgments.
    pub challenge_acks: u64,
    /// Valid resets received.
    pub resets_received: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Entries of TIME-WAIT that gave way to newer ones.
    pub time_wait_evicted: u64,
    /// Connections that gave up: no answer to data.
    pub timed_out: u64,
}

/// All of TCP.
#[derive(Debug)]
pub struct Tcp<S> {
    storage: S,
    config: Config,
    secret: isn::Secret,
    stats: TcpStats,
    /// Counts ephemeral ports.
    port_counter: u32,
    #[cfg(feature = "trace")]
    samples: info::Samples,
}

impl<S: Storage> Tcp<S> {
    /// A TCP without listeners or connections. `secret`: 32 bytes of the platform's entropy, for sequence numbers,
    /// port numbers and hash tables.
    pub fn new(storage: S, config: Config, secret: [u8; 32]) -> Self {
        Self {
            storage,
            config,
            secret: isn::Secret::new(secret),
            stats: TcpStats::default(),
            port_counter: 0,
            #[cfg(feature = "trace")]
            samples: info::Samples::default(),
        }
    }

    /// When [`poll_transmit`](Self::poll_transmit) must be called at the latest; `None`: not before the next event.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.storage.next_deadline()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// [`poll_transmit`](Self::poll_transmit) may have something to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.storage.has_output()
    }

    /// Counters.
    pub fn stats(&self) -> &TcpStats {
        &self.stats
    }

    /// Connections, established or about to be; entries of the SYN queue; entries in TIME-WAIT; bytes of buffers in use.
    pub fn usage(&mut self) -> Usage {
        let parts = self.storage.parts();
        Usage {
            connections: parts.connections.len(),
            half_open: parts.half_open.len(),
            time_wait: parts.time_wait.len(),
            buffers: parts.pool.used(),
        }
    }
}

/// What is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Connections, also those over but not yet released by their user.
    pub connections: usize,
    /// Entries of the SYN queue.
    pub half_open: usize,
    /// Entries in TIME-WAIT.
    pub time_wait: usize,
    /// Bytes of buffers from a heap.
    pub buffers: usize,
}
