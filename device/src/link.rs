//! The link model: what a real wire does to frames, repeatably and without I/O.
use crate::{Instant, ParameterError, Parameters, seeded_entropy::SplitMix64};
use alloc::{
    collections::{BinaryHeap, VecDeque},
    vec::Vec,
};
use core::{cmp::Ordering, fmt, str::FromStr, time::Duration};

/// Bytes of the Ethernet header.
const HEADER: usize = 14;
/// Frames under way never take more memory than this, whatever the delay; more are dropped and counted.
pub const IN_FLIGHT_BYTES: usize = 64 << 20;

/// A chance, in parts of a thousand million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    /// What never happens.
    pub const NEVER: Self = Self(0);
    /// What always happens.
    pub const ALWAYS: Self = Self(1_000_000_000);

    /// `parts` of a million; a million and more is always.
    pub const fn per_million(parts: u32) -> Self {
        if parts >= 1_000_000 { Self::ALWAYS } else { Self(parts * 1000) }
    }
    fn happens(self, draw: u64) -> bool {
        ((draw >> 32) * 1_000_000_000) >> 32 < u64::from(self.0)
    }
}

impl FromStr for Chance {
    type Err = ();
    /// `2%`, `0.5%` or `0.005`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (digits, scale) =
            text.strip_suffix('%').map_or((text, 1_000_000_000), |digits| (digits, 10_000_000));
        let parts = decimal(digits, scale).ok_or(())?;
        u32::try_from(parts).ok().map(Self).filter(|chance| *chance <= Self::ALWAYS).ok_or(())
    }
}

/// A decimal number without sign or exponent, times `scale`.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let unit = 10_u64.pow(fraction.len() as u32);
    let fraction = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale) / u128::from(unit);
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(u64::try_from(fraction).ok()?)
}

/// The number before the first of `units` that `text` ends with, times that unit.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find_map(|(unit, scale)| decimal(text.strip_suffix(unit)?, *scale))
}

struct Span(Duration);
impl FromStr for Span {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        with_unit(text, &units).map(|nanos| Self(Duration::from_nanos(nanos))).ok_or(())
    }
}

struct Rate(u64);
impl FromStr for Rate {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let units = [("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000), ("bit", 1)];
        with_unit(text, &units).filter(|rate| *rate > 0).map(Self).ok_or(())
    }
}

struct Bursts(Chance, Chance);
impl FromStr for Bursts {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (enter, leave) = text.split_once('/').ok_or(())?;
        Ok(Self(
            enter.parse()?,
            leave.parse().map_err(drop).and_then(|c| if c > Chance::NEVER { Ok(c) } else { Err(()) })?,
        ))
    }
}

/// What a link does to the frames of one direction. The default does nothing.
///
/// | word | meaning |
/// |---|---|
/// | `delay=20ms` | every frame takes this long (`ns`, `us`, `ms`, `s`) |
/// | `jitter=2ms` | and up to this much more or less, each frame anew; order is kept |
/// | `loss=2%` | frames lost, each on its own (`2%`, `0.5%`, `0.005`) |
/// | `burst=1%/25%` | loss in bursts (Gilbert-Elliott): chance per frame that a burst begins, and that it ends; in a burst all are lost |
/// | `reorder=1%` | frames held back, so that later ones overtake |
/// | `hold=5ms` | how long; a quarter of `delay`, at least 1 ms, when it is not given |
/// | `duplicate=1%` | frames that arrive twice |
/// | `corrupt=0.1%` | frames that arrive with one bit turned over |
/// | `rate=100mbit` | bits per second (`bit`, `kbit`, `mbit`, `gbit`); Ethernet header and payload count |
/// | `queue=1000` | frames that wait for the rate; more are dropped |
/// | `mtu=1500` | larger payloads are dropped |
/// | `partition=on` | nothing goes through |
/// | `seed=1` | where the random numbers start |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impairments {
    /// How long every frame takes.
    pub delay: Duration,
    /// How much more or less, at most.
    pub jitter: Duration,
    /// Frames lost, each on its own.
    pub loss: Chance,
    /// Chance for each frame that a burst of losses begins with it.
    pub burst_begins: Chance,
    /// Chance for each frame in a burst that it is the first after it.
    pub burst_ends: Chance,
    /// Frames held back.
    pub reorder: Chance,
    /// How long they are held back.
    pub hold: Duration,
    /// Frames that arrive twice.
    pub duplicate: Chance,
    /// Frames that arrive with one bit turned over.
    pub corrupt: Chance,
    /// Bits per second; `None` is as fast as they come.
    pub rate: Option<u64>,
    /// Frames that wait for the rate.
    pub queue: usize,
    /// The largest payload; `None` for any.
    pub mtu: Option<usize>,
    /// Nothing goes through.
    pub partition: bool,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Chance::NEVER,
            burst_begins: Chance::NEVER,
            burst_ends: Chance::ALWAYS,
            reorder: Chance::NEVER,
            hold: Duration::from_millis(1),
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            rate: None,
            queue: 1000,
            mtu: None,
            partition: false,
            seed: 1,
        }
    }
}

