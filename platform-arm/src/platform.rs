//! From the entry point to the application: the stack in statics, the platform it is handed, its end.
#[cfg(has_flash)]
use crate::storage::flash::FlashDisk;
use crate::{
    entropy::{Generator, Strength},
    local::Once,
    machine::{self, Kernel, Net},
    parameters,
    storage::seed::{self, SeedError},
};
use airglow_device::{BlockDevice, Clock, Entropy, Parameters, Platform, WallClock};
use airglow_net::{InterfaceConfig, Stack, StackMemory};
use airglow_runtime::block_on;
use core::{
    fmt::Display,
    future::{Future, poll_fn},
    mem::MaybeUninit,
    pin::pin,
    time::Duration,
};
#[cfg(has_flash)]
use embedded_storage::nor_flash::NorFlash;

/// The memory of a board's stack, in a `static` of the application, which so chooses the sizes.
///
/// `CONNECTIONS` TCP connections with `RX` bytes of receive and `TX` bytes of send buffer each; pages that lie in flash
/// are sent from there and need no send buffer. `SOCKETS` UDP sockets with a queue of `DATAGRAMS` bytes each.
pub struct NetMemory<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const NEIGHBORS: usize,
> {
    tables: Once<Tables<SOCKETS, DATAGRAMS, NEIGHBORS>>,
    connections: Once<Connections<CONNECTIONS, RX, TX>>,
    stack: Once<MaybeUninit<NetStack<CONNECTIONS, RX, TX>>>,
}

type Tables<const SOCKETS: usize, const DATAGRAMS: usize, const NEIGHBORS: usize> =
    StackMemory<1, 4, NEIGHBORS, 5, SOCKETS, DATAGRAMS, 1>;

type Connections<const CONNECTIONS: usize, const RX: usize, const TX: usize> =
    airglow_net::tcp::Fixed<CONNECTIONS, RX, TX, 2>;

/// The stack of a board.
pub type NetStack<const CONNECTIONS: usize, const RX: usize, const TX: usize> =
    Stack<'static, Net, &'static Kernel, &'static mut Connections<CONNECTIONS, RX, TX>>;

impl<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const NEIGHBORS: usize,
> core::fmt::Debug for NetMemory<CONNECTIONS, RX, TX, SOCKETS, DATAGRAMS, NEIGHBORS>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NetMemory")
    }
}

impl<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const NEIGHBORS: usize,
> Default for NetMemory<CONNECTIONS, RX, TX, SOCKETS, DATAGRAMS, NEIGHBORS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const NEIGHBORS: usize,
> NetMemory<CONNECTIONS, RX, TX, SOCKETS, DATAGRAMS, NEIGHBORS>
{
    /// Unused.
    pub const fn new() -> Self {
        Self {
            tables: Once::new(Tables::new()),
            connections: Once::new(Connections::new()),
            stack: Once::new(MaybeUninit::uninit()),
        }
    }
}

/// The sizes that [`main!`](crate::main) takes: on a Cortex-M board four connections, elsewhere 32.
#[cfg(target_arch = "arm")]
pub type DefaultMemory = NetMemory<4, 1460, 512, 1, 640, 8>;
/// The sizes that [`main!`](crate::main) takes: on a Cortex-M board four connections, elsewhere 32.
#[cfg(not(target_arch = "arm"))]
pub type DefaultMemory = NetMemory<32, 32768, 16384, 4, 65536, 64>;

/// What an application is handed.
pub struct ArmPlatform<const CONNECTIONS: usize, const RX: usize, const TX: usize> {
    stack: &'static NetStack<CONNECTIONS, RX, TX>,
    kernel: &'static Kernel,
    wall_clock: machine::Calendar,
    generator: Generator,
    parameters: Parameters<'static>,
}

impl<const CONNECTIONS: usize, const RX: usize, const TX: usize> Platform
    for ArmPlatform<CONNECTIONS, RX, TX>
{
    type Tcp = NetStack<CONNECTIONS, RX, TX>;
    type Udp = NetStack<CONNECTIONS, RX, TX>;
    type Timer = Kernel;
    type WallClock = machine::Calendar;
    type Entropy = Generator;

    fn tcp(&self) -> &Self::Tcp {
        self.stack
    }
    fn udp(&self) -> &Self::Udp {
        self.stack
    }
    fn timer(&self) -> &Kernel {
        self.kernel
    }
    fn wall_clock(&self) -> &machine::Calendar {
        &self.wall_clock
    }
    fn entropy(&self) -> &Generator {
        &self.generator
    }
    fn parameters(&self) -> &Parameters<'_> {
        &self.parameters
    }
}

