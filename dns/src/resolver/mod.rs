//! A stub resolver's parts that do no I/O: the questions it asks of a recursive server and what it believes of the replies
//! (RFC 5452), which names it tries (RFC 1123 section 6.1.4.3), and what it remembers (RFC 8767).
//! [`shell::Resolver`](crate::shell::Resolver) asks.
mod cache;
mod search;

pub use cache::{Cache, Found};
pub use search::candidates;

use crate::wire::{
    Builder, Class, Edns, Flags, Message, Name, NameBuf, Opcode, Rcode, RecordType, Section, rdata,
};
use alloc::{boxed::Box, vec::Vec};

/// Aliases that are followed in one reply.
const ALIASES: usize = 16;
/// Longest TTL that is believed, seconds (RFC 8767 section 4 recommends a week).
const LONGEST_TTL: u32 = 7 * 86_400;

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// NOERROR, or NXDOMAIN.
    pub rcode: Rcode,
    /// The data of each record of the type asked for, without compression; none when there are none.
    pub records: Vec<Box<[u8]>>,
    /// Seconds for which that holds.
    pub ttl: u32,
}

/// What a message is to a question that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: another's reply, or a forged one. Go on waiting.
    Ignore,
    /// The reply did not fit, or its question is not spelt as ours was, which a forger would not know: ask over TCP.
    AskOverTcp,
    /// The server does not know EDNS: ask without.
    AskPlain,
    /// The server cannot answer: ask another.
    Failed(Rcode),
    /// The answer.
    Answer(Answer),
}

/// A question on its way.
#[derive(Clone, Debug)]
pub struct Query {
    id: u16,
    /// The name with its letters in random case (0x20).
    name: NameBuf,
    rtype: RecordType,
}

impl Query {
    /// A question, with an id and the case of each letter from `random`, 48 bytes that nobody can guess.
    pub fn new(name: Name<'_>, rtype: RecordType, random: &[u8; 48]) -> Self {
        let id = u16::from_be_bytes([random[0], random[1]]);
        let bits = |at: usize| random.get(2 + at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        let mut bytes = name.as_bytes().to_vec();
        // A length byte is no letter: labels have at most 63.
        for (at, byte) in bytes.iter_mut().enumerate() {
            if bits(at) {
                byte.make_ascii_uppercase();
            } else {
                byte.make_ascii_lowercase();
            }
        }
        let name = Name::parse(&bytes).map_or_else(|_| NameBuf::from_name(name), NameBuf::from_name);
        Self { id, name, rtype }
    }

    /// Writes the question into `out`, with EDNS(0) or without; `None` without room (300 bytes do).
    pub fn write(&self, edns: bool, out: &mut [u8]) -> Option<usize> {
        let mut builder = Builder::new(out, self.id, Flags(Flags::RD)).ok()?;
        builder.question(self.name.as_name(), self.rtype, Class::IN).ok()?;
        if edns {
            builder.edns(&Edns { udp_payload: 1232, ..Edns::default() }).ok()?;
        }
        Some(builder.finish())
    }

    /// What `message` is to this question; `datagram`: it did not come over a stream. That it comes from whom was asked is
    /// for the caller to see to.
    pub fn judge(&self, message: &[u8], datagram: bool) -> Verdict {
        let Ok(view) = Message::new(message) else { return Verdict::Ignore };
        let flags = view.flags();
        if view.id() != self.id || !flags.has(Flags::QR) || flags.opcode() != Opcode::QUERY {
            return Verdict::Ignore;
        }
        // Who cannot read EDNS may say so without the question.
        if matches!(flags.rcode(), Rcode::FORMERR | Rcode::NOTIMP) && view.question_count() <= 1 {
            return Verdict::AskPlain;
        }
        let Ok((question, _)) = view.question() else { return Verdict::Ignore };
        if view.question_count() != 1 || question.name != self.name || question.rtype != self.rtype {
            return Verdict::Ignore;
        }
        let spelt = question.name.as_name().as_bytes() == self.name.as_name().as_bytes();
        if datagram && (!spelt || flags.has(Flags::TC)) {
            return Verdict::AskOverTcp;
        }
        match flags.rcode() {
            Rcode::NOERROR | Rcode::NXDOMAIN => self.answer(&view).map_or(Verdict::Ignore, Verdict::Answer),
            other => Verdict::Failed(other),
        }
    }

    fn answer(&self, message: &Message<'_>) -> Option<Answer> {
        let records: Vec<_> = message.records().collect::<Result<_, _>>().ok()?;
        let mut data = alloc::vec![0; 65_535];
        let mut name = self.name;
        let mut ttl = LONGEST_TTL;
        let mut found = Vec::new();
        for _ in 0..ALIASES {
            let mut alias = None;
            for record in &records {
                if record.section != Section::Answer || record.class != Class::IN || record.name != name {
                    continue;
                }
                let (at, length) = (record.rdata_offset, record.rdata.len());
                let used = rdata::from_message(record.rtype, message.as_bytes(), at, length, &mut data);
                let Some(bytes) = used.ok().and_then(|used| data.get(..used)) else { continue };
                if record.rtype == self.rtype {
                    ttl = ttl.min(record.ttl);
                    found.push(bytes.into());
                } else if record.rtype == RecordType::CNAME {
                    ttl = ttl.min(record.ttl);
                    alias = Name::parse(bytes).ok().map(NameBuf::from_name);
                }
            }
            match alias {
                Some(next) if found.is_empty() => name = next,
                _ => break,
            }
        }
        if found.is_empty() {
            // RFC 2308 section 5: the SOA of the authority section says for how long there is nothing.
            let soa = records.iter().find(|r| r.section == Section::Authority && r.rtype == RecordType::SOA);
            let minimum = soa.and_then(|soa| {
                let numbers = soa.rdata.last_chunk::<4>()?;
                Some(soa.ttl.min(u32::from_be_bytes(*numbers)))
            });
            ttl = ttl.min(minimum.unwrap_or(0));
        }
        Some(Answer { rcode: message.flags().rcode(), records: found, ttl: ttl.min(LONGEST_TTL) })
    }
}

#[cfg(test)]
mod tests;
