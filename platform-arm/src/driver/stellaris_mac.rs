//! The Ethernet controller of TI's Stellaris LM3S6xxx and LM3S8xxx (LM3S6965 data sheet, chapter 16): a MAC and a
//! PHY on the chip, 2 KiB of FIFO each way, read and written a word at a time by the processor.
//!
//! There is no DMA and no ring: a frame is copied once out of the FIFO into a staging buffer and lent from there, and
//! once from a staging buffer into the FIFO. The two buffers make 3 KiB, all the memory that the driver has.
use crate::{
    driver::Stages,
    interrupt::InterruptLine,
    register::{Registers, bytes_of as bytes},
};
use airglow_device::{Caps, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame};
use core::task::{Context, Poll};

/// Raw interrupt status (read), interrupt acknowledge (write).
const RIS: usize = 0x00;
const IM: usize = 0x04;
const RCTL: usize = 0x08;
const TCTL: usize = 0x0c;
const DATA: usize = 0x10;
const IA0: usize = 0x14;
const IA1: usize = 0x18;
const MCTL: usize = 0x20;
const MDV: usize = 0x24;
const MRXD: usize = 0x30;
/// Frames in the receive FIFO.
const NP: usize = 0x34;
/// Bit 0, NEWTX: set to send what is in the FIFO, reads 1 until it is sent.
const TR: usize = 0x38;

const INT_RX: u32 = 1 << 0;
const INT_TX_ERROR: u32 = 1 << 1;
const INT_TX_EMPTY: u32 = 1 << 2;
const INT_RX_OVERRUN: u32 = 1 << 3;
const INT_RX_ERROR: u32 = 1 << 4;
const INT_PHY: u32 = 1 << 6;
const INT_ALL: u32 = 0x7f;

const RCTL_ENABLE: u32 = 1 << 0;
const RCTL_MULTICAST: u32 = 1 << 1;
const RCTL_REJECT_BAD_CRC: u32 = 1 << 3;
const RCTL_RESET_FIFO: u32 = 1 << 4;

const TCTL_ENABLE: u32 = 1 << 0;
const TCTL_PAD: u32 = 1 << 1;
const TCTL_CRC: u32 = 1 << 2;
const TCTL_DUPLEX: u32 = 1 << 4;

/// Ethernet header and 1500 bytes.
const FRAME: usize = 14 + 1500;
/// In the FIFO a frame has two bytes of length before it and the frame check sequence behind it.
const FIFO_MIN: usize = 2 + 14 + 4;
const FIFO_MAX: usize = 2 + FRAME + 4;
/// Looks at a status bit before the hardware is given up; more than the time of a frame at 10 Mbit/s.
const PATIENCE: u32 = 100_000;

/// The receiving half.
#[derive(Debug)]
pub struct Rx<'b, R> {
    registers: R,
    rctl: u32,
    frames: u32,
    bytes: u64,
    dropped: u32,
    stage: &'b mut [u32],
}

/// The sending half.
#[derive(Debug)]
pub struct Tx<'b, R> {
    registers: R,
    frames: u32,
    bytes: u64,
    dropped: u32,
    stage: &'b mut [u32],
}

/// The controller.
#[derive(Debug)]
pub struct StellarisMac<'b, R, I> {
    rx: Rx<'b, R>,
    tx: Tx<'b, R>,
    mac: MacAddr,
    line: I,
}

impl<'b, R: Registers + Clone, I: InterruptLine> StellarisMac<'b, R, I> {
    /// Starts the controller under the address `mac`, full duplex. Its clock must be on. `mdio_divider` is the
    /// system clock in MHz divided by 5, less 1 (the PHY's management clock stays below 2.5 MHz).
    pub fn new(mut registers: R, line: I, stages: &'b mut Stages, mac: MacAddr, mdio_divider: u8) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        registers.write(IM, 0);
        registers.write(RCTL, 0);
        registers.write(TCTL, 0);
        registers.write(IA0, u32::from_le_bytes([a, b, c, d]));
        registers.write(IA1, u32::from_le_bytes([e, f, 0, 0]));
        registers.write(MDV, mdio_divider.into());
        registers.write(RIS, INT_ALL);
        registers.write(TCTL, TCTL_ENABLE | TCTL_PAD | TCTL_CRC | TCTL_DUPLEX);
        let mut rx = Rx {
            registers: registers.clone(),
            rctl: RCTL_ENABLE | RCTL_REJECT_BAD_CRC,
            frames: 0,
            bytes: 0,
            dropped: 0,
            stage: &mut stages.rx,
        };
        rx.reset();
        let tx = Tx { registers, frames: 0, bytes: 0, dropped: 0, stage: &mut stages.tx };
        Self { rx, tx, mac, line }
    }

