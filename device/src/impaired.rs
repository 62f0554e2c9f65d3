//! A network device behind a bad wire.
use crate::{
    Caps, Full, Impairments, Instant, LinkModel, LinkState, LinkStats, MacAddr, NetDevice, NetRx, NetStats,
    NetTx, RxMeta, Timer, TxFrame,
};
use alloc::vec::Vec;
use core::{
    fmt,
    task::{Context, Poll},
};

/// Frames that are sent between two polls; the wire has its own bound.
const TX_SLOTS: usize = 256;
/// Frames that are taken from the device at once.
const BATCH: usize = 256;

/// Any [`NetDevice`] with a [`LinkModel`] in each direction between it and its user.
///
/// Frames move, and come due, in [`poll_ready`](NetDevice::poll_ready), which whoever drives a device calls before it
/// sleeps. No offload for sending is advertised, so that each frame has its own fate and a damaged one a checksum that says
/// so. What the device has coalesced on receipt goes through as one frame.
///
/// ```
/// use airglow_device::{Caps, EthernetSegment, Impaired, Impairments, Instant, MacAddr, ManualClock, NetDevice, NetRx, NetTx};
/// use core::task::{Context, Waker};
///
/// let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
/// let mut near = segment.join(MacAddr([2, 0, 0, 0, 0, 1]), Caps::new(1500));
/// let far = segment.join(MacAddr([2, 0, 0, 0, 0, 2]), Caps::new(1500));
/// let mut far = Impaired::new(far, &clock, Impairments::parse("delay=20ms").unwrap());
///
/// let tx = near.split().1;
/// tx.transmit(60, |frame| frame.bytes[..6].fill(0xff)).unwrap();
/// tx.flush();
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(far.poll_ready(&mut cx, false).is_pending());
/// clock.advance_to(Instant::from_millis(20));
/// assert!(far.poll_ready(&mut cx, false).is_ready());
/// assert_eq!(far.split().0.receive(64, |frame, _| assert_eq!(frame.len(), 60)), 1);
/// ```
pub struct Impaired<D, T> {
    device: D,
    rx: ImpairedRx,
    tx: ImpairedTx<T>,
    caps: Caps,
}

/// The receiving half of an [`Impaired`] device.
#[derive(Debug)]
pub struct ImpairedRx {
    link: LinkModel<RxMeta>,
    /// Up to this instant frames have arrived: the time of the last poll.
    arrived: Instant,
    stats: NetStats,
}

/// The transmitting half of an [`Impaired`] device.
pub struct ImpairedTx<T> {
    link: LinkModel,
    timer: T,
    slot: Vec<u8>,
    /// Slots taken since the last flush, and flushed but not yet on their way.
    queued: usize,
    stats: NetStats,
}

impl<D: NetDevice, T: Timer> Impaired<D, T> {
    /// `device` behind a wire that treats both directions as `impairments` say. The two draw different random
    /// numbers from the one seed.
    pub fn new(device: D, timer: T, impairments: Impairments) -> Self {
        Self::with_directions(device, timer, impairments, impairments.reverse())
    }

    /// `device` behind a wire with different directions: `outbound` for what this side sends.
    pub fn with_directions(device: D, timer: T, outbound: Impairments, inbound: Impairments) -> Self {
        let caps = device.caps();
        let caps = caps.with_tso(0, 0).with_checksums(false, caps.checksums.rx);
        let arrived = timer.now();
        Self {
            caps,
            device,
            rx: ImpairedRx { link: LinkModel::new(inbound), arrived, stats: NetStats::default() },
            tx: ImpairedTx {
                link: LinkModel::new(outbound),
                timer,
                slot: Vec::new(),
                queued: 0,
                stats: NetStats::default(),
            },
        }
    }

    /// What became of the frames, outbound and inbound.
    pub fn link_stats(&self) -> (LinkStats, LinkStats) {
        (self.tx.link.stats(), self.rx.link.stats())
    }
    /// Cuts the wire in both directions, or mends it.
    pub fn set_partition(&mut self, partition: bool) {
        self.tx.link.set_partition(partition);
        self.rx.link.set_partition(partition);
    }
    /// The device behind the wire.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Takes what the device has onto the wire, and gives it what has come through.
    fn carry(&mut self, now: Instant) {
        let Self { device, rx, tx, .. } = self;
        let (device_rx, device_tx) = device.split();
        device_rx.receive(BATCH, |frame, meta| rx.link.push(now, frame, meta));
        rx.arrived = now;
        let mut sent = false;
        while device_tx.capacity() > 0 {
            let Some(frame) = tx.link.pop(now) else { break };
            sent = true;
            let fill = |slot: &mut TxFrame<'_>| slot.bytes.copy_from_slice(&frame.bytes);
            if device_tx.transmit(frame.bytes.len(), fill).is_err() {
                tx.stats.tx_dropped += 1;
            }
            tx.link.recycle(frame.bytes);
        }
        if sent {
            device_tx.flush();
        }
        tx.queued = 0;
    }
}

