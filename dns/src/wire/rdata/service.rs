//! The parameters of SVCB and HTTPS records, RFC 9460.
use super::{Reader, Token, Writer, radix, text};
use crate::Error;
use core::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

const KEYS: [(&[u8], u16); 8] = [
    (b"mandatory", 0),
    (b"alpn", 1),
    (b"no-default-alpn", 2),
    (b"port", 3),
    (b"ipv4hint", 4),
    (b"ech", 5),
    (b"ipv6hint", 6),
    (b"dohpath", 7),
];

fn key_number(name: &[u8]) -> Option<u16> {
    if let Some((_, number)) = KEYS.iter().find(|(key, _)| *key == name) {
        return Some(*number);
    }
    let digits = name.strip_prefix(b"key")?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn write_key(key: u16, out: &mut impl fmt::Write) -> fmt::Result {
    match KEYS.iter().find(|(_, number)| *number == key) {
        Some((name, _)) => name.iter().try_for_each(|&b| out.write_char(b as char)),
        None => write!(out, "key{key}"),
    }
}

/// Walks the parameters in wire form: keys strictly ascending.
fn each(data: &[u8], mut f: impl FnMut(u16, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut reader = Reader(data);
    let mut last = None;
    while !reader.is_empty() {
        let key = reader.u16()?;
        let length = reader.u16()?;
        let value = reader.take(usize::from(length))?;
        if last.is_some_and(|last| last >= key) {
            return Err(Error::BadRecord);
        }
        last = Some(key);
        f(key, value)?;
    }
    Ok(())
}

pub(super) fn check(data: &[u8]) -> Result<(), Error> {
    each(data, |key, value| {
        let sane = match key {
            0 => !value.is_empty() && value.len() % 2 == 0 && value.chunks(2).is_sorted_by(|a, b| a < b),
            1 => {
                let mut ids = Reader(value);
                while !ids.is_empty() {
                    if ids.counted()?.is_empty() {
                        return Err(Error::BadRecord);
                    }
                }
                !value.is_empty()
            }
            2 => value.is_empty(),
            3 => value.len() == 2,
            4 => !value.is_empty() && value.len() % 4 == 0,
            6 => !value.is_empty() && value.len() % 16 == 0,
            _ => true,
        };
        if sane { Ok(()) } else { Err(Error::BadRecord) }
    })
}

pub(super) fn print(data: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    each(data, |key, value| {
        let mut write = || -> fmt::Result {
            out.write_char(' ')?;
            write_key(key, out)?;
            if key == 2 || value.is_empty() {
                return Ok(());
            }
            out.write_char('=')?;
            match key {
                0 => list(value.chunks_exact(2), out, |k, out| {
                    write_key(u16::from_be_bytes([k[0], k[1]]), out)
                }),
                1 => {
                    // A list of strings inside a string: commas and backslashes are escaped twice (appendix A.1).
                    let mut ids = Reader(value);
                    let mut first = true;
                    out.write_char('"')?;
                    while let Ok(id) = ids.counted() {
                        if !first {
                            out.write_char(',')?;
                        }
                        first = false;
                        for &byte in id {
                            match byte {
                                b',' => out.write_str(r"\\,")?,
                                b'\\' => out.write_str(r"\\\\")?,
                                _ => super::print::text_byte(byte, out)?,
                            }
                        }
                    }
                    out.write_char('"')
                }
                3 if value.len() == 2 => write!(out, "{}", u16::from_be_bytes([value[0], value[1]])),
                4 => list(value.chunks_exact(4), out, |a, out| {
                    write!(out, "{}", Ipv4Addr::new(a[0], a[1], a[2], a[3]))
                }),
                5 => radix::BASE64.encode(value, out),
                6 => list(value.chunks_exact(16), out, |a, out| {
                    write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(a).unwrap_or_default()))
                }),
                _ => super::print::quoted(value, out),
            }
        };
        write().map_err(|_| Error::NoRoom)
    })
    .map_err(|_| fmt::Error)
}

