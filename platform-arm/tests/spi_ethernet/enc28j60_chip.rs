//! The Microchip ENC28J60 as its data sheet (DS39662E) describes it, as far as a driver without interrupts goes: four banks of
//! registers, 8 KiB of buffer memory with its read and write pointers, the receive ring with next-packet pointers and status
//! vectors, transmission, the PHY behind the MII registers. Of the errata (DS80349C): PKTIF is not to be trusted (6, it never comes), the transmit
//! logic may stop until it is reset (12), an even ERXRDPT corrupts the ring (14, the model refuses it).
use crate::bus::Chip;
use airglow_device::{LinkState, MacAddr, NetDevice, NetRx, NetTx, SegmentPort};

const MEMORY: usize = 8 * 1024;

// Registers as (bank, address).
type Register = (usize, u8);
const ERDPT: Register = (0, 0x00);
const EWRPT: Register = (0, 0x02);
const ETXST: Register = (0, 0x04);
const ETXND: Register = (0, 0x06);
const ERXST: Register = (0, 0x08);
const ERXND: Register = (0, 0x0a);
const ERXRDPT: Register = (0, 0x0c);
const ERXWRPT: Register = (0, 0x0e);
const ERXFCON: Register = (1, 0x18);
const EPKTCNT: Register = (1, 0x19);
const MACON1: Register = (2, 0x00);
const MACON3: Register = (2, 0x02);
const MICMD: Register = (2, 0x12);
const MIREGADR: Register = (2, 0x14);
const MIWRH: Register = (2, 0x17);
const MIRD: Register = (2, 0x18);
const EREVID: Register = (3, 0x12);
/// In which order the registers of bank 3 hold the address.
const MAADR: [u8; 6] = [0x04, 0x05, 0x02, 0x03, 0x00, 0x01];
// The same in every bank.
const ESTAT: u8 = 0x1d;
const ECON2: u8 = 0x1e;
const ECON1: u8 = 0x1f;

const ECON1_RXEN: u8 = 1 << 2;
const ECON1_TXRTS: u8 = 1 << 3;
const ECON1_RXRST: u8 = 1 << 6;
const ECON1_TXRST: u8 = 1 << 7;
const ECON2_PKTDEC: u8 = 1 << 6;
const RECEIVED_OK: u8 = 1 << 7;

const PHSTAT2: u8 = 0x11;

/// What the chip tells of the next frame in place of the truth.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// Its length with the check sequence.
    Length(u16),
    /// Where the next one is.
    Next(u16),
    /// It was not received well.
    Error,
}

/// The chip and the cable in it.
pub struct Enc28j60Chip {
    port: SegmentPort,
    banks: [[u8; 0x20]; 4],
    memory: Vec<u8>,
    phy: [u16; 0x20],
    command: Option<u8>,
    count: usize,
    /// Told of the next frame.
    pub lie: Option<Lie>,
    /// The next transmission gets stuck.
    pub stall: bool,
    /// Frames that found no room in the ring.
    pub overruns: u32,
    /// How often the receive logic was reset.
    pub receive_resets: u32,
    /// How often the transmit logic was reset.
    pub transmit_resets: u32,
}

impl Enc28j60Chip {
    /// After power-up.
    pub fn new(port: SegmentPort) -> Self {
        let mut chip = Self {
            port: port.promiscuous(),
            banks: [[0; 0x20]; 4],
            memory: vec![0; MEMORY],
            phy: [0; 0x20],
            command: None,
            count: 0,
            lie: None,
            stall: false,
            overruns: 0,
            receive_resets: 0,
            transmit_resets: 0,
        };
        chip.reset();
        chip
    }

    fn reset(&mut self) {
        self.banks = [[0; 0x20]; 4];
        self.banks[0][usize::from(ESTAT)] = 1;
        self.banks[0][usize::from(ECON2)] = 1 << 7;
        self.banks[ERXFCON.0][usize::from(ERXFCON.1)] = 0b1010_0001;
        self.banks[EREVID.0][usize::from(EREVID.1)] = 6;
        self.set_word(ERXST, 0x05fa);
        self.set_word(ERXND, 0x1fff);
        self.set_word(ERXRDPT, 0x05fa);
        self.set_word(ERDPT, 0x05fa);
    }

