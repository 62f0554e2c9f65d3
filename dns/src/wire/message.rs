//! Messages as they lie in a packet: RFC 1035 section 4, views that cannot panic.
use super::{Class, NameBuf, RecordType};
use crate::Error;
use core::fmt;

/// Bytes of a message header.
pub const HEADER: usize = 12;

/// The kind of request (RFC 1035 section 4.1.1, RFC 1996, RFC 2136).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A question.
    pub const QUERY: Self = Self(0);
    /// A zone has changed (RFC 1996).
    pub const NOTIFY: Self = Self(4);
    /// Change a zone (RFC 2136).
    pub const UPDATE: Self = Self(5);
}

/// The outcome of a request: the header's four bits, or with EDNS(0) twelve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rcode(pub u16);

macro_rules! rcodes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl Rcode { $(#[doc = $doc] pub const $name: Self = Self($code);)* }
        impl fmt::Debug for Rcode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 { $($code => f.write_str(stringify!($name)),)* other => write!(f, "RCODE{other}") }
            }
        }
    };
}
rcodes! {
    NOERROR = 0, "No error.";
    FORMERR = 1, "The request could not be read.";
    SERVFAIL = 2, "The server failed.";
    NXDOMAIN = 3, "The name does not exist.";
    NOTIMP = 4, "The server does not do this kind of request.";
    REFUSED = 5, "The server will not do it.";
    YXDOMAIN = 6, "A name exists that should not (RFC 2136); a DNAME's target is too long (RFC 6672).";
    YXRRSET = 7, "A record set exists that should not (RFC 2136).";
    NXRRSET = 8, "A record set that should exist does not (RFC 2136).";
    NOTAUTH = 9, "The server is not authoritative for the zone, or the request is not authorised (RFC 2136, RFC 8945).";
    NOTZONE = 10, "A name is outside the zone (RFC 2136).";
    BADVERS = 16, "The EDNS version is not known (RFC 6891).";
    BADCOOKIE = 23, "The server cookie is wrong or missing (RFC 7873).";
}

/// A section of a message that holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Answers (prerequisites in an UPDATE).
    Answer,
    /// Authority (changes in an UPDATE).
    Authority,
    /// Additional.
    Additional,
}

/// A message of at least a header. Accessors cannot fail; iterators end with an error where the bytes do.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// A view of `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there is no whole header.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() < HEADER { Err(Error::Truncated) } else { Ok(Self { bytes }) }
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// The whole message.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// The id by which a reply finds its question.
    pub fn id(&self) -> u16 {
        self.u16_at(0)
    }
    /// The sixteen bits of flags, opcode and rcode.
    pub fn flags(&self) -> Flags {
        Flags(self.u16_at(2))
    }
    /// Number of questions.
    pub fn question_count(&self) -> u16 {
        self.u16_at(4)
    }
    /// Number of records that `section` is said to have.
    pub fn record_count(&self, section: Section) -> u16 {
        self.u16_at(6 + 2 * section as usize)
    }

    /// The first question, and the offset behind it.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::BadName`].
    pub fn question(&self) -> Result<(Question, usize), Error> {
        self.question_at(HEADER)
    }

    fn question_at(&self, offset: usize) -> Result<(Question, usize), Error> {
        let (name, used) = NameBuf::from_message(self.bytes, offset)?;
        let at = offset + used;
        let rest = self.bytes.get(at..at + 4).ok_or(Error::Truncated)?;
        let question = Question {
            name,
            rtype: RecordType(u16::from_be_bytes([rest[0], rest[1]])),
            class: Class(u16::from_be_bytes([rest[2], rest[3]])),
        };
        Ok((question, at + 4))
    }

    /// Every record of the message with its section, in order.
    pub fn records(&self) -> Records<'a> {
        let mut at = HEADER;
        let mut failed = None;
        for _ in 0..self.question_count() {
            match self.question_at(at) {
                Ok((_, next)) => at = next,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let left = [Section::Answer, Section::Authority, Section::Additional].map(|s| self.record_count(s));
        Records { message: *self, at, left, failed }
    }
}

