//! Replies kept ready: the second asking of a question is a hash, a comparison and a copy.
//!
//! A reply depends on the question (name without regard to case, type, class) and on two bits of the query, EDNS and
//! DNSSEC OK. What is kept is everything behind the question; header and question are the query's own, so the id, RD and
//! the case of the name (0x20) come back as they came, and compression pointers into the question stay right, because
//! the question is as long as before. A cookie is added to the end of either.
use super::{Offered, Written, cookie};
use crate::wire::{Flags, HEADER, Name, RecordType};
use alloc::{boxed::Box, vec::Vec};

/// Slots that may hold a question: the one it hashes to and those beside it.
const WAYS: usize = 4;

/// A bounded table of replies.
pub(super) struct Precomputed {
    slots: Vec<Option<Kept>>,
    bytes: usize,
    limit: usize,
}

struct Kept {
    hash: u64,
    /// Bytes of the question and the query's bits; the rest is what follows the question in the reply.
    question: u16,
    flags: u16,
    /// Bytes of options at the end of the reply's OPT record; `u8::MAX` when it has none.
    options: u8,
    counts: [u8; 6],
    bytes: Box<[u8]>,
}

/// A query that may be answered from the table: one question and nothing else but an OPT record, plain or with a cookie.
pub(super) struct Plain<'q> {
    /// Header and question, as they stand in the packet.
    head: &'q [u8],
    hash: u64,
    /// Longest reply that its sender takes.
    limit: usize,
    bits: u8,
    cookie: Option<Offered>,
}

impl<'q> Plain<'q> {
    /// What `query` is, if it is plain. `udp_payload` is the server's own bound; `None` over a stream. `cookies`: whether
    /// the server gives any.
    pub(super) fn read(query: &'q [u8], udp_payload: Option<u16>, cookies: bool) -> Option<Self> {
        let (header, rest) = query.split_first_chunk::<HEADER>()?;
        let [_, _, flags, low, 0, 1, 0, 0, 0, 0, 0, additional] = *header else { return None };
        // A query, opcode 0; the bits that a reply does not copy are no concern of the answer.
        if flags & 0xf8 != 0 || low & 0x0f != 0 || additional > 1 {
            return None;
        }
        let mut at = 0;
        loop {
            match *rest.get(at)? {
                0 => break,
                length @ 1..=63 => at += 1 + usize::from(length),
                _ => return None,
            }
        }
        if at >= crate::wire::MAX_NAME {
            return None;
        }
        let (question, tail) = rest.split_at_checked(at + 5)?;
        let mut cookie = None;
        let (offered, bits) = match (additional, tail) {
            (0, []) => (512, 0),
            // Root, OPT, payload, rcode 0, version 0, flags, no options.
            (1, [0, 0, 41, high, low, 0, 0, flags, _, 0, 0]) => {
                (u16::from_be_bytes([*high, *low]).max(512), 1 | (flags & 0x80))
            }
            // The same with one option, a cookie.
            (1, [0, 0, 41, high, low, 0, 0, flags, _, 0, 12 | 28, 0, 10, 0, size @ (8 | 24), value @ ..])
                if cookies && value.len() == usize::from(*size) && tail[10] == size + 4 =>
            {
                cookie = Some(Offered::read(value)?);
                (u16::from_be_bytes([*high, *low]).max(512), 1 | (flags & 0x80))
            }
            _ => return None,
        };
        let limit = udp_payload.map_or(u16::MAX, |own| offered.min(own.max(512)));
        let stream = u8::from(udp_payload.is_none()) << 1;
        let bits = bits | stream;
        let head = query.get(..HEADER + question.len())?;
        let room = if cookie.is_some() { 4 + cookie::LENGTH } else { 0 };
        Some(Self { head, hash: hash(question, bits), limit: usize::from(limit) - room, bits, cookie })
    }

    /// What type is asked for.
    pub(super) fn rtype(&self) -> Option<RecordType> {
        let fixed = self.head.last_chunk::<4>()?;
        Some(RecordType(u16::from_be_bytes([fixed[0], fixed[1]])))
    }

    fn question(&self) -> &'q [u8] {
        self.head.get(HEADER..).unwrap_or(&[])
    }
}

