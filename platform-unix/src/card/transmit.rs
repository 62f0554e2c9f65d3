//! The transmitting half of both cards: frames one after the other in one buffer, then one flush.
use super::{recorder::Record, vnet};
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
};
use airglow_device::{Full, NetTx, TxFrame};
use rustix::io::Errno;
use std::{cell::Cell, ops::Range, os::fd::BorrowedFd, rc::Rc};

/// Bytes of frames that wait for the flush.
const BUFFER: usize = 1024 * 1024;
/// The largest frame: IP's longest packet and the Ethernet header.
pub(super) const LONGEST: usize = 14 + 65_535;
/// The largest payload that the kernel cuts into segments for us.
pub(super) const TSO: usize = 65_535;

/// How frames pass into the kernel.
pub trait Sink {
    /// Sends the frames, each with its virtio header, that lie at `ranges` of `bytes`; returns how many went, at least
    /// one. An error concerns the first.
    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8], ranges: &[Range<usize>]) -> Result<usize, Errno>;
}

/// Frames and bytes that a half has moved and lost, and the frames themselves if they are on record.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub frames: Cell<u64>,
    pub bytes: Cell<u64>,
    pub dropped: Cell<u64>,
    pub record: Record,
}

impl Count {
    pub(super) fn add(&self, frame: &[u8]) {
        self.frames.set(self.frames.get() + 1);
        self.bytes.set(self.bytes.get() + frame.len() as u64);
        self.record.frame(frame);
    }
    pub(super) fn drop(&self, frames: u64) {
        self.dropped.set(self.dropped.get() + frames);
    }
}

/// The transmitting half.
pub struct Transmit<S> {
    source: Rc<Source>,
    reactor: Reactor,
    sink: S,
    buffer: Box<[u8]>,
    // Where the frames that wait lie, each with its virtio header; all before `end`.
    waiting: Vec<Range<usize>>,
    end: usize,
    mtu: usize,
    pub(super) count: Count,
}

impl<S: Sink> Transmit<S> {
    pub(super) fn new(source: Rc<Source>, reactor: Reactor, sink: S, mtu: usize) -> Self {
        let buffer = vec![0; BUFFER].into();
        Self { source, reactor, sink, buffer, waiting: Vec::new(), end: 0, mtu, count: Count::default() }
    }

    /// What tells of room.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Frames are left over that the kernel did not take at the last flush.
    pub(super) fn is_stuck(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn send(&mut self) {
        let mut sent = 0;
        while sent < self.waiting.len() {
            match self.sink.send(self.source.fd(), &self.buffer, &self.waiting[sent..]) {
                Ok(count) => {
                    for range in &self.waiting[sent..][..count] {
                        self.count.add(&self.buffer[range.start + vnet::LEN..range.end]);
                    }
                    sent += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if self.source.would_block(&self.reactor, Direction::Write).is_ok() {
                        break;
                    }
                    self.count.drop(1);
                    sent += 1;
                }
                // The interface is down, its queue is full, or it refuses this one frame.
                Err(_) => {
                    self.count.drop(1);
                    sent += 1;
                }
            }
        }
        self.waiting.drain(..sent);
        if self.waiting.is_empty() {
            self.end = 0;
        }
    }
}

impl<S: Sink> NetTx for Transmit<S> {
    fn capacity(&self) -> usize {
        if self.is_stuck() && !self.source.is_ready(Direction::Write) {
            return 0;
        }
        (self.buffer.len() - self.end) / (vnet::LEN + 14 + self.mtu)
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        if len > LONGEST {
            return Err(Full);
        }
        if self.buffer.len() - self.end < vnet::LEN + len {
            self.flush();
        }
        let Some(slot) = self.buffer.get_mut(self.end..self.end + vnet::LEN + len) else { return Err(Full) };
        let (header, bytes) = slot.split_at_mut(vnet::LEN);
        let mut frame = TxFrame::new(bytes);
        let result = fill(&mut frame);
        let (len, meta) = (frame.len.min(len), frame.meta);
        if len > 0 {
            header.copy_from_slice(&vnet::header(meta, &bytes[..len]));
            let end = self.end + vnet::LEN + len;
            self.waiting.push(self.end..end);
            // The next header, and so the next packet behind it, at a multiple of eight.
            self.end = end.next_multiple_of(8).min(self.buffer.len());
        }
        Ok(result)
    }

    fn flush(&mut self) {
        if !self.waiting.is_empty() && self.source.is_ready(Direction::Write) {
            self.send();
        }
    }
}
