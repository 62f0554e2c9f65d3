//! RACK-TLP (RFC 8985): what was sent clearly before something that has arrived is lost; and a probe instead of a timeout
//! when the end of a flight gets no answer.
use super::{
    flight::{Flight, Stretch, micros},
    sequence::Seq,
};
use airglow_device::Instant;
use core::time::Duration;

/// The variables of section 5.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: of the segment sent last among those delivered.
    sent_at: u32,
    end: Seq,
    /// RACK.rtt, in microseconds; 0: nothing was delivered yet.
    rtt: u32,
    /// RACK.fack: the highest sequence number delivered.
    forward: Seq,
    reordering_seen: bool,
    /// RACK.reo_wnd_mult.
    multiple: u8,
    /// RACK.reo_wnd_persist: recoveries until the window is small again.
    persist: u8,
    /// RACK.dsack_round: SND.NXT when a D-SACK last widened the window.
    round: Option<Seq>,
    /// When what is in flight is to be looked at again.
    pub timer: Instant,
    /// TLP.end_seq, and TLP.is_retrans.
    probe: Option<(Seq, bool)>,
}

/// For how many recoveries a wider reordering window lasts.
const PERSIST: u8 = 16;
/// The longest a receiver is expected to keep an acknowledgment back (TLP.max_ack_delay).
const MOST_ACK_DELAY: Duration = Duration::from_millis(200);

/// What the least and the smoothed round-trip time are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrips {
    pub least: Option<Duration>,
    pub smoothed: Option<Duration>,
}

