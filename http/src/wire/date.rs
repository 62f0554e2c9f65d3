//! Dates, RFC 9110 section 5.6.7: one format written, three read.
use core::time::Duration;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type HttpDate = [u8; 29];

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
fn days_from_date(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that begin in March put the leap day last; eras of 400 years repeat exactly.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    (era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year).checked_sub(719_468)
}

/// The date of a number of days since 1970-01-01: year, month 1 to 12, day 1 to 31.
fn date_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day)
}

/// The date of a time since 1970-01-01T00:00:00Z as IMF-fixdate; `None` after the year 9999.
pub fn format_date(since_1970: Duration) -> Option<HttpDate> {
    let seconds = since_1970.as_secs();
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    if days > 2_932_896 {
        return None;
    }
    let (year, month, day) = date_from_days(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let two = |n: u64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    date[..3].copy_from_slice(DAYS[(days % 7) as usize]);
    date[5..7].copy_from_slice(&two(day));
    date[8..11].copy_from_slice(MONTHS[(month as usize + 11) % 12]);
    date[12..14].copy_from_slice(&two(year / 100));
    date[14..16].copy_from_slice(&two(year % 100));
    date[17..19].copy_from_slice(&two(time / 3_600));
    date[20..22].copy_from_slice(&two(time / 60 % 60));
    date[23..25].copy_from_slice(&two(time % 60));
    Some(date)
}

/// Reads any of the three formats; `None` if it is none of them or no such day exists.
///
/// `now` decides the century of an RFC 850 date's two-digit year; without it the years 70 to 99 are of the
/// 1900s.
pub fn parse_date(text: &[u8], now: Option<Duration>) -> Option<Duration> {
    let comma = text.iter().position(|&b| b == b',');
    match comma {
        Some(3) => imf_fixdate(text),
        Some(_) => rfc_850(text, now),
        None => asctime(text),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Duration> {
    let text: &HttpDate = text.try_into().ok()?;
    let [
        _,
        _,
        _,
        b',',
        b' ',
        d1,
        d2,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        time @ ..,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = text
    else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    seconds(year, month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc_850(text: &[u8], now: Option<Duration>) -> Option<Duration> {
    let comma = text.iter().position(|&b| b == b',')?;
    let weekday = text.get(..comma)?;
    if !(6..=9).contains(&weekday.len()) || !weekday.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let rest: &[u8; 24] = text.get(comma..)?.try_into().ok()?;
    let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ .., b' ', b'G', b'M', b'T'] = rest
    else {
        return None;
    };
    let short = number(&[*y1, *y2])?;
    let (month, day) = (month(&[*m1, *m2, *m3])?, number(&[*d1, *d2])?);
    //= https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
    //# Recipients of a timestamp value in rfc850-date format, which uses a
    //# two-digit year, MUST interpret a timestamp that appears to be more
    //# than 50 years in the future as representing the most recent year in
    //# the past that had the same last two digits.
    let year = match now {
        Some(now) => {
            let this_year = date_from_days(now.as_secs() / 86_400).0;
            let year = this_year / 100 * 100 + short;
            if year > this_year + 50 { year - 100 } else { year }
        }
        None if short < 70 => 2000 + short,
        None => 1900 + short,
    };
    seconds(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Duration> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let [_, _, _, b' ', m1, m2, m3, b' ', d1, d2, b' ', time @ .., b' ', y1, y2, y3, y4] = text else {
        return None;
    };
    let day = if *d1 == b' ' { number(&[*d2])? } else { number(&[*d1, *d2])? };
    seconds(number(&[*y1, *y2, *y3, *y4])?, month(&[*m1, *m2, *m3])?, day, time)
}

fn number(digits: &[u8]) -> Option<u64> {
    crate::wire::bytes::decimal(digits)
}

fn month(name: &[u8; 3]) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).map(|n| n as u64 + 1)
}

fn seconds(year: u64, month: u64, day: u64, time: &[u8]) -> Option<Duration> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    let days = days_from_date(year, month, day)?;
    // 60 is a leap second; a day that does not exist comes back as another one.
    if hour > 23 || minute > 59 || second > 60 || date_from_days(days) != (year, month, day) {
        return None;
    }
    Some(Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUNDAY: Duration = Duration::from_secs(784_111_777);

    //= https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
    //= type=test
    //# A recipient that parses a timestamp value in an HTTP field MUST accept
    //# all three HTTP-date formats.
    #[test]
    fn the_three_formats() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_date(text.as_bytes(), None), Some(SUNDAY), "{text}");
            assert_eq!(
                parse_date(text.as_bytes(), Some(Duration::from_secs(1_790_000_000))),
                Some(SUNDAY),
                "{text}"
            );
        }
        assert_eq!(&format_date(SUNDAY).unwrap(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&format_date(Duration::ZERO).unwrap(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(
            &format_date(Duration::from_secs(1_709_164_800)).unwrap(),
            b"Thu, 29 Feb 2024 00:00:00 GMT"
        );
    }

    //= https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
    //= type=test
    //# Recipients of a timestamp value in rfc850-date format, which uses a
    //# two-digit year, MUST interpret a timestamp that appears to be more
    //# than 50 years in the future as representing the most recent year in
    //# the past that had the same last two digits.
    #[test]
    fn two_digit_years() {
        let now = parse_date(b"Mon, 23 Nov 2026 00:00:00 GMT", None);
        let year = |short: &str| {
            let text = format!("Sunday, 06-Nov-{short} 08:49:37 GMT");
            date_from_days(parse_date(text.as_bytes(), now).unwrap().as_secs() / 86_400).0
        };
        assert_eq!((year("76"), year("77"), year("26"), year("27")), (2076, 1977, 2026, 2027));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            ",",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun Nov  6 08:49:37 199x",
            "Sun, 29 Feb 2023 00:00:00 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun Nov 06 08:49:37 GMT 1994",
        ] {
            assert_eq!(parse_date(text.as_bytes(), None), None, "{text:?}");
        }
        assert_eq!(
            format_date(Duration::from_secs(253_402_300_799)).unwrap(),
            *b"Fri, 31 Dec 9999 23:59:59 GMT"
        );
        assert_eq!(format_date(Duration::from_secs(253_402_300_800)), None);
        assert_eq!(format_date(Duration::MAX), None);
    }

    proptest! {
        #[test]
        fn every_second_comes_back(seconds in 0u64..253_402_300_800) {
            let time = Duration::from_secs(seconds);
            prop_assert_eq!(parse_date(&format_date(time).unwrap(), None), Some(time));
        }
        #[test]
        fn any_bytes(bytes: Vec<u8>, now: Option<Duration>) {
            let _ = parse_date(&bytes, now);
        }
        #[test]
        fn agrees_with_another_calendar(seconds in 0u64..253_402_300_800) {
            let time = Duration::from_secs(seconds);
            let theirs = httpdate::fmt_http_date(std::time::UNIX_EPOCH + time);
            let ours = format_date(time).unwrap();
            prop_assert_eq!(&ours[..], theirs.as_bytes());
        }
    }
}