impl Impairments {
    /// Reads `words`; every word must be one of the table above.
    ///
    /// # Errors
    /// The word that is wrong, and what it should look like.
    ///
    /// ```
    /// use airglow_device::Impairments;
    ///
    /// let link = Impairments::parse("delay=20ms loss=2% reorder=1% rate=100mbit")?;
    /// assert_eq!(link.rate, Some(100_000_000));
    /// let wrong = Impairments::parse("delay=20").unwrap_err();
    /// assert_eq!(wrong.to_string(), "boot parameter `delay=20`: expected a time, as in 20ms");
    /// # Ok::<(), airglow_device::ParameterError<'_>>(())
    /// ```
    pub fn parse(words: &str) -> Result<Self, ParameterError<'_>> {
        let parameters = Parameters::new(words);
        let impairments = Self::read(&parameters)?;
        match parameters.unknown() {
            None => Ok(impairments),
            Some(word) => Err(ParameterError {
                word,
                expected: "one of delay, jitter, loss, burst, reorder, hold, duplicate, corrupt, rate, queue, mtu, \
                           partition, seed",
            }),
        }
    }

    /// The same for the other direction: other random numbers from the same seed.
    pub const fn reverse(self) -> Self {
        Self { seed: !self.seed, ..self }
    }

    /// Reads the words of the table above from among others.
    ///
    /// # Errors
    /// The word that is wrong, and what it should look like.
    pub fn read<'a>(parameters: &Parameters<'a>) -> Result<Self, ParameterError<'a>> {
        const CHANCE: &str = "a share, as in 2% or 0.02";
        let none = Self::default();
        let time = |key, expected| Ok(parameters.get::<Span>(key, expected)?.map(|Span(time)| time));
        let chance = |key| parameters.get::<Chance>(key, CHANCE).map(Option::unwrap_or_default);
        let delay = time("delay", "a time, as in 20ms")?.unwrap_or_default();
        let Bursts(burst_begins, burst_ends) = parameters
            .get("burst", "two shares, that a burst begins and that it ends, as in 1%/25%")?
            .unwrap_or(Bursts(none.burst_begins, none.burst_ends));
        Ok(Self {
            delay,
            jitter: time("jitter", "a time, as in 2ms")?.unwrap_or_default(),
            loss: chance("loss")?,
            burst_begins,
            burst_ends,
            reorder: chance("reorder")?,
            hold: time("hold", "a time, as in 5ms")?.unwrap_or(none.hold.max(delay / 4)),
            duplicate: chance("duplicate")?,
            corrupt: chance("corrupt")?,
            rate: parameters.get::<Rate>("rate", "a rate, as in 100mbit")?.map(|Rate(rate)| rate),
            queue: parameters.get("queue", "a number of frames, as in 1000")?.unwrap_or(none.queue),
            mtu: parameters.get("mtu", "a number of bytes, as in 1500")?,
            partition: parameters.switch("partition")?.unwrap_or(false),
            seed: parameters.get("seed", "a number, as in 1")?.unwrap_or(none.seed),
        })
    }
}

