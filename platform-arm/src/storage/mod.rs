//! What boards keep things in: their flash and [SD cards](sd) as a [`BlockDevice`](airglow_device::BlockDevice), through the traits of the
//! embedded ecosystem, and a [seed] that is never used twice.
pub mod flash;
pub mod sd;
pub mod seed;