impl<D: NetDevice, T: Timer> NetDevice for Impaired<D, T> {
    type Rx = ImpairedRx;
    type Tx = ImpairedTx<T>;

    fn caps(&self) -> Caps {
        self.caps
    }
    fn mac(&self) -> MacAddr {
        self.device.mac()
    }
    fn link(&self) -> LinkState {
        self.device.link()
    }
    fn stats(&self) -> NetStats {
        let (rx, tx) = (self.rx.stats, self.tx.stats);
        NetStats { rx_dropped: self.device.stats().rx_dropped, ..rx }.with_tx(tx)
    }
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        self.device.set_multicast(groups);
    }
    fn split(&mut self) -> (&mut ImpairedRx, &mut ImpairedTx<T>) {
        (&mut self.rx, &mut self.tx)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        for _ in 0..4 {
            let now = self.tx.timer.now();
            self.carry(now);
            if want_tx || self.rx.link.next_at().is_some_and(|at| at <= now) {
                return Poll::Ready(());
            }
            // A device that is full is waited for; one that has a frame is emptied and asked again.
            let due = self.tx.link.next_at().is_some_and(|at| at <= now);
            if self.device.poll_ready(cx, due).is_ready() {
                continue;
            }
            let next = [self.tx.link.next_at().filter(|_| !due), self.rx.link.next_at()];
            if let Some(at) = next.into_iter().flatten().min() {
                self.tx.timer.wake_at(at, cx.waker());
            }
            return Poll::Pending;
        }
        // A device that stays ready wants more looked at than frames: its link.
        Poll::Ready(())
    }
}

impl NetStats {
    fn with_tx(self, tx: Self) -> Self {
        Self { tx_frames: tx.tx_frames, tx_bytes: tx.tx_bytes, tx_dropped: tx.tx_dropped, ..self }
    }
}

impl NetRx for ImpairedRx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        for received in 0..budget {
            let Some(mut arrived) = self.link.pop(self.arrived) else { return received };
            let mut meta = arrived.meta;
            // Who checked the checksum did so before the damage.
            meta.checksum_ok &= !arrived.corrupted;
            self.stats.rx_frames += 1;
            self.stats.rx_bytes += arrived.bytes.len() as u64;
            frame(&mut arrived.bytes, meta);
            self.link.recycle(arrived.bytes);
        }
        budget
    }
}

impl<T: Timer> NetTx for ImpairedTx<T> {
    fn capacity(&self) -> usize {
        TX_SLOTS - self.queued.min(TX_SLOTS)
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        if self.capacity() == 0 {
            return Err(Full);
        }
        self.slot.resize(len, 0);
        let mut slot = TxFrame::new(&mut self.slot);
        let output = fill(&mut slot);
        let used = slot.len.min(len);
        if let Some(frame) = self.slot.get(..used).filter(|frame| !frame.is_empty()) {
            self.queued += 1;
            self.stats.tx_frames += 1;
            self.stats.tx_bytes += used as u64;
            self.link.push(self.timer.now(), frame, ());
        }
        Ok(output)
    }

    fn flush(&mut self) {}
}

impl<D: fmt::Debug, T> fmt::Debug for Impaired<D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impaired")
            .field("device", &self.device)
            .field("rx", &self.rx)
            .field("tx", &self.tx)
            .finish()
    }
}