    /// Registers 0x1b to 0x1f are the same in every bank.
    fn place(&mut self, (bank, address): Register) -> &mut u8 {
        let bank = if address >= 0x1b { 0 } else { bank };
        &mut self.banks[bank][usize::from(address)]
    }
    fn get(&self, (bank, address): Register) -> u8 {
        self.banks[if address >= 0x1b { 0 } else { bank }][usize::from(address)]
    }
    fn word(&self, (bank, low): Register) -> u16 {
        u16::from_le_bytes([self.get((bank, low)), self.get((bank, low + 1))])
    }
    fn set_word(&mut self, (bank, low): Register, value: u16) {
        let [l, h] = value.to_le_bytes();
        (*self.place((bank, low)), *self.place((bank, low + 1))) = (l, h);
    }

    /// The byte of the ring behind `at`.
    fn after(&self, at: u16) -> u16 {
        if at == self.word(ERXND) { self.word(ERXST) } else { (at + 1) % MEMORY as u16 }
    }

    fn wants(&self, destination: MacAddr) -> bool {
        let filter = self.get(ERXFCON);
        let own = MAADR.map(|register| self.get((3, register)));
        filter & 0b1000_1111 == 0
            || filter & 1 << 7 != 0 && destination.0 == own
            || filter & 1 << 0 != 0 && destination.is_broadcast()
            || filter & 1 << 1 != 0 && destination.is_multicast()
    }

    /// What has come over the cable since the last look.
    fn hear(&mut self) {
        let mut frames = Vec::new();
        self.port.split().0.receive(usize::MAX, |frame, _| frames.push(frame.to_vec()));
        for frame in frames {
            let Some(&destination) = frame.first_chunk() else { continue };
            let econ1 = self.get((0, ECON1));
            let on = econ1 & ECON1_RXEN != 0 && econ1 & ECON1_RXRST == 0 && self.get(MACON1) & 1 != 0;
            if !on || !self.wants(MacAddr(destination)) {
                continue;
            }
            let (start, end) = (self.word(ERXST), self.word(ERXND));
            let (write, read) = (self.word(ERXWRPT), self.word(ERXRDPT));
            let ring = end - start + 1;
            let free = if write > read { ring - (write - read) } else { read - write };
            let whole = (6 + frame.len() as u16 + 4).next_multiple_of(2);
            if free < whole || self.get(EPKTCNT) == 255 {
                self.overruns += 1;
                continue;
            }
            let behind = start + (write - start + whole) % ring;
            let (mut next, mut len, mut flags) = (behind, frame.len() as u16 + 4, RECEIVED_OK);
            match self.lie.take() {
                Some(Lie::Length(told)) => len = told,
                Some(Lie::Next(told)) => next = told,
                Some(Lie::Error) => flags = 1 << 4,
                None => {}
            }
            let header = [next.to_le_bytes(), len.to_le_bytes(), [flags, 0]].concat();
            let mut at = write;
            for byte in header.into_iter().chain(frame).chain([0xcc; 4]) {
                self.memory[usize::from(at)] = byte;
                at = self.after(at);
            }
            self.set_word(ERXWRPT, behind);
            *self.place(EPKTCNT) += 1;
        }
    }

    fn transmit(&mut self) {
        if self.stall {
            return;
        }
        let (start, end) = (usize::from(self.word(ETXST)), usize::from(self.word(ETXND)));
        let mut frame = self.memory.get(start + 1..=end).unwrap_or_default().to_vec();
        if self.get(MACON3) & 0b1110_0000 != 0 {
            frame.resize(frame.len().max(60), 0);
        }
        let tx = self.port.split().1;
        let _ = tx.transmit(frame.len(), |slot| slot.bytes.copy_from_slice(&frame));
        tx.flush();
        *self.place((0, ECON1)) &= !ECON1_TXRTS;
    }

