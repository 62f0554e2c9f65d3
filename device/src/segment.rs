//! An Ethernet in memory.
use crate::{
    Caps, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame, TxMeta,
    complete_checksum, cut_segments,
};
use alloc::{collections::VecDeque, rc::Rc, vec, vec::Vec};
use core::{
    cell::RefCell,
    fmt,
    task::{Context, Poll, Waker},
};

/// Bytes of the Ethernet header.
const HEADER: usize = 14;
/// Frames that a port sends in one batch, before it must flush.
const TX_SLOTS: usize = 64;
/// Frames that wait in a port's receive ring; more are dropped and counted.
const RX_SLOTS: usize = 1024;

/// An Ethernet segment in memory: any number of network devices that hear each other.
///
/// A frame that a port flushes is at once in the receive rings of those that it is for: the port with its destination
/// address, all for broadcast, all for a multicast group but those that [asked](NetDevice::set_multicast) for
/// others only, and every [promiscuous](SegmentPort::promiscuous) one. Nothing is lost but by a full ring (1,024 frames), which
/// is counted; put an [`Impaired`](crate::Impaired) around a port for a worse network.
///
/// A port advertises the offloads it is given. What the sender leaves to its card and the receiver cannot take is done
/// here: checksums are completed and large frames cut, so that ports with different [`Caps`] understand each other.
///
/// ```
/// use airglow_device::{Caps, EthernetSegment, MacAddr, NetDevice, NetRx, NetTx};
///
/// let segment = EthernetSegment::new();
/// let mut alice = segment.join(MacAddr([2, 0, 0, 0, 0, 1]), Caps::new(1500));
/// let mut bob = segment.join(MacAddr([2, 0, 0, 0, 0, 2]), Caps::new(1500));
///
/// let tx = alice.split().1;
/// tx.transmit(60, |frame| frame.bytes[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2])).unwrap();
/// tx.flush();
/// let mut heard = 0;
/// bob.split().0.receive(64, |frame, _| heard += frame.len());
/// assert_eq!(heard, 60);
/// ```
#[derive(Clone, Default)]
pub struct EthernetSegment {
    ports: Rc<RefCell<Vec<Option<Port>>>>,
}

struct Port {
    mac: MacAddr,
    caps: Caps,
    /// Who asks for no groups in particular gets all.
    groups: Option<Vec<MacAddr>>,
    promiscuous: bool,
    link: LinkState,
    ring: VecDeque<(Vec<u8>, RxMeta)>,
    waker: Option<Waker>,
    stats: NetStats,
}

impl Port {
    fn wants(&self, destination: MacAddr) -> bool {
        self.link == LinkState::Up
            && (self.promiscuous
                || destination == self.mac
                || destination.is_broadcast()
                || destination.is_multicast()
                    && self.groups.as_ref().is_none_or(|groups| groups.contains(&destination)))
    }

    fn put(&mut self, frame: &[u8], meta: RxMeta) {
        if self.ring.len() >= RX_SLOTS {
            self.stats.rx_dropped += 1;
            return;
        }
        self.ring.push_back((frame.to_vec(), meta));
    }

    /// Puts a frame into the ring, as this port's card hands it over.
    fn hear(&mut self, frame: &mut [u8], meta: TxMeta) {
        let offloaded = meta != TxMeta::NONE;
        if meta.tso_segment != 0 {
            let large =
                if frame.get(12..14) == Some(&[0x86, 0xdd]) { self.caps.tso_v6 } else { self.caps.tso_v4 };
            if self.caps.checksums.rx && frame.len() <= large + HEADER {
                self.put(frame, RxMeta::new(true, meta.tso_segment));
                return;
            }
            let checked = self.caps.checksums.rx;
            let mut segment = vec![0; self.caps.mtu + HEADER];
            if cut_segments(frame, meta, &mut segment, |part| self.put(part, RxMeta::new(checked, 0)))
                .is_none()
            {
                self.stats.rx_dropped += 1;
            }
            return;
        }
        if frame.len() > self.caps.mtu + HEADER {
            self.stats.rx_dropped += 1;
        } else if self.caps.checksums.rx {
            // What never left this machine needs no checksum; the rest was not looked at.
            self.put(frame, RxMeta::new(offloaded, 0));
        } else if complete_checksum(frame, meta) {
            self.put(frame, RxMeta::new(false, 0));
        } else {
            self.stats.rx_dropped += 1;
        }
    }
}

