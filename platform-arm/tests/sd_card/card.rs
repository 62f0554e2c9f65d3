//! A model of an SD card in SPI mode, byte by byte (SD Physical Layer Simplified Specification, chapter 7), with what can go wrong.
use embedded_hal::{
    digital::{self, OutputPin},
    spi::{ErrorType, SpiBus},
};
use std::{cell::RefCell, collections::VecDeque, convert::Infallible, rc::Rc};

/// What kind of card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// SDSC of version 1: does not know SEND_IF_COND.
    Old,
    /// SDSC of version 2: addressed by bytes.
    Standard,
    /// SDHC or SDXC.
    High,
    /// A MultiMediaCard: knows neither SEND_IF_COND nor SD_SEND_OP_COND.
    Mmc,
}

/// What goes wrong.
#[derive(Default)]
pub struct Faults {
    /// One block in so many has a bit wrong on its way; 0: none.
    pub damage_blocks: u32,
    /// One command in so many has.
    pub damage_commands: u32,
    /// This sector cannot be read, this one not written.
    pub unreadable: Option<usize>,
    pub unwritable: Option<usize>,
    /// Blocks from here on are not answered: the card was taken out.
    pub gone_after: Option<u32>,
    /// Busy for ever.
    pub stuck: bool,
}

enum State {
    Waiting,
    /// Sends sectors from here on until it is stopped (or just one).
    Reading {
        sector: usize,
        several: bool,
    },
    Writing {
        sector: usize,
        several: bool,
        block: Option<Vec<u8>>,
    },
}

pub struct Card {
    pub kind: Kind,
    pub memory: Vec<u8>,
    pub serial: u8,
    pub read_only: bool,
    pub faults: Faults,
    /// The bus's clock in hertz, and the fastest that it had before the card had started.
    pub hertz: u32,
    pub gone: bool,
    pub blocks: u32,
    pub commands: Vec<u8>,
    selected: bool,
    clocks: u32,
    idle: bool,
    spi: bool,
    crc: bool,
    application: bool,
    starting: u32,
    frame: Vec<u8>,
    out: VecDeque<u8>,
    busy: u32,
    state: State,
    status: u8,
}

impl Card {
    pub fn new(kind: Kind, sectors: usize) -> Self {
        Self {
            kind,
            memory: (0..sectors * 512).map(|at| (at * 31 + at / 251) as u8).collect(),
            serial: 7,
            read_only: false,
            faults: Faults::default(),
            hertz: u32::MAX,
            gone: false,
            blocks: 0,
            commands: Vec::new(),
            selected: false,
            clocks: 0,
            idle: true,
            spi: false,
            crc: false,
            application: false,
            starting: 3,
            frame: Vec::new(),
            out: VecDeque::new(),
            busy: 0,
            state: State::Waiting,
            status: 0,
        }
    }

    fn sectors(&self) -> usize {
        self.memory.len() / 512
    }

    /// A bit falls over one time in so many, in no rhythm that a retry could fall into.
    fn damaged(count: u32, every: u32) -> u8 {
        let scattered = count.wrapping_mul(0x9e37_79b1) >> 16;
        if every != 0 && scattered.is_multiple_of(every) { 0x10 } else { 0 }
    }

    fn byte(&mut self, mosi: u8) -> u8 {
        if self.gone {
            return 0xff;
        }
        if !self.selected {
            self.clocks += 8;
            self.frame.clear();
            return 0xff;
        }
        let miso = match self.out.pop_front() {
            Some(byte) => byte,
            None if self.busy > 0 => {
                self.busy -= u32::from(!self.faults.stuck);
                0
            }
            None => {
                self.next_block();
                0xff
            }
        };
        self.take(mosi);
        miso
    }

    /// The next block of a read.
    fn next_block(&mut self) {
        if let State::Reading { sector, several } = self.state {
            self.out.extend([0xff; 5]);
            if self.faults.unreadable == Some(sector) || sector >= self.sectors() {
                self.out.push_back(if sector >= self.sectors() { 0x08 } else { 0x04 });
                self.state = State::Waiting;
                return;
            }
            let block = self.memory[sector * 512..][..512].to_vec();
            self.queue_block(&block);
            self.state =
                if several { State::Reading { sector: sector + 1, several } } else { State::Waiting };
        }
    }

