//! The async shells: what an application holds.
pub mod tcp;
pub mod udp;
