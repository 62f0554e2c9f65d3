//! The text of an RFC as the RFC editor publishes it: pages, sections, paragraphs, sentences.
use super::requirement::Level;

/// A sentence with one of RFC 2119's words.
pub struct Sentence {
    /// The number of its section.
    pub section: String,
    /// Its strongest word.
    pub level: Level,
    /// Itself, or the part around the word if it is long.
    pub quote: String,
}

/// One RFC.
pub struct Text {
    /// Paragraphs with the number of their section, each with single spaces.
    paragraphs: Vec<(String, String)>,
}

/// Longer sentences are quoted in part.
const LONGEST_QUOTE: usize = 300;

impl Text {
    /// Takes the page breaks, headers and footers out of `text` and finds the sections.
    pub fn new(text: &str) -> Self {
        let mut paragraphs = Vec::new();
        let (mut section, mut paragraph) = (String::new(), String::new());
        for line in without_pages(text) {
            let heading = heading(line);
            let drawing = line.trim_start().starts_with(['|', '+']) && line.trim_end().ends_with(['|', '+']);
            let bullet = ["o ", "* ", "- ", "+ "].iter().any(|mark| line.trim_start().starts_with(mark));
            if line.trim().is_empty() || heading.is_some() || bullet || drawing {
                flush(&section, &mut paragraph, &mut paragraphs);
            }
            if let Some(number) = heading {
                // The table of contents has the numbers too; the last place that has a section is the section.
                number.clone_into(&mut section);
                continue;
            }
            if drawing {
                continue;
            }
            let words: Vec<_> = line.split_ascii_whitespace().skip(usize::from(bullet)).collect();
            // A word that is cut at the end of the line.
            let cut = paragraph.ends_with('-') && !paragraph.ends_with(" -") && !paragraph.ends_with("--");
            if !paragraph.is_empty() && !cut {
                paragraph.push(' ');
            }
            paragraph.push_str(&words.join(" "));
        }
        flush(&section, &mut paragraph, &mut paragraphs);
        Self { paragraphs }
    }

    /// Whether `quote` stands in `section`, or in the parts of it, word by word.
    pub fn has(&self, section: &str, quote: &str) -> bool {
        let of_section = |at: &str| {
            section.is_empty()
                || at == section
                || at.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
        };
        let text: Vec<_> =
            self.paragraphs.iter().filter(|(at, _)| of_section(at)).map(|(_, text)| &**text).collect();
        squeezed(&text.join(" ")).contains(&squeezed(quote))
    }

    /// All sentences with a word of RFC 2119 in capitals, in order; with `must` and `should`, in an RFC that has no capitals.
    pub fn requirements(&self) -> Vec<Sentence> {
        let mut all = Vec::new();
        let capitals = self.paragraphs.iter().any(|(_, text)| Level::of(text).is_some());
        let level = if capitals { Level::of } else { Level::of_small };
        for (section, paragraph) in &self.paragraphs {
            // The paragraph that says what the words mean; tables of them.
            if section.is_empty()
                || paragraph.contains("key words")
                || paragraph.contains("keywords")
                || paragraph.contains("| ")
            {
                continue;
            }
            for sentence in sentences(paragraph) {
                if let Some((level, at)) = level(sentence) {
                    all.push(Sentence {
                        section: section.clone(),
                        level,
                        quote: around(sentence, at).to_owned(),
                    });
                }
            }
        }
        all
    }
}

fn flush(section: &str, paragraph: &mut String, paragraphs: &mut Vec<(String, String)>) {
    if !paragraph.is_empty() {
        paragraphs.push((section.to_owned(), std::mem::take(paragraph)));
    }
}

/// The lines without the feet and heads of pages. The blank lines around these end no paragraph, unless a sentence ends there.
fn without_pages(text: &str) -> Vec<&str> {
    let (mut lines, mut between) = (Vec::<&str>::new(), false);
    for line in text.lines() {
        if line.contains("[Page ") && line.trim_end().ends_with(']') {
            while lines.last().is_some_and(|line| line.trim().is_empty()) {
                lines.pop();
            }
            if lines.last().is_some_and(|line| line.trim_end().ends_with(['.', ':', ';'])) {
                lines.push("");
            }
            between = true;
        } else if !(between && (line.trim().is_empty() || line.contains('\u{c}') || line.starts_with("RFC")))
        {
            between = false;
            lines.push(line);
        }
    }
    lines
}

