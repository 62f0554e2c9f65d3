//! Shows what takes long: a moving bar on a terminal, plain lines elsewhere.
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// One long step. Its line goes away or is completed when it ends.
pub struct Step {
    bar: Option<ProgressBar>,
    title: String,
    start: Instant,
}

impl Step {
    /// Starts a step whose length nobody knows.
    pub fn new(title: impl Into<String>) -> Self {
        Self::start(title.into(), None)
    }

    /// Starts a step of `length` units, counted by [`Step::at`].
    #[allow(dead_code, reason = "for the targets' image and download steps")]
    pub fn of(title: impl Into<String>, length: u64) -> Self {
        Self::start(title.into(), Some(length))
    }

    fn start(title: String, length: Option<u64>) -> Self {
        let bar = if stderr().is_terminal() {
            let (bar, template) = match length {
                Some(length) => {
                    (ProgressBar::new(length), "{spinner} {prefix} {bar:30} {pos}/{len} {elapsed} {msg:.dim}")
                }
                None => (ProgressBar::new_spinner(), "{spinner} {prefix} {elapsed} {wide_msg:.dim}"),
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            Some(bar)
        } else {
            eprintln!("{title} ...");
            None
        };
        Self { bar, title, start: Instant::now() }
    }

    /// How far it is.
    #[allow(dead_code, reason = "for the targets' image and download steps")]
    pub fn at(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    /// What it is doing just now; shown on a terminal only.
    pub fn doing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.trim().to_owned());
        }
    }

    /// Ends the step with a line that says how it went and how long it took.
    pub fn end(self, how: &str) {
        let line = format!("{} ... {how} ({:.1} s)", self.title, self.start.elapsed().as_secs_f64());
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{line}");
    }
}
