//! Datagrams in batches: `recvmmsg(2)` and `sendmmsg(2)` (Linux).
use rustix::io::Errno;
use std::{
    io,
    mem::{self, MaybeUninit},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd},
};

/// Datagrams in a batch.
pub(crate) const BATCH: usize = 64;
/// The longest question; longer ones are dropped. Memory is touched only as far as datagrams reach.
const QUESTION: usize = 9216;
/// Room for a reply: what fits one Ethernet frame over IPv6.
const REPLY: usize = 1452;
/// Room for two control messages: the local address, and the length of segments.
const CONTROL: usize = 64;
/// Bytes and segments that leave as one at most (`UDP_MAX_SEGMENTS` of older kernels).
const SEGMENTED: usize = 60_000;
const SEGMENTS: usize = 64;
/// Among so many of the last messages another reply to the same peer is looked for.
const NEAR: usize = 4;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// Room for a batch of questions and their replies.
pub(crate) struct Datagrams {
    questions: Vec<u8>,
    replies: Vec<u8>,
    peers: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    // How many questions the last receive brought, then how many replies there are.
    count: usize,
    answers: Vec<Answer>,
    // The replies that are to be sent, and what they leave as.
    waiting: Vec<usize>,
    messages: Vec<Message>,
    // The kernel, or a device on the way, takes no segments.
    single: bool,
}

/// A reply.
#[derive(Clone, Copy)]
struct Answer {
    peer: SocketAddr,
    len: usize,
    // Bytes of the control message, and of the peer's address.
    control: usize,
    name: libc::socklen_t,
    // The message it is in.
    message: usize,
}

/// What leaves as one: replies of one length from one address to one peer, which the kernel cuts apart
/// (`UDP_SEGMENT`), or one reply.
#[derive(Clone, Copy, Default)]
struct Message {
    // Its first reply, and how many it has.
    first: usize,
    count: usize,
    // Where its slices begin.
    at: usize,
}

fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

impl Datagrams {
    pub(crate) fn new() -> Self {
        // SAFETY: these C structures are valid when all their bytes are zero.
        let (peer, slice, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            questions: vec![0; BATCH * QUESTION],
            replies: vec![0; BATCH * REPLY],
            peers: vec![peer; BATCH],
            controls: vec![Control([0; CONTROL]); BATCH],
            slices: vec![slice; BATCH],
            headers: vec![header; BATCH],
            count: 0,
            answers: Vec::with_capacity(BATCH),
            waiting: Vec::with_capacity(BATCH),
            messages: Vec::with_capacity(BATCH),
            single: false,
        }
    }

    /// Receives as many datagrams as there are, at most [`BATCH`].
    pub(crate) fn receive(&mut self, fd: impl AsFd) -> Result<usize, Errno> {
        for index in 0..BATCH {
            self.slices[index] = libc::iovec {
                iov_base: self.questions[index * QUESTION..].as_mut_ptr().cast(),
                iov_len: QUESTION,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.slices[index];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = CONTROL as _;
            header.msg_flags = 0;
        }
        // SAFETY: each of the BATCH headers was just pointed at its own name, slice and control, each as long
        // as is said, all of them in vectors of this structure that nothing moves during the call.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.count = usize::try_from(count).map_err(|_| errno())?.min(BATCH);
        Ok(self.count)
    }

    /// Answers what was received: `answer` gets the peer, the question and room for a reply, and returns its length.
    pub(crate) fn answer(&mut self, mut answer: impl FnMut(SocketAddr, &[u8], &mut [u8]) -> Option<usize>) {
        let received = mem::take(&mut self.count);
        self.answers.clear();
        self.waiting.clear();
        for index in 0..received {
            let header = self.headers[index];
            let len = (header.msg_len as usize).min(QUESTION);
            let Some(peer) = address(&self.peers[index], header.msg_hdr.msg_namelen) else { continue };
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                continue;
            }
            let question = &self.questions[index * QUESTION..][..len];
            let reply = &mut self.replies[self.count * REPLY..][..REPLY];
            let Some(len) = answer(peer, question, reply) else { continue };
            // Replies move up to the front: place `to` is at or before `index`.
            let to = self.count;
            let mut control = self.controls[index];
            #[allow(clippy::unnecessary_cast)] // Other C libraries have other types.
            let control_len = source_address(&mut control, header.msg_hdr.msg_controllen as usize);
            self.peers[to] = self.peers[index];
            self.controls[to] = control;
            let name = header.msg_hdr.msg_namelen;
            self.answers.push(Answer { peer, len: len.min(REPLY), control: control_len, name, message: 0 });
            self.waiting.push(to);
            self.count += 1;
        }
        self.arrange(self.single);
    }

