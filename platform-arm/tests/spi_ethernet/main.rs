//! Ethernet chips on SPI, whole: our stack, the adapter, the embassy project's driver, a model of the chip, an Ethernet in memory, and
//! another host on it. In real time: the drivers' clock is the machine's.
mod bus;
mod enc28j60_chip;
mod w5500_chip;

use airglow_device::{
    Caps, EthernetSegment, Instant, LinkState, MacAddr, NetDevice, NetRx, NetTx, Read, SeededEntropy,
    SegmentPort, Stream, Tcp, Udp, UdpSocket,
};
use airglow_http::{Error, Exchange, Limits as HttpLimits, Method, Router, Server, Status};
use airglow_net::{Cidr, InterfaceConfig, Ipv4Config, Limits, Stack, tcp::Heap};
use airglow_platform_arm::{
    driver::Stages,
    embassy::{Adapted, Shared},
    spi::{GuardedEnc28j60, GuardedW5500},
};
use airglow_runtime::{ThreadPark, block_on, sleep, timeout};
use bus::{Bus, ResetPin};
use embassy_net_enc28j60::Enc28j60;
use embassy_net_wiznet::chip::W5500;
use enc28j60_chip::{Enc28j60Chip, Lie};
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::{Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};
use w5500_chip::{InterruptPin, W5500Chip};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const LIMIT: Duration = Duration::from_secs(60);
/// More than the pointers of a W5500 count before they begin anew, more than the ring of an ENC28J60 holds.
const LARGE: usize = 200_000;

fn large(at: usize) -> u8 {
    (at * 31 + at / 251) as u8
}

async fn page(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    static PAGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| (0..LARGE).map(large).collect());
    exchange.respond(Status::OK).content_type("application/octet-stream").send(&PAGE).await
}

fn stack<D: NetDevice>(device: D, clock: &ThreadPark, number: u8) -> Stack<'static, D, &ThreadPark, Heap> {
    let entropy = SeededEntropy::predictable(number.into());
    let stack = Stack::new([device], clock, &entropy, Limits::default(), Heap::default());
    let address = Cidr::new(Ipv4Addr::new(10, 0, 0, number), 24);
    stack.configure(0, &InterfaceConfig::ipv4(Ipv4Config::new(address))).unwrap();
    stack
}

/// Polls all of them whenever one is woken, until the first ends.
async fn until_first(mut futures: Vec<Pin<&mut dyn Future<Output = ()>>>) {
    poll_fn(|cx| {
        let first = futures[0].as_mut().poll(cx);
        for future in &mut futures[1..] {
            let _ = future.as_mut().poll(cx);
        }
        first
    })
    .await;
}

/// Another host on the segment, frame by frame: it answers ARP and pings.
struct Raw<'c> {
    port: SegmentPort,
    clock: &'c ThreadPark,
}

