//! The receiving half of a connection: what has arrived, what is acknowledged, how far the peer may go on.
use super::{buffer::Ring, reassembly::Ranges, sequence::Seq};
use crate::wire::tcp::SackBlocks;
use airglow_device::Instant;
use core::time::Duration;

/// When to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// At this time at the latest.
    By(Instant),
    Now,
}

/// RCV.NXT and all that belongs to it.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// RCV.NXT.
    pub next: Seq,
    /// The right edge of the window, RCV.NXT + RCV.WND as the peer was last told.
    pub edge: Seq,
    /// Our window scale.
    pub scale: u8,
    /// The largest buffer, in bytes.
    most: usize,
    /// What of it is offered now: it follows what the user reads in a round trip.
    room: usize,
    /// Bytes read since `tuned_at`.
    read: usize,
    tuned_at: Instant,
    pub ring: Ring,
    out_of_order: Ranges,
    /// Starts of what last arrived out of order, the latest first.
    recent: [Seq; 3],
    /// Where the peer's FIN is, once seen.
    fin: Option<Seq>,
    /// The peer's FIN has been reached.
    pub finished: bool,
    /// Nobody reads any more: acknowledge and forget.
    pub discard: bool,
    owed: Owed,
    /// Acknowledgments to send one by one, so that the peer can count them.
    duplicates: u8,
    /// Bytes since the last acknowledgment.
    unacknowledged: u32,
    /// The peer's segment size, as seen.
    segment: u32,
    /// TS.Recent, once timestamps are agreed on.
    pub timestamp: u32,
    /// When it was set.
    pub timestamp_at: Instant,
    /// Last.ACK.sent.
    pub last_acknowledged: Seq,
    /// What last arrived a second time, until it is reported (RFC 2883).
    duplicate: Option<(Seq, Seq)>,
    /// A packet marked by a congested router has come, and the peer has not yet said that it knows (RFC 3168).
    pub congestion_echo: bool,
}

/// The room that a connection offers at first.
const FIRST_ROOM: usize = 128 << 10;

/// Most duplicate acknowledgments sent after one batch.
const DUPLICATES: u8 = 16;

impl Receiver {
    /// `most`: the buffer's bound. `scale`: our shift.
    pub const fn new(most: usize, scale: u8) -> Self {
        Self {
            next: Seq(0),
            edge: Seq(0),
            scale,
            most,
            room: if most < FIRST_ROOM { most } else { FIRST_ROOM },
            read: 0,
            tuned_at: Instant::ZERO,
            ring: Ring::new(),
            out_of_order: Ranges::new(),
            recent: [Seq(0); 3],
            fin: None,
            finished: false,
            discard: false,
            owed: Owed::Nothing,
            duplicates: 0,
            unacknowledged: 0,
            segment: 536,
            timestamp: 0,
            timestamp_at: Instant::ZERO,
            last_acknowledged: Seq(0),
            duplicate: None,
            congestion_echo: false,
        }
    }

    /// The peer's SYN had sequence number `irs`, and was told a window of `window` bytes.
    pub fn synchronize(&mut self, irs: Seq, window: u32) {
        self.next = irs + 1;
        self.edge = self.next + window;
        self.last_acknowledged = self.next;
    }

    /// RCV.WND: how many bytes from RCV.NXT on are acceptable.
    pub fn window(&self) -> u32 {
        self.edge.since(self.next)
    }

    /// Whether any byte of a segment is in the window (RFC 9293 section 3.4, the four cases).
    ///
    /// A segment without data may also lie at the window's right edge: there are the acknowledgments of a peer that has used up the
    /// window and lost some of it. Two such peers that refused them would never hear each other again.
    pub fn acceptable(&self, seq: Seq, len: u32) -> bool {
        let window = self.window();
        let within = |s: Seq| self.next.up_to(s) && s.before(self.edge);
        match (len, window) {
            (0, 0) => seq == self.next,
            (0, _) => within(seq) || seq == self.edge,
            (_, 0) => false,
            _ => within(seq) || within(seq + (len - 1)),
        }
    }

    /// How much memory the ring needs to take `len` bytes at `seq`.
    pub fn memory_for(&self, seq: Seq, len: usize) -> usize {
        if self.discard || len == 0 {
            return 0;
        }
        let end = (seq + len as u32).min(self.edge);
        if !end.after(self.next) {
            return 0;
        }
        (self.ring.len() + end.since(self.next) as usize).min(self.most)
    }