impl EthernetSegment {
    /// A segment that nobody has joined.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new device on the segment, with its link up. It leaves when it is dropped.
    pub fn join(&self, mac: MacAddr, caps: Caps) -> SegmentPort {
        let mut ports = self.ports.borrow_mut();
        let index = ports.iter().position(Option::is_none).unwrap_or(ports.len());
        let port = Some(Port {
            mac,
            caps,
            groups: None,
            promiscuous: false,
            link: LinkState::Up,
            ring: VecDeque::new(),
            waker: None,
            stats: NetStats::default(),
        });
        match ports.get_mut(index) {
            Some(slot) => *slot = port,
            None => ports.push(port),
        }
        SegmentPort {
            rx: SegmentRx { segment: self.clone(), index },
            tx: SegmentTx { segment: self.clone(), index, caps, queued: 0, slots: Vec::new() },
            mac,
        }
    }

    /// Plugs the cable of the port with the address `mac` in or out. What is sent with the cable out is lost.
    pub fn set_link(&self, mac: MacAddr, link: LinkState) {
        let mut wakers = Vec::new();
        for port in self.ports.borrow_mut().iter_mut().flatten().filter(|port| port.mac == mac) {
            if port.link != link {
                port.link = link;
                wakers.extend(port.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    fn with_port<R>(&self, index: usize, f: impl FnOnce(&mut Port) -> R) -> Option<R> {
        self.ports.borrow_mut().get_mut(index).and_then(Option::as_mut).map(f)
    }

    /// Carries one frame from the port `from`; appends the wakers of those who hear it.
    fn carry(&self, from: usize, frame: &mut [u8], meta: TxMeta, wakers: &mut Vec<Waker>) {
        let up = self.with_port(from, |port| {
            let up = port.link == LinkState::Up && frame.len() >= HEADER;
            if up {
                port.stats.tx_frames += 1;
                port.stats.tx_bytes += frame.len() as u64;
            } else {
                port.stats.tx_dropped += 1;
            }
            up
        });
        let Some(&[a, b, c, d, e, f]) = frame.get(..6) else { return };
        if up != Some(true) {
            return;
        }
        let destination = MacAddr([a, b, c, d, e, f]);
        let mut ports = self.ports.borrow_mut();
        let others = ports.iter_mut().enumerate().filter(|(index, _)| *index != from);
        for port in others.filter_map(|(_, port)| port.as_mut()).filter(|port| port.wants(destination)) {
            // Completing the checksum of an already complete frame would spoil it: each gets its own copy.
            port.hear(&mut frame.to_vec(), meta);
            wakers.extend(port.waker.take());
        }
    }
}

impl fmt::Debug for EthernetSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.ports.borrow();
        f.debug_list().entries(ports.iter().flatten().map(|port| port.mac)).finish()
    }
}

/// A network device on an [`EthernetSegment`].
#[derive(Debug)]
pub struct SegmentPort {
    rx: SegmentRx,
    tx: SegmentTx,
    mac: MacAddr,
}

impl SegmentPort {
    /// The same port, and it hears every frame: for switches, bridges and observers.
    pub fn promiscuous(self) -> Self {
        self.rx.segment.with_port(self.rx.index, |port| port.promiscuous = true);
        self
    }
    /// The segment it is on.
    pub fn segment(&self) -> &EthernetSegment {
        &self.rx.segment
    }
}

impl Drop for SegmentPort {
    fn drop(&mut self) {
        let left = self.rx.segment.ports.borrow_mut().get_mut(self.rx.index).and_then(Option::take);
        drop(left);
    }
}

/// The receiving half of a [`SegmentPort`].
#[derive(Debug)]
pub struct SegmentRx {
    segment: EthernetSegment,
    index: usize,
}

/// The transmitting half of a [`SegmentPort`].
pub struct SegmentTx {
    segment: EthernetSegment,
    index: usize,
    caps: Caps,
    /// Frames not yet flushed; slots beyond are kept for their memory.
    queued: usize,
    slots: Vec<(Vec<u8>, TxMeta)>,
}

impl fmt::Debug for SegmentTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentTx").field("queued", &self.queued).finish_non_exhaustive()
    }
}

impl NetDevice for SegmentPort {
    type Rx = SegmentRx;
    type Tx = SegmentTx;