    fn queue_block(&mut self, block: &[u8]) {
        self.blocks += 1;
        if self.faults.gone_after.is_some_and(|after| self.blocks > after) {
            self.gone = true;
        }
        let crc = crc16(block);
        let flip = Self::damaged(self.blocks, self.faults.damage_blocks);
        self.out.push_back(0xfe);
        let start = self.out.len();
        self.out.extend(block);
        self.out[start + block.len() / 2] ^= flip;
        self.out.extend(crc.to_be_bytes());
    }

    fn take(&mut self, mosi: u8) {
        if let State::Writing { sector, several, block } = &mut self.state
            && self.frame.is_empty()
        {
            let (sector, several) = (*sector, *several);
            match block {
                Some(bytes) => {
                    bytes.push(mosi);
                    if bytes.len() == 514 {
                        let bytes = std::mem::take(bytes);
                        self.written(sector, several, bytes);
                    }
                    return;
                }
                None if mosi == if several { 0xfc } else { 0xfe } => {
                    assert_eq!(self.busy, 0, "data while the card is busy");
                    *block = Some(Vec::new());
                    return;
                }
                None if several && mosi == 0xfd => {
                    self.state = State::Waiting;
                    self.out.push_back(0xff);
                    self.busy = 70;
                    return;
                }
                None => {}
            }
        }
        if self.frame.is_empty() && mosi & 0xc0 != 0x40 {
            return;
        }
        self.frame.push(mosi);
        if self.frame.len() == 6 {
            let frame = std::mem::take(&mut self.frame);
            self.command(frame.try_into().unwrap());
        }
    }

    fn written(&mut self, sector: usize, several: bool, bytes: Vec<u8>) {
        self.blocks += 1;
        let (data, crc) = bytes.split_at(512);
        let mut data = data.to_vec();
        data[100] ^= Self::damaged(self.blocks, self.faults.damage_blocks);
        self.busy = 300;
        let mut next = sector;
        let answer = if crc16(&data).to_be_bytes() != crc {
            0xeb
        } else if self.faults.unwritable == Some(sector) || sector >= self.sectors() {
            0xed
        } else {
            self.memory[sector * 512..][..512].copy_from_slice(&data);
            next += 1;
            0xe5
        };
        self.out.push_back(answer);
        self.state =
            if several { State::Writing { sector: next, several, block: None } } else { State::Waiting };
    }

