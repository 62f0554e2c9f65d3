//! The SMSC (Microchip) LAN9118 Ethernet controller on a 32-bit bus, as on Arm's MPS2 boards (LAN9118 data sheet).
//!
//! 16 KiB of FIFO memory, 5 KiB of it for sending, read and written a word at a time by the processor. A received frame
//! is copied once out of the FIFO and lent from a staging buffer; one to send is written in a staging buffer and
//! copied once into the FIFO, which takes several. The two buffers make 3 KiB, all the memory that the driver has.
use crate::{
    driver::Stages,
    interrupt::InterruptLine,
    register::{Registers, bytes_of},
};
use airglow_device::{Caps, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame};
use core::task::{Context, Poll};

const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
const IRQ_CFG: usize = 0x54;
const INT_STS: usize = 0x58;
const INT_EN: usize = 0x5c;
const BYTE_TEST: usize = 0x64;
const FIFO_INT: usize = 0x68;
const RX_CFG: usize = 0x6c;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
const RX_DP_CTRL: usize = 0x78;
const RX_FIFO_INF: usize = 0x7c;
const TX_FIFO_INF: usize = 0x80;
const PMT_CTRL: usize = 0x84;
const MAC_CSR_CMD: usize = 0xa4;
const MAC_CSR_DATA: usize = 0xa8;

// Registers behind MAC_CSR_CMD.
const MAC_CR: u32 = 1;
const ADDRH: u32 = 2;
const ADDRL: u32 = 3;
const HASHH: u32 = 4;
const HASHL: u32 = 5;
const MII_ACC: u32 = 6;
const MII_DATA: u32 = 7;

const MAC_CR_RX: u32 = 1 << 2;
const MAC_CR_TX: u32 = 1 << 3;
const MAC_CR_HASH_MULTICAST: u32 = 1 << 13;
const MAC_CR_FULL_DUPLEX: u32 = 1 << 20;

/// A frame's status waits: the receive status FIFO has reached its level.
const INT_RX_STATUS_LEVEL: u32 = 1 << 3;
/// The transmit FIFO has room again.
const INT_TX_AVAILABLE: u32 = 1 << 9;
const INT_RX_ERROR: u32 = 1 << 14;
const INT_TX_ERROR: u32 = 1 << 13;
const INT_PHY: u32 = 1 << 18;
const INT_RX_STATUS_FULL: u32 = 1 << 4;
const INT_RX_DROPPED_HALF: u32 = 1 << 23;

const FRAME: usize = 14 + 1500;
const PATIENCE: u32 = 100_000;
/// Command words and a frame of the largest size, in the transmit FIFO.
const TX_ROOM: usize = 8 + FRAME.next_multiple_of(4);

/// The receiving half.
#[derive(Debug)]
pub struct Rx<'b, R> {
    registers: R,
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
pub struct Lan9118<'b, R, I> {
    rx: Rx<'b, R>,
    tx: Tx<'b, R>,
    mac: MacAddr,
    line: I,
}

/// There is no LAN9118 at the address, or it does not come out of reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotThere;

impl core::fmt::Display for NotThere {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no LAN9118 answers at this address")
    }
}
impl core::error::Error for NotThere {}

/// Reads a register of the MAC proper.
fn mac_read(registers: &mut impl Registers, register: u32) -> u32 {
    registers.write(MAC_CSR_CMD, 1 << 31 | 1 << 30 | register);
    registers.wait(MAC_CSR_CMD, PATIENCE, |v| v >> 31 == 0);
    registers.read(MAC_CSR_DATA)
}

fn mac_write(registers: &mut impl Registers, register: u32, value: u32) {
    registers.write(MAC_CSR_DATA, value);
    registers.write(MAC_CSR_CMD, 1 << 31 | register);
    registers.wait(MAC_CSR_CMD, PATIENCE, |v| v >> 31 == 0);
}

