//! Packets to ourselves: they wait in a buffer and are received at the end of the turn.
use crate::{memory::Slice, output::Write};
use airglow_device::{Full, TxMeta};

/// Length and interface, in front of each packet.
const RECORD: usize = 4;
/// The largest packet, so that a buffer holds a window of several.
const MTU: usize = 16 * 1024;

/// Room for packets to ourselves, for a stack that does not allocate. See [`Memory::with_loopback`](crate::Memory::with_loopback).
pub struct LoopbackMemory<const BYTES: usize> {
    pub(crate) filling: [u8; BYTES],
    pub(crate) draining: [u8; BYTES],
}

impl<const BYTES: usize> LoopbackMemory<BYTES> {
    /// Empty buffers, `BYTES` for what is being received and as many for what is sent meanwhile.
    pub const fn new() -> Self {
        Self { filling: [0; BYTES], draining: [0; BYTES] }
    }
}

impl<const BYTES: usize> Default for LoopbackMemory<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Two buffers: one is received from while the other takes what is sent.
#[derive(Default)]
pub(crate) struct Loopback<'m> {
    filling: Slice<'m, u8>,
    len: usize,
    draining: Slice<'m, u8>,
    /// Bytes of each buffer, which one from the heap gets with its first packet.
    size: usize,
    /// A packet found no room.
    full: bool,
}

impl<'m> Loopback<'m> {
    /// Buffers that the caller owns, both of the same size.
    pub fn borrowed(filling: &'m mut [u8], draining: &'m mut [u8]) -> Self {
        let size = filling.len().min(draining.len());
        let (filling, draining) = (Slice::Borrowed(filling), Slice::Borrowed(draining));
        Self { filling, draining, size, len: 0, full: false }
    }

    /// Buffers of `size` bytes on the heap, once they are used.
    #[cfg(feature = "alloc")]
    pub fn owned(size: usize) -> Self {
        let empty = || Slice::Owned(alloc::vec::Vec::new());
        Self { filling: empty(), draining: empty(), size, len: 0, full: false }
    }

    /// There is room for packets to ourselves.
    pub fn is_there(&self) -> bool {
        self.mtu() >= 576
    }

    /// The largest IP packet.
    pub fn mtu(&self) -> usize {
        (self.size / 4).min(MTU)
    }

    /// Queues a packet of up to `len` bytes, which `write` writes.
    pub fn push(&mut self, interface: usize, len: usize, write: &mut Write<'_>) -> Result<(), Full> {
        let at = self.len;
        if self.size - at < RECORD + len {
            self.full = true;
            return Err(Full);
        }
        #[cfg(feature = "alloc")]
        if let Slice::Owned(bytes) = &mut self.filling {
            bytes.resize(self.size, 0);
        }
        let record = self.filling.get_mut(at..at + RECORD + len).ok_or(Full)?;
        let (header, room) = record.split_first_chunk_mut::<RECORD>().ok_or(Full)?;
        let written = write(room, &mut TxMeta::NONE.clone());
        if written > 0 {
            let ([a, b], [c, d]) = ((written as u16).to_ne_bytes(), (interface as u16).to_ne_bytes());
            *header = [a, b, c, d];
            self.len = at + RECORD + written;
        }
        Ok(())
    }

    /// A packet waits.
    pub fn has_packets(&self) -> bool {
        self.len > 0
    }

    /// A packet found no room since the last call, and now there is some.
    pub fn take_full(&mut self) -> bool {
        self.len == 0 && core::mem::take(&mut self.full)
    }

    /// Takes the packets that wait out of their buffer; give them back with [`put_back`](Self::put_back).
    pub fn take(&mut self) -> Looped<'m> {
        let draining = core::mem::take(&mut self.draining);
        let bytes = core::mem::replace(&mut self.filling, draining);
        Looped { bytes, len: core::mem::take(&mut self.len) }
    }

    /// Gives the buffer of [`take`](Self::take) back.
    pub fn put_back(&mut self, looped: Looped<'m>) {
        self.draining = looped.bytes;
    }
}

/// Packets on their way to ourselves.
pub(crate) struct Looped<'m> {
    bytes: Slice<'m, u8>,
    len: usize,
}

impl Looped<'_> {
    /// Interface and bytes of each packet.
    pub fn packets(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = self.bytes.get(..self.len).unwrap_or(&[]);
        core::iter::from_fn(move || {
            let (&[a, b, c, d], after) = rest.split_first_chunk::<RECORD>()?;
            let (packet, after) = after.split_at_checked(usize::from(u16::from_ne_bytes([a, b])))?;
            rest = after;
            Some((usize::from(u16::from_ne_bytes([c, d])), packet))
        })
    }
}