fn list<'a, W: fmt::Write>(
    items: impl Iterator<Item = &'a [u8]>,
    out: &mut W,
    mut print: impl FnMut(&'a [u8], &mut W) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.write_char(',')?;
        }
        print(item, out)?;
    }
    Ok(())
}

/// The most parameters a record may have in text form; more are refused.
const MOST: usize = 32;

/// Reads `key=value` words and writes them in the order of their keys.
pub(super) fn parse<'a>(
    tokens: &mut dyn Iterator<Item = Token<'a>>,
    out: &mut Writer<'_>,
) -> Result<(), Error> {
    let mut words = [(0_u16, Token { raw: b"", quoted: false }); MOST];
    let mut count = 0;
    for token in tokens {
        let split = token.raw.iter().position(|b| *b == b'=');
        let (name, value) = match split {
            Some(at) => (&token.raw[..at], &token.raw[at + 1..]),
            None => (token.raw, &b""[..]),
        };
        let value = value.strip_prefix(b"\"").map_or(value, |rest| rest.strip_suffix(b"\"").unwrap_or(rest));
        let key = key_number(name).ok_or(Error::BadRecord)?;
        *words.get_mut(count).ok_or(Error::BadRecord)? = (key, Token { raw: value, quoted: true });
        count += 1;
    }
    let words = &mut words[..count];
    words.sort_unstable_by_key(|(key, _)| *key);
    if !words.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Error::BadRecord);
    }
    let start = out.length;
    for (key, token) in words.iter() {
        out.put(&key.to_be_bytes())?;
        let at = out.length;
        out.put(&[0, 0])?;
        parse_value(*key, *token, out)?;
        let length = u16::try_from(out.length - at - 2).map_err(|_| Error::BadRecord)?;
        out.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    check(&out.bytes[start..out.length])
}

fn parse_value(key: u16, token: Token<'_>, out: &mut Writer<'_>) -> Result<(), Error> {
    let commas = || token.raw.split(|b| *b == b',');
    let parsed = |item: &[u8]| core::str::from_utf8(item).map_err(|_| Error::BadRecord).map(|s| s.len());
    match key {
        0 => {
            let mut keys = [0_u16; MOST];
            let mut count = 0;
            for name in commas() {
                *keys.get_mut(count).ok_or(Error::BadRecord)? = key_number(name).ok_or(Error::BadRecord)?;
                count += 1;
            }
            keys[..count].sort_unstable();
            keys[..count].iter().try_for_each(|k| out.put(&k.to_be_bytes()))
        }
        1 => {
            // Undo the escapes of the word first, then split at commas that the list did not escape.
            let mut item = [0_u8; 255];
            let mut length = 0;
            let mut escaped = false;
            for byte in text::unescaped(token.raw) {
                let byte = byte?;
                match byte {
                    b'\\' if !escaped => escaped = true,
                    b',' if !escaped => {
                        out.counted(|out| out.put(&item[..length]))?;
                        length = 0;
                    }
                    _ => {
                        *item.get_mut(length).ok_or(Error::BadRecord)? = byte;
                        length += 1;
                        escaped = false;
                    }
                }
            }
            out.counted(|out| out.put(&item[..length]))
        }
        2 if token.raw.is_empty() => Ok(()),
        2 => Err(Error::BadRecord),
        3 => out.put(&text::number::<u16>(token)?.to_be_bytes()),
        4 => commas().try_for_each(|item| {
            parsed(item)?;
            out.put(&text::from_str::<Ipv4Addr>(item)?.octets())
        }),
        5 => radix::BASE64.decode(token.raw.iter().copied(), out),
        6 => commas().try_for_each(|item| out.put(&text::from_str::<Ipv6Addr>(item)?.octets())),
        _ => text::unescaped(token.raw).try_for_each(|byte| out.put(&[byte?])),
    }
}
