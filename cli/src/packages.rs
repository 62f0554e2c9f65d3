//! Debian packages that tests and targets need: installed where that is allowed, named where not.
use crate::{
    failure::{Failure, Result},
    process,
    progress::Step,
};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Makes sure that every one of `packages` is installed. As root on a Debian system it installs the missing
/// ones, one at a time.
///
/// # Errors
/// Names what is missing and what to type, where it may not or cannot install.
pub fn need(packages: &[&str]) -> Result {
    // Two areas of one run ask for much the same packages.
    static PRESENT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut present = PRESENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let missing: Vec<&str> =
        packages.iter().copied().filter(|p| !present.iter().any(|q| q == p) && !installed(p)).collect();
    if !missing.is_empty() {
        if !in_path("apt-get") {
            return Err(Failure::new(format!(
                "this needs {} and knows only Debian's apt to install them; install them by hand",
                missing.join(", ")
            )));
        }
        if !root() {
            return Err(Failure::new(format!(
                "this needs packages that are missing; type: sudo apt-get install {}",
                missing.join(" ")
            )));
        }
        for package in &missing {
            install(package)?;
        }
    }
    present.extend(packages.iter().map(|p| (*p).to_owned()));
    Ok(())
}

/// Whether this process may do everything.
pub fn root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = |line: &str| line.strip_prefix("Uid:")?.split_whitespace().nth(1).map(str::to_owned);
    match status.lines().find_map(effective) {
        Some(id) => id == "0",
        None => Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n")),
    }
}

/// Whether a program of this name is in the path, or in the folders that only root's path has.
pub fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| Path::new(&folder).join(program).is_file())
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|o| o.stdout.ends_with(b" installed"))
}

fn install(package: &str) -> Result {
    let apt = |arguments: &[&str]| -> Result<bool> {
        let step = Step::new(format!("apt-get {}", arguments.join(" ")));
        let log = env::temp_dir().join(format!("cargo-airglow-apt-{}.log", std::process::id()));
        let mut command = Command::new("apt-get");
        command.args(["-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        let status = process::logged(&mut command, &log, Duration::from_secs(900), &step, |_| {})?;
        step.end(if status.success() { "done" } else { "failed" });
        let _ = fs::remove_file(log);
        Ok(status.success())
    };
    let _quiet = NoDaemons::new();
    let mut updated = false;
    if !LISTS_LOOKED_AT.swap(true, Ordering::Relaxed) && lists_are_old() {
        // Without a network the packages may be in a cache all the same.
        updated = apt(&["update"])?;
    }
    let install = || apt(&["install", "--no-install-recommends", package]);
    if install()? || (!updated && apt(&["update"])? && install()?) {
        return Ok(());
    }
    Err(Failure::new(format!("apt-get could not install {package}")))
}

/// This process has seen to it.
static LISTS_LOOKED_AT: AtomicBool = AtomicBool::new(false);

/// Whether the lists of packages are missing or more than a day old: a machine's first lists may name versions that were
/// replaced long since, such as a compiler that knows no target of ours.
fn lists_are_old() -> bool {
    let changed = |folder: &&str| fs::metadata(folder).and_then(|metadata| metadata.modified()).ok();
    let latest = ["/var/lib/apt/lists", "/var/lib/apt/lists/partial"].iter().filter_map(changed).max();
    let age = latest.and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age > Duration::from_secs(24 * 60 * 60))
}

/// While it lives, packages that are installed do not start their daemons: tests start name servers and web servers
/// of their own, and nobody asked for others. Debian's tools ask `policy-rc.d`; a machine that has one keeps it.
struct NoDaemons(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoDaemons {
    fn new() -> Self {
        let ours = !Path::new(POLICY).exists()
            && fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).is_ok();
        Self(ours)
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(POLICY);
        }
    }
}
