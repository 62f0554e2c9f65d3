//! NOTIFY as it comes in: RFC 1996 section 3.
use super::{Origin, Written, header_only, tsig::Signer};
use crate::{
    wire::{Builder, Class, Flags, Message, Name, Rcode, RecordType, Section, rdata},
    zone::soa_numbers,
};
use core::{fmt::Debug, net::IpAddr};

/// Somebody says that a zone has changed.
#[derive(Clone, Copy, Debug)]
pub struct Notification<'n> {
    /// The zone's name.
    pub zone: Name<'n>,
    /// Who says it, an IPv4 address as such.
    pub peer: Option<IpAddr>,
    /// The name of the key that signs it, in lower case, if the signature is right.
    pub signed_by: Option<Name<'n>>,
    /// The serial that the message hints at; nothing that counts (section 3.7).
    pub serial: Option<u32>,
}

/// Who hears of changed zones.
pub trait Notified: Debug {
    /// The code of the reply.
    fn notified(&self, notification: &Notification<'_>) -> Rcode;
}

/// Writes the reply to a NOTIFY.
pub(super) fn answer(
    message: &Message<'_>,
    origin: &Origin<'_>,
    signer: Option<&Signer>,
    notified: &dyn Notified,
    reply: &mut [u8],
) -> Option<Written> {
    let flags = Flags(message.flags().0 & 0x7800 | Flags::QR | Flags::AA);
    let question = message.question().ok().map(|(question, _)| question);
    let question = question.filter(|question| {
        message.question_count() == 1 && question.rtype == RecordType::SOA && question.class == Class::IN
    });
    let Some(question) = question else { return header_only(reply, message.id(), flags, Rcode::FORMERR) };
    let mut serial = None;
    for record in message.records() {
        let Ok(record) = record else { return header_only(reply, message.id(), flags, Rcode::FORMERR) };
        if record.section == Section::Answer
            && record.rtype == RecordType::SOA
            && record.name == question.name
        {
            let mut data = [0; 600];
            let (at, length) = (record.rdata_offset, record.rdata.len());
            let data = rdata::from_message(record.rtype, message.as_bytes(), at, length, &mut data)
                .ok()
                .and_then(|length| data.get(..length));
            serial = data.and_then(soa_numbers).map(|(serial, _)| serial);
        }
    }
    let rcode = notified.notified(&Notification {
        zone: question.name.as_name(),
        peer: origin.peer.map(|peer| peer.to_canonical()),
        signed_by: signer.map(Signer::key_name),
        serial,
    });
    let mut builder = Builder::new(reply, message.id(), Flags(flags.0 | rcode.0)).ok()?;
    builder.question(question.name.as_name(), question.rtype, question.class).ok()?;
    Some(Written { length: builder.finish(), options: None, cookie: None, padding: false })
}