    /// Reads a register of the PHY (IEEE 802.3 clause 22).
    fn phy(&self, register: u32) -> Option<u16> {
        let mut registers = self.rx.registers.clone();
        registers.write(MCTL, register << 3 | 1);
        registers.wait(MCTL, PATIENCE, |v| v & 1 == 0).then(|| registers.read(MRXD) as u16)
    }
}

impl<'b, R: Registers + Clone, I: InterruptLine> NetDevice for StellarisMac<'b, R, I> {
    type Rx = Rx<'b, R>;
    type Tx = Tx<'b, R>;
    fn caps(&self) -> Caps {
        Caps::new(1500)
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        // Bit 2 of the basic status register. An emulator without a PHY answers 0 throughout, which no PHY does: bit 0,
        // extended capability, is fixed at 1 in this one.
        match self.phy(1) {
            Some(status) if status & 1 == 1 && status & 4 == 0 => LinkState::Down,
            _ => LinkState::Up,
        }
    }
    fn stats(&self) -> NetStats {
        NetStats {
            rx_frames: self.rx.frames.into(),
            rx_bytes: self.rx.bytes,
            rx_dropped: self.rx.dropped.into(),
            tx_frames: self.tx.frames.into(),
            tx_bytes: self.tx.bytes,
            tx_dropped: self.tx.dropped.into(),
        }
    }
    /// The controller cannot tell groups apart: it receives all of them or none.
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        self.rx.rctl = RCTL_ENABLE | RCTL_REJECT_BAD_CRC | if groups.is_empty() { 0 } else { RCTL_MULTICAST };
        self.rx.registers.write(RCTL, self.rx.rctl);
    }
    fn split(&mut self) -> (&mut Rx<'b, R>, &mut Tx<'b, R>) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        let ready = |device: &mut Self| device.rx.waiting() || want_tx && device.tx.capacity() > 0;
        if ready(self) {
            return Poll::Ready(());
        }
        self.line.rearm(cx.waker());
        self.rx.check_errors();
        self.rx.registers.write(RIS, INT_RX | INT_TX_EMPTY | INT_PHY);
        let tx = if want_tx { INT_TX_EMPTY | INT_TX_ERROR } else { 0 };
        self.rx.registers.write(IM, INT_RX | INT_RX_OVERRUN | INT_RX_ERROR | INT_PHY | tx);
        if ready(self) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R: Registers> Rx<'_, R> {
    /// A frame has come and was not read yet.
    pub fn waiting(&mut self) -> bool {
        self.registers.read(NP) & 0x3f != 0
    }

    /// Empties the FIFO and starts again: what the data sheet asks for after an overrun, and all that helps once
    /// the place of the next length in the FIFO is not known.
    fn reset(&mut self) {
        self.registers.write(RCTL, self.rctl & !RCTL_ENABLE);
        self.registers.write(RCTL, self.rctl & !RCTL_ENABLE | RCTL_RESET_FIFO);
        self.registers.write(RCTL, self.rctl);
    }

    fn check_errors(&mut self) {
        let errors = self.registers.read(RIS) & (INT_RX_OVERRUN | INT_RX_ERROR);
        if errors != 0 {
            self.registers.write(RIS, errors);
            self.dropped = self.dropped.wrapping_add(1);
            if errors & INT_RX_OVERRUN != 0 {
                self.reset();
            }
        }
    }
}

