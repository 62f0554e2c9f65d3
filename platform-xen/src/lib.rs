//! Airglow on Xen: boots as a PV guest, drives console, xenstore, network and block rings.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

extern crate alloc;

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
#[allow(missing_docs)]
pub mod boot;
pub mod drivers;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
#[allow(missing_docs)]
pub mod guest;
pub mod interface;

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use guest::{
    platform::Xen,
    start::{start, told},
};
