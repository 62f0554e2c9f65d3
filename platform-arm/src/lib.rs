//! Airglow on ARM boards: Cortex-M and Cortex-A start-up, Ethernet drivers, timers.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod aarch64;
pub mod board;
pub mod clock;
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub mod cortex_m;
pub mod driver;
pub mod entropy;
pub mod interrupt;
#[cfg(target_os = "none")]
mod local;
#[cfg(test)]
mod model;
#[cfg(target_os = "none")]
mod parameters;
#[cfg(target_os = "none")]
mod platform;
pub mod register;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
use aarch64 as machine;
#[cfg(all(target_os = "none", target_arch = "arm"))]
use cortex_m as machine;

#[cfg(target_os = "none")]
pub use platform::{
    ArmPlatform, DefaultMemory, NetMemory, NetStack, NoCalendar, Ready, prepare, start, told,
};
