//! The card against a backend in the same process: one that keeps to the protocol, and one that does not.
use super::*;
use crate::drivers::{
    grant::{Access, GrantRef},
    ring::peer::BackRing,
};
use airglow_device::{NetRx, NetTx, RxMeta, TxMeta};
use alloc::{boxed::Box, rc::Rc, vec, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    task::Waker,
};

/// A grant table in which the backend can look pages up.
#[derive(Clone, Default)]
struct Table(Rc<RefCell<Vec<Option<Entry>>>>);

/// The page's address, what may be done with it, whether the backend is at it.
type Entry = (usize, Access, bool);

impl Table {
    /// The backend's use of a page, as a copy in the hypervisor does it.
    fn page(&self, grant: u32) -> Option<(*mut u8, Access)> {
        let (address, access, _) = self.0.borrow().get(grant as usize).copied()??;
        Some((core::ptr::with_exposed_provenance_mut(address), access))
    }
    fn write(&self, grant: u32, offset: usize, bytes: &[u8]) -> bool {
        let Some((page, Access::ReadWrite)) = self.page(grant) else { return false };
        assert!(offset + bytes.len() <= 4096);
        // SAFETY: a granted page of 4096 bytes that the test's one thread does not look at just now.
        unsafe { page.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }
    fn read(&self, grant: u32, offset: usize, len: usize) -> Vec<u8> {
        let (page, _) = self.page(grant).expect("a page that is not granted");
        assert!(offset + len <= 4096);
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts(page.add(offset), len).to_vec() }
    }
    fn hold(&self, grant: u32, hold: bool) {
        if let Some(Some(entry)) = self.0.borrow_mut().get_mut(grant as usize) {
            entry.2 = hold;
        }
    }
}

impl Grants for Table {
    fn reserve(&self) -> Option<GrantRef> {
        let mut table = self.0.borrow_mut();
        table.push(None);
        Some(GrantRef(table.len() as u32 - 1))
    }
    fn release(&self, _: GrantRef) {}
    fn permit(&self, grant: GrantRef, domain: DomainId, page: *const u8, access: Access) {
        assert_eq!(domain, 0);
        self.0.borrow_mut()[grant.0 as usize] = Some((page.expose_provenance(), access, false));
    }
    fn revoke(&self, grant: GrantRef) -> bool {
        let mut table = self.0.borrow_mut();
        let entry = &mut table[grant.0 as usize];
        if entry.is_some_and(|(_, _, held)| held) {
            return false;
        }
        *entry = None;
        true
    }
}

#[derive(Clone, Default)]
struct Bell(Rc<Cell<u32>>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.set(self.0.get() + 1);
    }
    fn register(&self, _: &Waker) {}
}

const ALL: Features =
    Features { checksum_v4: true, checksum_v6: true, scatter_gather: true, gso_v4: true, gso_v6: true };

struct Bench {
    card: Netfront<'static, Table, Bell>,
    table: Table,
    bell: Bell,
    rx: BackRing<'static, 2>,
    tx: BackRing<'static, 3>,
}

