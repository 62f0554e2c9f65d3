//! Nothing of ours on the secret path takes a branch or an address from a secret, by valgrind's memcheck with secrets marked as undefined.
//! Needs valgrind: run by `cargo airglow test peers`.
use std::{path::Path, process::Command};

/// What valgrind ends with when it has something to tell.
const TOLD: i32 = 99;

/// Whether memcheck tells of anything in `what`, and its report.
fn told(program: &Path, what: &str) -> (bool, String) {
    let output = Command::new("valgrind")
        .args(["--quiet", &format!("--error-exitcode={TOLD}")])
        .arg(program)
        .arg(what)
        .output()
        .expect("valgrind is installed: cargo airglow test peers");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = output.status.code() == Some(TOLD);
    assert!(told || output.status.success(), "{what}: {report}");
    (told, report)
}

#[test]
fn no_branch_and_no_address_depends_on_a_secret() {
    // In the profile that ships: it is the compiler that makes branches.
    let program = airglow_testbed::example("airglow-tls-peers", "constant_time", "release");
    let (leaks, report) = told(&program, "leak");
    assert!(leaks && report.contains("depends on uninitialised value"), "a leak is not seen: {report}");
    for what in ["comparisons", "connections"] {
        let (leaks, report) = told(&program, what);
        assert!(!leaks, "{what}: {report}");
    }
}
