//! Meters: token buckets (OpenFlow 1.3 section 5.7).
use crate::wire::Band;
use airglow_device::Instant;
use alloc::vec::Vec;

/// Rates are in packets, not in kilobits.
pub const PKTPS: u16 = 2;

/// A meter.
#[derive(Clone)]
pub struct Meter {
    /// As the controller set them.
    pub flags: u16,
    /// Its bands.
    pub bands: Vec<Band>,
    tokens: Vec<u64>,
    filled: Instant,
    /// Since when.
    pub since: Instant,
    /// Packets and bytes that came.
    pub input: (u64, u64),
    /// The same of each band that took them.
    pub counts: Vec<(u64, u64)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It goes on with a higher drop precedence.
    Remark(u8),
    /// It is dropped.
    Drop,
}

impl Meter {
    /// A meter with full buckets.
    pub fn new(flags: u16, bands: Vec<Band>, now: Instant) -> Self {
        let mut meter = Self {
            tokens: Vec::new(),
            counts: bands.iter().map(|_| (0, 0)).collect(),
            flags,
            bands,
            filled: now,
            since: now,
            input: (0, 0),
        };
        meter.tokens = meter.bands.iter().map(|band| meter.capacity(band)).collect();
        meter
    }

    /// Tokens are millionths of what the rate counts: bits or packets.
    fn unit(&self) -> u64 {
        if self.flags & PKTPS != 0 { 1_000_000 } else { 1_000_000_000 }
    }
    /// A band without a burst of its own holds a second's worth.
    fn capacity(&self, band: &Band) -> u64 {
        let burst = if self.flags & 4 != 0 && band.burst > 0 { band.burst } else { band.rate };
        u64::from(burst).saturating_mul(self.unit())
    }

    /// Counts a packet; the band with the highest rate that is exceeded decides.
    pub fn take(&mut self, now: Instant, bytes: usize) -> Verdict {
        let micros = (now.since(self.filled).as_micros() as u64).min(10_000_000);
        self.filled = now;
        self.input = (self.input.0 + 1, self.input.1 + bytes as u64);
        let cost = if self.flags & PKTPS != 0 { 1_000_000 } else { bytes as u64 * 8 * 1_000_000 };
        let unit = self.unit() / 1_000_000;
        let mut chosen: Option<usize> = None;
        for index in 0..self.bands.len() {
            let band = self.bands[index];
            let more = u64::from(band.rate).saturating_mul(micros).saturating_mul(unit);
            let tokens = self.tokens[index].saturating_add(more).min(self.capacity(&band));
            self.tokens[index] = match tokens.checked_sub(cost) {
                Some(left) => left,
                None => {
                    if chosen.is_none_or(|other| self.bands[other].rate < band.rate) {
                        chosen = Some(index);
                    }
                    tokens
                }
            };
        }
        let Some(index) = chosen else { return Verdict::Pass };
        self.counts[index] = (self.counts[index].0 + 1, self.counts[index].1 + bytes as u64);
        self.bands[index].remark.map_or(Verdict::Drop, Verdict::Remark)
    }
}
