//! The LM3S6965 evaluation board (TI, once Luminary Micro): Cortex-M3 at 50 MHz, 256 KiB flash, 64 KiB RAM, the MAC and its
//! PHY on the chip. The serial port is the board's virtual COM port, 115200 baud.
//!
//! Its factory stores the board's MAC address in USER_REG0 and USER_REG1, three bytes each.
use super::Board;
use crate::{
    driver::{
        Stages, gptm::Gptm, pl011::Pl011, pl022::Pl022Bus, stellaris_mac::StellarisMac, watchdog::Watchdog,
    },
    interrupt::InterruptLine,
    register::{Mmio, Registers},
    storage::sd::{SdCard, SdError},
};
use airglow_device::{Clock, MacAddr, Timer};
use airglow_runtime::Park;
use core::convert::Infallible;
use embedded_hal::digital::{ErrorType, OutputPin};

type SystemControl = Mmio<0x400f_e000>;
type GpioA = Mmio<0x4000_4000>;
type GpioD = Mmio<0x4000_7000>;
type GpioF = Mmio<0x4002_5000>;
/// The serial port that the card's slot and the display share.
type Ssi = Mmio<0x4000_8000>;

const DID0: usize = 0x000;
const DID1: usize = 0x004;
const RIS: usize = 0x050;
const RCC: usize = 0x060;
const RCGC0: usize = 0x100;
const RCGC1: usize = 0x104;
const RCGC2: usize = 0x108;
const USER_REG0: usize = 0x1e0;
const USER_REG1: usize = 0x1e4;

const GPIO_DIR: usize = 0x400;
const GPIO_AFSEL: usize = 0x420;
const GPIO_PUR: usize = 0x510;
const GPIO_DEN: usize = 0x51c;

const RCC_BYPASS: u32 = 1 << 11;
const RCC_PLL_DOWN: u32 = 1 << 13;
const RCC_USE_DIVIDER: u32 = 1 << 22;
/// 8 MHz crystal, main oscillator, both oscillators on.
const RCC_CRYSTAL: u32 = 0xe << 6;
/// 200 MHz divided by 4.
const RCC_DIVIDE_4: u32 = 3 << 23;
const RIS_PLL_LOCKED: u32 = 1 << 6;

/// The board.
#[derive(Debug)]
pub struct Lm3s6965Evb;

/// The card in the board's slot.
pub type Card<C> = SdCard<Pl022Bus<Ssi>, CardSelect, C, fn(&mut Pl022Bus<Ssi>, u32)>;

/// The select line of the slot: PD0.
#[derive(Debug)]
pub struct CardSelect(GpioD);

impl ErrorType for CardSelect {
    type Error = Infallible;
}
/// A port's data register is there once for each choice of its pins (data sheet section 9.2.1.2): this one is PD0 alone.
const PD0: usize = 1 << 2;
impl OutputPin for CardSelect {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.write(PD0, 0);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.write(PD0, 1);
        Ok(())
    }
}

/// Starts the card in the slot.
///
/// # Errors
/// [`SdError`]; [`SdError::Absent`] from the second call on: whoever has the card keeps it.
pub async fn sd_card<C: Clock>(clock: C) -> Result<Card<C>, SdError> {
    static TAKEN: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);
    // Loaded and stored apart: one core, no interrupts, and a Cortex-M0 has no more.
    use core::sync::atomic::Ordering::Relaxed;
    if TAKEN.load(Relaxed) {
        return Err(SdError::Absent);
    }
    TAKEN.store(true, Relaxed);
    let mut control = system_control();
    // SSI 0, GPIO D.
    control.modify(RCGC1, |v| v | 1 << 4);
    control.modify(RCGC2, |v| v | 1 << 3);
    control.read(RCGC2);
    // PA2 clock, PA4 in with the pull-up that a card's output asks for, PA5 out; PA3, which selects the display, stays high.
    let mut port_a = unsafe { GpioA::new() };
    port_a.write(1 << 3 << 2, 1 << 3);
    port_a.modify(GPIO_DIR, |v| v | 1 << 3);
    port_a.modify(GPIO_AFSEL, |v| v & !(1 << 3) | 0b11_0100);
    port_a.modify(GPIO_PUR, |v| v | 1 << 4);
    port_a.modify(GPIO_DEN, |v| v | 0b11_1100);
    let mut select = CardSelect(unsafe { GpioD::new() });
    let Ok(()) = select.set_high();
    select.0.modify(GPIO_DIR, |v| v | 1);
    select.0.modify(GPIO_DEN, |v| v | 1);
    let bus = Pl022Bus::new(unsafe { Ssi::new() }, Lm3s6965Evb::HERTZ, 100_000);
    let speed: fn(&mut Pl022Bus<Ssi>, u32) = |bus, hertz| bus.set_speed(Lm3s6965Evb::HERTZ, hertz);
    SdCard::start(bus, select, clock, speed).await
}

