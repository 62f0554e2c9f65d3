//! One bulk flow between two `Tcp`s in memory, for counting instructions: `segments clean|lossy SEGMENTS`. Nothing but what lies inside
//! the three functions that are never inlined is of interest; `benches/tests/instructions.rs` has callgrind count it.
use airglow_device::{Endpoint, Full, Instant};
use airglow_net::tcp::{Config, Handle, Heap, HeapLimits, IpOutput, Limits, Route, Tcp};
use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

type Host = Tcp<Heap<(), ()>>;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// Segments that a turn of the stack handles.
const BATCH: usize = 64;
static BYTES: [u8; 1 << 20] = [7; 1 << 20];

/// The transmit ring of a card: packets in place, whose memory is used again.
struct Ring {
    address: IpAddr,
    packets: Vec<[u8; 1600]>,
    lengths: Vec<usize>,
}

impl Ring {
    fn new(address: IpAddr) -> Self {
        Self { address, packets: vec![[0; 1600]; BATCH], lengths: Vec::with_capacity(BATCH) }
    }
    fn take(&mut self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().zip(&self.lengths).map(|(packet, len)| &packet[..*len])
    }
}

impl IpOutput for Ring {
    fn route(&mut self, _dst: IpAddr) -> Option<Route> {
        Some(Route { source: self.address, mtu: 1480, tso: 0 })
    }
    fn send(
        &mut self,
        _src: IpAddr,
        _dst: IpAddr,
        _ecn: u8,
        len: usize,
        _tso_segment: u16,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Full> {
        let packet = self.packets.get_mut(self.lengths.len()).ok_or(Full)?;
        fill(&mut packet[..len]);
        self.lengths.push(len);
        Ok(())
    }
}

/// What may go goes to `out`.
#[inline(never)]
fn send_batch(host: &mut Host, now: Instant, out: &mut Ring) {
    host.poll_transmit(now, out);
}

/// Data arrives, is read, and is acknowledged to `out`.
#[inline(never)]
fn receive_batch(host: &mut Host, now: Instant, handle: Handle, arrived: &[&[u8]], out: &mut Ring) -> usize {
    for segment in arrived {
        host.input(now, A, B, 0, segment, 0, out);
    }
    let mut read = 0;
    while let Ok(Some(n @ 1..)) = host.read_with(now, handle, 0, |bytes| (bytes.len(), bytes.len())) {
        read += n;
    }
    host.poll_transmit(now, out);
    read
}

/// Acknowledgments arrive.
#[inline(never)]
fn acknowledge_batch(host: &mut Host, now: Instant, arrived: &[&[u8]], out: &mut Ring) {
    for segment in arrived {
        host.input(now, B, A, 0, segment, 0, out);
    }
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let (lossy, wanted) = match words.as_slice() {
        [kind, n] if kind == "clean" || kind == "lossy" => {
            (kind == "lossy", n.parse::<usize>().expect("a number"))
        }
        _ => panic!("segments clean|lossy SEGMENTS"),
    };
    let host = |secret| {
        let buffers = Limits { receive: 512 << 10, send: 512 << 10 };
        let mut limits = HeapLimits::default();
        limits.buffers = buffers;
        Host::new(Heap::new(limits), Config::default(), [secret; 32])
    };
    let (mut a, mut b) = (host(1), host(2));
    let (mut to_b, mut to_a) = (Ring::new(A), Ring::new(B));
    let mut now = Instant::from_secs(1);
    let listener = b.listen(Endpoint::from(80), 1).expect("a free port");
    let client = a.connect(now, SocketAddr::new(B, 80), &mut to_b).expect("a route");
    let mut server = None;
    let (mut read, mut sent, mut received, mut acknowledged) = (0, 0, 0, 0);
    while read < wanted * 1448 {
        now += Duration::from_micros(500);
        while a.write_static(now, client, &BYTES).is_ok_and(|n| n > 0) {}
        send_batch(&mut a, now, &mut to_b);
        let first = sent;
        sent += to_b.lengths.len();
        let kept = |i: usize| !lossy || !(first + i).is_multiple_of(50);
        let arrived: Vec<&[u8]> = to_b.take().enumerate().filter(|(i, _)| kept(*i)).map(|(_, p)| p).collect();
        match server {
            Some(server) => {
                received += arrived.len();
                read += receive_batch(&mut b, now, server, &arrived, &mut to_a);
            }
            None => {
                arrived.iter().for_each(|segment| b.input(now, A, B, 0, segment, 0, &mut to_a));
                server = b.accept(listener);
            }
        }
        drop(arrived);
        to_b.lengths.clear();
        let arrived: Vec<&[u8]> = to_a.take().collect();
        acknowledged += arrived.len();
        acknowledge_batch(&mut a, now, &arrived, &mut to_b);
        drop(arrived);
        to_a.lengths.clear();
    }
    println!("{sent} sent, {received} received, {acknowledged} acknowledgments");
}