impl Raw<'_> {
    fn send(&mut self, frame: &[u8]) {
        let tx = self.port.split().1;
        tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(frame)).unwrap();
        tx.flush();
    }

    fn checksum(bytes: &[u8]) -> [u8; 2] {
        let sum: u32 =
            bytes.chunks(2).map(|p| u32::from(p[0]) << 8 | p.get(1).map_or(0, |&b| b.into())).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        (!(((sum & 0xffff) + (sum >> 16)) as u16)).to_be_bytes()
    }

    fn echo_request(sequence: u16, payload: usize) -> Vec<u8> {
        let mut icmp = vec![8, 0, 0, 0, 0x12, 0x34];
        icmp.extend(sequence.to_be_bytes());
        icmp.extend((0..payload).map(large));
        let sum = Self::checksum(&icmp);
        icmp[2..4].copy_from_slice(&sum);
        let mut ip = vec![0x45, 0];
        ip.extend((20 + icmp.len() as u16).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 2]);
        let sum = Self::checksum(&ip);
        ip[10..12].copy_from_slice(&sum);
        [&MAC.0[..], &PEER.0, &[8, 0], &ip, &icmp].concat()
    }

    /// Whether the board answers a ping within `patience`, to the byte.
    async fn ping(&mut self, sequence: u16, payload: usize, patience: Duration) -> bool {
        let request = Self::echo_request(sequence, payload);
        self.send(&request);
        let deadline = self.clock.now_plus(patience);
        loop {
            let mut answer = None;
            let mut asked = false;
            self.port.split().0.receive(64, |frame, _| match frame.get(12..14) {
                Some([8, 6]) if frame.get(38..42) == Some(&[10, 0, 0, 9]) => asked = true,
                Some([8, 0]) if frame.get(23) == Some(&1) && frame.get(34) == Some(&0) => {
                    answer = Some(frame.to_vec());
                }
                _ => {}
            });
            if asked {
                let mut arp = [&MAC.0[..], &PEER.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &PEER.0].concat();
                arp.extend([10, 0, 0, 9]);
                arp.extend(MAC.0);
                arp.extend([10, 0, 0, 2]);
                self.send(&arp);
            }
            if let Some(answer) = answer
                && answer.get(40..42) == Some(&sequence.to_be_bytes())
            {
                assert_eq!(answer.get(42..42 + payload), request.get(42..), "the payload comes back");
                return true;
            }
            if airglow_device::Clock::now(self.clock) > deadline {
                return false;
            }
            sleep(self.clock, Duration::from_millis(2)).await;
        }
    }

    /// Pings until there is an answer.
    async fn reach(&mut self, sequence: u16) {
        for _ in 0..40 {
            if self.ping(sequence, 56, Duration::from_millis(300)).await {
                return;
            }
        }
        panic!("the board no longer answers");
    }
}

trait NowPlus {
    fn now_plus(&self, duration: Duration) -> Instant;
}
impl NowPlus for ThreadPark {
    fn now_plus(&self, duration: Duration) -> Instant {
        airglow_device::Clock::now(self) + duration
    }
}

/// What is tried once the usual things have worked, with the other host on the wire.
type Trial<'t> = &'t dyn for<'r, 'c> Fn(&'r mut Raw<'c>) -> Pin<Box<dyn Future<Output = ()> + 'r>>;

/// Ping, UDP and HTTP through `device`, then `trial`, then a ping once more.
fn works<D: NetDevice>(clock: &ThreadPark, segment: &EthernetSegment, device: D, trial: Trial<'_>) {
    let board = stack(device, clock, 2);
    let client = stack(segment.join(MacAddr([2, 0, 0, 0, 0, 1]), Caps::new(1500)), clock, 1);
    let mut raw = Raw { port: segment.join(PEER, Caps::new(1500)), clock };
    let client_run = pin!(async { match client.run().await {} });
    let board_run = pin!(async { match board.run().await {} });
    let http = pin!(async {
        let router = Router::new().route(Method::Get, "/page", page);
        let listener = board.listen(80).await.unwrap();
        Server::new(HttpLimits::default()).serve::<4, _, _>(&listener, &router, clock).await;
    });
    let echo = pin!(async {
        let socket = board.bind(7).await.unwrap();
        let mut buf = [0; 1500];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            socket.send_to(&buf[..len], from).await.unwrap();
        }
    });
    let mut all = pin!(async {
        raw.reach(1).await;
        assert!(raw.ping(2, 1472, Duration::from_secs(5)).await, "the largest frame");
        assert!(raw.ping(3, 0, Duration::from_secs(5)).await, "the smallest");

        let socket = client.bind(0).await.unwrap();
        let mut buf = [0; 1500];
        for count in 0..120u8 {
            let question: Vec<u8> = (0..1400).map(|at| large(at + usize::from(count))).collect();
            loop {
                socket.send_to(&question, SocketAddr::from(([10, 0, 0, 2], 7))).await.unwrap();
                let answer = timeout(clock, Duration::from_secs(2), socket.recv_from(&mut buf)).await;
                if let Ok(answer) = answer {
                    assert_eq!(buf[..answer.unwrap().0], question);
                    break;
                }
            }
        }

        let mut stream = client.connect(SocketAddr::from(([10, 0, 0, 2], 80))).await.unwrap();
        let request = b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        airglow_device::Write::write_all(&mut stream, request).await.unwrap();
        let mut answer = Vec::new();
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => break,
                len => answer.extend(&buf[..len]),
            }
        }
        let _ = stream.close().await;
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(answer[head..].iter().copied().eq((0..LARGE).map(large)), "the page, to the byte");

        trial(&mut raw).await;
        raw.reach(1000).await;
    });
    let test = async {
        let mut guarded = pin!(async {
            assert!(timeout(clock, LIMIT, all.as_mut()).await.is_ok(), "not done after {LIMIT:?}");
        });
        until_first(vec![guarded.as_mut(), client_run, board_run, http, echo]).await;
    };
    block_on(clock, test);
}

