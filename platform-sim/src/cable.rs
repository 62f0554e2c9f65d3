//! The cable between a card and a switch, and what it does to frames.
use crate::VirtualClock;
use airglow_device::{
    Caps, Clock, EthernetSegment, Impairments, Instant, LinkModel, LinkState, LinkStats, MacAddr, NetDevice,
    NetRx, NetTx, SegmentPort, SegmentRx, SegmentTx, Timer, TxFrame,
};
use std::{cell::RefCell, fmt, future::poll_fn, rc::Rc, task::Poll};

/// Frames taken from one end at once.
const BATCH: usize = 256;

/// The cable between a host's card and a [`Segment`](crate::Segment), a [`LinkModel`] in each direction. It outlives the host's restarts, and
/// what is under way on it does too.
#[derive(Clone)]
pub struct Cable(Rc<Inner>);

struct Inner {
    name: String,
    /// The end at the card: an Ethernet of two.
    near: EthernetSegment,
    mac: MacAddr,
    state: RefCell<State>,
}

struct State {
    /// From the card, and to it.
    ways: [LinkModel; 2],
    plug: LinkState,
}

impl Cable {
    pub(crate) fn new(name: String, mac: MacAddr, impairments: Impairments) -> Self {
        let ways = [LinkModel::new(impairments), LinkModel::new(impairments.reverse())];
        let state = RefCell::new(State { ways, plug: LinkState::Up });
        Self(Rc::new(Inner { name, near: EthernetSegment::new(), mac, state }))
    }

    pub(crate) fn near(&self) -> &EthernetSegment {
        &self.0.near
    }
    /// A new card at the near end.
    pub(crate) fn card(&self, caps: Caps) -> SegmentPort {
        let card = self.0.near.join(self.0.mac, caps);
        self.0.near.set_link(self.0.mac, self.0.state.borrow().plug);
        card
    }
    pub(crate) fn mac(&self) -> MacAddr {
        self.0.mac
    }
    /// `HOST/SEGMENT`, as the interface is called in a recording.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Lets nothing through any more, in either direction, and nobody notices. What is under way still arrives.
    pub fn cut(&self) {
        self.set_partition(true);
    }
    /// Lets frames through again.
    pub fn mend(&self) {
        self.set_partition(false);
    }
    fn set_partition(&self, partition: bool) {
        self.0.state.borrow_mut().ways.iter_mut().for_each(|way| way.set_partition(partition));
    }
    /// Pulls the plug: the card sees its link go down.
    pub fn unplug(&self) {
        self.set_plug(LinkState::Down);
    }
    /// Puts it back.
    pub fn plug(&self) {
        self.set_plug(LinkState::Up);
    }
    fn set_plug(&self, plug: LinkState) {
        self.0.state.borrow_mut().plug = plug;
        self.0.near.set_link(self.0.mac, plug);
    }
    /// Changes what happens to the frames that are sent from now on, in both directions. The random numbers go on where they were.
    pub fn set_impairments(&self, impairments: Impairments) {
        self.0.state.borrow_mut().ways.iter_mut().for_each(|way| way.set_impairments(impairments));
    }
    /// What it does to frames.
    pub fn impairments(&self) -> Impairments {
        let state = self.0.state.borrow();
        let [out, _] = &state.ways;
        *out.impairments()
    }
    /// What became of the frames: those from the card, and those to it.
    pub fn stats(&self) -> [LinkStats; 2] {
        self.0.state.borrow().ways.each_ref().map(LinkModel::stats)
    }

    /// Carries frames between the end at the card and the end at the switch, for ever.
    pub(crate) async fn relay(self, clock: VirtualClock, mut near: SegmentPort, mut far: SegmentPort) {
        poll_fn(|cx| {
            loop {
                let now = clock.now();
                let state = &mut *self.0.state.borrow_mut();
                let [out, back] = &mut state.ways;
                let ((near_rx, near_tx), (far_rx, far_tx)) = (near.split(), far.split());
                carry(now, near_rx, out, far_tx);
                carry(now, far_rx, back, near_tx);
                let next = [out.next_at(), back.next_at()].into_iter().flatten().min();
                let more = near.poll_ready(cx, false).is_ready() | far.poll_ready(cx, false).is_ready();
                if more {
                    continue;
                }
                if let Some(at) = next {
                    clock.wake_at(at, cx.waker());
                }
                return Poll::Pending;
            }
        })
        .await
    }
}

/// Takes what has come in from `rx` onto the way, and gives `tx` what has come through.
fn carry(now: Instant, rx: &mut SegmentRx, way: &mut LinkModel, tx: &mut SegmentTx) {
    rx.receive(BATCH, |frame, _| way.push(now, frame, ()));
    while let Some(frame) = way.pop(now) {
        if tx.capacity() == 0 {
            tx.flush();
        }
        // There is room now; a frame that is too large for the port is counted there.
        let _ =
            tx.transmit(frame.bytes.len(), |slot: &mut TxFrame<'_>| slot.bytes.copy_from_slice(&frame.bytes));
        way.recycle(frame.bytes);
    }
    tx.flush();
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable")
            .field("name", &self.0.name)
            .field("impairments", &self.impairments())
            .finish_non_exhaustive()
    }
}
