//! The programs that benchmarks measure: our applications in the profile they ship in, and peers that live in this crate.
use airglow_testbed::{Process, program};
use std::{env, path::PathBuf};

/// Builds the application `name` as `cargo airglow run` does and returns its executable.
///
/// # Panics
/// When it does not compile.
pub fn application(name: &str) -> PathBuf {
    program(&format!("airglow-{name}"), "release")
}

/// A program of this crate, which cargo builds beside the benchmark, such as `flow` or `smoltcp-peer`.
///
/// # Panics
/// When this process does not know where it is.
pub fn own_program(name: &str) -> PathBuf {
    // target/release/deps/BENCHMARK-HASH lies beside target/release/NAME.
    let mut path = env::current_exe().expect("a process has an executable");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join(name)
}

/// Reads the bytes per second that `flow` printed as its last line.
///
/// # Panics
/// When it printed none.
pub fn flow(process: Process, limit: std::time::Duration) -> f64 {
    let said = process.wait(limit);
    let rate = said.stdout.lines().next_back().and_then(|l| l.strip_suffix(" bytes/s")?.parse().ok());
    rate.unwrap_or_else(|| panic!("{said}"))
}
