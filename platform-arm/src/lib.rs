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
pub mod interrupt;
#[cfg(target_os = "none")]
mod local;
#[cfg(test)]
mod model;
#[cfg(target_os = "none")]
mod parameters;
pub mod register;
