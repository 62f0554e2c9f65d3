//! An impaired wire between two interfaces of the host: the relay that makes a kernel suffer what
//! [`Impaired`](airglow_device::Impaired) makes our stack suffer, by the same [`LinkModel`].
use crate::{
    OpenError, Packet, Reactor, Tap,
    signals::Termination,
    source::{Direction, Source},
    sys::interface::{self, Name},
};
use airglow_device::{
    Clock, Impairments, Instant, LinkModel, LinkStats, MacAddr, NetDevice, NetRx, NetTx, RxMeta, Timer,
    TxFrame, cut_segments, describe_checksum,
};
use airglow_runtime::{Either, block_on, select};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    io,
    path::Path,
    rc::Rc,
    task::{Poll, Waker},
};

/// Frames taken from an end before the other direction has its turn.
const BATCH: usize = 64;
/// Rounds before other tasks of the thread have theirs.
const ROUNDS: usize = 64;
/// The longest frame that is put on the wire: Ethernet header, an 802.1Q tag, and the largest MTU of Linux' veth.
const LONGEST: usize = 65_535 + 18;

/// A wire between two interfaces, with a [`LinkModel`] in each direction.
///
/// An end is a tap device, or any Ethernet interface, such as the near end of a veth pair whose far end is in another
/// network namespace. Each frame has its own fate: TCP segments that the kernel left to be cut are cut to the size of their
/// connection's segments, and checksums that it left open are completed. (Several UDP datagrams in one frame are dropped.)
///
/// Frames leave within some 0.1 ms of their time; 64 are received and sent with a system call.
pub struct Wire {
    ends: [End; 2],
    halves: [Half; 2],
    alarm: Alarm,
}

enum End {
    Tap(Tap),
    Packet(Packet),
}

/// One direction.
struct Half {
    link: LinkModel,
    segment: Vec<u8>,
}

/// Why a wire could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum WireError {
    /// An end could not be opened.
    Open(OpenError),
    /// The system refused something else.
    System(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::System(error) => write!(f, "setting up the wire: {error}"),
        }
    }
}
impl std::error::Error for WireError {}
impl From<OpenError> for WireError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl End {
    /// A tap device where there is one or nothing of that name (it is then made), else a packet socket.
    fn open(reactor: &Reactor, name: &str) -> Result<Self, OpenError> {
        let exists = || interface::index(&interface::control().ok()?, Name::new(name)?).ok();
        let is_tap = Path::new("/sys/class/net").join(name).join("tun_flags").exists();
        if is_tap || exists().is_none() {
            return Tap::open(reactor, name, None, true).map(Self::Tap);
        }
        // An address that is not the interface's own: everything is heard, whoever it is for.
        Packet::open(reactor, name, Some(MacAddr::UNSPECIFIED), true).map(Self::Packet)
    }
}

impl Wire {
    /// A wire between the interfaces `ends`; `impairments` are those from the first to the second, and back.
    ///
    /// # Errors
    /// What the system refused, and what to type.
    pub fn open(
        reactor: &Reactor,
        ends: [&str; 2],
        impairments: [Impairments; 2],
    ) -> Result<Self, WireError> {
        let [a, b] = ends;
        let ends = [End::open(reactor, a)?, End::open(reactor, b)?];
        let halves = impairments
            .map(|impairments| Half { link: LinkModel::new(impairments), segment: vec![0; LONGEST] });
        Ok(Self { ends, halves, alarm: Alarm::new(reactor)? })
    }

    /// Opens the wire and carries frames until SIGINT or SIGTERM; both directions do as `impairments` say, with different
    /// random numbers from the one seed. Returns what became of the frames in each direction.
    ///
    /// # Errors
    /// What the system refused, and what to type.
    pub fn run(ends: [&str; 2], impairments: Impairments) -> Result<[LinkStats; 2], WireError> {
        let reactor = Reactor::new()?;
        let termination = Termination::listen(&reactor)?;
        let mut wire = Self::open(&reactor, ends, [impairments, impairments.reverse()])?;
        match block_on(&reactor, select(wire.carry(), termination.requested())) {
            Either::Left(never) => match never {},
            Either::Right(signal) => log::info!("{signal}: the wire is taken down"),
        }
        Ok(wire.stats())
    }

    /// Carries frames until it is dropped; may be called again.
    pub async fn carry(&mut self) -> Infallible {
        let Self { ends: [a, b], halves, alarm } = self;
        match (a, b) {
            (End::Tap(a), End::Tap(b)) => relay(a, b, halves, alarm).await,
            (End::Tap(a), End::Packet(b)) => relay(a, b, halves, alarm).await,
            (End::Packet(a), End::Tap(b)) => relay(a, b, halves, alarm).await,
            (End::Packet(a), End::Packet(b)) => relay(a, b, halves, alarm).await,
        }
    }

    /// What became of the frames from the first end to the second, and back.
    pub fn stats(&self) -> [LinkStats; 2] {
        self.halves.each_ref().map(|half| half.link.stats())
    }

    /// Cuts the wire in both directions, or mends it.
    pub fn set_partition(&mut self, partition: bool) {
        self.halves.iter_mut().for_each(|half| half.link.set_partition(partition));
    }
}

impl Half {
    fn is_due(&self, now: Instant) -> bool {
        self.link.next_at().is_some_and(|at| at <= now)
    }

