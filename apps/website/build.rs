//! Embeds the folder `site/` with its compressed variants.
//!
//! A board's flash takes less: gzip instead of the plain text, and no file over `AIRGLOW_LARGEST_FILE` octets, 16 KiB if
//! that is not set, which leaves out the picture of the sky. The pages show without it.
use airglow_store_build::{Codings, Folder};
use std::env;

fn main() {
    let board = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none")
        && env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "arm");
    println!("cargo::rerun-if-env-changed=AIRGLOW_LARGEST_FILE");
    let largest = env::var("AIRGLOW_LARGEST_FILE").ok().and_then(|octets| octets.parse().ok());
    let mut site = Folder::new("site");
    if board {
        site = site.codings(Codings::GzipOnly);
    }
    if let Some(octets) = largest.or(board.then_some(16 << 10)) {
        site = site.largest(octets);
    }
    site.embed();
}
