//! What is in flight: the sender's scoreboard (RFC 6675 section 4) and, for RACK, when each part of it was last sent.
//!
//! The bytes between SND.UNA and SND.NXT are a row of stretches, each with one fate. Stretches that were sent at nearly
//! the same time are one, so that the row stays short; it is bounded all the same, and what does not fit is forgotten on the
//! safe side: selectively acknowledged bytes count as still in flight, or something is taken to have been sent later than it was.
use super::sequence::Seq;
use airglow_device::Instant;

/// What is known of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Sent, and nothing has been heard of it.
    InFlight,
    /// The peer holds it.
    Sacked,
    /// Taken for lost and not sent again.
    Lost,
}

/// A stretch, from the end of the one before it (or SND.UNA) on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The sequence number after it.
    pub end: Seq,
    /// When its last part was last sent, in microseconds that wrap.
    pub at: u32,
    pub fate: Fate,
    /// It was sent more than once.
    pub again: bool,
}

/// Microseconds that wrap, for times less than half an hour apart.
pub(crate) fn micros(at: Instant) -> u32 {
    at.as_micros() as u32
}

/// The most stretches.
#[cfg(feature = "alloc")]
const STRETCHES: usize = 128;
#[cfg(feature = "alloc")]
type Row = alloc::vec::Vec<Stretch>;
/// The most stretches.
#[cfg(not(feature = "alloc"))]
const STRETCHES: usize = 20;
#[cfg(not(feature = "alloc"))]
type Row = heapless::Vec<Stretch, STRETCHES>;

/// Places that selective acknowledgments leave for what is sent.
const RESERVED: usize = 4;

#[derive(Debug)]
pub(crate) struct Flight {
    /// SND.UNA.
    start: Seq,
    row: Row,
    sacked: u32,
    lost: u32,
    /// Something was sent again since the last stretch of new data began: what comes now was sent later than that, and is not one with
    /// what was sent before, or RACK would take what was sent again for lost.
    #[cfg(feature = "rack")]
    apart: bool,
}

impl Flight {
    /// Nothing in flight; the first byte has number `start`.
    pub const fn new(start: Seq) -> Self {
        Self {
            start,
            row: Row::new(),
            sacked: 0,
            lost: 0,
            #[cfg(feature = "rack")]
            apart: false,
        }
    }
    /// Nothing is in flight; the next byte has this number.
    pub fn restart(&mut self, start: Seq) {
        self.row.clear();
        (self.start, self.sacked, self.lost) = (start, 0, 0);
    }
    /// Bytes the peer holds beyond SND.UNA.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }
    /// Bytes taken for lost and not sent again.
    pub fn lost(&self) -> u32 {
        self.lost
    }
    fn end(&self) -> Seq {
        self.row.last().map_or(self.start, |last| last.end)
    }
    /// Every stretch with its first sequence number.
    pub fn stretches(&self) -> impl DoubleEndedIterator<Item = (Seq, &Stretch)> {
        (0..self.row.len()).map(|i| (self.start_of(i), &self.row[i]))
    }
    fn start_of(&self, index: usize) -> Seq {
        index.checked_sub(1).and_then(|i| self.row.get(i)).map_or(self.start, |before| before.end)
    }
    /// The first stretch that is lost.
    pub fn first_lost(&self) -> Option<(Seq, Seq)> {
        if self.lost == 0 {
            return None;
        }
        let found = self.stretches().find(|(_, s)| s.fate == Fate::Lost);
        found.map(|(start, s)| (start, s.end))
    }
    /// The last stretch that the peer does not hold.
    pub fn last_unsacked(&self) -> Option<(Seq, Seq)> {
        let found = self.stretches().rev().find(|(_, s)| s.fate != Fate::Sacked);
        found.map(|(start, s)| (start, s.end))
    }
    /// The peer holds the first byte that it has not acknowledged: it has changed its mind (RFC 2018 section 8).
    #[cfg(feature = "rack")]
    pub fn reneged(&self) -> bool {
        self.row.first().is_some_and(|first| first.fate == Fate::Sacked)
    }

    fn put(&mut self, index: usize, stretch: Stretch) {
        if self.row.len() < STRETCHES {
            #[cfg(feature = "alloc")]
            self.row.insert(index, stretch);
            #[cfg(not(feature = "alloc"))]
            let _ = self.row.insert(index, stretch);
        }
    }

