//! Campaigns: networks, hosts and faults at random, and what must hold all the same.
//!
//! `AIRGLOW_SEEDS=10000 cargo test -p airglow-platform-sim --test campaign --release` runs as many of each; a seed that fails says how to
//! replay it.
mod datagrams;
mod floods;
mod internet;
mod leases;
mod paths;
mod streams;
