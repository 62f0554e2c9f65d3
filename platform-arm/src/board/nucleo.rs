//! ST's Nucleo-144 boards with an STM32F429ZI (Cortex-M4) or an STM32H743ZI (Cortex-M7): the chip's own Ethernet controller through
//! `embassy-stm32`, a LAN8742A as PHY. Logs go to USART 3, which the board's debugger passes on as a serial port over USB, 115200 baud.
//!
//! The two differ in their clocks, in the memory that the controller reaches, and in the place of a few registers.
use super::Board;
use crate::{
    driver::{Serial, Stages, stm32_timer::Stm32Timer},
    embassy::{Adapted, Rx, Shared, Tx},
    entropy::{Generator, Strength},
    interrupt::InterruptLine,
    local::Once,
    register::{Mmio, Registers},
};
use airglow_device::{Caps, Entropy, LinkState, MacAddr, NetDevice, NetStats, Timer};
use airglow_runtime::Park;
use core::{
    mem::MaybeUninit,
    task::{Context, Poll},
};
use embassy_stm32::{
    Config, Peripherals, bind_interrupts,
    eth::{self, Ethernet, GenericPhy, PacketQueue, Sma},
    interrupt::typelevel::Handler,
    mode::Blocking,
    peripherals::{ETH, ETH_SMA, RNG, TIM2},
    rcc, rng,
    usart::{self, UartTx},
};

const H743: bool = cfg!(board = "nucleo-h743zi");

/// TIM2 counts half the processor's clock on both chips.
const TIMER_DIVIDER: u32 = 2;

type IndependentWatchdog = Mmio<{ if H743 { 0x5800_4800 } else { 0x4000_3000 } }>;
const KEY: usize = 0x00;
const PRESCALER: usize = 0x04;
const RELOAD: usize = 0x08;

/// The status of the controller's DMA, and its bits for frames sent and received.
type EthernetDma = Mmio<{ if H743 { 0x4002_9160 } else { 0x4002_9014 } }>;
const SENT_OR_RECEIVED: u32 = 1 << 0 | 1 << 6;

/// The chip's 96-bit identity.
type UniqueId = Mmio<{ if H743 { 0x1ff1_e800 } else { 0x1fff_7a10 } }>;

#[cfg(board = "nucleo-f429zi")]
bind_interrupts!(struct Interrupts {
    ETH => eth::InterruptHandler;
    HASH_RNG => rng::InterruptHandler<RNG>;
});
#[cfg(board = "nucleo-h743zi")]
bind_interrupts!(struct Interrupts {
    ETH => eth::InterruptHandler;
    RNG => rng::InterruptHandler<RNG>;
});

/// 168 MHz from the debugger's 8 MHz, 48 MHz for the generator of random bits.
#[cfg(board = "nucleo-f429zi")]
fn clocks(config: &mut rcc::Config) {
    config.hse = Some(rcc::Hse { freq: embassy_stm32::time::Hertz(8_000_000), mode: rcc::HseMode::Bypass });
    config.pll_src = rcc::PllSource::HSE;
    config.pll = Some(rcc::Pll {
        prediv: rcc::PllPreDiv::DIV4,
        mul: rcc::PllMul::MUL168,
        divp: Some(rcc::PllPDiv::DIV2),
        divq: Some(rcc::PllQDiv::DIV7),
        divr: None,
    });
    config.ahb_pre = rcc::AHBPrescaler::DIV1;
    config.apb1_pre = rcc::APBPrescaler::DIV4;
    config.apb2_pre = rcc::APBPrescaler::DIV2;
    config.sys = rcc::Sysclk::PLL1_P;
}

