//! Airglow on Xen: an application becomes a kernel that the hypervisor boots as a paravirtual x86_64 guest.
//!
//! Applications do not name this crate: `airglow::main!` does, when it is compiled for x86_64 without an operating system.
//!
//! | module | what it is | compiles for |
//! |---|---|---|
//! | [`interface`] | Xen's public headers, as far as they are used | all |
//! | [`drivers`] | consoles, xenstore, network cards and disks as cores over shared memory | all |
//! | `boot` | entry, memory, exceptions, time, events, grants | the kernel |
//! | `guest` | the drivers connected to the hypervisor, and the platform | the kernel |
//!
//! The cores run on the host too, against a backend that keeps to the protocol or does not:
//!
//! ```
//! use airglow_platform_xen::drivers::ring::{FrontRing, RingPage};
//!
//! let page = RingPage::default();
//! let mut ring = FrontRing::<2>::new(&page);
//! ring.push([1, 2]);
//! assert!(ring.publish(), "the backend sleeps and is to be rung");
//! assert_eq!(ring.available(), Ok(0));
//! ```
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
