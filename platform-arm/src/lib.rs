//! Airglow on ARM boards: Cortex-M and Cortex-A start-up, Ethernet drivers, timers.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

pub mod driver;
pub mod interrupt;
#[cfg(test)]
mod model;
pub mod register;
