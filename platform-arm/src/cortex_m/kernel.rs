//! Time and sleep.
use crate::{
    board::{Board, Selected},
    clock::Extended,
    driver::Alarm,
    interrupt::InterruptLine,
    local::Local,
};
use airglow_device::{Clock, Instant, Timer};
use airglow_runtime::{FixedTimers, Park};
use core::{
    arch::asm,
    cell::{Cell, RefCell},
    task::{RawWaker, RawWakerVTable, Waker},
    time::Duration,
};

/// Nanoseconds of a cycle, and what is left of them in units of 2^-32.
const NANOS: u64 = 1_000_000_000 / Selected::HERTZ as u64;
const FRACTION: u64 = ((1_000_000_000 % Selected::HERTZ as u64) << 32) / Selected::HERTZ as u64;
/// Tasks that sleep at once, by default more than the pool and the stack of a board have.
const SLEEPERS: usize = 16;
/// SysTick counts 24 bits; it is read before it has gone round.
const LONGEST_SLEEP: u32 = 3 << 22;

const SYST_CSR: *mut u32 = 0xe000_e010 as *mut u32;
const SYST_RVR: *mut u32 = 0xe000_e014 as *mut u32;
const SYST_CVR: *mut u32 = 0xe000_e018 as *mut u32;
const NVIC_ISER: *mut u32 = 0xe000_e100 as *mut u32;
const NVIC_ICER: *mut u32 = 0xe000_e180 as *mut u32;
const NVIC_ISPR: *mut u32 = 0xe000_e200 as *mut u32;
const NVIC_ICPR: *mut u32 = 0xe000_e280 as *mut u32;

/// The platform's clock, timers and sleep.
pub struct Kernel {
    clock: Cell<Extended<24>>,
    timers: FixedTimers<SLEEPERS>,
    woken: Cell<bool>,
    alarm: RefCell<Option<<Selected as Board>::Alarm>>,
    feed: Cell<Option<<Selected as Board>::Watchdog>>,
    net: Cell<Option<Waker>>,
    sleeps: Cell<u32>,
    /// The deepest stack that was reported, and when it is looked at again.
    deepest: Cell<usize>,
    look_at: Cell<Instant>,
}

static KERNEL: Local<Kernel> = Local::new(Kernel {
    clock: Cell::new(Extended::new(0)),
    timers: FixedTimers::new(),
    woken: Cell::new(false),
    alarm: RefCell::new(None),
    feed: Cell::new(None),
    net: Cell::new(None),
    sleeps: Cell::new(0),
    deepest: Cell::new(0),
    look_at: Cell::new(Instant::ZERO),
});

pub(super) fn start() -> &'static Kernel {
    // SAFETY: SysTick is this module's alone: the longest period, the processor's clock, no exception.
    unsafe {
        SYST_RVR.write_volatile(0xff_ffff);
        SYST_CVR.write_volatile(0);
        SYST_CSR.write_volatile(0b101);
    }
    *KERNEL.alarm.borrow_mut() = Some(Selected::alarm());
    KERNEL.feed.set(Some(Selected::watchdog()));
    set(NVIC_ISER, Selected::INTERRUPTS[0]);
    &KERNEL
}

/// Feeds the watchdog, if it has been started.
pub(super) fn feed() {
    if let Some(feed) = KERNEL.feed.get() {
        feed();
    }
}

/// The cycles that last at least `nanos`, but not more than a sleep may. No division: this is done before each sleep.
fn cycles(nanos: u64) -> u32 {
    const RATE: u64 = ((Selected::HERTZ as u64) << 32) / 1_000_000_000;
    match u32::try_from(nanos) {
        Ok(nanos) => {
            u32::try_from((u64::from(nanos) * RATE >> 32) + 2).unwrap_or(u32::MAX).min(LONGEST_SLEEP)
        }
        Err(_) => LONGEST_SLEEP,
    }
}

/// Writes the bit of `interrupt` to one of the controller's arrays. An interrupt that is enabled stays masked at the
/// processor and only ends its sleep.
fn set(array: *mut u32, interrupt: u16) {
    // SAFETY: `array` is one of the constants above, whose bits act one by one.
    unsafe { array.add(interrupt as usize / 32).write_volatile(1 << (interrupt % 32)) };
}

fn pending(interrupt: u16) -> bool {
    // SAFETY: reads which interrupts are pending.
    unsafe { NVIC_ISPR.add(interrupt as usize / 32).read_volatile() >> (interrupt % 32) & 1 == 1 }
}

