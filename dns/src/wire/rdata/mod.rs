//! Record data: one table says of which fields each type consists; reading, checking, decompressing, parsing from
//! and printing as zone-file text all walk it.
//!
//! A type that is not in the table is opaque (RFC 3597): its text form is `\# LENGTH HEX`, which every type accepts.
mod location;
mod print;
mod radix;
mod service;
mod text;

use super::{Name, NameBuf, RecordType};
use crate::Error;

pub use print::Text;
pub use text::{Token, parse};
#[cfg(feature = "alloc")]
pub(crate) use text::{name, seconds};

/// One field of record data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A domain name.
    Name,
    U8,
    U16,
    U32,
    /// Seconds, which zone files may write with units.
    Seconds,
    Ipv4,
    Ipv6,
    /// A record type by its mnemonic.
    Type,
    /// A moment, as YYYYMMDDHHMMSS (RFC 4034 section 3.2).
    Moment,
    /// One character string.
    Text,
    /// One or more character strings up to the end.
    Texts,
    /// The rest as one quoted string (URI, CAA).
    RestText,
    /// The rest in hexadecimal.
    RestHex,
    /// The rest in base 64.
    RestBase64,
    /// A length byte and that many bytes in hexadecimal, `-` for none (NSEC3's salt).
    SaltHex,
    /// A length byte and that many bytes in base 32 with the extended alphabet (NSEC3's next owner).
    HashBase32,
    /// A type bitmap (RFC 4034 section 4.1.2).
    Bitmap,
    /// Service parameters (RFC 9460).
    Service,
    /// The whole of LOC (RFC 1876).
    Location,
    /// Six or eight octets with dashes (RFC 7043).
    Eui(u8),
}

/// The fields of a type; `None` for a type that is opaque here.
fn fields(rtype: RecordType) -> Option<&'static [Field]> {
    use Field::*;
    Some(match rtype {
        RecordType::A => &[Ipv4],
        RecordType::AAAA => &[Ipv6],
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => &[Name],
        RecordType::SOA => &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds],
        RecordType::MX | RecordType::AFSDB | RecordType::KX => &[U16, Name],
        RecordType::RP => &[Name, Name],
        RecordType::TXT | RecordType::SPF => &[Texts],
        RecordType::HINFO => &[Text, Text],
        RecordType::LOC => &[Location],
        RecordType::SRV => &[U16, U16, U16, Name],
        RecordType::NAPTR => &[U16, U16, Text, Text, Text, Name],
        RecordType::CERT => &[U16, U16, U8, RestBase64],
        RecordType::DS | RecordType::CDS => &[U16, U8, U8, RestHex],
        RecordType::SSHFP => &[U8, U8, RestHex],
        RecordType::RRSIG => &[Type, U8, U8, U32, Moment, Moment, U16, Name, RestBase64],
        RecordType::NSEC => &[Name, Bitmap],
        RecordType::DNSKEY | RecordType::CDNSKEY => &[U16, U8, U8, RestBase64],
        RecordType::DHCID | RecordType::OPENPGPKEY => &[RestBase64],
        RecordType::NSEC3 => &[U8, U8, U16, SaltHex, HashBase32, Bitmap],
        RecordType::NSEC3PARAM => &[U8, U8, U16, SaltHex],
        RecordType::TLSA | RecordType::SMIMEA => &[U8, U8, U8, RestHex],
        RecordType::CSYNC => &[U32, U16, Bitmap],
        RecordType::ZONEMD => &[U32, U8, U8, RestHex],
        RecordType::SVCB | RecordType::HTTPS => &[U16, Name, Service],
        RecordType::EUI48 => &[Eui(6)],
        RecordType::EUI64 => &[Eui(8)],
        RecordType::URI => &[U16, U16, RestText],
        RecordType::CAA => &[U8, Text, RestText],
        _ => return None,
    })
}

/// Where a type's data hold names that a message may compress: bytes before them and how many there are.
/// Only the types of RFC 1035 (RFC 3597 section 4).
pub const fn compressible_names(rtype: RecordType) -> Option<(usize, usize)> {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => Some((0, 1)),
        RecordType::MX => Some((2, 1)),
        RecordType::SOA => Some((0, 2)),
        _ => None,
    }
}

/// The name in a record's data that additional-section processing looks up (RFC 1035, 2782, 9460): of NS, MX, SRV,
/// SVCB and HTTPS.
pub fn target(rtype: RecordType, data: &[u8]) -> Option<Name<'_>> {
    let skip = match rtype {
        RecordType::NS => 0,
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    Name::parse(data.get(skip..)?).ok()
}

/// A cursor over data in wire form that hands out field after field.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Error::BadRecord)?;
        self.0 = rest;
        Ok(head)
    }
    fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, Error> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }
    fn u32(&mut self) -> Result<u32, Error> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }
    fn counted(&mut self) -> Result<&'a [u8], Error> {
        let count = self.u8()?;
        self.take(usize::from(count))
    }
    fn name(&mut self) -> Result<Name<'a>, Error> {
        let name = Name::parse(self.0).map_err(|_| Error::BadRecord)?;
        self.take(name.len())?;
        Ok(name)
    }
    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A buffer that is written from its start.
struct Writer<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length + bytes.len();
        self.bytes.get_mut(self.length..end).ok_or(Error::NoRoom)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Writes a length byte and then what `content` writes.
    fn counted(&mut self, content: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let at = self.length;
        self.put(&[0])?;
        content(self)?;
        self.bytes[at] = u8::try_from(self.length - at - 1).map_err(|_| Error::BadRecord)?;
        Ok(())
    }
}

