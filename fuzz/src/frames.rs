//! The path of a frame: a whole stack with applications behind an Ethernet in memory.
use airglow_device::{
    Caps, EthernetSegment, MacAddr, ManualClock, NetDevice, NetRx, NetTx, Parameters, Read, SeededEntropy,
    SegmentPort, Stream, Tcp, TxMeta, Udp, UdpSocket, Write, complete_checksum, cut_segments,
    describe_checksum,
};
use airglow_net::{InterfaceConfig, Limits, Stack, tcp::Heap};
use airglow_runtime::for_each_connection;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const MTU: usize = 1500;
/// Frames that one frame or one step of the clock may cause.
const ANSWERS: usize = 300;

/// The port of the echo services.
const ECHO: [u8; 2] = [0, 7];

const REPAIR: u8 = 1;
const LIVE: u8 = 2;
const WAIT: u8 = 0x80;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A host under fuzz: a stack with an echo service over TCP (port 7) and UDP (port 7) and a connection of its own to
/// 10.0.0.2 port 9, and the peer's card.
pub struct Host {
    clock: Rc<ManualClock>,
    peer: SegmentPort,
    tasks: Vec<Task>,
    /// What the stack last said over TCP: from port 7, and from any other.
    heard: [Option<Heard>; 2],
    said: Said,
}

/// What a host has sent: frames of each kind, and bytes of TCP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// ARP packets.
    pub arp: usize,
    /// ICMP for IPv4.
    pub icmpv4: usize,
    /// ICMP for IPv6, neighbour discovery included.
    pub icmpv6: usize,
    /// UDP datagrams.
    pub udp: usize,
    /// TCP segments.
    pub tcp: usize,
    /// Bytes of TCP payload over IPv4, retransmissions included.
    pub tcp_payload: usize,
}

