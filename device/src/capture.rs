//! Frames on record, as Wireshark and tshark read them: pcapng.
use core::time::Duration;

/// Bytes of the largest interface name that is written.
const NAME: usize = 255;

/// Which way a frame went, seen from the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It arrived.
    In,
    /// It was sent.
    Out,
}

/// Writes frames in the format [pcapng](https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/draft-ietf-opsawg-pcapng.html), which
/// Wireshark and tshark open: several interfaces with names, nanoseconds, directions.
///
/// No I/O and no allocation: every piece goes to `sink`, in order. A sink that fails must remember it; the capture goes on.
///
/// ```
/// use airglow_device::{Capture, Direction};
/// use core::time::Duration;
///
/// let mut file = Vec::new();
/// let mut capture = Capture::new(|bytes: &[u8]| file.extend_from_slice(bytes));
/// let eth0 = capture.interface("eth0");
/// capture.frame(eth0, Duration::from_secs(1_700_000_000), Direction::In, &[0xff; 60]);
/// assert_eq!(file.len(), 28 + 40 + 32 + 60 + 12);
/// ```
#[derive(Debug)]
pub struct Capture<S> {
    sink: S,
    interfaces: u32,
}

impl<S: FnMut(&[u8])> Capture<S> {
    /// A capture without interfaces or frames. Writes its header.
    pub fn new(mut sink: S) -> Self {
        // Section header block (section 4.1), version 1.0, of a length that is not known yet.
        sink(&0x0a0d_0d0a_u32.to_le_bytes());
        sink(&28_u32.to_le_bytes());
        sink(&0x1a2b_3c4d_u32.to_le_bytes());
        sink(&[1, 0, 0, 0]);
        sink(&[0xff; 8]);
        sink(&28_u32.to_le_bytes());
        Self { sink, interfaces: 0 }
    }

    /// Adds an Ethernet interface; its number for [`frame`](Self::frame). Of a name longer than 255 bytes the rest is left out.
    pub fn interface(&mut self, name: &str) -> u32 {
        let name = name.as_bytes().get(..NAME).unwrap_or(name.as_bytes());
        // Interface description block (section 4.2): link type 1, any length; name, time resolution 10^-9, end of options.
        let len = 20 + 4 + padded(name.len()) + 8 + 4;
        self.numbers(&[1, len as u32, 1, 0]);
        self.halves(&[2, name.len() as u16]);
        self.padded(name);
        self.halves(&[9, 1, 9, 0]);
        self.numbers(&[0, len as u32]);
        self.interfaces += 1;
        self.interfaces - 1
    }

    /// Adds a frame with its Ethernet header that passed `interface` at `at`, the time since 1970 (or since whatever the readers
    /// are to take for it).
    pub fn frame(&mut self, interface: u32, at: Duration, direction: Direction, frame: &[u8]) {
        // Enhanced packet block (section 4.3): flags option 2 with the direction, end of options.
        let Ok(bytes) = u32::try_from(frame.len()) else { return };
        let nanos = at.as_nanos() as u64;
        let len = 32 + padded(frame.len()) + 8 + 4;
        self.numbers(&[6, len as u32, interface, (nanos >> 32) as u32, nanos as u32, bytes, bytes]);
        self.padded(frame);
        let direction = if direction == Direction::In { 1 } else { 2 };
        self.halves(&[2, 4, direction, 0]);
        self.numbers(&[0, len as u32]);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|number| (self.sink)(&number.to_le_bytes()));
    }
    fn halves(&mut self, numbers: &[u16]) {
        numbers.iter().for_each(|number| (self.sink)(&number.to_le_bytes()));
    }
    fn padded(&mut self, bytes: &[u8]) {
        (self.sink)(bytes);
        (self.sink)([0; 3].get(..padded(bytes.len()) - bytes.len()).unwrap_or_default());
    }
}

/// The length with what fills it up to whole words of 32 bits.
const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

#[cfg(feature = "alloc")]
pub use device::{Captured, CapturedRx, CapturedTx};

#[cfg(feature = "alloc")]
mod device {
    use super::{Capture, Direction};
    use crate::{
        Caps, Clock, Full, Instant, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame,
        TxMeta,
    };
    use alloc::{collections::VecDeque, vec::Vec};
    use core::{
        fmt,
        task::{Context, Poll},
        time::Duration,
    };

    /// Frames taken from the device at once.
    const BATCH: usize = 64;

