//! Peers that keep to no rule: no panic, bounded memory, and the others are served.
use super::link::*;
use crate::{
    tcp::{Config, Limits},
    wire::tcp::{Flags, Header, Options, SackBlocks},
};
use airglow_device::{Endpoint, Instant};
use core::time::Duration;
use proptest::prelude::*;

/// Random segments close to what a connection expects: the numbers are near the right ones, all else is anything.
fn near(random: &mut Random, seq: u32, ack: u32, ports: (u16, u16)) -> (Header, Vec<u8>) {
    let mut off = |n: u64| random.below(n) as u32;
    let shift = |at: u32, by: u32| match by % 8 {
        0..=3 => at,
        4 => at.wrapping_add(by),
        5 => at.wrapping_sub(by),
        6 => at.wrapping_add(by << 12),
        _ => at ^ 1 << (by % 32),
    };
    let mut sack = SackBlocks::default();
    for _ in 0..off(5) {
        let left = ack.wrapping_add(off(4000)).wrapping_sub(1000);
        sack.push(left, left.wrapping_add(off(3000)));
    }
    let options = Options {
        mss: (off(4) == 0).then(|| off(65536) as u16),
        window_scale: (off(6) == 0).then(|| off(256) as u8),
        sack_permitted: off(8) == 0,
        timestamps: (off(2) == 0).then(|| (off(1 << 32), off(1 << 32))),
        sack: if off(2) == 0 { sack } else { SackBlocks::default() },
        ..Options::default()
    };
    let header = Header {
        source_port: ports.1,
        destination_port: ports.0,
        sequence: shift(seq, off(5000)),
        acknowledgment: shift(ack, off(5000)),
        flags: [Flags::ACK, Flags(0x18), Flags(0x11), Flags::SYN, Flags(off(256) as u8)][off(5) as usize],
        window: [0, 1, 100, 65535, off(65536) as u16][off(5) as usize],
        options,
    };
    let len = [0, 1, off(100) as usize, off(3000) as usize][off(4) as usize];
    (header, vec![seq as u8; len])
}

#[test]
fn hostile_segments_do_no_harm() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut host = Host::new(heap(4096), Config::default(), [3; 32]);
        let listener = host.listen(Endpoint::from(80), 3).unwrap();
        let mut now = Instant::from_secs(1);
        let mut handles = Vec::new();
        // What the host last said, so that some segments fit.
        let (mut seq, mut ack) = (random.next() as u32, 0);
        for _ in 0..400 {
            let ports = (80, 4000 + random.below(4) as u16);
            let (header, data) = near(&mut random, seq, ack, ports);
            let mut bytes = vec![0; header.len()];
            header.emit(&mut bytes);
            bytes.extend(data);
            let mut sent = Vec::new();
            let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 50 };
            let gro = if random.chance(100) { random.below(2000) as u16 } else { 0 };
            host.input(now, A, B, 0, &bytes, gro, &mut ring);
            host.poll_transmit(now, &mut ring);
            if let Some(header) = sent.last().map(Packet::header) {
                (seq, ack) = (header.acknowledgment, header.sequence.wrapping_add(1));
            }
            handles.extend(host.accept(listener));
            if let Some(handle) = handles.get(random.below(handles.len() as u64) as usize).copied() {
                match random.below(6) {
                    0 => drop(host.write(now, handle, &[1; 700])),
                    1 => drop(host.read_with(now, handle, 0, |bytes| (bytes.len() / 2, ()))),
                    2 if random.chance(100) => drop(host.close(now, handle)),
                    3 if random.chance(50) => {
                        host.release(now, handle);
                        handles.retain(|h| *h != handle);
                    }
                    _ => {}
                }
            }
            now += Duration::from_millis(random.below(300));
            let usage = host.usage();
            assert!(usage.half_open <= 3 && usage.buffers <= usage.connections * 2 * 4096, "{usage:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20)) {
        let mut host = Host::new(heap(4096), Config::default(), [3; 32]);
        host.listen(Endpoint::from(80), 3).unwrap();
        let mut sent = Vec::new();
        for mut bytes in segments {
            if bytes.len() > 13 {
                bytes[2..4].copy_from_slice(&[0, 80]);
                bytes[12] = bytes[12] % 0x60 + 0x50;
            }
            let mut ring = Ring { addr: B, link: Link::default(), sent: &mut sent, left: 50 };
            host.input(Instant::from_secs(9), A, B, 0, &bytes, 0, &mut ring);
            host.poll_transmit(Instant::from_secs(9), &mut ring);
        }
        prop_assert!(host.usage().half_open <= 3);
    }
}

#[test]
fn a_syn_flood_leaves_others_their_memory() {
    let mut pair = Pair::new(1, Link::default(), 4096, Config::default());
    let listener = pair.listen(8);
    let (a, _) = pair.establish(listener);
    for i in 0..100_000u32 {
        let header = Header {
            source_port: i as u16,
            destination_port: 80,
            sequence: i,
            flags: Flags::SYN,
            window: 1000,
            ..Header::default()
        };
        let mut bytes = vec![0; header.len()];
        header.emit(&mut bytes);
        let mut sent = Vec::new();
        let mut ring = Ring { addr: B, link: pair.link, sent: &mut sent, left: 50 };
        let spoofed = core::net::Ipv4Addr::from_bits(0x0b00_0000 + i / 7).into();
        pair.hosts[1].input(pair.now, spoofed, B, 0, &bytes, 0, &mut ring);
    }
    let usage = pair.hosts[1].usage();
    assert_eq!((usage.half_open, usage.connections, usage.buffers), (8, 1, 0));
    assert_eq!(pair.hosts[1].stats().syn_cookies_sent, 100_000 - 8);
    assert!(pair.hosts[0].state(a).is_ok());
    // When the flood is over the port opens again.
    pair.run(Duration::from_secs(70), |_| false);
    let b = pair.establish(listener);
    assert!(pair.hosts[0].state(b.0).is_ok());
}

#[test]
fn the_budget_bounds_all_buffers_together() {
    let buffers = Limits { receive: 64 << 10, send: 64 << 10 };
    let limits = crate::tcp::HeapLimits { buffers, memory: 100 << 10, ..Default::default() };
    let heaps = [(); 2].map(|()| crate::tcp::Heap::<(), ()>::new(limits));
    let mut pair = Pair::with(2, Link { ring: 10_000, ..Link::default() }, Config::default(), heaps);
    let listener = pair.listen(50);
    let handles: Vec<_> = (0..50).map(|_| pair.establish(listener)).collect();
    let mut most = 0;
    let mut taken = 0;
    for (a, _) in &handles {
        let now = pair.now;
        taken += pair.hosts[0].write(now, *a, &[1; 32 << 10]).unwrap();
        most = most.max(pair.hosts[0].usage().buffers);
    }
    assert!(taken > 0);
    pair.run(Duration::from_secs(5), |pair| {
        most = most.max(pair.hosts[1].usage().buffers).max(pair.hosts[0].usage().buffers);
        false
    });
    assert!(most <= 100 << 10, "{most}");
    // Whoever reads makes room for the rest.
    let mut got = 0;
    pair.run(Duration::from_secs(500), |pair| {
        let now = pair.now;
        for (_, b) in &handles {
            while let Ok(Some(n @ 1..)) =
                pair.hosts[1].read_with(now, *b, 0, |bytes| (bytes.len(), bytes.len()))
            {
                got += n;
            }
        }
        got == taken
    });
    assert_eq!(got, taken);
}
