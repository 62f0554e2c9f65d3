//! What may go next: what is lost, a probe, or new data as far as windows and Nagle let it.
use super::Sender;
use crate::tcp::{congestion::CongestionControl, sequence::Seq};
use airglow_device::Instant;

/// A segment that may go now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub seq: Seq,
    /// Data bytes.
    pub len: usize,
    pub syn: bool,
    pub fin: bool,
    /// The last byte of the queue is in it.
    pub push: bool,
    pub again: bool,
}

impl Sender {
    /// The next segment that may go, with at most `most` bytes of data. Ask again after [`sent`](Self::sent).
    pub fn plan(&mut self, now: Instant, most: u32) -> Option<Plan> {
        if self.syn_due {
            return Some(Plan {
                seq: self.initial,
                len: 0,
                syn: true,
                fin: false,
                push: false,
                again: self.next != self.initial,
            });
        }
        if !self.syn_acknowledged || (self.queue.len() == 0 && !self.fin_queued) {
            return None;
        }
        if self.probe {
            return Some(self.plan_probe());
        }
        if let Some((start, end)) = self.flight.first_lost() {
            #[cfg(feature = "f-rto")]
            if self.frto_waits() {
                return self.plan_frto();
            }
            if !self.force && self.pipe() > 0 && self.allowance() < self.mss.min(end.since(start)) {
                return None;
            }
            return self.plan_again(start, end);
        }
        if self.tail_due {
            let plan = self.plan_tail();
            if plan.is_none() {
                // There is nothing to probe with: the timeout comes in its place.
                self.timer = self.timer.min(now + self.round_trip.timeout());
            }
            return plan;
        }
        if self.unsent() == 0 && !self.fin_unsent() {
            return None;
        }
        let in_flight = self.in_flight();
        if in_flight == 0 && now.since(self.last_sent) > self.round_trip.timeout() {
            self.congestion.idle();
            self.peak = 0;
        }
        #[cfg(feature = "plpmtud")]
        if self.is_probing_size() {
            return self.plan_size_probe();
        }
        let room = (self.unacknowledged + self.window).since(self.next);
        let plan = self.plan_new(room, self.allowance(), most.max(self.mss));
        if plan.is_none() && in_flight == 0 && self.timer == Instant::MAX {
            // Nothing in flight and nothing may go: only a probe will tell when the window opens.
            self.timer = now + self.round_trip.timeout();
        }
        plan
    }

    /// What of `seq..end`, sent before, goes again in one segment.
    fn plan_again(&self, seq: Seq, end: Seq) -> Option<Plan> {
        let room = (self.unacknowledged + self.window).since(seq);
        if room == 0 && seq != self.unacknowledged {
            return None;
        }
        let data = end.min(self.queue_end()).since(seq).min(self.mss);
        let data = if room > 0 { data.min(room) } else { data };
        let whole = seq + data == self.queue_end();
        let fin = self.fin_sent && whole && end.after(self.queue_end()) && data < self.mss;
        Some(Plan { seq, len: data as usize, syn: false, fin, push: whole, again: true })
    }

    /// RFC 8985 section 7.3: a new segment if there is one, else the last one again.
    fn plan_tail(&mut self) -> Option<Plan> {
        let room = (self.unacknowledged + self.window).since(self.next);
        let len = self.unsent().min(self.mss);
        if len > 0 && len <= room {
            return Some(Plan {
                seq: self.next,
                len: len as usize,
                syn: false,
                fin: false,
                push: true,
                again: false,
            });
        }
        let Some((start, end)) = self.flight.last_unsacked() else {
            self.tail_due = false;
            return None;
        };
        let plan = self.plan_again(start.max(end - self.mss), end);
        if plan.is_none() {
            self.tail_due = false;
        }
        plan
    }

    fn plan_new(&self, room: u32, congestion_room: u32, most: u32) -> Option<Plan> {
        let unsent = self.unsent();
        let in_flight = self.in_flight();
        let closing = self.fin_unsent();
        let plan = |len: u32, fin| Plan {
            seq: self.next,
            len: len as usize,
            syn: false,
            fin,
            push: len == unsent && len > 0,
            again: false,
        };
        if unsent == 0 {
            return (closing && room > 0).then(|| plan(0, true));
        }
        let congestion_room = if in_flight == 0 { congestion_room.max(self.mss) } else { congestion_room };
        let mut len = unsent.min(room).min(congestion_room).min(most);
        let whole = len == unsent;
        // Nagle: a small segment waits until all is acknowledged, unless the user is in a hurry or has no more to say.
        let small_may_go = whole && (self.nodelay || in_flight == 0 || self.fin_queued);
        if len >= self.mss {
            if !small_may_go {
                len -= len % self.mss;
            }
        } else if !small_may_go {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1
            //# (3) or if at least a fraction Fs of the maximum window can be sent,
            let half_window = len > 0 && len == room.min(unsent) && len >= self.most_window.div_ceil(2);
            if !half_window || (in_flight > 0 && !self.nodelay) {
                return None;
            }
        }
        if len == 0 {
            return None;
        }
        Some(plan(len, closing && len == unsent && room > len))
    }

    fn plan_probe(&self) -> Plan {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
        //# The sending TCP peer must regularly transmit at least one octet of new data (if available),
        //# or retransmit to the receiving TCP peer even if the send window is zero,
        //# in order to "probe" the window.
        let len = self.window.clamp(1, self.mss).min(self.queue.len() as u32);
        Plan {
            seq: self.unacknowledged,
            len: len as usize,
            syn: false,
            fin: len == 0,
            push: true,
            again: self.next != self.unacknowledged,
        }
    }
}
