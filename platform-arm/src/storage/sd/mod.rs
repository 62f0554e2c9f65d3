//! An SD card on an SPI bus as a disk (SD Physical Layer Simplified Specification, version 9.00, chapter 7): SDSC, SDHC and SDXC, every
//! command and every sector with its check sum.
//!
//! The card has the bus to itself: it must be clocked before it is first selected, and stays selected while it is busy.
mod wire;

use airglow_device::{BlockDevice, BlockInfo, Clock, Error, ErrorKind, Instant};
use airglow_runtime::yield_now;
use core::{fmt, time::Duration};
use embedded_hal::{digital::OutputPin, spi::SpiBus};
use wire::*;

const SECTOR: usize = 512;
/// Until a card has started, and what all cards take afterwards (sections 6.4.1 and 7.2.1).
const SLOW: u32 = 400_000;
const FAST: u32 = 25_000_000;
/// Section 7.2.1.
const START: Duration = Duration::from_millis(1_000);
/// Sections 4.6.2.1 and 4.6.2.2: 100 and 500 ms.
const READ: Duration = Duration::from_millis(200);
const BUSY: Duration = Duration::from_millis(600);
/// Bytes that are looked at before others have their turn.
const TURN: u32 = 32;
/// How often a transfer that was damaged on the way is tried again without having come any further.
const RETRIES: u32 = 4;

/// Why there is no card, or a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdError {
    /// Nothing answers: no card, or it was taken out.
    Absent,
    /// The card is of a kind that this driver does not know (a MultiMediaCard, SDUC, a wrong voltage).
    Unusable,
    /// Not the card that was there at the start.
    Exchanged,
    /// It takes longer than the specification allows.
    Timeout,
    /// Damaged on the bus, again and again.
    Damaged,
    /// The card refuses a command; its answer R1, or the second byte of R2.
    Refused(u8),
    /// The card cannot read or write a sector; its error token or its answer to the data.
    Sector(u8),
    /// The buffer is not a whole number of sectors.
    Unaligned,
    /// Sectors beyond the end.
    OutOfRange,
    /// The card is write-protected.
    ReadOnly,
    /// The bus or the select line reports an error.
    Bus,
}

impl fmt::Display for SdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no SD card answers",
            Self::Unusable => "the SD card is of an unknown kind",
            Self::Exchanged => "this is another SD card than at the start",
            Self::Timeout => "the SD card takes too long",
            Self::Damaged => "what comes over the SD card's bus is damaged again and again",
            Self::Refused(answer) => return write!(f, "the SD card refuses a command: {answer:#04x}"),
            Self::Sector(answer) => return write!(f, "the SD card fails at a sector: {answer:#04x}"),
            Self::Unaligned => "the buffer is not a whole number of sectors",
            Self::OutOfRange => "the transfer goes beyond the end of the SD card",
            Self::ReadOnly => "the SD card is write-protected",
            Self::Bus => "the SD card's bus reports an error",
        })
    }
}
impl core::error::Error for SdError {}
impl Error for SdError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unaligned | Self::OutOfRange => ErrorKind::InvalidInput,
            Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::Timeout => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        }
    }
}

/// A card on `bus`, selected when `select` is low. `speed` sets the bus to at most so many hertz.
///
/// A card that fails in the middle of a transfer, or whose transfer was broken off, is started anew at the next.
#[derive(Debug)]
pub struct SdCard<B, P, C, F> {
    bus: B,
    select: P,
    clock: C,
    speed: F,
    sectors: u64,
    read_only: bool,
    /// Its addresses count sectors, not bytes.
    by_sector: bool,
    /// Its serial number among others; what it was at the start.
    cid: [u8; 16],
    /// Something is under way, or has failed.
    unsettled: bool,
    retries: u32,
}

impl<B: SpiBus, P: OutputPin, C: Clock, F: FnMut(&mut B, u32)> SdCard<B, P, C, F> {
    /// Starts the card.
    ///
    /// # Errors
    /// [`SdError`].
    pub async fn start(bus: B, select: P, clock: C, speed: F) -> Result<Self, SdError> {
        let (cid, sectors) = ([0; 16], 0);
        let (read_only, by_sector, unsettled, retries) = (false, false, true, 0);
        let mut card =
            Self { bus, select, clock, speed, sectors, read_only, by_sector, cid, unsettled, retries };
        card.restart().await?;
        Ok(card)
    }

