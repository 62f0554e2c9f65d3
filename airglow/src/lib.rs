//! The facade of airglow, a library operating system: an application depends on this crate alone, and the
//! compilation target picks the platform.
//!
//! ```no_run
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! use airglow::device::{Platform, Stream, Listener, Tcp, Write};
//!
//! async fn run<P: Platform>(platform: &P) -> Result<(), &'static str> {
//!     let port = platform.parameters().get("port", "a port number").map_err(|_| "which port?")?;
//!     let listener = platform.tcp().listen(port.unwrap_or(7777)).await.map_err(|_| "the port is taken")?;
//!     loop {
//!         let mut stream = listener.accept().await.map_err(|_| "no more connections")?;
//!         let _ = stream.write_all(b"hello\n").await;
//!         let _ = stream.close().await;
//!     }
//! }
//! airglow::main!(|platform| run(platform));
//! ```
//!
//! | target | platform |
//! |---|---|
//! | any Unix | `airglow-platform-unix`: host sockets, or airglow's own stack on a tap, AF_PACKET or AF_XDP device |
//! | aarch64 and arm without an operating system | `airglow-platform-arm`: the image of a board |
//! | x86_64 without an operating system | `airglow-platform-xen`: a kernel that Xen boots |
#![cfg_attr(not(unix), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub use airglow_device as device;
pub use airglow_runtime as runtime;

#[cfg(all(target_os = "none", any(target_arch = "arm", target_arch = "aarch64")))]
pub use airglow_platform_arm as platform;
#[cfg(unix)]
pub use airglow_platform_unix as platform;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use airglow_platform_xen as platform;

#[cfg(all(target_os = "none", any(target_arch = "arm", target_arch = "aarch64")))]
pub use airglow_platform_arm::main;
#[cfg(unix)]
pub use airglow_platform_unix::main;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use airglow_platform_xen::main;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