fn whole_micros(time: Option<Duration>) -> u32 {
    time.map_or(0, |time| u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

impl Rack {
    pub const fn new() -> Self {
        Self {
            sent_at: 0,
            end: Seq(0),
            rtt: 0,
            forward: Seq(0),
            reordering_seen: false,
            multiple: 1,
            persist: 0,
            round: None,
            timer: Instant::MAX,
            probe: None,
        }
    }

    /// Steps 2 and 3 of section 6.2 for a stretch that was delivered. `echo_before`: a timestamp proves that this
    /// acknowledgment is for something sent before this stretch was last sent.
    pub fn delivered(
        &mut self,
        now: Instant,
        stretch: &Stretch,
        least: Option<Duration>,
        echo: Option<Duration>,
    ) {
        let rtt = micros(now).wrapping_sub(stretch.at);
        if stretch.again {
            // What is acknowledged may be the first sending of it.
            if rtt < whole_micros(least)
                || echo.is_some_and(|age| whole_micros(Some(age)) > rtt.saturating_add(1000))
            {
                return;
            }
        } else if stretch.end.before(self.forward) {
            self.reordering_seen = true;
        }
        if self.rtt == 0 || stretch.end.after(self.forward) {
            self.forward = stretch.end;
        }
        if self.rtt == 0 || sent_after(stretch.at, stretch.end, self.sent_at, self.end) {
            (self.sent_at, self.end) = (stretch.at, stretch.end);
        }
        // Only the latest delivery tells how long an answer takes now.
        if self.end == stretch.end {
            self.rtt = rtt.max(1);
        }
    }

    /// Step 4: a D-SACK came. `una`: SND.UNA; `next`: SND.NXT.
    pub fn duplicate_reported(&mut self, una: Seq, next: Seq) {
        if self.round.is_none_or(|round| round.up_to(una)) {
            self.round = Some(next);
            self.multiple = self.multiple.saturating_add(1);
            self.persist = PERSIST;
        }
    }
    /// A recovery is over.
    pub fn recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiple = 1;
        }
    }

    /// RACK.reo_wnd, in microseconds. `proof`: in recovery, or the duplicate threshold is reached.
    fn reordering_window(&self, proof: bool, times: RoundTrips) -> u32 {
        if !self.reordering_seen && proof {
            return 0;
        }
        let window = (whole_micros(times.least) / 4).saturating_mul(u32::from(self.multiple));
        window.min(whole_micros(times.smoothed))
    }

    /// Step 5: takes for lost what was sent long enough before what was delivered; returns how many bytes, and whether one of
    /// them was a retransmission sent at `reduced_at` or later. Sets the timer for what is not old enough yet.
    pub fn detect(
        &mut self,
        now: Instant,
        flight: &mut Flight,
        proof: bool,
        times: RoundTrips,
        reduced_at: u32,
    ) -> (u32, bool) {
        self.timer = Instant::MAX;
        if self.rtt == 0 {
            return (0, false);
        }
        let patience = self.rtt.saturating_add(self.reordering_window(proof, times));
        let (mut wait, mut twice) = (None, false);
        let lost = flight.lose(|_, stretch| {
            if !sent_after(self.sent_at, self.end, stretch.at, stretch.end) {
                return false;
            }
            let left = stretch.at.wrapping_add(patience).wrapping_sub(micros(now)) as i32;
            if left > 0 {
                wait = wait.max(Some(left));
                return false;
            }
            twice |= stretch.again && (stretch.at.wrapping_sub(reduced_at) as i32) >= 0;
            true
        });
        if let Some(wait) = wait {
            self.timer = now + Duration::from_micros(wait as u64);
        }
        (lost, twice)
    }

    /// Section 6.3: on a timeout, what was sent too lately to be lost stays in flight.
    pub fn lose_on_timeout(&self, now: Instant, flight: &mut Flight, una: Seq, times: RoundTrips) {
        let patience = self.rtt.saturating_add(self.reordering_window(false, times));
        flight.lose(|start, stretch| {
            start == una
                || self.rtt == 0
                || stretch.at.wrapping_add(patience).wrapping_sub(micros(now)) as i32 <= 0
        });
    }

    /// Section 7.2: how long to wait for an answer before a probe. `one`: a single segment is in flight.
    pub fn probe_timeout(&self, smoothed: Option<Duration>, one: bool) -> Duration {
        match smoothed {
            Some(smoothed) => 2 * smoothed + if one { MOST_ACK_DELAY } else { Duration::ZERO },
            None => Duration::from_secs(1),
        }
    }
    /// A probe is out and nothing tells yet what became of it.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }
    /// A probe went out: SND.NXT is `end`; `again`: it was a retransmission.
    pub fn probed(&mut self, end: Seq, again: bool) {
        self.probe = Some((end, again));
    }
    /// Nothing of the probe counts any more: a recovery has begun.
    pub fn forget_probe(&mut self) {
        self.probe = None;
    }
    /// Section 7.4: an acknowledgment; returns whether the probe has repaired a loss, for which the window must answer.
    pub fn probe_answered(&mut self, ack: Seq, reported_twice: bool, plain_duplicate: bool) -> bool {
        let Some((end, again)) = self.probe else { return false };
        if ack.before(end) {
            return false;
        }
        if !again || reported_twice {
            self.probe = None;
            return false;
        }
        if ack.after(end) {
            self.probe = None;
            return true;
        }
        if plain_duplicate {
            self.probe = None;
        }
        false
    }
}

/// RACK_sent_after: by time, and of the same time by place.
fn sent_after(at: u32, end: Seq, other_at: u32, other_end: Seq) -> bool {
    let later = at.wrapping_sub(other_at) as i32;
    later > 0 || (later == 0 && end.after(other_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Section 3.3.2.
    #[test]
    fn the_reordering_window_is_never_wider_than_a_round_trip() {
        let times = |least, smoothed| RoundTrips {
            least: Some(Duration::from_millis(least)),
            smoothed: Some(Duration::from_millis(smoothed)),
        };
        let mut rack = Rack::new();
        assert_eq!(rack.reordering_window(false, times(20, 30)), 5000);
        for round in 1..300 {
            rack.duplicate_reported(Seq(round), Seq(round));
        }
        assert_eq!(rack.reordering_window(false, times(20, 30)), 30_000);
    }
}
