//! The WIZnet W5500 as its data sheet (version 1.1.0) describes it, as far as socket 0 in MACRAW mode goes: the common registers,
//! the socket's registers, 16 KiB of buffer memory for each direction with free-running 16-bit pointers, the interrupt line.
//!
//! One thing the data sheet leaves open and drivers depend on: when RECV is commanded while more frames wait, the RECV
//! interrupt comes again.
use crate::bus::Chip;
use airglow_device::{LinkState, MacAddr, NetDevice, NetRx, NetTx, SegmentPort};
use embedded_hal::digital::ErrorType;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

const BUFFERS: usize = 16 * 1024;

// Common registers.
const MR: usize = 0x00;
const SHAR: usize = 0x09;
const SIR: usize = 0x17;
const SIMR: usize = 0x18;
const PHYCFGR: usize = 0x2e;
const VERSIONR: usize = 0x39;

// Socket registers.
const SN_MR: usize = 0x00;
const SN_CR: usize = 0x01;
const SN_IR: usize = 0x02;
const SN_SR: usize = 0x03;
const SN_RXBUF_SIZE: usize = 0x1e;
const SN_TXBUF_SIZE: usize = 0x1f;
const SN_TX_FSR: usize = 0x20;
const SN_TX_RD: usize = 0x22;
const SN_TX_WR: usize = 0x24;
const SN_RX_RSR: usize = 0x26;
const SN_RX_RD: usize = 0x28;
const SN_RX_WR: usize = 0x2a;
const SN_IMR: usize = 0x2c;

const IR_RECV: u8 = 1 << 2;
const IR_SENDOK: u8 = 1 << 4;
const SOCK_MACRAW: u8 = 0x42;

/// The chip and the cable in it.
pub struct W5500Chip {
    port: SegmentPort,
    common: [u8; 0x40],
    socket: [u8; 0x30],
    rx: Vec<u8>,
    tx: Vec<u8>,
    /// RX_RD as of the last RECV: what is behind it is free.
    freed: u16,
    header: Vec<u8>,
    at: u16,
    /// What the next frame's length is told as.
    pub lie: Option<u16>,
    /// Frames that found no room.
    pub overruns: u32,
    /// Commands that the socket got, oldest first.
    pub commands: Vec<u8>,
}

impl W5500Chip {
    /// After power-up.
    pub fn new(port: SegmentPort) -> Self {
        let mut chip = Self {
            port: port.promiscuous(),
            common: [0; 0x40],
            socket: [0; 0x30],
            rx: vec![0; BUFFERS],
            tx: vec![0; BUFFERS],
            freed: 0,
            header: Vec::new(),
            at: 0,
            lie: None,
            overruns: 0,
            commands: Vec::new(),
        };
        chip.reset();
        chip
    }

