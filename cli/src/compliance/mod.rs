//! `cargo airglow compliance`: what the RFCs of TCP/IP ask for, and how far each requirement is met.
//!
//! The lists are files in `net/compliance`, one for each RFC. A requirement is tested, done, partly or not done, or does not
//! apply, and says by which test, where, or why. A citation in a test (`//= type=test`) makes a requirement a tested one.
mod citation;
mod report;
mod requirement;
mod text;

use crate::{
    failure::{Context, Failure, Result},
    workspace::Workspace,
};
use citation::Citation;
use requirement::{Level, Requirement, Rfc, State};
use std::{collections::HashSet, fs, path::PathBuf};
use text::Text;

/// What to do beside the report.
#[derive(clap::Args)]
#[command(after_help = "Debian's packages doc-rfc-std and doc-rfc-std-proposed (non-free) have the texts: \
    zcat /usr/share/doc/RFC/links/rfc9293.txt.gz > DIR/rfc9293.txt\n\
    A file net/compliance/rfcN.txt with the line `RFC N: TITLE` alone is filled by --texts.")]
pub struct Arguments {
    /// Compare every quotation word by word with the RFCs in this folder (rfcN.txt), and add the requirements that the lists lack
    #[arg(long, value_name = "DIR")]
    texts: Option<PathBuf>,
    /// Where to write the whole report, as Markdown
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The lists with what the source says of them.
struct Compliance {
    rfcs: Vec<Rfc>,
    citations: Vec<Citation>,
    /// The names of the tests' functions.
    tests: HashSet<String>,
}

/// Prints the table and writes the report; fails if a list and the source do not agree.
pub fn compliance(arguments: &Arguments) -> Result {
    let workspace = Workspace::find()?;
    let mut compliance = Compliance::read(&workspace)?;
    let mut wrong = Vec::new();
    if let Some(texts) = &arguments.texts {
        wrong = compliance.compare(texts)?;
        for rfc in &compliance.rfcs {
            let path = folder(&workspace).join(format!("rfc{}.txt", rfc.number));
            fs::write(&path, rfc.to_text()).context(path.display())?;
        }
    }
    wrong.extend(compliance.disagreements(&workspace));
    compliance.apply_tests();
    let path = arguments.output.clone().unwrap_or_else(|| workspace.target.join("compliance.md"));
    fs::write(&path, report::markdown(&compliance.rfcs)).context(path.display())?;
    print!("{}", report::table(&compliance.rfcs));
    println!("{}", path.display());
    match wrong.len() {
        0 => Ok(()),
        n => Err(Failure::new(format!("{n} disagreements:\n{}", wrong.join("\n")))),
    }
}

/// Whether every citation in the source is of a requirement in the lists, every requirement has a state, and every test and
/// file that a state names is there.
pub fn check(workspace: &Workspace) -> Result {
    let wrong = Compliance::read(workspace)?.disagreements(workspace);
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("net/compliance")
}

impl Compliance {
    fn read(workspace: &Workspace) -> Result<Self> {
        let folder = folder(workspace);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .context(folder.display())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .collect();
        paths.sort();
        let mut rfcs = paths.iter().map(|path| Rfc::read(path)).collect::<Result<Vec<_>>>()?;
        rfcs.sort_by_key(|rfc| rfc.number);
        let folders: Vec<_> = workspace.packages().iter().map(|package| package.folder.clone()).collect();
        let citations = citation::find(&workspace.root, &folders)?;
        let mut tests = HashSet::new();
        for file in citation::sources(&folders)? {
            let text = fs::read_to_string(&file).context(file.display())?;
            tests.extend(test_functions(&text, &file.to_string_lossy()));
        }
        Ok(Self { rfcs, citations, tests })
    }

    /// What the texts say against quotations in the lists and in the source; requirements that a list lacks are added to it.
    fn compare(&mut self, texts: &std::path::Path) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let read = |number: u32| {
            fs::read_to_string(texts.join(format!("rfc{number}.txt"))).ok().map(|t| Text::new(&t))
        };
        for citation in &self.citations {
            match read(citation.rfc) {
                Some(text) if !text.has(&citation.section, &citation.quote) => {
                    wrong.push(format!(
                        "{}: not in RFC {} section {}: {}",
                        citation.place(),
                        citation.rfc,
                        citation.section,
                        citation.quote
                    ));
                }
                _ => {}
            }
        }
        let citations = &self.citations;
        for rfc in &mut self.rfcs {
            let Some(text) = read(rfc.number) else {
                println!("RFC {}: not in {}", rfc.number, texts.display());
                continue;
            };
            for requirement in rfc.requirements.iter().filter(|r| r.level != Level::All) {
                if !text.has(&requirement.section, &requirement.quote) {
                    wrong.push(format!(
                        "RFC {} section {}: the text has no: {}",
                        rfc.number, requirement.section, requirement.quote
                    ));
                }
            }
            add(rfc, &text);
            // What the source quotes though it has none of RFC 2119's words.
            for citation in citations.iter().filter(|c| c.rfc == rfc.number && text.has(&c.section, &c.quote))
            {
                if !rfc.requirements.iter().any(|r| matches(r, citation)) {
                    let file = citation.file.strip_prefix("net/src").unwrap_or(&citation.file);
                    let Citation { section, quote, .. } = citation;
                    let state = State::Done(file.display().to_string());
                    let after = rfc.requirements.iter().rposition(|r| r.section == *section);
                    let quoted = Requirement {
                        section: section.clone(),
                        level: Level::Text,
                        quote: quote.clone(),
                        state,
                    };
                    rfc.requirements.insert(after.map_or(rfc.requirements.len(), |at| at + 1), quoted);
                }
            }
        }
        Ok(wrong)
    }

