//! Two hosts and a wire between them that loses, delays, reorders, duplicates and repeats itself from a seed.
use crate::{
    tcp::{Config, Handle, Heap, HeapLimits, IpOutput, Limits, ListenerHandle, Route, Storage, Tcp},
    wire::tcp::{Flags, Header, Segment},
};
use airglow_device::{Endpoint, Full, Instant};
use core::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// xorshift64*.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n.max(1)
    }
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// What the wire does to a packet.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub loss: u64,
    /// Longer IP payloads are swallowed without a word.
    pub hole: usize,
    /// ECN-capable packets that are marked.
    pub mark: u64,
    pub duplicate: u64,
    pub reorder: u64,
    pub delay: Duration,
    pub jitter: Duration,
    /// IP payload that fits a packet.
    pub mtu: usize,
    pub tso: usize,
    /// Packets one `poll_transmit` may send.
    pub ring: usize,
    /// Coalesce what arrives in one piece when it was sent so.
    pub gro: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0,
            mark: 0,
            hole: usize::MAX,
            duplicate: 0,
            reorder: 0,
            delay: Duration::from_millis(5),
            jitter: Duration::ZERO,
            mtu: 1480,
            tso: 0,
            ring: 256,
            gro: false,
        }
    }
}

/// A packet under way: payload and GRO size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub bytes: Vec<u8>,
    pub gro: u16,
    /// The two ECN bits.
    pub ecn: u8,
}

impl Packet {
    pub fn header(&self) -> Header {
        Header::parse(&Segment::new_checked(&self.bytes).unwrap())
    }
    pub fn data(&self) -> &[u8] {
        Segment::new_checked(&self.bytes).unwrap().payload()
    }
}

/// The transmit side of a host's network card.
pub struct Ring<'a> {
    pub addr: IpAddr,
    pub link: Link,
    pub sent: &'a mut Vec<Packet>,
    pub left: usize,
}

impl IpOutput for Ring<'_> {
    fn route(&mut self, _dst: IpAddr) -> Option<Route> {
        Some(Route { source: self.addr, mtu: self.link.mtu, tso: self.link.tso })
    }
    fn largest(&mut self, _dst: IpAddr) -> usize {
        self.link.mtu
    }
    fn send(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        ecn: u8,
        len: usize,
        tso_segment: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full> {
        if self.left == 0 {
            return Err(Full);
        }
        self.left -= 1;
        let mut bytes = vec![0xaa; len];
        fill(&mut bytes);
        assert_eq!(src, self.addr);
        if tso_segment == 0 {
            assert!(len <= self.link.mtu, "{len} bytes do not fit the packet");
            self.sent.push(Packet { src, dst, bytes, gro: 0, ecn });
        } else if self.link.gro {
            self.sent.push(Packet { src, dst, bytes, gro: tso_segment, ecn });
        } else {
            for bytes in cut(&bytes, tso_segment.into()) {
                assert!(bytes.len() <= self.link.mtu);
                self.sent.push(Packet { src, dst, bytes, gro: 0, ecn });
            }
        }
        Ok(())
    }
}

/// What a device with TSO does.
fn cut(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let segment = Segment::new_checked(bytes).unwrap();
    let header = Header::parse(&segment);
    let pieces: Vec<&[u8]> = segment.payload().chunks(size).collect();
    let count = pieces.len();
    let one = |(i, piece): (usize, &&[u8])| {
        let mut header = header;
        header.sequence = header.sequence.wrapping_add((i * size) as u32);
        if i + 1 < count {
            header.flags = Flags(header.flags.0 & !(Flags::FIN | Flags::PSH).0);
        }
        let mut out = vec![0; header.len()];
        header.emit(&mut out);
        out.extend_from_slice(piece);
        out
    };
    pieces.iter().enumerate().map(one).collect()
}

pub const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

pub type Host = Tcp<Heap<(), ()>>;

pub fn heap(buffers: usize) -> Heap<(), ()> {
    Heap::new(HeapLimits { buffers: Limits { receive: buffers, send: buffers }, ..HeapLimits::default() })
}

/// Hosts at [`A`] and [`B`] and the wire.
pub struct Pair<S: Storage = Heap<(), ()>> {
    pub now: Instant,
    pub hosts: [Tcp<S>; 2],
    pub link: Link,
    pub random: Random,
    under_way: BinaryHeap<Reverse<(Instant, u64, Packet)>>,
    count: u64,
}

impl Pair {
    pub fn new(seed: u64, link: Link, buffers: usize, config: Config) -> Self {
        Self::with(seed, link, config, [heap(buffers), heap(buffers)])
    }
}