/// A W5500, its driver and the adapter, tried.
fn w5500(
    trial: impl for<'r, 'c> Fn(Rc<RefCell<W5500Chip>>, &'r mut Raw<'c>) -> Pin<Box<dyn Future<Output = ()> + 'r>>,
) -> (u32, Rc<RefCell<W5500Chip>>) {
    let (clock, segment) = (ThreadPark::new(), EthernetSegment::new());
    let chip = Rc::new(RefCell::new(W5500Chip::new(segment.join(MAC, Caps::new(1500)))));
    let mended = Cell::new(0);
    let mut state = embassy_net_wiznet::State::<4, 4>::new();
    let bus = GuardedW5500::new(Bus(chip.clone()), &mended);
    let made = embassy_net_wiznet::new::<4, 4, W5500, _, _, _>(
        MAC.0,
        &mut state,
        bus,
        InterruptPin(chip.clone()),
        ResetPin,
    );
    let (device, runner) = block_on(&clock, made).unwrap();
    let runner = pin!(async {
        runner.run().await;
    });
    // `run` never ends; its type is not yet one that can be named.
    let runner = pin!(async {
        runner.await;
        unreachable!()
    });
    let (shared, mut stages) = (Shared::new(device), Stages::new());
    let card = Adapted::new(&shared, &mut stages, &clock).unwrap().with_runner(runner);
    works(&clock, &segment, card, &|raw| trial(chip.clone(), raw));
    (mended.get(), chip)
}

#[test]
fn a_w5500_serves_and_survives_a_flood() {
    let (mended, chip) = w5500(|chip, raw| {
        Box::pin(async move {
            // Without a pause: only so many fit into 16 KiB.
            for sequence in 0..60 {
                raw.send(&Raw::echo_request(sequence, 1000));
            }
            sleep(raw.clock, Duration::from_millis(50)).await;
            assert!(chip.borrow().overruns > 20, "{}", chip.borrow().overruns);
        })
    });
    assert_eq!(mended, 0);
    assert_eq!(chip.borrow().commands.iter().filter(|&&c| c == 0x10).count(), 0, "never closed");
}

#[test]
fn a_w5500_that_lies_about_lengths_is_brought_back() {
    let lies = [0, 1, 15, 1517, 4000, 0xffff];
    let (mended, _) = w5500(|chip, raw| {
        Box::pin(async move {
            for (sequence, lie) in lies.into_iter().enumerate() {
                chip.borrow_mut().lie = Some(lie);
                raw.send(&Raw::echo_request(500, 100));
                raw.reach(10 + sequence as u16).await;
                assert!(chip.borrow().lie.is_none());
            }
        })
    });
    assert_eq!(mended, 6, "each lie is counted");
}

