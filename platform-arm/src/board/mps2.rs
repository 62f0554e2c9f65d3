//! Arm's MPS2 board with the FPGA images AN385 (Cortex-M3), AN386 (Cortex-M4) and AN500 (Cortex-M7): 25 MHz, 4 MiB for
//! code, 4 MiB for data, a LAN9118 Ethernet controller. Logs go to UART 0, 115200 baud.
//!
//! The images differ in their processor and in where the Ethernet controller is.
use super::Board;
use crate::{
    driver::{Stages, cmsdk_timer::CmsdkTimer, cmsdk_uart::CmsdkUart, lan9118::Lan9118, watchdog::Watchdog},
    interrupt::InterruptLine,
    register::{Mmio, Registers},
};
use airglow_device::Timer;
use airglow_runtime::Park;
use core::marker::PhantomData;

/// The image with the Ethernet controller at `ETHERNET`.
#[derive(Debug)]
pub struct Mps2<const ETHERNET: usize>(PhantomData<()>);

/// AN385 and AN386.
pub type An385 = Mps2<0x4020_0000>;
/// AN500.
pub type An500 = Mps2<0xa000_0000>;

/// The board's own registers; 0x5c counts 25 MHz cycles, 0x10 seconds.
type FpgaIo = Mmio<0x4002_8000>;

// SAFETY (all `Mmio` of this file): the addresses are those of the application notes' memory maps; `Board`'s contract
// calls each constructor once, so each device has one driver.
impl<const ETHERNET: usize> Board for Mps2<ETHERNET> {
    const NAME: &'static str = if ETHERNET == 0x4020_0000 { "mps2-an385/an386" } else { "mps2-an500" };
    const HERTZ: u32 = 25_000_000;
    /// Timer 0, Ethernet.
    const INTERRUPTS: [u16; 2] = [8, 13];
    type Serial = CmsdkUart<Mmio<0x4000_4000>>;
    type Alarm = CmsdkTimer<Mmio<0x4000_0000>>;
    type Watchdog = fn();
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static> = Lan9118<'static, Mmio<ETHERNET>, L>;

    fn start() {}
    fn serial() -> Self::Serial {
        CmsdkUart::new(unsafe { Mmio::new() }, Self::HERTZ, 115_200)
    }
    fn alarm() -> Self::Alarm {
        CmsdkTimer::new(unsafe { Mmio::new() })
    }
    fn watchdog() -> Self::Watchdog {
        let _ = Watchdog::start(unsafe { Mmio::<0x4000_8000>::new() }, Self::HERTZ * 8);
        || Watchdog::running(unsafe { Mmio::<0x4000_8000>::new() }, Self::HERTZ * 8).feed()
    }
    fn net<L: InterruptLine + 'static, K: Timer + Park + 'static>(
        line: L,
        _: &'static K,
        stages: &'static mut Stages,
    ) -> Option<Self::Net<L, K>> {
        Lan9118::new(unsafe { Mmio::new() }, line, stages, None).ok()
    }
    fn identity() -> [u32; 4] {
        let mut io = unsafe { FpgaIo::new() };
        [io.read(0x5c), io.read(0x10), io.read(0x14), io.read(0x18)]
    }
}
