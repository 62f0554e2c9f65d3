//! Power cuts at every byte, full disks, disks of others.
use super::*;
use crate::zone::load;
use airglow_device::{BlockInfo, RamDisk, RamDiskError, SeededEntropy};
use std::{
    boxed::Box,
    format,
    future::Future,
    string::{String, ToString},
    task::{Context, Poll, Waker},
    vec,
};

pub const SECTOR: usize = 64;
pub const SECTORS: u64 = 60;

/// The disks of these tests never wait.
pub fn now<F: Future>(future: F) -> F::Output {
    match Box::pin(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a disk in memory waits"),
    }
}

/// A disk that writes down what it is told to do.
pub struct Recorder {
    pub disk: Vec<u8>,
    pub said: Vec<Said>,
}

#[derive(Clone)]
pub enum Said {
    Write(usize, Vec<u8>),
    Flush,
    /// Not of the disk: the change to this serial was answered.
    Answered(u32),
}

impl BlockDevice for &mut Recorder {
    type Error = RamDiskError;
    fn info(&self) -> BlockInfo {
        BlockInfo::new(SECTOR, SECTORS)
    }
    async fn read(&mut self, sector: u64, buf: &mut [u8]) -> Result<(), RamDiskError> {
        let at = sector as usize * SECTOR;
        buf.copy_from_slice(&self.disk[at..at + buf.len()]);
        Ok(())
    }
    async fn write(&mut self, sector: u64, buf: &[u8]) -> Result<(), RamDiskError> {
        let at = sector as usize * SECTOR;
        self.disk[at..at + buf.len()].copy_from_slice(buf);
        self.said.push(Said::Write(at, buf.to_vec()));
        Ok(())
    }
    async fn flush(&mut self) -> Result<(), RamDiskError> {
        self.said.push(Said::Flush);
        Ok(())
    }
    async fn discard(&mut self, _: u64, _: u64) -> Result<(), RamDiskError> {
        Ok(())
    }
}

fn zone(serial: u32) -> Zone {
    let text =
        format!("$TTL 60\n@ SOA ns admin {serial} 1 1 1 1\n@ NS ns\nns A 192.0.2.1\nnow TXT {serial}\n");
    load("test", text.as_bytes(), &"example.com".parse().unwrap(), |_| Err(String::new())).unwrap()
}

fn zones(serial: u32) -> Zones {
    let mut zones = Zones::new();
    zones.insert(zone(serial));
    zones
}

pub fn entropy() -> SeededEntropy {
    SeededEntropy::predictable(1)
}

fn shown(zones: &Zones) -> String {
    zones.iter().map(|zone| zone.to_string()).collect()
}

/// Makes `count` changes as a server does, from serial 1 on; the journal is written anew when it is full.
fn work(disk: &mut Recorder, count: u32) -> u32 {
    let mut served = zones(1);
    let mut rewritten = 0;
    let mut journal = now(Journal::open(&mut *disk, &mut served, 0, &entropy())).unwrap();
    for serial in 2..2 + count {
        let old = served.iter().next().unwrap().clone();
        let next = zone(serial);
        let change = old.difference(&next, 1 << 20).unwrap();
        match now(journal.append(old.apex().name(), &change)) {
            Ok(()) => {}
            Err(JournalError::Full) => {
                now(journal.rewrite(&[Arc::new(zone(serial))], &entropy())).unwrap();
                rewritten += 1;
            }
            Err(error) => panic!("{error}"),
        }
        journal.device.said.push(Said::Answered(serial));
        served.insert(next);
    }
    rewritten
}

/// What a server that starts from serial 1 has after `disk`.
fn recovered(disk: Vec<u8>) -> Result<Zones, JournalError<RamDiskError>> {
    let mut served = zones(1);
    let mut disk = Recorder { disk, said: vec![] };
    now(Journal::open(&mut disk, &mut served, 0, &entropy()))?;
    Ok(served)
}

/// Calls `check` with what a power cut at every byte of every write leaves, and with writes since the last flush of which any
/// sectors came to the disk, each time with the last that was answered; returns the disk at the end.
pub fn every_cut(said: &[Said], first: u32, cuts: &mut usize, check: impl Fn(Vec<u8>, u32)) -> Vec<u8> {
    let mut durable = vec![0; SECTOR * SECTORS as usize];
    // Writes that no flush has followed yet: a cut may keep any of their sectors.
    let mut open: Vec<(usize, Vec<u8>)> = vec![];
    let (mut answered, mut random) = (first, 7_u64);
    for said in said.iter().cloned() {
        match said {
            Said::Answered(serial) => answered = serial,
            Said::Flush => {
                open.drain(..).for_each(|(at, bytes)| durable[at..at + bytes.len()].copy_from_slice(&bytes))
            }
            Said::Write(at, bytes) => {
                let mut before = durable.clone();
                open.iter().for_each(|(at, bytes)| before[*at..*at + bytes.len()].copy_from_slice(bytes));
                for cut in 0..=bytes.len() {
                    let mut image = before.clone();
                    image[at..at + cut].copy_from_slice(&bytes[..cut]);
                    check(image, answered);
                    *cuts += 1;
                }
                open.push((at, bytes));
                for _ in 0..20 {
                    let mut image = durable.clone();
                    for (at, bytes) in &open {
                        for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            if random >> 63 == 0 {
                                let at = at + sector * SECTOR;
                                image[at..at + bytes.len()].copy_from_slice(bytes);
                            }
                        }
                    }
                    check(image, answered);
                }
            }
        }
    }
    durable
}