/// The number of a section whose heading `line` is: `3.8.1.  Retransmission Timeout`, at the left or a little in.
fn heading(line: &str) -> Option<&str> {
    let indent = line.len() - line.trim_start().len();
    let (number, title) = line.trim_start().split_once([' ', '\t'])?;
    let number = number.strip_suffix('.').unwrap_or(number);
    let deep = number.contains('.');
    let digits = number
        .split('.')
        .all(|part| !part.is_empty() && part.len() <= 2 && part.chars().all(|c| c.is_ascii_digit()));
    let appendix =
        number.strip_prefix(|c: char| c.is_ascii_uppercase()).is_some_and(|rest| rest.starts_with('.'));
    let title = title.trim();
    let titled = title.starts_with(|c: char| c.is_ascii_uppercase() || c == '"') && title.len() < 80;
    // The table of contents has dots. RFC 1122 sets its headings in from the left and ends them with colons.
    let sentence = title.ends_with(['.', ';'])
        || title.ends_with([',', ':']) && indent == 0
        || title.contains(". .")
        || title.contains("...");
    let place = indent == 0 || deep && indent < 10;
    ((digits || appendix) && titled && !sentence && place).then_some(number)
}

/// Cuts at the ends of sentences.
fn sentences(paragraph: &str) -> Vec<&str> {
    const ABBREVIATIONS: [&str; 7] = ["e.g.", "i.e.", "Sec.", "vs.", "etc.", "cf.", "resp."];
    let (mut all, mut start) = (Vec::new(), 0);
    for (at, _) in paragraph.match_indices(['.', '?']) {
        let (before, rest) = (&paragraph[start..=at], &paragraph[at + 1..]);
        let closed = rest.trim_start_matches([')', '"']);
        let next = closed.strip_prefix(' ').and_then(|text| text.chars().next());
        let end = at + 1 + (rest.len() - closed.len());
        let begins =
            next.is_some_and(|c| c.is_ascii_uppercase() || "(\"'[".contains(c) || c.is_ascii_digit());
        let abbreviated = ABBREVIATIONS.iter().any(|short| before.ends_with(short));
        // `(1.` and `2.` number the steps of an algorithm.
        let number = before.trim_start_matches('(').chars().all(|c| c.is_ascii_digit() || c == '.');
        if begins && !abbreviated && !number {
            all.push(paragraph[start..end].trim());
            start = end;
        }
    }
    all.push(paragraph[start..].trim());
    all.retain(|sentence| !sentence.is_empty());
    all
}

/// The sentence, or so much around the word at `at` as a quotation should have.
fn around(sentence: &str, at: usize) -> &str {
    if sentence.len() <= LONGEST_QUOTE {
        return sentence;
    }
    let at = at.min(sentence.len() - 1);
    let space_before = |limit: usize| {
        sentence.as_bytes()[..limit].iter().rposition(|&b| b == b' ').map_or(0, |space| space + 1)
    };
    let start = if at > 120 { space_before(at - 100) } else { 0 };
    let end = if start + LONGEST_QUOTE < sentence.len() {
        space_before(start + LONGEST_QUOTE) - 1
    } else {
        sentence.len()
    };
    &sentence[start..end]
}

/// Without spaces: line ends after a hyphen and in the middle of `TCP/ IP` are the editor's.
pub fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Level, Text};

    const PAGES: &str = "\
1.  Introduction

   The key words \"MUST\" and \"SHOULD\" are to be interpreted thus.

2.  Rules

   A host MUST answer (e.g. with an echo).  It need not hurry, but it

Doe                          Standards Track                    [Page 1]
\u{c}
RFC 1                             Rules                     January 2000


   SHOULD NOT wait for more than one round-
   trip time.
";

    #[test]
    fn requirements_are_found_across_pages() {
        let text = Text::new(PAGES);
        let found: Vec<_> = text.requirements().into_iter().map(|s| (s.section, s.level, s.quote)).collect();
        let expected = [
            ("2", Level::Must, "A host MUST answer (e.g. with an echo)."),
            (
                "2",
                Level::Should,
                "It need not hurry, but it SHOULD NOT wait for more than one round-trip time.",
            ),
        ];
        assert_eq!(found, expected.map(|(s, l, q)| (s.to_owned(), l, q.to_owned())));
    }

    #[test]
    fn quotes_are_compared_word_by_word() {
        let text = Text::new(PAGES);
        assert!(text.has("2", "SHOULD NOT wait for more than one round-trip time"));
        assert!(!text.has("1", "A host MUST answer"), "in the section that is cited");
        assert!(!text.has("2", "A host MUST always answer"));
    }
}
