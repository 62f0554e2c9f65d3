//! The area `peers`: the programs people use.
use super::Tests;
use crate::failure::Result;

/// What the tests use.
const PACKAGES: &[&str] = &[
    "bind9",
    "bind9-dnsutils",
    "bind9utils",
    "chromium",
    "curl",
    "dnsviz",
    "gnutls-bin",
    "ethtool",
    "iproute2",
    "iputils-ping",
    "knot",
    "knot-dnsutils",
    "ldnsutils",
    "nsd",
    "libnss3-tools",
    "nmap",
    "openssl",
    "openvswitch-switch",
    "openvswitch-testcontroller",
    "pdns-backend-sqlite3",
    "pdns-server",
    "python3",
    "sslscan",
    "testssl.sh",
    "python3-os-ken",
    "python3-pip",
    "tshark",
    "valgrind",
];

/// A browser shows the site; other name servers answer as ours does.
pub fn test(tests: &mut Tests) -> Result {
    tests.need(PACKAGES)?;
    tests.cargo("a browser", "test --release --package airglow-website --test browser");
    tests.cargo("HTTPS", "test --release --package airglow-website --test https");
    tests.cargo("nmap", "test --release --package airglow-website --test nmap -- --nocapture");
    tests.cargo("Open vSwitch", "test --package airglow-openflow-switch --test peers");
    tests.cargo("large frames through our switch", "test --package airglow-openflow-switch --test offload");
    tests.cargo("as Open vSwitch", "test --package airglow-openflow-switch --test like_ovs");
    tests.cargo("os-ken", "test --package airglow-openflow-switch --test os_ken");
    tests.cargo("a controller's network", "test --package airglow-openflow-controller --test peers");
    tests.cargo("name servers", "test --package airglow-dns-server --test peers");
    tests.cargo("TLS", "test --package airglow-tls-peers --test peers");
    tests.cargo("Wireshark", "test --package airglow-platform-sim --test wireshark");
    tests.cargo("TLS: constant time", "test --package airglow-tls-peers --test constant_time");
    Ok(())
}
