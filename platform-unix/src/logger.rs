//! `log` to standard error.
use crate::clock;
use airglow_device::{ParameterError, Parameters};
use log::{LevelFilter, Log, Metadata, Record};
use std::io::Write as _;

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let micros = clock::now().as_micros();
        let line = format!(
            "[{:5}.{:06}] {:5} {}: {}\n",
            micros / 1_000_000,
            micros % 1_000_000,
            record.level(),
            record.target(),
            record.args()
        );
        // One write, so that lines of several processes do not mix. There is nobody to tell of a failure.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Sends the program's `log` lines to standard error; the parameter `log=` names the least level (`info` without it).
/// Does nothing beyond reading the parameter when the program has set a logger of its own.
///
/// # Errors
/// The word, when it names no level.
pub fn log_to_stderr<'a>(parameters: &Parameters<'a>) -> Result<(), ParameterError<'a>> {
    let level = parameters.get("log", "one of `off`, `error`, `warn`, `info`, `debug` and `trace`")?;
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
    Ok(())
}