/// What became of the frames of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Frames pushed.
    pub offered: u64,
    /// Frames popped, duplicates included.
    pub delivered: u64,
    /// Lost by chance, alone or in a burst.
    pub lost: u64,
    /// Dropped because the queue for the rate, or the memory for frames under way, was full.
    pub overflowed: u64,
    /// Dropped because they were larger than the MTU.
    pub too_big: u64,
    /// Dropped by the partition.
    pub partitioned: u64,
    /// Held back.
    pub reordered: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Damaged.
    pub corrupted: u64,
}

impl fmt::Display for LinkStats {
    /// In a line, without what did not happen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames in, {} out", self.offered, self.delivered)?;
        let rest = [
            ("lost", self.lost),
            ("dropped by a full queue", self.overflowed),
            ("too big", self.too_big),
            ("cut off", self.partitioned),
            ("reordered", self.reordered),
            ("duplicated", self.duplicated),
            ("corrupted", self.corrupted),
        ];
        rest.iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(what, count)| write!(f, ", {count} {what}"))
    }
}

/// A frame that comes out of a [`LinkModel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFrame<M = ()> {
    /// The frame.
    pub bytes: Vec<u8>,
    /// What was pushed with it.
    pub meta: M,
    /// One bit of it was turned over on the way.
    pub corrupted: bool,
}

struct Flying<M> {
    at: Instant,
    number: u64,
    frame: LinkFrame<M>,
}

impl<M> Ord for Flying<M> {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
impl<M> PartialOrd for Flying<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> PartialEq for Flying<M> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<M> Eq for Flying<M> {}

/// One direction of a link: frames go in, and come out later, or not, or twice, or changed.
///
/// No I/O, no clock and no randomness of its own: the same pushes with the same seed give the same pops, and each
/// kind of misfortune draws its own numbers, so that switching one on does not move another. `M` travels with each frame.
///
/// ```
/// use airglow_device::{Impairments, Instant, LinkModel};
///
/// let mut link = LinkModel::new(Impairments::parse("delay=20ms").unwrap());
/// link.push(Instant::ZERO, &[0; 60], ());
/// assert_eq!(link.next_at(), Some(Instant::from_millis(20)));
/// assert!(link.pop(Instant::from_millis(19)).is_none());
/// assert_eq!(link.pop(Instant::from_millis(20)).unwrap().bytes, [0; 60]);
/// ```
pub struct LinkModel<M = ()> {
    impairments: Impairments,
    random: SplitMix64,
    in_burst: bool,
    /// When each frame that waits for the rate has left the queue, in order.
    departures: VecDeque<Instant>,
    /// Before this no frame arrives that is not held back: jitter keeps the order.
    last_arrival: Instant,
    flying: BinaryHeap<Flying<M>>,
    flying_bytes: usize,
    number: u64,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    stats: LinkStats,
}

impl<M: Clone> LinkModel<M> {
    /// A link with `impairments` and nothing on it.
    pub fn new(impairments: Impairments) -> Self {
        Self {
            impairments,
            random: SplitMix64(impairments.seed),
            in_burst: false,
            departures: VecDeque::new(),
            last_arrival: Instant::ZERO,
            flying: BinaryHeap::new(),
            flying_bytes: 0,
            number: 0,
            spare: Vec::new(),
            stats: LinkStats::default(),
        }
    }