    /// What does not agree.
    fn disagreements(&self, workspace: &Workspace) -> Vec<String> {
        let mut wrong = Vec::new();
        for rfc in &self.rfcs {
            for requirement in &rfc.requirements {
                let missing = match &requirement.state {
                    State::Open => Some("has no state".to_owned()),
                    State::Tested(names) => names
                        .iter()
                        .find(|name| !self.tests.contains(*name))
                        .map(|name| format!("is tested by `{name}`, which is not there")),
                    State::Done(place) => {
                        let file = place.split_ascii_whitespace().next().unwrap_or_default();
                        let there = workspace.root.join("net/src").join(file).is_file();
                        (!there).then(|| format!("is done in net/src/{file}, which is not there"))
                    }
                    _ => None,
                };
                if let Some(missing) = missing {
                    let Requirement { section, quote, .. } = requirement;
                    wrong.push(format!("RFC {} section {section} {missing}: {quote}", rfc.number));
                }
            }
        }
        for citation in &self.citations {
            let Some(rfc) = self.rfcs.iter().find(|rfc| rfc.number == citation.rfc) else { continue };
            let cited: Vec<_> = rfc.requirements.iter().filter(|r| matches(r, citation)).collect();
            let undone = |r: &&Requirement| matches!(r.state, State::Not(_) | State::NotApplicable(_));
            if cited.is_empty() {
                wrong.push(format!(
                    "{}: no requirement of RFC {}: {}",
                    citation.place(),
                    rfc.number,
                    citation.quote
                ));
            } else if cited.iter().all(undone) {
                wrong.push(format!("{}: the list says `{}`", citation.place(), cited[0].state));
            }
        }
        wrong
    }

    /// What is done and cited by a test is tested.
    fn apply_tests(&mut self) {
        for citation in self.citations.iter().filter(|citation| citation.test) {
            for rfc in self.rfcs.iter_mut().filter(|rfc| rfc.number == citation.rfc) {
                for requirement in rfc.requirements.iter_mut().filter(|r| matches(r, citation)) {
                    if let State::Done(_) = requirement.state {
                        requirement.state = State::Tested(vec![citation.place()]);
                    }
                }
            }
        }
    }
}

/// Adds what `text` asks for and the list lacks.
fn add(rfc: &mut Rfc, text: &Text) {
    let mut at = 0;
    for text::Sentence { section, level, quote } in text.requirements() {
        if rfc.excludes(&section) {
            continue;
        }
        if let Some(found) = rfc.requirements.iter().position(|r| r.section == section && r.quote == quote) {
            at = found + 1;
        } else {
            rfc.requirements.insert(at, Requirement { section, level, quote, state: State::Open });
            at += 1;
        }
    }
}

/// Whether `citation` is of `requirement`: one has the other's words, or they overlap by eight words.
fn matches(requirement: &Requirement, citation: &Citation) -> bool {
    let same_section =
        citation.section.is_empty() || requirement::within(&requirement.section, &citation.section);
    if requirement.level == Level::All || !same_section {
        return false;
    }
    let (ours, theirs) = (text::squeezed(&requirement.quote), text::squeezed(&citation.quote));
    let words: Vec<_> = citation.quote.split(' ').collect();
    ours.contains(&theirs)
        || theirs.contains(&ours)
        || words.windows(8).any(|words| ours.contains(&text::squeezed(&words.concat())))
}

/// The names of functions in a file of tests, or after `#[cfg(test)]`.
fn test_functions<'a>(text: &'a str, path: &str) -> impl Iterator<Item = String> + 'a {
    let whole = path.contains("/tests/") || path.ends_with("/tests.rs");
    let start = if whole { 0 } else { text.find("#[cfg(test)]").unwrap_or(text.len()) };
    text[start..].lines().filter_map(|line| {
        let line = line.trim_start();
        let name = line.strip_prefix("fn ").or_else(|| line.strip_prefix("pub fn "))?.split_once('(')?.0;
        Some(name.split('<').next().unwrap_or(name).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::{Citation, Level, Requirement, State, matches, test_functions};

    fn requirement(quote: &str) -> Requirement {
        Requirement { section: "2.1".into(), level: Level::Must, quote: quote.into(), state: State::Open }
    }

    #[test]
    fn a_citation_has_words_of_its_requirement() {
        let citation = |section: &str, quote: &str| Citation {
            file: "a.rs".into(),
            line: 1,
            rfc: 1,
            section: section.into(),
            quote: quote.into(),
            test: false,
        };
        let rule = requirement("A host MUST answer.");
        assert!(matches(&rule, &citation("2.1", "Words before. A host MUST answer.")));
        assert!(matches(&rule, &citation("2", "host MUST")));
        assert!(!matches(&rule, &citation("2.2", "A host MUST answer.")));
        assert!(!matches(&rule, &citation("2.1", "A host MUST NOT answer.")));
    }

    #[test]
    fn functions_of_tests_are_found() {
        let text = "fn code() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn it_answers() {}\n}\n";
        assert_eq!(test_functions(text, "/net/src/a.rs").collect::<Vec<_>>(), ["it_answers"]);
    }
}
