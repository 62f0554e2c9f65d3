//! `log` to the console.
use crate::boot::{report, time};
use airglow_device::{Clock, ParameterError, Parameters};
use core::fmt::Write;
use log::{LevelFilter, Log, Metadata, Record};

struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let micros = time::XenClock.now().as_micros();
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (level, target) = (record.level(), record.target());
        // There is nobody to tell of a failure.
        let _ = writeln!(report::Out, "[{seconds:5}.{micros:06}] {level:5} {target}: {}", record.args());
    }
    fn flush(&self) {}
}

/// Sends `log` lines to the console; the parameter `log=` names the least level (`info` without it).
pub fn start<'a>(parameters: &Parameters<'a>) -> Result<(), ParameterError<'a>> {
    let level = parameters.get("log", "one of `off`, `error`, `warn`, `info`, `debug` and `trace`")?;
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
    Ok(())
}
