//! Floods as large as the line of the one who is asked for something: who is connected keeps at least half of his goodput, who is not still
//! connects, and memory stays in its bounds.
//!
//! The line to the victim has room for the flood and for the connection; where it has not, the queue before it drops what it likes.
use crate::streams::{byte, receive};
use airglow_device::{
    Caps, Clock, Entropy, MacAddr, NetDevice, NetRx, NetTx, Platform, Read, SeededEntropy, Stream, Tcp, Write,
};
use airglow_net::{
    checksum::Sum,
    tcp::{HeapLimits, Limits},
    wire::{
        arp, ethernet, ipv4, ipv6, protocol,
        tcp::{Flags, Header, Options},
    },
};
use airglow_platform_sim::{Machine, Outcome, seeds};
use airglow_runtime::{for_each_connection, sleep};
use std::{
    cell::{Cell, RefCell},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

const VICTIM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const VICTIM_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The first card of the first host.
const VICTIM_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PORT: u16 = 80;
/// Bytes of frames in a millisecond: 20 Mbit/s, the client's line. The victim's takes twice that.
const FLOOD: usize = 2500;
/// Bytes of buffers that each host may have.
const MEMORY: usize = 1 << 20;

/// What an attacker sends.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Opens connections from random addresses.
    Syn,
    /// Acknowledgments for the client's connection, and for none.
    Ack,
    /// Resets for it, whose sequence numbers are guesses.
    Reset,
    /// Fragments of packets that are never whole, overlapping or not.
    Fragments,
    /// ARP requests and answers of hosts that are not there, and some in the names of those who are.
    Arp,
    /// Neighbour solicitations and advertisements of hosts that are not there.
    Ndp,
    /// Frames of random bytes, and damaged or cut off ones.
    Random,
    /// All of it.
    All,
}

const KINDS: [Kind; 8] =
    [Kind::Syn, Kind::Ack, Kind::Reset, Kind::Fragments, Kind::Arp, Kind::Ndp, Kind::Random, Kind::All];

/// Makes frames.
struct Attacker {
    entropy: SeededEntropy,
    /// The client's port, which the attacker knows.
    port: u16,
}

impl Attacker {
    fn below(&self, bound: u64) -> u64 {
        self.entropy.u64() % bound
    }
    fn mac(&self) -> MacAddr {
        let [.., a, b, c] = self.entropy.u64().to_be_bytes();
        MacAddr([2, 0, 9, a, b, c])
    }
    /// A host in the victim's network, or anywhere.
    fn host(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.entropy.u64().to_be_bytes();
        if a < 128 { Ipv4Addr::new(10, 0, 0, 20 + d % 200) } else { Ipv4Addr::new(11 + a % 80, b, c, d) }
    }

