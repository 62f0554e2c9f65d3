//! The search for the largest packet that a path takes (RFC 4821), where segments are smaller than both ends' links would allow: after a
//! black hole, or ten minutes after a router said that they must be.
//!
//! Sizes are those of IP payloads less a TCP header without options, as an MSS is. `Connection::path_mss` is search_low, what is known to
//! get through and is sent; the largest first, then the middle of what is left, until the two are so near that it does not pay. A size
//! is too large when a probe of it was lost twice and nothing else was. What is found out is kept for all connections to the destination.
use super::{IpOutput, connection::Connection, sequence::Seq};
use crate::wire::tcp::HEADER_LEN;
use airglow_device::Instant;
use core::time::Duration;

/// A connection's search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// Not before.
    at: Instant,
    /// search_high: nothing larger gets through.
    high: u16,
    /// The size that is tried.
    tried: u16,
    /// Probes of it that were lost.
    lost: u8,
    /// `high` is what a link takes, and worth to be tried itself; or it is only less than what did not get through.
    exact: bool,
}

/// Lost probes of a size that make it too large.
const LOSSES: u8 = 2;
/// From a lost probe to the next one: not so often that they look like a loss rate.
const PAUSE: Duration = Duration::from_millis(200);
/// RFC 8201 section 4: a path is tried again ten minutes after it was found to be narrow.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// Bytes that are not worth a probe.
const NEAR: u32 = 16;

impl Search {
    pub const fn new() -> Self {
        Self { at: Instant::ZERO, high: u16::MAX, tried: 0, lost: 0, exact: true }
    }

    /// There is nothing to look for now.
    fn over(&mut self, now: Instant) {
        *self = Self { at: now + AGAIN, ..Self::new() };
    }
    /// Nothing larger than `high` gets through.
    fn lower(&mut self, high: u32, exact: bool) {
        let high = high.min(u16::MAX.into()) as u16;
        *self = Self { high, exact, lost: 0, ..*self };
    }
}

impl Connection {
    /// Looks at what became of a probe, and sends the next one if there is one to send. Called before anything is sent, while `path_mss`
    /// is smaller than the peer's MSS.
    #[inline(never)]
    pub(super) fn search_path(&mut self, now: Instant, out: &mut impl IpOutput) {
        if let Some(arrived) = self.send.size_probe_outcome() {
            self.size_probe_done(now, arrived, out);
        }
        if now < self.search.at || !self.send.may_probe_size(self.send.mss) {
            return;
        }
        let link = out.largest(self.tuple.remote).saturating_sub(HEADER_LEN);
        let high = u32::from(self.search.high).min(link as u32).min(self.peer_mss);
        self.search.exact |= high < self.search.high.into();
        if high < self.path_mss + NEAR {
            return self.search.over(now);
        }
        let size = match self.search.lost {
            0 if self.search.exact => high,
            0 => self.path_mss + (high - self.path_mss) / 2,
            _ => high.min(self.search.tried.into()),
        };
        let len = size - self.option_bytes();
        if self.send.may_probe_size(len) {
            self.search.tried = size as u16;
            self.send.probe_size(len);
        }
    }

    fn size_probe_done(&mut self, now: Instant, arrived: bool, out: &mut impl IpOutput) {
        let tried = u32::from(self.search.tried);
        if arrived {
            self.search.lost = 0;
            if tried <= self.path_mss {
                return;
            }
            self.path_mss = tried;
            self.update_mss();
        } else {
            self.search.at = now + PAUSE;
            self.search.lost += 1;
            if self.search.lost < LOSSES {
                return;
            }
            self.search.lower(tried.saturating_sub(1).max(self.path_mss), false);
        }
        self.remember_path(out);
    }

    /// Tells IP what of the path is known.
    fn remember_path(&self, out: &mut impl IpOutput) {
        let whole = |mss: u32| mss as usize + HEADER_LEN;
        let high = u32::from(self.search.high).max(self.path_mss);
        out.path_found(self.tuple.remote, whole(self.path_mss), whole(high));
    }

    /// Segments of `before` and less did not get through, and smaller ones are sent from now on. That may have had another reason, so that
    /// the first probe is of the old size.
    pub(super) fn search_after_black_hole(&mut self, before: u32, out: &mut impl IpOutput) {
        self.search = Search { at: Instant::ZERO, ..Search::new() };
        self.search.lower(before, true);
        self.remember_path(out);
    }

    /// A router says that the segment at `seq` was larger than `mss`, which is more than is sent as a rule. If it was a probe, the next one
    /// is of that size.
    pub(super) fn size_probe_too_big(&mut self, seq: Seq, mss: u32) {
        if mss < self.search.tried.into() && self.send.size_probe_refused(seq) {
            self.search.lower(mss.max(self.path_mss), true);
        }
    }
}