    /// What it does to frames.
    pub fn impairments(&self) -> &Impairments {
        &self.impairments
    }
    /// Changes what it does to the frames that are pushed from now on. The random numbers go on where they were.
    pub fn set_impairments(&mut self, impairments: Impairments) {
        self.impairments = impairments;
    }
    /// Cuts the link (`true`) or mends it. What is under way still arrives.
    pub fn set_partition(&mut self, partition: bool) {
        self.impairments.partition = partition;
    }
    /// What became of the frames so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Puts a frame on the link at `now`, which never goes back.
    pub fn push(&mut self, now: Instant, frame: &[u8], meta: M) {
        let link = self.impairments;
        self.stats.offered += 1;
        // Every frame draws the same numbers, whatever happens to it.
        let mut draws = SplitMix64(self.random.next());
        let [loss, burst, jitter, reorder, duplicate, corrupt, bit] = core::array::from_fn(|_| draws.next());

        if link.partition {
            self.stats.partitioned += 1;
            return;
        }
        if link.mtu.is_some_and(|mtu| frame.len() > mtu.saturating_add(HEADER)) {
            self.stats.too_big += 1;
            return;
        }
        let Some(departure) = self.depart(now, frame.len()) else {
            self.stats.overflowed += 1;
            return;
        };
        let turns = if self.in_burst { link.burst_ends } else { link.burst_begins };
        self.in_burst ^= turns.happens(burst);
        if self.in_burst || link.loss.happens(loss) {
            self.stats.lost += 1;
            return;
        }

        let jitter_nanos = link.jitter.as_nanos().min(u128::from(u64::MAX / 2)) as u64;
        let shift = ((u128::from(jitter) * (2 * u128::from(jitter_nanos) + 1)) >> 64) as u64;
        let mut at = (departure + link.delay + Duration::from_nanos(shift)
            - Duration::from_nanos(jitter_nanos))
        .max(departure);
        if link.reorder.happens(reorder) {
            self.stats.reordered += 1;
            at = at.max(self.last_arrival) + link.hold;
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        let corrupted = link.corrupt.happens(corrupt) && !frame.is_empty();
        let copies = if link.duplicate.happens(duplicate) { 2 } else { 1 };
        for copy in 0..copies {
            if self.flying_bytes + frame.len() > IN_FLIGHT_BYTES {
                self.stats.overflowed += 1;
                return;
            }
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(frame);
            if corrupted {
                let at = (u128::from(bit) * (bytes.len() as u128 * 8)) >> 64;
                if let Some(byte) = bytes.get_mut((at / 8) as usize) {
                    *byte ^= 1 << (at % 8);
                }
            }
            self.stats.corrupted += u64::from(corrupted);
            self.stats.duplicated += copy;
            self.flying_bytes += bytes.len();
            self.number += 1;
            let frame = LinkFrame { bytes, meta: meta.clone(), corrupted };
            self.flying.push(Flying { at, number: self.number, frame });
        }
    }

    /// When a frame that comes at `now` has left the queue for the rate; `None` when that is full.
    fn depart(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.impairments.rate else { return Some(now) };
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        // One is on the wire, the others wait.
        if self.departures.len() > self.impairments.queue {
            return None;
        }
        let nanos = (len as u128 * 8 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        let busy_until = self.departures.back().copied().unwrap_or(now).max(now);
        let departure = busy_until + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.departures.push_back(departure);
        Some(departure)
    }

    /// The next frame that has arrived by `now`. Call it until there is none. The frame's buffer can be given back
    /// with [`recycle`](Self::recycle).
    #[must_use]
    pub fn pop(&mut self, now: Instant) -> Option<LinkFrame<M>> {
        if self.next_at()? > now {
            return None;
        }
        let frame = self.flying.pop()?.frame;
        self.flying_bytes -= frame.bytes.len();
        self.stats.delivered += 1;
        Some(frame)
    }

    /// When [`pop`](Self::pop) has something; ask again after every push and pop.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.flying.peek().map(|flying| flying.at)
    }

    /// Frames on the link.
    pub fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// Gives a popped frame's buffer back, so that steady traffic allocates nothing.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < 256 {
            self.spare.push(buffer);
        }
    }
}

