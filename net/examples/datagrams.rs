//! UDP questions that a responder of a whole stack answers in place, for counting instructions: `datagrams DATAGRAMS`. Nothing but what lies
//! inside `answer_batch` is of interest; `benches/tests/instructions.rs` has callgrind count it.
use airglow_device::{
    Caps, Clock, Full, Instant, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, SeededEntropy, Timer,
    TxFrame, Udp, complete_checksum, describe_checksum,
};
use airglow_net::{InterfaceConfig, Ipv4Config, Limits, Stack, tcp::Heap};
use std::{
    cell::Cell,
    env,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Datagrams that a turn of the stack handles.
const BATCH: usize = 64;
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// A card in memory: frames that are received again and again, and room for one that is sent.
struct Card {
    rx: Waiting,
    tx: Sent,
}

struct Waiting {
    frames: Vec<Vec<u8>>,
    /// How many of them wait.
    count: Rc<Cell<usize>>,
}

struct Sent {
    frame: [u8; 1514],
    count: Rc<Cell<usize>>,
}

impl NetRx for Waiting {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let count = self.count.get().min(budget);
        self.frames.iter_mut().take(count).for_each(|bytes| frame(bytes, RxMeta::default()));
        self.count.set(self.count.get() - count);
        count
    }
}

impl NetTx for Sent {
    fn capacity(&self) -> usize {
        BATCH
    }
    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        let mut frame = TxFrame::new(self.frame.get_mut(..len).ok_or(Full)?);
        let result = fill(&mut frame);
        if frame.bytes.get(12..14) == Some(&[8, 0]) {
            self.count.set(self.count.get() + 1);
        }
        Ok(result)
    }
    fn flush(&mut self) {}
}

impl NetDevice for Card {
    type Rx = Waiting;
    type Tx = Sent;
    fn caps(&self) -> Caps {
        // As AF_XDP on a veth pair.
        Caps::new(1500).with_checksums(true, true)
    }
    fn mac(&self) -> MacAddr {
        OWN
    }
    fn stats(&self) -> NetStats {
        NetStats::default()
    }
    fn split(&mut self) -> (&mut Waiting, &mut Sent) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, _: &mut Context<'_>, _: bool) -> Poll<()> {
        Poll::Pending
    }
}

/// Time that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::from_secs(10)
    }
}

impl Timer for Still {
    fn wake_at(&self, _: Instant, _: &Waker) {}
}

/// A batch of questions arrives and is answered.
#[inline(never)]
fn answer_batch(respond: Pin<&mut impl Future>) {
    let polled = respond.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// A question from 10.0.0.1 port 4000 to 10.0.0.2 port 7, with its checksums.
fn question(number: u8) -> Vec<u8> {
    let ip = [0x45, 0, 0, 92, 0, 0, 0x40, 0, 64, 17, 0x26, 0x8f, 10, 0, 0, 1, 10, 0, 0, 2];
    let udp = [4000_u16.to_be_bytes(), 7_u16.to_be_bytes(), 72_u16.to_be_bytes(), [0xff, 0xff]].concat();
    let mut frame = [&OWN.0[..], &PEER.0, &[8, 0], &ip, &udp, &[number; 64]].concat();
    let meta = describe_checksum(&mut frame).expect("UDP");
    assert!(complete_checksum(&mut frame, meta));
    frame
}

/// "Who has 10.0.0.2? Tell 10.0.0.1": after it our stack knows who that is.
fn introduction() -> Vec<u8> {
    let head = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &PEER.0, &head, &PEER.0, &[10, 0, 0, 1], &[0; 6], &[10, 0, 0, 2], &[0; 18]].concat()
}

fn main() {
    let wanted: usize = env::args().nth(1).and_then(|n| n.parse().ok()).expect("datagrams DATAGRAMS");
    let (waiting, sent) = (Rc::new(Cell::new(1)), Rc::new(Cell::new(0)));
    let frames = [introduction()].into_iter().chain((1..BATCH).map(|n| question(n as u8))).collect();
    let card = Card {
        rx: Waiting { frames, count: waiting.clone() },
        tx: Sent { frame: [0; 1514], count: sent.clone() },
    };
    let entropy = SeededEntropy::predictable(1);
    let stack = Stack::new([card], Still, &entropy, Limits::default(), Heap::default());
    let own = Ipv4Config::new("10.0.0.2/24".parse().expect("an address"));
    stack.configure(0, &InterfaceConfig::ipv4(own)).expect("an interface");
    let mut respond = pin!(stack.respond(7, |_, question: &[u8], reply: &mut [u8]| {
        reply.get_mut(..question.len())?.copy_from_slice(question);
        Some(question.len())
    }));
    assert!(respond.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    sent.set(0);
    while sent.get() < wanted {
        waiting.set(BATCH);
        answer_batch(respond.as_mut());
        assert!(sent.get() > 0);
    }
    println!("{}", sent.get());
}