/// 400 MHz from the chip's own 64 MHz; buses at 200 and 100 MHz.
#[cfg(board = "nucleo-h743zi")]
fn clocks(config: &mut rcc::Config) {
    config.pll1 = Some(rcc::Pll {
        source: rcc::PllSource::HSI,
        prediv: rcc::PllPreDiv::DIV4,
        mul: rcc::PllMul::MUL50,
        fracn: None,
        divp: Some(rcc::PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.sys = rcc::Sysclk::PLL1_P;
    config.ahb_pre = rcc::AHBPrescaler::DIV2;
    config.apb1_pre = rcc::APBPrescaler::DIV2;
    config.apb2_pre = rcc::APBPrescaler::DIV2;
    config.apb3_pre = rcc::APBPrescaler::DIV2;
    config.apb4_pre = rcc::APBPrescaler::DIV2;
    config.voltage_scale = rcc::VoltageScale::Scale1;
}

/// The chip's peripherals.
// SAFETY: each function of this file takes other ones, and `Board`'s contract calls each once, after `start`.
fn peripherals() -> Peripherals {
    unsafe { Peripherals::steal() }
}

/// The port to the debugger.
pub struct Usart3(UartTx<'static, Blocking>);

impl Serial for Usart3 {
    fn put(&mut self, byte: u8) {
        let _ = self.0.blocking_write(&[byte]);
    }
}

type Driver = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

/// The Ethernet controller. Its interrupt ends the processor's sleep; the handler is called from here, see [`interrupt`](crate::interrupt).
pub struct Controller<L, K: 'static> {
    device: Adapted<'static, Driver, &'static K>,
    line: L,
}

impl<L: InterruptLine, K: Timer> NetDevice for Controller<L, K> {
    type Rx = Rx<'static, Driver>;
    type Tx = Tx<'static, Driver>;
    fn caps(&self) -> Caps {
        self.device.caps()
    }
    fn mac(&self) -> MacAddr {
        self.device.mac()
    }
    fn link(&self) -> LinkState {
        self.device.link()
    }
    fn stats(&self) -> NetStats {
        self.device.stats()
    }
    fn split(&mut self) -> (&mut Self::Rx, &mut Self::Tx) {
        self.device.split()
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        self.line.rearm(cx.waker());
        // SAFETY: reads the status register only.
        if unsafe { EthernetDma::new() }.read(0) & SENT_OR_RECEIVED != 0 {
            // SAFETY: what the handler does, clearing the status and waking, may be done anywhere; nothing interrupts it here.
            unsafe { <eth::InterruptHandler as Handler<_>>::on_interrupt() };
        }
        self.device.poll_ready(cx, want_tx)
    }
}

/// The board.
#[derive(Debug)]
pub struct Nucleo;

// SAFETY (all `Mmio` of this file): the addresses are those of the reference manuals RM0090 and RM0433.
impl Board for Nucleo {
    const NAME: &'static str = if H743 { "nucleo-h743zi" } else { "nucleo-f429zi" };
    const HERTZ: u32 = if H743 { 400_000_000 } else { 168_000_000 };
    /// TIM2, Ethernet.
    const INTERRUPTS: [u16; 2] = [28, 61];
    type Serial = Usart3;
    type Alarm = Stm32Timer<Mmio<0x4000_0000>>;
    type Watchdog = fn();
    type Net<L: InterruptLine + 'static, K: Timer + Park + 'static> = Controller<L, K>;

    fn start() {
        let mut config = Config::default();
        clocks(&mut config.rcc);
        let _ = embassy_stm32::init(config);
    }
    fn serial() -> Self::Serial {
        let p = peripherals();
        let port = UartTx::new_blocking(p.USART3, p.PD8, usart::Config::default());
        Usart3(port.unwrap_or_else(|_| crate::cortex_m::reset()))
    }
    fn alarm() -> Self::Alarm {
        rcc::enable_and_reset::<TIM2>();
        Stm32Timer::new(unsafe { Mmio::new() }, TIMER_DIVIDER)
    }
    /// 32 kHz / 256 * 1000: eight seconds.
    fn watchdog() -> Self::Watchdog {
        let mut watchdog = unsafe { IndependentWatchdog::new() };
        watchdog.write(KEY, 0xcccc);
        watchdog.write(KEY, 0x5555);
        watchdog.write(PRESCALER, 6);
        watchdog.write(RELOAD, 1000);
        || unsafe { IndependentWatchdog::new() }.write(KEY, 0xaaaa)
    }
    fn net<L: InterruptLine + 'static, K: Timer + Park + 'static>(
        line: L,
        kernel: &'static K,
        stages: &'static mut Stages,
    ) -> Option<Self::Net<L, K>> {
        static QUEUE: Once<MaybeUninit<PacketQueue<4, 4>>> = Once::new(MaybeUninit::uninit());
        static SHARED: Once<MaybeUninit<Shared<Driver>>> = Once::new(MaybeUninit::uninit());
        let queue = QUEUE.take()?.write(PacketQueue::new());
        let p = peripherals();
        let driver = Ethernet::new(
            queue,
            p.ETH,
            Interrupts,
            p.PA1,
            p.PA7,
            p.PC4,
            p.PC5,
            p.PG13,
            p.PB13,
            p.PG11,
            address(),
            p.ETH_SMA,
            p.PA2,
            p.PC1,
        );
        let shared: &'static Shared<Driver> = SHARED.take()?.write(Shared::new(driver));
        Some(Controller { device: Adapted::new(shared, stages, kernel).ok()?, line })
    }
    fn random(out: &mut [u8; 32]) -> bool {
        rng::Rng::new(peripherals().RNG, Interrupts).fill_bytes(out);
        true
    }
    fn identity() -> [u32; 4] {
        let mut id = unsafe { UniqueId::new() };
        [id.read(0), id.read(4), id.read(8), 0]
    }
}

/// A locally administered address that comes from the chip's identity.
fn address() -> [u8; 6] {
    let identity = Nucleo::identity().map(u32::to_le_bytes);
    let mut address = [2; 6];
    let generator = Generator::new([identity.as_flattened(), b"address"], Strength::Image);
    if let Some(rest) = address.get_mut(1..) {
        generator.for_the_stack().fill(rest);
    }
    address
}