    /// Any [`NetDevice`] with a [`Capture`] of all that it receives and sends.
    ///
    /// Frames are copied on their way and move in [`poll_ready`](NetDevice::poll_ready), which whoever drives a device calls before it
    /// sleeps. They are recorded as the stack sees them: what is left to the card (checksums, cutting) is not yet done in frames that go
    /// out, as with tcpdump.
    ///
    /// ```
    /// use airglow_device::{Captured, Caps, EthernetSegment, MacAddr, ManualClock, NetDevice, NetTx};
    /// use core::{cell::RefCell, task::{Context, Waker}};
    ///
    /// let (segment, clock, file) = (EthernetSegment::new(), ManualClock::new(), RefCell::new(Vec::new()));
    /// let card = segment.join(MacAddr([2, 0, 0, 0, 0, 1]), Caps::new(1500));
    /// let mut card = Captured::new(card, &clock, "card", |bytes: &[u8]| file.borrow_mut().extend_from_slice(bytes));
    /// let empty = file.borrow().len();
    /// let tx = card.split().1;
    /// tx.transmit(60, |frame| frame.bytes.fill(0xff)).unwrap();
    /// tx.flush();
    /// let _ = card.poll_ready(&mut Context::from_waker(Waker::noop()), false);
    /// assert_eq!(file.borrow().len(), empty + 32 + 60 + 12);
    /// ```
    pub struct Captured<D, C, S> {
        device: D,
        clock: C,
        epoch: Duration,
        capture: Capture<S>,
        interface: u32,
        rx: CapturedRx,
        tx: CapturedTx,
    }

    /// The receiving half of a [`Captured`] device.
    #[derive(Debug, Default)]
    pub struct CapturedRx {
        ring: VecDeque<(Vec<u8>, RxMeta)>,
        spare: Vec<Vec<u8>>,
    }

    /// The transmitting half of a [`Captured`] device.
    #[derive(Debug, Default)]
    pub struct CapturedTx {
        /// Frames on their way to the device; slots beyond `queued` are kept for their memory.
        slots: Vec<(Vec<u8>, TxMeta)>,
        queued: usize,
        /// What the device had room for when it was last looked at.
        room: usize,
    }

    impl<D: NetDevice, C: Clock, S: FnMut(&[u8])> Captured<D, C, S> {
        /// `device` as the one interface, called `name`, of a capture that goes to `sink`. Times are `clock`'s.
        pub fn new(mut device: D, clock: C, name: &str, sink: S) -> Self {
            let mut capture = Capture::new(sink);
            let interface = capture.interface(name);
            let tx = CapturedTx { room: device.split().1.capacity(), ..CapturedTx::default() };
            Self { device, clock, epoch: Duration::ZERO, capture, interface, rx: CapturedRx::default(), tx }
        }

        /// The same with the time of day: `since_1970` when the clock stood at zero.
        pub fn with_epoch(self, since_1970: Duration) -> Self {
            Self { epoch: since_1970, ..self }
        }

        /// The device behind.
        pub fn device(&mut self) -> &mut D {
            &mut self.device
        }

