//! The workspace's own programs.
use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio, id},
};

/// Builds the binary of `package` in the cargo profile `profile` and returns the executable.
///
/// # Panics
/// When it does not compile.
pub fn program(package: &str, profile: &str) -> PathBuf {
    build(package, profile, &["--bins"])
}

/// Builds the example `name` of `package` in the cargo profile `profile` and returns the executable.
///
/// # Panics
/// When it does not compile.
pub fn example(package: &str, name: &str, profile: &str) -> PathBuf {
    build(package, profile, &["--example", name])
}

fn build(package: &str, profile: &str, what: &[&str]) -> PathBuf {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--profile", profile, "--package", package])
        .args(what)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{package} does not compile");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .expect("cargo names the executable")
}

/// Lets this process, and those it starts, have `count` files and connections open.
///
/// # Panics
/// When the system does not let it.
pub fn allow_open_files(count: u32) {
    let limit = format!("--nofile={count}:");
    let status = Command::new("prlimit").args(["--pid", &id().to_string(), &limit]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit {limit}");
}
