//! AF_XDP sockets: frames in memory that the kernel writes and reads itself, and four rings of descriptors that say whose turn it is
//! with each frame. The two queues here are the only ones to touch a frame, and only while it is ours.
mod memory;
mod queue;
mod ring;

pub(crate) use queue::{Failure, Flushed, Places, Receive, Transmit, dropped, open, widen};

/// `struct xdp_desc`: a frame in the shared memory.
#[repr(C)]
#[derive(Clone, Copy)]
struct Descriptor {
    address: u64,
    len: u32,
    options: u32,
}