    fn read(&mut self, register: Register) -> u8 {
        if register == MIRD && self.get(MIREGADR) == PHSTAT2 {
            let up = self.port.link() == LinkState::Up;
            self.phy[usize::from(PHSTAT2)] = u16::from(up) << 10;
            self.set_word(MIRD, u16::from(up) << 10);
        }
        self.get(register)
    }

    fn write(&mut self, register: Register, value: u8) {
        if register.1 == ECON1 && register.1 >= 0x1b {
            let before = self.get(register);
            *self.place(register) = value;
            if value & ECON1_RXRST != 0 && before & ECON1_RXRST == 0 {
                self.receive_resets += 1;
                *self.place(register) &= !ECON1_RXEN;
            }
            if value & ECON1_TXRST != 0 {
                self.transmit_resets += 1;
                self.stall = false;
                *self.place(register) &= !ECON1_TXRTS;
            } else if value & ECON1_TXRTS != 0 && before & ECON1_TXRTS == 0 {
                self.transmit();
            }
            return;
        }
        if register.1 == ECON2 {
            if value & ECON2_PKTDEC != 0 {
                *self.place(EPKTCNT) = self.get(EPKTCNT).saturating_sub(1);
            }
            *self.place(register) = value & !ECON2_PKTDEC;
            return;
        }
        if [EPKTCNT, ERXWRPT, (0, 0x0f), EREVID].contains(&register) {
            return;
        }
        *self.place(register) = value;
        match register {
            // Writing the start of the ring puts the hardware's write pointer there.
            (0, 0x08 | 0x09) => self.set_word(ERXWRPT, self.word(ERXST)),
            (0, 0x0d) => assert!(self.word(ERXRDPT) % 2 == 1, "erratum 14: ERXRDPT must be odd"),
            MIWRH => {
                let value = u16::from_le_bytes([self.get((2, 0x16)), value]);
                self.phy[usize::from(self.get(MIREGADR) & 0x1f)] = value;
            }
            MICMD if value & 1 != 0 => {
                self.set_word(MIRD, self.phy[usize::from(self.get(MIREGADR) & 0x1f)]);
            }
            _ => {}
        }
    }

    fn register(&self, address: u8) -> Register {
        (usize::from(self.get((0, ECON1)) & 3), address)
    }

    /// MAC and MII registers answer one byte later.
    fn slow((bank, address): Register) -> bool {
        address < 0x1b && (bank == 2 || bank == 3 && (address <= 0x05 || address == 0x0a))
    }
}

impl Chip for Enc28j60Chip {
    fn select(&mut self) {
        (self.command, self.count) = (None, 0);
        self.hear();
    }

    fn byte(&mut self, mosi: u8) -> u8 {
        let Some(command) = self.command else {
            self.command = Some(mosi);
            if mosi == 0xff {
                self.reset();
            }
            return 0;
        };
        self.count += 1;
        let register = self.register(command & 0x1f);
        match command >> 5 {
            0 if Self::slow(register) && self.count == 1 => 0,
            0 => self.read(register),
            1 => {
                let at = self.word(ERDPT);
                self.set_word(ERDPT, self.after(at));
                self.memory[usize::from(at) % MEMORY]
            }
            2 => {
                self.write(register, mosi);
                0
            }
            3 => {
                let at = self.word(EWRPT);
                self.memory[usize::from(at) % MEMORY] = mosi;
                self.set_word(EWRPT, (at + 1) % MEMORY as u16);
                0
            }
            4 | 5 => {
                assert!(!Self::slow(register), "no bit operations on MAC and MII registers");
                let value = self.get(register);
                let value = if command >> 5 == 4 { value | mosi } else { value & !mosi };
                self.write(register, value);
                0
            }
            _ => 0,
        }
    }

    fn deselect(&mut self) {
        self.hear();
    }
}
