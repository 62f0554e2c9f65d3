//! The table on the terminal, and the whole report as Markdown.
use super::requirement::{Level, Requirement, Rfc};
use std::fmt::Write;

const STATES: [&str; 5] = ["tested", "done", "partly", "not", "n/a"];

/// How many requirements of `level` are in each of [`STATES`].
fn counts(rfcs: &[Rfc], level: Level) -> [usize; 5] {
    let of = |state: &str| {
        let all = rfcs.iter().flat_map(|rfc| &rfc.requirements);
        all.filter(|r| r.level == level && r.state.word() == state).count()
    };
    STATES.map(of)
}

/// A line for each RFC: how many MUSTs and SHOULDs are tested, done, partly done, not done, and do not apply.
pub fn table(rfcs: &[Rfc]) -> String {
    let mut text = format!("{:>8}  {:^36}  {:^36}\n{:>8}", "", "MUST", "SHOULD", "RFC");
    for _ in 0..2 {
        text.push_str("  ");
        for state in STATES {
            let _ = write!(text, "{state:>7}");
        }
    }
    text.push('\n');
    let mut line = |name: &str, rfcs: &[Rfc]| {
        let _ = write!(text, "{name:>8}");
        for level in [Level::Must, Level::Should] {
            text.push_str("  ");
            for count in counts(rfcs, level) {
                let _ = write!(text, "{count:>7}");
            }
        }
        text.push('\n');
    };
    for rfc in rfcs {
        line(&rfc.number.to_string(), std::slice::from_ref(rfc));
    }
    line("all", rfcs);
    text
}

/// Everything.
pub fn markdown(rfcs: &[Rfc]) -> String {
    let mut text = String::from("# What the RFCs ask for, and how far it is met\n\n```text\n");
    text.push_str(&table(rfcs));
    text.push_str("```\n");
    for rfc in rfcs {
        let _ = writeln!(text, "\n## RFC {}: {}\n", rfc.number, rfc.title);
        text.push_str("| section | | requirement | state |\n|---|---|---|---|\n");
        for requirement in rfc.requirements.iter().filter(|r| r.level != Level::Text) {
            row(&mut text, rfc.number, requirement);
        }
    }
    text
}

fn row(text: &mut String, number: u32, requirement: &Requirement) {
    let Requirement { section, level, quote, state } = requirement;
    let link = format!("[{section}](https://www.rfc-editor.org/rfc/rfc{number}#section-{section})");
    let level = match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::Text | Level::All => "",
    };
    let quote = if quote.is_empty() { "(the whole section)" } else { quote };
    let plain = |text: &str| text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*");
    let bold = match state.word() {
        "not" | "partly" => format!("**{}**", state.word()),
        word => word.to_owned(),
    };
    let _ = writeln!(text, "| {link} | {level} | {} | {bold}: {} |", plain(quote), plain(&state.detail()));
}