    fn reset(&mut self) {
        self.common = [0; 0x40];
        self.common[VERSIONR] = 4;
        self.common[PHYCFGR] = 0b1011_1000;
        self.socket = [0; 0x30];
        (self.socket[SN_RXBUF_SIZE], self.socket[SN_TXBUF_SIZE], self.socket[SN_IMR]) = (2, 2, 0xff);
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.socket[at], self.socket[at + 1]])
    }
    fn set_word(&mut self, at: usize, value: u16) {
        self.socket[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
    fn size(&self, register: usize) -> u16 {
        u16::from(self.socket[register]) * 1024
    }

    /// The interrupt line is low.
    pub fn asserted(&self) -> bool {
        self.common[SIMR] & 1 != 0 && self.socket[SN_IR] & self.socket[SN_IMR] != 0
    }

    fn wants(&self, destination: MacAddr) -> bool {
        let filter = self.socket[SN_MR] & 1 << 7 != 0;
        let own = destination.0 == self.common[SHAR..SHAR + 6];
        !filter || own || destination.is_multicast()
    }

    /// What has come over the cable since the last look.
    pub fn hear(&mut self) {
        let mut frames = Vec::new();
        self.port.split().0.receive(usize::MAX, |frame, _| frames.push(frame.to_vec()));
        for frame in frames {
            let Some(&destination) = frame.first_chunk() else { continue };
            if self.socket[SN_SR] != SOCK_MACRAW || !self.wants(MacAddr(destination)) {
                continue;
            }
            let written = self.word(SN_RX_WR);
            let free = self.size(SN_RXBUF_SIZE) - written.wrapping_sub(self.freed);
            if usize::from(free) < frame.len() + 2 {
                self.overruns += 1;
                continue;
            }
            let told = self.lie.take().unwrap_or(frame.len() as u16 + 2);
            let bytes = told.to_be_bytes().into_iter().chain(frame.iter().copied());
            let mask = usize::from(self.size(SN_RXBUF_SIZE)) - 1;
            for (index, byte) in bytes.enumerate() {
                self.rx[(usize::from(written) + index) & mask] = byte;
            }
            self.set_word(SN_RX_WR, written.wrapping_add(frame.len() as u16 + 2));
            self.socket[SN_IR] |= IR_RECV;
        }
    }

    fn command(&mut self, command: u8) {
        self.commands.push(command);
        match command {
            0x01 if self.socket[SN_MR] & 0xf == 4 => {
                for register in [SN_TX_RD, SN_TX_WR, SN_RX_RD, SN_RX_WR] {
                    self.set_word(register, 0);
                }
                self.freed = 0;
                self.socket[SN_SR] = SOCK_MACRAW;
            }
            0x10 => self.socket[SN_SR] = 0,
            0x20 if self.socket[SN_SR] == SOCK_MACRAW => {
                let (from, to) = (self.word(SN_TX_RD), self.word(SN_TX_WR));
                let mask = usize::from(self.size(SN_TXBUF_SIZE)) - 1;
                let frame: Vec<u8> = (0..to.wrapping_sub(from))
                    .map(|i| self.tx[usize::from(from.wrapping_add(i)) & mask])
                    .collect();
                let tx = self.port.split().1;
                let _ = tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame));
                tx.flush();
                self.set_word(SN_TX_RD, to);
                self.socket[SN_IR] |= IR_SENDOK;
            }
            0x40 => {
                self.freed = self.word(SN_RX_RD);
                if self.freed != self.word(SN_RX_WR) {
                    self.socket[SN_IR] |= IR_RECV;
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, block: u8, at: u16) -> u8 {
        let at = usize::from(at);
        match block {
            0 => match at {
                SIR => u8::from(self.socket[SN_IR] & self.socket[SN_IMR] != 0),
                PHYCFGR => self.common[at] & !1 | u8::from(self.port.link() == LinkState::Up),
                _ => self.common.get(at).copied().unwrap_or(0),
            },
            1 => {
                let free = self.size(SN_TXBUF_SIZE) - self.word(SN_TX_WR).wrapping_sub(self.word(SN_TX_RD));
                let waiting = self.word(SN_RX_WR).wrapping_sub(self.freed);
                match at {
                    SN_TX_FSR => free.to_be_bytes()[0],
                    0x21 => free.to_be_bytes()[1],
                    SN_RX_RSR => waiting.to_be_bytes()[0],
                    0x27 => waiting.to_be_bytes()[1],
                    SN_CR => 0,
                    _ => self.socket.get(at).copied().unwrap_or(0),
                }
            }
            2 => self.tx[at & (usize::from(self.size(SN_TXBUF_SIZE)) - 1)],
            3 => self.rx[at & (usize::from(self.size(SN_RXBUF_SIZE)) - 1)],
            _ => 0,
        }
    }

    fn write(&mut self, block: u8, at: u16, value: u8) {
        let place = usize::from(at);
        match (block, place) {
            (0, MR) if value & 0x80 != 0 => self.reset(),
            (0, VERSIONR | SIR) => {}
            (0, _) => _ = self.common.get_mut(place).map(|r| *r = value),
            (1, SN_CR) => self.command(value),
            // Writing ones clears.
            (1, SN_IR) => self.socket[SN_IR] &= !value,
            (1, SN_SR | SN_TX_FSR..=0x23 | SN_RX_RSR..=0x27 | SN_RX_WR..=0x2b) => {}
            (1, _) => _ = self.socket.get_mut(place).map(|r| *r = value),
            (2, _) => {
                let mask = usize::from(self.size(SN_TXBUF_SIZE)) - 1;
                self.tx[place & mask] = value;
            }
            _ => {}
        }
    }
}

impl Chip for W5500Chip {
    fn select(&mut self) {
        self.header.clear();
        self.hear();
    }
    fn byte(&mut self, mosi: u8) -> u8 {
        if self.header.len() < 3 {
            self.header.push(mosi);
            if let &[high, low, _] = self.header.as_slice() {
                self.at = u16::from_be_bytes([high, low]);
            }
            return 0;
        }
        let (block, write) = (self.header[2] >> 3, self.header[2] & 1 << 2 != 0);
        let at = self.at;
        self.at = at.wrapping_add(1);
        if write {
            self.write(block, at, mosi);
            0
        } else {
            self.read(block, at)
        }
    }
    fn deselect(&mut self) {
        self.hear();
    }
}

/// The chip's interrupt line at the processor.
pub struct InterruptPin(pub Rc<RefCell<W5500Chip>>);

impl ErrorType for InterruptPin {
    type Error = Infallible;
}

impl embedded_hal_async::digital::Wait for InterruptPin {
    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx: &mut Context<'_>| {
            let mut chip = self.0.borrow_mut();
            loop {
                chip.hear();
                if chip.asserted() {
                    return Poll::Ready(Ok(()));
                }
                // A frame on the cable may still be one for somebody else.
                if chip.port.poll_ready(cx, false).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        unreachable!("no driver waits for it")
    }
    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        unreachable!("no driver waits for it")
    }
    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        unreachable!("no driver waits for it")
    }
    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        unreachable!("no driver waits for it")
    }
}