    /// Makes neighbours of one kind one. `near`: so far apart may they have been sent.
    fn merge(&mut self, near: u32) {
        let mut kept = 0;
        for i in 1..self.row.len() {
            let (a, b) = (self.row[kept], self.row[i]);
            let same = a.fate == b.fate
                && match a.fate {
                    Fate::InFlight => {
                        a.again == b.again
                            && b.at.wrapping_sub(a.at) as i32 <= near as i32
                            && a.at.wrapping_sub(b.at) as i32 <= near as i32
                    }
                    Fate::Sacked => true,
                    Fate::Lost => a.again == b.again,
                };
            if same {
                let at = if (b.at.wrapping_sub(a.at) as i32) < 0 { a.at } else { b.at };
                self.row[kept] = Stretch { end: b.end, at, again: a.again || b.again, ..a };
            } else {
                kept += 1;
                self.row[kept] = b;
            }
        }
        self.row.truncate((kept + 1).min(self.row.len()));
    }

    /// Leaves at least `places` free if it can.
    fn make_room(&mut self, places: usize, near: u32) {
        let mut near = near.max(64);
        while self.row.len() + places > STRETCHES && near < 1 << 30 {
            self.merge(near);
            near *= 4;
        }
    }

    /// `seq..end` was sent at `at`; stretches sent within `near` microseconds may count as one.
    pub fn sent(&mut self, seq: Seq, end: Seq, at: u32, near: u32) {
        let old_end = self.end();
        if seq.before(old_end) {
            self.sent_again(seq, end.min(old_end), at, near);
        }
        if !end.after(old_end) {
            return;
        }
        #[cfg(feature = "rack")]
        let apart = core::mem::take(&mut self.apart);
        #[cfg(not(feature = "rack"))]
        let apart = false;
        if let Some(last) = self.row.last_mut()
            && last.fate == Fate::InFlight
            && !last.again
            && !apart
            && at.wrapping_sub(last.at) <= near
        {
            (last.end, last.at) = (end, at);
            return;
        }
        self.make_room(1, near);
        let stretch = Stretch { end, at, fate: Fate::InFlight, again: false };
        if self.row.len() < STRETCHES {
            self.put(self.row.len(), stretch);
        } else if let Some(last) = self.row.last_mut() {
            // Never more than the bytes of one segment or burst: the next acknowledgment makes room.
            match last.fate {
                Fate::InFlight => {}
                Fate::Sacked => self.sacked -= last.end.since(last_start(&self.row, self.start)),
                Fate::Lost => self.lost -= last.end.since(last_start(&self.row, self.start)),
            }
            if let Some(last) = self.row.last_mut() {
                *last = stretch;
            }
        }
    }

    fn sent_again(&mut self, seq: Seq, end: Seq, at: u32, near: u32) {
        #[cfg(feature = "rack")]
        {
            self.apart = true;
        }
        self.make_room(2, near);
        let (first, last) = self.isolate(seq, end);
        // Without room to split it the whole stretch counts as sent, and the peer or the timer will tell otherwise.
        for i in first..last.max(first + 1).min(self.row.len()) {
            let len = self.row[i].end.since(self.start_of(i));
            match self.row[i].fate {
                Fate::Sacked => continue,
                Fate::Lost => self.lost -= len,
                Fate::InFlight => {}
            }
            self.row[i] = Stretch { end: self.row[i].end, at, fate: Fate::InFlight, again: true };
        }
        // With what was sent again just before it.
        if let (Some(before), Some(here)) =
            (first.checked_sub(1).and_then(|i| self.row.get(i)), self.row.get(first))
            && before.fate == Fate::InFlight
            && before.again
            && here.fate == Fate::InFlight
            && here.again
            && at.wrapping_sub(before.at) <= near
        {
            self.row[first - 1] = *here;
            self.row.remove(first);
        }
    }

    /// Splits stretches so that `start..end` is whole ones, as far as there is room; returns which (never more than asked for).
    fn isolate(&mut self, start: Seq, end: Seq) -> (usize, usize) {
        let first = self.split(start);
        (first, self.split(end).max(first))
    }

    /// The number of the stretch that starts at `at`, splitting the one it lies in if there is room; else of that one.
    fn split(&mut self, at: Seq) -> usize {
        let index = self.row.iter().position(|s| at.before(s.end)).unwrap_or(self.row.len());
        let Some(&stretch) = self.row.get(index) else { return index };
        if at.up_to(self.start_of(index)) {
            return index;
        }
        if self.row.len() >= STRETCHES {
            return index;
        }
        self.put(index, Stretch { end: at, ..stretch });
        index + 1
    }

