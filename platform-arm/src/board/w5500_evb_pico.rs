//! WIZnet's W5500-EVB-Pico (RP2040) and W5500-EVB-Pico2 (RP2350): the Raspberry Pi Pico's circuit with a W5500 on SPI 0. Logs go to
//! UART 0, pins 0 and 1, 115200 baud.
//!
//! The two chips have the same devices; where their registers and bits lie differs, and is in [`Chip`]. Sections named here are of the
//! RP2040's data sheet.
use super::Board;
use crate::{
    driver::{Stages, pl011::Pl011, pl022::Pl022, rp2_timer::Rp2Timer},
    embassy::{Adapted, Shared},
    entropy::{Generator, Strength},
    interrupt::InterruptLine,
    local::{Once, Runner},
    parameters,
    register::{MmioAt, Registers},
    spi::GuardedW5500,
};
use airglow_device::{Entropy, Timer};
use airglow_runtime::{Park, block_on};
use core::{
    cell::Cell,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};
use embassy_net_wiznet::{Device, State, chip::W5500};
use embedded_hal::digital::{ErrorType, OutputPin};

const HERTZ: u32 = 125_000_000;
const CRYSTAL: u32 = 12_000_000;
/// The W5500 takes 33 MHz at any voltage.
const SPI_HERTZ: u32 = 33_000_000;

// Pins of the board.
const UART_TX: usize = 0;
const UART_RX: usize = 1;
const MISO: usize = 16;
const SELECT: usize = 17;
const CLOCK: usize = 18;
const MOSI: usize = 19;
const RESET: usize = 20;
const INTERRUPT: usize = 21;

// Functions of pins.
const SPI: u32 = 1;
const UART: u32 = 2;
const SIO: u32 = 5;

/// Where a chip has its devices.
struct Chip {
    clocks: usize,
    resets: usize,
    psm: usize,
    io: usize,
    pads: usize,
    xosc: usize,
    pll: usize,
    uart: usize,
    spi: usize,
    timer: usize,
    timer_intr: usize,
    watchdog: usize,
    rosc: usize,
    /// GPIO_OUT_SET, GPIO_OUT_CLR, GPIO_OE_SET, GPIO_OE_CLR.
    sio: [usize; 4],
    /// PROC0_INTE0.
    inte: usize,
    /// Bits in RESETS: I/O bank and its pads, PLL, SPI 0, timer, UART 0, random bits where there is a generator.
    reset_io: u32,
    reset_pll: u32,
    reset_rest: u32,
    /// What a running watchdog resets: all but the oscillators.
    watchdog_resets: u32,
    /// Microsecond ticks: registers of the timer's and the watchdog's generator, and what is written there.
    ticks: &'static [(usize, u32)],
}

#[cfg(board = "w5500-evb-pico")]
const CHIP: Chip = Chip {
    clocks: 0x4000_8000,
    resets: 0x4000_c000,
    psm: 0x4001_0000,
    io: 0x4001_4000,
    pads: 0x4001_c000,
    xosc: 0x4002_4000,
    pll: 0x4002_8000,
    uart: 0x4003_4000,
    spi: 0x4003_c000,
    timer: 0x4005_4000,
    timer_intr: Rp2Timer::<MmioAt>::INTR_RP2040,
    watchdog: 0x4005_8000,
    rosc: 0x4006_0000,
    sio: [0x14, 0x18, 0x24, 0x28],
    inte: 0x100,
    reset_io: 1 << 5 | 1 << 8,
    reset_pll: 1 << 12,
    reset_rest: 1 << 16 | 1 << 21 | 1 << 22,
    watchdog_resets: 0x1_fffc,
    ticks: &[(0x4005_802c, 1 << 9 | CRYSTAL / 1_000_000)],
};

#[cfg(board = "w5500-evb-pico2")]
const CHIP: Chip = Chip {
    clocks: 0x4001_0000,
    resets: 0x4002_0000,
    psm: 0x4001_8000,
    io: 0x4002_8000,
    pads: 0x4003_8000,
    xosc: 0x4004_8000,
    pll: 0x4005_0000,
    uart: 0x4007_0000,
    spi: 0x4008_0000,
    timer: 0x400b_0000,
    timer_intr: Rp2Timer::<MmioAt>::INTR_RP2350,
    watchdog: 0x400d_8000,
    rosc: 0x400e_8000,
    sio: [0x18, 0x20, 0x38, 0x40],
    inte: 0x248,
    reset_io: 1 << 6 | 1 << 9,
    reset_pll: 1 << 14,
    reset_rest: 1 << 18 | 1 << 23 | 1 << 25 | 1 << 26,
    watchdog_resets: 0x1ff_fff3,
    ticks: &[
        (0x4010_801c, CRYSTAL / 1_000_000),
        (0x4010_8018, 1),
        (0x4010_8034, CRYSTAL / 1_000_000),
        (0x4010_8030, 1),
    ],
};

const SIO_BASE: usize = 0xd000_0000;
const GPIO_IN: usize = 0x04;
const PATIENCE: u32 = 1_000_000;

