//! Network cards: a tap device, and any Ethernet interface through AF_PACKET or AF_XDP (Linux).
mod claim;
mod link;
mod open;
mod packet;
mod tap;
mod transmit;
mod vnet;
mod xdp;

pub use open::OpenError;
pub use packet::Packet;
pub use tap::Tap;
pub use xdp::Xdp;
