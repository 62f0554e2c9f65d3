//! Bytes on their way: a ring that receives, and a queue that sends and retransmits.
//!
//! Neither owns memory. The caller hands the slice in, so that one non-generic code serves growing heap buffers and fixed arrays.
use heapless::Deque;

/// A ring of bytes in a slice of any length: where the content starts and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ring {
    head: usize,
    len: usize,
}

impl Ring {
    pub const fn new() -> Self {
        Self { head: 0, len: 0 }
    }
    pub const fn len(&self) -> usize {
        self.len
    }
    /// Where the content starts in memory.
    pub const fn head(&self) -> usize {
        self.head
    }
    /// The memory was moved so that what lay at [`head`](Self::head) lies at its start now.
    pub fn moved_to_start(&mut self) {
        self.head = 0;
    }

    fn position(&self, memory: usize, offset: usize) -> usize {
        let at = self.head + offset;
        if at >= memory { at - memory } else { at }
    }

    /// Writes `bytes` at `offset` after the start of the content, perhaps beyond its end (a gap stays between). Returns how
    /// many bytes the memory had room for. The length does not change.
    pub fn write_at(&self, memory: &mut [u8], offset: usize, bytes: &[u8]) -> usize {
        let n = bytes.len().min(memory.len().saturating_sub(offset));
        if n == 0 {
            return 0;
        }
        let at = self.position(memory.len(), offset);
        let first = n.min(memory.len() - at);
        memory[at..at + first].copy_from_slice(&bytes[..first]);
        memory[..n - first].copy_from_slice(&bytes[first..n]);
        n
    }
    /// `bytes` more belong to the content.
    pub fn extend(&mut self, bytes: usize) {
        self.len += bytes;
    }
    /// Reads `out.len()` bytes from `offset` on; the caller knows they are there.
    pub fn read_at(&self, memory: &[u8], offset: usize, out: &mut [u8]) {
        if out.is_empty() || offset + out.len() > memory.len() {
            return;
        }
        let at = self.position(memory.len(), offset);
        let first = out.len().min(memory.len() - at);
        let (a, b) = out.split_at_mut(first);
        a.copy_from_slice(&memory[at..at + first]);
        b.copy_from_slice(&memory[..b.len()]);
    }
    /// The content up to where it wraps.
    pub fn front<'a>(&self, memory: &'a mut [u8]) -> &'a mut [u8] {
        let end = memory.len().min(self.head + self.len);
        &mut memory[self.head..end]
    }
    /// The content wraps around the end of the memory.
    pub fn wraps(&self, memory: usize) -> bool {
        self.head + self.len > memory
    }
    /// Drops `bytes` from the front.
    pub fn consume(&mut self, memory: usize, bytes: usize) {
        let n = bytes.min(self.len);
        self.head = self.position(memory, n);
        self.len -= n;
    }
    /// Starts again at the start of the memory; only for an empty ring with nothing beyond its end.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

/// A stretch of the send queue.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// Bytes that lie in the ring.
    Copied(usize),
    /// Bytes that never change and are sent from where they are.
    Static(&'static [u8]),
}

impl Run {
    fn len(&self) -> usize {
        match self {
            Self::Copied(len) => *len,
            Self::Static(bytes) => bytes.len(),
        }
    }
}

/// How many stretches a queue holds; neighbouring copied bytes are one.
const RUNS: usize = 8;
/// The most bytes a queue takes: sequence numbers must not wrap inside it.
const MOST: usize = 1 << 30;

/// What was written and is not yet acknowledged.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    ring: Ring,
    runs: Deque<Run, RUNS>,
    len: usize,
}

