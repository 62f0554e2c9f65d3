//! A zone that comes in: the messages of an AXFR (RFC 5936) or IXFR (RFC 1995) answer, one after the other.
use crate::{
    server::{Exchange, Unbelieved},
    wire::{
        Builder, Class, Flags, HEADER, Message, Name, NameBuf, Opcode, Rcode, RecordType, Section, rdata,
    },
    zone::{Change, Records, Zone, ZoneBuilder, ZoneError, is_newer, soa_numbers},
};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;

/// Bounds for what comes in.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of messages in one transfer.
    pub transfer: usize,
    /// Bytes of changes that are kept for IXFR to others.
    pub history: usize,
}

impl Default for Bounds {
    /// A gibibyte; a mebibyte.
    fn default() -> Self {
        Self { transfer: 1 << 30, history: 1 << 20 }
    }
}

/// Why a transfer gave no zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferError {
    /// The primary says no.
    Refused(Rcode),
    /// A message that is none, or not one of this transfer.
    Message,
    /// Records that do not follow one another as a transfer's do.
    Order,
    /// The changes are not ones of the version that is here, or the records make no zone.
    Zone(ZoneError),
    /// A signature is missing or wrong.
    Signature(Unbelieved),
    /// More than [`Bounds::transfer`].
    TooLarge,
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rcode) => write!(f, "the primary answers {rcode:?}"),
            Self::Message => f.write_str("a message that is no part of the transfer"),
            Self::Order => f.write_str("records in an order that no transfer has"),
            Self::Zone(error) => write!(f, "no zone: {error}"),
            Self::Signature(why) => write!(f, "the signature is not believed: {why:?}"),
            Self::TooLarge => f.write_str("larger than the bound"),
        }
    }
}
impl core::error::Error for TransferError {}

/// What a whole transfer came to.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
pub enum Received {
    /// The version that is here is the primary's too.
    Current,
    /// Another version, which came whole.
    Whole(Zone),
    /// Another version, made of the one that is here and the changes that came.
    Changed(Zone),
}

/// A transfer that is coming in.
pub struct Incoming {
    apex: NameBuf,
    id: u16,
    /// The version that IXFR starts with.
    have: Option<Arc<Zone>>,
    bounds: Bounds,
    bytes: usize,
    stage: Stage,
    exchange: Option<Exchange>,
    data: Vec<u8>,
}

enum Stage {
    Begin,
    /// The first SOA has come.
    Soa {
        soa: Records,
        serial: u32,
    },
    Whole {
        builder: ZoneBuilder,
        serial: u32,
    },
    Deleting {
        changes: Vec<Change>,
        change: Change,
        last: u32,
    },
    Adding {
        changes: Vec<Change>,
        change: Change,
        last: u32,
    },
    /// The last SOA has come; a signature may be missing yet.
    Done {
        outcome: Option<Received>,
    },
}

/// Writes the question for a zone: AXFR without `have`, otherwise IXFR from that version (RFC 1995 section 3).
/// `None` when `out` has no room (600 bytes do).
pub fn ask(apex: Name<'_>, id: u16, have: Option<&Zone>, out: &mut [u8]) -> Option<usize> {
    let mut builder = Builder::new(out, id, Flags(0)).ok()?;
    let rtype = if have.is_some() { RecordType::IXFR } else { RecordType::AXFR };
    builder.question(apex, rtype, Class::IN).ok()?;
    if let Some(zone) = have {
        let soa = zone.apex().set(RecordType::SOA)?;
        let data = soa.data().next()?;
        builder.record(Section::Authority, apex, RecordType::SOA, Class::IN, soa.ttl, data).ok()?;
    }
    Some(builder.finish())
}

impl Incoming {
    /// The answer to what [`ask`] wrote, and, if that was signed, the exchange.
    pub fn new(
        apex: Name<'_>,
        id: u16,
        have: Option<Arc<Zone>>,
        exchange: Option<Exchange>,
        bounds: Bounds,
    ) -> Self {
        let (apex, data) = (NameBuf::from_name(apex), alloc::vec![0; 65_535]);
        Self { apex, id, have, bounds, bytes: 0, stage: Stage::Begin, exchange, data }
    }

