//! `cargo airglow test`: every test there is, after the set-up it needs.
//!
//! An area is a list of checks, each a program that runs to its end; one that fails does not keep the rest from
//! running. What an area lacks is installed or named, and then the area fails: nothing is skipped.
mod host;
mod new;
mod peers;
mod unix;

use crate::{
    arm,
    failure::{Context, Result},
    packages, process,
    progress::Step,
    workspace::{Workspace, cargo},
    xen,
};
use clap::ValueEnum;
use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// Which tests.
#[derive(clap::Args)]
pub struct Arguments {
    /// The parts to run; all of them by default
    #[arg(value_enum, value_name = "AREA")]
    areas: Vec<Area>,
}

/// A part of the tests, by what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Area {
    /// A compiler: formatting, lints, documentation, packages, and all the tests of every crate
    Host,
    /// Linux and root: airglow's own stack against the kernel's, in network namespaces
    Unix,
    /// The programs people use: browsers, download tools, name servers
    Peers,
    /// The real hypervisor, under emulation
    Xen,
    /// Boards under emulation
    Arm,
}

/// Collects checks as they run.
pub struct Tests {
    /// The workspace under test.
    pub workspace: Workspace,
    logs: PathBuf,
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    /// Of the checks made by this process only those with this in their title, while one of them is being worked on.
    pub only: String,
}

/// How long a check may take when it does not say.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs the areas and prints what passed.
pub fn test(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let logs = workspace.target.join("airglow-test");
    fs::create_dir_all(&logs).context(logs.display())?;
    let mut tests =
        Tests { workspace, logs, passed: 0, failed: 0, failures: Vec::new(), only: String::new() };
    let start = Instant::now();
    let areas = match arguments.areas.as_slice() {
        [] => Area::value_variants(),
        areas => areas,
    };
    for area in areas {
        let name = area.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        println!("== {name}");
        let result = match area {
            Area::Host => host::test(&mut tests),
            Area::Unix => unix::test(&mut tests),
            Area::Peers => peers::test(&mut tests),
            Area::Xen => xen::test(&mut tests),
            Area::Arm => arm::test(&mut tests),
        };
        if let Err(why) = result {
            tests.fail(&name, &why.to_string());
        }
    }
    println!("== {:.0} s", start.elapsed().as_secs_f64());
    for failure in &tests.failures {
        println!("FAILED: {failure}");
    }
    println!("{} passed, {} failed", tests.passed, tests.failed);
    Ok(if tests.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tests {
    /// Installs what the following checks need, or fails.
    pub fn need(&mut self, packages: &[&str]) -> Result {
        packages::need(packages)
    }

    /// Runs cargo with the words of `arguments`, as one check.
    pub fn cargo(&mut self, title: &str, arguments: &str) {
        let mut command = cargo();
        command.args(arguments.split_ascii_whitespace());
        self.command(title, &mut command, LIMIT);
    }

    /// Runs `command` in the workspace's root, as one check that must exit with success within `limit`. The closing lines of
    /// the test runners in its output are printed and counted; when it fails, the output's end is too.
    pub fn command(&mut self, title: &str, command: &mut Command, limit: Duration) {
        command.current_dir(&self.workspace.root);
        let log = self.logs.join(format!("{}.log", title.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
        let step = Step::new(title);
        let (mut closing, mut passed, mut failed) = (Vec::new(), 0, 0);
        let result = process::logged(command, &log, limit, &step, |line| {
            if let Some((p, f)) = counts(line) {
                (passed, failed) = (passed + p, failed + f);
                closing.push(line.to_owned());
            }
        });
        let failure = match &result {
            Ok(status) if status.success() => None,
            Ok(status) => Some(status.to_string()),
            Err(why) => Some(why.to_string()),
        };
        step.end(if failure.is_some() { "FAILED" } else { "ok" });
        for line in closing.iter().filter(|line| counts(line) != Some((0, 0))) {
            println!("   {line}");
        }
        self.passed += passed;
        self.failed += failed;
        match failure {
            None if passed == 0 => self.passed += 1,
            None => {}
            Some(why) => {
                let text = fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                for line in &lines[lines.len().saturating_sub(150)..] {
                    println!("   | {line}");
                }
                self.failures.push(format!("{title}: {why}; all of its output: {}", log.display()));
                self.failed += u64::from(failed == 0);
            }
        }
    }

    /// Counts a failure that no program reported.
    pub fn fail(&mut self, title: &str, why: &str) {
        println!("{title}: {why}");
        self.failures.push(format!("{title}: {why}"));
        self.failed += 1;
    }

    /// Counts a check made by this process.
    #[allow(dead_code, reason = "for the targets' areas")]
    pub fn check(&mut self, title: &str, check: impl FnOnce(&Workspace) -> Result) {
        if !title.contains(&self.only) {
            return;
        }
        let step = Step::new(title);
        match check(&self.workspace) {
            Ok(()) => {
                step.end("ok");
                self.passed += 1;
            }
            Err(why) => {
                step.end("FAILED");
                self.fail(title, &why.to_string());
            }
        }
    }
}

/// Tests passed and failed, if `line` is the closing line of a test runner: cargo test's, or `N passed, N failed`.
fn counts(line: &str) -> Option<(u64, u64)> {
    let line = line.trim();
    let numbers = line
        .strip_prefix("test result: ")
        .map_or(line, |rest| rest.split_once(". ").map_or(rest, |(_, n)| n));
    let mut parts = numbers.split([';', ',']);
    let mut number = |what: &str| parts.next()?.trim().strip_suffix(what)?.trim().parse().ok();
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn closing_lines_are_counted() {
        let cargo =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(cargo), Some((12, 0)));
        let failed = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(failed), Some((3, 2)));
        assert_eq!(counts("7 passed, 1 failed"), Some((7, 1)));
        assert_eq!(counts("test tests::closing_lines_are_counted ... ok"), None);
        assert_eq!(counts("running 12 tests"), None);
    }
}
