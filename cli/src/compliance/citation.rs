//! The places of the source that cite an RFC: `//= https://www.rfc-editor.org/rfc/rfcN#section-X`, then `//#` and its words.
use crate::failure::{Context, Result};
use std::path::{Path, PathBuf};

/// One citation.
pub struct Citation {
    /// The file, from the workspace's root.
    pub file: PathBuf,
    /// The line of the `//=`.
    pub line: usize,
    /// The RFC's number.
    pub rfc: u32,
    /// The section; empty when the RFC has none.
    pub section: String,
    /// The words, with single spaces.
    pub quote: String,
    /// Whether a test carries it: `//= type=test`.
    pub test: bool,
}

impl Citation {
    /// `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// All citations of RFCs in the files of `root` that are in `folders`.
pub fn find(root: &Path, folders: &[PathBuf]) -> Result<Vec<Citation>> {
    let mut all = Vec::new();
    for file in sources(folders)? {
        let text = std::fs::read_to_string(&file).context(file.display())?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        all.extend(parse(name, &text));
    }
    Ok(all)
}

/// All files of Rust in the folders, in order.
pub fn sources(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), folders.to_vec());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).context(folder.display())? {
            let path = entry.context(folder.display())?.path();
            if path.is_dir() {
                // Another crate's folder is another of `folders`.
                let other = path.join("Cargo.toml").exists() || path.ends_with("target");
                open.extend((!other).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn parse(file: &Path, text: &str) -> Vec<Citation> {
    let mut all: Vec<Citation> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("//= ") {
            if let Some(target) = rest.strip_prefix("https://www.rfc-editor.org/rfc/rfc") {
                let (number, section) = target.split_once("#section-").unwrap_or((target, ""));
                let (section, rfc) = (section.to_owned(), number.parse().unwrap_or(0));
                let (file, quote) = (file.to_owned(), String::new());
                all.push(Citation { file, line: at + 1, rfc, section, quote, test: false });
                open = true;
            } else if let (true, "type=test", Some(last)) = (open, rest, all.last_mut()) {
                last.test = true;
            } else {
                // Another standard's.
                open = false;
            }
        } else if let Some(words) = line.strip_prefix("//#") {
            if let (true, Some(last)) = (open, all.last_mut()) {
                for word in words.split_ascii_whitespace() {
                    if !last.quote.is_empty() {
                        last.quote.push(' ');
                    }
                    last.quote.push_str(word);
                }
            }
        } else {
            open = false;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn citations_are_found() {
        // Cut, so that this file has none itself.
        let text = "fn f() {\n    //\u{3d} https://www.rfc-editor.org/rfc/rfc1#section-2.3\n    //\u{3d} type=test\n    //\u{23} A host\n    //\u{23} MUST answer.\n    answer();\n    //\u{3d} https://example.org/other\n    //\u{23} Words.\n";
        let found = super::parse("a.rs".as_ref(), text);
        assert_eq!(found.len(), 1);
        let citation = &found[0];
        assert_eq!((citation.rfc, &*citation.section, &*citation.quote), (1, "2.3", "A host MUST answer."));
        assert!(citation.test);
        assert_eq!(citation.place(), "a.rs:2");
    }
}
