//! `$GENERATE start-stop[/step] owner [ttl] [class] type data`, as BIND's reference manual describes it: `$` is the
//! number, `${offset,width,base}` a variation of it, `\$` a dollar sign.
use super::{Entry, Failed};
use alloc::{string::String, vec::Vec};
use nom::{
    IResult, Parser,
    bytes::complete::tag,
    character::complete::{i64, one_of, u16, u64},
    combinator::{all_consuming, map, opt, verify},
    sequence::{preceded, separated_pair},
};

/// The most lines that one directive may make.
const MOST: u64 = 1 << 24;

/// The lines that a directive stands for.
pub(super) struct Lines<'e, 'a, 't> {
    entry: &'e Entry<'a, 't>,
    next: u64,
    stop: u64,
    step: u64,
}

impl<'e, 'a, 't> Lines<'e, 'a, 't> {
    pub(super) fn new(entry: &'e Entry<'a, 't>) -> Result<Self, Failed> {
        let offset = entry.tokens.first().map_or(0, |t| t.offset);
        let range = entry
            .tokens
            .get(1)
            .ok_or_else(|| Failed::here(offset, "the range after $GENERATE is missing"))?;
        if entry.tokens.len() < 5 - 1 {
            return Err(Failed::here(offset, "$GENERATE wants a range, an owner, a type and data"));
        }
        let bad = || Failed::here(range.offset, "not a range such as 1-100 or 0-254/2");
        let (_, (start, stop, step)) = parse_range(range.token.raw).map_err(|_| bad())?;
        if stop < start || step == 0 || (stop - start) / step >= MOST {
            return Err(bad());
        }
        Ok(Self { entry, next: start, stop, step })
    }
}

impl Iterator for Lines<'_, '_, '_> {
    type Item = Result<Vec<u8>, Failed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.stop {
            return None;
        }
        let mut line = Vec::new();
        for word in self.entry.tokens.iter().skip(2) {
            let quote: &[u8] = if word.token.quoted { b"\"" } else { b"" };
            line.extend_from_slice(quote);
            if let Err(reason) = substitute(word.token.raw, self.next, &mut line) {
                self.next = self.stop + 1;
                return Some(Err(Failed::here(word.offset, reason)));
            }
            line.extend_from_slice(quote);
            line.push(b' ');
        }
        line.push(b'\n');
        self.next += self.step;
        Some(Ok(line))
    }
}

fn substitute(word: &[u8], number: u64, line: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = word;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail.first()) {
            (b'\\', Some(b'$')) => {
                line.push(b'$');
                rest = &tail[1..];
            }
            (b'\\', Some(next)) => {
                line.extend_from_slice(&[b'\\', *next]);
                rest = &tail[1..];
            }
            (b'$', Some(b'{')) => {
                let end = tail.iter().position(|b| *b == b'}').ok_or("`${` is never closed")?;
                varied(&tail[1..end], number, line).ok_or("not a modifier such as ${0,3,d}")?;
                rest = &tail[end + 1..];
            }
            (b'$', _) => varied(b"0", number, line).ok_or("the number is out of range")?,
            _ => line.push(byte),
        }
    }
    Ok(())
}

/// `start-stop[/step]`.
fn parse_range(text: &[u8]) -> IResult<&[u8], (u64, u64, u64)> {
    let number = || verify(u64, |n| *n <= 0x7fff_ffff);
    let step = map(opt(preceded(tag("/"), number())), |step| step.unwrap_or(1));
    let (rest, ((start, stop), step)) =
        all_consuming((separated_pair(number(), tag("-"), number()), step)).parse(text)?;
    Ok((rest, (start, stop, step)))
}

/// `offset[,width[,base]]`, base one of d, o, x, X, n, N.
fn parse_modifier(text: &[u8]) -> IResult<&[u8], (i64, usize, u8)> {
    let width =
        map(opt(preceded(tag(","), verify(u16, |w| *w <= 128))), |width| usize::from(width.unwrap_or(0)));
    let base = map(opt(preceded(tag(","), one_of("doxXnN"))), |base| base.unwrap_or('d') as u8);
    all_consuming((i64, width, base)).parse(text)
}

/// Writes the number as the modifier says.
fn varied(modifier: &[u8], number: u64, line: &mut Vec<u8>) -> Option<()> {
    let (_, (offset, width, base)) = parse_modifier(modifier).ok()?;
    let value = u64::try_from(i64::try_from(number).ok()?.checked_add(offset)?).ok()?;
    let text = match base {
        b'd' => alloc::format!("{value:0width$}"),
        b'o' => alloc::format!("{value:0width$o}"),
        b'x' => alloc::format!("{value:0width$x}"),
        b'X' => alloc::format!("{value:0width$X}"),
        _ => nibbles(value, width, base == b'N')?,
    };
    line.extend_from_slice(text.as_bytes());
    Some(())
}

/// Nibbles from the lowest on with dots between, for reverse names; the width counts the dots.
fn nibbles(mut value: u64, width: usize, upper: bool) -> Option<String> {
    let mut text = String::new();
    loop {
        let digit = char::from_digit((value & 15) as u32, 16)?;
        text.push(if upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        if value == 0 && text.len() >= width {
            return Some(text);
        }
        text.push('.');
    }
}