#[test]
fn a_w5500_follows_its_cable() {
    let (clock, segment) = (ThreadPark::new(), EthernetSegment::new());
    let chip = Rc::new(RefCell::new(W5500Chip::new(segment.join(MAC, Caps::new(1500)))));
    let mut state = embassy_net_wiznet::State::<1, 1>::new();
    let made = embassy_net_wiznet::new::<1, 1, W5500, _, _, _>(
        MAC.0,
        &mut state,
        Bus(chip.clone()),
        InterruptPin(chip),
        ResetPin,
    );
    let (device, runner) = block_on(&clock, made).unwrap();
    let runner = pin!(async {
        runner.run().await;
    });
    let runner = pin!(async {
        runner.await;
        unreachable!()
    });
    let (shared, mut stages) = (Shared::new(device), Stages::new());
    let mut card = Adapted::new(&shared, &mut stages, &clock).unwrap().with_runner(runner);
    assert_eq!((card.link(), card.mac(), card.caps().mtu), (LinkState::Down, MAC, 1500));
    let mut becomes = |state| {
        let change = poll_fn(|cx| {
            let _ = card.poll_ready(cx, false);
            if card.link() == state { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        block_on(&clock, timeout(&clock, Duration::from_secs(5), pin!(change))).unwrap();
    };
    becomes(LinkState::Up);
    segment.set_link(MAC, LinkState::Down);
    becomes(LinkState::Down);
    segment.set_link(MAC, LinkState::Up);
    becomes(LinkState::Up);
}

/// An ENC28J60, its driver and the adapter, tried.
///
/// The driver has its buffers in statics: two of it at a time would share them.
fn enc28j60(
    trial: impl for<'r, 'c> Fn(
        Rc<RefCell<Enc28j60Chip>>,
        &'r mut Raw<'c>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'r>>,
) -> (u32, Rc<RefCell<Enc28j60Chip>>) {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let (clock, segment) = (ThreadPark::new(), EthernetSegment::new());
    let chip = Rc::new(RefCell::new(Enc28j60Chip::new(segment.join(MAC, Caps::new(1500)))));
    let mended = Cell::new(0);
    let bus = GuardedEnc28j60::new(Bus(chip.clone()), &mended);
    let driver = Enc28j60::new(bus, None::<ResetPin>, MAC.0);
    let (shared, mut stages) = (Shared::new(driver), Stages::new());
    let card = Adapted::new(&shared, &mut stages, &clock).unwrap().polled(Duration::from_millis(1));
    works(&clock, &segment, card, &|raw| trial(chip.clone(), raw));
    (mended.get(), chip)
}

#[test]
fn an_enc28j60_serves_and_survives_a_flood_and_a_stopped_transmitter() {
    let (mended, chip) = enc28j60(|chip, raw| {
        Box::pin(async move {
            for sequence in 0..60 {
                raw.send(&Raw::echo_request(sequence, 1000));
            }
            sleep(raw.clock, Duration::from_millis(50)).await;
            assert!(chip.borrow().overruns > 20, "{}", chip.borrow().overruns);
            raw.reach(99).await;
            chip.borrow_mut().stall = true;
            assert!(!raw.ping(100, 56, Duration::from_millis(300)).await, "this answer is lost");
            raw.reach(101).await;
            assert!(chip.borrow().transmit_resets > 0);
        })
    });
    assert_eq!((mended, chip.borrow().receive_resets), (0, 0));
}

#[test]
fn an_enc28j60_that_lies_is_brought_back() {
    let lies = [
        Lie::Length(0),
        Lie::Length(1519),
        Lie::Length(1600),
        Lie::Length(0xffff),
        Lie::Next(1),
        Lie::Next(0x1a00),
        Lie::Error,
    ];
    let (mended, chip) = enc28j60(|chip, raw| {
        Box::pin(async move {
            for (sequence, lie) in lies.into_iter().enumerate() {
                chip.borrow_mut().lie = Some(lie);
                raw.send(&Raw::echo_request(500, 100));
                raw.reach(10 + sequence as u16).await;
                assert!(chip.borrow().lie.is_none());
            }
        })
    });
    assert_eq!((mended, chip.borrow().receive_resets), (7, 7), "each lie is counted");
}
