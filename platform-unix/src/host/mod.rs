//! The host's own sockets behind the signatures: no privileges, Linux and macOS.
mod address;
mod queue;
mod tcp;
mod udp;
#[cfg(target_os = "linux")]
mod udp_batch;
#[cfg(not(target_os = "linux"))]
mod udp_single;

pub use tcp::{HostListener, HostStream, HostTcp};
pub use udp::{HostUdp, HostUdpSocket};

#[cfg(target_os = "linux")]
use udp_batch::respond;
#[cfg(not(target_os = "linux"))]
use udp_single::respond;
