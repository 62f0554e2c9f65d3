//! Airglow on ARM boards: start-up, drivers, clock and sleep for Cortex-M and AArch64.
//!
//! Drivers are generic over their [registers](register::Registers) and so run, and are tested, on any machine:
//!
//! ```
//! use airglow_platform_arm::{driver::{Serial, pl011::Pl011}, register::Registers};
//!
//! /// A chip that is always ready and remembers what it was told.
//! #[derive(Default)]
//! struct Chip(Vec<(usize, u32)>);
//! impl Registers for Chip {
//!     fn read(&mut self, _offset: usize) -> u32 { 0 }
//!     fn write(&mut self, offset: usize, value: u32) { self.0.push((offset, value)) }
//! }
//!
//! let mut chip = Chip::default();
//! Pl011::new(&mut chip, 50_000_000, 115_200).write(b"hi");
//! assert_eq!(chip.0.last(), Some(&(0, u32::from(b'i'))));
//! ```
//!
//! On a bare target the crate is the platform of `airglow::main!`; [`board`] says which boards there are and how to add one, and
//! [`interrupt`] why there is no interrupt handler.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod aarch64;
pub mod board;
pub mod clock;
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub mod cortex_m;
pub mod driver;
pub mod embassy;
pub mod entropy;
#[cfg(all(target_os = "none", feature = "heap"))]
pub mod heap;
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
pub mod spi;
pub mod storage;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
use aarch64 as machine;
#[cfg(all(target_os = "none", target_arch = "arm"))]
use cortex_m as machine;

#[cfg(target_os = "none")]
pub use platform::{
    ArmPlatform, DefaultMemory, NetMemory, NetStack, NoCalendar, Ready, prepare, start, told,
};
