//! Images into the flash of boards.
use super::{
    boards::{Board, Flashing},
    uf2,
};
use crate::{
    failure::{Context, Failure, Result},
    packages, process,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where flash begins on an RP2040 and an RP2350.
const XIP_BASE: u64 = 0x1000_0000;

/// Writes `image` to `board`: by its USB drive, or with a debug probe.
pub fn flash(board: &Board, image: &Path) -> Result {
    match board.flashing {
        Flashing::Never => Err(Failure::new(format!(
            "no tool is known that writes to {0}; `cargo airglow build --on {0}` makes an ELF file, and `cargo airglow run --on {0}` \
             runs it in an emulator",
            board.name
        ))),
        Flashing::Probe(chip) => probe(chip, image).unwrap_or_else(|| {
            Err(Failure::new(format!(
                "a debug probe is written to by `probe-rs`, which is not installed (cargo install probe-rs-tools); the image for it, \
                 or for another tool, is {}",
                image.display()
            )))
        }),
        Flashing::Uf2 { chip, .. } => {
            let file = uf2(board, image)?;
            match drives().as_slice() {
                [drive] => {
                    let name = file.file_name().context("no file name")?;
                    fs::copy(&file, drive.join(name)).context(drive.display())?;
                    eprintln!("{} is written to {}; the board starts it", file.display(), drive.display());
                    Ok(())
                }
                [] => probe(chip, image).unwrap_or_else(|| {
                    Err(Failure::new(format!(
                        "there is no board's drive: hold BOOTSEL while you plug it in and type this again, or copy {} to the drive that \
                         appears. With a debug probe, install `probe-rs` (cargo install probe-rs-tools)",
                        file.display()
                    )))
                }),
                several => Err(Failure::new(format!(
                    "several boards wait for an image ({}): copy {} to the right one",
                    several.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(", "),
                    file.display()
                ))),
            }
        }
    }
}

/// Makes a UF2 file of `image`, beside it.
pub fn uf2(board: &Board, image: &Path) -> Result<PathBuf> {
    let Flashing::Uf2 { family, .. } = board.flashing else {
        return Err(Failure::new(format!("{} takes no UF2 file", board.name)));
    };
    let bytes = fs::read(image).context(image.display())?;
    let file = image.with_extension("uf2");
    let encoded = uf2::encode(&bytes, family, XIP_BASE, u64::from(board.flash) * 1024)?;
    fs::write(&file, encoded).context(file.display())?;
    Ok(file)
}

/// What `probe-rs` is told; then it starts the image. `None`: it is not installed.
fn probe(chip: &str, image: &Path) -> Option<Result> {
    if !packages::in_path("probe-rs") {
        return None;
    }
    let call = |words: &[&str]| process::checked(Command::new("probe-rs").args(words));
    let image = image.display().to_string();
    let written = call(&["download", "--chip", chip, "--verify", &image]);
    Some(written.and_then(|()| call(&["reset", "--chip", chip])))
}

/// The drives of boards that wait for an image: each has a file that says so.
fn drives() -> Vec<PathBuf> {
    let mounted = fs::read_to_string("/proc/mounts").unwrap_or_default();
    // A space in a path is written in octal.
    let mut places: Vec<PathBuf> = mounted
        .lines()
        .filter_map(|line| Some(PathBuf::from(line.split(' ').nth(1)?.replace("\\040", " "))))
        .collect();
    if let Ok(volumes) = fs::read_dir("/Volumes") {
        places.extend(volumes.flatten().map(|volume| volume.path()));
    }
    places.retain(|place| place.join("INFO_UF2.TXT").is_file());
    places
}
