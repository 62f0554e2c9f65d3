//! Frames of a packet socket in batches: `recvmmsg(2)` and `sendmmsg(2)`.
use rustix::io::Errno;
use std::{
    io, mem,
    ops::Range,
    os::fd::{AsFd, AsRawFd},
};

/// Frames in a batch.
pub(crate) const BATCH: usize = 64;

/// Room for one `tpacket_auxdata` control message.
const CONTROL: usize = 64;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// Descriptions of a batch of frames for the kernel.
pub(crate) struct Messages {
    controls: Vec<Control>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

/// One frame that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes, the virtio header included.
    pub len: usize,
    /// It did not fit.
    pub truncated: bool,
    /// The 802.1Q tag that the kernel took out: protocol and control information.
    pub vlan: Option<(u16, u16)>,
}

fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

impl Messages {
    pub(crate) fn new() -> Self {
        // SAFETY: these C structures are valid when all their bytes are zero.
        let (slice, header) = unsafe { (mem::zeroed(), mem::zeroed()) };
        Self {
            controls: vec![Control([0; CONTROL]); BATCH],
            slices: vec![slice; BATCH],
            headers: vec![header; BATCH],
        }
    }

    /// Points the first headers at `count` slots of `buffer`.
    fn point(&mut self, count: usize, control: usize, slot: impl Fn(usize) -> (*mut u8, usize)) {
        for index in 0..count {
            let (base, len) = slot(index);
            self.slices[index] = libc::iovec { iov_base: base.cast(), iov_len: len };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = std::ptr::null_mut();
            header.msg_namelen = 0;
            header.msg_iov = &raw mut self.slices[index];
            header.msg_iovlen = 1;
            header.msg_control =
                if control == 0 { std::ptr::null_mut() } else { (&raw mut self.controls[index]).cast() };
            header.msg_controllen = control as _;
            header.msg_flags = 0;
        }
    }

    /// Receives up to `count` frames, number `n` at offset `n * slot` of `buffer`; returns how many came.
    pub(crate) fn receive(
        &mut self,
        fd: impl AsFd,
        buffer: &mut [u8],
        slot: usize,
        count: usize,
    ) -> Result<usize, Errno> {
        let count = count.min(BATCH).min(buffer.len() / slot);
        let base = buffer.as_mut_ptr();
        // The offset lies inside the buffer: `count` whole slots fit it.
        self.point(count, CONTROL, |index| (base.wrapping_add(index * slot), slot));
        // SAFETY: the first `count` headers were just pointed at slots inside `buffer`, which is ours alone during
        // the call, and at control messages in this structure, each with its length.
        let received = unsafe {
            libc::recvmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| errno())
    }

    /// What the last [`receive`](Self::receive) said of frame `index`.
    pub(crate) fn received(&self, index: usize) -> Received {
        let header = &self.headers[index];
        #[allow(clippy::unnecessary_cast)] // Other C libraries have other types.
        let control = header.msg_hdr.msg_controllen as usize;
        Received {
            len: header.msg_len as usize,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            vlan: self.vlan(index, control),
        }
    }

    fn vlan(&self, index: usize, len: usize) -> Option<(u16, u16)> {
        const HEADER: usize = size_of::<libc::cmsghdr>();
        const AUXDATA: usize = size_of::<libc::tpacket_auxdata>();
        // TP_STATUS_VLAN_TPID_VALID: the protocol is said too; else it is 802.1Q's.
        const TPID_VALID: u32 = 1 << 6;
        if len < HEADER + AUXDATA {
            return None;
        }
        let control = self.controls[index].0.as_ptr();
        // SAFETY: the kernel filled at least a header and the auxiliary data; both hold only integers, and
        // the reads need no alignment.
        let (header, auxdata) = unsafe {
            (
                control.cast::<libc::cmsghdr>().read_unaligned(),
                control.add(HEADER).cast::<libc::tpacket_auxdata>().read_unaligned(),
            )
        };
        let ours = header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == libc::PACKET_AUXDATA;
        if !ours || auxdata.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
            return None;
        }
        let protocol = if auxdata.tp_status & TPID_VALID != 0 { auxdata.tp_vlan_tpid } else { 0x8100 };
        Some((protocol, auxdata.tp_vlan_tci))
    }

    /// Sends the frames that lie at `ranges` of `bytes`, at most [`BATCH`]; returns how many went. An error
    /// concerns the first.
    pub(crate) fn send(
        &mut self,
        fd: impl AsFd,
        bytes: &[u8],
        ranges: &[Range<usize>],
    ) -> Result<usize, Errno> {
        let count = ranges.len().min(BATCH);
        self.point(count, 0, |index| {
            let frame = &bytes[ranges[index].clone()];
            (frame.as_ptr().cast_mut(), frame.len())
        });
        // SAFETY: the first `count` headers were just pointed at frames inside `bytes`, which the call only reads.
        let sent = unsafe {
            libc::sendmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT as _,
            )
        };
        usize::try_from(sent).map_err(|_| errno())
    }
}
