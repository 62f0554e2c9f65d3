//! What the images of `cargo airglow bench arm` have in common: the board under them and the sizes of their buffers.
//!
//! Each answers ping and echoes on port 7: datagrams with the feature `udp`, connections (RFC 862, one at a time) with
//! `tcp`. Both stacks get the same clock, driver, sleep, buffers and fixed address, and nothing else: no boot
//! parameters, no DHCP.
#![no_std]

/// 10.0.2.15/24: what QEMU's user network expects.
pub const ADDRESS: [u8; 4] = [10, 0, 2, 15];
/// Bytes of a connection's buffer, each way.
pub const BUFFER: usize = 1460;
/// Bytes for the datagrams that wait.
pub const DATAGRAMS: usize = 1536;
