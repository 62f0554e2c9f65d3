//! Time and sleep: the generic timer and the interrupt controller (GICv2).
use crate::{interrupt::InterruptLine, local::Local};
use airglow_device::{Clock, Instant, Timer};
use airglow_runtime::{FixedTimers, Park};
use core::{
    arch::asm,
    cell::Cell,
    task::{RawWaker, RawWakerVTable, Waker},
};

const DISTRIBUTOR: usize = 0x0800_0000;
const CPU_INTERFACE: usize = 0x0801_0000;
const GICD_CTLR: usize = 0x000;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_ISPENDR: usize = 0x200;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ITARGETSR: usize = 0x800;
const GICC_CTLR: usize = 0x000;
const GICC_PMR: usize = 0x004;

/// The virtual timer's interrupt.
const TIMER: u32 = 27;
/// Virtio slot 0's interrupt.
const VIRTIO: u32 = 48;
const SLOTS: usize = 32;
/// Tasks that sleep at once.
const SLEEPERS: usize = 64;

/// The platform's clock, timers and sleep.
pub struct Kernel {
    timers: FixedTimers<SLEEPERS>,
    woken: Cell<bool>,
    lines: [Cell<Option<Waker>>; SLOTS],
    sleeps: Cell<u32>,
}

static KERNEL: Local<Kernel> = Local::new(Kernel {
    timers: FixedTimers::new(),
    woken: Cell::new(false),
    lines: [const { Cell::new(None) }; SLOTS],
    sleeps: Cell::new(0),
});

impl core::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernel")
            .field("now", &self.now())
            .field("sleeps", &self.sleeps)
            .finish_non_exhaustive()
    }
}

fn write(base: usize, offset: usize, value: u32) {
    // SAFETY: registers of the interrupt controller, which is this module's alone.
    unsafe { ((base + offset) as *mut u32).write_volatile(value) }
}

fn enable(interrupt: u32) {
    let (word, bit) = (interrupt as usize / 32 * 4, 1 << (interrupt % 32));
    // SAFETY: byte-wide registers, one for each interrupt: highest priority, to this processor.
    unsafe {
        ((DISTRIBUTOR + GICD_IPRIORITYR + interrupt as usize) as *mut u8).write_volatile(0);
        ((DISTRIBUTOR + GICD_ITARGETSR + interrupt as usize) as *mut u8).write_volatile(1);
    }
    write(DISTRIBUTOR, GICD_ISENABLER + word, bit);
}

pub(super) fn start() -> &'static Kernel {
    write(DISTRIBUTOR, GICD_CTLR, 1);
    write(CPU_INTERFACE, GICC_PMR, 0xff);
    write(CPU_INTERFACE, GICC_CTLR, 1);
    enable(TIMER);
    &KERNEL
}

impl Clock for Kernel {
    fn now(&self) -> Instant {
        let (count, frequency): (u64, u64);
        // SAFETY: reads two system registers.
        unsafe {
            asm!("isb", "mrs {}, cntvct_el0", "mrs {}, cntfrq_el0", out(reg) count, out(reg) frequency, options(nostack));
        }
        let (seconds, rest) = (count / frequency, count % frequency);
        Instant::from_nanos(seconds * 1_000_000_000 + rest * 1_000_000_000 / frequency)
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
        let now = self.events();
        if self.woken.replace(false) {
            return;
        }
        self.set_alarm(self.timers.next().map(|at| at.since(now).as_nanos() as u64));
        self.sleeps.set(self.sleeps.get().wrapping_add(1));
        // SAFETY: sleeps until an interrupt is pending, at once if one is. Interrupts stay masked and are never
        // acknowledged: a level-sensitive one is pending exactly while its device asks.
        unsafe { asm!("dsb sy", "wfi", options(nostack)) };
        self.events();
        self.woken.set(false);
    }
}

impl Kernel {
    fn set_alarm(&self, nanos: Option<u64>) {
        let frequency: u64;
        // SAFETY: reads and writes the virtual timer's registers, which are this module's alone.
        unsafe {
            asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nostack, nomem));
            match nanos {
                Some(nanos) => {
                    let nanos = nanos.min(3600 * 1_000_000_000);
                    let ticks =
                        nanos / 1_000 * frequency / 1_000_000 + nanos % 1_000 * frequency / 1_000_000_000 + 1;
                    let now: u64;
                    asm!("isb", "mrs {}, cntvct_el0", out(reg) now, options(nostack));
                    asm!("msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", "isb", in(reg) now + ticks, in(reg) 1u64, options(nostack));
                }
                None => asm!("msr cntv_ctl_el0, xzr", "isb", options(nostack)),
            }
        }
    }

    /// Wakes whom the devices and the clock have something for.
    fn events(&self) -> Instant {
        // SAFETY: reads which interrupts are enabled and pending.
        let word = |index: usize| unsafe {
            let enabled = (DISTRIBUTOR + GICD_ISENABLER) as *const u32;
            let pending = (DISTRIBUTOR + GICD_ISPENDR) as *const u32;
            enabled.add(index).read_volatile() & pending.add(index).read_volatile()
        };
        // The virtio slots are bits 16 and up of the second word and below 16 of the third.
        let mut slots = word(1) >> 16 | word(2) << 16;
        while slots != 0 {
            let slot = slots.trailing_zeros();
            slots &= slots - 1;
            // Until its driver arms it again the line must not keep the processor from sleep.
            let interrupt = VIRTIO + slot;
            write(DISTRIBUTOR, GICD_ICENABLER + interrupt as usize / 32 * 4, 1 << (interrupt % 32));
            if let Some(waker) = self.lines.get(slot as usize).and_then(Cell::take) {
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

    /// The interrupt line of a virtio slot.
    pub fn line(&'static self, slot: usize) -> Option<Line> {
        Some(Line { waker: self.lines.get(slot)?, interrupt: VIRTIO + slot as u32 })
    }
}

/// The interrupt line of a virtio device.
#[derive(Clone)]
pub struct Line {
    waker: &'static Cell<Option<Waker>>,
    interrupt: u32,
}

impl core::fmt::Debug for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Line({})", self.interrupt)
    }
}

impl InterruptLine for Line {
    fn rearm(&self, waker: &Waker) {
        let old = self.waker.take();
        self.waker.set(Some(match old {
            Some(old) if old.will_wake(waker) => old,
            _ => waker.clone(),
        }));
        enable(self.interrupt);
    }
}

const TABLE: RawWakerVTable =
    RawWakerVTable::new(|_| raw(), |_| KERNEL.woken.set(true), |_| KERNEL.woken.set(true), |_| ());

const fn raw() -> RawWaker {
    RawWaker::new(core::ptr::null(), &TABLE)
}
