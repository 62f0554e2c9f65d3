//! What the tests of cards share: frames, and a cable between two namespaces.
#![allow(dead_code)] // Not every test uses all.
use airglow_device::{LinkState, MacAddr, NetDevice, NetRx, NetTx, RxMeta, TxMeta};
use airglow_platform_unix::Reactor;
use airglow_testbed::{Namespace, veth};
use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use super::strict::{LIMIT, finish};

/// Collects frames until there are `count`; frames that `wanted` refuses do not count.
pub fn collect(
    reactor: &Reactor,
    card: &mut impl NetDevice,
    count: usize,
    wanted: impl Fn(&[u8]) -> bool,
) -> Vec<(Vec<u8>, RxMeta)> {
    let mut all = Vec::new();
    let receive = poll_fn(|cx| {
        loop {
            card.split().0.receive(64, |frame, meta| {
                if wanted(frame) {
                    all.push((frame.to_vec(), meta));
                }
            });
            if all.len() >= count {
                return Poll::Ready(());
            }
            if card.poll_ready(cx, false).is_pending() {
                return Poll::Pending;
            }
        }
    });
    finish(reactor, receive);
    all
}

/// Tries until there is something, at most [`LIMIT`] long.
pub fn eventually<T>(mut f: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = f() {
            return value;
        }
        assert!(Instant::now() < deadline, "in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the link is as `wanted`, woken by the card alone.
pub fn wait_link(reactor: &Reactor, card: &mut impl NetDevice, wanted: LinkState) {
    let changed = poll_fn(|cx| {
        loop {
            if card.link() == wanted {
                return Poll::Ready(());
            }
            card.split().0.receive(64, |_, _| {});
            if card.poll_ready(cx, false).is_pending() {
                return Poll::Pending;
            }
        }
    });
    finish(reactor, changed);
}

pub fn send(frame: &[u8], meta: TxMeta, card: &mut impl NetDevice) {
    let sent = card.split().1.transmit(frame.len(), |slot| {
        slot.bytes.copy_from_slice(frame);
        slot.meta = meta;
    });
    sent.unwrap();
}

/// An Ethernet frame with the experimental type 0x88b5 (IEEE 802), so that nobody else's is taken for ours.
pub fn experiment(to: MacAddr, from: MacAddr, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x88, 0xb5], payload].concat()
}

pub fn is_experiment(frame: &[u8]) -> bool {
    frame[12..14] == [0x88, 0xb5]
}

pub fn sum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = pairs.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 packet in a frame whose transport checksum is left to the card.
pub fn ipv4(
    to: MacAddr,
    from: MacAddr,
    protocol: u8,
    src: [u8; 4],
    dst: [u8; 4],
    mut transport: Vec<u8>,
    field: usize,
) -> Vec<u8> {
    let len = transport.len() as u16;
    let pseudo = [&src[..], &dst, &[0, protocol], &len.to_be_bytes()].concat();
    transport[field..field + 2].copy_from_slice(&sum(&pseudo).to_be_bytes());
    let mut ip =
        [&[0x45, 0], &(20 + len).to_be_bytes()[..], &[0, 0, 0x40, 0, 64, protocol, 0, 0], &src, &dst]
            .concat();
    let check = !sum(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    [&to.0[..], &from.0, &[8, 0], &ip, &transport].concat()
}

pub fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    [&src_port.to_be_bytes()[..], &dst_port.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// Two namespaces joined by a cable, with nothing of the kernel's on it.
pub fn cable() -> (Namespace, Namespace) {
    let (left, right) = (Namespace::new("left"), Namespace::new("right"));
    veth(&left, "l0", &right, "r0");
    left.silence("l0");
    right.silence("r0");
    // A kernel drops what is sent before it has noticed the carrier.
    for (end, interface) in [(&left, "l0"), (&right, "r0")] {
        let path = format!("/sys/class/net/{interface}/operstate");
        eventually(|| (end.run("cat", &[&path]).stdout.trim() == "up").then_some(()));
    }
    (left, right)
}

/// Runs `f` on this thread with the network of `namespace`; what it opens stays there.
pub fn enter<R>(namespace: &Namespace, f: impl FnOnce() -> R) -> R {
    let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
    let other = std::fs::File::open(format!("/run/netns/{}", namespace.name())).unwrap();
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&other), kind).unwrap();
    let result = f();
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), kind).unwrap();
    result
}