        /// Hands the device what was sent and takes what it has received.
        fn carry(&mut self) {
            let Self { device, clock, epoch, capture, interface, rx, tx } = self;
            let at = *epoch + clock.now().since(Instant::ZERO);
            let (device_rx, device_tx) = device.split();
            let mut sent = 0;
            for (bytes, meta) in tx.slots.iter().take(tx.queued) {
                let fill = |slot: &mut TxFrame<'_>| {
                    slot.bytes.copy_from_slice(bytes);
                    slot.meta = *meta;
                };
                if device_tx.transmit(bytes.len(), fill).is_err() {
                    break;
                }
                capture.frame(*interface, at, Direction::Out, bytes);
                sent += 1;
            }
            if sent > 0 {
                device_tx.flush();
                tx.slots.get_mut(..tx.queued).unwrap_or_default().rotate_left(sent);
                tx.queued -= sent;
            }
            tx.room = device_tx.capacity();
            let budget = BATCH.saturating_sub(rx.ring.len());
            device_rx.receive(budget, |frame, meta| {
                capture.frame(*interface, at, Direction::In, frame);
                let mut bytes = rx.spare.pop().unwrap_or_default();
                bytes.clear();
                bytes.extend_from_slice(frame);
                rx.ring.push_back((bytes, meta));
            });
        }
    }

    impl<D: NetDevice, C: Clock, S: FnMut(&[u8])> NetDevice for Captured<D, C, S> {
        type Rx = CapturedRx;
        type Tx = CapturedTx;

        fn caps(&self) -> Caps {
            self.device.caps()
        }
        fn mac(&self) -> MacAddr {
            self.device.mac()
        }
        fn link(&self) -> LinkState {
            self.device.link()
        }
        fn stats(&self) -> NetStats {
            self.device.stats()
        }
        fn set_multicast(&mut self, groups: &[MacAddr]) {
            self.device.set_multicast(groups);
        }
        fn split(&mut self) -> (&mut CapturedRx, &mut CapturedTx) {
            (&mut self.rx, &mut self.tx)
        }

        fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
            for _ in 0..4 {
                self.carry();
                if !self.rx.ring.is_empty() || want_tx && self.tx.capacity() > 0 {
                    return Poll::Ready(());
                }
                // A device that is full is waited for; one that has a frame is emptied and asked again.
                if self.device.poll_ready(cx, want_tx || self.tx.queued > 0).is_pending() {
                    return Poll::Pending;
                }
            }
            // A device that stays ready wants more looked at than frames: its link.
            Poll::Ready(())
        }
    }

    impl NetRx for CapturedRx {
        fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
            for received in 0..budget {
                let Some((mut bytes, meta)) = self.ring.pop_front() else { return received };
                frame(&mut bytes, meta);
                self.spare.push(bytes);
            }
            budget
        }
    }

    impl NetTx for CapturedTx {
        fn capacity(&self) -> usize {
            self.room.saturating_sub(self.queued)
        }

        fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
            if self.capacity() == 0 {
                return Err(Full);
            }
            if self.slots.len() <= self.queued {
                self.slots.push((Vec::new(), TxMeta::NONE));
            }
            let (bytes, meta) = self.slots.get_mut(self.queued).ok_or(Full)?;
            bytes.resize(len, 0);
            let mut slot = TxFrame::new(bytes);
            let output = fill(&mut slot);
            let (used, asked) = (slot.len.min(len), slot.meta);
            bytes.truncate(used);
            *meta = asked;
            self.queued += usize::from(used > 0);
            Ok(output)
        }

        fn flush(&mut self) {}
    }

    impl<D: fmt::Debug, C, S> fmt::Debug for Captured<D, C, S> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Captured")
                .field("device", &self.device)
                .field("rx", &self.rx)
                .field("tx", &self.tx)
                .finish_non_exhaustive()
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::{Caps, EthernetSegment, Full, Instant, MacAddr, ManualClock, NetDevice, NetRx, NetTx};
    use alloc::vec::Vec;
    use core::{
        cell::RefCell,
        task::{Context, Waker},
    };

    /// The blocks of a capture, each as its type and its body; both lengths of each are checked.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let len = number(&file[4..]) as usize;
            assert!(len.is_multiple_of(4) && number(&file[len - 4..]) as usize == len);
            blocks.push((number(file), &file[8..len - 4]));
            file = &file[len..];
        }
        blocks
    }

    #[test]
    fn the_blocks_are_those_of_the_specification() {
        let mut file = Vec::new();
        let mut capture = Capture::new(|bytes: &[u8]| file.extend_from_slice(bytes));
        assert_eq!((capture.interface("a"), capture.interface("lan0")), (0, 1));
        capture.frame(1, Duration::from_nanos(0x1_0000_0002), Direction::Out, &[7; 61]);
        let blocks = blocks(&file);
        assert_eq!(blocks.iter().map(|b| b.0).collect::<Vec<_>>(), [0x0a0d_0d0a, 1, 1, 6]);
        assert_eq!(blocks[0].1[..8], [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        assert_eq!(blocks[1].1[8..], [2, 0, 1, 0, b'a', 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        let frame = blocks[3].1;
        assert_eq!(frame[..20], [1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 61, 0, 0, 0, 61, 0, 0, 0]);
        assert_eq!(frame[20..84], [[7; 61].as_slice(), &[0; 3]].concat());
        assert_eq!(frame[84..], [2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_captured_device_is_the_device_and_what_passes_is_on_record() {
        let (segment, clock) = (EthernetSegment::new(), ManualClock::new());
        let file = RefCell::new(Vec::new());
        let caps = Caps::new(1500).with_checksums(true, true).with_tso(60_000, 60_000);
        let near = segment.join(MacAddr([2, 0, 0, 0, 0, 1]), caps);
        let mut far = segment.join(MacAddr([2, 0, 0, 0, 0, 2]), caps);
        let mut near =
            Captured::new(near, &clock, "near", |bytes: &[u8]| file.borrow_mut().extend_from_slice(bytes))
                .with_epoch(Duration::from_secs(100));
        assert_eq!(near.caps(), caps);
        let cx = &mut Context::from_waker(Waker::noop());
        clock.advance_to(Instant::from_secs(1));
        // As many as the device takes, and no more.
        let room = near.split().1.capacity();
        for len in 60..60 + room {
            near.split().1.transmit(len, |frame| frame.bytes.fill(0xff)).unwrap();
        }
        assert_eq!(near.split().1.transmit(60, |_| ()), Err(Full));
        assert!(near.poll_ready(cx, true).is_ready());
        assert_eq!(near.split().1.capacity(), room);
        let mut heard = Vec::new();
        far.split().0.receive(999, |frame, _| heard.push(frame.len()));
        assert_eq!(heard, (60..60 + room).collect::<Vec<_>>());
        assert!(near.poll_ready(cx, false).is_pending());
        // What comes is lent once, all of it, though more than one batch.
        for _ in 0..3 {
            for _ in 0..64 {
                far.split().1.transmit(70, |frame| frame.bytes.fill(0xff)).unwrap();
            }
            far.split().1.flush();
        }
        let mut count = 0;
        while near.poll_ready(cx, false).is_ready() {
            count += near.split().0.receive(10, |frame, _| assert_eq!(frame, [0xff; 70]));
        }
        assert_eq!(count, 192);
        let file = file.borrow();
        let frames: Vec<_> = blocks(&file).into_iter().filter(|block| block.0 == 6).collect();
        assert_eq!(frames.len(), room + 192);
        let nanos = 101_000_000_000_u64;
        for (_, frame) in frames {
            assert_eq!(frame[4..8], ((nanos >> 32) as u32).to_le_bytes());
            assert_eq!(frame[8..12], (nanos as u32).to_le_bytes());
        }
    }
}
