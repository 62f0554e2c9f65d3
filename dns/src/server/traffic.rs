//! What a server has done, by type of question and by the time that replies took.
use super::Stats;
use crate::wire::RecordType;
use alloc::vec::Vec;
use core::time::Duration;

/// Types up to CAA (257) have a counter of their own, the rest one together.
const TYPES: usize = 259;
/// Upper ends of the histogram's buckets: 500 ns, and each twice the one before.
const BUCKETS: usize = 16;

/// Counters of a server, which can be added to another's.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// By outcome.
    pub stats: Stats,
    types: Vec<u64>,
    latency: [u64; BUCKETS + 1],
    spent: Duration,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            stats: Stats::default(),
            types: alloc::vec![0; TYPES],
            latency: [0; BUCKETS + 1],
            spent: Duration::ZERO,
        }
    }

    #[inline]
    pub(super) fn count_type(&mut self, rtype: RecordType) {
        if let Some(counter) = self.types.get_mut(usize::from(rtype.0).min(TYPES - 1)) {
            *counter += 1;
        }
    }

    pub(super) fn observe(&mut self, spent: Duration) {
        let bucket = self.bounds().position(|bound| spent <= bound).unwrap_or(BUCKETS);
        if let Some(counter) = self.latency.get_mut(bucket) {
            *counter += 1;
        }
        self.spent += spent;
    }

    /// Questions by type, those types that were asked for; `None` stands for all types above 257 together.
    pub fn types(&self) -> impl Iterator<Item = (Option<RecordType>, u64)> {
        let counted = self.types.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(code, count)| {
            let rtype = u16::try_from(code).ok().filter(|_| code < TYPES - 1).map(RecordType);
            (rtype, *count)
        })
    }

    /// The histogram's upper bounds; replies that took longer than the last are in none.
    pub fn bounds(&self) -> impl Iterator<Item = Duration> + use<> {
        (0..BUCKETS).map(|power| Duration::from_nanos(500 << power))
    }

    /// Of one in so many replies the time was taken: how many took no longer than each of [`Self::bounds`], how many there
    /// are, and what they took together.
    pub fn latency(&self) -> (impl Iterator<Item = u64>, u64, Duration) {
        let mut sum = 0;
        let each = self.latency.iter().take(BUCKETS).map(move |count| {
            sum += count;
            sum
        });
        (each, self.latency.iter().sum(), self.spent)
    }

    /// Adds what another server has done.
    pub fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.types.iter_mut().zip(&other.types).for_each(|(own, other)| *own += other);
        self.latency.iter_mut().zip(&other.latency).for_each(|(own, other)| *own += other);
        self.spent += other.spent;
    }
}

impl Stats {
    fn add(&mut self, other: &Self) {
        let Self {
            received,
            answered,
            nxdomain,
            refused,
            formerr,
            notimp,
            other: rest,
            truncated,
            precomputed,
            dropped,
            rate_limited,
            cookies,
        } = other;
        self.received += received;
        self.answered += answered;
        self.nxdomain += nxdomain;
        self.refused += refused;
        self.formerr += formerr;
        self.notimp += notimp;
        self.other += rest;
        self.truncated += truncated;
        self.precomputed += precomputed;
        self.dropped += dropped;
        self.rate_limited += rate_limited;
        self.cookies += cookies;
    }
}