fn bench(features: Features) -> Bench {
    // Tests end before anybody could want these pages back.
    let pages: [&'static RingPage; 2] = [Box::leak(Box::default()), Box::leak(Box::default())];
    let (table, bell) = (Table::default(), Bell::default());
    let sizes = Sizes { rx_pages: 64, tx_pages: 64 };
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let card =
        Netfront::new((pages[0], pages[1]), mac, 1500, features, sizes, 0, table.clone(), bell.clone())
            .unwrap();
    Bench { card, table, bell, rx: BackRing::new(pages[0]), tx: BackRing::new(pages[1]) }
}

/// A frame as the backend sees it: its bytes, the first slot's flags, the segment size.
type Sent = (Vec<u8>, u16, Option<(u16, u8)>);

impl Bench {
    fn send(&mut self, len: usize, meta: TxMeta) -> bool {
        let (_, tx) = self.card.split();
        let sent = tx.transmit(len, |frame| {
            for (i, byte) in frame.bytes.iter_mut().enumerate() {
                *byte = (i * 31) as u8;
            }
            if len > 60 {
                frame.bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
                frame.bytes[20] = 0;
                frame.bytes[21] = 0;
                frame.bytes[23] = 6;
            }
            frame.meta = meta;
        });
        sent.is_ok()
    }

    /// What a proper backend takes off the transmit ring, with its answers.
    fn take(&mut self) -> Option<Sent> {
        let first = self.tx.request()?;
        let (total, flags) = ((first[2] >> 16) as usize, (first[1] >> 16) as u16);
        let mut extra = None;
        if flags & wire::EXTRA_INFO != 0 {
            let words = self.tx.request().expect("an extra-information slot");
            assert_eq!(words[0] as u8, wire::EXTRA_GSO);
            extra = Some(((words[0] >> 16) as u16, words[1] as u8));
        }
        let mut slots = vec![first];
        while slots[slots.len() - 1][1] >> 16 & u32::from(wire::MORE_DATA) != 0 {
            slots.push(self.tx.request().expect("the frame's next slot"));
        }
        let rest: usize = slots[1..].iter().map(|s| (s[2] >> 16) as usize).sum();
        let mut bytes = Vec::new();
        for (i, slot) in slots.iter().enumerate() {
            let size = if i == 0 { total - rest } else { (slot[2] >> 16) as usize };
            bytes.extend(self.table.read(slot[0], (slot[1] & 0xffff) as usize, size));
        }
        assert_eq!(bytes.len(), total);
        for (i, slot) in slots.iter().enumerate() {
            self.tx.respond([slot[2] & 0xffff, 0, 0]);
            if i == 0 && extra.is_some() {
                self.tx.respond([(wire::STATUS_NULL as u32) << 16 | 0xabcd, 0, 0]);
            }
        }
        self.tx.publish();
        Some((bytes, flags, extra))
    }

    /// A proper backend gives a frame of these pieces.
    fn give(&mut self, pieces: &[&[u8]], flags: u16, gso: Option<u16>) {
        for (i, piece) in pieces.iter().enumerate() {
            let request = self.rx.request().expect("a receive buffer");
            assert!(self.table.write(request[1], 0, piece));
            let more = if i + 1 < pieces.len() { wire::MORE_DATA } else { 0 };
            let extra = if i == 0 && gso.is_some() { wire::EXTRA_INFO } else { 0 };
            let flags = more | extra | if i == 0 { flags } else { 0 };
            self.rx.respond([request[0] & 0xffff, u32::from(flags) | (piece.len() as u32) << 16]);
            if i == 0
                && let Some(segment) = gso
            {
                let _ = self.rx.request().expect("a slot for extra information");
                self.rx.respond([
                    u32::from(wire::EXTRA_GSO) | u32::from(segment) << 16,
                    u32::from(wire::GSO_TCPV4),
                ]);
            }
        }
        self.rx.publish();
    }

    fn received(&mut self) -> Vec<(Vec<u8>, RxMeta)> {
        let mut frames = Vec::new();
        while self.card.split().0.receive(8, |bytes, meta| frames.push((bytes.to_vec(), meta))) > 0 {}
        frames
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 13 + len) as u8).collect()
}

#[test]
fn frames_of_all_sizes_go_out_whole_and_the_pool_is_used_around() {
    let mut b = bench(ALL);
    for round in 0..400 {
        let len = [60, 1514, 2048, 2049, 4096, 9000, 40_000, 65_535][round % 8].min(b.card.tx.largest());
        assert!(b.send(len, TxMeta::NONE), "round {round}");
        b.card.split().1.flush();
        let (bytes, flags, extra) = b.take().unwrap();
        assert_eq!(bytes.len(), len);
        assert!(bytes.iter().enumerate().skip(24).all(|(i, b)| *b == (i * 31) as u8));
        assert_eq!((flags & !wire::MORE_DATA, extra), (0, None));
    }
    assert_eq!(b.card.closed(), None);
    assert_eq!(b.card.stats().tx_frames, 400);
}

