//! Debian packages that tests and targets need: installed where that is allowed, named where not.
use crate::{
    failure::{Failure, Result},
    process,
    progress::Step,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
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
        // Packages must not start daemons on a developer's machine: Debian asks policy-rc.d, and this
        // variable is what its tools look at when there is none.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        let status = process::logged(&mut command, &log, Duration::from_secs(900), &step, |_| {})?;
        step.end(if status.success() { "done" } else { "failed" });
        let _ = fs::remove_file(log);
        Ok(status.success())
    };
    // Package lists may be missing or old: fetch them once when an installation fails.
    if apt(&["install", "--no-install-recommends", package])?
        || (apt(&["update"])? && apt(&["install", "--no-install-recommends", package])?)
    {
        return Ok(());
    }
    Err(Failure::new(format!("apt-get could not install {package}")))
}
