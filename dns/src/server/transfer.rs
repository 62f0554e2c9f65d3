//! Outgoing zone transfers: AXFR, RFC 5936.
use super::{Zones, tsig::Signer};
use crate::{
    Error,
    wire::{Builder, Class, Flags, Message, Name, Opcode, Question, Rcode, RecordType, Section},
    zone::Zone,
};
use alloc::{boxed::Box, sync::Arc};

/// A transfer under way: message after message until there are no more. The SOA comes first and last.
pub struct Transfer {
    zone: Arc<Zone>,
    question: Question,
    id: u16,
    flags: Flags,
    node: usize,
    set: usize,
    record: usize,
    stage: Stage,
    signer: Option<Box<Signer>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    FirstSoa,
    Records,
    Done,
}

impl Transfer {
    /// The transfer that `query` asks for, if it is one for a zone that is here. Whether its sender may have it is
    /// for the caller to decide. An IXFR is answered with the whole zone, as RFC 1995 section 4 allows.
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
        Some(Self {
            zone: zones.get(question.name.as_name())?.clone(),
            question,
            id: message.id(),
            flags: Flags(flags.0 & Flags::RD | Flags::QR | Flags::AA),
            node: 0,
            set: 0,
            record: 0,
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
        let limit = out.len().min(usize::from(u16::MAX));
        let mut builder = Builder::new(&mut out[..limit], self.id, Flags(self.flags.0 | Rcode::NOERROR.0))?;
        let first = self.stage == Stage::FirstSoa;
        if first {
            let question = &self.question;
            builder.question(question.name.as_name(), question.rtype, question.class)?;
            self.soa(&mut builder)?;
            self.stage = Stage::Records;
        }
        let mut any = first;
        let zone = self.zone.clone();
        while let Some((owner, rtype, ttl, data)) = self.current(&zone) {
            match builder.record(Section::Answer, owner, rtype, Class::IN, ttl, data) {
                Ok(()) => {
                    any = true;
                    self.record += 1;
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

    /// The record that the position stands at, moving over ends of sets and nodes and over the SOA.
    fn current<'z>(&mut self, zone: &'z Zone) -> Option<(Name<'z>, RecordType, u32, &'z [u8])> {
        loop {
            let node = zone.node(self.node)?;
            let Some(set) = node.sets().nth(self.set) else {
                (self.node, self.set, self.record) = (self.node + 1, 0, 0);
                continue;
            };
            match set.data().nth(self.record).filter(|_| set.rtype != RecordType::SOA) {
                Some(data) => return Some((node.name(), set.rtype, set.ttl, data)),
                None => (self.set, self.record) = (self.set + 1, 0),
            }
        }
    }
}
