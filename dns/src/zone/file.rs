//! Master files: RFC 1035 section 5, `$TTL` (RFC 2308), `$GENERATE` and time units as BIND has them, RFC 3597.
mod generate;
mod lexer;

use super::{Zone, ZoneBuilder, ZoneError};
use crate::{
    Error,
    wire::{Class, Name, NameBuf, RecordType, rdata},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;
use lexer::{Entry, Lexer};

/// Deepest nesting of `$INCLUDE`.
const DEEPEST_INCLUDE: usize = 16;

/// Where in the text something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// What is wrong with a master file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Where.
    pub place: Place,
    /// What, in words.
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column } = &self.place;
        write!(f, "{file}:{line}:{column}: {}", self.reason)
    }
}
impl core::error::Error for FileError {}

/// What a loader's caller answers to `$INCLUDE`: the file's bytes, or why there are none.
pub type Included = Result<Vec<u8>, String>;

/// Reads the zone `apex` out of the master file `text`, called `file` in errors.
///
/// `include` gets the name in each `$INCLUDE` line.
///
/// # Errors
/// The first thing that is wrong. What concerns the zone as a whole is said of the file's end.
///
/// ```
/// use airglow_dns::zone::load;
/// let text = b"$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n";
/// let apex = "example.com".parse().unwrap();
/// let zone = load("example.zone", text, &apex, |_| Err("no includes here".into())).unwrap();
/// assert_eq!(zone.records(), 3);
///
/// let error = load("bad.zone", b"$TTL 1h\n@ A 192.0.2\n", &apex, |_| Err(String::new())).err().unwrap();
/// assert_eq!(error.to_string(), "bad.zone:2:5: A data: the record data are not what their type says");
/// ```
pub fn load(
    file: &str,
    text: &[u8],
    apex: &NameBuf,
    mut include: impl FnMut(&str) -> Included,
) -> Result<Zone, FileError> {
    let mut loader = Loader {
        builder: ZoneBuilder::new(apex.as_name()),
        default_ttl: None,
        last_ttl: None,
        include: &mut include,
        data: alloc::vec![0; 65_535],
    };
    let end = loader.file(file, text, *apex, None, 0)?;
    let Loader { builder, .. } = loader;
    builder.finish().map_err(|error| FileError { place: end, reason: error.to_string() })
}

struct Loader<'a> {
    builder: ZoneBuilder,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    include: &'a mut dyn FnMut(&str) -> Included,
    data: Vec<u8>,
}

/// What stays from one entry of a file to the next.
struct State {
    origin: NameBuf,
    owner: Option<NameBuf>,
}

