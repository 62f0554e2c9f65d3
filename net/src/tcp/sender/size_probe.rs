//! A segment larger than those that are known to get through (RFC 4821 section 7): sent with data that follows it closely, so that it is soon
//! known what became of it, and lost without blame for the window.
use super::{Phase, Plan, Sender};
use crate::tcp::{congestion::CongestionControl, sequence::Seq};

/// What the sender knows of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizeProbe {
    /// There is none.
    None,
    /// One with so many bytes of data goes next.
    Due(u32),
    /// It is on its way, from this sequence number to that.
    InFlight(Seq, Seq),
    /// The peer has it.
    Arrived,
    /// It is lost.
    Lost,
}

/// Segments that must follow a probe, to tell whether it was lost.
const FOLLOWERS: u32 = 4;

impl Sender {
    /// The next segment with new data is a probe.
    pub(in crate::tcp) fn is_probing_size(&self) -> bool {
        matches!(self.size_probe, SizeProbe::Due(_))
    }

    /// Nothing stands against a probe with `len` bytes of data: nothing is lost, and there is data enough, here, in the window and for
    /// the network (section 7.4).
    pub(in crate::tcp) fn may_probe_size(&self, len: u32) -> bool {
        let all = len + FOLLOWERS * self.mss;
        let room = (self.unacknowledged + self.window).since(self.next);
        self.sack
            && self.phase == Phase::Open
            && self.size_probe == SizeProbe::None
            && self.unsent() >= all
            && room >= all
            && self.congestion.window() >= all
            && self.flight.sacked() == 0
            && self.flight.lost() == 0
    }

    /// The next segment is to be a probe with `len` bytes of data; [`may_probe_size`](Self::may_probe_size) holds.
    pub(in crate::tcp) fn probe_size(&mut self, len: u32) {
        self.size_probe = SizeProbe::Due(len);
    }

    /// What became of the probe, once.
    pub(in crate::tcp) fn size_probe_outcome(&mut self) -> Option<bool> {
        let arrived = match self.size_probe {
            SizeProbe::Arrived => true,
            SizeProbe::Lost => false,
            _ => return None,
        };
        self.size_probe = SizeProbe::None;
        Some(arrived)
    }

    /// The segment at `seq` is the probe, and a router says that it is too large: it is lost. `false`: it is another.
    pub(in crate::tcp) fn size_probe_refused(&mut self, seq: Seq) -> bool {
        let SizeProbe::InFlight(start, end) = self.size_probe else { return false };
        if seq != start {
            return false;
        }
        self.size_probe = SizeProbe::None;
        self.flight.lose_range(start, end);
        true
    }

    /// The probe, as soon as the congestion window has room for all of it; until then nothing else goes.
    pub(super) fn plan_size_probe(&mut self) -> Option<Plan> {
        let SizeProbe::Due(len) = self.size_probe else { return None };
        self.size_probe = SizeProbe::None;
        if !self.may_probe_size(len) {
            return None;
        }
        self.size_probe = SizeProbe::Due(len);
        let plan =
            Plan { seq: self.next, len: len as usize, syn: false, fin: false, push: false, again: false };
        (self.allowance() >= len).then_some(plan)
    }
    /// The segment that was sent last was the probe.
    pub(in crate::tcp) fn size_probe_sent(&mut self) {
        if let SizeProbe::Due(len) = self.size_probe {
            self.size_probe = SizeProbe::InFlight(self.next - len, self.next);
        }
    }

    /// SND.UNA has moved.
    pub(super) fn size_probe_acknowledged(&mut self) {
        if let SizeProbe::InFlight(_, end) = self.size_probe
            && end.up_to(self.unacknowledged)
        {
            self.size_probe = SizeProbe::Arrived;
        }
    }

    /// Something was lost; returns whether it is the probe and nothing else. Then it is sent again in smaller segments, and the window stays
    /// as it is (section 7.5).
    pub(super) fn size_probe_lost(&mut self) -> bool {
        let SizeProbe::InFlight(start, end) = self.size_probe else { return false };
        let mut lost = self.flight.stretches().filter(|(_, s)| s.fate == crate::tcp::flight::Fate::Lost);
        if !lost.any(|(first, s)| first.up_to(start) && start.before(s.end)) {
            return false;
        }
        self.size_probe = SizeProbe::Lost;
        self.flight.lost() <= end.since(start)
    }

    /// The retransmission timer has expired.
    pub(super) fn size_probe_timed_out(&mut self) {
        self.size_probe = match self.size_probe {
            SizeProbe::InFlight(..) | SizeProbe::Lost => SizeProbe::Lost,
            _ => SizeProbe::None,
        };
    }
    /// All in flight is lost, for another reason than its size.
    pub(super) fn forget_size_probe(&mut self) {
        self.size_probe = SizeProbe::None;
    }
}