/// Writes the bytes that the base 64 `text` stands for to the start of `out` and returns how many they are.
#[cfg(feature = "alloc")]
pub(crate) fn base64(text: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    let mut writer = Writer { bytes: out, length: 0 };
    radix::BASE64.decode(text.iter().copied(), &mut writer)?;
    Ok(writer.length)
}

/// Checks that `data`, in wire form without compression, are what the type says.
///
/// # Errors
/// [`Error::BadRecord`].
pub fn check(rtype: RecordType, data: &[u8]) -> Result<(), Error> {
    let Some(fields) = fields(rtype) else { return Ok(()) };
    let mut reader = Reader(data);
    for field in fields {
        check_field(*field, &mut reader)?;
    }
    if reader.is_empty() { Ok(()) } else { Err(Error::BadRecord) }
}

fn check_field(field: Field, reader: &mut Reader<'_>) -> Result<(), Error> {
    match field {
        Field::Name => reader.name().map(|_| ()),
        Field::U8 => reader.take(1).map(|_| ()),
        Field::U16 | Field::Type => reader.take(2).map(|_| ()),
        Field::U32 | Field::Seconds | Field::Moment | Field::Ipv4 => reader.take(4).map(|_| ()),
        Field::Ipv6 => reader.take(16).map(|_| ()),
        Field::Text | Field::SaltHex => reader.counted().map(|_| ()),
        Field::HashBase32 => {
            reader.counted().and_then(|h| if h.is_empty() { Err(Error::BadRecord) } else { Ok(()) })
        }
        Field::Texts => {
            reader.counted()?;
            while !reader.is_empty() {
                reader.counted()?;
            }
            Ok(())
        }
        Field::RestText | Field::RestHex | Field::RestBase64 => {
            reader.rest();
            Ok(())
        }
        Field::Bitmap => types(reader.rest()).try_for_each(|t| t.map(|_| ())),
        Field::Service => service::check(reader.rest()),
        Field::Location => location::check(reader.take(16)?),
        Field::Eui(count) => reader.take(usize::from(count)).map(|_| ()),
    }
}

/// Whether two records' data, in wire form without compression, say the same: names in any case, all else to the bit.
#[cfg(feature = "alloc")]
pub(crate) fn equal(rtype: RecordType, a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (mut left, mut right) = (Reader(a), Reader(b));
    for field in fields(rtype).unwrap_or(&[]) {
        let (before_left, before_right) = (left, right);
        if check_field(*field, &mut left).is_err() || check_field(*field, &mut right).is_err() {
            return false;
        }
        let a = before_left.0.get(..before_left.0.len() - left.0.len());
        let b = before_right.0.get(..before_right.0.len() - right.0.len());
        let (Some(a), Some(b)) = (a, b) else { return false };
        if if *field == Field::Name { !super::same_letters(a, b) } else { a != b } {
            return false;
        }
    }
    left.0 == right.0
}

/// Copies the data of a record out of a message, names decompressed, to the start of `out`; returns their length.
///
/// # Errors
/// [`Error::BadRecord`] when they are not what the type says, [`Error::NoRoom`] when `out` is too short.
pub fn from_message(
    rtype: RecordType,
    message: &[u8],
    offset: usize,
    length: usize,
    out: &mut [u8],
) -> Result<usize, Error> {
    let data = message.get(offset..offset + length).ok_or(Error::BadRecord)?;
    let mut writer = Writer { bytes: out, length: 0 };
    let mut reader = Reader(data);
    for field in fields(rtype).unwrap_or(&[]) {
        let at = offset + length - reader.0.len();
        if *field == Field::Name {
            //= https://www.rfc-editor.org/rfc/rfc3597#section-4
            //# Receiving servers MUST decompress domain names in RRs of well-known
            //# type, and SHOULD also decompress RRs of type RP, AFSDB, RT, SIG, PX,
            //# NXT, NAPTR, and SRV
            let (name, used) = NameBuf::from_message(message, at).map_err(|_| Error::BadRecord)?;
            reader.take(used)?;
            writer.put(name.as_name().as_bytes())?;
        } else {
            let before = reader;
            check_field(*field, &mut reader)?;
            writer.put(&before.0[..before.0.len() - reader.0.len()])?;
        }
    }
    if fields(rtype).is_none() {
        writer.put(reader.rest())?;
    }
    if reader.is_empty() { Ok(writer.length) } else { Err(Error::BadRecord) }
}

/// The types in a bitmap (RFC 4034 section 4.1.2).
pub fn types(bitmap: &[u8]) -> impl Iterator<Item = Result<RecordType, Error>> {
    let mut rest = Reader(bitmap);
    let mut last_window = None;
    let mut window: (u16, &[u8]) = (0, &[]);
    let mut bit = 0;
    core::iter::from_fn(move || {
        loop {
            while let Some(byte) = window.1.get(bit / 8) {
                bit += 1;
                if byte & (0x80 >> ((bit - 1) % 8)) != 0 {
                    return Some(Ok(RecordType(window.0 << 8 | (bit as u16 - 1))));
                }
            }
            if rest.is_empty() {
                return None;
            }
            let mut next = || {
                let number = rest.u8()?;
                let bits = rest.counted()?;
                let ordered = last_window.is_none_or(|last| last < number);
                if !ordered || bits.is_empty() || bits.len() > 32 || bits.last() == Some(&0) {
                    return Err(Error::BadRecord);
                }
                last_window = Some(number);
                Ok((u16::from(number), bits))
            };
            match next() {
                Ok(found) => window = found,
                Err(error) => {
                    rest = Reader(&[]);
                    window = (0, &[]);
                    return Some(Err(error));
                }
            }
            bit = 0;
        }
    })
}

#[cfg(test)]
mod tests;
