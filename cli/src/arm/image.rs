//! Images: compiled, and given their boot parameters.
use super::{boards::Board, elf::Elf, toolchain::Toolchain};
use crate::{
    failure::{Context, Failure, Result},
    workspace::{App, Workspace},
};
use serde_json::Value;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
};

/// The section that holds the seed and the boot parameters, see `platform-arm/src/parameters.rs`.
const SECTION: &str = ".airglow_parameters";
/// Bytes of the seed.
pub const SEED: usize = 32;

/// Compiles `app` for `board` and returns the ELF file.
pub fn build(workspace: &Workspace, app: &App, board: &Board) -> Result<PathBuf> {
    let features: &[&str] = if board.ipv6 { &["airglow/ipv6"] } else { &[] };
    build_with(workspace, app, board, features)
}

/// The same, with just these features; nothing else of the board is asked for.
pub fn build_with(workspace: &Workspace, app: &App, board: &Board, features: &[&str]) -> Result<PathBuf> {
    let features = features.join(",");
    let mut choice = vec!["--package", &app.package.name, "--bin", &app.binary];
    if !features.is_empty() {
        choice.extend(["--features", &features]);
    }
    compile(workspace, board, &choice, &app.binary)
}

/// The same without the features that `app` has by default.
pub fn without_default_features(workspace: &Workspace, app: &App, board: &Board) -> Result<PathBuf> {
    let choice = ["--package", &app.package.name, "--bin", &app.binary, "--no-default-features"];
    compile(workspace, board, &choice, &app.binary)
}

/// Compiles the example `name` of the boards' platform for `board`, with these features.
pub fn example(workspace: &Workspace, name: &str, board: &Board, features: &str) -> Result<PathBuf> {
    let choice = ["--package", "airglow-platform-arm", "--example", name, "--features", features];
    compile(workspace, board, &choice, name)
}

/// Compiles what `choice` tells cargo, which will be called `name`.
fn compile(workspace: &Workspace, board: &Board, choice: &[&str], name: &str) -> Result<PathBuf> {
    let toolchain = Toolchain::find(board.target)?;
    let mut flags = vec!["-Clink-arg=-Tairglow.ld".to_owned()];
    if !board.emulated() {
        // Cargo picks the crates of the board's driver by it.
        flags.push(format!("--cfg=airglow_board=\"{}\"", board.name));
    }
    if board.defmt() {
        flags.push("-Clink-arg=-Tdefmt.x".to_owned());
        // The hash that stirs the boot seed runs a few times in a board's life: small, not fast.
        flags
            .extend(["sha2_backend=\"soft\"", "sha2_backend_soft=\"compact\""].map(|c| format!("--cfg={c}")));
        // Measured on the website: calls of small functions take more room than what the default for `z` leaves out of line; what is
        // computed or loaded early, so that a path or a loop has it, more than it saves; and functions with the same code are one.
        let passes = ["inline-threshold=25", "enable-pre=false", "disable-licm-promotion"];
        flags.extend(passes.map(|pass| format!("-Cllvm-args=-{pass}")));
        flags.push("-Clink-arg=--icf=all".to_owned());
    } else {
        flags.push("-Crelocation-model=static".to_owned());
    }
    let mut cargo = toolchain.cargo("build", &flags);
    cargo
        .args(["--profile", "image"])
        .args(choice)
        .arg("--message-format=json-render-diagnostics")
        .env("AIRGLOW_BOARD", board.name)
        .env("CARGO_TARGET_DIR", folder(workspace, toolchain.is_debian()))
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit());
    if std::env::var_os("DEFMT_LOG").is_none() {
        cargo.env("DEFMT_LOG", "info");
    }
    if let Some(largest) = board.largest_file {
        cargo.env("AIRGLOW_LARGEST_FILE", largest.to_string());
    }
    let output = cargo.output().context("cargo build")?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{name}` does not compile for {}; see above", board.name)));
    }
    let built = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == *name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .context("cargo build named no executable")?;
    // Several boards share a target and so a file name: each has its own copy.
    let image = workspace.target.join("boards").join(board.name).join(format!("{name}.elf"));
    write(&image, &fs::read(&built).context(built.display())?)?;
    Ok(image)
}

/// Debian's compiler has a folder of its own, so that two compilers do not undo each other's work.
fn folder(workspace: &Workspace, debian: bool) -> PathBuf {
    if debian { workspace.target.join("debian") } else { workspace.target.clone() }
}

/// A copy of `image` with these boot parameters and a fresh seed.
pub fn with_parameters(image: &Path, words: &[String]) -> Result<PathBuf> {
    let mut seed = [0; SEED];
    fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut seed)).context("/dev/urandom")?;
    with_seed(image, words, &seed)
}

/// The same with a seed that was made before: one image with other words.
pub fn with_seed(image: &Path, words: &[String], from: &[u8; SEED]) -> Result<PathBuf> {
    let mut bytes = fs::read(image).context(image.display())?;
    let elf = Elf::read(&bytes)?;
    let section = elf.section(SECTION).context_with(|| format!("the image has no section {SECTION}"))?;
    let place = bytes
        .get_mut(section.offset..section.offset + section.size as usize)
        .context("the image is cut off")?;
    let text = words.join(" ");
    let (seed, room) = place.split_at_mut_checked(SEED).context("the section is too small")?;
    if text.len() >= room.len() {
        return Err(Failure::new(format!(
            "the boot parameters have {} bytes; there is room for {}",
            text.len(),
            room.len() - 1
        )));
    }
    seed.copy_from_slice(from);
    room.fill(0);
    room[..text.len()].copy_from_slice(text.as_bytes());
    let path = image.with_extension("run.elf");
    write(&path, &bytes)?;
    Ok(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).context(folder.display())?;
    }
    fs::write(path, bytes).context(path.display())
}
