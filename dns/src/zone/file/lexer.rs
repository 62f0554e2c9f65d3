//! Cuts a master file into entries and words.
use super::Place;
use crate::wire::rdata::Token;
use alloc::{string::ToString, vec::Vec};

/// A word and where it begins.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub token: Token<'a>,
    pub offset: usize,
}

/// A directive or a record: one line, or several within parentheses.
pub(super) struct Entry<'a, 't> {
    pub tokens: &'t [Word<'a>],
    /// The entry began with white space: its owner is the last one's.
    pub owner_omitted: bool,
}

pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next entry that is not empty; its words are put into `tokens`.
    pub(super) fn next_entry<'t>(
        &mut self,
        tokens: &'t mut Vec<Word<'a>>,
    ) -> Result<Option<Entry<'a, 't>>, (usize, &'static str)> {
        tokens.clear();
        let mut open = None;
        let mut owner_omitted = matches!(self.text.get(self.at), Some(b' ' | b'\t'));
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    if open.is_none() {
                        if !tokens.is_empty() {
                            return Ok(Some(Entry { tokens, owner_omitted }));
                        }
                        owner_omitted = matches!(self.text.get(self.at), Some(b' ' | b'\t'));
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                }
                b'(' if open.is_some() => return Err((self.at, "a parenthesis inside a parenthesis")),
                b'(' => {
                    open = Some(self.at);
                    self.at += 1;
                }
                b')' => {
                    open.take().ok_or((self.at, "a closing parenthesis without an opening one"))?;
                    self.at += 1;
                }
                _ => {
                    let word = self.word()?;
                    tokens.push(word);
                }
            }
        }
        match open {
            Some(offset) => Err((offset, "this parenthesis is never closed")),
            None if tokens.is_empty() => Ok(None),
            None => Ok(Some(Entry { tokens, owner_omitted })),
        }
    }

    fn word(&mut self) -> Result<Word<'a>, (usize, &'static str)> {
        let start = self.at;
        let quoted = self.text[start] == b'"';
        let mut inside = quoted;
        self.at += usize::from(quoted);
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\\' => self.at += 1,
                b'"' if quoted => {
                    let raw = &self.text[start + 1..self.at];
                    self.at += 1;
                    return Ok(Word { token: Token { raw, quoted }, offset: start });
                }
                // As in `alpn="h2,h3"`: quotes inside a word protect what is between them.
                b'"' => inside = !inside,
                b'\n' => break,
                b' ' | b'\t' | b'\r' | b';' | b'(' | b')' if !inside => break,
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.text.len());
        if inside {
            return Err((start, "this quote is never closed"));
        }
        Ok(Word { token: Token { raw: &self.text[start..self.at], quoted }, offset: start })
    }
}

/// Line and column of an offset.
pub(super) fn place(file: &str, text: &[u8], offset: usize) -> Place {
    let before = &text[..offset.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    Place {
        file: file.to_string(),
        line: before.iter().filter(|b| **b == b'\n').count() as u32 + 1,
        column: (before.len() - line_start) as u32 + 1,
    }
}
