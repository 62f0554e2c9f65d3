//! The chunked transfer coding, RFC 9112 section 7.1: the receiver's half.
use crate::wire::bytes::is_token_byte;

/// The coding was broken: the connection's framing is lost and nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadChunk {
    /// A size that is no hexadecimal number of at most sixteen digits.
    Size,
    /// A line that does not end in CR LF, or data not followed by it.
    LineEnd,
    /// A control character in an extension, or a bad trailer field.
    Syntax,
    /// More extension and trailer octets than the limit.
    TooLong,
}

impl core::fmt::Display for BadChunk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Size => "a chunk size that is no number",
            Self::LineEnd => "a chunk without its CR LF",
            Self::Syntax => "a bad chunk extension or trailer field",
            Self::TooLong => "chunk extensions or trailers that are too long",
        })
    }
}
impl core::error::Error for BadChunk {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In front of the size's first digit.
    SizeStart,
    /// Within the size.
    Size(u64),
    /// White space between the size and `;`, which RFC 9112 section 7.1.1 lets a sender put there.
    Blank(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// What [`ChunkDecoder::decode`] found at the front of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of framing to skip.
    pub skip: usize,
    /// Octets of content behind them. Skip and content are both used up by this call.
    pub data: usize,
}

/// Takes chunks apart wherever the input happens to be split. Trailer fields are checked and then dropped.
#[derive(Clone, Copy, Debug)]
pub struct ChunkDecoder {
    state: State,
    /// Octets of extensions and trailers still allowed.
    allowance: u32,
}

impl ChunkDecoder {
    /// A decoder at the start of a body that accepts `overhead` octets of extensions and trailers in all.
    pub const fn new(overhead: u32) -> Self {
        Self { state: State::SizeStart, allowance: overhead }
    }

    /// Whether the last chunk and the trailer section are through.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Content octets that are certain to come next, with no framing between them.
    pub const fn contiguous(&self) -> u64 {
        match self.state {
            State::Data(n) => n,
            _ => 0,
        }
    }

    /// Counts `n` octets of content that were read by other means, at most [`ChunkDecoder::contiguous`].
    pub(crate) fn received(&mut self, n: u64) {
        if let State::Data(left) = self.state {
            self.state = if n < left { State::Data(left - n) } else { State::DataCr };
        }
    }

    fn spend(&mut self) -> Result<(), BadChunk> {
        self.allowance = self.allowance.checked_sub(1).ok_or(BadChunk::TooLong)?;
        Ok(())
    }

    /// Takes framing and at most one run of content from the front of `input`. When both numbers are
    /// zero either the body [is done](Self::is_done) or more input is needed. `input` must not be read past
    /// `skip + data`: what follows the body belongs to the next message.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BadChunk> {
        self.decode_up_to(input, usize::MAX)
    }

    /// The same, but at most `most` octets of content.
    pub fn decode_up_to(&mut self, input: &[u8], most: usize) -> Result<Decoded, BadChunk> {
        for (at, &byte) in input.iter().enumerate() {
            self.state = match (self.state, byte) {
                (State::Done, _) => return Ok(Decoded { skip: at, data: 0 }),
                (State::Data(left), _) => {
                    let here = input.len() - at;
                    let data = usize::try_from(left).unwrap_or(usize::MAX).min(here).min(most);
                    self.received(data as u64);
                    return Ok(Decoded { skip: at, data });
                }
                (State::SizeStart, _) => State::Size(digit(byte)?),
                //= https://www.rfc-editor.org/rfc/rfc9112#section-7.1
                //# A recipient MUST be able to parse and decode the chunked transfer
                //# coding.
                (State::Size(size), b'\r') => State::SizeEnd(size),
                (State::Size(size) | State::Blank(size), b';') => State::Extension(size),
                (State::Size(size) | State::Blank(size), b' ' | b'\t') => {
                    self.spend()?;
                    State::Blank(size)
                }
                (State::Blank(_), _) => return Err(BadChunk::Size),
                //= https://www.rfc-editor.org/rfc/rfc9112#section-7.1
                //# Recipients MUST anticipate potentially large hexadecimal numerals and
                //# prevent parsing errors due to integer conversion overflows
                (State::Size(size), _) => {
                    // Leading zeros cost, or a size could be endless; other digits end at the sixteenth.
                    if size == 0 {
                        self.spend()?;
                    }
                    if size >> 60 != 0 {
                        return Err(BadChunk::Size);
                    }
                    State::Size(size << 4 | digit(byte)?)
                }
                (State::Extension(size), b'\r') => State::SizeEnd(size),
                (State::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => {
                    self.spend()?;
                    State::Extension(size)
                }
                (State::Extension(_), _) => return Err(BadChunk::Syntax),
                (State::SizeEnd(0), b'\n') => State::TrailerStart,
                (State::SizeEnd(size), b'\n') => State::Data(size),
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataLf, b'\n') => State::SizeStart,
                (State::TrailerStart, b'\r') => State::EndLf,
                (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                    self.spend()?;
                    State::TrailerName
                }
                (State::TrailerName, b':') => State::TrailerValue,
                (State::TrailerStart | State::TrailerName, _) => return Err(BadChunk::Syntax),
                (State::TrailerValue, b'\r') => State::TrailerLf,
                (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                    self.spend()?;
                    State::TrailerValue
                }
                (State::TrailerValue, _) => return Err(BadChunk::Syntax),
                (State::TrailerLf, b'\n') => State::TrailerStart,
                (State::EndLf, b'\n') => State::Done,
                (State::SizeEnd(_) | State::DataCr | State::DataLf | State::TrailerLf | State::EndLf, _) => {
                    return Err(BadChunk::LineEnd);
                }
            };
        }
        Ok(Decoded { skip: input.len(), data: 0 })
    }
}