#[test]
fn a_batch_rings_once_and_a_full_pool_says_so() {
    let mut b = bench(ALL);
    b.tx.sleep();
    let mut sent = 0;
    while b.send(1514, TxMeta::NONE) {
        sent += 1;
    }
    // 64 pages hold 128 ordinary frames.
    assert_eq!((sent, b.bell.0.get()), (128, 0));
    b.card.split().1.flush();
    b.card.split().1.flush();
    assert_eq!(b.bell.0.get(), 1);
    for _ in 0..sent {
        assert_eq!(b.take().unwrap().0.len(), 1514);
    }
    assert!(b.take().is_none());
    assert!(b.send(1514, TxMeta::NONE));
}

#[test]
fn offloads_are_left_to_a_backend_that_has_them() {
    let mut b = bench(ALL);
    assert!(b.send(20_000, TxMeta::checksum(34, 16).segments(1448)));
    b.card.split().1.flush();
    let (_, flags, extra) = b.take().unwrap();
    assert_eq!(flags & wire::TX_CHECKSUM_BLANK, wire::TX_CHECKSUM_BLANK);
    assert_eq!(extra, Some((1448, wire::GSO_TCPV4)));
    // Its answer to the extra slot is no answer to a request.
    assert!(b.send(60, TxMeta::NONE));
    assert_eq!(b.card.closed(), None);

    let mut b = bench(Features { checksum_v4: false, ..ALL });
    assert!(b.send(200, TxMeta::checksum(34, 16)));
    b.card.split().1.flush();
    let (bytes, flags, _) = b.take().unwrap();
    assert_eq!(flags, 0);
    let mut expected = bytes.clone();
    expected[50..52].copy_from_slice(&[(50 * 31) as u8, (51 * 31) as u8]);
    checksum::complete(&mut expected, 34, 16);
    assert_eq!(bytes, expected);
}

#[test]
fn a_shortened_frame_goes_short_and_an_emptied_one_not_at_all() {
    let mut b = bench(ALL);
    let (_, tx) = b.card.split();
    tx.transmit(1514, |frame| frame.len = 0).unwrap();
    tx.transmit(1514, |frame| frame.len = 77).unwrap();
    tx.flush();
    assert_eq!(b.take().unwrap().0.len(), 77);
    assert!(b.take().is_none());
}

#[test]
fn frames_arrive_in_place_in_pieces_and_coalesced() {
    let mut b = bench(ALL);
    for _ in 0..50 {
        let (one, two, three) = (pattern(1514), pattern(4096), pattern(100));
        b.give(&[&one], wire::RX_CHECKSUM_BLANK | wire::RX_DATA_VALIDATED, None);
        b.give(&[&two, &two, &three], wire::RX_DATA_VALIDATED, Some(1448));
        b.give(&[&three], 0, None);
        let frames = b.received();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0], (one, RxMeta::new(true, 0)));
        assert_eq!(frames[1], ([two.clone(), two, three.clone()].concat(), RxMeta::new(true, 1448)));
        assert_eq!(frames[2], (three, RxMeta::new(false, 0)));
    }
    assert_eq!(b.card.closed(), None);
}

#[test]
fn a_frame_that_has_not_arrived_whole_waits() {
    let mut b = bench(ALL);
    let piece = pattern(4096);
    let first = b.rx.request().unwrap();
    b.table.write(first[1], 0, &piece);
    b.rx.respond([first[0], u32::from(wire::MORE_DATA) | 4096 << 16]);
    b.rx.publish();
    assert!(b.received().is_empty());
    let second = b.rx.request().unwrap();
    b.table.write(second[1], 0, &piece);
    b.rx.respond([second[0], 4096 << 16]);
    b.rx.publish();
    assert_eq!(b.received()[0].0.len(), 8192);
}