    /// Transfers that were damaged on the bus and done again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// From whatever state the card is in to the state in which it transfers.
    async fn restart(&mut self) -> Result<(), SdError> {
        // A card that has just been given its power wants clocks before anything else.
        let mut cold = self.sectors == 0;
        let mut tries = 0;
        loop {
            (self.speed)(&mut self.bus, SLOW);
            if !core::mem::take(&mut cold) {
                // It may wait for the rest of a block that it was promised, or for the next, or send one after the other.
                self.select(true)?;
                self.pause(SECTOR + 16).await?;
                self.bus.write(&[STOP_TRAN]).map_err(|_| SdError::Bus)?;
                self.pause(8).await?;
                let _ = self.once(STOP_TRANSMISSION, 0).await;
            }
            self.select(false)?;
            // Section 6.4.1.1: 74 clocks without selection.
            self.pause(10).await?;
            self.select(true)?;
            let started = self.identify().await;
            self.select(false)?;
            match started {
                Ok(()) => {
                    self.unsettled = false;
                    return Ok(());
                }
                // What was taken for an answer may have been a byte of a block.
                Err(SdError::Unusable | SdError::Refused(_) | SdError::Damaged) if tries < RETRIES => {
                    tries += 1
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Section 7.2.1.
    async fn identify(&mut self) -> Result<(), SdError> {
        let until = self.clock.now() + START;
        let mut answer = self.command(GO_IDLE, 0).await;
        while answer != Ok(IDLE) {
            if answer == Err(SdError::Bus) || self.clock.now() > until {
                return Err(answer.err().unwrap_or(SdError::Absent));
            }
            self.pause(64).await?;
            answer = self.command(GO_IDLE, 0).await;
        }
        let newer = match self.command(SEND_IF_COND, IF_COND).await? {
            IDLE => match self.word().await? {
                [.., voltage, pattern] if u32::from(voltage & 0xf) << 8 | u32::from(pattern) == IF_COND => {
                    true
                }
                _ => return Err(SdError::Unusable),
            },
            answer if answer & ILLEGAL_COMMAND != 0 => false,
            answer => return Err(SdError::Refused(answer)),
        };
        self.expect(CRC_ON_OFF, 1, IDLE).await?;
        let until = self.clock.now() + START;
        loop {
            self.expect(APP_CMD, 0, IDLE).await?;
            match self.once(SEND_OP_COND, if newer { HCS } else { 0 }).await? {
                0 => break,
                _ if self.clock.now() > until => return Err(SdError::Timeout),
                IDLE => self.pause(64).await?,
                // Both commands have to be sent again.
                answer if answer & CRC_ERROR != 0 => self.retries = self.retries.wrapping_add(1),
                answer if answer & ILLEGAL_COMMAND != 0 => return Err(SdError::Unusable),
                answer => return Err(SdError::Refused(answer)),
            }
        }
        self.by_sector = false;
        if newer {
            self.expect(READ_OCR, 0, IDLE).await?;
            self.by_sector = self.word().await?[0] & CCS != 0;
        }
        (self.speed)(&mut self.bus, FAST);
        if !self.by_sector {
            self.expect(SET_BLOCKLEN, SECTOR as u32, 0).await?;
        }
        let csd = self.register(SEND_CSD).await?;
        let cid = self.register(SEND_CID).await?;
        if self.sectors != 0 && cid != self.cid {
            return Err(SdError::Exchanged);
        }
        self.cid = cid;
        (self.sectors, self.read_only) = size(&csd).filter(|(n, _)| *n > 0).ok_or(SdError::Unusable)?;
        Ok(())
    }

    fn select(&mut self, selected: bool) -> Result<(), SdError> {
        let line = if selected { self.select.set_low() } else { self.select.set_high() };
        line.map_err(|_| SdError::Bus)?;
        // A card lets go of the bus at the next clock.
        self.byte().map(drop)
    }

    fn byte(&mut self) -> Result<u8, SdError> {
        let mut byte = [0xff];
        self.bus.transfer_in_place(&mut byte).map_err(|_| SdError::Bus)?;
        Ok(byte[0])
    }

    async fn pause(&mut self, bytes: usize) -> Result<(), SdError> {
        for _ in 0..bytes {
            self.byte()?;
        }
        yield_now().await;
        Ok(())
    }

    /// The first byte for which `is` holds; `None` when there is none for `time`.
    async fn wait(&mut self, time: Duration, is: impl Fn(u8) -> bool) -> Result<Option<u8>, SdError> {
        let mut until: Option<Instant> = None;
        loop {
            for _ in 0..TURN {
                let byte = self.byte()?;
                if is(byte) {
                    return Ok(Some(byte));
                }
            }
            let now = self.clock.now();
            if now > *until.get_or_insert(now + time) {
                return Ok(None);
            }
            yield_now().await;
        }
    }

    async fn ready(&mut self) -> Result<(), SdError> {
        self.wait(BUSY, |byte| byte == 0xff).await?.map(drop).ok_or(SdError::Timeout)
    }

    /// Sends a command and returns the answer R1. A command that the card says was damaged is sent again.
    async fn command(&mut self, index: u8, argument: u32) -> Result<u8, SdError> {
        for _ in 0..RETRIES {
            match self.once(index, argument).await? {
                answer if answer & CRC_ERROR != 0 => self.retries = self.retries.wrapping_add(1),
                answer => return Ok(answer),
            }
        }
        Err(SdError::Damaged)
    }

    async fn once(&mut self, index: u8, argument: u32) -> Result<u8, SdError> {
        // Section 7.2.4: these two are heard at any time.
        if index != GO_IDLE && index != STOP_TRANSMISSION {
            self.ready().await?;
        }
        self.bus.write(&command(index, argument)).map_err(|_| SdError::Bus)?;
        if index == STOP_TRANSMISSION {
            // What comes next is of the block that was under way.
            self.byte()?;
        }
        // Section 7.5.4: after 1 to 8 bytes.
        for _ in 0..9 {
            let answer = self.byte()?;
            if answer & 0x80 == 0 {
                return Ok(answer);
            }
        }
        Err(SdError::Absent)
    }

    /// Sends a command whose answer has no bit set but, perhaps, those of `allowed`.
    async fn expect(&mut self, index: u8, argument: u32, allowed: u8) -> Result<(), SdError> {
        match self.command(index, argument).await? {
            answer if answer & !allowed == 0 => Ok(()),
            answer => Err(SdError::Refused(answer)),
        }
    }

    /// The four bytes behind R1 in R3 and R7.
    async fn word(&mut self) -> Result<[u8; 4], SdError> {
        let mut word = [0xff; 4];
        self.bus.transfer_in_place(&mut word).map_err(|_| SdError::Bus)?;
        Ok(word)
    }

    async fn register(&mut self, index: u8) -> Result<[u8; 16], SdError> {
        let mut register = [0; 16];
        for _ in 0..RETRIES {
            self.expect(index, 0, 0).await?;
            match self.receive(&mut register).await {
                Err(SdError::Damaged) => self.retries = self.retries.wrapping_add(1),
                other => return other.map(|()| register),
            }
        }
        Err(SdError::Damaged)
    }

    /// A block of data from the card (section 7.3.3).
    async fn receive(&mut self, block: &mut [u8]) -> Result<(), SdError> {
        match self.wait(READ, |byte| byte != 0xff).await? {
            Some(START_BLOCK) => {}
            Some(token) => return Err(SdError::Sector(token)),
            None => return Err(SdError::Timeout),
        }
        block.fill(0xff);
        self.bus.transfer_in_place(block).map_err(|_| SdError::Bus)?;
        let crc = u16::from_be_bytes([self.byte()?, self.byte()?]);
        if crc == crc16(block) { Ok(()) } else { Err(SdError::Damaged) }
    }

    /// A block of data to the card.
    async fn send(&mut self, token: u8, block: &[u8]) -> Result<(), SdError> {
        self.bus.write(&[0xff, token]).map_err(|_| SdError::Bus)?;
        self.bus.write(block).map_err(|_| SdError::Bus)?;
        self.bus.write(&crc16(block).to_be_bytes()).map_err(|_| SdError::Bus)?;
        let answer = self.byte()?;
        self.ready().await?;
        match answer & DATA_RESPONSE {
            ACCEPTED => Ok(()),
            REFUSED_CRC => Err(SdError::Damaged),
            _ => Err(SdError::Sector(answer)),
        }
    }

    /// The argument that names `sector`.
    fn address(&self, sector: u64) -> Result<u32, SdError> {
        let address = if self.by_sector { sector } else { sector * SECTOR as u64 };
        u32::try_from(address).map_err(|_| SdError::OutOfRange)
    }

    /// Reads sectors one after the other; `done` counts the bytes that are there.
    async fn read_run(&mut self, sector: u64, buf: &mut [u8], done: &mut usize) -> Result<(), SdError> {
        let several = buf.len() > SECTOR;
        let address = self.address(sector)?;
        self.expect(if several { READ_MULTIPLE } else { READ_SINGLE }, address, 0).await?;
        let mut received = Ok(());
        for block in buf.chunks_mut(SECTOR) {
            received = self.receive(block).await;
            if received.is_err() {
                break;
            }
            *done += SECTOR;
        }
        if several {
            // The answer may speak of sectors behind the last, which the card has begun to read.
            self.command(STOP_TRANSMISSION, 0).await?;
            self.ready().await?;
        }
        received
    }

    /// Writes sectors one after the other; `done` counts the bytes that the card has taken.
    async fn write_run(&mut self, sector: u64, buf: &[u8], done: &mut usize) -> Result<(), SdError> {
        let several = buf.len() > SECTOR;
        let address = self.address(sector)?;
        let (command, token) =
            if several { (WRITE_MULTIPLE, START_MULTIPLE) } else { (WRITE_BLOCK, START_BLOCK) };
        self.expect(command, address, 0).await?;
        let mut sent = Ok(());
        for block in buf.chunks(SECTOR) {
            sent = self.send(token, block).await;
            if sent.is_err() {
                break;
            }
            *done += SECTOR;
        }
        if several {
            self.bus.write(&[STOP_TRAN, 0xff]).map_err(|_| SdError::Bus)?;
            self.ready().await?;
        }
        sent?;
        // What went wrong while it wrote stands in its status.
        self.expect(SEND_STATUS, 0, 0).await?;
        match self.byte()? {
            0 => Ok(()),
            status => Err(SdError::Refused(status)),
        }
    }

    fn check(&self, sector: u64, len: usize) -> Result<(), SdError> {
        if !len.is_multiple_of(SECTOR) {
            return Err(SdError::Unaligned);
        }
        match sector.checked_add((len / SECTOR) as u64) {
            Some(end) if end <= self.sectors => Ok(()),
            _ => Err(SdError::OutOfRange),
        }
    }

    /// Selects the card, which is started anew where that is needed.
    async fn begin(&mut self) -> Result<(), SdError> {
        if self.unsettled {
            self.restart().await?;
        }
        self.unsettled = true;
        self.select(true)
    }

    /// What becomes of a run that ended with `result`, having come further or not: whether there is another.
    async fn again(
        &mut self,
        result: Result<(), SdError>,
        progress: bool,
        tries: &mut u32,
    ) -> Result<bool, SdError> {
        let error = match result {
            Ok(()) => return Ok(false),
            Err(error) => error,
        };
        self.select(false)?;
        let again = matches!(error, SdError::Damaged | SdError::Refused(_));
        if !again || !progress && *tries == RETRIES {
            return Err(error);
        }
        *tries = if progress { 0 } else { *tries + 1 };
        self.retries = self.retries.wrapping_add(1);
        if let SdError::Refused(_) = error {
            // It may be in another state than we think: a command to stop that was damaged looks like this.
            self.restart().await?;
            self.unsettled = true;
        }
        self.select(true)?;
        Ok(true)
    }

    fn end(&mut self) -> Result<(), SdError> {
        self.select(false)?;
        self.unsettled = false;
        Ok(())
    }
}

impl<B: SpiBus, P: OutputPin, C: Clock, F: FnMut(&mut B, u32)> BlockDevice for SdCard<B, P, C, F> {
    type Error = SdError;

    fn info(&self) -> BlockInfo {
        let info = BlockInfo::new(SECTOR, self.sectors);
        if self.read_only { info.read_only() } else { info }
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), SdError> {
        self.check(sector, buf.len())?;
        let (mut done, mut tries) = (0, 0);
        self.begin().await?;
        while done < buf.len() {
            let before = done;
            let rest = buf.get_mut(done..).unwrap_or_default();
            let result = self.read_run(sector + (before / SECTOR) as u64, rest, &mut done).await;
            if !self.again(result, done > before, &mut tries).await? {
                break;
            }
        }
        self.end()
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), SdError> {
        self.check(sector, buf.len())?;
        if self.read_only {
            return Err(SdError::ReadOnly);
        }
        let (mut done, mut tries) = (0, 0);
        self.begin().await?;
        while done < buf.len() {
            let before = done;
            let rest = buf.get(done..).unwrap_or_default();
            let result = self.write_run(sector + (before / SECTOR) as u64, rest, &mut done).await;
            if !self.again(result, done > before, &mut tries).await? {
                break;
            }
        }
        self.end()
    }
    /// A write has ended when the card has stored it.
    async fn flush(&mut self) -> Result<(), SdError> {
        Ok(())
    }
    /// Does nothing.
    async fn discard(&mut self, sector: u64, count: u64) -> Result<(), SdError> {
        match sector.checked_add(count) {
            Some(end) if end <= self.sectors => Ok(()),
            _ => Err(SdError::OutOfRange),
        }
    }
}
