//! A seed that a board keeps in its own flash, over restarts and losses of power: what is in the file that is the emulated flash.
use super::{
    boards::Board,
    emulator::{self, Running},
    image,
    test::log_file,
};
use crate::failure::{Context, Failure, Result};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The size that QEMU wants the file to have, and what the flash erases at once: each seed has one of these to itself.
const FLASH: u64 = 64 << 20;
const BLOCK: u64 = 256 << 10;
/// Erases and writes of the first boot, which writes both seeds, and of a later one.
const FIRST: u32 = 4;
const LATER: u32 = 2;

/// A flash, and the board that it is part of.
struct Flashed<'a> {
    board: &'a Board,
    image: &'a Path,
    decoder: &'a Path,
    file: PathBuf,
    seed: [u8; image::SEED],
    /// Seeds that a boot has found and used up, and secrets that were made of them.
    used: BTreeSet<Vec<u8>>,
}

impl Flashed<'_> {
    /// A board whose flash, and whose image, is new. A file full of holes reads as zeros, as worn by an earlier use.
    fn renew(&mut self, seed: u8) -> Result {
        self.seed = [seed; image::SEED];
        self.used.clear();
        let file = fs::File::create(&self.file).context(self.file.display())?;
        file.set_len(FLASH).context(self.file.display())
    }

    /// The counts and seeds in the flash, of those that are whole as far as their beginning says so.
    fn kept(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let file = fs::File::open(&self.file).context(self.file.display())?;
        let mut kept = Vec::new();
        for block in 0..2 {
            let mut record = [0; 80];
            file.read_exact_at(&mut record, block * BLOCK).context(self.file.display())?;
            let (magic, rest) = record.split_at(8);
            let (count, rest) = rest.split_at(8);
            // A half-written one is 40 bytes long.
            if magic == b"airseed1" && rest[24..] != [0xff; 40] {
                let count = u64::from_le_bytes(count.try_into().unwrap_or_default());
                kept.push((count, rest[..32].to_vec()));
            }
        }
        kept.sort();
        Ok(kept)
    }

    /// Boots, with the power failing at the `cut`-th erase or write, or not at all, and takes the power away when the board has
    /// said what is expected.
    fn boot(&mut self, cut: Option<u32>) -> Result {
        let before = self.kept()?;
        let mut words = vec!["ipv4=10.9.8.2/24".to_owned()];
        words.extend(cut.map(|cut| format!("cut={cut}")));
        let image = image::with_seed(self.image, &words, &self.seed)?;
        let mut qemu = emulator::command(self.board, &image, "user");
        // Without the generator that this board has, which is fit for secrets by itself.
        let arguments: Vec<_> = qemu.get_args().map(ToOwned::to_owned).collect();
        let generator = arguments.iter().position(|word| word == "virtio-rng-device");
        let generator = generator.context("QEMU is not told of a generator")?;
        let mut bare = std::process::Command::new(qemu.get_program());
        bare.args(arguments[..generator - 1].iter().chain(&arguments[generator + 1..]));
        bare.arg("-drive").arg(format!("if=pflash,unit=1,format=raw,file={}", self.file.display()));
        qemu = bare;
        let running =
            Running::start_command(qemu, self.board, &image, self.decoder, &log_file(self.board, "seed"))?;
        let expected = if cut.is_some() { "the power fails" } else { "the application has ended" };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !running.log().contains(expected) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = running.log();
        drop(running);
        let wrong = |what: &str| Err(Failure::new(format!("cut {cut:?}: {what}; the board's log:\n{said}")));
        let secret = said.split_once("a secret: ").map(|(_, rest)| rest.get(..16).unwrap_or_default());
        if !said.contains(expected) || !said.contains("256 sectors; once more: false") {
            return wrong("the board does not say what it should");
        }
        let after = self.kept()?;
        match (cut, secret) {
            (Some(_), None) => Ok(()),
            (None, Some(secret)) => {
                let last = |kept: &[(u64, Vec<u8>)]| kept.last().cloned().unwrap_or_default();
                let (old, new) = (last(&before), last(&after));
                if new.0 != old.0 + 1 {
                    return wrong(&format!("the seeds were {before:?} and are {after:?}"));
                }
                let fresh = [old.1, secret.as_bytes().to_vec()].map(|used| self.used.insert(used));
                if fresh == [true; 2] { Ok(()) } else { wrong("a seed has served two boots") }
            }
            _ => wrong("a secret where none was to be, or none where one was"),
        }
    }
}

/// Boots again and again: the first time and later, with the power failing at each erase and write, and each time whole boots after it.
pub fn survives(image: &Path, board: &Board, decoder: &Path) -> Result {
    let file = log_file(board, "seed").with_extension("flash");
    let (seed, used) = ([0; image::SEED], BTreeSet::new());
    let mut flashed = Flashed { board, image, decoder, file, seed, used };
    let result = (1..=FIRST).try_for_each(|first| {
        flashed.renew(first as u8)?;
        flashed.boot(Some(first))?;
        flashed.boot(None)?;
        flashed.boot(None)?;
        // The second and the third boot write to different blocks.
        let later = first.wrapping_sub(1) % LATER + 1;
        flashed.boot(Some(later))?;
        flashed.boot(None)?;
        flashed.boot(Some(later))?;
        flashed.boot(None)
    });
    let _ = fs::remove_file(&flashed.file);
    result
}
