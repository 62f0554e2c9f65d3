//! Writing DER (X.690) and PEM (RFC 7468).

/// One element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of elements.
pub fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// An OBJECT IDENTIFIER by its encoded content.
pub fn oid(content: &[u8]) -> Vec<u8> {
    element(0x06, content)
}

/// A positive INTEGER of big-endian digits.
pub fn integer(digits: &[u8]) -> Vec<u8> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count().min(digits.len().saturating_sub(1));
    let digits = digits.get(zeros..).unwrap_or_default();
    let pad: &[u8] = if digits.first().is_some_and(|digit| digit >> 7 == 1) { &[0] } else { &[] };
    element(0x02, &[pad, digits].concat())
}

/// A BIT STRING of whole bytes.
pub fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], content].concat())
}

/// A Time (RFC 5280 section 4.1.2.5): UTCTime up to 2049, then GeneralizedTime.
pub fn time(unix: u64) -> Vec<u8> {
    let (days, rest) = (unix / 86_400, unix % 86_400);
    let (mut year, mut day) = (1970, days);
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for len in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < len {
            break;
        }
        day -= len;
        month += 1;
    }
    let clock = format!("{month:02}{:02}{:02}{:02}{:02}Z", day + 1, rest / 3600, rest / 60 % 60, rest % 60);
    if year < 2050 {
        element(0x17, format!("{:02}{clock}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{clock}").as_bytes())
    }
}

/// A PEM block.
pub fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let number =
            group.iter().chain([&0, &0]).take(3).fold(0, |number, byte| number << 8 | usize::from(*byte));
        for index in 0..4 {
            let digit = DIGITS.get(number >> (18 - 6 * index) & 63).copied().unwrap_or(b'=');
            text.push(if index > group.len() { '=' } else { digit.into() });
        }
    }
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "700101000000Z"),
            (951_782_400, "000229000000Z"),
            (1_700_000_000, "231114221320Z"),
            (1_735_689_599, "241231235959Z"),
            (2_524_607_999, "491231235959Z"),
            (2_524_608_000, "20500101000000Z"),
            (4_107_542_400, "21000301000000Z"),
        ] {
            assert_eq!(time(unix)[2..], *text.as_bytes(), "{unix}");
        }
    }

    #[test]
    fn pem_has_the_right_digits() {
        for (bytes, text) in [(&b"f"[..], "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foobar", "Zm9vYmFy")]
        {
            assert_eq!(pem("X", bytes), format!("-----BEGIN X-----\n{text}\n-----END X-----\n"));
        }
    }

    #[test]
    fn lengths_and_numbers_take_their_shortest_form() {
        assert_eq!(element(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[7; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(integer(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
    }
}
