//! A seed for the generator of random bytes that is kept on a disk, for boards without a hardware generator.
//!
//! Two sectors hold a seed each, with a count and a check sum. At every boot the newer one is taken, its successor is written over the
//! other and made durable, and only then a seed for this boot is handed out: so no seed serves two boots, wherever the power fails. Both come
//! from the old one by SHA-256 and do not tell it.
//!
//! # Limits
//! The first seed comes from the host that wrote the image, and nothing of value is added later, only the timing of the boot. So what the board
//! makes of it is as secret as the disk and that image: whoever reads the one or keeps the other knows all of the board's keys, the past ones
//! of the same boot and all future ones. Write each image to one board only. A copy of the disk that is put back repeats a boot.
use airglow_device::BlockDevice;
use core::fmt;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"airseed1";
const LEN: usize = 8 + 8 + 32 + 32;

/// Why there is no seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedError<E> {
    /// Neither sector has ever held one, and the image has none either.
    Missing,
    /// Both sectors have held one, and both are damaged: the image's seed has been used and must not be used again.
    Damaged,
    /// The buffer is not one sector, or a sector is too small.
    Buffer,
    /// The disk fails.
    Disk(E),
}

impl<E: fmt::Display> fmt::Display for SeedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no seed on the disk and none in the image"),
            Self::Damaged => f.write_str("both seeds on the disk are damaged; write the image anew"),
            Self::Buffer => f.write_str("the buffer for the seed is not one sector"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}
impl<E: core::error::Error> core::error::Error for SeedError<E> {}

/// What a sector holds.
enum Slot {
    Blank,
    Damaged,
    Seed { count: u64, seed: [u8; 32] },
}

fn check(count: u64, seed: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(MAGIC).chain_update(count.to_le_bytes()).chain_update(seed).finalize().into()
}

fn parse(sector: &[u8]) -> Slot {
    if sector.iter().all(|&b| b == 0xff) || sector.iter().all(|&b| b == 0) {
        return Slot::Blank;
    }
    let parts = || {
        let (magic, rest) = sector.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (seed, rest) = rest.split_first_chunk::<32>()?;
        let (sum, _) = rest.split_first_chunk::<32>()?;
        let count = u64::from_le_bytes(*count);
        (magic == MAGIC && *sum == check(count, seed)).then_some((count, *seed))
    };
    match parts() {
        Some((count, seed)) => Slot::Seed { count, seed },
        None => Slot::Damaged,
    }
}