#[cfg(embassy_time)]
pub(super) fn kernel() -> &'static Kernel {
    &KERNEL
}

pub(super) fn micros() -> u64 {
    KERNEL.now().as_micros()
}

impl core::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernel")
            .field("now", &self.now())
            .field("sleeps", &self.sleeps)
            .finish_non_exhaustive()
    }
}

impl Clock for Kernel {
    fn now(&self) -> Instant {
        let ticks = self.ticks();
        // Where a cycle is a whole number of nanoseconds the compiler leaves the rest out.
        let fraction = (ticks >> 32) * FRACTION + ((ticks & 0xffff_ffff) * FRACTION >> 32);
        Instant::from_nanos(ticks * NANOS + fraction)
    }
}

impl Timer for Kernel {
    fn wake_at(&self, at: Instant, waker: &Waker) {
        self.timers.insert(at, waker);
    }
}

impl Park for Kernel {
    fn waker(&self) -> Waker {
        // SAFETY: a waker without data: every function of its table works for any data and from anywhere.
        unsafe { Waker::from_raw(raw()) }
    }

    fn park(&self) {
        // Every task has given the processor back: that is the progress which the watchdog waits for.
        feed();
        let now = self.events();
        if self.woken.replace(false) {
            return;
        }
        self.report_stack(now);
        let ticks = cycles(self.idle(now));
        if let Some(alarm) = self.alarm.borrow_mut().as_mut() {
            alarm.clear();
            set(NVIC_ICPR, Selected::INTERRUPTS[0]);
            alarm.start(ticks);
        }
        self.sleeps.set(self.sleeps.get().wrapping_add(1));
        // SAFETY: sleeps until an enabled interrupt is pending, at once if one is.
        unsafe { asm!("dsb", "wfi", options(nostack)) };
        self.events();
        self.woken.set(false);
    }
}

impl Kernel {
    /// Cycles of the processor since the start.
    pub fn ticks(&self) -> u64 {
        // SAFETY: reads SysTick, which counts down.
        let counter = unsafe { SYST_CVR.read_volatile() };
        let mut clock = self.clock.get();
        let ticks = clock.read(0u32.wrapping_sub(counter));
        self.clock.set(clock);
        ticks
    }

    /// Nanoseconds until the next deadline.
    fn idle(&self, now: Instant) -> u64 {
        self.timers.next().map_or(u64::MAX, |at| at.as_nanos().saturating_sub(now.as_nanos()))
    }

    /// Says how deep the stack has been, when there is nothing else to do and it has become deeper; once a second at most.
    fn report_stack(&self, now: Instant) {
        if now < self.look_at.get() || self.idle(now) < 20_000_000 {
            return;
        }
        self.look_at.set(now + Duration::from_secs(1));
        let (used, size) = super::stack_use();
        if used > self.deepest.replace(used.max(self.deepest.get())) {
            defmt::info!("stack {=usize} of {=usize} bytes", used, size);
        }
    }

    /// Wakes whom the network controller and the clock have something for.
    fn events(&self) -> Instant {
        if pending(Selected::INTERRUPTS[1]) {
            // Until its driver arms it again the line must not keep the processor from sleep.
            set(NVIC_ICER, Selected::INTERRUPTS[1]);
            if let Some(waker) = self.net.take() {
                waker.wake();
            }
        }
        let now = self.now();
        self.timers.fire(now);
        now
    }

    /// How often the processor was sent to sleep.
    pub fn sleeps(&self) -> u32 {
        self.sleeps.get()
    }

    /// The network controller's interrupt line.
    pub fn net_line(&'static self) -> NetLine {
        NetLine(self)
    }
}

/// The interrupt line of the network controller.
#[derive(Debug)]
pub struct NetLine(&'static Kernel);

impl InterruptLine for NetLine {
    fn rearm(&self, waker: &Waker) {
        set(NVIC_ICPR, Selected::INTERRUPTS[1]);
        let old = self.0.net.take();
        self.0.net.set(Some(match old {
            Some(old) if old.will_wake(waker) => old,
            _ => waker.clone(),
        }));
        set(NVIC_ISER, Selected::INTERRUPTS[1]);
    }
}

const TABLE: RawWakerVTable =
    RawWakerVTable::new(|_| raw(), |_| KERNEL.woken.set(true), |_| KERNEL.woken.set(true), |_| ());

const fn raw() -> RawWaker {
    RawWaker::new(core::ptr::null(), &TABLE)
}