fn digit(byte: u8) -> Result<u64, BadChunk> {
    (byte as char).to_digit(16).map(u64::from).ok_or(BadChunk::Size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Parts = (Vec<u8>, Vec<u8>);

    #[test]
    fn a_body_may_have_any_number_of_chunks() {
        let mut input = b"1F4\r\n".to_vec();
        input.extend([b'x'; 500]);
        input.extend(b"\r\n");
        let mut input = input.repeat(1000);
        input.extend(b"0\r\n\r\n");
        let (content, _) = decode(&input, 777).unwrap().unwrap();
        assert_eq!(content.len(), 500_000);
        let zeros = [b'0'; 200];
        assert_eq!(decode(&zeros, 7), Err(BadChunk::TooLong));
    }

    /// Decodes `input` in pieces of `step`; the content and what is left behind the body.
    fn decode(input: &[u8], step: usize) -> Result<Option<Parts>, BadChunk> {
        let mut decoder = ChunkDecoder::new(100);
        let mut content = Vec::new();
        let mut at = 0;
        while !decoder.is_done() {
            if at == input.len() {
                return Ok(None);
            }
            let end = input.len().min(at + step);
            let Decoded { skip, data } = decoder.decode(&input[at..end])?;
            content.extend_from_slice(&input[at + skip..at + skip + data]);
            assert!(skip + data > 0);
            at += skip + data;
        }
        Ok(Some((content, input[at..].to_vec())))
    }

    #[test]
    fn bodies() {
        for step in 1..40 {
            for (input, content, rest) in [
                ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
                ("5\r\nhello\r\n6;a=b\r\n world\r\n000\r\n\r\n", "hello world", ""),
                ("A \t;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\nEmpty:\r\n\r\n", "0123456789", ""),
                ("0\r\n\r\n", "", ""),
            ] {
                let expected = Some((content.as_bytes().to_vec(), rest.as_bytes().to_vec()));
                assert_eq!(decode(input.as_bytes(), step), Ok(expected), "{input:?} by {step}");
            }
        }
    }

    #[test]
    fn broken_bodies() {
        for step in [1, 2, 3, 100] {
            for (input, error) in [
                ("\r\n", BadChunk::Size),
                ("x\r\n", BadChunk::Size),
                ("-1\r\n", BadChunk::Size),
                ("+1\r\n", BadChunk::Size),
                ("0x1\r\n", BadChunk::Size),
                (" 1\r\n", BadChunk::Size),
                ("1 1\r\n", BadChunk::Size),
                ("10000000000000000\r\n", BadChunk::Size),
                ("1\n", BadChunk::Size),
                ("1\r\r", BadChunk::LineEnd),
                ("1\r\nab", BadChunk::LineEnd),
                ("1\r\na\n", BadChunk::LineEnd),
                ("1\r\na\rb", BadChunk::LineEnd),
                ("1;a\nb\r\n", BadChunk::Syntax),
                ("1;\0\r\n", BadChunk::Syntax),
                ("0\r\n a: b\r\n\r\n", BadChunk::Syntax),
                ("0\r\na : b\r\n\r\n", BadChunk::Syntax),
                ("0\r\na: b\r\n c\r\n\r\n", BadChunk::Syntax),
                ("0\r\na: b\n\r\n", BadChunk::Syntax),
                ("0\r\n: b\r\n\r\n", BadChunk::Syntax),
                ("0\r\n\rx", BadChunk::LineEnd),
            ] {
                assert_eq!(decode(input.as_bytes(), step), Err(error), "{input:?} by {step}");
            }
            let long = format!("1;{}\r\n", "x".repeat(101));
            assert_eq!(decode(long.as_bytes(), step), Err(BadChunk::TooLong));
            let zeros = format!("{}1\r\n", "0".repeat(200));
            assert_eq!(decode(zeros.as_bytes(), step), Err(BadChunk::TooLong));
            let trailer = format!("0\r\na: {}\r\n\r\n", "x".repeat(101));
            assert_eq!(decode(trailer.as_bytes(), step), Err(BadChunk::TooLong));
        }
    }

    proptest! {
        #[test]
        fn what_was_cut_into_chunks_comes_back(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8), step in 1usize..50) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decode(&wire, step), Ok(Some((chunks.concat(), vec![]))));
        }
        #[test]
        fn any_bytes(bytes: Vec<u8>, step in 1usize..20) {
            let _ = decode(&bytes, step);
        }
        #[test]
        fn almost_chunks(text in "([0-9a-f]{0,3};?\r?\n?[a-c]{0,4}\r?\n?){0,6}", step in 1usize..20) {
            let whole = decode(text.as_bytes(), usize::MAX / 2);
            prop_assert_eq!(decode(text.as_bytes(), step), whole);
        }
    }
}
