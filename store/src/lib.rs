//! Read-only key-value stores: a folder compiled in, with its compressed variants, and a folder on a host.
//!
//! # A folder compiled in
//!
//! The package `airglow-store-build` reads the folder when the image is built; here is only the data and
//! the look-up,
//! for any target and without an allocator.
//!
//! ```toml
//! [dependencies]
//! airglow-store = "0.1"
//! [build-dependencies]
//! airglow-store-build = "0.1"
//! ```
//! ```ignore
//! // build.rs
//! fn main() {
//!     airglow_store_build::Folder::new("site").embed();
//! }
//! ```
//! ```ignore
//! // src/lib.rs
//! pub static SITE: airglow_store::Store = airglow_store::embedded!("site");
//! ```
//!
//! What comes out is a [`Store`] like this one, made by hand:
//!
//! ```
//! use airglow_device::KeyValue;
//! use airglow_store::{Store, Value};
//!
//! static SITE: Store = Store::new(&[
//!     Value::new("index.html", b"<h1>Hello</h1>", 0x1234),
//!     Value::new("style.css", b"h1 { color: teal }", 0x5678),
//! ]);
//! assert_eq!(SITE.lend("index.html"), Some(&b"<h1>Hello</h1>"[..]));
//! assert_eq!(SITE.lend("robots.txt"), None);
//! ```
//!
//! # A folder on a host
//!
//! With the feature `std` a `Folder` serves the regular files below a folder, so that the same application
//! can show a site while it is being written.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod embedded;
#[cfg(feature = "std")]
mod folder;

pub use embedded::{Missing, Store, Value, hash};
#[cfg(feature = "std")]
pub use folder::Folder;

/// The store that a build script has made of the folder of this name with
/// `airglow_store_build::Folder::embed`.
#[macro_export]
macro_rules! embedded {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/airglow-store/", $name, ".rs"))
    };
}
