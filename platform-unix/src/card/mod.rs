//! Network cards: a tap device, and any Ethernet interface through AF_PACKET (Linux).
mod link;
mod open;
mod packet;
mod tap;
mod transmit;
mod vnet;

pub use open::OpenError;
pub use packet::Packet;
pub use tap::Tap;