impl<S: Storage> Pair<S> {
    pub fn with(seed: u64, link: Link, config: Config, [a, b]: [S; 2]) -> Self {
        let (mut one, mut two) = ([1; 32], [2; 32]);
        one[..8].copy_from_slice(&seed.to_le_bytes());
        two[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            now: Instant::from_secs(1000),
            hosts: [Tcp::new(a, config, one), Tcp::new(b, config, two)],
            link,
            random: Random::new(seed),
            under_way: BinaryHeap::new(),
            count: 0,
        }
    }

    pub fn listen(&mut self, backlog: u16) -> ListenerHandle {
        self.hosts[1].listen(Endpoint::from(80), backlog).unwrap()
    }

    pub fn connect(&mut self) -> Handle {
        let mut sent = Vec::new();
        let mut ring = Ring { addr: A, link: self.link, sent: &mut sent, left: 1 };
        self.hosts[0].connect(self.now, SocketAddr::new(B, 80), &mut ring).unwrap()
    }

    fn send(&mut self, packets: Vec<Packet>) {
        for mut packet in packets {
            if packet.bytes.len() > self.link.hole || self.random.chance(self.link.loss) {
                continue;
            }
            // A router that marks instead of dropping.
            if packet.ecn != 0 && self.random.chance(self.link.mark) {
                packet.ecn = 3;
            }
            let copies = 1 + u64::from(self.random.chance(self.link.duplicate));
            for _ in 0..copies {
                let mut at = self.now + self.link.delay;
                if self.random.chance(self.link.reorder) {
                    at += self.link.jitter / 8 * self.random.below(9) as u32;
                }
                self.count += 1;
                self.under_way.push(Reverse((at, self.count, packet.clone())));
            }
        }
    }

    /// Lets both hosts send what they have; returns whether they did.
    pub fn transmit(&mut self) -> bool {
        let mut any = false;
        for (host, addr) in [(0, A), (1, B)] {
            let mut sent = Vec::new();
            let mut ring = Ring { addr, link: self.link, sent: &mut sent, left: self.link.ring };
            let done = self.hosts[host].poll_transmit(self.now, &mut ring);
            any |= !sent.is_empty() || !done;
            self.send(sent);
        }
        any
    }

    /// Delivers the next packet or runs the next timer; `false` when nothing will ever happen.
    pub fn step(&mut self) -> bool {
        self.transmit();
        for host in &mut self.hosts {
            while host.next_ready().is_some() || host.next_acceptable().is_some() {}
        }
        let arrival = self.under_way.peek().map(|Reverse((at, ..))| *at);
        let timers = self.hosts.iter().filter_map(|host| host.poll_timeout()).min();
        let Some(next) = [arrival, timers].into_iter().flatten().min() else { return false };
        self.now = self.now.max(next);
        while let Some(Reverse((at, ..))) = self.under_way.peek() {
            if *at > self.now {
                break;
            }
            let Reverse((_, _, packet)) = self.under_way.pop().unwrap();
            self.deliver(packet);
        }
        true
    }

    /// A packet reaches its host.
    pub fn deliver(&mut self, packet: Packet) {
        let (host, addr) = match packet.dst {
            A => (0, A),
            B => (1, B),
            _ => return,
        };
        let mut sent = Vec::new();
        let mut ring = Ring { addr, link: self.link, sent: &mut sent, left: 8 };
        self.hosts[host].input(
            self.now,
            packet.src,
            packet.dst,
            packet.ecn,
            &packet.bytes,
            packet.gro,
            &mut ring,
        );
        self.send(sent);
    }

    /// Steps until `done`, or nothing happens any more, or `limit` has passed. Returns whether `done`.
    pub fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        let (mut at, mut turns) = (self.now, 0);
        while self.now <= end {
            turns = if at == self.now { turns + 1 } else { 0 };
            at = self.now;
            let timeouts = [0, 1].map(|i: usize| self.hosts[i].poll_timeout());
            assert!(turns < 10_000, "time stands still at {at:?}, deadlines {timeouts:?}");
            if done(self) {
                return true;
            }
            if !self.step() {
                self.transmit();
                return done(self);
            }
        }
        false
    }

    /// Opens a connection from A to B; returns both handles.
    pub fn establish(&mut self, listener: ListenerHandle) -> (Handle, Handle) {
        let client = self.connect();
        let mut server = None;
        self.run(Duration::from_secs(300), |pair| {
            server = server.or_else(|| pair.hosts[1].accept(listener));
            server.is_some()
        });
        (client, server.expect("the connection is established"))
    }

    pub fn in_transit(&self) -> usize {
        self.under_way.len()
    }
}

/// Byte number `at` of the stream `stream`.
pub fn byte(stream: u64, at: u64) -> u8 {
    let x = (at / 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xff51_afd7_ed55_8ccd);
    (x >> 32) as u8 ^ at as u8
}
