//! The committed inputs: text that people can read and change.
//!
//! A file holds one input. `#` begins a comment; pairs of hexadecimal digits are bytes, white space between pairs is free; `"..."` is
//! text with the escapes `\r`, `\n`, `\t`, `\"`, `\\`; `[` ... `]` is a group with its length before it as two bytes, the high one first;
//! `12*3` repeats the byte before `*`.
use std::{fs, path::PathBuf};

/// The bytes that `text` describes.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut groups = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let mut rest = line.chars();
        while let Some(next) = rest.next() {
            match next {
                '#' => break,
                ' ' | '\t' => {}
                '[' => {
                    groups.push(bytes.len());
                    bytes.extend([0, 0]);
                }
                ']' => {
                    let start = groups.pop().ok_or_else(|| wrong("`]` without `[`"))?;
                    let len =
                        u16::try_from(bytes.len() - start - 2).map_err(|_| wrong("a group is too long"))?;
                    bytes[start..start + 2].copy_from_slice(&len.to_be_bytes());
                }
                '*' => {
                    let digits: String = rest.clone().take_while(char::is_ascii_digit).collect();
                    rest.by_ref().take(digits.len()).for_each(drop);
                    let count: usize = digits.parse().map_err(|_| wrong("`*` wants a number"))?;
                    let last = *bytes.last().ok_or_else(|| wrong("`*` wants a byte before it"))?;
                    bytes.resize(bytes.len() + count.max(1) - 1, last);
                }
                '"' => loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => bytes.push(match rest.next() {
                            Some('r') => b'\r',
                            Some('n') => b'\n',
                            Some('t') => b'\t',
                            Some(same @ ('"' | '\\')) => same as u8,
                            _ => return Err(wrong("an unknown escape")),
                        }),
                        Some(char) => bytes.extend(char.encode_utf8(&mut [0; 4]).bytes()),
                        None => return Err(wrong("text without an end")),
                    }
                },
                high => {
                    let low = rest.next().unwrap_or(' ');
                    let pair: String = [high, low].into_iter().collect();
                    let byte = high.is_ascii_hexdigit().then(|| u8::from_str_radix(&pair, 16));
                    bytes.push(
                        byte.and_then(Result::ok).ok_or_else(|| wrong("neither hexadecimal nor text"))?,
                    );
                }
            }
        }
    }
    if groups.is_empty() { Ok(bytes) } else { Err("`[` without `]`".into()) }
}

/// Where the corpus of `target` lies.
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The names and inputs of the corpus of `target`, in order of name.
///
/// # Panics
/// When a file cannot be read or understood: a corpus is part of the tests.
pub fn load(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("a folder can be read").path();
            let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            let bytes = parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn text_becomes_bytes() {
        let text = "01 [ 0aff \"a\\r\\n\" ] # a comment\n00*3 [[7f]]";
        assert_eq!(parse(text).unwrap(), [1, 0, 5, 0x0a, 0xff, b'a', 13, 10, 0, 0, 0, 0, 3, 0, 1, 0x7f]);
        for wrong in ["0", "zz", "[", "]", "\"a", "*3", "01*x", "\"\\q\""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