    /// Puts a frame on the wire as whole and separate as it would be on a real one.
    fn put(&mut self, now: Instant, frame: &mut [u8], meta: RxMeta) {
        let Self { link, segment } = self;
        let open = meta.checksum_ok || meta.gro_segment != 0;
        // Describing changes the frame: not one whose checksum is whole and may be wrong.
        match open.then(|| describe_checksum(frame)).flatten() {
            Some(described) => {
                let described = described.segments(meta.gro_segment);
                let _ = cut_segments(frame, described, segment, |part| link.push(now, part, ()));
            }
            None if meta.gro_segment == 0 => link.push(now, frame, ()),
            // Segments of something that is not plainly TCP over IP: no wire could carry them.
            None => {}
        }
    }

    /// Takes what `from` has, and gives what is due to `to`.
    fn pass(&mut self, now: Instant, from: &mut impl NetRx, to: &mut impl NetTx) {
        from.receive(BATCH, |frame, meta| self.put(now, frame, meta));
        let mut sent = false;
        while to.capacity() > 0 {
            let Some(frame) = self.link.pop(now) else { break };
            let fill = |slot: &mut TxFrame<'_>| slot.bytes.copy_from_slice(&frame.bytes);
            // A frame that is longer than the far end takes is lost, as on any wire.
            sent |= to.transmit(frame.bytes.len(), fill).is_ok();
            self.link.recycle(frame.bytes);
        }
        if sent {
            to.flush();
        }
    }
}

/// Carries frames between two devices through two link models.
async fn relay<A: NetDevice, B: NetDevice>(
    a: &mut A,
    b: &mut B,
    [forth, back]: &mut [Half; 2],
    timer: &impl Timer,
) -> Infallible {
    poll_fn(|cx| {
        for _ in 0..ROUNDS {
            let now = timer.now();
            forth.pass(now, a.split().0, b.split().1);
            back.pass(now, b.split().0, a.split().1);
            // Looked at, so that the device does not report the change again.
            let _ = (a.link(), b.link());
            let now = timer.now();
            let ready = [a.poll_ready(cx, back.is_due(now)), b.poll_ready(cx, forth.is_due(now))];
            if ready.iter().any(Poll::is_ready) {
                continue;
            }
            // What is due and still here waits for room, not for its time.
            let next = [forth.link.next_at(), back.link.next_at()];
            if let Some(at) = next.into_iter().flatten().filter(|at| *at > now).min() {
                timer.wake_at(at, cx.waker());
            }
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// A timer of its own for one task: `timerfd(2)` keeps nanoseconds, where the reactor rounds up to milliseconds.
struct Alarm {
    source: Rc<Source>,
    reactor: Reactor,
}

impl Alarm {
    fn new(reactor: &Reactor) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let source = Source::new(rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?);
        source.would_block(reactor, Direction::Read)?;
        Ok(Self { source, reactor: reactor.clone() })
    }
}

impl Clock for Alarm {
    fn now(&self) -> Instant {
        self.reactor.now()
    }
}

impl Timer for Alarm {
    /// The last call counts: there is one task, and it always asks for the earliest.
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.source.wait(Direction::Read, waker);
        // Zero would switch the timer off.
        let left = at.since(self.now()).max(std::time::Duration::from_nanos(1));
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        if rustix::time::timerfd_settime(self.source.fd(), TimerfdTimerFlags::empty(), &spec).is_err() {
            // Never for these arguments; the reactor's own timer is late, but comes.
            self.reactor.wake_at(at, waker);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.reactor.remove(&self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Half {
        Half { link: LinkModel::new(Impairments::default()), segment: vec![0; LONGEST] }
    }

    /// An IPv4 frame with a TCP segment of `payload` bytes; its checksum field holds `checksum`.
    fn frame(payload: usize, checksum: [u8; 2]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x08, 0, 0x45, 0]);
        frame.extend((40 + payload as u16).to_be_bytes());
        frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0]);
        frame.extend(checksum);
        frame.extend([0, 0]);
        frame.resize(54 + payload, 0x61);
        frame
    }

    fn out(half: &mut Half) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| half.link.pop(Instant::MAX)).map(|frame| frame.bytes).collect()
    }

    #[test]
    fn a_frame_whose_checksum_was_not_looked_at_is_not_touched() {
        let mut half = half();
        let wrong = frame(10, [0xde, 0xad]);
        half.put(Instant::ZERO, &mut wrong.clone(), RxMeta::new(false, 0));
        assert_eq!(out(&mut half), [wrong]);
    }

    #[test]
    fn open_checksums_are_completed_and_segments_cut() {
        let mut half = half();
        half.put(Instant::ZERO, &mut frame(10, [0xde, 0xad]), RxMeta::new(true, 0));
        let [whole] = out(&mut half).try_into().unwrap();
        // Completed: doing it again changes nothing, and the field is another.
        let mut again = whole.clone();
        let meta = describe_checksum(&mut again).unwrap();
        assert!(airglow_device::complete_checksum(&mut again, meta) && again == whole);
        assert_ne!(whole[50..52], [0xde, 0xad]);

        half.put(Instant::ZERO, &mut frame(2500, [0; 2]), RxMeta::new(true, 1000));
        assert_eq!(out(&mut half).iter().map(Vec::len).collect::<Vec<_>>(), [1054, 1054, 554]);
    }
}
