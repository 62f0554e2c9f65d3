//! Every driver of the embassy project as a [`NetDevice`]: Ethernet controllers of STM32, chips on SPI, and whatever else
//! implements [`embassy_net_driver::Driver`].
//!
//! Such a driver lends a received frame and the room for one to be sent together, each borrowed from all of it, so that an answer
//! to another frame cannot be written while one is being read. The adapter copies each frame once, between the driver's buffer
//! and one of its two [`Stages`], and so keeps [`NetDevice`]'s contract with 3 KiB of memory.
//!
//! ```
//! use airglow_device::{LinkState, NetDevice, NetRx, NetTx};
//! use airglow_platform_arm::{driver::Stages, embassy::{Adapted, Shared}};
//! use airglow_runtime::ThreadPark;
//! use embassy_net_driver_channel as channel;
//! use std::task::{Context, Waker};
//!
//! // Any driver; this one has its other end in memory.
//! let mut state = channel::State::<1514, 2, 2>::new();
//! let address = channel::driver::HardwareAddress::Ethernet([2, 0, 0, 0, 0, 1]);
//! let (mut chip, driver) = channel::new(&mut state, address);
//!
//! let (shared, mut stages) = (Shared::new(driver), Stages::new());
//! let clock = ThreadPark::new();
//! let mut card = Adapted::new(&shared, &mut stages, &clock).unwrap();
//!
//! chip.set_link_state(channel::driver::LinkState::Up);
//! chip.try_rx_buf().unwrap()[..60].fill(7);
//! chip.rx_done(60);
//! assert!(card.poll_ready(&mut Context::from_waker(Waker::noop()), false).is_ready());
//! assert_eq!(card.link(), LinkState::Up);
//! let (rx, tx) = card.split();
//! rx.receive(8, |frame, _| {
//!     tx.transmit(frame.len(), |answer| answer.bytes.copy_from_slice(frame)).unwrap();
//! });
//! assert_eq!(chip.try_tx_buf().unwrap(), [7; 60]);
//! ```
//!
//! Limits: the stack computes and checks every checksum; such drivers have no way to ask for multicast groups, so
//! [`set_multicast`](NetDevice::set_multicast) does nothing and each driver passes what it passes. A frame that a driver delivers
//! shorter than an Ethernet header, or longer than it said it ever would, is dropped and counted.
use crate::{driver::Stages, register::bytes_of};
use airglow_device::{
    Caps, Full, Instant, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, Timer, TxFrame,
};
use core::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, Pending, pending},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use embassy_net_driver::{Driver, HardwareAddress, RxToken, TxToken};

const HEADER: usize = 14;
const FRAME: usize = HEADER + 1500;
/// How often a driver is asked for its link, which may be a slow question to a PHY.
const LINK_INTERVAL: Duration = Duration::from_millis(250);

/// A driver, and the waker that it is polled with: what the two halves of an [`Adapted`] share.
#[derive(Debug)]
pub struct Shared<D> {
    driver: RefCell<D>,
    waker: RefCell<Waker>,
}

impl<D> Shared<D> {
    /// Around `driver`.
    pub fn new(driver: D) -> Self {
        Self { driver: RefCell::new(driver), waker: RefCell::new(Waker::noop().clone()) }
    }
}

/// The driver's hardware address is not that of an Ethernet device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotEthernet;

impl core::fmt::Display for NotEthernet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the driver's hardware address is not that of an Ethernet device")
    }
}
impl core::error::Error for NotEthernet {}

/// The receiving half.
#[derive(Debug)]
pub struct Rx<'b, D> {
    shared: &'b Shared<D>,
    stage: &'b mut [u8],
    /// Length of the frame that waits in the stage.
    waiting: Option<usize>,
    frames: u32,
    bytes: u64,
    dropped: u32,
}

/// The sending half.
#[derive(Debug)]
pub struct Tx<'b, D> {
    shared: &'b Shared<D>,
    stage: &'b mut [u8],
    frames: u32,
    bytes: u64,
}

/// A driver of the embassy project as a [`NetDevice`].
///
/// `R` is the driver's background task, when it has one: it is polled with the device and needs no executor of its own.
#[derive(Debug)]
pub struct Adapted<'b, D, T, R = Pending<Infallible>> {
    rx: Rx<'b, D>,
    tx: Tx<'b, D>,
    mac: MacAddr,
    mtu: usize,
    link: LinkState,
    ask_link: Instant,
    /// The driver cannot tell when a frame comes: how often it is asked.
    interval: Option<Duration>,
    timer: T,
    runner: R,
}

impl<'b, D: Driver, T: Timer> Adapted<'b, D, T> {
    /// A device over a driver that wakes whom it polls, and has no background task.
    ///
    /// # Errors
    /// [`NotEthernet`].
    pub fn new(shared: &'b Shared<D>, stages: &'b mut Stages, timer: T) -> Result<Self, NotEthernet> {
        let (mac, mtu) = {
            let driver = shared.driver.borrow();
            let HardwareAddress::Ethernet(mac) = driver.hardware_address() else { return Err(NotEthernet) };
            (MacAddr(mac), driver.capabilities().max_transmission_unit)
        };
        let Stages { rx, tx } = stages;
        Ok(Self {
            rx: Rx { shared, stage: room(rx), waiting: None, frames: 0, bytes: 0, dropped: 0 },
            tx: Tx { shared, stage: room(tx), frames: 0, bytes: 0 },
            mac,
            mtu: mtu.clamp(HEADER, FRAME) - HEADER,
            link: LinkState::Down,
            ask_link: Instant::ZERO,
            interval: None,
            timer,
            runner: pending(),
        })
    }

