//! The async shells: what an application holds.
pub mod raw;
pub mod tcp;
pub mod udp;
