//! The frames that find links: IEEE 802.1AB, with chassis and port named by us.
use airglow_device::MacAddr;
use alloc::vec::Vec;

/// Nearest bridge (IEEE 802.1AB table 7-1).
const DESTINATION: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0x0e];
const ETHER_TYPE: [u8; 2] = [0x88, 0xcc];
/// "Locally assigned", for chassis and port.
const LOCAL: u8 = 7;

/// Sent out of a port; who hears it is its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub datapath_id: u64,
    pub port: u32,
    /// Known to the port's neighbour alone.
    pub nonce: u64,
}

impl Probe {
    pub fn emit(&self, source: MacAddr) -> Vec<u8> {
        let mut frame = Vec::with_capacity(60);
        frame.extend_from_slice(&DESTINATION);
        frame.extend_from_slice(&source.0);
        frame.extend_from_slice(&ETHER_TYPE);
        // Type in seven bits, length in nine: chassis, port, time to live, end.
        frame.extend_from_slice(&[1 << 1, 9, LOCAL]);
        frame.extend_from_slice(&self.datapath_id.to_be_bytes());
        frame.extend_from_slice(&[2 << 1, 13, LOCAL]);
        frame.extend_from_slice(&self.port.to_be_bytes());
        frame.extend_from_slice(&self.nonce.to_be_bytes());
        frame.extend_from_slice(&[3 << 1, 2, 0, 4, 0, 0]);
        frame.resize(60, 0);
        frame
    }

    /// `None` for frames that are not ours.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let rest = frame.get(12..)?.strip_prefix(&ETHER_TYPE)?.strip_prefix(&[1 << 1, 9, LOCAL])?;
        let (datapath_id, rest) = rest.split_first_chunk()?;
        let (port, rest) = rest.strip_prefix(&[2 << 1, 13, LOCAL])?.split_first_chunk()?;
        let nonce = rest.first_chunk()?;
        Some(Self {
            datapath_id: u64::from_be_bytes(*datapath_id),
            port: u32::from_be_bytes(*port),
            nonce: u64::from_be_bytes(*nonce),
        })
    }
}
