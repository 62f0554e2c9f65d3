//! Outgoing zone transfers: AXFR (RFC 5936) and IXFR (RFC 1995).
use super::{Zones, tsig::Signer};
use crate::{
    Error,
    wire::{Builder, Class, Flags, Message, Name, Opcode, Question, Rcode, RecordType, Section, rdata},
    zone::{Change, Zone, is_newer, soa_numbers},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};

/// A transfer under way: message after message until there are no more. The SOA comes first and last.
pub struct Transfer {
    zone: Arc<Zone>,
    question: Question,
    id: u16,
    flags: Flags,
    content: Content,
    stage: Stage,
    signer: Option<Box<Signer>>,
}

/// What stands between the first SOA and the last.
enum Content {
    /// Nothing, and no second SOA: the client has this version.
    Current,
    /// Every record, by node, set and record.
    Whole { node: usize, set: usize, record: usize },
    /// Change by change what goes and what comes, by change, half and byte.
    Changes { changes: Vec<Arc<Change>>, change: usize, added: bool, offset: usize },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    FirstSoa,
    Records,
    Done,
}

impl Transfer {
    /// The transfer that `query` asks for, if it is one for a zone that is here. Whether its sender may have it is
    /// for the caller to decide. An IXFR from a version whose changes are forgotten is answered with the whole zone, as
    /// RFC 1995 section 4 has it.
    pub fn start(zones: &Zones, query: &[u8]) -> Option<Self> {
        let message = Message::new(query).ok()?;
        let flags = message.flags();
        if flags.has(Flags::QR) || flags.opcode() != Opcode::QUERY || message.question_count() != 1 {
            return None;
        }
        let (question, _) = message.question().ok()?;
        if !matches!(question.rtype, RecordType::AXFR | RecordType::IXFR) || question.class != Class::IN {
            return None;
        }
        let zone = zones.get(question.name.as_name())?.clone();
        let content =
            match (question.rtype == RecordType::IXFR).then(|| known_serial(&message, &question)).flatten() {
                //= https://www.rfc-editor.org/rfc/rfc1995#section-2
                //# If an IXFR query with the same or newer version number than that of
                //# the server is received, it is replied to with a single SOA record of
                //# the server's current version, just as in AXFR.
                Some(serial) if !is_newer(zone.serial(), serial) => Content::Current,
                Some(serial) => match zone.changes_since(serial) {
                    Some(changes) => {
                        Content::Changes { changes: changes.to_vec(), change: 0, added: false, offset: 0 }
                    }
                    None => Content::Whole { node: 0, set: 0, record: 0 },
                },
                None => Content::Whole { node: 0, set: 0, record: 0 },
            };
        Some(Self {
            zone,
            question,
            id: message.id(),
            flags: Flags(flags.0 & Flags::RD | Flags::QR | Flags::AA),
            content,
            stage: Stage::FirstSoa,
            signer: None,
        })
    }

    /// The same with every message signed.
    pub(super) fn signed(mut self, signer: Box<Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Writes the next message into `out` (64 KiB is good) and returns its length; `None` after the last.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when not even one record fits.
    pub fn next_message(&mut self, out: &mut [u8]) -> Option<Result<usize, Error>> {
        if self.stage == Stage::Done {
            return None;
        }
        let room = out.len().min(usize::from(u16::MAX));
        let room = room.saturating_sub(self.signer.as_ref().map_or(0, |signer| signer.size()));
        let (unsigned, _) = out.split_at_mut(room);
        let written = self.write(unsigned);
        Some(match (&mut self.signer, written) {
            (Some(signer), Ok(length)) => signer.sign(out, length).ok_or(Error::NoRoom),
            (_, written) => written,
        })
    }

    fn write(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let mut builder = Builder::new(out, self.id, Flags(self.flags.0 | Rcode::NOERROR.0))?;
        let first = self.stage == Stage::FirstSoa;
        if first {
            let question = &self.question;
            builder.question(question.name.as_name(), question.rtype, question.class)?;
            self.soa(&mut builder)?;
            self.stage = Stage::Records;
        }
        if matches!(self.content, Content::Current) {
            self.stage = Stage::Done;
            return Ok(builder.finish());
        }
        let mut any = first;
        let zone = self.zone.clone();
        while let Some((owner, rtype, ttl, data)) = self.content.current(&zone) {
            match builder.record(Section::Answer, owner, rtype, Class::IN, ttl, data) {
                Ok(()) => {
                    any = true;
                    self.content.advance();
                }
                Err(error) if !any => return Err(error),
                Err(_) => return Ok(builder.finish()),
            }
        }
        match self.soa(&mut builder) {
            Ok(()) => self.stage = Stage::Done,
            Err(error) if !any => return Err(error),
            Err(_) => {}
        }
        Ok(builder.finish())
    }

    fn soa(&self, builder: &mut Builder<'_>) -> Result<(), Error> {
        let apex = self.zone.apex();
        let Some(soa) = apex.set(RecordType::SOA) else { return Ok(()) };
        soa.data().try_for_each(|data| {
            builder.record(Section::Answer, apex.name(), RecordType::SOA, Class::IN, soa.ttl, data)
        })
    }
}

/// The serial of the SOA in the authority section of an IXFR query (RFC 1995 section 3).
fn known_serial(message: &Message<'_>, question: &Question) -> Option<u32> {
    let soa = message.records().map_while(Result::ok).find(|record| {
        record.section == Section::Authority
            && record.rtype == RecordType::SOA
            && record.name == question.name
    })?;
    let mut data = [0; 600];
    let length =
        rdata::from_message(soa.rtype, message.as_bytes(), soa.rdata_offset, soa.rdata.len(), &mut data)
            .ok()?;
    soa_numbers(data.get(..length)?).map(|(serial, _)| serial)
}

impl Content {
    /// The record that the position stands at, moving over ends and, in a whole zone, over the SOA.
    fn current<'c>(&'c mut self, zone: &'c Zone) -> Option<(Name<'c>, RecordType, u32, &'c [u8])> {
        match self {
            Self::Current => None,
            Self::Whole { node: at, set: set_at, record } => loop {
                let node = zone.node(*at)?;
                let Some(set) = node.sets().nth(*set_at) else {
                    (*at, *set_at, *record) = (*at + 1, 0, 0);
                    continue;
                };
                match set.data().nth(*record).filter(|_| set.rtype != RecordType::SOA) {
                    Some(data) => return Some((node.name(), set.rtype, set.ttl, data)),
                    None => (*set_at, *record) = (*set_at + 1, 0),
                }
            },
            Self::Changes { changes, change, added, offset } => loop {
                let now = changes.get(*change)?;
                let half = if *added { &now.added } else { &now.deleted };
                if let Some((entry, _)) = half.at(*offset) {
                    return Some((entry.owner, entry.rtype, entry.ttl, entry.data));
                }
                (*change, *added, *offset) =
                    if *added { (*change + 1, false, 0) } else { (*change, true, 0) };
            },
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Current => {}
            Self::Whole { record, .. } => *record += 1,
            Self::Changes { changes, change, added, offset } => {
                let now = changes.get(*change);
                let next = now.and_then(|now| if *added { &now.added } else { &now.deleted }.at(*offset));
                *offset = next.map_or(usize::MAX, |(_, next)| next);
            }
        }
    }
}