    /// Lays out the replies that wait as messages; `single`: one each.
    fn arrange(&mut self, single: bool) {
        self.messages.clear();
        for &index in &self.waiting {
            let near = if single { BATCH } else { self.messages.len().saturating_sub(NEAR) };
            let fits = |message: &Message| {
                let room =
                    message.count < SEGMENTS && (message.count + 1) * self.answers[index].len <= SEGMENTED;
                room && self.same(message.first, index)
            };
            let found = (near..self.messages.len()).find(|at| fits(&self.messages[*at]));
            let at = found.unwrap_or_else(|| {
                self.messages.push(Message { first: index, ..Message::default() });
                self.messages.len() - 1
            });
            self.messages[at].count += 1;
            self.answers[index].message = at;
        }
        let mut at = 0;
        for (message, header) in self.messages.iter_mut().zip(&mut self.headers) {
            let answer = self.answers[message.first];
            message.at = at;
            let mut control = answer.control;
            if message.count > 1 {
                control = add_segment_length(&mut self.controls[message.first], control, answer.len as u16);
            }
            let header = &mut header.msg_hdr;
            header.msg_namelen = answer.name;
            header.msg_name = (&raw mut self.peers[message.first]).cast();
            header.msg_iov = &raw mut self.slices[at];
            header.msg_iovlen = message.count as _;
            header.msg_control = match control {
                0 => std::ptr::null_mut(),
                _ => (&raw mut self.controls[message.first]).cast(),
            };
            header.msg_controllen = control as _;
            header.msg_flags = 0;
            at += message.count;
            // From here on it counts those that are laid out.
            message.count = 0;
        }
        for &index in &self.waiting {
            let answer = self.answers[index];
            let message = &mut self.messages[answer.message];
            self.slices[message.at + message.count] = libc::iovec {
                iov_base: self.replies[index * REPLY..].as_mut_ptr().cast(),
                iov_len: answer.len,
            };
            message.count += 1;
        }
    }

    /// Whether these two replies are of one length and go the same way.
    fn same(&self, one: usize, other: usize) -> bool {
        let (a, b) = (&self.answers[one], &self.answers[other]);
        // An empty one cannot be a segment.
        a.len == b.len
            && a.len > 0
            && a.control == b.control
            && a.peer == b.peer
            && self.controls[one].0[..a.control] == self.controls[other].0[..a.control]
    }

    /// Message `first` could not be sent. If that may be for its segments, the replies from there on are laid out one by one;
    /// otherwise `false`.
    pub(crate) fn split(&mut self, first: usize, error: Errno) -> bool {
        let segments = self.messages.get(first).is_some_and(|message| message.count > 1);
        // The first two mean all segments, the others some that are too long for where they go.
        let all = matches!(error, Errno::IO | Errno::OPNOTSUPP);
        if !segments || !(all || matches!(error, Errno::INVAL | Errno::MSGSIZE)) {
            return false;
        }
        self.single |= all;
        let answers = &self.answers;
        self.waiting.retain(|index| answers[*index].message >= first);
        self.arrange(true);
        true
    }

    /// How many messages the replies are.
    pub(crate) fn messages(&self) -> usize {
        self.messages.len()
    }