    fn frame(&self, ethertype: ethernet::EtherType, dst: MacAddr, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; ethernet::HEADER_LEN + payload.len()];
        let header = ethernet::Repr { src: self.mac(), dst, ethertype };
        header.emit(&mut bytes).unwrap()[..payload.len()].copy_from_slice(payload);
        bytes
    }
    fn ipv4(&self, src: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header = ipv4::Repr {
            src,
            dst: VICTIM,
            protocol,
            ttl: 64,
            traffic_class: 0,
            identification: self.entropy.u64() as u16,
            dont_fragment: false,
            payload_len: payload.len(),
        };
        let mut bytes = vec![0; ipv4::HEADER_LEN + payload.len()];
        header.emit(&mut bytes).unwrap().copy_from_slice(payload);
        bytes
    }
    fn segment(&self, src: Ipv4Addr, port: u16, flags: Flags) -> Vec<u8> {
        let options = if flags.has(Flags::SYN) {
            Options { mss: Some(1460), sack_permitted: true, ..Options::default() }
        } else {
            Options::default()
        };
        let header = Header {
            source_port: port,
            destination_port: PORT,
            sequence: self.entropy.u64() as u32,
            acknowledgment: self.entropy.u64() as u32,
            flags,
            window: 1000,
            options,
        };
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        let sum = Sum::pseudo_header(src.into(), VICTIM.into(), protocol::TCP, bytes.len()).bytes(&bytes);
        bytes[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        self.frame(ethernet::EtherType::IPV4, VICTIM_MAC, &self.ipv4(src, protocol::TCP, &bytes))
    }
    /// In the client's name, half of the time.
    fn stray(&self, flags: Flags) -> Vec<u8> {
        if self.below(2) == 0 {
            self.segment(CLIENT, self.port, flags)
        } else {
            self.segment(self.host(), self.entropy.u64() as u16, flags)
        }
    }

    fn one(&self, kind: Kind) -> Vec<u8> {
        match kind {
            Kind::Syn => self.segment(self.host(), self.entropy.u64() as u16, Flags::SYN),
            Kind::Ack => self.stray(Flags::ACK),
            Kind::Reset => self.stray(if self.below(2) == 0 { Flags::RST } else { Flags::RST | Flags::ACK }),
            Kind::Fragments => {
                let mut payload = vec![0; 8 * (1 + self.below(100) as usize)];
                self.entropy.fill(&mut payload);
                let mut packet = self.ipv4(self.host(), protocol::UDP, &payload);
                // More fragments, and an offset; few identifications, so that some meet.
                packet[4..6].copy_from_slice(&(self.below(500) as u16).to_be_bytes());
                packet[6..8].copy_from_slice(&(0x2000 | self.below(200) as u16).to_be_bytes());
                packet[10..12].fill(0);
                let sum = Sum::ZERO.bytes(&packet[..ipv4::HEADER_LEN]).finish();
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                self.frame(ethernet::EtherType::IPV4, VICTIM_MAC, &packet)
            }
            Kind::Arp => {
                let reply = self.below(2) == 0;
                // The victim's, the client's, the other host's.
                let last = if self.below(20) == 0 { 1 + self.below(3) } else { 20 + self.below(200) };
                let message = arp::Repr {
                    operation: if reply { arp::Operation::Reply } else { arp::Operation::Request },
                    sender_mac: self.mac(),
                    sender_ip: Ipv4Addr::new(10, 0, 0, last as u8),
                    target_mac: VICTIM_MAC,
                    target_ip: VICTIM,
                };
                let mut bytes = [0; arp::LEN];
                message.emit(&mut bytes).unwrap();
                let dst = if reply { VICTIM_MAC } else { MacAddr::BROADCAST };
                self.frame(ethernet::EtherType::ARP, dst, &bytes)
            }
            Kind::Ndp => {
                let [.., a, b] = (self.entropy.u64() as u16).to_be_bytes();
                let src = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 9, u16::from_be_bytes([a, b]));
                // A solicitation of the victim's address or an advertisement of one's own, with a link-layer address.
                let advertises = self.below(2) == 0;
                let (kind, flags, target) = if advertises { (136, 0x60, src) } else { (135, 0, VICTIM_V6) };
                let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
                message.extend(target.octets());
                message.extend([if advertises { 2 } else { 1 }, 1]);
                message.extend(self.mac().0);
                let sum = Sum::pseudo_header(src.into(), VICTIM_V6.into(), protocol::ICMPV6, message.len());
                let sum = sum.bytes(&message).finish();
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let header = ipv6::Repr {
                    src,
                    dst: VICTIM_V6,
                    next_header: protocol::ICMPV6,
                    hop_limit: 255,
                    traffic_class: 0,
                    flow_label: 0,
                    payload_len: message.len(),
                };
                let mut bytes = vec![0; ipv6::HEADER_LEN + message.len()];
                header.emit(&mut bytes).unwrap().copy_from_slice(&message);
                self.frame(ethernet::EtherType::IPV6, VICTIM_MAC, &bytes)
            }
            Kind::Random => {
                let kind = KINDS[self.below(6) as usize];
                let mut frame = self.one(kind);
                // ARP has no checksum: a bit turned over may make it a claim in the client's or the victim's name.
                match self.below(3) {
                    0 => frame.truncate(14 + self.below(frame.len() as u64 - 14) as usize),
                    1 => self.entropy.fill(&mut frame[14..]),
                    _ => {
                        let at = 14 + self.below(frame.len() as u64 - 14) as usize;
                        frame[at] ^= 1 << self.below(8);
                    }
                }
                frame
            }
            Kind::All => self.one(KINDS[self.below(7) as usize]),
        }
    }
}

/// Takes what comes, counts what the first client sends, and notes its port.
async fn serve(machine: &Machine<'_>, got: &Cell<u64>, port: &Cell<u16>) -> Outcome {
    let listener = machine.tcp().listen(PORT).await.map_err(|e| e.to_string())?;
    let first = Cell::new(true);
    match for_each_connection::<64, _>(&listener, machine.timer(), async |mut stream| {
        let counts = first.replace(false);
        if counts {
            port.set(stream.peer().map_or(0, |peer| peer.port()));
        }
        let (mut at, mut buf) = (0, [0; 5000]);
        while let Ok(len @ 1..) = stream.read(&mut buf).await {
            if counts {
                let right = (at..).zip(&buf[..len]).all(|(at, octet)| *octet == byte(1, 0, at));
                assert!(right, "a byte between {at} and {} is wrong", at + len as u64);
                at += len as u64;
                got.set(at);
            } else {
                // RFC 862, for those who connect during the flood.
                let _ = stream.write_all(&buf[..len]).await;
            }
        }
    })
    .await {}
}

/// Sends without end.
async fn pour(machine: &Machine<'_>) -> Outcome {
    let to = SocketAddr::new(VICTIM.into(), PORT);
    let mut stream = machine.tcp().connect(to).await.map_err(|e| e.to_string())?;
    let mut at = 0;
    loop {
        let chunk: Vec<u8> = (at..at + 4000).map(|at| byte(1, 0, at)).collect();
        stream.write_all(&chunk).await.map_err(|e| format!("{e:?}"))?;
        at += 4000;
    }
}

