//! `defmt` frames on the board's serial port, and where the features `rtt` and `semihosting` say so, there too.
#[cfg(feature = "rtt")]
use super::rtt;
#[cfg(feature = "semihosting")]
use super::semihosting;
use crate::{
    board::{Board, Selected},
    driver::Serial,
    local::Local,
};
use core::cell::{Cell, RefCell};

#[defmt::global_logger]
struct Logger;

static PORT: Local<RefCell<Option<<Selected as Board>::Serial>>> = Local::new(RefCell::new(None));
static ENCODER: Local<RefCell<defmt::Encoder>> = Local::new(RefCell::new(defmt::Encoder::new()));
static BUSY: Local<Cell<bool>> = Local::new(Cell::new(false));

pub(super) fn start() {
    *PORT.borrow_mut() = Some(Selected::serial());
    #[cfg(feature = "rtt")]
    rtt::start();
    static LOGGER: FromLog = FromLog;
    // SAFETY: one core, no interrupts: nobody else is at it.
    if unsafe { log::set_logger_racy(&LOGGER) }.is_ok() {
        // SAFETY: as above.
        unsafe { log::set_max_level_racy(log::LevelFilter::Info) };
    }
}

/// What libraries say through the crate `log`, as text in a `defmt` frame.
struct FromLog;

impl log::Log for FromLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let text = defmt::Display2Format(record.args());
        match record.level() {
            log::Level::Error => defmt::error!("{}", text),
            log::Level::Warn => defmt::warn!("{}", text),
            _ => defmt::info!("{}", text),
        }
    }
    fn flush(&self) {}
}

fn put(bytes: &[u8]) {
    if let Ok(mut port) = PORT.try_borrow_mut()
        && let Some(port) = port.as_mut()
    {
        port.write(bytes);
    }
    #[cfg(feature = "rtt")]
    rtt::write(bytes);
    #[cfg(feature = "semihosting")]
    semihosting::write(bytes);
}

// SAFETY: nothing interrupts a frame but a fault, and then `BUSY` makes the fault's own frame start anew.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        if BUSY.replace(true)
            && let Ok(mut encoder) = ENCODER.try_borrow_mut()
        {
            encoder.end_frame(put);
        }
        #[cfg(feature = "rtt")]
        rtt::begin();
        if let Ok(mut encoder) = ENCODER.try_borrow_mut() {
            encoder.start_frame(put);
        }
    }
    unsafe fn flush() {}
    unsafe fn release() {
        if let Ok(mut encoder) = ENCODER.try_borrow_mut() {
            encoder.end_frame(put);
        }
        #[cfg(feature = "rtt")]
        rtt::end();
        #[cfg(feature = "semihosting")]
        semihosting::flush();
        BUSY.set(false);
    }
    unsafe fn write(bytes: &[u8]) {
        if let Ok(mut encoder) = ENCODER.try_borrow_mut() {
            encoder.write(bytes, put);
        }
    }
}

defmt::timestamp!("{=u64:us}", super::kernel::micros());

/// A critical section is every section: interrupts are masked for ever.
struct Always;
critical_section::set_impl!(Always);
// SAFETY: one core, and no handler ever runs.
unsafe impl critical_section::Impl for Always {
    unsafe fn acquire() -> critical_section::RawRestoreState {}
    unsafe fn release(_: critical_section::RawRestoreState) {}
}