    /// Sends from message `first` on; returns how many went. An error concerns that one.
    pub(crate) fn send(&mut self, fd: impl AsFd, first: usize) -> Result<usize, Errno> {
        let waiting = self.headers.get_mut(first..self.messages.len()).unwrap_or_default();
        // SAFETY: `arrange` pointed each of the first headers, one for each message, at its own name, slices and control in
        // vectors of this structure, which have not moved since: they never grow.
        let count = unsafe {
            libc::sendmmsg(
                fd.as_fd().as_raw_fd(),
                waiting.as_mut_ptr(),
                waiting.len() as u32,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(count).map_err(|_| errno())
    }
}

/// Asks the kernel to say which local address each datagram came to.
pub(crate) fn want_local_address(fd: impl AsFd, ipv6: bool) -> io::Result<()> {
    let (level, option) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    set_option(&fd, level, option, 1)
}

fn set_option(fd: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is an int, and its address and size are right.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the kernel send each datagram whole, however narrow it has heard the path to be (RFC 9715 section 3.1), as far as it
/// can be told so. It also saves it the choice of an identification for fragments.
pub(crate) fn send_whole(fd: impl AsFd, ipv6: bool) {
    let _ = set_option(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE);
    if ipv6 {
        let _ = set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE);
    }
}

/// The peer's address.
fn address(storage: &libc::sockaddr_storage, len: libc::socklen_t) -> Option<SocketAddr> {
    let len = len as usize;
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the storage is larger and as well aligned, every bit pattern is a valid value, and the
            // kernel says that this many bytes are of this type.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddrV4::new(v4, u16::from_be(v6.sin6_port)).into(),
                None => SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id)
                    .into(),
            })
        }
        _ => None,
    }
}

/// Turns "it came to this address" into "send it from this address", in place. Returns the length of the control
/// message without padding, which is as much as the kernel takes without allocating; 0 where the address is no source (a
/// group) or the kernel said nothing.
fn source_address(control: &mut Control, len: usize) -> usize {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    if !(HEADER..=CONTROL).contains(&len) {
        return 0;
    }
    let mut header = MaybeUninit::<libc::cmsghdr>::uninit();
    // SAFETY: at least as many bytes as a header were filled by the kernel, and all of them are integers.
    let header = unsafe {
        std::ptr::copy_nonoverlapping(control.0.as_ptr(), header.as_mut_ptr().cast(), HEADER);
        header.assume_init()
    };
    // The payload follows the header on Linux, which aligns both to the size of a pointer.
    let payload = &mut control.0[HEADER..len];
    match (header.cmsg_level, header.cmsg_type, payload) {
        // struct in_pktinfo: index, local address (the source of a reply), destination in the packet.
        (libc::IPPROTO_IP, libc::IP_PKTINFO, [index @ .., _, _, _, _, d0, d1, d2, d3])
            if index.len() >= 4 =>
        {
            if Ipv4Addr::new(*d0, *d1, *d2, *d3).is_multicast() {
                return 0;
            }
            index[..4].fill(0);
            HEADER + 12
        }
        // struct in6_pktinfo: address (IPv4's are mapped), index.
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, payload) if payload.len() >= 20 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&payload[..16]);
            let addr = Ipv6Addr::from(octets);
            let group = match addr.to_ipv4_mapped() {
                Some(v4) => v4.is_multicast() || v4.is_broadcast(),
                None => addr.is_multicast(),
            };
            if group {
                return 0;
            }
            if !addr.is_unicast_link_local() {
                // Any interface may carry the reply.
                payload[16..20].fill(0);
            }
            HEADER + 20
        }
        _ => 0,
    }
}

/// Adds "cut this into segments of `segment` bytes" behind `len` bytes of control messages; the length of all.
fn add_segment_length(control: &mut Control, len: usize, segment: u16) -> usize {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    // SAFETY: a header is integers, for which zero is a value.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = (HEADER + 2) as _;
    header.cmsg_level = libc::SOL_UDP;
    header.cmsg_type = libc::UDP_SEGMENT;
    let at = len.next_multiple_of(size_of::<usize>());
    let Some(place) = control.0.get_mut(at..at + HEADER + 8) else { return len };
    place[HEADER..HEADER + 2].copy_from_slice(&segment.to_ne_bytes());
    // SAFETY: the place has room for a header, whose bytes all may be copied.
    unsafe { std::ptr::copy_nonoverlapping((&raw const header).cast(), place.as_mut_ptr(), HEADER) };
    at + HEADER + 8
}
