//! What a server has done so far.
use crate::{Refusal, wire::Status};
use core::cell::Cell;

/// Counts since the server was made. A copy: ask again for newer numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections begun.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Answers by the first digit of their status, 1xx first. Refusals are among them.
    pub responses: [u64; 5],
    /// Octets of heads and content written.
    pub octets_out: u64,
    /// Octets read.
    pub octets_in: u64,
    /// Connections cut in the middle of an answer.
    pub aborted: u64,
    refusals: [u64; Refusal::COUNT],
}

impl Statistics {
    /// How often `reason` was given.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refusals.get(reason as usize).copied().unwrap_or(0)
    }
    /// Refusals in all.
    pub fn refusals(&self) -> u64 {
        self.refusals.iter().sum()
    }
    /// Answers in all.
    pub fn requests(&self) -> u64 {
        self.responses.iter().sum()
    }
}

/// The counters behind [`Statistics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub connections: Cell<u64>,
    pub open: Cell<u64>,
    pub octets_out: Cell<u64>,
    pub octets_in: Cell<u64>,
    pub aborted: Cell<u64>,
    responses: [Cell<u64>; 5],
    refusals: [Cell<u64>; Refusal::COUNT],
}

pub(crate) fn add(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get().wrapping_add(n));
}

impl Counters {
    pub fn response(&self, status: Status) {
        if let Some(counter) = self.responses.get(usize::from(status.class()).wrapping_sub(1)) {
            add(counter, 1);
        }
    }
    pub fn refusal(&self, reason: Refusal) {
        if let Some(counter) = self.refusals.get(reason as usize) {
            add(counter, 1);
        }
    }
    pub fn snapshot(&self) -> Statistics {
        let mut refusals = [0; Refusal::COUNT];
        for (place, counter) in refusals.iter_mut().zip(&self.refusals) {
            *place = counter.get();
        }
        let mut responses = [0; 5];
        for (place, counter) in responses.iter_mut().zip(&self.responses) {
            *place = counter.get();
        }
        Statistics {
            connections: self.connections.get(),
            open: self.open.get(),
            responses,
            octets_out: self.octets_out.get(),
            octets_in: self.octets_in.get(),
            aborted: self.aborted.get(),
            refusals,
        }
    }
}