#[test]
fn a_power_cut_at_every_byte_loses_nothing_that_was_answered() {
    let mut disk = Recorder { disk: vec![0; SECTOR * SECTORS as usize], said: vec![] };
    let rewritten = work(&mut disk, 22);
    assert!(rewritten >= 2, "the journal was full {rewritten} times");
    let (mut cuts, check) = (0, |image: Vec<u8>, answered: u32| {
        let served = recovered(image).unwrap_or_else(|error| panic!("after {answered}: {error}"));
        let serial = served.iter().next().unwrap().serial();
        assert!(serial == answered || serial == answered + 1, "{serial} after {answered} was answered");
        assert_eq!(shown(&served), shown(&zones(serial)));
    });
    let durable = every_cut(&disk.said, 1, &mut cuts, check);
    assert!(cuts > 5000, "{cuts} cuts");
    assert_eq!(shown(&recovered(durable).unwrap()), shown(&zones(23)));
}

#[test]
fn after_a_cut_it_goes_on() {
    let mut disk = Recorder { disk: vec![0; SECTOR * SECTORS as usize], said: vec![] };
    work(&mut disk, 3);
    // The last entry is torn: the next takes its place.
    let Some(Said::Write(at, bytes)) =
        disk.said.iter().rev().find(|said| matches!(said, Said::Write(..))).cloned()
    else {
        panic!("a write")
    };
    disk.disk[at + bytes.len() - SECTOR..at + bytes.len()].fill(0x55);
    let mut served = zones(1);
    let mut journal = now(Journal::open(&mut disk, &mut served, 0, &entropy())).unwrap();
    let old = served.iter().next().unwrap().clone();
    assert_eq!(old.serial(), 3);
    let change = old.difference(&zone(9), 1 << 20).unwrap();
    now(journal.append(old.apex().name(), &change)).unwrap();
    let disk = disk.disk;
    assert_eq!(shown(&recovered(disk.clone()).unwrap()), shown(&zones(9)));
    // A file that is newer, or as new, counts; one that no change leads on from does not.
    for (serial, expected) in [(9, Ok(9)), (10, Ok(10)), (3, Ok(9)), (5, Err(JournalError::Mismatch))] {
        let mut served = zones(serial);
        let mut disk = Recorder { disk: disk.clone(), said: vec![] };
        let opened = now(Journal::open(&mut disk, &mut served, 0, &entropy()));
        assert_eq!(opened.map(|_| served.iter().next().unwrap().serial()), expected);
    }
    let mut none = Zones::new();
    let mut disk = Recorder { disk, said: vec![] };
    let opened = now(Journal::open(&mut disk, &mut none, 0, &entropy()));
    assert_eq!(opened.err(), Some(JournalError::Mismatch));
}

#[test]
fn damage_is_no_panic_and_other_disks_are_left_alone() {
    let mut disk = Recorder { disk: vec![0; SECTOR * SECTORS as usize], said: vec![] };
    work(&mut disk, 9);
    for at in 0..disk.disk.len() {
        let mut damaged = disk.disk.clone();
        damaged[at] ^= 0x81;
        if let Ok(served) = recovered(damaged) {
            let serial = served.iter().next().unwrap().serial();
            assert_eq!(shown(&served), shown(&zones(serial)), "byte {at}");
        }
    }
    let foreign = vec![0x33; SECTOR * SECTORS as usize];
    assert_eq!(recovered(foreign).err(), Some(JournalError::NotAJournal));
    let open = |disk: RamDisk| now(Journal::open(disk, &mut zones(1), 0, &entropy())).err();
    assert_eq!(open(RamDisk::new(512, 15)), Some(JournalError::Unfit));
    assert_eq!(open(RamDisk::new(512, 16).read_only()), Some(JournalError::Unfit));
    assert_eq!(open(RamDisk::new(512, 16)), None);
    // A disk that fails: the change is not kept, and the next one is when the disk works again.
    let mut journal = now(Journal::open(RamDisk::new(512, 64), &mut zones(1), 0, &entropy())).unwrap();
    let old = zone(1);
    let change = old.difference(&zone(2), 1 << 20).unwrap();
    journal.device.fail_after_writes(Some(0));
    assert!(matches!(now(journal.append(old.apex().name(), &change)), Err(JournalError::Device(_))));
    journal.device.fail_after_writes(None);
    now(journal.append(old.apex().name(), &change)).unwrap();
    let mut served = zones(1);
    now(Journal::open(journal.into_device(), &mut served, 0, &entropy())).unwrap();
    assert_eq!(shown(&served), shown(&zones(2)));
}