    /// SND.UNA moves to `to`. `each` is told what of it the peer was not known to hold.
    pub fn acknowledged(&mut self, to: Seq, mut each: impl FnMut(&Stretch)) {
        let mut gone = 0;
        for i in 0..self.row.len() {
            let stretch = self.row[i];
            let part = stretch.end.min(to).since(self.start_of(i));
            if part == 0 {
                break;
            }
            match stretch.fate {
                Fate::Sacked => self.sacked -= part,
                Fate::Lost => self.lost -= part,
                Fate::InFlight => {}
            }
            if stretch.fate != Fate::Sacked {
                each(&Stretch { end: stretch.end.min(to), ..stretch });
            }
            if stretch.end.up_to(to) {
                gone = i + 1;
            }
        }
        if gone > 0 {
            self.row.rotate_left(gone);
            self.row.truncate(self.row.len() - gone);
        }
        self.start = to;
        #[cfg(feature = "alloc")]
        if self.row.is_empty() && self.row.capacity() > 8 {
            self.row = Row::new();
        }
    }

    /// The peer holds `left..right`. `each` is told what of it was new; returns whether anything was.
    pub fn sack(&mut self, left: Seq, right: Seq, mut each: impl FnMut(&Stretch)) -> bool {
        // Most blocks repeat what is known.
        let first = self.row.iter().position(|s| left.before(s.end)).unwrap_or(self.row.len());
        let Some(stretch) = self.row.get(first) else { return false };
        if stretch.fate == Fate::Sacked && right.up_to(stretch.end) {
            return false;
        }
        self.make_room(RESERVED + 2, 0);
        if self.row.len() + RESERVED + 2 > STRETCHES {
            return false;
        }
        let (first, last) = self.isolate(left, right);
        let mut news = false;
        for i in first..last {
            let len = self.row[i].end.since(self.start_of(i));
            match self.row[i].fate {
                Fate::Sacked => continue,
                Fate::Lost => self.lost -= len,
                Fate::InFlight => {}
            }
            news = true;
            self.sacked += len;
            each(&self.row[i]);
            self.row[i].fate = Fate::Sacked;
        }
        // Neighbours the peer holds are one.
        let mut i = last.min(self.row.len().saturating_sub(1));
        while i > 0 && i + 1 >= first {
            if self.row[i].fate == Fate::Sacked && self.row[i - 1].fate == Fate::Sacked {
                self.row[i - 1] = self.row[i];
                self.row.remove(i);
            }
            i -= 1;
        }
        news
    }

    /// Takes for lost what is in flight and for which `is` holds; returns how many bytes that were.
    pub fn lose(&mut self, mut is: impl FnMut(Seq, &Stretch) -> bool) -> u32 {
        let before = self.lost;
        for i in 0..self.row.len() {
            let start = self.start_of(i);
            if self.row[i].fate == Fate::InFlight && is(start, &self.row[i]) {
                self.row[i].fate = Fate::Lost;
                self.lost += self.row[i].end.since(start);
            }
        }
        self.lost - before
    }
    /// The same for all of `start..end`.
    pub fn lose_range(&mut self, start: Seq, end: Seq) {
        self.make_room(2, 0);
        let (first, last) = self.isolate(start, end);
        for i in first..last {
            if self.row[i].fate == Fate::InFlight {
                self.row[i].fate = Fate::Lost;
                self.lost += self.row[i].end.since(self.start_of(i));
            }
        }
    }
    /// Nothing of it is lost after all.
    pub fn find_again(&mut self) {
        for stretch in self.row.iter_mut().filter(|s| s.fate == Fate::Lost) {
            stretch.fate = Fate::InFlight;
        }
        self.lost = 0;
    }
    /// The peer holds nothing beyond SND.UNA.
    pub fn forget_sacked(&mut self) {
        for stretch in self.row.iter_mut().filter(|s| s.fate == Fate::Sacked) {
            stretch.fate = Fate::InFlight;
        }
        self.sacked = 0;
    }
}

