//! Record data from zone-file text.
use super::{Field, RecordType, Writer, check, fields, location, radix, service};
use crate::{
    Error,
    wire::{Name, NameBuf, unescape},
};
use core::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// One word of a zone file, escapes still in it, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The bytes as they stand in the file.
    pub raw: &'a [u8],
    /// It stood in double quotes.
    pub quoted: bool,
}

/// Writes the data that `tokens` describe to the start of `out`, in wire form without compression, and returns
/// their length. Names without a final dot end in `origin`.
///
/// # Errors
/// [`Error::BadRecord`] when the words are not what the type wants, [`Error::BadName`] for a bad name,
/// [`Error::NoRoom`] when `out` is too short.
pub fn parse(
    rtype: RecordType,
    tokens: &[Token<'_>],
    origin: Name<'_>,
    out: &mut [u8],
) -> Result<usize, Error> {
    let mut out = Writer { bytes: out, length: 0 };
    match tokens {
        [Token { raw: b"\\#", quoted: false }, length, rest @ ..] => {
            let length = number::<u16>(*length)?;
            radix::HEX.decode(rest.iter().flat_map(|t| t.raw.iter().copied()), &mut out)?;
            if out.length != usize::from(length) {
                return Err(Error::BadRecord);
            }
        }
        _ => {
            let mut tokens = tokens.iter().copied();
            for field in fields(rtype).ok_or(Error::BadRecord)? {
                parse_field(*field, &mut tokens, origin, &mut out)?;
            }
            if tokens.next().is_some() {
                return Err(Error::BadRecord);
            }
        }
    }
    check(rtype, &out.bytes[..out.length])?;
    Ok(out.length)
}

/// A number from a word.
pub(super) fn number<T: FromStr>(token: Token<'_>) -> Result<T, Error> {
    if token.raw.iter().all(u8::is_ascii_digit) { from_str(token.raw) } else { Err(Error::BadRecord) }
}

pub(super) fn from_str<T: FromStr>(raw: &[u8]) -> Result<T, Error> {
    core::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).ok_or(Error::BadRecord)
}

/// The bytes of a word with its escapes undone.
pub(super) fn unescaped(raw: &[u8]) -> impl Iterator<Item = Result<u8, Error>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let byte = *raw.get(at)?;
        at += 1;
        if byte != b'\\' {
            return Some(Ok(byte));
        }
        Some(match unescape(raw.get(at..).unwrap_or(&[])) {
            Some((byte, used)) => {
                at += used;
                Ok(byte)
            }
            None => {
                at = raw.len();
                Err(Error::BadRecord)
            }
        })
    })
}

fn parse_field<'a>(
    field: Field,
    tokens: &mut dyn Iterator<Item = Token<'a>>,
    origin: Name<'_>,
    out: &mut Writer<'_>,
) -> Result<(), Error> {
    let rest = |tokens: &mut dyn Iterator<Item = Token<'a>>, radix: &radix::Radix, out: &mut Writer<'_>| {
        radix.decode(tokens.flat_map(|t| t.raw.iter().copied()), out)
    };
    match field {
        Field::RestHex => return rest(tokens, &radix::HEX, out),
        Field::RestBase64 => return rest(tokens, &radix::BASE64, out),
        Field::Service => return service::parse(tokens, out),
        Field::Location => return location::parse(tokens, out),
        Field::Bitmap => return bitmap(tokens, out),
        _ => {}
    }
    let token = tokens.next().ok_or(Error::BadRecord)?;
    match field {
        Field::Name => {
            let name = name(token.raw, origin)?;
            out.put(name.as_name().as_bytes())
        }
        Field::U8 => out.put(&[number(token)?]),
        Field::U16 => out.put(&number::<u16>(token)?.to_be_bytes()),
        Field::U32 => out.put(&number::<u32>(token)?.to_be_bytes()),
        Field::Seconds => out.put(&seconds(token.raw).ok_or(Error::BadRecord)?.to_be_bytes()),
        Field::Ipv4 => out.put(&from_str::<Ipv4Addr>(token.raw)?.octets()),
        Field::Ipv6 => out.put(&from_str::<Ipv6Addr>(token.raw)?.octets()),
        Field::Type => out.put(&RecordType::from_text(token.raw).ok_or(Error::BadRecord)?.0.to_be_bytes()),
        Field::Moment => out.put(&moment(token)?.to_be_bytes()),
        Field::Text => character_string(token, out),
        Field::Texts => {
            character_string(token, out)?;
            for token in tokens {
                character_string(token, out)?;
            }
            Ok(())
        }
        Field::RestText => unescaped(token.raw).try_for_each(|byte| out.put(&[byte?])),
        Field::SaltHex if token.raw == b"-" => out.put(&[0]),
        Field::SaltHex => out.counted(|out| radix::HEX.decode(token.raw.iter().copied(), out)),
        Field::HashBase32 => out.counted(|out| radix::BASE32_HEX.decode(token.raw.iter().copied(), out)),
        Field::Eui(count) => {
            let mut octets = token.raw.split(|b| *b == b'-');
            for _ in 0..count {
                let pair = octets.next().filter(|p| p.len() == 2).ok_or(Error::BadRecord)?;
                radix::HEX.decode(pair.iter().copied(), out)?;
            }
            if octets.next().is_some() { Err(Error::BadRecord) } else { Ok(()) }
        }
        Field::RestHex | Field::RestBase64 | Field::Service | Field::Location | Field::Bitmap => {
            Err(Error::BadRecord)
        }
    }
}