impl<const CONNECTIONS: usize, const RX: usize, const TX: usize> ArmPlatform<CONNECTIONS, RX, TX> {
    /// Makes the entropy of a board without a hardware generator fit for secrets, by a seed that is kept in `sectors` of `disk`.
    /// `buffer` is one sector long.
    ///
    /// # Errors
    /// [`SeedError`]; then the entropy stays as it was.
    pub async fn keep_seed<B: BlockDevice>(
        &self,
        disk: &mut B,
        sectors: [u64; 2],
        buffer: &mut [u8],
    ) -> Result<(), SeedError<B::Error>> {
        let now = self.kernel.now().as_nanos().to_le_bytes();
        let mut stir = [0; 32];
        self.generator.for_the_stack().fill(&mut stir);
        self.generator.stir(&now);
        let seed = seed::renew(disk, sectors, &parameters::seed(), &stir, buffer).await?;
        self.generator.keep(&seed);
        Ok(())
    }
}

#[cfg(target_arch = "aarch64")]
impl<const CONNECTIONS: usize, const RX: usize, const TX: usize> ArmPlatform<CONNECTIONS, RX, TX> {
    /// The disk `number`, counted from 0; `None` when there is none or it was opened before.
    pub fn disk(&self, number: usize) -> Option<machine::block::VirtioBlk> {
        machine::block::VirtioBlk::new(self.kernel, number)
    }

    /// The network card `index`, such as `1` for the second; once. The first, 0, is the stack's. Every frame is heard, whoever it is for.
    ///
    /// # Errors
    /// [`NoCard`].
    pub async fn card(&self, index: &str) -> Result<machine::Net, NoCard> {
        let number = index.parse().map_err(|_| NoCard)?;
        machine::Net::new(self.kernel, number).ok_or(NoCard)
    }
}

#[cfg(has_flash)]
impl<const CONNECTIONS: usize, const RX: usize, const TX: usize> ArmPlatform<CONNECTIONS, RX, TX> {
    /// The part of the board's flash that is kept free of the image, as a disk of sectors of `SECTOR` bytes, see [`FlashDisk`]; `None` when
    /// the flash does not answer or the disk was opened before. With `SECTOR` 512 it is where [`keep_seed`](Self::keep_seed) has its place.
    ///
    /// On `w5500-evb-pico` these are the last 64 KiB. On `virt-aarch64` it is QEMU's second flash, a file when it was given `-drive if=pflash,unit=1,format=raw,file=FILE` of 64 MiB, and else
    /// memory that is gone with the emulator.
    pub fn flash_disk<const SECTOR: usize>(&self) -> Option<FlashDisk<machine::Flash, SECTOR>> {
        let (flash, start, bytes) = machine::flash()?;
        let unit = SECTOR.max(<machine::Flash as NorFlash>::ERASE_SIZE);
        FlashDisk::new(flash, start, bytes / unit as u32)
    }
}

/// There is no network card of this number, or it is in use.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCard;

#[cfg(target_arch = "aarch64")]
impl Display for NoCard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("there is no network card of this number, or it is in use")
    }
}

#[cfg(target_arch = "aarch64")]
impl core::error::Error for NoCard {}

#[cfg(board = "lm3s6965evb")]
impl<const CONNECTIONS: usize, const RX: usize, const TX: usize> ArmPlatform<CONNECTIONS, RX, TX> {
    /// The SD card in the board's slot, started; once.
    ///
    /// # Errors
    /// [`SdError`](crate::storage::sd::SdError).
    pub async fn sd_card(
        &self,
    ) -> Result<crate::board::lm3s6965evb::Card<&'static Kernel>, crate::storage::sd::SdError> {
        crate::board::lm3s6965evb::sd_card(self.kernel).await
    }
}

/// A clock that nobody has set.
#[derive(Debug, Default)]
pub struct NoCalendar;

impl WallClock for NoCalendar {
    fn unix_now(&self) -> Option<Duration> {
        None
    }
}