impl<M> fmt::Debug for LinkModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkModel")
            .field("impairments", &self.impairments)
            .field("in_flight", &self.flying.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};

    fn link(words: &str) -> LinkModel<u32> {
        LinkModel::new(Impairments::parse(words).unwrap())
    }

    /// Pushes `count` frames of 1,000 bytes, one each 100 us, and returns what comes out: number and microsecond.
    fn run(link: &mut LinkModel<u32>, count: u32) -> Vec<(u32, u64)> {
        let mut out = Vec::new();
        for n in 0..=count {
            let now = Instant::from_micros(u64::from(n) * 100);
            let until = if n == count { Instant::MAX } else { now };
            while let Some(at) = link.next_at().filter(|at| *at <= until) {
                let frame = link.pop(at).unwrap();
                out.push((frame.meta, at.as_micros()));
                link.recycle(frame.bytes);
            }
            if n < count {
                link.push(now, &[0; 1000], n);
            }
        }
        out
    }

    #[test]
    fn a_perfect_link_changes_nothing() {
        let out = run(&mut link(""), 100);
        assert_eq!(out, (0..100).map(|n| (n, u64::from(n) * 100)).collect::<Vec<_>>());
    }

    #[test]
    fn delay_and_jitter() {
        let out = run(&mut link("delay=20ms"), 100);
        assert!(out.iter().all(|(n, at)| *at == 20_000 + u64::from(*n) * 100));
        let out = run(&mut link("delay=20ms jitter=2ms"), 10_000);
        assert!(out.is_sorted(), "jitter keeps the order");
        let delays: Vec<i64> = out.iter().map(|(n, at)| *at as i64 - i64::from(*n) * 100).collect();
        assert!(delays.iter().all(|delay| (18_000..=22_000).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 20_500) && delays.iter().any(|delay| *delay > 21_800));
    }

    #[test]
    fn losses_are_as_many_as_asked_for_alone_and_in_bursts() {
        let mut alone = link("loss=2%");
        run(&mut alone, 100_000);
        assert!((1_800..2_200).contains(&alone.stats().lost), "{:?}", alone.stats());
        // A burst begins with 1 % and lasts 4 frames on average: 1 / (1 + 25) of all frames are in one.
        let mut bursts = link("burst=1%/25%");
        let out = run(&mut bursts, 100_000);
        assert!((3_400..4_300).contains(&bursts.stats().lost), "{:?}", bursts.stats());
        let gaps: Vec<u32> =
            out.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).filter(|gap| *gap > 0).collect();
        let mean = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
        assert!((3.7..4.3).contains(&mean), "bursts of {mean}");
    }

    #[test]
    fn held_back_frames_are_overtaken() {
        let mut link = link("delay=4ms reorder=1%");
        let out = run(&mut link, 10_000);
        let late = out.windows(2).filter(|pair| pair[1].0 < pair[0].0).count() as u64;
        assert!((70..130).contains(&link.stats().reordered), "{:?}", link.stats());
        assert!(late > link.stats().reordered * 8 / 10, "{late}");
        assert_eq!(out.len(), 10_000);
    }

    #[test]
    fn duplicates_and_damage() {
        let mut twice = link("duplicate=5%");
        assert_eq!(run(&mut twice, 10_000).len() as u64, 10_000 + twice.stats().duplicated);
        assert!((400..600).contains(&twice.stats().duplicated));
        let mut damaged = link("corrupt=5%");
        let mut bits = 0;
        for n in 0..10_000 {
            damaged.push(Instant::ZERO, &[0; 100], n);
            let frame = damaged.pop(Instant::ZERO).unwrap();
            let turned: u32 = frame.bytes.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(turned, u32::from(frame.corrupted));
            bits += u64::from(turned);
        }
        assert_eq!(bits, damaged.stats().corrupted);
        assert!((400..600).contains(&bits));
    }

    #[test]
    fn the_rate_holds_and_its_queue_is_bounded() {
        // 1,000 bytes each 100 us are 80 Mbit/s; half of that goes through.
        let mut link = link("rate=40mbit queue=50");
        let out = run(&mut link, 10_000);
        assert!(out.windows(2).all(|pair| pair[1].1 - pair[0].1 == 200), "one in 200 us");
        assert!((4_990..=5_051).contains(&out.len()), "{}", out.len());
        assert_eq!(out.len() as u64 + link.stats().overflowed, 10_000);
        let waited = out.iter().map(|(n, at)| at - u64::from(*n) * 100).max().unwrap();
        assert!((10_000..=10_400).contains(&waited), "51 frames of 200 us: {waited}");
    }

    #[test]
    fn memory_is_bounded_whatever_the_delay() {
        let mut link = link("delay=1000s");
        for n in 0..10_000 {
            link.push(Instant::ZERO, &vec![0; 9000], n);
        }
        assert_eq!(link.in_flight(), IN_FLIGHT_BYTES / 9000);
        assert_eq!(link.stats().overflowed, 10_000 - link.in_flight() as u64);
    }

    #[test]
    fn partition_and_mtu() {
        let mut link = link("mtu=1000 delay=1ms");
        link.push(Instant::ZERO, &[0; 1014], 0);
        link.push(Instant::ZERO, &[0; 1015], 1);
        link.set_partition(true);
        link.push(Instant::ZERO, &[0; 60], 2);
        link.set_partition(false);
        link.push(Instant::ZERO, &[0; 60], 3);
        let out: Vec<_> =
            core::iter::from_fn(|| link.pop(Instant::from_secs(1))).map(|frame| frame.meta).collect();
        assert_eq!((out, link.stats().too_big, link.stats().partitioned), (vec![0, 3], 1, 1));
    }

    #[test]
    fn the_seed_repeats_and_misfortunes_are_independent() {
        let all = "delay=5ms jitter=1ms loss=3% reorder=2% duplicate=1%";
        assert_eq!(run(&mut link(all), 5_000), run(&mut link(all), 5_000));
        let other = Impairments { seed: 2, ..Impairments::parse(all).unwrap() };
        assert_ne!(run(&mut link(all), 5_000), run(&mut LinkModel::new(other), 5_000));
        let numbers = |out: Vec<(u32, u64)>| out.into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(
            numbers(run(&mut link("loss=3%"), 5_000)),
            numbers(run(&mut link("loss=3% delay=9ms jitter=1ms corrupt=10%"), 5_000)),
            "the same frames are lost"
        );
    }

    #[test]
    fn words() {
        let words = "delay=20ms jitter=2.5ms loss=2% burst=1%/0.25 reorder=0.5% hold=7us duplicate=0.01 corrupt=100% \
                     rate=1.5gbit queue=5 mtu=9000 partition seed=42";
        let all = Impairments::parse(words).unwrap();
        assert_eq!(
            all,
            Impairments {
                delay: Duration::from_millis(20),
                jitter: Duration::from_micros(2500),
                loss: Chance::per_million(20_000),
                burst_begins: Chance::per_million(10_000),
                burst_ends: Chance::per_million(250_000),
                reorder: Chance::per_million(5_000),
                hold: Duration::from_micros(7),
                duplicate: Chance::per_million(10_000),
                corrupt: Chance::ALWAYS,
                rate: Some(1_500_000_000),
                queue: 5,
                mtu: Some(9000),
                partition: true,
                seed: 42,
            }
        );
        assert_eq!(Impairments::parse("").unwrap(), Impairments::default());
        assert_eq!(Impairments::parse("delay=40ms").unwrap().hold, Duration::from_millis(10));
        for wrong in [
            "delay=20",
            "delay=ms",
            "delay=-1ms",
            "delay=1e3ms",
            "delay=.5s",
            "delay=1.s",
            "loss=2",
            "loss=101%",
            "loss=",
            "loss=%",
            "burst=1%",
            "burst=1%/0%",
            "burst=/",
            "rate=100",
            "rate=0mbit",
            "rate=100MB",
            "queue=-1",
            "mtu=x",
            "partition=maybe",
            "seed=0x1",
            "dealy=20ms",
            "delay=99999999999999999999s",
            "rate=999999999999gbit",
        ] {
            let error = Impairments::parse(wrong).unwrap_err();
            assert_eq!(error.word, wrong);
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }
}