impl Precomputed {
    /// A table of at most about `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        // Replies with their bookkeeping are about 192 bytes; the table itself takes a sixth of the bound.
        let slots =
            if limit < 4096 { 0 } else { (limit / 6 / size_of::<Option<Kept>>()).next_power_of_two() / 2 };
        Self { slots: (0..slots).map(|_| None).collect(), bytes: slots * size_of::<Option<Kept>>(), limit }
    }

    /// Bytes in use.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn ways(&self, hash: u64) -> core::ops::Range<usize> {
        let start = hash as usize & self.slots.len().wrapping_sub(1) & !(WAYS - 1);
        start..(start + WAYS).min(self.slots.len())
    }

    /// Writes the reply to `query`, if it is kept and fits.
    pub(super) fn reply(&self, query: &Plain<'_>, out: &mut [u8]) -> Option<Written> {
        let ways = self.slots.get(self.ways(query.hash))?;
        let question = query.question();
        let kept = ways.iter().flatten().find(|kept| {
            kept.hash == query.hash
                && kept
                    .bytes
                    .get(..usize::from(kept.question))
                    .is_some_and(|own| same_question(own, question, query.bits))
        })?;
        let rest = kept.bytes.get(usize::from(kept.question)..)?;
        let length = query.head.len() + rest.len();
        if length > query.limit {
            return None;
        }
        let out = out.get_mut(..length)?;
        let (head, tail) = out.split_at_mut(query.head.len());
        head.copy_from_slice(query.head);
        tail.copy_from_slice(rest);
        // RD comes back as it came; the rest of the flags are the answer's.
        let flags = kept.flags | u16::from(query.head[2]) << 8 & Flags::RD;
        head[2..4].copy_from_slice(&flags.to_be_bytes());
        head[6..12].copy_from_slice(&kept.counts);
        let options = (kept.options != u8::MAX).then_some(usize::from(kept.options));
        Some(Written { length, options, cookie: query.cookie, padding: false })
    }

    /// Keeps `reply`, the whole answer to `query`. One that was cut short for this client is not kept.
    /// `options`: as in [`Written`].
    pub(super) fn keep(&mut self, query: &Plain<'_>, reply: &[u8], options: Option<usize>) {
        let question = query.question();
        let (Some(header), Some(rest)) = (reply.first_chunk::<HEADER>(), reply.get(query.head.len()..))
        else {
            return;
        };
        let flags = u16::from_be_bytes([header[2], header[3]]) & !Flags::RD;
        if flags & Flags::TC != 0 || header[4..6] != [0, 1] || reply.len() > 4096 {
            return;
        }
        let ways = self.ways(query.hash);
        let Some(ways) = self.slots.get_mut(ways) else { return };
        // A free slot, else one picked by bits of the hash that chose no slot.
        let victim =
            ways.iter().position(Option::is_none).unwrap_or((query.hash >> 60) as usize & (WAYS - 1));
        let Some(slot) = ways.get_mut(victim) else { return };
        let freed = slot.as_ref().map_or(0, |kept| kept.bytes.len());
        let size = question.len() + 1 + rest.len();
        if self.bytes - freed + size > self.limit {
            return;
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(question);
        bytes.push(query.bits);
        bytes.extend_from_slice(rest);
        self.bytes = self.bytes - freed + size;
        let counts = [header[6], header[7], header[8], header[9], header[10], header[11]];
        let question = question.len() as u16 + 1;
        let options = options.map_or(u8::MAX, |options| options as u8);
        *slot = Some(Kept {
            hash: query.hash,
            question,
            flags,
            options,
            counts,
            bytes: bytes.into_boxed_slice(),
        });
    }

    /// Forgets the replies for names in `apex`, and no others.
    pub(super) fn forget(&mut self, apex: Name<'_>) {
        for slot in &mut self.slots {
            let size = slot.as_ref().filter(|kept| kept.is_within(apex)).map(|kept| kept.bytes.len());
            if let Some(size) = size {
                self.bytes -= size;
                *slot = None;
            }
        }
    }
}

impl Kept {
    fn is_within(&self, apex: Name<'_>) -> bool {
        // Type, class and the query's bits stand behind the name.
        let end = usize::from(self.question).saturating_sub(5);
        self.bytes.get(..end).and_then(|name| Name::parse(name).ok()).is_none_or(|name| name.is_within(apex))
    }
}

/// The same name but for case, the same type, class and bits.
fn same_question(kept: &[u8], asked: &[u8], bits: u8) -> bool {
    let Some((kept_bits, kept)) = kept.split_last() else { return false };
    match (kept.split_last_chunk::<4>(), asked.split_last_chunk::<4>()) {
        (Some((name, fixed)), Some((other, others))) => {
            *kept_bits == bits && fixed == others && crate::wire::same_letters(name, other)
        }
        _ => false,
    }
}

fn hash(question: &[u8], bits: u8) -> u64 {
    crate::wire::hash_letters(question, u64::from(bits))
}