/// The seed for this boot, never handed out before, after its successor has been made durable in one of `sectors`.
///
/// `first` is the image's own seed, for the first boot; all zeros when it has none. `stir` is mixed into all later seeds: the chip's identity, the
/// time that the boot took. `buffer` is one sector long.
///
/// # Errors
/// [`SeedError`]; then there are no secrets on this board.
pub async fn renew<B: BlockDevice>(
    disk: &mut B,
    sectors: [u64; 2],
    first: &[u8; 32],
    stir: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; 32], SeedError<B::Error>> {
    if buffer.len() != disk.info().sector_size || buffer.len() < LEN {
        return Err(SeedError::Buffer);
    }
    let mut slots = [Slot::Blank, Slot::Blank];
    for (slot, sector) in slots.iter_mut().zip(sectors) {
        disk.read(sector, buffer).await.map_err(SeedError::Disk)?;
        *slot = parse(buffer);
    }
    // The successor goes where the newer one is not; the first boot writes both, so that a blank one means that nothing was handed out.
    let (count, seed, targets): (_, _, &[u64]) = match &slots {
        [Slot::Seed { count: a, seed }, Slot::Seed { count: b, .. }] if a > b => (*a, *seed, &sectors[1..]),
        [_, Slot::Seed { count, seed }] => (*count, *seed, &sectors[..1]),
        [Slot::Seed { count, seed }, _] => (*count, *seed, &sectors[1..]),
        [Slot::Damaged, Slot::Damaged] => return Err(SeedError::Damaged),
        _ if *first == [0; 32] => return Err(SeedError::Missing),
        _ => (0, *first, &sectors),
    };
    let derive = |what: &[u8]| -> [u8; 32] {
        let hash = Sha256::new().chain_update(what).chain_update(seed).chain_update(count.to_le_bytes());
        hash.chain_update((stir.len() as u64).to_le_bytes()).chain_update(stir).finalize().into()
    };
    let (next, count) = (derive(b"next"), count.wrapping_add(1));
    buffer.fill(0);
    let record = [&MAGIC[..], &count.to_le_bytes(), &next, &check(count, &next)];
    for (to, from) in buffer.iter_mut().zip(record.into_iter().flatten()) {
        *to = *from;
    }
    for &target in targets {
        disk.write(target, buffer).await.map_err(SeedError::Disk)?;
        disk.flush().await.map_err(SeedError::Disk)?;
    }
    buffer.fill(0);
    Ok(derive(b"boot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use airglow_device::{RamDisk, RamDiskError};
    use core::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use std::{collections::BTreeSet, vec};

    fn boot(disk: &mut RamDisk, first: u8) -> Result<[u8; 32], SeedError<RamDiskError>> {
        let mut buffer = [0; 512];
        let first = [first; 32];
        let future = pin!(renew(disk, [3, 5], &first, b"identity", &mut buffer));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("a disk in memory does not wait"),
        }
    }

    #[test]
    fn no_two_boots_have_the_same_seed_wherever_the_power_fails() {
        for case in 0..200u64 {
            let mut disk = RamDisk::new(512, 8);
            let mut seen = BTreeSet::new();
            for step in 0..12u64 {
                // In each third boot the write fails, or is torn from the disk again by a loss of power.
                let fails = (case + step) % 3 == 0;
                disk.fail_after_writes(fails.then_some(0));
                let before = disk.clone();
                match boot(&mut disk, 9) {
                    Ok(seed) => assert!(!fails && seen.insert(seed), "case {case}, boot {step}"),
                    Err(error) => assert!(fails, "case {case}, boot {step}: {error}"),
                }
                disk.fail_after_writes(None);
                disk.crash(case * 31 + step);
                if fails {
                    assert_eq!(disk.image(), before.image());
                }
            }
            assert_eq!(seen.len(), 8);
        }
    }

    #[test]
    fn a_torn_sector_costs_nothing_and_two_end_it() {
        let mut disk = RamDisk::new(512, 8);
        let wreck = |disk: &RamDisk, sectors: &[usize]| {
            let mut image = disk.image().to_vec();
            sectors.iter().for_each(|sector| image[sector * 512 + 20] ^= 1);
            RamDisk::with_image(512, image)
        };
        let mut seen = BTreeSet::from([boot(&mut disk, 9).unwrap()]);
        for round in 0..6 {
            assert!(seen.insert(boot(&mut disk, 9).unwrap()));
            // Tear the older of the two, as a loss of power while it is written does.
            disk = wreck(&disk, &[if round % 2 == 0 { 5 } else { 3 }]);
            assert!(seen.insert(boot(&mut disk, 9).unwrap()));
            assert!(seen.insert(boot(&mut disk, 9).unwrap()));
        }
        let mut disk = wreck(&disk, &[3, 5]);
        assert_eq!(boot(&mut disk, 9), Err(SeedError::Damaged));
    }

    #[test]
    fn a_first_boot_that_ends_between_its_writes_begins_again() {
        let mut disk = RamDisk::new(512, 8);
        disk.fail_after_writes(Some(1));
        assert_eq!(boot(&mut disk, 9), Err(SeedError::Disk(RamDiskError::Fault)));
        disk.fail_after_writes(None);
        let first = boot(&mut disk, 9).unwrap();
        assert_ne!(first, boot(&mut disk, 9).unwrap());
        // Torn in the middle of its first write.
        let mut image = vec![0; 8 * 512];
        image[3 * 512..][..20].fill(0x61);
        boot(&mut RamDisk::with_image(512, image), 9).unwrap();
    }

    #[test]
    fn without_a_first_seed_there_is_none() {
        let mut disk = RamDisk::new(512, 8);
        assert_eq!(boot(&mut disk, 0), Err(SeedError::Missing));
        assert!(disk.image().iter().all(|&b| b == 0));
        let (mut a, mut b) = (RamDisk::new(512, 8), RamDisk::new(512, 8));
        assert_ne!(boot(&mut a, 1), boot(&mut b, 2), "another image, another seed");
    }
}
