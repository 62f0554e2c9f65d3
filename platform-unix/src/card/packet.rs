//! An Ethernet interface of the host, through a packet socket: airglow answers there, and the host does not.
use super::{
    OpenError,
    claim::{Claim, OPENING},
    link::Link,
    transmit::{self, Count, Sink, Transmit},
    vnet,
};
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
    sys::{
        frames::{self, Messages},
        interface::{self, Membership},
    },
};
use airglow_device::{Caps, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta};
use rustix::io::Errno;
use std::{
    io,
    ops::Range,
    os::fd::BorrowedFd,
    rc::Rc,
    task::{Context, Poll},
};

/// An Ethernet interface (one end of a veth pair, say) through AF_PACKET with the virtio header, so that the
/// partial checksums and coalesced segments of a veth pair are understood, and ours are taken.
///
/// One system call receives up to 64 frames and one sends them.
///
/// What profiles taught, on a veth pair: of what a short connection cost us, three fifths were the peer's kernel, which takes our frames in our
/// name and wakes its threads from there. Where each end has a thread for that (`threaded` in `/sys/class/net/`) sending is two fifths of our
/// time, nearly all of it to wake the peer's thread, sleeping a sixth, receiving an eighth, and all of airglow a fifth. In bulk data the kernel's
/// copy is a quarter, ours into the connection's buffer a tenth, and sleeping was a quarter. The host's own IP layer looks at each packet and drops
/// it: a program at the interface's ingress (tcx) that spares it that costs as much as it saves.
pub struct Packet {
    source: Rc<Source>,
    reactor: Reactor,
    link: Link,
    mac: MacAddr,
    caps: Caps,
    pub(super) rx: PacketRx,
    pub(super) tx: Transmit<PacketSink>,
}

impl Packet {
    /// Opens the interface `name` and sets it up. The host must not have an IPv4 address on it, and IPv6 is switched
    /// off there: the host would answer beside us.
    ///
    /// `mac` is our address, the interface's own if `None`. Without `offload` the checksum of every frame is complete,
    /// frames longer than the MTU are dropped, and we send only such frames, which is for measuring and for
    /// passing frames on.
    ///
    /// # Errors
    /// What the system refused, and what to type.
    pub fn open(
        reactor: &Reactor,
        name: &str,
        mac: Option<MacAddr>,
        offload: bool,
    ) -> Result<Self, OpenError> {
        let claim = Claim::new(name)?;
        let rights = |error: io::Error| {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => "packet sockets need root, or the capability CAP_NET_RAW",
                _ => "",
            };
            claim.fail(OPENING, error, advice.to_owned())
        };
        let packet = interface::open_packet(claim.index).map_err(rights)?;
        claim.take_over()?;
        let (own, mtu) = (claim.mac, claim.mtu);
        let mac = mac.unwrap_or(own);
        let wanted = if mac == own { Membership::AllMulticast } else { Membership::Promiscuous };
        interface::join(&packet, claim.index, wanted).map_err(rights)?;
        // As soon as a frame has gone the kernel tells of room. Who waits for frames must not be woken by that, so room is watched through a
        // descriptor of its own, from the first time on that there was none.
        let room = Source::new(packet.try_clone().map_err(rights)?);
        let link = claim.watch(reactor)?;
        let source = Source::for_reading(packet);
        let mut caps = Caps::new(mtu);
        if offload {
            caps = caps.with_checksums(true, true).with_tso(transmit::TSO, transmit::TSO);
        }
        Ok(Self {
            reactor: reactor.clone(),
            link,
            mac,
            caps,
            rx: PacketRx {
                source: source.clone(),
                reactor: reactor.clone(),
                messages: Messages::new(),
                buffer: vec![0; frames::BATCH * SLOT].into(),
                complete: if offload { Complete::Never } else { Complete::Always },
                longest: if offload { transmit::LONGEST } else { mtu + 14 + TAG },
                count: Count::default(),
            },
            tx: Transmit::new(room, reactor.clone(), PacketSink { messages: Messages::new() }, mtu),
            source,
        })
    }
}

impl Packet {
    /// Opens the interface `name` to pass frames on: every frame is heard, whoever it is for; `offload` as in [`open`](Self::open), and
    /// what [`pass_on`](airglow_device::pass_on) would not find to be incomplete is completed. [`mac`](NetDevice::mac) is the
    /// interface's own address.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_promiscuous(reactor: &Reactor, name: &str, offload: bool) -> Result<Self, OpenError> {
        let own = Claim::new(name)?.mac;
        let mut card = Self::open(reactor, name, Some(MacAddr::UNSPECIFIED), offload)?;
        card.mac = own;
        if offload {
            card.rx.complete = Complete::Others;
        }
        Ok(card)
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.reactor.remove(&self.source);
        self.reactor.remove(self.tx.source());
    }
}

