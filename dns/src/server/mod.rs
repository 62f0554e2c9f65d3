//! The authoritative server: a query in, a reply out, no I/O.
mod answer;
mod denial;
mod precomputed;
mod transfer;
mod zones;

pub use transfer::Transfer;
pub use zones::Zones;

use crate::wire::{Builder, Class, Edns, Flags, Message, Opcode, Question, Rcode, RecordType, option};
use alloc::vec::Vec;
use answer::Answer;
use precomputed::{Plain, Precomputed};

/// How a query came, which decides how long the reply may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: at most what the client offers and [`Config::udp_payload`] allows.
    Udp,
    /// A stream: at most 65,535 bytes.
    Tcp,
}

/// What the server is to say of itself and how far it goes.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// Longest UDP reply, and the size offered to clients. 1,232 by default, which no path has to fragment.
    pub udp_payload: u16,
    /// Answer to the NSID option (RFC 5001); none is given when empty.
    pub nsid: &'a [u8],
    /// Bytes of memory for replies kept ready; 0 keeps none. Not all of it is taken at the start.
    pub precomputed: usize,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self { udp_payload: 1232, nsid: b"", precomputed: 16 << 20 }
    }
}

/// Counters, by what became of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams or stream messages that came.
    pub received: u64,
    /// Replies with NOERROR, the truncated ones too.
    pub answered: u64,
    /// Replies with NXDOMAIN.
    pub nxdomain: u64,
    /// Replies with REFUSED.
    pub refused: u64,
    /// Replies with FORMERR.
    pub formerr: u64,
    /// Replies with NOTIMP.
    pub notimp: u64,
    /// Replies with any other code.
    pub other: u64,
    /// Replies that did not fit and said so.
    pub truncated: u64,
    /// Replies that were ready.
    pub precomputed: u64,
    /// Messages that were no query at all (too short, or replies) and got none.
    pub dropped: u64,
}

/// EDNS errors of RFC 8914 that this server sends.
mod extended_error {
    pub const NOT_AUTHORITATIVE: u16 = 20;
    pub const NOT_SUPPORTED: u16 = 21;
}

/// An authoritative name server over a table of zones. Synchronous; any shell may drive it.
pub struct Server<'a> {
    zones: &'a Zones,
    precomputed: Precomputed,
    /// Room for the longest reply, made when the first stream asks.
    scratch: Vec<u8>,
    config: Config<'a>,
    stats: Stats,
}

/// What the queries' EDNS asked for.
#[derive(Clone, Copy, Default)]
struct Asked {
    edns: bool,
    dnssec: bool,
    nsid: bool,
    payload: u16,
}

impl<'a> Server<'a> {
    /// A server for `zones`.
    pub fn new(zones: &'a Zones, config: Config<'a>) -> Self {
        Self {
            zones,
            precomputed: Precomputed::new(config.precomputed),
            scratch: Vec::new(),
            config,
            stats: Stats::default(),
        }
    }

    /// Counters since the start.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Writes the reply to `query` into `reply` and returns its length; `None` when there is none to send: the message is
    /// too short to answer or is itself a reply.
    ///
    /// `reply` should have room for [`Config::udp_payload`] bytes (at least 512) over UDP and for 65,535 over TCP.
    pub fn respond(&mut self, query: &[u8], transport: Transport, reply: &mut [u8]) -> Option<usize> {
        self.stats.received += 1;
        let udp_payload = (transport == Transport::Udp).then_some(self.config.udp_payload);
        let plain = Plain::read(query, udp_payload);
        if let Some((length, flags)) = plain.as_ref().and_then(|plain| self.precomputed.reply(plain, reply)) {
            self.stats.precomputed += 1;
            self.count(flags);
            return Some(length);
        }
        let message = Message::new(query).ok().filter(|message| !message.flags().has(Flags::QR));
        let Some(length) = message.and_then(|message| self.reply(&message, transport, reply)) else {
            self.stats.dropped += 1;
            return None;
        };
        let written = reply.get(..length)?;
        self.count(Message::new(written).ok()?.flags());
        if let Some(plain) = plain {
            self.precomputed.keep(&plain, written);
        }
        Some(length)
    }

    /// The reply to a query that came over a stream, behind its two bytes of length (RFC 1035 section 4.2.2).
    pub fn respond_framed(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.resize(2 + usize::from(u16::MAX), 0);
        let framed = self.respond(query, Transport::Tcp, &mut scratch[2..]).map(|length| {
            scratch[..2].copy_from_slice(&(length as u16).to_be_bytes());
            scratch[..2 + length].to_vec()
        });
        self.scratch = scratch;
        framed
    }

    /// Bytes that the replies kept ready take now.
    pub const fn precomputed_bytes(&self) -> usize {
        self.precomputed.bytes()
    }

    fn count(&mut self, flags: Flags) {
        let counter = match flags.rcode() {
            Rcode::NOERROR => &mut self.stats.answered,
            Rcode::NXDOMAIN => &mut self.stats.nxdomain,
            Rcode::REFUSED => &mut self.stats.refused,
            Rcode::FORMERR => &mut self.stats.formerr,
            Rcode::NOTIMP => &mut self.stats.notimp,
            _ => &mut self.stats.other,
        };
        *counter += 1;
        self.stats.truncated += u64::from(flags.has(Flags::TC));
    }

