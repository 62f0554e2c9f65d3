//! The area `unix`: airglow's own stack against the kernel's, in network namespaces that the tests make.
use super::Tests;
use crate::failure::Result;

/// What the tests use.
const PACKAGES: &[&str] = &[
    "curl",
    "dnsmasq-base",
    "ethtool",
    "hping3",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "ndisc6",
    "openvswitch-switch",
    "python3-scapy",
    "tshark",
    "util-linux",
    "valgrind",
];

/// The same website over host sockets, tap, AF_PACKET and AF_XDP, and the stack's neighbours.
pub fn test(tests: &mut Tests) -> Result {
    tests.need(PACKAGES)?;
    let cards = "test --package airglow-platform-unix --test netns_cards --test netns_ip --test netns_stack --test netns_wire";
    tests.cargo("tap, AF_PACKET, AF_XDP, the wire", cards);
    tests.cargo("the website on four networks", "test --release --package airglow-website --test networks");
    let bulk = "test --release --package airglow-pump --test bulk -- --test-threads 1 --nocapture";
    tests.cargo("bulk data, resets, idle connections", bulk);
    tests.cargo("odd segments", "test --release --package airglow-pump --test scapy -- --nocapture");
    let floods = "test --release --package airglow-pump --test floods -- --test-threads 1 --nocapture";
    tests.cargo("floods", floods);
    let instructions = "test --package airglow-benches --test instructions -- --ignored --nocapture";
    tests.cargo("instructions per segment and datagram", instructions);
    Ok(())
}
