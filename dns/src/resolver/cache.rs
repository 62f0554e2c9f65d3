//! What was learnt, for as long as it holds, and for a while after that in case nobody can be asked (RFC 8767).
use super::Answer;
use crate::wire::{Name, RecordType};
use airglow_device::Instant;
use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

/// For how long what has expired is still given when nobody answers (RFC 8767 section 5 recommends one to three days).
const STALE: Duration = Duration::from_secs(86_400);
/// What TTL it is given with (section 5).
const STALE_TTL: u32 = 30;

/// A bounded cache.
pub struct Cache {
    entries: BTreeMap<(Vec<u8>, RecordType), Entry>,
    limit: usize,
}

struct Entry {
    answer: Answer,
    expires: Instant,
    used: Instant,
    /// Before this nobody is asked again: it was tried and failed.
    quiet: Instant,
}

/// What the cache knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// An answer that holds, with the TTL that is left.
    Fresh(Answer),
    /// One that has expired, with a TTL of 30 s, for when nobody answers in time. `ask`: it is time to ask again.
    Stale {
        /// The answer.
        answer: Answer,
        /// Nobody was asked in vain in the last half minute.
        ask: bool,
    },
}

impl Cache {
    /// At most `limit` answers; the one that was not used for longest makes room for another.
    pub const fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit }
    }

    /// What is known at `now`.
    pub fn find(&mut self, name: Name<'_>, rtype: RecordType, now: Instant) -> Found {
        let key = (name.as_bytes().to_ascii_lowercase(), rtype);
        let Some(entry) = self.entries.get_mut(&key) else { return Found::Nothing };
        entry.used = now;
        let mut answer = entry.answer.clone();
        if now < entry.expires {
            answer.ttl = (entry.expires.since(now).as_millis().div_ceil(1000)) as u32;
            return Found::Fresh(answer);
        }
        if now >= entry.expires + STALE {
            self.entries.remove(&key);
            return Found::Nothing;
        }
        answer.ttl = STALE_TTL;
        Found::Stale { answer, ask: now >= entry.quiet }
    }

    /// Remembers an answer; one with a TTL of zero is for now only.
    pub fn insert(&mut self, name: Name<'_>, rtype: RecordType, answer: &Answer, now: Instant) {
        let key = (name.as_bytes().to_ascii_lowercase(), rtype);
        if answer.ttl == 0 || self.limit == 0 {
            self.entries.remove(&key);
            return;
        }
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        let expires = now + Duration::from_secs(u64::from(answer.ttl));
        self.entries.insert(key, Entry { answer: answer.clone(), expires, used: now, quiet: now });
    }

    /// Nobody answered: what is stale does for half a minute without asking (RFC 8767 section 5).
    pub fn failed(&mut self, name: Name<'_>, rtype: RecordType, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&(name.as_bytes().to_ascii_lowercase(), rtype)) {
            entry.quiet = now + Duration::from_secs(u64::from(STALE_TTL));
        }
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
