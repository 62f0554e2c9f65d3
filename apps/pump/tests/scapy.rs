//! Odd segments, packets and neighbours from scapy, a row of a table each with the RFC that says what must come back; beside them a
//! download goes on. The tables are in `scapy/`. Needs root, iproute2 and python3-scapy: `cargo airglow test unix`.
use airglow_testbed::{Namespace, Process, veth};
use std::{path::Path, time::Duration};

mod download;
use download::Download;

const PUMP: &str = env!("CARGO_BIN_EXE_airglow-pump");
/// Of the machine, where the modules of Debian's packages are.
const PYTHON: &str = "/usr/bin/python3";

/// A switch with three machines on it: a client of the kernel's at 10.0.0.1, the pump on airglow's stack, and one that scapy plays.
struct Switch {
    client: Namespace,
    _place: Namespace,
    odd: Namespace,
    pump: Process,
}

fn switch(net: &str, words: &[&str]) -> Switch {
    let (client, place, odd) = (Namespace::new("switch"), Namespace::new("pump"), Namespace::new("scapy"));
    client.ip("link add br0 type bridge mcast_snooping 0");
    client.address("br0", "10.0.0.1/24");
    client.address("br0", "fd00::1/64");
    veth(&client, "c1", &odd, "o0");
    odd.silence("o0");
    let (device, at) = if net == "tap" {
        client.tap("c0");
        ("c0", &client)
    } else {
        veth(&client, "c0", &place, "s0");
        place.silence("s0");
        ("s0", &place)
    };
    for port in ["c0", "c1"] {
        client.silence(port);
        client.ip(&format!("link set {port} master br0"));
    }
    // So that scapy sees segments as a real wire carries them, with their checksums.
    let said = client.run("ethtool", &["-K", "c1", "tso", "off", "gso", "off", "tx", "off"]);
    assert!(said.success(), "{said}");
    let own = [format!("net={net}"), format!("device={device}"), "log=debug".into(), "echo=7".into()];
    let words = [&own.each_ref().map(String::as_str)[..], words].concat();
    let pump = at.start(PUMP, &words);
    Switch { client, odd, pump, _place: place }
}

/// Checks one table and returns the pump's counters.
fn table(name: &str, net: &str) -> String {
    let mut switch = switch(net, &["ipv4=10.0.0.2/24", "ipv6=fd00::2/64"]);
    switch.pump.wait_for("listening", Duration::from_secs(10));
    let download = Download::begin(&switch.client, "10.0.0.2:80".parse().unwrap(), Duration::from_millis(5));
    let before = switch.pump.memory();
    rows(&switch, name);
    // It went on, and goes on.
    assert!(download.longest_pause() < Duration::from_secs(2), "{:?}", download.longest_pause());
    download.wait_for(1_000_000);
    download.end();
    let after = switch.pump.memory();
    println!("{name} over {net}: memory {before} before, {after} after");
    assert!(after < before + (8 << 20), "memory grew from {before} to {after}");
    ended(switch)
}

fn rows(switch: &Switch, name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scapy/table.py");
    let said =
        switch.odd.run_for(Duration::from_secs(240), PYTHON, &["-B", &script.to_string_lossy(), name, "o0"]);
    let failed: Vec<_> = said.stdout.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert!(said.success() && failed.is_empty(), "{}\n{}", failed.join("\n"), said.stderr);
    println!("{name}: {}", said.stdout.lines().last().unwrap_or_default());
}

fn ended(switch: Switch) -> String {
    switch.pump.signal("TERM");
    let said = switch.pump.wait(Duration::from_secs(10));
    assert!(said.success(), "{said}");
    said.stderr
}

/// A counter by its name.
fn counter(said: &str, name: &str) -> u64 {
    let rest = said.rsplit_once(&format!(" {name}: ")).unwrap_or_else(|| panic!("no {name} in {said}")).1;
    rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).unwrap()
}

#[test]
fn odd_segments() {
    let said = table("segments", "packet");
    for name in
        ["malformed", "unacceptable", "no_connection", "challenge_acks", "resets_received", "window_probes"]
    {
        assert!(counter(&said, name) > 0, "{name}: {said}");
    }
}

#[test]
fn odd_packets() {
    let said = table("internet", "tap");
    for name in [
        "other",
        "bad_checksum",
        "bad_address",
        "reassembled",
        "reassembly_failed",
        "fragments_refused",
        "unknown_protocol",
        "no_port",
        "icmp_limited",
    ] {
        assert!(counter(&said, name) > 0, "{name}: {said}");
    }
}

#[test]
fn odd_neighbours() {
    let said = table("neighbours", "xdp");
    for name in ["bad_neighbor", "conflicts"] {
        assert!(counter(&said, name) > 0, "{name}: {said}");
    }
}

/// The pump asks for an address, and the first that answer are no servers.
#[test]
fn odd_leases() {
    let mut switch = switch("packet", &["dhcp"]);
    switch.pump.wait_for("asking for an address", Duration::from_secs(10));
    rows(&switch, "leases");
    switch.pump.wait_for("listening", Duration::from_secs(10));
    let download = Download::begin(&switch.client, "10.0.0.2:80".parse().unwrap(), Duration::ZERO);
    download.wait_for(1_000_000);
    download.end();
    ended(switch);
}