impl Said {
    fn count(&mut self, frame: &[u8]) {
        match (u16::from_be_bytes([frame[12], frame[13]]), frame.get(20), frame.get(23)) {
            (0x0806, ..) => self.arp += 1,
            (0x0800, _, Some(1)) => self.icmpv4 += 1,
            (0x86dd, Some(58), _) => self.icmpv6 += 1,
            (0x0800, _, Some(17)) | (0x86dd, Some(17), _) => self.udp += 1,
            (0x86dd, Some(6), _) => self.tcp += 1,
            (0x0800, _, Some(6)) => {
                self.tcp += 1;
                let len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
                self.tcp_payload += len - 20 - usize::from(frame[46] >> 4) * 4;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
struct Heard {
    ports: [u8; 4],
    next: u32,
    acknowledged: u32,
}

impl Host {
    /// A host with a fixed address (`dhcp` false), or one that asks for it.
    pub fn new(dhcp: bool) -> Self {
        let clock = Rc::new(ManualClock::new());
        let segment = EthernetSegment::new();
        let peer = segment.join(THEIRS, Caps::new(MTU)).promiscuous();
        let words = if dhcp { "dhcp" } else { "ipv4=10.0.0.1/24 gateway=10.0.0.254 ipv6=fd00::1/64" };
        let task_clock = clock.clone();
        let task: Task = Box::pin(async move {
            let card = segment.join(OURS, Caps::new(MTU));
            let entropy = SeededEntropy::predictable(1);
            let limits = Limits { datagrams: 16 * 1024, ..Limits::default() };
            let stack = Stack::new([card], &*task_clock, &entropy, limits, Heap::default());
            let mut config =
                InterfaceConfig::from_parameters(&Parameters::new(words)).expect("the words are right");
            config.dad_transmits = 0;
            stack.configure(0, &config).expect("there is room");
            let tcp_echo = async {
                let listener = stack.listen(7).await.expect("the port is free");
                for_each_connection::<16, _>(&listener, &*task_clock, async |mut stream| {
                    let mut buf = [0; 512];
                    while let Ok(len @ 1..) = stream.read(&mut buf).await {
                        if stream.write_all(&buf[..len]).await.is_err() {
                            return;
                        }
                    }
                    let _ = stream.close().await;
                })
                .await;
            };
            let udp_echo = async {
                let answer = |_, question: &[u8], reply: &mut [u8]| {
                    reply.get_mut(..question.len())?.copy_from_slice(question);
                    Some(question.len())
                };
                let _ = stack.respond(7, answer).await;
            };
            let client = async {
                loop {
                    if let Ok(mut stream) = stack.connect(([10, 0, 0, 2], 9).into()).await {
                        let mut buf = [0; 64];
                        let _ = stream.write_all(b"hello").await;
                        let _ = stream.read(&mut buf).await;
                        let _ = stream.close().await;
                    }
                    airglow_runtime::sleep(&*task_clock, Duration::from_secs(1)).await;
                }
            };
            let queue = async {
                let socket = stack.bind(9).await.expect("the port is free");
                let mut buf = [0; 100];
                while let Ok((len, from)) = socket.recv_from(&mut buf).await {
                    let _ = socket.send_to(&buf[..len.min(100)], from).await;
                }
            };
            let services = airglow_runtime::join(
                airglow_runtime::join(tcp_echo, udp_echo),
                airglow_runtime::join(client, queue),
            );
            airglow_runtime::join(stack.run(), services).await;
        });
        let mut host = Self { clock, peer, tasks: vec![task], heard: [None; 2], said: Said::default() };
        host.turn();
        host
    }

    /// Runs everything, then looks at what was sent.
    fn turn(&mut self) {
        for _ in 0..3 {
            for task in &mut self.tasks {
                let ended = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(ended.is_pending(), "the host runs for ever");
            }
        }
        let mut sent = 0;
        let (heard, said) = (&mut self.heard, &mut self.said);
        self.peer.split().0.receive(usize::MAX, |frame, _| {
            sent += 1;
            check(frame);
            said.count(frame);
            if let Some(segment) = hear(frame) {
                heard[usize::from(segment.ports[2..] != ECHO)] = Some(segment);
            }
        });
        assert!(sent <= ANSWERS, "{sent} frames at once");
    }

    /// What the host has sent so far.
    pub fn said(&self) -> Said {
        self.said
    }

    /// Moves the clock on by `by`.
    pub fn wait(&mut self, by: Duration) {
        self.clock.advance(by);
        self.turn();
    }

    /// Sends `frame` to the host. `repair` sets lengths and checksums right first; `live` makes a TCP segment one of the connection
    /// that the host last spoke on (with its port 7, or with any other), its numbers relative to what comes next there.
    pub fn receive(&mut self, frame: &[u8], repair: bool, live: bool) {
        let mut frame = frame.to_vec();
        frame.truncate(MTU + 14);
        if live {
            enliven(&mut frame, &self.heard);
        }
        if repair {
            set_right(&mut frame);
        }
        let tx = self.peer.split().1;
        let _ = tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame));
        tx.flush();
        self.turn();
    }
}

/// A frame that the stack sent: addressed by it, not too long, with right checksums and lengths.
fn check(frame: &mut [u8]) {
    assert!((14..=MTU + 14).contains(&frame.len()), "{} bytes", frame.len());
    assert_eq!(frame[6..12], OURS.0, "the source address");
    let before = frame.to_vec();
    if let Some(meta) = describe_checksum(frame) {
        assert!(complete_checksum(frame, meta));
    }
    assert_eq!(frame, before, "the transport checksum");
    match frame[12..14] {
        [0x08, 0x00] => {
            assert_eq!(sum(0, &frame[14..34]), 0xffff, "the IPv4 header checksum");
            let len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
            assert!(len <= frame.len() - 14, "the IPv4 length");
            if frame[23] == 1 {
                assert_eq!(sum(0, &frame[34..14 + len]), 0xffff, "the ICMP checksum");
            }
        }
        [0x86, 0xdd] => {
            let len = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
            assert!(len <= frame.len() - 54, "the IPv6 length");
            if frame[20] == 58 {
                let pseudo = sum(sum(58, &frame[22..54]), &(len as u32).to_be_bytes());
                assert_eq!(sum(pseudo, &frame[54..54 + len]), 0xffff, "the ICMPv6 checksum");
            }
        }
        [0x08, 0x06] => assert_eq!(frame[22..28], OURS.0, "the ARP sender"),
        _ => panic!("an unknown EtherType"),
    }
}

/// The sum of RFC 1071, folded.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = start + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// The numbers of a TCP segment over IPv4.
fn hear(frame: &[u8]) -> Option<Heard> {
    if frame.get(12..15)? != [0x08, 0x00, 0x45] || *frame.get(23)? != 6 {
        return None;
    }
    let tcp = frame.get(34..14 + usize::from(u16::from_be_bytes([frame[16], frame[17]])))?;
    let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
    let flags = *tcp.get(13)?;
    let payload = tcp.len() - usize::from(tcp.get(12)? >> 4) * 4;
    let next = word(4)?.wrapping_add(payload as u32 + u32::from(flags & 1) + u32::from(flags >> 1 & 1));
    Some(Heard { ports: [tcp[2], tcp[3], tcp[0], tcp[1]], next, acknowledged: word(8)? })
}

/// Makes a TCP segment over IPv4 one of the live connection; its own numbers count from where that is, as signed bytes.
fn enliven(frame: &mut [u8], heard: &[Option<Heard>; 2]) {
    if frame.get(12..15) != Some(&[0x08, 0x00, 0x45]) || frame.get(23) != Some(&6) {
        return;
    }
    let Some(tcp) = frame.get_mut(34..54) else { return };
    let Some(heard) = heard[usize::from(tcp[2..4] != ECHO)] else { return };
    tcp[..4].copy_from_slice(&heard.ports);
    for (at, base) in [(4, heard.acknowledged), (8, heard.next)] {
        let offset = i32::from(tcp[at + 3] as i8);
        tcp[at..at + 4].copy_from_slice(&base.wrapping_add_signed(offset).to_be_bytes());
    }
}

/// Sets the lengths and checksums of an IP packet right, so that it is not dropped before it is read.
fn set_right(frame: &mut [u8]) {
    let Some(kind) = frame.get(12..14) else { return };
    if kind == [0x08, 0x00] && frame.len() >= 34 {
        let len = (frame.len() - 14) as u16;
        frame[16..18].copy_from_slice(&len.to_be_bytes());
        let header = usize::from(frame[14] & 15) * 4;
        if header < 20 || frame.len() < 14 + header {
            return;
        }
        frame[24..26].fill(0);
        let checksum = !(sum(0, &frame[14..14 + header]) as u16);
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        let transport = 14 + header;
        match frame[23] {
            1 if frame.len() >= transport + 4 => {
                frame[transport + 2..transport + 4].fill(0);
                let checksum = !(sum(0, &frame[transport..]) as u16);
                frame[transport + 2..transport + 4].copy_from_slice(&checksum.to_be_bytes());
            }
            17 if frame.len() >= transport + 8 => {
                let len = (frame.len() - transport) as u16;
                frame[transport + 4..transport + 6].copy_from_slice(&len.to_be_bytes());
            }
            _ => {}
        }
    } else if kind == [0x86, 0xdd] && frame.len() >= 54 {
        let len = (frame.len() - 54) as u16;
        frame[18..20].copy_from_slice(&len.to_be_bytes());
        if frame[20] == 58 && frame.len() >= 58 {
            frame[56..58].fill(0);
            let pseudo = sum(sum(58, &frame[22..54]), &u32::from(len).to_be_bytes());
            let checksum = !(sum(pseudo, &frame[54..]) as u16);
            frame[56..58].copy_from_slice(&checksum.to_be_bytes());
        } else if frame[20] == 17 && frame.len() >= 62 {
            frame[58..60].copy_from_slice(&len.to_be_bytes());
        }
    } else {
        return;
    }
    if let Some(meta) = describe_checksum(frame) {
        complete_checksum(frame, meta);
    }
}

/// Records for a host: the first byte says whether it asks for its address; then each record is a byte of flags and
/// - with 0x80: time passes, the square of the other seven bits times 10 ms;
/// - else: a length in two bytes and a frame; 0x01 repairs it, 0x02 makes it live (see [`Host::receive`]).
pub fn frames(data: &[u8]) {
    let Some((first, records)) = data.split_first() else { return };
    let mut host = Host::new(first & 1 != 0);
    host.replay(records);
}

impl Host {
    /// The records of an input of [`frames`], without its first byte.
    pub fn replay(&mut self, records: &[u8]) {
        let mut rest = records;
        while let Some((flags, tail)) = rest.split_first() {
            rest = tail;
            if flags & WAIT != 0 {
                self.wait(Duration::from_millis(10) * u32::from(flags & 0x7f).pow(2));
                continue;
            }
            let Some((len, tail)) = tail.split_first_chunk() else { return };
            let len = usize::from(u16::from_be_bytes(*len)).min(tail.len());
            let (frame, tail) = tail.split_at(len);
            rest = tail;
            self.receive(frame, flags & REPAIR != 0, flags & LIVE != 0);
        }
    }
}

/// Any frame with any metadata through the software offloads: the first six bytes are the metadata.
pub fn offload(data: &[u8]) {
    let Some((meta, frame)) = data.split_first_chunk() else { return };
    let [s0, s1, o0, o1, t0, t1] = *meta;
    let meta = TxMeta::checksum(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([o0, o1]));
    let meta = meta.segments(u16::from_be_bytes([t0, t1]));
    let (mut parts, mut bytes) = (0, 0);
    let cut = cut_segments(&mut frame.to_vec(), meta, &mut [0; 1514], |part| {
        parts += 1;
        bytes += part.len();
    });
    if cut.is_some() {
        assert!(parts >= 1 && bytes >= frame.len(), "{parts} parts of {bytes} bytes");
    }
    let mut described = frame.to_vec();
    if let Some(meta) = describe_checksum(&mut described) {
        assert!(complete_checksum(&mut described, meta));
        let once = described.clone();
        assert_eq!(describe_checksum(&mut described), Some(meta));
        assert!(complete_checksum(&mut described, meta) && described == once, "once or twice is the same");
    }
}
