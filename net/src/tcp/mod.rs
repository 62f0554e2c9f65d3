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
//! User calls ([`Tcp::write`], [`Tcp::close`], ...) only change state; what they cause to be sent goes out with the next
//! [`Tcp::poll_transmit`], so a batch of writes costs one flush.
use airglow_device::Full;
use core::net::IpAddr;

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
    /// `tso_segment`: the TCP payload size the device cuts at, 0 for one segment. `ecn`: the two ECN bits of the IP header.
    /// [`Full`]: the transmit ring has no room, nothing was sent, `fill` was not called; the caller tries again when there is.
    /// A packet that IP cannot send for another reason (neighbour unknown yet, route gone) is IP's to queue or drop: `Ok`.
    fn send(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        ecn: u8,
        len: usize,
        tso_segment: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full>;
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

/// Where the memory of connections lives.
pub trait Storage {
    /// What the caller keeps beside each connection (the async shell: its wakers).
    type Connection: Default;
    /// What the caller keeps beside each listener.
    type Listener: Default;
}

/// Names a connection that belongs to the caller, from [`Tcp::connect`] or [`Tcp::accept`] to [`Tcp::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Names a listener, from [`Tcp::listen`] to [`Tcp::unlisten`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerHandle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Times, limits and sizes; every one has a default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {}

/// Counters of the whole of TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpStats {}

/// All of TCP.
#[derive(Debug)]
pub struct Tcp<S> {
    storage: S,
    stats: TcpStats,
}

impl<S: Storage> Tcp<S> {
    /// A TCP without listeners or connections. `secret`: 32 bytes of the platform's entropy, for sequence numbers,
    /// port numbers and hash tables.
    pub fn new(storage: S, config: Config, secret: [u8; 32]) -> Self {
        let _ = (config, secret);
        Self { storage, stats: TcpStats::default() }
    }

    /// Takes one segment (an IP payload of protocol 6 whose checksum is right), or several that the device coalesced
    /// (`gro_segment` is then the payload size of each, else 0). `src` must be a unicast address and `dst` one of this
    /// host's own: the IP side drops all else. Resets and challenge ACKs go straight to `out`; all else waits for
    /// [`poll_transmit`](Self::poll_transmit).
    #[allow(clippy::too_many_arguments)]
    pub fn input(
        &mut self,
        now: airglow_device::Instant,
        src: IpAddr,
        dst: IpAddr,
        ecn: u8,
        segment: &[u8],
        gro_segment: u16,
        out: &mut impl IpOutput,
    ) {
        let _ = (now, src, dst, ecn, segment, gro_segment, out, &mut self.storage);
    }

    /// An ICMP error that quotes a segment from `src` (ours) to `dst`; `quoted` is what it quotes of the TCP header,
    /// at least the first 8 bytes. Checked as RFC 5927 says.
    pub fn unreachable(
        &mut self,
        now: airglow_device::Instant,
        error: IcmpError,
        src: IpAddr,
        dst: IpAddr,
        quoted: &[u8],
    ) {
        let _ = (now, error, src, dst, quoted);
    }

    /// Runs the timers that are due and sends everything that may go now: data, acknowledgments, retransmissions, probes,
    /// resets. Returns `false` when `out` was full and there is more to send: call again when the device has room.
    pub fn poll_transmit(&mut self, now: airglow_device::Instant, out: &mut impl IpOutput) -> bool {
        let _ = (now, out);
        true
    }

    /// When [`poll_transmit`](Self::poll_transmit) must be called at the latest; `None`: not before the next event.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<airglow_device::Instant> {
        None
    }

    /// What the caller keeps beside a connection that became readable, writable, established or failed since it was
    /// last returned here; `None`: no more.
    pub fn next_ready(&mut self) -> Option<&mut S::Connection> {
        None
    }

    /// What the caller keeps beside a listener that has a new connection to accept; `None`: no more.
    pub fn next_acceptable(&mut self) -> Option<&mut S::Listener> {
        None
    }

    /// Counters.
    pub fn stats(&self) -> &TcpStats {
        &self.stats
    }
}