/// Reads a register of the PHY (IEEE 802.3 clause 22).
fn phy_read(registers: &mut impl Registers, register: u32) -> u16 {
    mac_write(registers, MII_ACC, 1 << 11 | register << 6 | 1);
    for _ in 0..PATIENCE {
        if mac_read(registers, MII_ACC) & 1 == 0 {
            break;
        }
    }
    mac_read(registers, MII_DATA) as u16
}

fn phy_write(registers: &mut impl Registers, register: u32, value: u16) {
    mac_write(registers, MII_DATA, value.into());
    mac_write(registers, MII_ACC, 1 << 11 | register << 6 | 1 << 1 | 1);
    for _ in 0..PATIENCE {
        if mac_read(registers, MII_ACC) & 1 == 0 {
            break;
        }
    }
}

impl<'b, R: Registers + Clone, I: InterruptLine> Lan9118<'b, R, I> {
    /// Resets the controller and starts it under the address that its EEPROM gave it, or under `mac`.
    ///
    /// # Errors
    /// [`NotThere`], when nothing that answers like one is at these registers.
    pub fn new(
        mut registers: R,
        line: I,
        stages: &'b mut Stages,
        mac: Option<MacAddr>,
    ) -> Result<Self, NotThere> {
        if registers.read(BYTE_TEST) != 0x8765_4321 {
            // A sleeping chip wakes when BYTE_TEST is written.
            registers.write(BYTE_TEST, 0);
            if !registers.wait(PMT_CTRL, PATIENCE, |v| v & 1 == 1) || registers.read(BYTE_TEST) != 0x8765_4321
            {
                return Err(NotThere);
            }
        }
        registers.write(HW_CFG, 1);
        if !registers.wait(HW_CFG, PATIENCE, |v| v & 1 == 0) {
            return Err(NotThere);
        }
        // "Must be one", store and forward; 5 KiB for sending.
        registers.write(HW_CFG, 1 << 20 | 5 << 16);
        let mac = mac.unwrap_or_else(|| {
            let [a, b, c, d] = mac_read(&mut registers, ADDRL).to_le_bytes();
            let [e, f, ..] = mac_read(&mut registers, ADDRH).to_le_bytes();
            MacAddr([a, b, c, d, e, f])
        });
        let [a, b, c, d, e, f] = mac.0;
        mac_write(&mut registers, ADDRL, u32::from_le_bytes([a, b, c, d]));
        mac_write(&mut registers, ADDRH, u32::from_le_bytes([e, f, 0, 0]));
        // Restart auto-negotiation; a change of the link interrupts.
        phy_write(&mut registers, 0, 1 << 12 | 1 << 9);
        phy_write(&mut registers, 30, 1 << 6 | 1 << 4);
        // The frame begins two bytes into the first word, so that an IP header lies on a multiple of four.
        registers.write(RX_CFG, 2 << 8);
        registers.write(INT_EN, 0);
        registers.write(INT_STS, u32::MAX);
        // Interrupt when the status FIFO has more than 0 entries; when the data FIFO has room for a frame.
        registers.write(FIFO_INT, ((TX_ROOM / 64) as u32 + 1) << 24);
        // Level, active high, push-pull, enabled, 10 us apart at least.
        registers.write(IRQ_CFG, 1 << 24 | 1 << 8 | 1 << 4 | 1);
        registers.write(TX_CFG, 1 << 1);
        mac_write(&mut registers, MAC_CR, MAC_CR_FULL_DUPLEX | MAC_CR_TX | MAC_CR_RX);
        let rx = Rx { registers: registers.clone(), frames: 0, bytes: 0, dropped: 0, stage: &mut stages.rx };
        let tx = Tx { registers, frames: 0, bytes: 0, dropped: 0, stage: &mut stages.tx };
        Ok(Self { rx, tx, mac, line })
    }
}

