//! Record data as zone-file text.
use super::{Field, Reader, RecordType, fields, location, radix, service, types};
use core::{
    fmt::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

/// Data of a type in wire form without compression, to be displayed as zone-file text.
///
/// Data that are not what the type says, and types that are not known, come out in the form of RFC 3597:
/// `\# LENGTH HEX`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub RecordType, pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match fields(self.0) {
            Some(fields) if super::check(self.0, self.1).is_ok() => {
                let mut reader = Reader(self.1);
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 && !matches!(field, Field::Bitmap | Field::Service) {
                        f.write_char(' ')?;
                    }
                    print_field(*field, &mut reader, f)?;
                }
                Ok(())
            }
            _ => {
                write!(f, "\\# {}", self.1.len())?;
                if !self.1.is_empty() {
                    f.write_char(' ')?;
                }
                radix::HEX.encode(self.1, f)
            }
        }
    }
}

fn print_field(field: Field, reader: &mut Reader<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let failed = |_| fmt::Error;
    match field {
        Field::Name => write!(f, "{}", reader.name().map_err(failed)?),
        Field::U8 => write!(f, "{}", reader.u8().map_err(failed)?),
        Field::U16 => write!(f, "{}", reader.u16().map_err(failed)?),
        Field::U32 | Field::Seconds => write!(f, "{}", reader.u32().map_err(failed)?),
        Field::Ipv4 => write!(f, "{}", Ipv4Addr::from(reader.u32().map_err(failed)?)),
        Field::Ipv6 => {
            let octets = reader.take(16).map_err(failed)?;
            write!(f, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(octets).map_err(|_| fmt::Error)?))
        }
        Field::Type => write!(f, "{}", RecordType(reader.u16().map_err(failed)?)),
        Field::Moment => moment(reader.u32().map_err(failed)?, f),
        Field::Text => quoted(reader.counted().map_err(failed)?, f),
        Field::Texts => {
            quoted(reader.counted().map_err(failed)?, f)?;
            while !reader.is_empty() {
                f.write_char(' ')?;
                quoted(reader.counted().map_err(failed)?, f)?;
            }
            Ok(())
        }
        Field::RestText => quoted(reader.rest(), f),
        Field::RestHex => radix::HEX.encode(reader.rest(), f),
        Field::RestBase64 => radix::BASE64.encode(reader.rest(), f),
        Field::SaltHex => match reader.counted().map_err(failed)? {
            [] => f.write_char('-'),
            salt => radix::HEX.encode(salt, f),
        },
        Field::HashBase32 => radix::BASE32_HEX.encode(reader.counted().map_err(failed)?, f),
        Field::Bitmap => types(reader.rest()).try_for_each(|rtype| write!(f, " {}", rtype.map_err(failed)?)),
        Field::Service => service::print(reader.rest(), f),
        Field::Location => location::print(reader.take(16).map_err(failed)?, f),
        Field::Eui(count) => {
            for (index, octet) in reader.take(usize::from(count)).map_err(failed)?.iter().enumerate() {
                write!(f, "{}{octet:02x}", if index > 0 { "-" } else { "" })?;
            }
            Ok(())
        }
    }
}

/// A character string in quotes, escaped where RFC 1035 section 5.1 wants it.
pub(super) fn quoted(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    bytes.iter().try_for_each(|&byte| text_byte(byte, out))?;
    out.write_char('"')
}

pub(super) fn text_byte(byte: u8, out: &mut impl fmt::Write) -> fmt::Result {
    match byte {
        b'"' | b'\\' => write!(out, "\\{}", byte as char),
        0x20..=0x7e => out.write_char(byte as char),
        _ => write!(out, "\\{byte:03}"),
    }
}

/// Seconds since 1970 as YYYYMMDDHHMMSS.
fn moment(seconds: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in 400-year eras of 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) =
        if month < 10 { (month + 3, year + era * 400) } else { (month - 9, year + era * 400 + 1) };
    write!(f, "{year:04}{month:02}{day:02}{:02}{:02}{:02}", time / 3600, time / 60 % 60, time % 60)
}