/// Length of an 802.1Q tag, and the room for it before each frame.
const TAG: usize = 4;
/// Bytes for one frame: the tag's room, the virtio header, the longest frame; the packet in it is aligned to eight.
const SLOT: usize = (TAG + vnet::LEN + transmit::LONGEST).next_multiple_of(8);

/// Which checksums are completed on receipt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complete {
    Never,
    /// Those that do not stand where TCP's and UDP's do.
    Others,
    Always,
}

/// The receiving half of a [`Packet`].
pub struct PacketRx {
    source: Rc<Source>,
    reactor: Reactor,
    messages: Messages,
    buffer: Box<[u8]>,
    complete: Complete,
    longest: usize,
    pub(super) count: Count,
}

impl NetRx for PacketRx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let (mut lent, before) = (0, self.count.bytes.get());
        while lent < budget && self.source.is_ready(Direction::Read) {
            let wanted = (budget - lent).min(frames::BATCH);
            match self.messages.receive(self.source.fd(), &mut self.buffer, SLOT, wanted) {
                Ok(received) => {
                    if received < wanted {
                        self.source.came_short(Direction::Read);
                    }
                    for index in 0..received {
                        lent += usize::from(self.lend(index, &mut frame));
                    }
                }
                Err(Errno::INTR) => {}
                // Nothing is left, or the interface went down; either way an edge will tell of more.
                Err(_) => {
                    if self.source.would_block(&self.reactor, Direction::Read).is_err() {
                        break;
                    }
                }
            }
        }
        super::came(&self.reactor, self.count.bytes.get() - before);
        lent
    }
}

impl PacketRx {
    /// Lends frame `index` of the last batch; false when it is of no use.
    fn lend(&mut self, index: usize, frame: &mut impl FnMut(&mut [u8], RxMeta)) -> bool {
        let received = self.messages.received(index);
        let slot = &mut self.buffer[index * SLOT..][..SLOT];
        let Some(bytes) = slot.get_mut(..received.len).filter(|_| !received.truncated) else {
            self.count.drop(1);
            return false;
        };
        let Some((header, bytes)) = vnet::Header::split(bytes) else {
            self.count.drop(1);
            return false;
        };
        let Some(meta) = header.meta().filter(|_| bytes.len() <= self.longest) else {
            self.count.drop(1);
            return false;
        };
        match self.complete {
            Complete::Always => header.complete(bytes),
            Complete::Others => header.complete_other(bytes),
            Complete::Never => {}
        }
        let len = bytes.len();
        let bytes = match received.vlan {
            None => bytes,
            // The tag goes back where the sender had it: behind the addresses, which move into the header's place.
            Some((protocol, control)) => {
                let tagged = &mut slot[vnet::LEN - TAG..vnet::LEN + len];
                tagged.copy_within(TAG..TAG + 12, 0);
                tagged[12..14].copy_from_slice(&protocol.to_be_bytes());
                tagged[14..16].copy_from_slice(&control.to_be_bytes());
                tagged
            }
        };
        self.count.add(bytes);
        frame(bytes, meta);
        true
    }
}

/// Sends a batch of frames in a call.
pub struct PacketSink {
    messages: Messages,
}

impl Sink for PacketSink {
    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8], ranges: &[Range<usize>]) -> Result<usize, Errno> {
        self.messages.send(fd, bytes, ranges)
    }
}

/// The counters of both halves.
pub(super) fn stats(rx: &Count, tx: &Count) -> NetStats {
    NetStats {
        rx_frames: rx.frames.get(),
        rx_bytes: rx.bytes.get(),
        rx_dropped: rx.dropped.get(),
        tx_frames: tx.frames.get(),
        tx_bytes: tx.bytes.get(),
        tx_dropped: tx.dropped.get(),
    }
}

/// Ready when a frame may wait, when the link has changed, or when there is room and somebody wants it.
pub(super) fn poll_ready(
    source: &Source,
    room: &Source,
    link: &Link,
    cx: &mut Context<'_>,
    want_tx: bool,
) -> Poll<()> {
    if source.is_ready(Direction::Read) || link.changed() || (want_tx && room.is_ready(Direction::Write)) {
        return Poll::Ready(());
    }
    source.wait(Direction::Read, cx.waker());
    link.wait(cx.waker());
    if want_tx {
        room.wait(Direction::Write, cx.waker());
    }
    Poll::Pending
}

impl NetDevice for Packet {
    type Rx = PacketRx;
    type Tx = Transmit<PacketSink>;

    fn caps(&self) -> Caps {
        self.caps
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        self.link.state()
    }
    fn stats(&self) -> NetStats {
        // The kernel's counter starts anew with each look.
        self.rx.count.drop(interface::packet_drops(self.source.fd()));
        stats(&self.rx.count, &self.tx.count)
    }
    fn split(&mut self) -> (&mut PacketRx, &mut Transmit<PacketSink>) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        // What the kernel did not take at the last flush, before anything new.
        if self.tx.is_stuck() {
            self.tx.flush();
        }
        poll_ready(&self.source, self.tx.source(), &self.link, cx, want_tx || self.tx.is_stuck())
    }
}