impl<'b, R: Registers + Clone, I: InterruptLine> NetDevice for Lan9118<'b, R, I> {
    type Rx = Rx<'b, R>;
    type Tx = Tx<'b, R>;
    fn caps(&self) -> Caps {
        Caps::new(1500)
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        match phy_read(&mut self.rx.registers.clone(), 1) & 1 << 2 {
            0 => LinkState::Down,
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
    /// Filters by the upper six bits of the address's CRC: a group that shares its bit with a wanted one comes too.
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        let table = groups.iter().fold(0u64, |table, group| table | 1 << hash(*group));
        let registers = &mut self.rx.registers;
        mac_write(registers, HASHL, table as u32);
        mac_write(registers, HASHH, (table >> 32) as u32);
        let filter = if groups.is_empty() { 0 } else { MAC_CR_HASH_MULTICAST };
        mac_write(registers, MAC_CR, MAC_CR_FULL_DUPLEX | MAC_CR_TX | MAC_CR_RX | filter);
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
        let registers = &mut self.rx.registers;
        let status = registers.read(INT_STS);
        if status & INT_PHY != 0 {
            // Reading the PHY's interrupt source clears it.
            phy_read(registers, 29);
        }
        registers.write(INT_STS, status);
        let tx = if want_tx { INT_TX_AVAILABLE } else { 0 };
        registers.write(INT_EN, INT_RX_STATUS_LEVEL | INT_RX_STATUS_FULL | INT_RX_ERROR | INT_PHY | tx);
        if status & INT_RX_ERROR != 0 {
            self.rx.reset();
        }
        if status & (INT_TX_ERROR | INT_RX_DROPPED_HALF) != 0 {
            self.tx.reap();
        }
        if ready(self) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R: Registers> Rx<'_, R> {
    fn waiting(&mut self) -> bool {
        self.registers.read(RX_FIFO_INF) >> 16 & 0xff != 0
    }

    /// Throws the rest of the FIFO away: what the data sheet asks for after a receiver error.
    fn reset(&mut self) {
        self.dropped = self.dropped.wrapping_add(1);
        let control = mac_read(&mut self.registers, MAC_CR);
        mac_write(&mut self.registers, MAC_CR, control & !MAC_CR_RX);
        // RX_DUMP clears itself; the frame's offset stays.
        self.registers.write(RX_CFG, 1 << 15 | 2 << 8);
        self.registers.wait(RX_CFG, PATIENCE, |v| v & 1 << 15 == 0);
        self.registers.write(RX_CFG, 2 << 8);
        mac_write(&mut self.registers, MAC_CR, control | MAC_CR_RX);
    }

    /// Drops the frame at the head of the FIFO, `words` long.
    fn discard(&mut self, words: usize) {
        self.dropped = self.dropped.wrapping_add(1);
        if words >= 4 {
            // Fast-forward, for frames of at least four words.
            self.registers.write(RX_DP_CTRL, 1 << 31);
            self.registers.wait(RX_DP_CTRL, PATIENCE, |v| v >> 31 == 0);
        } else {
            for _ in 0..words {
                self.registers.read(RX_DATA);
            }
        }
    }
}

impl<R: Registers> NetRx for Rx<'_, R> {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let mut count = 0;
        while count < budget && self.waiting() {
            let status = self.registers.read(RX_STATUS);
            let total = (status >> 16 & 0x3fff) as usize;
            let words = (total + 2).div_ceil(4);
            count += 1;
            // Bit 15 sums up the errors: a runt, one too long, a collision, a bad check sequence.
            if status & 1 << 15 != 0 || !(14 + 4..=FRAME + 4).contains(&total) {
                self.discard(words);
                continue;
            }
            let stage = self.stage.get_mut(..words).unwrap_or_default();
            self.registers.read_fifo(RX_DATA, stage);
            if let Some(bytes) = bytes_of(stage).get_mut(2..2 + total - 4) {
                self.frames = self.frames.wrapping_add(1);
                self.bytes += bytes.len() as u64;
                frame(bytes, RxMeta::default());
            }
        }
        count
    }
}