/// The flags word of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// This is a response.
    pub const QR: u16 = 0x8000;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// The answer did not fit.
    pub const TC: u16 = 0x0200;
    /// Recursion is desired.
    pub const RD: u16 = 0x0100;
    /// Recursion is available.
    pub const RA: u16 = 0x0080;
    /// The data were validated (RFC 4035).
    pub const AD: u16 = 0x0020;
    /// Do not validate (RFC 4035).
    pub const CD: u16 = 0x0010;

    /// Whether every bit of `mask` is set.
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }
    /// The opcode.
    pub const fn opcode(self) -> Opcode {
        Opcode((self.0 >> 11) as u8 & 15)
    }
    /// The four header bits of the rcode.
    pub const fn rcode(self) -> Rcode {
        Rcode(self.0 & 15)
    }
}

/// What a message asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: NameBuf,
    /// The record type, or a query type.
    pub rtype: RecordType,
    /// The class.
    pub class: Class,
}

/// One record of a message, its data still in place.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Which section it stands in.
    pub section: Section,
    /// The owner.
    pub name: NameBuf,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: Class,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Where the record begins in the message.
    pub offset: usize,
    /// Where its data begin in the message: names in them may point back.
    pub rdata_offset: usize,
    /// The data, as they stand in the message.
    pub rdata: &'a [u8],
}

/// Iterator over the records of a message; after an error it ends.
#[derive(Clone)]
pub struct Records<'a> {
    message: Message<'a>,
    at: usize,
    left: [u16; 3],
    failed: Option<Error>,
}

impl<'a> Records<'a> {
    /// The offset behind the last record that was returned.
    pub const fn offset(&self) -> usize {
        self.at
    }

    fn read(&mut self, section: Section) -> Result<Record<'a>, Error> {
        let bytes = self.message.bytes;
        let (name, used) = NameBuf::from_message(bytes, self.at)?;
        let at = self.at + used;
        let head = bytes.get(at..at + 10).ok_or(Error::Truncated)?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let record = Record {
            section,
            name,
            rtype: RecordType(u16::from_be_bytes([head[0], head[1]])),
            class: Class(u16::from_be_bytes([head[2], head[3]])),
            ttl: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            offset: self.at,
            rdata_offset: at + 10,
            rdata: bytes.get(at + 10..at + 10 + length).ok_or(Error::Truncated)?,
        };
        self.at = at + 10 + length;
        Ok(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.left = [0; 3];
            return Some(Err(error));
        }
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        let index = self.left.iter().position(|&count| count > 0)?;
        self.left[index] -= 1;
        let record = self.read(sections[index]);
        if record.is_err() {
            self.left = [0; 3];
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_query_reads() {
        let bytes =
            b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x02de\0\0\x1c\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        let message = Message::new(bytes).unwrap();
        assert_eq!((message.id(), message.flags().opcode()), (0x1234, Opcode::QUERY));
        let (question, end) = message.question().unwrap();
        assert_eq!((question.rtype, question.class, end), (RecordType::AAAA, Class::IN, 22));
        let records: std::vec::Vec<_> = message.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 1);
        assert_eq!(
            (records[0].rtype, records[0].section, records[0].class.0),
            (RecordType::OPT, Section::Additional, 1232)
        );
    }

    #[test]
    fn counts_that_lie_end_in_one_error() {
        let mut bytes = *b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x01\0\x01";
        assert_eq!(Message::new(&bytes).unwrap().records().count(), 1);
        bytes[4..6].copy_from_slice(&[0, 1]);
        assert_eq!(Message::new(&bytes).unwrap().records().count(), 1);
        assert!(Message::new(&bytes).unwrap().records().all(|r| r.is_err()));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: std::vec::Vec<u8>) {
            if let Ok(message) = Message::new(&bytes) {
                let _ = message.question();
                prop_assert!(message.records().count() <= bytes.len() / 11 + 1);
            }
        }
    }
}