// SAFETY (all `at` of this file): the addresses are those of the data sheets' memory maps; `Board`'s contract calls each constructor once, so
// each device has one driver. SIO's registers set and clear bits one by one, so that each pin can have its own.
fn at(base: usize) -> MmioAt {
    unsafe { MmioAt::new(base) }
}

/// Gives a pin its function; with a pull-up where `high`.
fn pin(number: usize, function: u32, high: bool) {
    // Input on, 4 mA, Schmitt trigger, not isolated (a bit that only the RP2350 has).
    let pull = if high { 1 << 3 } else { 0 };
    at(CHIP.pads).write(4 + 4 * number, 1 << 6 | 1 << 4 | pull | 1 << 1);
    at(CHIP.io).write(8 * number + 4, function);
}

/// Lets devices out of their reset (section 2.14).
fn release(bits: u32) {
    let mut resets = at(CHIP.resets);
    resets.modify(0, |v| v & !bits);
    resets.wait(8, PATIENCE, |done| done & bits == bits);
}

/// An output.
#[derive(Debug)]
pub struct Output(u32);

impl Output {
    fn new(number: usize, high: bool) -> Self {
        let mut output = Self(1 << number);
        let Ok(()) = output.set_state(high.into());
        at(SIO_BASE).write(CHIP.sio[2], output.0);
        pin(number, SIO, false);
        output
    }
}
impl ErrorType for Output {
    type Error = Infallible;
}
impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), Infallible> {
        at(SIO_BASE).write(CHIP.sio[1], self.0);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        at(SIO_BASE).write(CHIP.sio[0], self.0);
        Ok(())
    }
}

/// An input that can be waited for to be low.
#[derive(Debug)]
pub struct Input<L> {
    number: usize,
    line: L,
}

impl<L: InterruptLine> Input<L> {
    fn new(number: usize, line: L) -> Self {
        at(SIO_BASE).write(CHIP.sio[3], 1 << number);
        pin(number, SIO, true);
        // Four bits a pin, eight pins a register; the first of the four: as long as it is low. Nothing to acknowledge.
        at(CHIP.io).modify(CHIP.inte + number / 8 * 4, |v| v | 1 << (number % 8 * 4));
        Self { number, line }
    }
    fn low(&self) -> bool {
        at(SIO_BASE).read(GPIO_IN) >> self.number & 1 == 0
    }
}
impl<L> ErrorType for Input<L> {
    type Error = Infallible;
}
impl<L: InterruptLine> embedded_hal_async::digital::Wait for Input<L> {
    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx| {
            if self.low() {
                return Poll::Ready(Ok(()));
            }
            self.line.rearm(cx.waker());
            if self.low() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
    /// Never: only the low level has an interrupt here.
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        core::future::pending().await
    }
    /// Never.
    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        core::future::pending().await
    }
    /// The level: a line that is low already counts as one that falls.
    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        self.wait_for_low().await
    }
    /// Never.
    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        core::future::pending().await
    }
}

/// The board.
#[derive(Debug)]
pub struct W5500EvbPico;
/// The board.
pub type W5500EvbPico2 = W5500EvbPico;

/// Frames that wait in memory, in each direction.
type Queues = State<4, 2>;
/// Memory of the W5500 driver's background task.
const RUNNER: usize = 512;

/// Told when the guard had to bring the chip back.
static MENDED: Once<Cell<u32>> = Once::new(Cell::new(0));

impl Board for W5500EvbPico {
    const NAME: &'static str =
        if cfg!(board = "w5500-evb-pico") { "w5500-evb-pico" } else { "w5500-evb-pico2" };
    const HERTZ: u32 = HERTZ;
    /// The timer's first alarm, the pins.
    const INTERRUPTS: [u16; 2] = [0, if cfg!(board = "w5500-evb-pico") { 13 } else { 21 }];
    type Serial = Pl011<MmioAt>;
    type Alarm = Rp2Timer<MmioAt>;
    type Watchdog = fn();
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static> =
        Adapted<'static, Device<'static>, &'static K, Pin<&'static mut dyn Future<Output = Infallible>>>;

