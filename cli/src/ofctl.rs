//! Open vSwitch's `ovs-ofctl`, with which this machine drives switches that run elsewhere.
use crate::failure::{Context, Failure, Result};
use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Debian's package with it.
pub const PACKAGES: &[&str] = &["openvswitch-common"];

/// How long a switch may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it says of the switch behind `port` of this machine, tried again until that answers.
pub fn ofctl(port: u16, words: &[&str]) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let (command, rest) = words.split_first().context("no command")?;
    loop {
        let said = Command::new("ovs-ofctl")
            .args(["--protocols=OpenFlow13", "--timeout=20", command, &format!("tcp:127.0.0.1:{port}")])
            .args(rest)
            .stdin(Stdio::null())
            .output()
            .context("ovs-ofctl")?;
        if said.status.success() {
            return Ok(String::from_utf8_lossy(&said.stdout).into_owned());
        }
        if Instant::now() > deadline {
            let why = String::from_utf8_lossy(&said.stderr).into_owned();
            return Err(Failure::new(format!("ovs-ofctl {}: {why}", words.join(" "))));
        }
        thread::sleep(Duration::from_millis(300));
    }
}