impl SendQueue {
    pub const fn new() -> Self {
        Self { ring: Ring::new(), runs: Deque::new(), len: 0 }
    }
    /// Bytes in the queue, copied and static.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Bytes in the ring.
    pub fn copied(&self) -> usize {
        self.ring.len()
    }
    pub fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }
    /// There is a place in the list of runs for something that is not merged with the last one.
    fn can_append_run(&self) -> bool {
        !self.runs.is_full()
    }
    /// Copied bytes may be appended as far as the ring has room.
    pub fn takes_copies(&self) -> bool {
        self.len < MOST && (self.can_append_run() || matches!(self.runs.back(), Some(Run::Copied(_))))
    }

    /// Copies as much of `bytes` as there is room for; returns how much.
    pub fn push(&mut self, memory: &mut [u8], bytes: &[u8]) -> usize {
        if !self.takes_copies() {
            return 0;
        }
        let n = self.ring.write_at(memory, self.ring.len(), bytes);
        if n == 0 {
            return 0;
        }
        self.ring.extend(n);
        self.len += n;
        if let Some(Run::Copied(len)) = self.runs.back_mut() {
            *len += n;
        } else {
            let _ = self.runs.push_back(Run::Copied(n));
        }
        n
    }

    /// Takes `bytes` by reference; returns how many, 0 when the list of runs is full.
    pub fn push_static(&mut self, bytes: &'static [u8]) -> usize {
        let n = bytes.len().min(MOST.saturating_sub(self.len));
        if n == 0 || self.runs.push_back(Run::Static(&bytes[..n])).is_err() {
            return 0;
        }
        self.len += n;
        n
    }

    /// Reads `out.len()` bytes from `offset` on; the caller knows they are there.
    pub fn read_at(&self, memory: &[u8], mut offset: usize, mut out: &mut [u8]) {
        let mut copied_before = 0;
        for run in &self.runs {
            if out.is_empty() {
                return;
            }
            let len = run.len();
            if offset < len {
                let n = out.len().min(len - offset);
                let (now, later) = out.split_at_mut(n);
                match run {
                    Run::Copied(_) => self.ring.read_at(memory, copied_before + offset, now),
                    Run::Static(bytes) => now.copy_from_slice(&bytes[offset..offset + n]),
                }
                out = later;
                offset = 0;
            } else {
                offset -= len;
            }
            if let Run::Copied(len) = run {
                copied_before += len;
            }
        }
    }

    /// Drops `bytes` from the front: they are acknowledged.
    pub fn acknowledged(&mut self, memory: usize, bytes: usize) {
        let mut left = bytes.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(run) = self.runs.front_mut() else { return };
            let n = left.min(run.len());
            left -= n;
            let done = n == run.len();
            match run {
                Run::Copied(len) => {
                    *len -= n;
                    self.ring.consume(memory, n);
                }
                Run::Static(rest) => *rest = &rest[n..],
            }
            if done {
                self.runs.pop_front();
            }
        }
        if self.ring.len() == 0 {
            self.ring.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static PAGE: [u8; 300] = {
        let mut page = [0; 300];
        let mut i = 0;
        while i < page.len() {
            page[i] = (i * 7) as u8;
            i += 1;
        }
        page
    };

    proptest! {
        #[test]
        fn the_queue_is_what_was_pushed_less_what_was_acknowledged(
            memory in 1usize..40,
            steps in prop::collection::vec((0u8..4, 0usize..60, any::<u8>()), 0..80),
        ) {
            let mut memory = vec![0; memory];
            let (mut queue, mut model) = (SendQueue::new(), Vec::<u8>::new());
            for (what, n, byte) in steps {
                match what {
                    0 => {
                        let bytes: Vec<u8> = (0..n).map(|i| byte.wrapping_add(i as u8)).collect();
                        let taken = queue.push(&mut memory, &bytes);
                        model.extend(&bytes[..taken]);
                    }
                    1 => {
                        let bytes = &PAGE[usize::from(byte)..][..n.min(300 - usize::from(byte))];
                        let taken = queue.push_static(bytes);
                        model.extend(&bytes[..taken]);
                    }
                    2 => {
                        let n = n.min(model.len());
                        queue.acknowledged(memory.len(), n);
                        model.drain(..n);
                    }
                    _ => {
                        let from = n.min(model.len());
                        let mut out = vec![0; (model.len() - from).min(usize::from(byte))];
                        queue.read_at(&memory, from, &mut out);
                        prop_assert_eq!(&out[..], &model[from..from + out.len()]);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert!(queue.copied() <= memory.len());
            }
        }
    }

    #[test]
    fn runs_are_bounded_and_copies_merge() {
        let mut memory = [0; 64];
        let mut queue = SendQueue::new();
        for _ in 0..10 {
            assert_eq!(queue.push(&mut memory, b"ab"), 2);
        }
        for _ in 0..RUNS - 1 {
            assert_eq!(queue.push_static(&PAGE), 300);
        }
        assert_eq!(queue.push_static(&PAGE), 0);
        assert_eq!(queue.push(&mut memory, b"c"), 0, "no run left for a copy after a static one");
        queue.acknowledged(64, 20);
        assert_eq!(queue.push(&mut memory, b"c"), 1);
    }
}
