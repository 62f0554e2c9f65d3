//! QEMU's models of the boards.
use super::{
    boards::{Board, Wiring},
    toolchain,
};
use crate::{
    failure::{Context, Failure, Result},
    packages, process,
    progress::Step,
};
use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The version of the decoder, which must know the wire format of the `defmt` in the image.
const DEFMT_PRINT: &str = "1.2.0";

/// Makes sure that `board` can be emulated.
///
/// # Errors
/// When no emulator models it, or QEMU is missing and cannot be installed.
pub fn ready(board: &Board) -> Result {
    if !board.emulated() {
        return Err(Failure::new(format!(
            "no emulator models {0}; `cargo airglow flash --on {0}` writes the image to a board",
            board.name
        )));
    }
    if packages::in_path(board.qemu[0]) { Ok(()) } else { packages::need(&["qemu-system-arm"]) }
}

/// QEMU with `image`, its network being `netdev` (`user,...`, `tap,...`), its console on standard output.
pub fn command(board: &Board, image: &Path, netdev: &str) -> Command {
    let mut command = process::tied(board.qemu[0]);
    command.args(&board.qemu[1..]);
    command.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]);
    match board.wiring {
        Wiring::Nic => {
            command.args(["-nic", &format!("{netdev},id=n0")]);
        }
        Wiring::Virtio => {
            command.args(["-netdev", &format!("{netdev},id=n0")]);
            command.args(["-device", "virtio-net-device,netdev=n0", "-device", "virtio-rng-device"]);
        }
        Wiring::None => {}
    }
    command.arg("-kernel").arg(image);
    command
}

/// Runs `image` until it ends or is interrupted, its console decoded on ours. Port 80 of the board is `127.0.0.1:port`.
pub fn run(board: &Board, image: &Path, port: u16) -> Result {
    ready(board)?;
    let netdev = format!("user,hostfwd=tcp:127.0.0.1:{port}-:80");
    let mut qemu = command(board, image, &netdev);
    qemu.stdin(Stdio::null());
    if !board.defmt() {
        return process::checked(&mut qemu);
    }
    let decoder = decoder()?;
    let mut qemu = qemu.stdout(Stdio::piped()).spawn().context(board.qemu[0])?;
    let mut printer = print(&decoder, image, qemu.stdout.take().context("no console")?)?;
    let status = qemu.wait().context(board.qemu[0])?;
    let _ = printer.wait();
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{}: {status}", board.qemu[0]))) }
}

/// An emulated board in the background, its decoded console in a file. It ends when this value goes.
pub struct Running {
    qemu: Child,
    printer: Option<Child>,
    log: PathBuf,
}

impl Running {
    /// Boots `image`.
    pub fn start(board: &Board, image: &Path, netdev: &str, decoder: &Path, log: &Path) -> Result<Self> {
        Self::start_with(board, image, netdev, decoder, log, &[])
    }

    /// Boots `image` with more `devices`, in QEMU's words.
    pub fn start_with(
        board: &Board,
        image: &Path,
        netdev: &str,
        decoder: &Path,
        log: &Path,
        devices: &[String],
    ) -> Result<Self> {
        let mut qemu = command(board, image, netdev);
        qemu.args(devices);
        Self::start_command(qemu, board, image, decoder, log)
    }

    /// The same with a command that was made of [`command`]'s.
    pub fn start_command(
        mut qemu: Command,
        board: &Board,
        image: &Path,
        decoder: &Path,
        log: &Path,
    ) -> Result<Self> {
        let file = fs::File::create(log).context(log.display())?;
        qemu.stdin(Stdio::null()).stderr(Stdio::null());
        let qemu = if board.defmt() {
            let mut qemu = qemu.stdout(Stdio::piped()).spawn().context(board.qemu[0])?;
            let printer = Command::new(decoder)
                .args(["--show-skipped-frames", "-e"])
                .arg(image)
                .stdin(qemu.stdout.take().context("no console")?)
                .stdout(file)
                .stderr(Stdio::null())
                .spawn();
            let mut running = Self { qemu, printer: None, log: log.to_owned() };
            running.printer = Some(printer.context(decoder.display())?);
            return Ok(running);
        } else {
            qemu.stdout(file).spawn().context(board.qemu[0])?
        };
        Ok(Self { qemu, printer: None, log: log.to_owned() })
    }

    /// The board has ended: under an emulator that is told not to start again, it has reset itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.qemu.try_wait(), Ok(None))
    }

    /// The most bytes of its stack that the board has said to have used.
    pub fn deepest_stack(&self) -> Option<u64> {
        let log = self.log();
        let depth = |line: &str| line.split_once("stack ")?.1.split_once(" of ")?.0.parse().ok();
        log.lines().filter_map(depth).next_back()
    }

    /// The console so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        // The decoder ends with its input.
        if let Some(printer) = &mut self.printer {
            let _ = printer.wait();
        }
        let _ = fs::remove_file(&self.log);
    }
}

/// Decodes `console`, the `defmt` frames of `image`, onto our standard output.
fn print(decoder: &Path, image: &Path, console: impl Into<Stdio>) -> Result<Child> {
    Command::new(decoder)
        .args(["--show-skipped-frames", "-e"])
        .arg(image)
        .stdin(console)
        .spawn()
        .context(decoder.display())
}

/// `defmt-print`, installed into the cache at the first use when the path has none.
pub fn decoder() -> Result<PathBuf> {
    let right = |program: &Path| {
        let version = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        version.is_ok_and(|o| o.status.success() && String::from_utf8_lossy(&o.stdout).contains(DEFMT_PRINT))
    };
    let path = PathBuf::from("defmt-print");
    if right(&path) {
        return Ok(path);
    }
    let root = toolchain::cache().join("tools");
    let own = root.join("bin/defmt-print");
    if right(&own) {
        return Ok(own);
    }
    fs::create_dir_all(&root).context(root.display())?;
    let step = Step::new("defmt-print, which decodes the boards' logs, once");
    let mut cargo = crate::workspace::cargo();
    cargo
        .args(["install", "defmt-print", "--locked", "--version", DEFMT_PRINT, "--root"])
        .arg(&root)
        .current_dir(env::temp_dir())
        .env_remove("CARGO_TARGET_DIR");
    let status =
        process::logged(&mut cargo, &root.join("install.log"), Duration::from_secs(1200), &step, |_| {})?;
    if !status.success() {
        step.end("FAILED");
        return Err(Failure::new(format!(
            "cannot install defmt-print; see {}",
            root.join("install.log").display()
        )));
    }
    step.end("ok");
    Ok(own)
}

/// A free port of this machine, near 8080.
pub fn free_port() -> Result<u16> {
    (8080..8180)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .context("no free port from 8080 to 8179")
}