    fn caps(&self) -> Caps {
        self.tx.caps
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        self.rx.segment.with_port(self.rx.index, |port| port.link).unwrap_or(LinkState::Down)
    }
    fn stats(&self) -> NetStats {
        self.rx.segment.with_port(self.rx.index, |port| port.stats).unwrap_or_default()
    }
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        self.rx.segment.with_port(self.rx.index, |port| port.groups = Some(groups.to_vec()));
    }
    fn split(&mut self) -> (&mut SegmentRx, &mut SegmentTx) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        let room = want_tx && self.tx.capacity() > 0;
        let ready = self.rx.segment.with_port(self.rx.index, |port| {
            if room || !port.ring.is_empty() {
                return true;
            }
            port.waker = Some(cx.waker().clone());
            false
        });
        if ready == Some(true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl NetRx for SegmentRx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        for received in 0..budget {
            let next = self.segment.with_port(self.index, |port| {
                let next = port.ring.pop_front()?;
                port.stats.rx_frames += 1;
                port.stats.rx_bytes += next.0.len() as u64;
                Some(next)
            });
            // The segment is not borrowed: who hears may answer.
            let Some((mut bytes, meta)) = next.flatten() else { return received };
            frame(&mut bytes, meta);
        }
        budget
    }
}

impl NetTx for SegmentTx {
    fn capacity(&self) -> usize {
        TX_SLOTS - self.queued.min(TX_SLOTS)
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        if self.capacity() == 0 {
            return Err(Full);
        }
        if self.slots.len() <= self.queued {
            self.slots.push((Vec::new(), TxMeta::NONE));
        }
        let (bytes, meta) = self.slots.get_mut(self.queued).ok_or(Full)?;
        // The slot's content is unspecified: something nobody takes for a good frame.
        bytes.clear();
        bytes.resize(len, 0xa5);
        let mut slot = TxFrame::new(bytes);
        let output = fill(&mut slot);
        let (used, asked) = (slot.len.min(len), slot.meta);
        bytes.truncate(used);
        *meta = asked;
        if used == 0 {
            return Ok(output);
        }
        let large =
            if bytes.get(12..14) == Some(&[0x86, 0xdd]) { self.caps.tso_v6 } else { self.caps.tso_v4 };
        let largest = if asked.tso_segment == 0 { self.caps.mtu } else { large };
        if used > largest + HEADER || asked != TxMeta::NONE && !self.caps.checksums.tx {
            // A card would not know what to do with it.
            self.segment.with_port(self.index, |port| port.stats.tx_dropped += 1);
        } else {
            self.queued += 1;
        }
        Ok(output)
    }

    fn flush(&mut self) {
        let mut wakers = Vec::new();
        let was_full = self.capacity() == 0;
        for (bytes, meta) in self.slots.iter_mut().take(self.queued) {
            self.segment.carry(self.index, bytes, *meta, &mut wakers);
        }
        self.queued = 0;
        if was_full {
            wakers.extend(self.segment.with_port(self.index, |port| port.waker.take()).flatten());
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{sync::Arc, task::Wake};
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn mac(last: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, last])
    }
    fn send(port: &mut SegmentPort, to: MacAddr, len: usize) {
        port.tx
            .transmit(len, |frame| {
                frame.bytes.fill(0);
                frame.bytes[..6].copy_from_slice(&to.0);
            })
            .unwrap();
        port.tx.flush();
    }
    fn heard(port: &mut SegmentPort) -> Vec<usize> {
        let mut lens = Vec::new();
        port.rx.receive(usize::MAX, |frame, _| lens.push(frame.len()));
        lens
    }

    #[test]
    fn frames_reach_those_they_are_for() {
        let segment = EthernetSegment::new();
        let mut ports: Vec<_> = (1..=4).map(|n| segment.join(mac(n), Caps::new(1500))).collect();
        let mut observer = segment.join(mac(9), Caps::new(1500)).promiscuous();
        let group = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
        ports[2].set_multicast(&[]);
        send(&mut ports[0], mac(2), 60);
        send(&mut ports[0], MacAddr::BROADCAST, 61);
        send(&mut ports[0], group, 62);
        assert_eq!(heard(&mut ports[0]), []);
        assert_eq!(heard(&mut ports[1]), [60, 61, 62]);
        assert_eq!(heard(&mut ports[2]), [61]);
        assert_eq!(heard(&mut ports[3]), [61, 62]);
        assert_eq!(heard(&mut observer), [60, 61, 62]);
        ports.remove(1);
        send(&mut ports[0], mac(2), 63);
        assert_eq!(heard(&mut observer), [63]);
        let stats = ports[0].stats();
        assert_eq!((stats.tx_frames, stats.tx_bytes, stats.rx_frames), (4, 246, 0));
    }