    fn reply(&self, message: &Message<'_>, transport: Transport, reply: &mut [u8]) -> Option<usize> {
        // RFC 1035 section 4.1.1: id, opcode and RD come back as they came.
        let flags = Flags(message.flags().0 & (0x7800 | Flags::RD) | Flags::QR);
        let id = message.id();
        if message.flags().opcode() != Opcode::QUERY {
            return header_only(reply, id, flags, Rcode::NOTIMP);
        }
        let question = match message.question() {
            Ok((question, end)) if message.question_count() == 1 && end <= message.as_bytes().len() => {
                question
            }
            _ => return header_only(reply, id, flags, Rcode::FORMERR),
        };
        let (asked, failed) = match read_edns(message) {
            Ok(asked) => asked,
            Err(()) => return header_only(reply, id, flags, Rcode::FORMERR),
        };
        let limit = match transport {
            Transport::Tcp => usize::from(u16::MAX),
            // RFC 6891 section 6.2.3: values below 512 count as 512.
            Transport::Udp if asked.edns => {
                usize::from(asked.payload.clamp(512, self.config.udp_payload.max(512)))
            }
            Transport::Udp => 512,
        };
        let limit = limit.min(reply.len());
        let reply = &mut reply[..limit];
        let mut builder = Builder::new(reply, id, flags).ok()?;
        builder.question(question.name.as_name(), question.rtype, question.class).ok()?;
        let mut tail = Tail { options: [0; 128], length: 0, asked, payload: self.config.udp_payload };
        if asked.nsid && !self.config.nsid.is_empty() {
            tail.option(option::NSID, &[self.config.nsid]);
        }
        builder.set_limit(limit - tail.size().min(limit));
        let rcode =
            failed.unwrap_or_else(|| self.look_up(&question, asked, transport, &mut builder, &mut tail));
        builder.set_limit(limit);
        Some(tail.finish(builder, rcode))
    }

    fn look_up(
        &self,
        question: &Question,
        asked: Asked,
        transport: Transport,
        builder: &mut Builder<'_>,
        tail: &mut Tail,
    ) -> Rcode {
        if question.class != Class::IN && question.class != Class::ANY {
            tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_AUTHORITATIVE.to_be_bytes()]);
            return Rcode::REFUSED;
        }
        match question.rtype {
            // A transfer that may be given starts in `Transfer`; what comes here may not.
            RecordType::AXFR | RecordType::IXFR => return Rcode::REFUSED,
            // MAILB, MAILA and the other pseudo types but ANY; OPT and TSIG are no questions.
            rtype if rtype.is_meta() && rtype != RecordType::ANY => {
                tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_SUPPORTED.to_be_bytes()]);
                return Rcode::NOTIMP;
            }
            _ => {}
        }
        let Some(zone) = self.zones.covering(question.name.as_name(), question.rtype) else {
            tail.option(option::EXTENDED_ERROR, &[&extended_error::NOT_AUTHORITATIVE.to_be_bytes()]);
            return Rcode::REFUSED;
        };
        Answer {
            zone,
            question,
            dnssec: asked.dnssec,
            udp: transport == Transport::Udp,
            builder,
            rcode: Rcode::NOERROR,
        }
        .write()
    }
}

/// Reads the OPT record, if there is one. The second value is the rcode that it forces.
fn read_edns(message: &Message<'_>) -> Result<(Asked, Option<Rcode>), ()> {
    let mut asked = Asked::default();
    let mut failed = None;
    for record in message.records() {
        let record = record.map_err(|_| ())?;
        if record.rtype != RecordType::OPT {
            continue;
        }
        //= https://www.rfc-editor.org/rfc/rfc6891#section-6.1.1
        //# If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST
        //# be returned.
        if asked.edns {
            return Err(());
        }
        let edns = Edns::from_record(&record).map_err(|_| ())?;
        asked = Asked {
            edns: true,
            dnssec: edns.dnssec_ok,
            nsid: edns.option(option::NSID).is_some(),
            payload: edns.udp_payload,
        };
        if edns.version != 0 {
            failed = Some(Rcode::BADVERS);
        }
    }
    Ok((asked, failed))
}

/// A reply of nothing but a header: the question could not be read or is not to be repeated.
fn header_only(reply: &mut [u8], id: u16, flags: Flags, rcode: Rcode) -> Option<usize> {
    Some(Builder::new(reply, id, Flags(flags.0 | rcode.0)).ok()?.finish())
}

/// What comes last: the OPT record, for which room was kept.
struct Tail {
    options: [u8; 128],
    length: usize,
    asked: Asked,
    payload: u16,
}

impl Tail {
    /// Adds an option, if it fits; options that explain come after the answer was written and may find no room.
    fn option(&mut self, code: u16, value: &[&[u8]]) {
        let size: usize = value.iter().map(|part| part.len()).sum();
        let Some(room) = self.options.get_mut(self.length..self.length + 4 + size) else { return };
        room[..2].copy_from_slice(&code.to_be_bytes());
        room[2..4].copy_from_slice(&(size as u16).to_be_bytes());
        let mut at = 4;
        for part in value {
            room[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.length += 4 + size;
    }

    const fn size(&self) -> usize {
        if self.asked.edns { 11 + self.length } else { 0 }
    }

    fn finish(self, mut builder: Builder<'_>, rcode: Rcode) -> usize {
        builder.set_flags(rcode.0 & 15);
        if self.asked.edns {
            let edns = Edns {
                udp_payload: self.payload,
                version: 0,
                extended_rcode: (rcode.0 >> 4) as u8,
                dnssec_ok: self.asked.dnssec,
                options: &self.options[..self.length],
            };
            if builder.edns(&edns).is_err() {
                let _ = builder.edns(&Edns { options: &[], ..edns });
            }
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests;