impl<R: Registers> Tx<'_, R> {
    /// Takes the status words of frames that have left, so that their FIFO never fills, and counts those that did not.
    fn reap(&mut self) {
        let mut waiting = self.registers.read(TX_FIFO_INF) >> 16 & 0xff;
        while waiting > 0 {
            if self.registers.read(TX_STATUS) & 1 << 15 != 0 {
                self.dropped = self.dropped.wrapping_add(1);
            }
            waiting -= 1;
        }
    }
}

impl<R: Registers + Clone> NetTx for Tx<'_, R> {
    fn capacity(&self) -> usize {
        (self.registers.clone().read(TX_FIFO_INF) & 0xffff) as usize / TX_ROOM
    }
    fn transmit<T>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> T) -> Result<T, Full> {
        self.reap();
        if self.capacity() == 0 || !(14..=FRAME).contains(&len) {
            return Err(Full);
        }
        let stage = bytes_of(self.stage).get_mut(2..2 + len).ok_or(Full)?;
        let mut slot = TxFrame::new(stage);
        let result = fill(&mut slot);
        let len = slot.len.min(len);
        if len < 14 {
            return Ok(result);
        }
        // Command A: first and last segment, data from the third byte on. Command B: a tag and the length.
        self.registers.write(TX_DATA, 2 << 16 | 1 << 13 | 1 << 12 | len as u32);
        self.registers.write(TX_DATA, (len as u32) << 16 | len as u32);
        self.registers.write_fifo(TX_DATA, self.stage.get(..(2 + len).div_ceil(4)).unwrap_or_default());
        self.frames = self.frames.wrapping_add(1);
        self.bytes += len as u64;
        Ok(result)
    }
    /// The controller sends a frame as soon as it is whole: there is nothing to ring.
    fn flush(&mut self) {}
}