impl Loader<'_> {
    fn file(
        &mut self,
        file: &str,
        text: &[u8],
        origin: NameBuf,
        owner: Option<NameBuf>,
        depth: usize,
    ) -> Result<Place, FileError> {
        let mut lexer = Lexer::new(text);
        let mut state = State { origin, owner };
        let mut tokens = Vec::new();
        let at = |offset: usize| lexer::place(file, text, offset);
        loop {
            let entry = lexer
                .next_entry(&mut tokens)
                .map_err(|(offset, reason)| FileError { place: at(offset), reason: reason.into() })?;
            let Some(entry) = entry else { return Ok(at(text.len())) };
            self.entry(file, &entry, &mut state, depth).map_err(|failed| match failed {
                Failed::Here(offset, reason) => FileError { place: at(offset), reason },
                Failed::Elsewhere(error) => error,
            })?;
        }
    }

    fn entry(
        &mut self,
        file: &str,
        entry: &Entry<'_, '_>,
        state: &mut State,
        depth: usize,
    ) -> Result<(), Failed> {
        let Some(first) = entry.tokens.first() else { return Ok(()) };
        if first.token.quoted || !first.token.raw.starts_with(b"$") || entry.owner_omitted {
            return self.record(entry, state);
        }
        let offset = first.offset;
        let argument = |index: usize, what: &str| {
            entry.tokens.get(index).ok_or_else(|| Failed::here(offset, format_args!("{what} is missing")))
        };
        if first.token.raw.eq_ignore_ascii_case(b"$ORIGIN") {
            let name = argument(1, "the name after $ORIGIN")?;
            state.origin = named(name, state.origin.as_name())?;
        } else if first.token.raw.eq_ignore_ascii_case(b"$TTL") {
            let ttl = argument(1, "the time after $TTL")?;
            let seconds = rdata::seconds(ttl.token.raw);
            self.default_ttl = Some(seconds.ok_or_else(|| Failed::here(ttl.offset, "not a time to live"))?);
        } else if first.token.raw.eq_ignore_ascii_case(b"$INCLUDE") {
            let name = argument(1, "the file after $INCLUDE")?;
            if depth == DEEPEST_INCLUDE {
                return Err(Failed::here(offset, "files include one another too deeply"));
            }
            let path = core::str::from_utf8(name.token.raw)
                .map_err(|_| Failed::here(name.offset, "not a file name"))?;
            let origin = match entry.tokens.get(2) {
                Some(origin) => named(origin, state.origin.as_name())?,
                None => state.origin,
            };
            let text = (self.include)(path)
                .map_err(|why| Failed::here(name.offset, format_args!("{path}: {why}")))?;
            // Origin and owner come back as they were after the included file (RFC 1035 section 5.1).
            self.file(path, &text, origin, state.owner, depth + 1).map_err(Failed::Elsewhere)?;
        } else if first.token.raw.eq_ignore_ascii_case(b"$GENERATE") {
            let lines = generate::Lines::new(entry)?;
            for text in lines {
                let text = text?;
                self.file(file, &text, state.origin, state.owner, depth.max(1)).map_err(|error| {
                    Failed::here(
                        offset,
                        format_args!(
                            "in the generated line `{}`: {}",
                            String::from_utf8_lossy(&text).trim_end(),
                            error.reason
                        ),
                    )
                })?;
            }
        } else {
            let word = String::from_utf8_lossy(first.token.raw);
            return Err(Failed::here(offset, format_args!("unknown directive {word}")));
        }
        Ok(())
    }

    fn record(&mut self, entry: &Entry<'_, '_>, state: &mut State) -> Result<(), Failed> {
        let mut words = entry.tokens.iter();
        let start = entry.tokens.first().map_or(0, |t| t.offset);
        if !entry.owner_omitted
            && let Some(owner) = words.next()
        {
            state.owner = Some(named(owner, state.origin.as_name())?);
        }
        let owner = state
            .owner
            .ok_or_else(|| Failed::here(start, "a record without an owner, and none before it"))?;
        // [TTL] [class] type, or [class] [TTL] type.
        let (mut ttl, mut class) = (None, None);
        let rtype = loop {
            let word = words.next().ok_or_else(|| Failed::here(start, "a record without a type"))?;
            let raw = word.token.raw;
            if word.token.quoted {
                return Err(Failed::here(word.offset, "a record type cannot stand in quotes"));
            }
            if ttl.is_none() && rdata::seconds(raw).is_some() {
                ttl = rdata::seconds(raw);
            } else if class.is_none() && Class::from_text(raw).is_some() {
                class = Class::from_text(raw);
            } else {
                let unknown = || {
                    Failed::here(word.offset, format_args!("unknown type {}", String::from_utf8_lossy(raw)))
                };
                break RecordType::from_text(raw).ok_or_else(unknown)?;
            }
        };
        if class.is_some_and(|class| class != Class::IN) {
            return Err(Failed::here(start, "only class IN is served"));
        }
        let tokens: Vec<_> = words.as_slice().iter().map(|t| t.token).collect();
        let data_at = words.as_slice().first().map_or(start, |t| t.offset);
        let length = rdata::parse(rtype, &tokens, state.origin.as_name(), &mut self.data)
            .map_err(|error| Failed::here(data_at, format_args!("{rtype} data: {error}")))?;
        let data = &self.data[..length];
        //= https://www.rfc-editor.org/rfc/rfc2308#section-4
        //# All resource records appearing after the directive, and which do not explicitly include
        //# a TTL value, have their TTL set to the TTL given in the $TTL directive.
        let soa = (rtype == RecordType::SOA)
            .then(|| super::soa_numbers(data).map(|(_, minimum)| minimum))
            .flatten();
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl).or(soa);
        let ttl = ttl.ok_or_else(|| Failed::here(start, "no TTL: neither here, nor in $TTL, nor before"))?;
        self.last_ttl = Some(ttl);
        self.builder.add(owner.as_name(), rtype, ttl, data).map_err(|error| {
            let column = if matches!(error, ZoneError::OutOfZone(_)) { start } else { data_at };
            Failed::here(column, error)
        })
    }
}

fn named(word: &lexer::Word<'_>, origin: Name<'_>) -> Result<NameBuf, Failed> {
    rdata::name(word.token.raw, origin).map_err(|error: Error| {
        Failed::here(word.offset, format_args!("`{}`: {error}", String::from_utf8_lossy(word.token.raw)))
    })
}

/// Something is wrong at an offset of this file, or in a file that it includes.
enum Failed {
    Here(usize, String),
    Elsewhere(FileError),
}

impl Failed {
    fn here(offset: usize, reason: impl fmt::Display) -> Self {
        Self::Here(offset, reason.to_string())
    }
}

#[cfg(test)]
mod tests;