/// What a backend may not do, and what the card says of it.
#[test]
fn misbehaviour_closes_the_card_with_its_reason() {
    type Attack = fn(&mut Bench);
    let attacks: [(Attack, Misbehaviour); 7] = [
        (|b| b.rx.scribble(2, 65), Misbehaviour::TooManyResponses),
        (
            |b| {
                b.rx.respond([9, 100 << 16]);
                b.rx.publish();
            },
            Misbehaviour::UnknownId(9),
        ),
        (
            |b| {
                b.rx.respond([4000 << 16, 100 << 16]);
                b.rx.publish();
            },
            Misbehaviour::OutOfBounds { offset: 4000, size: 100 },
        ),
        (
            |b| {
                for id in 0..40 {
                    b.rx.respond([id, u32::from(wire::MORE_DATA) | 10 << 16]);
                }
                b.rx.publish();
            },
            Misbehaviour::TooManyFragments,
        ),
        (
            |b| {
                let request = b.rx.request().unwrap();
                b.table.hold(request[1], true);
                b.rx.respond([request[0], 100 << 16]);
                b.rx.publish();
            },
            Misbehaviour::PageInUse,
        ),
        (
            |b| {
                b.tx.respond([77, 0, 0]);
                b.tx.publish();
            },
            Misbehaviour::UnknownId(77),
        ),
        (
            |b| {
                b.tx.respond([(wire::STATUS_NULL as u32) << 16, 0, 0]);
                b.tx.publish();
            },
            Misbehaviour::TooManyResponses,
        ),
    ];
    for (attack, reason) in attacks {
        let mut b = bench(ALL);
        // One frame is out, so that there is something to answer on the transmit ring.
        assert!(b.send(100, TxMeta::NONE));
        b.card.split().1.flush();
        attack(&mut b);
        let _ = b.received();
        b.card.tx.reap();
        assert_eq!(b.card.closed(), Some(reason));
        let _ = b.card.split();
        assert_eq!(b.card.link(), LinkState::Down);
        // The guest lives: sending goes nowhere, nothing comes.
        assert!(b.send(1514, TxMeta::NONE));
        assert!(b.received().is_empty());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(b.card.poll_ready(&mut cx, false).is_pending());
    }
}

#[test]
fn the_same_request_answered_twice_is_noticed() {
    let mut b = bench(ALL);
    for _ in 0..2 {
        assert!(b.send(100, TxMeta::NONE));
    }
    b.card.split().1.flush();
    let id = b.tx.request().unwrap()[2] & 0xffff;
    b.tx.respond([id, 0, 0]);
    b.tx.respond([id, 0, 0]);
    b.tx.publish();
    b.card.tx.reap();
    assert_eq!(b.card.closed(), Some(Misbehaviour::UnknownId(id as u16)));
}

/// A backend that does anything, by a seeded generator: no panic, no frame beyond its page, and after each run either a
/// closed card or one that still works.
#[test]
fn a_backend_that_does_anything_does_no_harm() {
    for seed in 0..300u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut b = bench(ALL);
        for _ in 0..200 {
            let value = random();
            match random() % 12 {
                0 => b.rx.scribble((value % 1024) as usize, random() as u32),
                1 => b.tx.scribble((value % 1024) as usize, random() as u32),
                2 => b.rx.respond([value as u32, random() as u32]),
                // Nearly right ones get further.
                3 | 4 => {
                    if let Some(request) = b.rx.request() {
                        let status = (value % 5000) as u32;
                        b.rx.respond([
                            request[0] | ((value >> 20) as u32 % 64) << 16,
                            (random() % 32) as u32 | status << 16,
                        ]);
                    }
                }
                5 => b.tx.respond([(value % 128) as u32, 0, 0]),
                6 => {
                    if let Some(request) = b.tx.request() {
                        b.tx.respond([request[2] & 0xffff, 0, 0]);
                    }
                }
                7 => {
                    b.rx.publish();
                    b.tx.publish();
                }
                8 => b.table.hold((value % 128) as u32, value & 1 == 0),
                9 => {
                    b.send(
                        14 + (value % 65_000) as usize % b.card.tx.largest(),
                        TxMeta::checksum(34, 16).segments(1448),
                    );
                    b.card.split().1.flush();
                }
                10 => {
                    let mut cx = Context::from_waker(Waker::noop());
                    let _ = b.card.poll_ready(&mut cx, value & 1 == 0);
                }
                _ => {
                    for (bytes, _) in b.received() {
                        assert!(bytes.len() >= 14 && bytes.len() <= 65_553);
                    }
                }
            }
            if b.card.closed().is_some() {
                break;
            }
        }
    }
}
