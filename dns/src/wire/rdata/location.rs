//! LOC, RFC 1876: a place on Earth with its size and precision.
use super::{Reader, Token, Writer};
use crate::Error;
use core::fmt;

/// Version 0, and each size a digit 0..=9 times a power 0..=9 of ten.
pub(super) fn check(data: &[u8]) -> Result<(), Error> {
    let sane = |byte: &u8| byte >> 4 <= 9 && byte & 15 <= 9;
    match data {
        [0, sizes @ ..] if sizes.iter().take(3).all(sane) => Ok(()),
        _ => Err(Error::BadRecord),
    }
}

pub(super) fn print(data: &[u8], out: &mut impl fmt::Write) -> Result<(), fmt::Error> {
    let mut reader = Reader(data);
    let mut field = |count| reader.take(count).map_err(|_| fmt::Error);
    let sizes = field(4)?;
    let mut number = || field(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let (latitude, longitude, altitude) = (number()?, number()?, number()?);
    angle(latitude, ['N', 'S'], out)?;
    angle(longitude, ['E', 'W'], out)?;
    let above = i64::from(altitude) - 10_000_000;
    let sign = if above < 0 { "-" } else { "" };
    write!(out, "{sign}{}.{:02}m", above.abs() / 100, above.abs() % 100)?;
    for size in &sizes[1..] {
        let centimetres = u64::from(size >> 4) * 10_u64.pow(u32::from(size & 15));
        write!(out, " {}.{:02}m", centimetres / 100, centimetres % 100)?;
    }
    Ok(())
}

fn angle(value: u32, signs: [char; 2], out: &mut impl fmt::Write) -> fmt::Result {
    let offset = i64::from(value) - (1 << 31);
    let sign = signs[usize::from(offset < 0)];
    let milli = offset.abs();
    let (seconds, minutes, degrees) = (milli % 60_000, milli / 60_000 % 60, milli / 3_600_000);
    write!(out, "{degrees} {minutes} {}.{:03} {sign} ", seconds / 1000, seconds % 1000)
}

/// Reads `d1 [m1 [s1]] {N|S} d2 [m2 [s2]] {E|W} alt["m"] [siz["m"] [hp["m"] [vp["m"]]]]`.
pub(super) fn parse<'a>(
    tokens: &mut dyn Iterator<Item = Token<'a>>,
    out: &mut Writer<'_>,
) -> Result<(), Error> {
    let latitude = parse_angle(tokens, [b'N', b'S'], 90)?;
    let longitude = parse_angle(tokens, [b'E', b'W'], 180)?;
    let altitude = tokens.next().and_then(|t| centi(t.raw)).ok_or(Error::BadRecord)?;
    let altitude = u32::try_from(altitude + 10_000_000).map_err(|_| Error::BadRecord)?;
    // Defaults of section 3: 1 m, 10 km, 10 m.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        if let Some(token) = tokens.next() {
            *size = centi(token.raw).and_then(magnitude).ok_or(Error::BadRecord)?;
        }
    }
    out.put(&[0])?;
    out.put(&sizes)?;
    for word in [latitude, longitude, altitude] {
        out.put(&word.to_be_bytes())?;
    }
    Ok(())
}

fn parse_angle<'a>(
    tokens: &mut dyn Iterator<Item = Token<'a>>,
    signs: [u8; 2],
    most: i64,
) -> Result<u32, Error> {
    let mut milli = 0_i64;
    for unit in [3_600_000_i64, 60_000, 1000, 0] {
        let token = tokens.next().ok_or(Error::BadRecord)?;
        if let [letter] = token.raw
            && let Some(south_or_west) = signs.iter().position(|s| s.eq_ignore_ascii_case(letter))
        {
            let offset = if south_or_west == 1 { -milli } else { milli };
            return u32::try_from(offset + (1 << 31))
                .ok()
                .filter(|_| milli <= most * 3_600_000)
                .ok_or(Error::BadRecord);
        }
        let value =
            thousandths(token.raw).filter(|v| unit == 1000 || v % 1000 == 0).ok_or(Error::BadRecord)?;
        if unit == 0 || unit < 3_600_000 && value >= 60_000 || value > most * 1000 {
            return Err(Error::BadRecord);
        }
        milli += value * unit / 1000;
    }
    Err(Error::BadRecord)
}

/// A decimal number with up to `places` digits behind the point, as an integer of that many places.
fn decimal(text: &[u8], places: u32) -> Option<i64> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = text.splitn(2, |b| *b == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or(b""));
    if whole.is_empty() || whole.len() > 10 || fraction.len() > places as usize {
        return None;
    }
    let mut value = 0_i64;
    for digit in whole.iter().chain(fraction) {
        value = value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    value *= 10_i64.pow(places - fraction.len() as u32);
    Some(if negative { -value } else { value })
}

fn thousandths(text: &[u8]) -> Option<i64> {
    decimal(text, 3).filter(|v| *v >= 0)
}

fn centi(text: &[u8]) -> Option<i64> {
    decimal(text.strip_suffix(b"m").unwrap_or(text), 2)
}

/// Centimetres as a digit and a power of ten, rounded down.
fn magnitude(centimetres: i64) -> Option<u8> {
    let (mut base, mut exponent) = (u64::try_from(centimetres).ok()?, 0_u8);
    while base > 9 {
        base /= 10;
        exponent += 1;
    }
    (exponent <= 9).then_some((base as u8) << 4 | exponent)
}