    /// Nothing is stored, in order or not.
    pub fn is_empty(&self) -> bool {
        self.ring.len() == 0 && self.out_of_order.is_empty()
    }
    /// Bytes to read.
    pub fn readable(&self) -> usize {
        self.ring.len()
    }
    /// The buffer takes no more in order.
    pub fn is_full(&self) -> bool {
        self.ring.len() >= self.room
    }
    /// Segments are missing.
    fn has_gaps(&self) -> bool {
        !self.out_of_order.is_empty()
    }

    /// There is something to say in SACK blocks.
    pub fn has_blocks(&self) -> bool {
        self.has_gaps() || self.duplicate.is_some()
    }
    /// `seq..end` has arrived before.
    pub fn arrived_twice(&mut self, seq: Seq, end: Seq) {
        if seq.before(end.min(self.next)) {
            self.duplicate = Some((seq, end.min(self.next)));
        }
    }

    /// Takes the text and FIN of an acceptable segment. `segment`: size of each when several came as one.
    /// Returns whether RCV.NXT moved.
    pub fn take(
        &mut self,
        memory: &mut [u8],
        now: Instant,
        delay: Duration,
        (mut seq, mut data, mut fin): (Seq, &[u8], bool),
        segment: u32,
    ) -> bool {
        let before = self.next;
        if self.finished {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# This should not occur since a FIN has been received from the remote side.
            //# Ignore the segment text.
            self.owed = Owed::Now;
            return false;
        }
        self.segment = self.segment.max(segment);
        if seq.before(self.next) {
            let old = self.next.since(seq) as usize;
            self.arrived_twice(seq, seq + data.len() as u32);
            if old > data.len() || (old == data.len() && !fin) {
                // Nothing new: the acknowledgment was lost.
                self.owed = Owed::Now;
                return false;
            }
            data = &data[old..];
            seq = self.next;
        }
        let room = self.edge.since(seq) as usize;
        if data.len() > room {
            data = &data[..room];
            fin = false;
        }
        let offset = seq.since(self.next);
        let taken = if self.discard {
            data.len()
        } else {
            self.ring.write_at(memory, self.ring.len() + offset as usize, data)
        };
        if taken < data.len() {
            fin = false;
            self.owed = Owed::Now;
        }
        let end = seq + taken as u32;
        if fin {
            self.fin = Some(end);
        }
        if offset == 0 {
            self.advance(end);
            let gaps = self.has_gaps();
            if let Some(&(start, reach)) = self.out_of_order.as_slice().first()
                && start.up_to(self.next)
            {
                self.advance(self.next.max(reach));
            }
            self.out_of_order.advance(self.next);
            self.unacknowledged = self.unacknowledged.saturating_add(taken as u32);
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
            //# Specifically, an ACK SHOULD be generated for at least every second
            //# full-sized segment, and MUST be generated within 500 ms of the arrival
            //# of the first unacknowledged packet.
            if gaps || self.unacknowledged >= 2 * self.segment {
                self.owed = Owed::Now;
            } else if self.owed == Owed::Nothing && taken > 0 {
                self.owed = Owed::By(now + delay);
            }
        } else {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
            //# A TCP receiver SHOULD send an immediate duplicate ACK when an out-
            //# of-order segment arrives.
            let inserted = if taken > 0 { self.out_of_order.insert(seq, end) } else { Err(()) };
            if inserted == Ok(false) {
                self.duplicate = Some((seq, end));
            }
            if inserted.is_ok() && self.recent[0] != seq {
                self.recent = [seq, self.recent[0], self.recent[1]];
            }
            self.duplicates = (self.duplicates + 1).min(DUPLICATES);
        }
        if self.fin == Some(self.next) {
            self.next = self.next + 1;
            self.edge = self.edge.max(self.next);
            self.finished = true;
            self.owed = Owed::Now;
        }
        self.next != before
    }

    fn advance(&mut self, to: Seq) {
        if !self.discard {
            self.ring.extend(to.since(self.next) as usize);
        }
        self.next = self.next.max(to);
    }