/// Connects, and has a few bytes back.
async fn knock(machine: &Machine<'_>) -> Outcome {
    sleep(machine.timer(), Duration::from_secs(5)).await;
    let to = SocketAddr::new(VICTIM.into(), PORT);
    let mut stream = machine.tcp().connect(to).await.map_err(|e| format!("connecting: {e}"))?;
    let sent: Vec<u8> = (0..100).map(|at| byte(2, 1, at)).collect();
    stream.write_all(&sent).await.map_err(|e| format!("{e:?}"))?;
    receive(&mut stream, 2, 1, 100).await
}

#[test]
fn who_is_connected_keeps_half_of_his_goodput_under_a_flood() {
    let shares: RefCell<[(f64, u32); KINDS.len()]> = RefCell::new([(0.0, 0); KINDS.len()]);
    seeds("floods", 1..=8, |run| {
        let (got, port) = (Cell::new(0), Cell::new(0));
        let simulation = run.simulation();
        let which = run.seed() as usize % KINDS.len();
        let lan = simulation.segment("lan");
        let victim = simulation.host("victim", "");
        victim.plug(&lan, "ipv4=10.0.0.1/24 ipv6=fd00::1/64 rate=40mbit queue=300");
        let mut limits = HeapLimits::default();
        (limits.connections, limits.half_open, limits.memory) = (100, 64, MEMORY);
        limits.buffers = Limits { receive: 256 << 10, send: 256 << 10 };
        victim.tcp_limits(limits);
        let (seen, named) = (&got, &port);
        victim.run(async move |machine: &Machine<'_>| serve(machine, seen, named).await);
        let client = simulation.host("client", "");
        let delay = 1 + simulation.below(20);
        client.plug(&lan, &format!("ipv4=10.0.0.2/24 ipv6=off delay={delay}ms rate=20mbit queue=100"));
        client.run(async |machine: &Machine<'_>| pour(machine).await);
        let other = simulation.host("other", "");
        other.plug(&lan, "ipv4=10.0.0.3/24 ipv6=off delay=5ms rate=20mbit queue=100");
        other.run(async |machine: &Machine<'_>| knock(machine).await);

        simulation.run_for(Duration::from_secs(2));
        let measure = |seconds: u64| {
            let before = got.get();
            for _ in 0..10 * seconds {
                simulation.run_for(Duration::from_millis(100));
                let usage = victim.with_stack(|stack| stack.tcp_usage()).unwrap();
                assert!(usage.buffers <= MEMORY && usage.connections <= 100, "{usage:?}");
                assert!(usage.half_open <= 64, "{usage:?}");
            }
            (got.get() - before) / seconds
        };
        let quiet = measure(2);
        assert!(quiet > 1_800_000, "{quiet} bytes a second without a flood");

        let attacker =
            Attacker { entropy: SeededEntropy::predictable(simulation.entropy().u64()), port: port.get() };
        let mut card = lan.ethernet().join(MacAddr([2, 0, 9, 9, 9, 9]), Caps::new(1500));
        let clock = simulation.clock().clone();
        let end = clock.now() + Duration::from_secs(4);
        let sent = std::rc::Rc::new(Cell::new(0_u64));
        let counter = std::rc::Rc::clone(&sent);
        simulation.spawn(async move {
            let mut budget = 0;
            while clock.now() < end {
                budget += FLOOD;
                while budget > 0 {
                    let frame = attacker.one(KINDS[which]);
                    budget = budget.saturating_sub(frame.len() + 20);
                    let (_, tx) = card.split();
                    if tx.capacity() == 0 {
                        tx.flush();
                    }
                    let _ = tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame));
                    counter.set(counter.get() + 1);
                }
                card.split().1.flush();
                // What comes back is nobody's.
                card.split().0.receive(1000, |_, _| {});
                sleep(&clock, Duration::from_millis(1)).await;
            }
        });
        let flooded = measure(4);
        let share = flooded as f64 / quiet as f64;
        let about = || {
            let stats = victim.with_stack(|stack| (stack.tcp_stats(), stack.ip_stats()));
            format!("{:?}: {share:.2} of {quiet} bytes a second, {stats:?}", KINDS[which])
        };
        assert!(share >= 0.5, "{}", about());
        assert!(sent.get() > 4000, "{} frames", sent.get());
        // Who connected in the midst of it was answered, at the latest when it was over.
        assert_eq!(simulation.block_on(other.ended()), Ok(()), "{}", about());
        // Timeouts under a flood may have left the sender a small window and a low threshold, from which it grows by a segment a round trip.
        let after: Vec<_> = (0..4).map(|_| measure(2)).collect();
        assert!(
            after.iter().any(|rate| *rate as f64 >= 0.9 * quiet as f64),
            "{after:?} afterwards, {}",
            about()
        );
        let mut shares = shares.borrow_mut();
        (shares[which].0, shares[which].1) = (shares[which].0 + share, shares[which].1 + 1);
    });
    for (kind, (sum, count)) in KINDS.iter().zip(shares.into_inner()).filter(|(_, (_, count))| *count > 0) {
        println!("{kind:?}: {:.0} % of the goodput without it", 100.0 * sum / f64::from(count));
    }
}
