//! The same scenario with many seeds.
use crate::{Recording, Simulation};
use std::{
    any::Any,
    env,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Failures after which a campaign ends.
const MOST_FAILURES: usize = 10;

/// One run of a scenario: its seed, and whether it is recorded.
#[derive(Debug)]
pub struct Run {
    seed: u64,
    recording: Option<Recording>,
}

impl Run {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The simulation of this run. A scenario that makes several records the last.
    pub fn simulation<'a>(&self) -> Simulation<'a> {
        let simulation = Simulation::new(self.seed);
        if let Some(recording) = &self.recording {
            simulation.record_to(recording.clone());
        }
        simulation
    }
}

/// Runs `scenario` with each of `seeds`, one after the other. A scenario fails by panicking; then it is run again with a recording,
/// and the message names the seed, how to replay it, and the file for Wireshark.
///
/// | variable | meaning |
/// |---|---|
/// | `AIRGLOW_SEEDS=10000` | that many seeds, from the first of `seeds` on |
/// | `AIRGLOW_SEEDS=5001-10000` | these, so that several processes may share them |
/// | `AIRGLOW_SEED=17` | this one only, with a recording |
///
/// # Panics
/// After the last seed or the tenth failure, if there were failures; at once when a variable is something else.
pub fn seeds(name: &str, seeds: RangeInclusive<u64>, scenario: impl Fn(&Run)) {
    let recorded = env::var("AIRGLOW_SEED").ok().map(|seed| number("AIRGLOW_SEED", &seed));
    let seeds = match (recorded, env::var("AIRGLOW_SEEDS")) {
        (Some(seed), _) => seed..=seed,
        (None, Ok(text)) => range(*seeds.start(), &text),
        (None, Err(_)) => seeds,
    };
    let mut failures = Vec::new();
    for seed in seeds {
        let run = Run { seed, recording: recorded.map(|_| Recording::default()) };
        let mut result = catch_unwind(AssertUnwindSafe(|| scenario(&run)));
        let mut recording = run.recording;
        if result.is_err() && recording.is_none() {
            let run = Run { seed, recording: Some(Recording::default()) };
            let again = catch_unwind(AssertUnwindSafe(|| scenario(&run)));
            if again.is_ok() {
                result = Err(Box::new(
                    "it failed, and did not when it was run again: it depends on more than its seed",
                ));
            }
            recording = run.recording;
        }
        let saved = recording.map(|recording| save(name, seed, &recording));
        if let Err(why) = result {
            let saved = saved.unwrap_or_default();
            let failure =
                format!("seed {seed} of {name}: {}; AIRGLOW_SEED={seed} replays it, {saved}", words(&*why));
            println!("{failure}");
            failures.push(failure);
        }
        if failures.len() >= MOST_FAILURES {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What `AIRGLOW_SEEDS` asks for: a number of seeds from `first` on, or the first and the last.
fn range(first: u64, text: &str) -> RangeInclusive<u64> {
    let number = |text| number("AIRGLOW_SEEDS", text);
    match text.split_once('-') {
        Some((from, to)) => number(from)..=number(to),
        None => first..=first.saturating_add(number(text).max(1) - 1),
    }
}

fn number(variable: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number, as in {variable}=17"))
}

/// Writes the recording where there is room for such files; says where.
fn save(name: &str, seed: u64, recording: &Recording) -> String {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let path = env::temp_dir().join(format!("airglow-{name}-{seed}.pcapng"));
    match recording.save(&path) {
        Ok(()) => format!("its frames are in {}", path.display()),
        Err(error) => format!("its frames cannot be written to {}: {error}", path.display()),
    }
}

/// What somebody panicked with.
fn words(why: &(dyn Any + Send)) -> &str {
    let text = why.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("it panicked without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_of_them_or_a_range() {
        assert_eq!((range(1, "10"), range(5, "1"), range(5, "0")), (1..=10, 5..=5, 5..=5));
        assert_eq!(range(1, "5001-10000"), 5001..=10000);
        assert!(catch_unwind(|| range(1, "many")).is_err());
    }
}