fn last_start(row: &[Stretch], start: Seq) -> Seq {
    row.len().checked_sub(2).and_then(|i| row.get(i)).map_or(start, |before| before.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each byte's fate, as the row should have it when it never runs out of places.
    fn flat(flight: &Flight) -> Vec<(Fate, bool)> {
        let mut all = Vec::new();
        for (start, s) in flight.stretches() {
            all.extend((0..s.end.since(start)).map(|_| (s.fate, s.again)));
        }
        all
    }

    proptest! {
        #[test]
        fn the_row_is_what_happened_to_each_byte(
            base: u32,
            steps in prop::collection::vec((0u8..6, 0u32..120, 1u32..40), 0..200),
        ) {
            let mut flight = Flight::new(Seq(0));
            let mut model: Vec<(Fate, bool)> = Vec::new();
            let mut una = Seq(base);
            flight.restart(una);
            let mut now = 0;
            // Few enough changes for the row to hold them all: this is about meaning, the next test about bounds.
            for (what, at, n) in steps.into_iter().take(if cfg!(feature = "alloc") { 55 } else { 7 }) {
                now += 1000;
                let len = model.len() as u32;
                let (from, to) = (at.min(len), (at + n).min(len));
                match what {
                    0 | 1 => {
                        flight.sent(una + len, una + len + n, now, 500 * u32::from(what));
                        model.extend((0..n).map(|_| (Fate::InFlight, false)));
                    }
                    2 if from < to => {
                        flight.sent(una + from, una + to, now, 10);
                        for byte in &mut model[from as usize..to as usize] {
                            if byte.0 != Fate::Sacked {
                                *byte = (Fate::InFlight, true);
                            }
                        }
                    }
                    3 if from < to => {
                        let mut told = 0;
                        let news = flight.sack(una + from, una + to, |_| told += 1);
                        let range = &mut model[from as usize..to as usize];
                        prop_assert_eq!(news, range.iter().any(|b| b.0 != Fate::Sacked));
                        prop_assert_eq!(news, told > 0);
                        range.iter_mut().for_each(|b| b.0 = Fate::Sacked);
                    }
                    4 if from < to => {
                        flight.lose_range(una + from, una + to);
                        for byte in &mut model[from as usize..to as usize] {
                            if byte.0 == Fate::InFlight {
                                byte.0 = Fate::Lost;
                            }
                        }
                    }
                    5 => {
                        flight.acknowledged(una + from, |_| ());
                        model.drain(..from as usize);
                        una = una + from;
                    }
                    _ => {}
                }
                let row = flat(&flight);
                prop_assert_eq!(row.len(), model.len());
                for (is, should) in row.iter().zip(&model) {
                    prop_assert_eq!(is.0, should.0);
                    // Whether what the peer holds was sent twice matters no more.
                    prop_assert!(is.0 == Fate::Sacked || is.1 == should.1);
                }
                let count = |fate| model.iter().filter(|b| b.0 == fate).count() as u32;
                prop_assert_eq!((flight.sacked(), flight.lost()), (count(Fate::Sacked), count(Fate::Lost)));
            }
        }

        #[test]
        fn the_row_is_bounded_and_its_sums_are_right(
            steps in prop::collection::vec((0u8..6, 0u32..4000, 1u32..40), 0..1500),
        ) {
            let mut flight = Flight::new(Seq(0));
            let (mut una, mut next, mut now) = (Seq(u32::MAX - 2000), Seq(u32::MAX - 2000), 0u32);
            flight.restart(una);
            for (what, at, n) in steps {
                now = now.wrapping_add(5000);
                let len = next.since(una);
                let (from, to) = (una + at.min(len), una + (at + n).min(len));
                match what {
                    0 | 1 => {
                        flight.sent(next, next + n, now, 100);
                        next = next + n;
                    }
                    2 if from != to => flight.sent(from, to, now, 100),
                    3 if from != to => drop(flight.sack(from, to, |_| ())),
                    4 => drop(flight.lose(|start, _| from.up_to(start) && start.before(to))),
                    5 if at < 100 => {
                        flight.acknowledged(from, |_| ());
                        una = from;
                    }
                    _ => {}
                }
                prop_assert!(flight.row.len() <= STRETCHES);
                let sum = |fate| flight.stretches().filter(|(_, s)| s.fate == fate).map(|(start, s)| s.end.since(start)).sum::<u32>();
                prop_assert_eq!((flight.sacked(), flight.lost()), (sum(Fate::Sacked), sum(Fate::Lost)));
                prop_assert_eq!(flight.end(), next);
                let mut last = una;
                for (start, s) in flight.stretches() {
                    prop_assert!(start == last && start.before(s.end));
                    last = s.end;
                }
            }
        }
    }
}