impl<T> fmt::Debug for ImpairedTx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImpairedTx").field("link", &self.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EthernetSegment, ManualClock, SegmentPort};
    use alloc::{sync::Arc, task::Wake, vec};
    use core::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Waker,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const NEAR: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const FAR: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn send(tx: &mut impl NetTx, to: MacAddr, len: usize) {
        tx.transmit(len, |frame| frame.bytes.iter_mut().zip(to.0).for_each(|(byte, mac)| *byte = mac))
            .unwrap();
        tx.flush();
    }
    fn heard(rx: &mut impl NetRx) -> Vec<usize> {
        let mut lens = vec![];
        rx.receive(usize::MAX, |frame, _| lens.push(frame.len()));
        lens
    }
    fn pair<'c>(
        clock: &'c ManualClock,
        words: &str,
    ) -> (SegmentPort, Impaired<SegmentPort, &'c ManualClock>) {
        let segment = EthernetSegment::new();
        let offloads = Caps::new(1500).with_checksums(true, true).with_tso(60_000, 60_000);
        let near = segment.join(NEAR, offloads);
        let far = segment.join(FAR, offloads);
        (near, Impaired::new(far, clock, Impairments::parse(words).unwrap()))
    }

    #[test]
    fn frames_take_their_time_both_ways_and_wake_the_driver() {
        let clock = ManualClock::new();
        let (mut near, mut far) = pair(&clock, "delay=10ms");
        assert_eq!((far.caps().tso_v4, far.caps().checksums.tx, far.caps().checksums.rx), (0, false, true));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(far.poll_ready(&mut cx, false).is_pending());
        send(near.split().1, FAR, 60);
        send(far.split().1, NEAR, 70);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the device woke the driver");
        clock.advance_to(Instant::from_millis(3));
        assert!(far.poll_ready(&mut cx, false).is_pending());
        assert_eq!(
            clock.next_deadline(),
            Some(Instant::from_millis(10)),
            "what is sent leaves the wire first"
        );
        assert_eq!((heard(near.split().0), heard(far.split().0)), (vec![], vec![]));
        assert!(clock.advance_to_next());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert!(far.poll_ready(&mut cx, false).is_pending());
        assert_eq!(heard(near.split().0), [70]);
        assert_eq!(clock.next_deadline(), Some(Instant::from_millis(13)));
        assert!(clock.advance_to_next());
        assert!(far.poll_ready(&mut cx, false).is_ready());
        assert_eq!(heard(far.split().0), [60]);
        assert!(far.poll_ready(&mut cx, false).is_pending());
        let stats = far.stats();
        assert_eq!((stats.rx_frames, stats.rx_bytes, stats.tx_frames, stats.tx_bytes), (1, 60, 1, 70));
    }

    #[test]
    fn losses_and_partitions_are_the_models() {
        let clock = ManualClock::new();
        let (mut near, mut far) = pair(&clock, "loss=10% seed=3");
        let mut cx = Context::from_waker(Waker::noop());
        let (mut to_far, mut to_near) = (0, 0);
        for _ in 0..1000 {
            send(near.split().1, FAR, 60);
            send(far.split().1, NEAR, 60);
            let _ = far.poll_ready(&mut cx, false);
            to_far += heard(far.split().0).len() as u64;
            to_near += heard(near.split().0).len() as u64;
        }
        let (out, back) = far.link_stats();
        assert_eq!((1000 - to_near, 1000 - to_far), (out.lost, back.lost));
        assert!((60..140).contains(&out.lost) && (60..140).contains(&back.lost));
        far.set_partition(true);
        send(near.split().1, FAR, 60);
        assert!(far.poll_ready(&mut cx, false).is_pending());
        far.set_partition(false);
        send(near.split().1, FAR, 60);
        assert!(far.poll_ready(&mut cx, false).is_ready());
    }

    #[test]
    fn the_transmit_ring_is_bounded() {
        let clock = ManualClock::new();
        let (_near, mut far) = pair(&clock, "delay=1s");
        for _ in 0..TX_SLOTS {
            send(far.split().1, NEAR, 60);
        }
        assert_eq!(far.split().1.transmit(60, |_| ()), Err(Full));
        assert!(far.poll_ready(&mut Context::from_waker(Waker::noop()), true).is_ready());
        assert_eq!(far.split().1.capacity(), TX_SLOTS);
    }

    #[test]
    fn damage_takes_the_checksums_blessing_away() {
        let clock = ManualClock::new();
        let (mut near, mut far) = pair(&clock, "corrupt=50%");
        let (mut whole, mut damaged) = (0, 0);
        for _ in 0..100 {
            let tx = near.split().1;
            tx.transmit(60, |slot| {
                slot.bytes.fill(0xff);
                // The card is to do the checksum: the receiver is told that it is right.
                slot.meta = crate::TxMeta::checksum(34, 6);
            })
            .unwrap();
            tx.flush();
            let _ = far.poll_ready(&mut Context::from_waker(Waker::noop()), false);
            far.split().0.receive(9, |frame, meta| {
                assert_eq!(meta.checksum_ok, *frame == [0xff; 60]);
                if meta.checksum_ok { whole += 1 } else { damaged += 1 }
            });
        }
        assert!(whole + damaged > 90 && whole > 20 && damaged > 20, "{whole} {damaged}");
    }
}