    /// Takes the next message at `now` (seconds since 1970; counts only when signed). `None`: there is more to come.
    ///
    /// # Errors
    /// Why there is no zone; the transfer is over.
    pub fn message(&mut self, message: &[u8], now: u64) -> Result<Option<Received>, TransferError> {
        self.bytes = self.bytes.saturating_add(message.len());
        if self.bytes > self.bounds.transfer {
            return Err(TransferError::TooLarge);
        }
        let view = Message::new(message).map_err(|_| TransferError::Message)?;
        if view.id() != self.id || !view.flags().has(Flags::QR) || view.flags().opcode() != Opcode::QUERY {
            return Err(TransferError::Message);
        }
        let mut believed = Ok(());
        if let Some(exchange) = &mut self.exchange {
            believed = exchange.check(message, now).map_err(TransferError::Signature);
        }
        // What refuses may well be unsigned: it is an error in any case.
        if view.flags().rcode() != Rcode::NOERROR {
            return Err(TransferError::Refused(view.flags().rcode()));
        }
        believed?;
        if view.question_count() > 0 {
            let (question, _) = view.question().map_err(|_| TransferError::Message)?;
            if question.name != self.apex || !matches!(question.rtype, RecordType::AXFR | RecordType::IXFR) {
                return Err(TransferError::Message);
            }
        }
        let mut data = core::mem::take(&mut self.data);
        let result = self.records(&view, &mut data);
        self.data = data;
        result?;
        if let Stage::Soa { serial, .. } = &self.stage {
            // Nothing but the SOA: the answer to an IXFR from the current version. After an older one more must follow.
            let current = self.have.as_ref().is_some_and(|have| !is_newer(*serial, have.serial()));
            if current {
                self.stage = Stage::Done { outcome: Some(Received::Current) };
            }
        }
        match &mut self.stage {
            Stage::Done { outcome } if self.exchange.as_ref().is_none_or(Exchange::is_complete) => {
                Ok(outcome.take())
            }
            _ => Ok(None),
        }
    }

    fn records(&mut self, message: &Message<'_>, data: &mut [u8]) -> Result<(), TransferError> {
        if message.as_bytes().len() < HEADER {
            return Err(TransferError::Message);
        }
        for record in message.records() {
            let record = record.map_err(|_| TransferError::Message)?;
            if record.section != Section::Answer {
                break;
            }
            let failed = |_| {
                TransferError::Zone(ZoneError::BadRecord(alloc::boxed::Box::new(record.name), record.rtype))
            };
            let length = rdata::from_message(
                record.rtype,
                message.as_bytes(),
                record.rdata_offset,
                record.rdata.len(),
                data,
            )
            .map_err(failed)?;
            if record.class != Class::IN {
                return Err(TransferError::Order);
            }
            let bytes = data.get(..length).unwrap_or(&[]);
            self.record(record.name.as_name(), record.rtype, record.ttl, bytes)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        owner: Name<'_>,
        rtype: RecordType,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), TransferError> {
        let soa = (rtype == RecordType::SOA).then(|| soa_numbers(data).map(|(serial, _)| serial)).flatten();
        let soa = soa.filter(|_| owner == self.apex.as_name());
        let held = Stage::Done { outcome: None };
        self.stage = match (core::mem::replace(&mut self.stage, held), soa) {
            (Stage::Begin, Some(serial)) => {
                let mut records = Records::default();
                records.push(owner, rtype, ttl, data);
                Stage::Soa { soa: records, serial }
            }
            (Stage::Soa { serial: last, .. }, Some(serial)) => {
                if self.have.as_ref().is_none_or(|have| have.serial() != serial) {
                    return Err(TransferError::Order);
                }
                let mut change = Change::default();
                change.deleted.push(owner, rtype, ttl, data);
                Stage::Deleting { changes: Vec::new(), change, last }
            }
            (Stage::Soa { soa, serial }, None) => {
                let mut builder = ZoneBuilder::new(self.apex.as_name());
                for entry in soa.iter() {
                    builder
                        .add(entry.owner, entry.rtype, entry.ttl, entry.data)
                        .map_err(TransferError::Zone)?;
                }
                builder.add(owner, rtype, ttl, data).map_err(TransferError::Zone)?;
                Stage::Whole { builder, serial }
            }
            (Stage::Whole { mut builder, serial }, None) => {
                builder.add(owner, rtype, ttl, data).map_err(TransferError::Zone)?;
                Stage::Whole { builder, serial }
            }
            (Stage::Whole { builder, serial: first }, Some(serial)) if first == serial => {
                let mut zone = builder.finish().map_err(TransferError::Zone)?;
                if let Some(have) = &self.have {
                    zone.succeed(have, self.bounds.history);
                }
                Stage::Done { outcome: Some(Received::Whole(zone)) }
            }
            (Stage::Deleting { changes, mut change, last }, Some(_)) => {
                change.added.push(owner, rtype, ttl, data);
                Stage::Adding { changes, change, last }
            }
            (Stage::Deleting { changes, mut change, last }, None) => {
                change.deleted.push(owner, rtype, ttl, data);
                Stage::Deleting { changes, change, last }
            }
            (Stage::Adding { changes, mut change, last }, None) => {
                change.added.push(owner, rtype, ttl, data);
                Stage::Adding { changes, change, last }
            }
            (Stage::Adding { mut changes, change, last }, Some(serial)) if change.to() == Some(serial) => {
                changes.push(change);
                if serial == last {
                    let have = self.have.as_ref().ok_or(TransferError::Order)?;
                    let zone = have.apply(changes, self.bounds.history).map_err(TransferError::Zone)?;
                    Stage::Done { outcome: Some(Received::Changed(zone)) }
                } else {
                    let mut change = Change::default();
                    change.deleted.push(owner, rtype, ttl, data);
                    Stage::Deleting { changes, change, last }
                }
            }
            _ => return Err(TransferError::Order),
        };
        Ok(())
    }
}