impl<R: Registers> NetRx for Rx<'_, R> {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let mut count = 0;
        while count < budget && self.waiting() {
            let first = self.registers.read(DATA);
            let total = (first & 0xffff) as usize;
            if !(FIFO_MIN..=FIFO_MAX).contains(&total) {
                self.dropped = self.dropped.wrapping_add(1);
                self.reset();
                continue;
            }
            let words = self.stage.get_mut(..total.div_ceil(4)).unwrap_or_default();
            if let Some((head, rest)) = words.split_first_mut() {
                *head = first;
                self.registers.read_fifo(DATA, rest);
            }
            // The frame begins behind the length, so that an IP header lies on a multiple of four.
            if let Some(bytes) = bytes(words).get_mut(2..total - 4) {
                self.frames = self.frames.wrapping_add(1);
                self.bytes += bytes.len() as u64;
                frame(bytes, RxMeta::default());
            }
            count += 1;
        }
        self.check_errors();
        count
    }
}

impl<R: Registers + Clone> NetTx for Tx<'_, R> {
    fn capacity(&self) -> usize {
        usize::from(self.registers.clone().read(TR) & 1 == 0)
    }
    fn transmit<T>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> T) -> Result<T, Full> {
        if self.capacity() == 0 || !(14..=FRAME).contains(&len) {
            return Err(Full);
        }
        let stage = bytes(self.stage).get_mut(2..2 + len).ok_or(Full)?;
        let mut slot = TxFrame::new(stage);
        let result = fill(&mut slot);
        let len = slot.len.min(len);
        if len < 14 {
            return Ok(result);
        }
        // In front of the frame goes the length of its payload.
        let head = ((len - 14) as u16).to_le_bytes();
        bytes(self.stage)[..2].copy_from_slice(&head);
        let words = self.stage.get(..(2 + len).div_ceil(4)).unwrap_or_default();
        self.registers.write_fifo(DATA, words);
        self.registers.write(TR, 1);
        self.frames = self.frames.wrapping_add(1);
        self.bytes += len as u64;
        if self.registers.read(RIS) & INT_TX_ERROR != 0 {
            self.registers.write(RIS, INT_TX_ERROR);
            self.dropped = self.dropped.wrapping_add(1);
        }
        Ok(result)
    }
    /// Frames leave as soon as they are in the FIFO, which holds one at a time: there is nothing to ring.
    fn flush(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Line, Shared};
    use core::{
        cell::RefCell,
        task::{Context, Waker},
    };
    use std::{collections::VecDeque, rc::Rc, vec, vec::Vec};

    /// The controller as its data sheet describes it: two byte FIFOs, NP, NEWTX, interrupt bits.
    #[derive(Default)]
    struct Chip {
        ris: u32,
        im: u32,
        rctl: u32,
        rx: VecDeque<Vec<u8>>,
        at: usize,
        tx: Vec<u8>,
        sent: Vec<Vec<u8>>,
        busy: bool,
        resets: u32,
    }

    impl Chip {
        fn arrive(&mut self, frame: &[u8]) {
            let mut fifo = ((frame.len() + 6) as u16).to_le_bytes().to_vec();
            fifo.extend_from_slice(frame);
            fifo.extend_from_slice(&[0xfc; 4]);
            self.rx.push_back(fifo);
            self.ris |= INT_RX;
        }
    }

    impl Registers for Chip {
        fn read(&mut self, offset: usize) -> u32 {
            match offset {
                RIS => self.ris,
                NP => self.rx.len() as u32,
                TR => self.busy.into(),
                DATA => {
                    let Some(frame) = self.rx.front() else { return 0xdead_beef };
                    let word: [u8; 4] =
                        core::array::from_fn(|i| frame.get(self.at + i).copied().unwrap_or(0));
                    self.at += 4;
                    if self.at >= frame.len() {
                        self.rx.pop_front();
                        self.at = 0;
                    }
                    u32::from_le_bytes(word)
                }
                _ => 0,
            }
        }
        fn write(&mut self, offset: usize, value: u32) {
            match offset {
                RIS => self.ris &= !value,
                IM => self.im = value,
                RCTL => {
                    self.rctl = value;
                    if value & RCTL_RESET_FIFO != 0 {
                        self.rx.clear();
                        self.at = 0;
                        self.resets += 1;
                    }
                }
                DATA => self.tx.extend_from_slice(&value.to_le_bytes()),
                TR if value & 1 == 1 => {
                    let payload = u16::from_le_bytes([self.tx[0], self.tx[1]]) as usize;
                    self.sent.push(self.tx[2..2 + 14 + payload].to_vec());
                    self.tx.clear();
                }
                _ => {}
            }
        }
    }

    type Device = StellarisMac<'static, Shared<Chip>, Line>;

    fn device() -> (Device, Rc<RefCell<Chip>>) {
        let chip = Rc::new(RefCell::new(Chip::default()));
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        (StellarisMac::new(Shared(chip.clone()), Line::default(), Box::leak(Box::default()), mac, 9), chip)
    }

    fn received(device: &mut Device, budget: usize) -> Vec<Vec<u8>> {
        let mut frames = vec![];
        device.split().0.receive(budget, |frame, _| frames.push(frame.to_vec()));
        frames
    }

    #[test]
    fn frames_of_every_length_arrive_whole() {
        let (mut device, chip) = device();
        let frames: Vec<Vec<u8>> =
            (14..=FRAME).map(|len| (0..len).map(|i| (i * 7 + len) as u8).collect()).collect();
        for batch in frames.chunks(8) {
            batch.iter().for_each(|f| chip.borrow_mut().arrive(f));
            assert_eq!(received(&mut device, 3), batch[..batch.len().min(3)]);
            assert_eq!(received(&mut device, 64), batch[batch.len().min(3)..]);
        }
        assert_eq!(device.stats().rx_frames, frames.len() as u64);
        assert_eq!(device.stats().rx_dropped, 0);
    }

    #[test]
    fn frames_of_every_length_leave_whole() {
        let (mut device, chip) = device();
        for len in 14..=FRAME {
            let tx = device.split().1;
            tx.transmit(len, |f| f.bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i + len) as u8))
                .unwrap();
            let want: Vec<u8> = (0..len).map(|i| (i + len) as u8).collect();
            assert_eq!(chip.borrow_mut().sent.pop().unwrap(), want);
        }
        let tx = device.split().1;
        tx.transmit(100, |f| f.len = 0).unwrap();
        tx.transmit(100, |f| f.len = 42).unwrap();
        assert_eq!(
            chip.borrow().sent.iter().map(Vec::len).collect::<Vec<_>>(),
            [42],
            "given back, then shortened"
        );
        chip.borrow_mut().busy = true;
        assert_eq!(tx.transmit(60, |_| panic!("no room")), Err(Full));
        assert_eq!(tx.transmit(FRAME + 1, |_| ()), Err(Full));
    }

    #[test]
    fn absurd_lengths_are_counted_and_the_next_frame_is_good() {
        for len in [0u16, 1, 5, 19, 1521, 2047, 0x8000, 0xffff] {
            let (mut device, chip) = device();
            let mut wrong = vec![0xaa; 64];
            wrong[..2].copy_from_slice(&len.to_le_bytes());
            chip.borrow_mut().rx.push_back(wrong);
            assert!(received(&mut device, 64).is_empty(), "{len}");
            assert_eq!(device.stats().rx_dropped, 1);
            chip.borrow_mut().arrive(&[7; 60]);
            assert_eq!(received(&mut device, 64), [vec![7; 60]], "{len}");
        }
    }

    #[test]
    fn an_overrun_empties_the_fifo_once() {
        let (mut device, chip) = device();
        let resets = chip.borrow().resets;
        chip.borrow_mut().ris = INT_RX_OVERRUN | INT_RX_ERROR;
        assert!(received(&mut device, 64).is_empty());
        assert_eq!((chip.borrow().resets - resets, chip.borrow().ris), (1, 0));
        assert_eq!(chip.borrow().rctl & (RCTL_ENABLE | RCTL_RESET_FIFO), RCTL_ENABLE);
        chip.borrow_mut().arrive(&[1; 60]);
        assert_eq!(received(&mut device, 64).len(), 1);
    }

    #[test]
    fn sleeps_only_with_the_interrupt_armed() {
        let (mut device, chip) = device();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(device.poll_ready(&mut cx, false).is_pending());
        assert_eq!((device.line.0.get(), chip.borrow().im & INT_RX), (1, INT_RX));
        assert!(device.poll_ready(&mut cx, true).is_ready(), "there is room to send");
        chip.borrow_mut().busy = true;
        assert!(device.poll_ready(&mut cx, true).is_pending());
        assert_eq!(chip.borrow().im & INT_TX_EMPTY, INT_TX_EMPTY);
        chip.borrow_mut().arrive(&[1; 60]);
        assert!(device.poll_ready(&mut cx, false).is_ready());
    }
}