/// The upper six bits of the Ethernet CRC of an address: its bit in the hash table.
fn hash(address: MacAddr) -> u32 {
    let mut crc = u32::MAX;
    for byte in address.0 {
        for bit in 0..8 {
            let carry = crc >> 31 ^ u32::from(byte >> bit) & 1;
            crc <<= 1;
            if carry != 0 {
                crc ^= 0x04c1_1db7;
            }
        }
    }
    crc >> 26
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Line, Shared};
    use core::{
        cell::RefCell,
        task::{Context, Waker},
    };
    use std::{boxed::Box, collections::VecDeque, rc::Rc, vec, vec::Vec};

    /// The controller as its data sheet describes it: FIFOs of words, the registers behind MAC_CSR_CMD, a PHY.
    struct Chip {
        rx_words: VecDeque<u32>,
        rx_status: VecDeque<(u32, usize)>,
        tx_words: Vec<u32>,
        tx_status: u32,
        sent: Vec<Vec<u8>>,
        room: u32,
        rx_cfg: u32,
        int_sts: u32,
        int_en: u32,
        mac: [u32; 16],
        data: u32,
        dumps: u32,
        present: bool,
    }

    impl Chip {
        fn new() -> Self {
            let mut mac = [0; 16];
            (mac[ADDRL as usize], mac[ADDRH as usize]) = (0x0000_0002, 0x0100);
            Self {
                rx_words: VecDeque::new(),
                rx_status: VecDeque::new(),
                tx_words: vec![],
                tx_status: 0,
                sent: vec![],
                room: 4608,
                rx_cfg: 0,
                int_sts: 0,
                int_en: 0,
                mac,
                data: 0,
                dumps: 0,
                present: true,
            }
        }
        /// A frame arrives, its status with the length and error bits given.
        fn arrive(&mut self, frame: &[u8], len: usize, errors: u32) {
            let offset = (self.rx_cfg >> 8 & 0x1f) as usize;
            let mut bytes = vec![0xee; offset];
            bytes.extend_from_slice(frame);
            bytes.extend_from_slice(&[0xfc; 4]);
            bytes.resize((len + offset).next_multiple_of(4).max(bytes.len().next_multiple_of(4)), 0);
            let words = (len + offset).div_ceil(4);
            for word in bytes.chunks(4).take(words) {
                self.rx_words.push_back(u32::from_le_bytes(word.try_into().unwrap()));
            }
            self.rx_status.push_back((((len as u32) & 0x3fff) << 16 | errors, words));
            self.int_sts |= INT_RX_STATUS_LEVEL;
        }
        fn good(&mut self, frame: &[u8]) {
            self.arrive(frame, frame.len() + 4, 0);
        }
        fn transmit(&mut self) {
            let [a, b, ..] = self.tx_words[..] else { return };
            let (offset, len) = ((a >> 16 & 0x1f) as usize, (a & 0x7ff) as usize);
            assert_eq!(a & (1 << 13 | 1 << 12), 1 << 13 | 1 << 12, "a frame in one segment");
            assert_eq!((b & 0x7ff) as usize, len, "both commands say the same length");
            if self.tx_words.len() == 2 + (offset + len).div_ceil(4) {
                let bytes: Vec<u8> = self.tx_words[2..].iter().flat_map(|w| w.to_le_bytes()).collect();
                self.sent.push(bytes[offset..offset + len].to_vec());
                self.tx_words.clear();
                self.tx_status += 1;
            }
        }
    }

    impl Registers for Chip {
        fn read(&mut self, offset: usize) -> u32 {
            match offset {
                BYTE_TEST if self.present => 0x8765_4321,
                PMT_CTRL => self.present.into(),
                RX_FIFO_INF => ((self.rx_status.len() as u32) << 16) | (self.rx_words.len() as u32 * 4),
                RX_STATUS => match self.rx_status.pop_front() {
                    Some((status, _)) => status,
                    None => panic!("status read from an empty FIFO"),
                },
                RX_DATA => self.rx_words.pop_front().expect("data read from an empty FIFO"),
                TX_FIFO_INF => self.tx_status << 16 | self.room,
                TX_STATUS => {
                    self.tx_status -= 1;
                    0
                }
                INT_STS => self.int_sts,
                MAC_CSR_DATA => self.data,
                _ => 0,
            }
        }
        fn write(&mut self, offset: usize, value: u32) {
            match offset {
                TX_DATA => {
                    self.tx_words.push(value);
                    self.transmit();
                }
                RX_CFG => {
                    self.rx_cfg = value & !(1 << 15);
                    if value & 1 << 15 != 0 {
                        self.rx_words.clear();
                        self.rx_status.clear();
                        self.dumps += 1;
                    }
                }
                RX_DP_CTRL => {
                    // Fast-forward: the rest of the frame whose status was taken last.
                    let kept: usize = self.rx_status.iter().map(|(_, words)| words).sum();
                    while self.rx_words.len() > kept {
                        self.rx_words.pop_front();
                    }
                }
                INT_STS => self.int_sts &= !value,
                INT_EN => self.int_en = value,
                MAC_CSR_DATA => self.data = value,
                MAC_CSR_CMD => {
                    let register = (value & 0xf) as usize;
                    if value & 1 << 30 != 0 {
                        // The PHY's status says that the link is up.
                        self.data = if register == MII_DATA as usize { 1 << 2 } else { self.mac[register] };
                        if register == MII_ACC as usize {
                            self.data &= !1;
                        }
                    } else {
                        self.mac[register] = self.data;
                    }
                }
                _ => {}
            }
        }
    }

    type Device = Lan9118<'static, Shared<Chip>, Line>;

    fn device() -> (Device, Rc<RefCell<Chip>>) {
        let chip = Rc::new(RefCell::new(Chip::new()));
        let device =
            Lan9118::new(Shared(chip.clone()), Line::default(), Box::leak(Box::default()), None).unwrap();
        (device, chip)
    }

    fn received(device: &mut Device, budget: usize) -> Vec<Vec<u8>> {
        let mut frames = vec![];
        device.split().0.receive(budget, |frame, _| frames.push(frame.to_vec()));
        frames
    }

    #[test]
    fn its_own_address_and_link() {
        let (device, chip) = device();
        assert_eq!(device.mac(), MacAddr([2, 0, 0, 0, 0, 1]));
        assert_eq!(device.link(), LinkState::Up);
        assert_eq!(chip.borrow().mac[MAC_CR as usize] & (MAC_CR_RX | MAC_CR_TX), MAC_CR_RX | MAC_CR_TX);
        let gone = Rc::new(RefCell::new(Chip { present: false, ..Chip::new() }));
        let none = Lan9118::new(Shared(gone), Line::default(), Box::leak(Box::default()), None);
        assert_eq!(none.err(), Some(NotThere));
    }

    #[test]
    fn frames_of_every_length_arrive_and_leave_whole() {
        let (mut device, chip) = device();
        for len in 14..=FRAME {
            let frame: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
            chip.borrow_mut().good(&frame);
            assert_eq!(received(&mut device, 64), core::slice::from_ref(&frame), "{len}");
            device.split().1.transmit(len, |slot| slot.bytes.copy_from_slice(&frame)).unwrap();
            assert_eq!(chip.borrow_mut().sent.pop().unwrap(), frame);
        }
        assert!(chip.borrow().tx_status <= 1, "statuses of sent frames are taken");
        let tx = device.split().1;
        tx.transmit(100, |slot| slot.len = 0).unwrap();
        tx.transmit(100, |slot| slot.len = 42).unwrap();
        assert_eq!(chip.borrow().sent.iter().map(Vec::len).collect::<Vec<_>>(), [42]);
        chip.borrow_mut().room = TX_ROOM as u32 - 1;
        assert_eq!(tx.transmit(60, |_| panic!("no room")), Err(Full));
    }

    #[test]
    fn frames_with_errors_and_absurd_lengths_are_counted_and_skipped() {
        for (len, errors) in [(64, 1 << 15), (4, 0), (1519, 0), (4096, 0), (0, 1 << 15)] {
            let (mut device, chip) = device();
            chip.borrow_mut().arrive(&[1; 64], len, errors);
            chip.borrow_mut().good(&[2; 60]);
            assert_eq!(received(&mut device, 64), [vec![2; 60]], "{len}");
            assert_eq!(device.stats().rx_dropped, 1);
        }
    }

    #[test]
    fn a_receiver_error_empties_the_fifo() {
        let (mut device, chip) = device();
        chip.borrow_mut().int_sts = INT_RX_ERROR;
        let mut cx = Context::from_waker(Waker::noop());
        assert!(device.poll_ready(&mut cx, false).is_pending());
        assert_eq!((chip.borrow().dumps, device.stats().rx_dropped), (1, 1));
        assert_eq!(chip.borrow().rx_cfg, 2 << 8, "frames still begin at the third byte");
        assert_eq!(chip.borrow().int_en & INT_RX_STATUS_LEVEL, INT_RX_STATUS_LEVEL);
        chip.borrow_mut().good(&[1; 60]);
        assert!(device.poll_ready(&mut cx, false).is_ready());
    }

    #[test]
    fn groups_go_to_their_bit_of_the_table() {
        // The all-hosts group 01:00:5e:00:00:01 and the all-nodes group 33:33:00:00:00:01.
        let (mut device, chip) = device();
        device.set_multicast(&[MacAddr([1, 0, 0x5e, 0, 0, 1]), MacAddr([0x33, 0x33, 0, 0, 0, 1])]);
        let table =
            u64::from(chip.borrow().mac[HASHH as usize]) << 32 | u64::from(chip.borrow().mac[HASHL as usize]);
        assert_eq!(table.count_ones(), 2);
        assert!(chip.borrow().mac[MAC_CR as usize] & MAC_CR_HASH_MULTICAST != 0);
        device.set_multicast(&[]);
        assert!(chip.borrow().mac[MAC_CR as usize] & MAC_CR_HASH_MULTICAST == 0);
    }
}