// SAFETY (all `Mmio` of this file): the addresses are those of chapter 3 of the data sheet; `Board`'s contract
// calls each constructor once, so each device has one driver.
fn system_control() -> SystemControl {
    unsafe { Mmio::new() }
}

impl Board for Lm3s6965Evb {
    const NAME: &'static str = "lm3s6965evb";
    const HERTZ: u32 = 50_000_000;
    /// Timer 0A, Ethernet.
    const INTERRUPTS: [u16; 2] = [19, 42];
    type Serial = Pl011<Mmio<0x4000_c000>>;
    type Alarm = Gptm<Mmio<0x4003_0000>>;
    type Watchdog = fn();
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static> =
        StellarisMac<'static, Mmio<0x4004_8000>, L>;

    fn start() {
        let mut control = system_control();
        // Data sheet section 6.1.5: bypass the PLL, set it up, wait for its lock, use it.
        control.modify(RCC, |v| v & !RCC_USE_DIVIDER | RCC_BYPASS);
        let slow = RCC_BYPASS | RCC_CRYSTAL | RCC_DIVIDE_4 | RCC_USE_DIVIDER;
        control.write(RCC, slow);
        if control.wait(RIS, 100_000, |v| v & RIS_PLL_LOCKED != 0) {
            control.write(RCC, slow & !RCC_BYPASS);
        }
        debug_assert!(slow & RCC_PLL_DOWN == 0);
        // Clocks: the watchdog; UART 0 and timer 0; GPIO A and F, MAC, PHY.
        control.modify(RCGC0, |v| v | 1 << 3);
        control.modify(RCGC1, |v| v | 1 << 16 | 1);
        control.modify(RCGC2, |v| v | 1 << 30 | 1 << 28 | 1 << 5 | 1);
        // A clock needs a moment before its device may be touched; reading back is one.
        control.read(RCGC2);
        let mut port_a = unsafe { GpioA::new() };
        port_a.modify(GPIO_AFSEL, |v| v | 3);
        port_a.modify(GPIO_DEN, |v| v | 3);
        // The PHY's two lights.
        let mut port_f = unsafe { GpioF::new() };
        port_f.modify(GPIO_AFSEL, |v| v | 0b1100);
        port_f.modify(GPIO_DEN, |v| v | 0b1100);
    }
    fn serial() -> Self::Serial {
        Pl011::new(unsafe { Mmio::new() }, Self::HERTZ, 115_200)
    }
    fn alarm() -> Self::Alarm {
        Gptm::new(unsafe { Mmio::new() })
    }
    fn watchdog() -> Self::Watchdog {
        let _ = Watchdog::start(unsafe { Mmio::<0x4000_0000>::new() }, Self::HERTZ * 8);
        || Watchdog::running(unsafe { Mmio::<0x4000_0000>::new() }, Self::HERTZ * 8).feed()
    }
    fn net<L: InterruptLine + 'static, K: Timer + Park + 'static>(
        line: L,
        _: &'static K,
        stages: &'static mut Stages,
    ) -> Option<Self::Net<L, K>> {
        let mut control = system_control();
        let [a, b, c, _] = control.read(USER_REG0).to_le_bytes();
        let [d, e, f, _] = control.read(USER_REG1).to_le_bytes();
        let mut mac = MacAddr([a, b, c, d, e, f]);
        if !mac.is_unicast() {
            // A board whose registers were never programmed: a locally administered address.
            mac = MacAddr([2, b'l', b'm', b'3', b's', 1]);
        }
        Some(StellarisMac::new(unsafe { Mmio::new() }, line, stages, mac, 9))
    }
    fn identity() -> [u32; 4] {
        let mut control = system_control();
        [DID0, DID1, USER_REG0, USER_REG1].map(|register| control.read(register))
    }
}