fn character_string(token: Token<'_>, out: &mut Writer<'_>) -> Result<(), Error> {
    out.counted(|out| unescaped(token.raw).try_for_each(|byte| out.put(&[byte?])))
}

/// A name in text: `@` is the origin, and one without a final dot ends in it.
pub(crate) fn name(raw: &[u8], origin: Name<'_>) -> Result<NameBuf, Error> {
    if raw == b"@" {
        return Ok(NameBuf::from_name(origin));
    }
    let (name, absolute) = NameBuf::from_text_relative(raw)?;
    if absolute { Ok(name) } else { NameBuf::join(name.as_name(), origin) }
}

/// Seconds, bare or with BIND's units: `1h30m`, `2w`.
pub(crate) fn seconds(raw: &[u8]) -> Option<u32> {
    if !raw.first()?.is_ascii_digit() {
        return None;
    }
    let (mut total, mut value, mut digits) = (0_u64, 0_u64, false);
    for byte in raw {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
                digits = true;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if !digits {
            return None;
        }
        total = total.checked_add(value.checked_mul(unit)?)?;
        (value, digits) = (0, false);
    }
    u32::try_from(total.checked_add(value)?).ok()
}

/// YYYYMMDDHHMMSS or plain seconds since 1970, modulo 2^32 (RFC 4034 section 3.2).
fn moment(token: Token<'_>) -> Result<u32, Error> {
    let digits = token.raw;
    if digits.len() != 14 {
        return number(token);
    }
    let part = |from: usize, to: usize| number::<u64>(Token { raw: &digits[from..to], quoted: false });
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return Err(Error::BadRecord);
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Ok((days * 86_400 + hour * 3_600 + minute * 60 + second) as u32)
}

fn bitmap<'a>(tokens: &mut dyn Iterator<Item = Token<'a>>, out: &mut Writer<'_>) -> Result<(), Error> {
    // Types may stand in any order; a window of 256 types takes 32 bytes, and there are few windows in use.
    let mut windows = [(0_u8, [0_u8; 32]); 8];
    let mut count = 0;
    for token in tokens {
        let rtype = RecordType::from_text(token.raw).ok_or(Error::BadRecord)?;
        let [number, low] = rtype.0.to_be_bytes();
        let index = match windows[..count].iter().position(|(n, _)| *n == number) {
            Some(index) => index,
            None => {
                windows.get_mut(count).ok_or(Error::BadRecord)?.0 = number;
                count += 1;
                count - 1
            }
        };
        windows[index].1[usize::from(low / 8)] |= 0x80 >> (low % 8);
    }
    windows[..count].sort_unstable_by_key(|(number, _)| *number);
    for (number, bits) in &windows[..count] {
        let used = 32 - bits.iter().rev().take_while(|b| **b == 0).count();
        out.put(&[*number, used as u8])?;
        out.put(&bits[..used])?;
    }
    Ok(())
}