    /// The room follows what the user reads: in every round trip the peer may send four times what was read in the last one, so
    /// that it is not the window that slows slow start down.
    /// `may_grow` is asked whether the budget has so many bytes to spare.
    pub fn tune(
        &mut self,
        now: Instant,
        bytes: usize,
        round_trip: Duration,
        may_grow: impl FnOnce(usize) -> bool,
    ) {
        self.read += bytes;
        if now.since(self.tuned_at) < round_trip {
            return;
        }
        let wanted = (4 * self.read).min(self.most);
        if wanted > self.room && may_grow(wanted) {
            self.room = wanted;
        }
        (self.read, self.tuned_at) = (0, now);
    }

    /// The user has read: the window may have opened enough to tell the peer.
    pub fn consumed(&mut self) {
        let mss = self.segment as usize;
        let far = (self.room / 2).min(mss.max(self.room / 8));
        let enough = if (self.window() as usize) < mss { (self.room / 2).min(mss) } else { far };
        if self.offer().since(self.edge) as usize >= enough.max(1) && !self.finished {
            self.owed = Owed::Now;
        }
    }

    /// Nobody reads any more.
    pub fn discard_all(&mut self) {
        self.discard = true;
        self.ring.reset();
        // Bytes out of order lose their memory: they must come again.
        self.out_of_order.clear();
    }

    /// The right edge the memory allows.
    fn offer(&self) -> Seq {
        let free = self.room.saturating_sub(self.ring.len());
        self.next + (free.min(0xffff << self.scale) as u32)
    }

    /// The window field of a segment to send now; remembers it as told.
    pub fn advertise(&mut self) -> u16 {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
        //# The suggested SWS avoidance algorithm for the receiver is to keep
        //# RCV.NXT+RCV.WND fixed until the reduction satisfies:
        let offer = self.offer();
        if offer.since(self.edge) as usize >= (self.room / 2).min(self.segment as usize) {
            self.edge = offer;
        }
        let field = (self.window() >> self.scale).min(0xffff) as u16;
        if field == 0 && self.window() > 0 && self.ring.len() == 0 {
            return 1;
        }
        field
    }

    /// The window field of a SYN, which is never scaled.
    pub fn syn_window(&self) -> u16 {
        self.room.min(0xffff) as u16
    }

    /// An acknowledgment must go out at once.
    pub fn acknowledge_now(&mut self) {
        self.owed = Owed::Now;
    }
    /// Acknowledgments must go out at once.
    pub fn owes(&self) -> bool {
        self.owed == Owed::Now || self.duplicates > 0
    }
    /// When the delayed acknowledgment is due.
    pub fn deadline(&self) -> Instant {
        match self.owed {
            Owed::By(at) => at,
            _ => Instant::MAX,
        }
    }
    /// The delayed acknowledgment is due if its time has come.
    pub fn on_timer(&mut self, now: Instant) {
        if self.deadline() <= now {
            self.owed = Owed::Now;
        }
    }
    /// A segment with RCV.NXT went out; `pure`: without data.
    pub fn acknowledged(&mut self, pure: bool) {
        self.last_acknowledged = self.next;
        self.unacknowledged = 0;
        if pure {
            self.duplicate = None;
        }
        if pure && self.duplicates > 0 {
            self.duplicates -= 1;
        }
        if pure || self.duplicates == 0 {
            self.owed = Owed::Nothing;
        }
    }

    /// What to report as received out of order: the latest first (RFC 2018 section 4).
    pub fn sack_blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        //= https://www.rfc-editor.org/rfc/rfc2883#section-4
        //# (1) A D-SACK block is only used to report a duplicate contiguous
        //# sequence of data received by the receiver in the most recent packet.
        if let Some((left, right)) = self.duplicate {
            blocks.push(left.0, right.0);
            // RFC 2883 section 4, (5): the block it lies in comes second.
            if let Some((left, right)) = self.out_of_order.containing(left) {
                blocks.push(left.0, right.0);
            }
        }
        for seq in self.recent {
            if let Some((left, right)) = self.out_of_order.containing(seq)
                && !blocks.as_slice().contains(&(left.0, right.0))
            {
                blocks.push(left.0, right.0);
            }
        }
        for (left, right) in self.out_of_order.as_slice() {
            if blocks.as_slice().len() < 4 && !blocks.as_slice().contains(&(left.0, right.0)) {
                blocks.push(left.0, right.0);
            }
        }
        blocks
    }
}
