//! Arm's MPS2+ board with the FPGA image AN505: a Cortex-M33 with TrustZone, 20 MHz, 4 MiB for code, 4 MiB for data, a LAN9118 Ethernet
//! controller. Everything runs in the secure state, in which the processor starts, and so at the secure addresses of all devices. Logs go to UART 0,
//! 115200 baud.
use super::Board;
use crate::{
    driver::{Stages, cmsdk_timer::CmsdkTimer, cmsdk_uart::CmsdkUart, lan9118::Lan9118, watchdog::Watchdog},
    interrupt::InterruptLine,
    register::{Mmio, Registers},
};
use airglow_device::Timer;
use airglow_runtime::Park;

/// The board.
#[derive(Debug)]
pub struct An505;

type Dog = Mmio<0x5008_1000>;
/// The board's own registers; 0x5c counts cycles, 0x10 seconds.
type FpgaIo = Mmio<0x5030_2000>;

// SAFETY (all `Mmio` of this file): the addresses are those of the application note's memory map (DAI0505B); `Board`'s contract
// calls each constructor once, so each device has one driver.
impl Board for An505 {
    const NAME: &'static str = "mps2-an505";
    const HERTZ: u32 = 20_000_000;
    /// Timer 0, Ethernet.
    const INTERRUPTS: [u16; 2] = [3, 48];
    type Serial = CmsdkUart<Mmio<0x5020_0000>>;
    type Alarm = CmsdkTimer<Mmio<0x5000_0000>>;
    type Watchdog = fn();
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static> = Lan9118<'static, Mmio<0x5200_0000>, L>;

    fn start() {}
    fn serial() -> Self::Serial {
        CmsdkUart::new(unsafe { Mmio::new() }, Self::HERTZ, 115_200)
    }
    fn alarm() -> Self::Alarm {
        CmsdkTimer::new(unsafe { Mmio::new() })
    }
    fn watchdog() -> Self::Watchdog {
        let _ = Watchdog::start(unsafe { Dog::new() }, Self::HERTZ * 8);
        || Watchdog::running(unsafe { Dog::new() }, Self::HERTZ * 8).feed()
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
