//! `cargo airglow bench`: runs a benchmark of `benches/` against its peer, or those of boards and Xen.
use crate::{
    failure::{Context, Failure, Result},
    packages,
    workspace::{Workspace, cargo},
    xen,
};
use std::process::ExitCode;

/// Which benchmark.
#[derive(clap::Args)]
pub struct Arguments {
    /// The benchmark: its table is printed, and written to target/bench/NAME.json
    name: String,
    /// Words for the benchmark itself
    #[arg(last = true)]
    words: Vec<String>,
}

/// The benchmarks, and the Debian packages of their peers.
const BENCHMARKS: &[(&str, &[&str])] = &[
    ("http", &["iproute2", "nginx", "util-linux", "wrk"]),
    ("dns", &["bind9", "dnsperf", "ethtool", "iproute2", "knot", "nsd", "util-linux"]),
    (
        "openflow",
        &[
            "iproute2",
            "openvswitch-switch",
            "openvswitch-testcontroller",
            "python3-os-ken",
            "python3-pip",
            "util-linux",
        ],
    ),
    ("tcp", &["iproute2", "util-linux"]),
    ("tls", &["curl", "iproute2", "nginx", "openssl", "util-linux", "wrk"]),
    ("udp", &["ethtool", "gcc", "iproute2", "libc6-dev", "util-linux"]),
    ("conn", &["ethtool", "iproute2", "util-linux"]),
    ("idle", &["iproute2", "nginx", "util-linux"]),
];

/// Runs it as a process of its own and passes its exit status on.
pub fn bench(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    if arguments.name == "xen" {
        xen::bench(&workspace, &arguments.words)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.name == "arm" {
        crate::arm::bench(&workspace)?;
        return Ok(ExitCode::SUCCESS);
    }
    let known =
        || BENCHMARKS.iter().map(|(name, _)| *name).chain(["arm", "xen"]).collect::<Vec<_>>().join(", ");
    let Some((_, needs)) = BENCHMARKS.iter().find(|(name, _)| *name == arguments.name) else {
        return Err(Failure::new(format!(
            "there is no benchmark `{}`; there are: {}",
            arguments.name,
            known()
        )));
    };
    packages::need(needs)?;
    let status = cargo()
        .args(["bench", "--quiet", "--package", "airglow-benches", "--bench", &arguments.name, "--"])
        .args(&arguments.words)
        .env("AIRGLOW_BENCH_FOLDER", workspace.target.join("bench"))
        .status()
        .context("cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
