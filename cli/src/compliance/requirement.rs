//! The requirements of an RFC and how far each is met: the files in `net/compliance`.
//!
//! A requirement is two lines, the second of which says its state:
//!
//! ```text
//! 3.7.1 MUST: TCP endpoints MUST implement both sending and receiving the MSS Option
//!   tested: the_maximum_segment_size_is_negotiated
//! 4.2 ALL: n/a: RFC 9293 replaces it
//! ```
use crate::failure::{Context, Failure, Result};
use std::{fmt, fmt::Write, path::Path};

/// How strongly something is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// MUST, MUST NOT, SHALL, REQUIRED.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
    /// A sentence that the source quotes and that has none of these words.
    Text,
    /// A section that does not concern a stack like this one.
    All,
}

const WORDS: [(Level, &str); 6] = [
    (Level::Must, "MUST"),
    (Level::Must, "SHALL"),
    (Level::Must, "REQUIRED"),
    (Level::Should, "SHOULD"),
    (Level::Should, "NOT RECOMMENDED"),
    (Level::Should, "RECOMMENDED"),
];

impl Level {
    /// The strongest word in `sentence`, and where it is.
    pub fn of(sentence: &str) -> Option<(Self, usize)> {
        let whole = |at: usize, word: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !sentence[..at].ends_with(letter) && !sentence[at + word.len()..].starts_with(letter)
        };
        WORDS.iter().find_map(|(level, word)| {
            sentence.match_indices(word).find(|(at, _)| whole(*at, word)).map(|(at, _)| (*level, at))
        })
    }

    /// The same in an RFC that does not use capitals.
    pub fn of_small(sentence: &str) -> Option<(Self, usize)> {
        Self::of(&sentence.replace("must", "MUST").replace("should", "SHOULD"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Text => "TEXT",
            Self::All => "ALL",
        }
    }
}

/// How far a requirement is met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody has looked yet: a failure of the check.
    Open,
    /// By these functions of the tests.
    Tested(Vec<String>),
    /// In this file, without a test of its own.
    Done(String),
    /// With what is missing.
    Partly(String),
    /// With the reason.
    Not(String),
    /// Does not apply, with the reason.
    NotApplicable(String),
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        let rest = rest.trim().to_owned();
        let state = match word {
            "?" => return Some(Self::Open),
            "tested" => {
                Self::Tested(rest.split([',', ' ']).filter(|n| !n.is_empty()).map(str::to_owned).collect())
            }
            "done" => Self::Done(rest.clone()),
            "partly" => Self::Partly(rest.clone()),
            "not" => Self::Not(rest.clone()),
            "n/a" => Self::NotApplicable(rest.clone()),
            _ => return None,
        };
        (!rest.is_empty()).then_some(state)
    }

    /// Its word, as a column of the table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "?",
            Self::Tested(_) => "tested",
            Self::Done(_) => "done",
            Self::Partly(_) => "partly",
            Self::Not(_) => "not",
            Self::NotApplicable(_) => "n/a",
        }
    }

    /// The test, the file or the reason.
    pub fn detail(&self) -> String {
        match self {
            Self::Open => String::new(),
            Self::Tested(names) => names.join(", "),
            Self::Done(text) | Self::Partly(text) | Self::Not(text) | Self::NotApplicable(text) => {
                text.clone()
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("?"),
            state => write!(f, "{}: {}", state.word(), state.detail()),
        }
    }
}

/// One sentence of an RFC.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// The number of its section.
    pub section: String,
    /// How strong it is.
    pub level: Level,
    /// Word by word from the text.
    pub quote: String,
    /// How far it is met.
    pub state: State,
}

/// One RFC.
pub struct Rfc {
    /// Its number.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// What it asks for, in its order.
    pub requirements: Vec<Requirement>,
}

impl Rfc {
    /// Reads a file of `net/compliance`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context(path.display())?;
        Self::parse(&text).map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let first = lines.next().and_then(|(_, line)| line.strip_prefix("RFC ")?.split_once(": "));
        let (number, title) = first.context("the first line is not `RFC NUMBER: TITLE`")?;
        let number = number.parse().context("the RFC's number")?;
        let mut requirements = Vec::new();
        while let Some((at, line)) = lines.next() {
            let wrong = |what: &str| Failure::new(format!("line {}: {what}", at + 1));
            let (head, rest) = line.split_once(": ").ok_or_else(|| wrong("no `SECTION LEVEL: `"))?;
            let (section, level) = head.split_once(' ').ok_or_else(|| wrong("no level"))?;
            let levels = [Level::Must, Level::Should, Level::Text, Level::All];
            let level =
                levels.into_iter().find(|l| l.name() == level).ok_or_else(|| wrong("which level?"))?;
            let (quote, state) = match level {
                Level::All => ("", rest),
                _ => (rest, lines.next().map_or("", |(_, line)| line)),
            };
            let state =
                State::parse(state).ok_or_else(|| wrong("no state below it, or none with a reason"))?;
            requirements.push(Requirement {
                section: section.to_owned(),
                level,
                quote: quote.to_owned(),
                state,
            });
        }
        Ok(Self { number, title: title.to_owned(), requirements })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = format!("RFC {}: {}\n", self.number, self.title);
        for Requirement { section, level, quote, state } in &self.requirements {
            let _ = match level {
                Level::All => writeln!(text, "{section} ALL: {state}"),
                _ => writeln!(text, "{section} {}: {quote}\n  {state}", level.name()),
            };
        }
        text
    }

    /// Whether a line for a whole section says that `section` does not apply.
    pub fn excludes(&self, section: &str) -> bool {
        self.requirements.iter().filter(|r| r.level == Level::All).any(|r| within(section, &r.section))
    }
}

/// Whether `section` is `outer` or a part of it.
pub fn within(section: &str, outer: &str) -> bool {
    section.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{Level, Rfc, State};

    #[test]
    fn files_are_read_and_written() {
        let text = "RFC 1: Rules\n2 MUST: A host MUST answer.\n  tested: an_answer, no_answer\n3 ALL: n/a: routers\n4 TEXT: Words.\n  ?\n";
        let rfc = Rfc::parse(text).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(rfc.to_text(), text);
        assert_eq!(rfc.requirements[0].state, State::Tested(vec!["an_answer".into(), "no_answer".into()]));
        assert!(rfc.excludes("3.1") && rfc.excludes("3") && !rfc.excludes("30"));
    }

    #[test]
    fn a_state_has_its_reason() {
        assert!(Rfc::parse("RFC 1: Rules\n2 MUST: A host MUST answer.\n  not:\n").is_err());
        assert!(Rfc::parse("RFC 1: Rules\n2 MUST: A host MUST answer.\n").is_err());
    }

    #[test]
    fn the_strongest_word_counts() {
        assert_eq!(Level::of("It SHOULD, and MUST NOT").map(|(level, _)| level), Some(Level::Must));
        assert_eq!(Level::of("(SHLD-3) and MUST-4"), None);
    }
}