/// A board that is up: what [`prepare`] hands to [`start`].
#[doc(hidden)]
pub struct Ready<const CONNECTIONS: usize, const RX: usize, const TX: usize> {
    platform: ArmPlatform<CONNECTIONS, RX, TX>,
    dhcp: bool,
}

/// Boots the board and makes its stack. Apart from [`start`], so that the temporaries of this and the application's future
/// never lie on the stack together.
#[doc(hidden)]
#[inline(never)]
pub fn prepare<
    const CONNECTIONS: usize,
    const RX: usize,
    const TX: usize,
    const SOCKETS: usize,
    const DATAGRAMS: usize,
    const NEIGHBORS: usize,
>(
    memory: &'static NetMemory<CONNECTIONS, RX, TX, SOCKETS, DATAGRAMS, NEIGHBORS>,
) -> Ready<CONNECTIONS, RX, TX> {
    let kernel = machine::start();
    let (Some(tables), Some(connections), Some(stack)) =
        (memory.tables.take(), memory.connections.take(), memory.stack.take())
    else {
        machine::reset()
    };
    let parameters = Parameters::new(parameters::words());
    let generator = machine::generator(kernel);
    if generator.strength() == Strength::Timing {
        log::warn!("the image has no seed: TCP's sequence numbers can be guessed");
    }
    let config = match InterfaceConfig::from_parameters(&parameters) {
        Ok(config) => config,
        Err(error) => {
            log::error!("{error}");
            machine::reset()
        }
    };
    // A board without an address asks for one, unless it was told not to.
    let dhcp =
        config.dhcp || config.ipv4.is_none() && parameters.switch("dhcp").ok().flatten() != Some(false);
    let config = InterfaceConfig { dhcp, ..config };
    let Some(device) = machine::net(kernel) else {
        log::error!("no network controller answers");
        machine::reset()
    };
    let stack: &NetStack<CONNECTIONS, RX, TX> =
        stack.write(Stack::new([device], kernel, &generator.for_the_stack(), tables, connections));
    if let Err(error) = stack.configure(0, &config) {
        log::error!("{error}");
        machine::reset()
    }
    let platform =
        ArmPlatform { stack, kernel, wall_clock: machine::Calendar::default(), generator, parameters };
    Ready { platform, dhcp }
}

/// Runs `app`; when it ends, the board starts again.
#[doc(hidden)]
#[inline(never)]
pub fn start<const CONNECTIONS: usize, const RX: usize, const TX: usize>(
    ready: &Ready<CONNECTIONS, RX, TX>,
    app: impl AsyncFnOnce(&ArmPlatform<CONNECTIONS, RX, TX>),
) -> ! {
    let Ready { platform, dhcp } = ready;
    let stack = platform.stack;
    let app = async {
        if *dhcp {
            let address = stack.wait_address().await;
            log::info!("address {address}");
        }
        app(platform).await
    };
    // Pinned where they are made: an application's future is large, and every move of it would be a copy of it.
    let (mut app, mut run) = (pin!(app), pin!(stack.run()));
    log::info!("the application's future has {} bytes", size_of_val(&*app));
    block_on(
        platform.kernel,
        poll_fn(|cx| {
            let _ = run.as_mut().poll(cx);
            app.as_mut().poll(cx)
        }),
    );
    machine::reset()
}

/// Says how the application ended, while what its error borrows is there.
#[doc(hidden)]
pub fn told<E: Display>(ended: Result<(), E>) {
    match ended {
        Ok(()) => log::info!("the application has ended"),
        Err(error) => log::error!("{error}"),
    }
}

/// Makes `main` of an application: `airglow::main!(|platform| website::run(platform, &website::SITE));`
///
/// `platform` is a reference to an [`airglow_device::Platform`]; the body is a future of `Result<(), E>` with an `E` that can be
/// shown. The sizes of the stack are [`DefaultMemory`]'s, or those of a [`NetMemory`] given in front:
/// `main!(NetMemory<2, 1024, 512, 1, 256, 4>; |platform| run(platform));`
#[macro_export]
macro_rules! main {
    (|$platform:pat_param| $app:expr) => {
        $crate::main!($crate::DefaultMemory; |$platform| $app);
    };
    ($memory:ty; |$platform:pat_param| $app:expr) => {
        /// Called by the start-up code.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ! {
            static MEMORY: $memory = <$memory>::new();
            let ready = $crate::prepare(&MEMORY);
            $crate::start(&ready, async |$platform| $crate::told($app.await))
        }
    };
}