    fn command(&mut self, frame: [u8; 6]) {
        let index = frame[0] & 0x3f;
        let argument = u32::from_be_bytes(frame[1..5].try_into().unwrap());
        self.commands.push(index);
        let flip = Self::damaged(self.commands.len() as u32, self.faults.damage_commands);
        let good = frame[5] == crc7([frame[0], frame[1], frame[2] ^ flip, frame[3], frame[4]]) << 1 | 1;
        let idle = u8::from(self.idle);
        assert!(self.busy == 0 || matches!(index, 0 | 12), "command {index} while the card is busy");
        let application = std::mem::take(&mut self.application);
        if index == 0 {
            // Before a card has been clocked, it hears nothing.
            if self.clocks < 74 || !good {
                return;
            }
            assert!(self.hertz <= 400_000, "a card that has not started is clocked at {} Hz", self.hertz);
            (self.spi, self.idle, self.crc, self.starting, self.busy) = (true, true, false, 3, 0);
            self.state = State::Waiting;
            return self.answer(&[1]);
        }
        if !self.spi {
            return;
        }
        if (self.crc || index == 8) && !good {
            return self.answer(&[idle | 0x08]);
        }
        if index == 12 {
            self.state = State::Waiting;
            self.out.clear();
            // A byte of the block that was under way, then the answer, then a moment of business.
            self.out.push_back(0x5a);
            self.answer(&[0]);
            self.busy = 20;
            return;
        }
        let place = |high: bool| {
            let sector = if high { argument as usize } else { argument as usize / 512 };
            (high || argument % 512 == 0, sector)
        };
        let (aligned, sector) = place(self.kind == Kind::High);
        match index {
            8 if matches!(self.kind, Kind::Old | Kind::Mmc) => self.answer(&[idle | 0x04]),
            8 => self.answer(&[idle, 0, 0, frame[3], frame[4]]),
            55 if self.kind == Kind::Mmc => self.answer(&[idle | 0x04]),
            55 => {
                self.application = true;
                self.answer(&[idle]);
            }
            41 if application => {
                if self.kind == Kind::High && argument >> 30 & 1 == 0 {
                    return self.answer(&[1]); // For ever: this host does not know such cards.
                }
                self.starting = self.starting.saturating_sub(1);
                self.idle = self.starting > 0;
                self.answer(&[u8::from(self.idle)]);
            }
            58 => self.answer(&[idle, if self.kind == Kind::High { 0xc0 } else { 0x80 }, 0xff, 0x80, 0]),
            59 => {
                self.crc = argument == 1;
                self.answer(&[idle]);
            }
            _ if self.idle => self.answer(&[idle | 0x04]),
            9 => {
                let csd = self.csd();
                self.answer(&[0]);
                self.queue_block(&csd);
            }
            10 => {
                self.answer(&[0]);
                let cid = [0x1b, b'S', b'M', b'A', b'I', b'R', 0, 0, 0, 0, 0, 0, self.serial, 0, 0, 1];
                self.queue_block(&cid);
            }
            13 => {
                let status = std::mem::take(&mut self.status);
                self.answer(&[0, status]);
            }
            16 => self.answer(&[if argument == 512 { 0 } else { 0x40 }]),
            17 | 18 | 24 | 25 if !aligned => self.answer(&[0x20]),
            17 | 18 | 24 | 25 if sector >= self.sectors() => self.answer(&[0x40]),
            17 | 18 => {
                self.answer(&[0]);
                self.state = State::Reading { sector, several: index == 18 };
            }
            24 | 25 => {
                self.answer(&[0]);
                self.state = State::Writing { sector, several: index == 25, block: None };
            }
            _ => self.answer(&[0x04]),
        }
    }

    /// After as many bytes as a card may take.
    fn answer(&mut self, bytes: &[u8]) {
        self.out.extend(std::iter::repeat_n(0xff, self.commands.len() % 8));
        self.out.extend(bytes);
    }

    fn csd(&self) -> [u8; 16] {
        let mut csd = [0; 16];
        if self.kind == Kind::High {
            let size = (self.sectors() / 1024 - 1) as u32;
            csd[0] = 0x40;
            csd[7..10].copy_from_slice(&size.to_be_bytes()[1..]);
        } else {
            // Blocks of 512 bytes, in fours.
            let size = self.sectors() / 4 - 1;
            csd[5] = 9;
            (csd[6], csd[7], csd[8]) = ((size >> 10 & 3) as u8, (size >> 2) as u8, (size << 6) as u8);
        }
        csd[14] = if self.read_only { 0x10 } else { 0 };
        csd
    }
}

/// Bit by bit, as the specification draws it.
fn crc7(bytes: [u8; 5]) -> u8 {
    let mut register = 0u8;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
        let carry = register >> 6 & 1 ^ bit;
        register = (register << 1 & 0x7f) ^ (carry << 3 | carry);
    }
    register
}

fn crc16(bytes: &[u8]) -> u16 {
    let mut register = 0u16;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| u16::from(byte >> n & 1))) {
        let carry = register >> 15 ^ bit;
        register = register << 1 ^ (carry << 12 | carry << 5 | carry);
    }
    register
}

/// The wires to the slot.
#[derive(Clone)]
pub struct Slot(pub Rc<RefCell<Card>>);

impl ErrorType for Slot {
    type Error = Infallible;
}
impl digital::ErrorType for Slot {
    type Error = Infallible;
}
impl SpiBus for Slot {
    fn read(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("what is sent meanwhile is not said")
    }
    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        words.iter().for_each(|&byte| _ = self.0.borrow_mut().byte(byte));
        Ok(())
    }
    fn transfer(&mut self, _: &mut [u8], _: &[u8]) -> Result<(), Infallible> {
        unreachable!("not used")
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        words.iter_mut().for_each(|byte| *byte = self.0.borrow_mut().byte(*byte));
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
impl OutputPin for Slot {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().selected = true;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        let mut card = self.0.borrow_mut();
        card.selected = false;
        card.out.clear();
        Ok(())
    }
}
