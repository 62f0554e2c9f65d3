//! Frames that have come in and are sent on together.
use crate::packet::Packet;
use airglow_device::RxMeta;
use alloc::vec::Vec;

/// Frames that are sent on together, and bytes of frames: so many look-ups a processor has under way, so much its nearest cache holds.
const TOGETHER: usize = 16;
const TOGETHER_BYTES: usize = 32 * 1024;

/// Packets that have come in and wait to be sent on, each with its flow in the first table.
#[derive(Default)]
pub(super) struct Batch {
    packets: Vec<(Packet, Option<u32>)>,
    taken: usize,
    bytes: usize,
}

impl Batch {
    /// Takes a frame: whether that is enough.
    pub fn take(&mut self, port: u32, frame: &[u8], meta: RxMeta) -> bool {
        if self.taken == self.packets.len() {
            self.packets.push((Packet::default(), None));
        }
        if let Some((packet, _)) = self.packets.get_mut(self.taken) {
            packet.read(port, frame, meta);
            self.taken += 1;
            self.bytes += frame.len();
        }
        self.taken >= TOGETHER || self.bytes >= TOGETHER_BYTES
    }

    pub fn waiting(&mut self) -> &mut [(Packet, Option<u32>)] {
        self.packets.get_mut(..self.taken).unwrap_or_default()
    }

    pub fn clear(&mut self) {
        (self.taken, self.bytes) = (0, 0);
    }
}