    /// The same over a driver with a background task.
    pub fn with_runner<R: Future<Output = Infallible> + Unpin>(self, runner: R) -> Adapted<'b, D, T, R> {
        let Self { rx, tx, mac, mtu, link, ask_link, interval, timer, .. } = self;
        Adapted { rx, tx, mac, mtu, link, ask_link, interval, timer, runner }
    }
}

impl<D, T, R> Adapted<'_, D, T, R> {
    /// The same over a driver that cannot tell when a frame comes, and would keep the processor from sleep by waking at
    /// once whom it has nothing for: it is asked every `interval` instead.
    pub fn polled(self, interval: Duration) -> Self {
        Self { interval: Some(interval), ..self }
    }
}

/// The frame's place in a stage: an IP header lies on a multiple of four there.
fn room(stage: &mut [u32]) -> &mut [u8] {
    bytes_of(stage).get_mut(2..2 + FRAME).unwrap_or_default()
}

impl<D: Driver> Rx<'_, D> {
    /// Takes a frame out of the driver, if it has one.
    fn fetch(&mut self) {
        if self.waiting.is_some() {
            return;
        }
        let waker = self.shared.waker.borrow();
        let mut driver = self.shared.driver.borrow_mut();
        let Some((token, _)) = driver.receive(&mut Context::from_waker(&waker)) else { return };
        let stage = &mut *self.stage;
        self.waiting = Some(token.consume(|bytes| match stage.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                bytes.len()
            }
            None => 0,
        }));
    }
}

impl<D: Driver> NetRx for Rx<'_, D> {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        for count in 0..budget {
            self.fetch();
            let Some(len) = self.waiting.take() else { return count };
            match self.stage.get_mut(..len) {
                Some(bytes) if len >= HEADER => {
                    self.frames = self.frames.wrapping_add(1);
                    self.bytes += len as u64;
                    // The driver is not borrowed: whoever gets the frame may answer.
                    frame(bytes, RxMeta::default());
                }
                _ => self.dropped = self.dropped.wrapping_add(1),
            }
        }
        budget
    }
}

impl<D: Driver> Tx<'_, D> {
    fn room(&self) -> bool {
        let waker = self.shared.waker.borrow();
        self.shared.driver.borrow_mut().transmit(&mut Context::from_waker(&waker)).is_some()
    }
}

impl<D: Driver> NetTx for Tx<'_, D> {
    /// At most 1: such a driver says whether it has room, not for how many.
    fn capacity(&self) -> usize {
        self.room().into()
    }

    fn transmit<U>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> U) -> Result<U, Full> {
        if !self.room() {
            return Err(Full);
        }
        let mut slot = TxFrame::new(self.stage.get_mut(..len).ok_or(Full)?);
        let result = fill(&mut slot);
        let len = slot.len.min(len);
        let frame = self.stage.get(..len).unwrap_or_default();
        if len >= HEADER {
            let waker = self.shared.waker.borrow();
            let mut driver = self.shared.driver.borrow_mut();
            if let Some(token) = driver.transmit(&mut Context::from_waker(&waker)) {
                token.consume(len, |place| place.copy_from_slice(frame));
                self.frames = self.frames.wrapping_add(1);
                self.bytes += len as u64;
            }
        }
        Ok(result)
    }

    /// Such a driver sends a frame as soon as it has it, or its background task is woken by it.
    fn flush(&mut self) {}
}

impl<'b, D: Driver, T: Timer, R: Future<Output = Infallible> + Unpin> NetDevice for Adapted<'b, D, T, R> {
    type Rx = Rx<'b, D>;
    type Tx = Tx<'b, D>;

    fn caps(&self) -> Caps {
        Caps::new(self.mtu)
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        self.link
    }
    fn stats(&self) -> NetStats {
        NetStats {
            rx_frames: self.rx.frames.into(),
            rx_bytes: self.rx.bytes,
            rx_dropped: self.rx.dropped.into(),
            tx_frames: self.tx.frames.into(),
            tx_bytes: self.tx.bytes,
            tx_dropped: 0,
        }
    }
    fn split(&mut self) -> (&mut Rx<'b, D>, &mut Tx<'b, D>) {
        (&mut self.rx, &mut self.tx)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        let shared = self.rx.shared;
        if self.interval.is_none() && !shared.waker.borrow().will_wake(cx.waker()) {
            *shared.waker.borrow_mut() = cx.waker().clone();
        }
        match Pin::new(&mut self.runner).poll(cx) {
            Poll::Pending => {}
            Poll::Ready(never) => match never {},
        }
        let now = self.timer.now();
        if now >= self.ask_link {
            self.ask_link = now + LINK_INTERVAL;
            let waker = shared.waker.borrow();
            let link = shared.driver.borrow_mut().link_state(&mut Context::from_waker(&waker));
            let link = match link {
                embassy_net_driver::LinkState::Up => LinkState::Up,
                embassy_net_driver::LinkState::Down => LinkState::Down,
            };
            if core::mem::replace(&mut self.link, link) != link {
                cx.waker().wake_by_ref();
            }
        }
        self.rx.fetch();
        if self.rx.waiting.is_some() || want_tx && self.tx.room() {
            return Poll::Ready(());
        }
        let ask = self.interval.map_or(self.ask_link, |interval| self.ask_link.min(now + interval));
        self.timer.wake_at(ask, cx.waker());
        Poll::Pending
    }
}