    #[test]
    fn nothing_goes_out_before_the_flush_and_a_full_ring_says_so() {
        let segment = EthernetSegment::new();
        let mut a = segment.join(mac(1), Caps::new(1500));
        let mut b = segment.join(mac(2), Caps::new(1500));
        let fill = |frame: &mut TxFrame<'_>| frame.bytes[..6].copy_from_slice(&mac(2).0);
        for _ in 0..TX_SLOTS {
            a.tx.transmit(60, fill).unwrap();
        }
        assert_eq!((a.tx.capacity(), a.tx.transmit(60, fill)), (0, Err(Full)));
        assert_eq!(heard(&mut b), []);
        let count = Arc::new(Count::default());
        assert!(a.poll_ready(&mut Context::from_waker(&count.clone().into()), true).is_pending());
        a.tx.flush();
        assert_eq!(
            (count.0.load(Ordering::Relaxed), a.tx.capacity(), heard(&mut b).len()),
            (1, TX_SLOTS, TX_SLOTS)
        );
        // A slot given back, and one shortened.
        a.tx.transmit(60, |frame| frame.len = 0).unwrap();
        a.tx.transmit(60, |frame| (fill(frame), frame.len = 20)).unwrap();
        a.tx.flush();
        assert_eq!(heard(&mut b), [20]);
    }

    #[test]
    fn the_receiver_is_woken_and_overruns_are_counted() {
        let segment = EthernetSegment::new();
        let mut a = segment.join(mac(1), Caps::new(1500));
        let mut b = segment.join(mac(2), Caps::new(1500));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(b.poll_ready(&mut cx, false).is_pending());
        assert!(b.poll_ready(&mut cx, true).is_ready(), "there is room to send");
        for _ in 0..RX_SLOTS + 3 {
            send(&mut a, mac(2), 60);
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(b.poll_ready(&mut cx, false).is_ready());
        assert_eq!((heard(&mut b).len(), b.stats().rx_dropped), (RX_SLOTS, 3));

        assert!(b.poll_ready(&mut cx, false).is_pending());
        segment.set_link(mac(2), LinkState::Down);
        assert_eq!((count.0.load(Ordering::Relaxed), b.link()), (2, LinkState::Down));
        send(&mut a, mac(2), 60);
        send(&mut b, mac(1), 60);
        assert_eq!((heard(&mut a), heard(&mut b), b.stats().tx_dropped), (vec![], vec![], 1));
    }

    #[test]
    fn offloads_are_done_for_those_who_cannot() {
        let segment = EthernetSegment::new();
        let offloads = Caps::new(1500).with_checksums(true, true).with_tso(60_000, 60_000);
        let mut sender = segment.join(mac(1), offloads);
        let mut same = segment.join(mac(2), offloads);
        let mut plain = segment.join(mac(3), Caps::new(1500));
        let frame = {
            let mut frame = vec![0xff; 6];
            frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0]);
            frame.extend(4040_u16.to_be_bytes());
            frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            frame.extend([0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 1, 0, 0, 0, 0]);
            frame.resize(14 + 4040, 0x77);
            frame
        };
        let meta = TxMeta::checksum(34, 16).segments(1460);
        sender
            .tx
            .transmit(frame.len(), |slot| {
                slot.bytes.copy_from_slice(&frame);
                slot.meta = meta;
            })
            .unwrap();
        sender.tx.flush();
        let mut metas = Vec::new();
        same.rx.receive(9, |frame, meta| metas.push((frame.len(), meta)));
        assert_eq!(metas, [(4054, RxMeta::new(true, 1460))]);
        assert_eq!(heard(&mut plain), [1514, 1514, 54 + 1080]);

        // What the sender's card cannot do is not sent.
        plain.tx.transmit(60, |slot| slot.meta = TxMeta::checksum(34, 16)).unwrap();
        plain.tx.transmit(1515, |_| ()).unwrap();
        plain.tx.flush();
        assert_eq!((plain.stats().tx_dropped, heard(&mut sender)), (2, vec![]));
    }
}