    fn start() {
        let (mut clocks, mut pll, mut xosc) = (at(CHIP.clocks), at(CHIP.pll), at(CHIP.xosc));
        // Section 2.15: off the PLL, which an earlier start may have left running, then the crystal, the PLL, back onto it.
        clocks.modify(0x3c, |v| v & !1);
        clocks.wait(0x44, PATIENCE, |v| v == 1);
        clocks.write(0x30, 0);
        clocks.wait(0x38, PATIENCE, |v| v == 1);
        at(CHIP.resets).modify(0, |v| v | CHIP.reset_pll);
        release(CHIP.reset_pll);
        xosc.write(0x0c, CRYSTAL / 1000 / 256);
        xosc.write(0x00, 0xfab << 12 | 0xaa0);
        xosc.wait(0x04, PATIENCE, |v| v >> 31 == 1);
        clocks.write(0x30, 2);
        clocks.wait(0x38, PATIENCE, |v| v == 1 << 2);
        // 12 MHz * 125 / 6 / 2.
        pll.write(0x00, 1);
        pll.write(0x08, 125);
        pll.write(0x04, 1 << 3 | 1 << 2);
        pll.wait(0x00, PATIENCE, |v| v >> 31 == 1);
        pll.write(0x0c, 6 << 16 | 2 << 12);
        pll.write(0x04, 1 << 2);
        clocks.write(0x3c, 0);
        clocks.modify(0x3c, |v| v | 1);
        clocks.wait(0x44, PATIENCE, |v| v == 1 << 1);
        // Peripherals run with the processor.
        clocks.write(0x48, 1 << 11);
        for &(register, value) in CHIP.ticks {
            at(register).write(0, value);
        }
        release(CHIP.reset_io | CHIP.reset_rest);
    }
    fn serial() -> Self::Serial {
        pin(UART_TX, UART, true);
        pin(UART_RX, UART, true);
        Pl011::new(at(CHIP.uart), HERTZ, 115_200)
    }
    fn alarm() -> Self::Alarm {
        Rp2Timer::new(at(CHIP.timer), CHIP.timer_intr, HERTZ / 1_000_000)
    }
    /// The longest time of both chips: 8 seconds on an RP2040, which counts two a microsecond (erratum E1), 16 on an RP2350.
    fn watchdog() -> Self::Watchdog {
        let feed = || at(CHIP.watchdog).write(0x04, 0xff_ffff);
        at(CHIP.psm).write(0x08, CHIP.watchdog_resets);
        feed();
        at(CHIP.watchdog).modify(0x00, |v| v | 1 << 30);
        feed
    }
    fn net<L: InterruptLine + 'static, K: Timer + Park + 'static>(
        line: L,
        kernel: &'static K,
        stages: &'static mut Stages,
    ) -> Option<Self::Net<L, K>> {
        static QUEUES: Once<Queues> = Once::new(Queues::new());
        static SHARED: Once<Option<Shared<Device<'static>>>> = Once::new(None);
        static MEMORY: Runner<RUNNER> = Runner::new();
        [MISO, CLOCK, MOSI].into_iter().for_each(|number| pin(number, SPI, false));
        let bus = Pl022::new(at(CHIP.spi), Output::new(SELECT, true), HERTZ, SPI_HERTZ);
        let bus = GuardedW5500::new(bus, MENDED.take()?);
        let (interrupt, reset) = (Input::new(INTERRUPT, line), Output::new(RESET, true));
        let made =
            embassy_net_wiznet::new::<4, 2, W5500, _, _, _>(address(), QUEUES.take()?, bus, interrupt, reset);
        let (device, runner) = block_on(kernel, made).ok()?;
        let shared = SHARED.take()?.insert(Shared::new(device));
        let runner = MEMORY.place(async {
            runner.run().await;
        });
        Some(Adapted::new(shared, stages, kernel).ok()?.with_runner(runner?))
    }
    /// The RP2350 has a generator (data sheet section 12.12); its own tests of what it makes stay on.
    fn random(out: &mut [u8; 32]) -> bool {
        cfg!(board = "w5500-evb-pico2") && generate(out)
    }
    /// Bits of the ring oscillator, which do not suffice for secrets (section 2.17.5).
    fn identity() -> [u32; 4] {
        core::array::from_fn(|_| (0..32).fold(0, |bits, _| bits << 1 | at(CHIP.rosc).read(0x1c) & 1))
    }
}

/// A locally administered address that comes from the seed in the image: an image on two boards would give both the same.
fn address() -> [u8; 6] {
    let mut address = [2; 6];
    let generator = Generator::new([&parameters::seed()[..], b"address"], Strength::Image);
    if let Some(rest) = address.get_mut(1..) {
        generator.for_the_stack().fill(rest);
    }
    address
}

/// Fills `out` from the generator of an RP2350.
fn generate(out: &mut [u8; 32]) -> bool {
    const ISR: usize = 0x104;
    let mut generator = at(0x400f_0000);
    for block in out.chunks_mut(16) {
        // Reset, the shortest chain of inverters, a sample every 25 cycles, all tests on, go.
        generator.write(0x140, 1);
        generator.read(0x140);
        generator.write(0x10c, 0);
        generator.write(0x130, 25);
        generator.write(0x138, 0);
        generator.write(0x12c, 1);
        let valid = generator.wait(ISR, PATIENCE, |v| v != 0) && generator.read(ISR) & 0xf == 1;
        if !valid {
            return false;
        }
        for (index, word) in block.chunks_mut(4).enumerate() {
            word.copy_from_slice(&generator.read(0x114 + 4 * index).to_le_bytes());
        }
        generator.write(0x12c, 0);
    }
    true
}

/// The second stage of the RP2040's boot, which makes the flash readable.
#[cfg(board = "w5500-evb-pico")]
#[used]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// What the RP2350's boot program looks for (its data sheet, section 5.9.5): an Arm image, secure, nothing signed.
#[cfg(board = "w5500-evb-pico2")]
#[used]
#[unsafe(link_section = ".start_block")]
static IMAGE_DEF: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];
