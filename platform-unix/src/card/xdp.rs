//! An Ethernet interface of the host, through AF_XDP sockets: frames pass the host's network stack by.
use super::{
    OpenError,
    claim::{Claim, OPENING},
    link::Link,
    packet,
    transmit::Count,
};
use crate::{
    reactor::Reactor,
    source::{Direction, Source},
    sys::{
        bpf::{self, Mode},
        interface::{self, Membership},
        xdp::{self, Flushed, Places, Receive, Transmit},
    },
};
use airglow_device::{
    Caps, Full, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta, TxFrame, complete_checksum,
    partial_checksum,
};
use std::{
    io,
    os::fd::OwnedFd,
    rc::Rc,
    task::{Context, Poll},
};

/// Ethernet's header and one 802.1Q tag.
const HEADERS: usize = 14 + 4;
/// Receive queues at most; each has 8 MiB of frames.
const QUEUES: u32 = 16;

/// An Ethernet interface (one end of a veth pair, say) through AF_XDP: a program in the kernel puts the frames of each receive queue into
/// memory that we share with it, before the host's network stack sees them. The program goes with the card, or with the process.
///
/// Frames are copied once each way, or not at all where the driver can do that (zero copy). One that is longer than a page lies in several
/// places (multi-buffer), and is copied once more each way. There is no segmentation offload: AF_XDP's metadata has no word for it. A veth pair
/// leaves checksums to the receiver without saying so: those are recognised by the pseudo-header's sum in their place.
///
/// What profiles taught, on a veth pair: the kernel's half (making a frame of its own out of the socket's, passing it over, copying it into our
/// memory) costs about as much as ours with the stack and its answer, and is spent by whoever sends, or by a thread of the receiving interface where
/// `threaded` is on in `/sys/class/net/`. The kernel tells of room after each frame that has gone, so who waits for frames must not wait for room at
/// the same descriptor. What TCP gains from large segments it does not have here: for bulk data a packet socket is the better card.
/// Whoever sends to us cuts the segments and is the slower one, so that to look for more before a sleep gains nothing here.
pub struct Xdp {
    link: Link,
    mac: MacAddr,
    caps: Caps,
    zero_copy: bool,
    pub(super) rx: XdpRx,
    pub(super) tx: XdpTx,
    // What the kernel keeps for us as long as they are open.
    _program: OwnedFd,
    _membership: OwnedFd,
}

impl Xdp {
    /// Opens the interface `name` and sets it up. The host must not have an IPv4 address on it, and hears nothing of it any more.
    ///
    /// `mac` is our address, the interface's own if `None`. Without `offload` the checksum of every frame is complete, which is for
    /// measuring and for passing frames on.
    ///
    /// # Errors
    /// What the system refused, and what to type.
    pub fn open(
        reactor: &Reactor,
        name: &str,
        mac: Option<MacAddr>,
        offload: bool,
    ) -> Result<Self, OpenError> {
        let claim = Claim::new(name)?;
        let fail = |(doing, error): xdp::Failure| {
            let advice = advice(name, &error);
            claim.fail(doing, error, advice)
        };
        let opening = |error| fail((OPENING, error));
        let places = Places::of(HEADERS + claim.mtu);
        let queues = interface::receive_queues(&claim.control, claim.name);
        if queues > QUEUES {
            let many = io::Error::new(io::ErrorKind::Unsupported, format!("it has {queues} receive queues"));
            return Err(claim.fail(
                OPENING,
                many,
                format!("as root, type: ethtool -L {name} combined {QUEUES}"),
            ));
        }
        let index = claim.index as u32;
        let mut opened = Vec::new();
        for queue in 0..queues {
            opened.push(xdp::open(index, queue, places, offload && queue == 0).map_err(fail)?);
        }
        let zero_copy = opened.iter().all(|queue| queue.zero_copy);

        const LOADING: &str = "loading the XDP program for";
        let loading = |error| fail((LOADING, error));
        let map = bpf::socket_map(queues).map_err(loading)?;
        for (queue, opened) in opened.iter().enumerate() {
            use std::os::fd::AsFd;
            bpf::set_socket(&map, queue as u32, opened.socket.as_fd()).map_err(loading)?;
        }
        let program = bpf::load_redirect(&map, places.most > 1).map_err(loading)?;
        // The host's IPv6 must be off before our frames begin.
        claim.take_over()?;
        let (attached, mode) = match bpf::attach(&program, index, Mode::Driver) {
            Ok(attached) => (attached, Mode::Driver),
            Err(_) => (bpf::attach(&program, index, Mode::Stack).map_err(loading)?, Mode::Stack),
        };
        let membership = interface::open_membership().map_err(opening)?;
        let (own, mtu) = (claim.mac, claim.mtu);
        let mac = mac.unwrap_or(own);
        let wanted = if mac == own { Membership::AllMulticast } else { Membership::Promiscuous };
        interface::join(&membership, claim.index, wanted).map_err(opening)?;
        let link = claim.watch(reactor)?;
        log::info!(
            "{name}: AF_XDP on {queues} queue{}, {}, {}",
            if queues == 1 { "" } else { "s" },
            if mode == Mode::Driver { "in the driver" } else { "in the host's network stack" },
            if zero_copy { "without copies" } else { "copied" },
        );

        let mut receivers = Vec::new();
        let mut sender = None;
        for queue in opened {
            if sender.is_none() {
                use std::os::fd::AsFd;
                xdp::widen(queue.socket.as_fd());
                // The kernel tells of room after every frame that has gone. Who only receives must not be woken by that, so room is watched
                // through a descriptor of its own, from the first time on that there was none.
                let room = queue.socket.try_clone().map_err(|error| failed(name, error))?;
                sender = Some((Source::new(room), queue.transmit));
            }
            receivers.push(Receiver { source: Source::for_reading(queue.socket), queue: queue.receive });
        }
        let (source, queue) = sender.ok_or_else(|| failed(name, io::ErrorKind::Unsupported.into()))?;
        let mut caps = Caps::new(mtu);
        if offload {
            caps = caps.with_checksums(queue.checksums, true);
        }
        Ok(Self {
            link,
            mac,
            caps,
            zero_copy,
            rx: XdpRx {
                reactor: reactor.clone(),
                receivers,
                next: 0,
                complete: !offload,
                count: Count::default(),
            },
            tx: XdpTx { reactor: reactor.clone(), source, queue, stuck: false, mtu, count: Count::default() },
            _program: attached,
            _membership: membership,
        })
    }

    /// Opens the interface `name` to pass frames on: every frame is heard, whoever it is for; `offload` as in [`open`](Self::open).
    /// [`mac`](NetDevice::mac) is the interface's own address.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_promiscuous(reactor: &Reactor, name: &str, offload: bool) -> Result<Self, OpenError> {
        let own = Claim::new(name)?.mac;
        let mut card = Self::open(reactor, name, Some(MacAddr::UNSPECIFIED), offload)?;
        card.mac = own;
        Ok(card)
    }

    /// The card reads and writes our memory itself: nothing is copied.
    pub fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }
}

fn failed(name: &str, error: io::Error) -> OpenError {
    OpenError::new(name, OPENING, error, String::new())
}

/// What to do about `error`.
fn advice(name: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "AF_XDP needs root, or the capabilities CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK"
                .to_owned()
        }
        Some(libc::ENOSYS | libc::EAFNOSUPPORT) => {
            "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS, CONFIG_BPF_SYSCALL); net=packet works without"
                .to_owned()
        }
        Some(libc::EBUSY | libc::EEXIST) => {
            format!("another program receives there; as root, see: ip link show dev {name}")
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "the limit on locked memory is too low; as root, or type: ulimit -l unlimited".to_owned()
        }
        Some(libc::EOPNOTSUPP) => "this kernel does not offer it there; net=packet works without".to_owned(),
        _ => String::new(),
    }
}

/// One receive queue.
struct Receiver {
    source: Rc<Source>,
    queue: Receive,
}

/// The receiving half of an [`Xdp`].
pub struct XdpRx {
    reactor: Reactor,
    receivers: Vec<Receiver>,
    /// The queue that is looked at first, each in its turn.
    next: usize,
    complete: bool,
    pub(super) count: Count,
}

impl NetRx for XdpRx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let Self { receivers, count, complete, .. } = self;
        let mut lent = 0;
        let queues = receivers.len();
        for turn in 0..queues {
            let receiver = &mut receivers[(self.next + turn) % queues];
            while lent < budget {
                let mut useless = 0;
                let received = receiver.queue.receive(receiver.source.fd(), budget - lent, |bytes| {
                    // Shorter than a header is no frame.
                    if bytes.len() < 14 {
                        useless += 1;
                        return;
                    }
                    let partial = partial_checksum(bytes);
                    if let (Some(meta), true) = (partial, *complete) {
                        complete_checksum(bytes, meta);
                    }
                    count.add(bytes);
                    // What is left to the receiver was never on a wire: it cannot be wrong.
                    frame(bytes, RxMeta::new(partial.is_some() && !*complete, 0));
                });
                if received == 0 {
                    break;
                }
                count.drop(useless as u64);
                lent += received - useless;
            }
        }
        self.next = (self.next + 1) % queues.max(1);
        lent
    }
}

impl XdpRx {
    /// Whether a frame waits; otherwise keeps the waker.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        for Receiver { source, queue } in &self.receivers {
            if !queue.is_empty() || source.would_block(&self.reactor, Direction::Read).is_err() {
                return Poll::Ready(());
            }
            source.wait(Direction::Read, cx.waker());
        }
        Poll::Pending
    }
}

/// The transmitting half of an [`Xdp`].
pub struct XdpTx {
    reactor: Reactor,
    source: Rc<Source>,
    queue: Transmit,
    /// The kernel did not take all at the last flush.
    stuck: bool,
    mtu: usize,
    pub(super) count: Count,
}

impl NetTx for XdpTx {
    fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full> {
        if len > HEADERS + self.mtu {
            return Err(Full);
        }
        if self.queue.capacity() == 0 {
            self.flush();
        }
        let count = &self.count;
        let sent = self.queue.transmit(len, |bytes| {
            let mut frame = TxFrame::new(bytes);
            let result = fill(&mut frame);
            let len = frame.len.min(len);
            if len > 0 {
                count.add(&frame.bytes[..len]);
            }
            (len, frame.meta, result)
        });
        sent.ok_or(Full)
    }

    fn flush(&mut self) {
        self.stuck = self.queue.flush(self.source.fd(), || self.count.drop(1)) == Flushed::Stuck;
        self.queue.reclaim();
    }
}

impl XdpTx {
    /// Whether there is room and everything has gone; otherwise keeps the waker.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if (!self.stuck && self.queue.capacity() > 0)
            || self.source.would_block(&self.reactor, Direction::Write).is_err()
        {
            return Poll::Ready(());
        }
        self.source.wait(Direction::Write, cx.waker());
        Poll::Pending
    }
}

impl Drop for Xdp {
    fn drop(&mut self) {
        for receiver in &self.rx.receivers {
            self.rx.reactor.remove(&receiver.source);
        }
        self.tx.reactor.remove(&self.tx.source);
    }
}

impl NetDevice for Xdp {
    type Rx = XdpRx;
    type Tx = XdpTx;

    fn caps(&self) -> Caps {
        self.caps
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        self.link.state()
    }
    fn stats(&self) -> NetStats {
        let lost: u64 = self.rx.receivers.iter().map(|receiver| xdp::dropped(receiver.source.fd())).sum();
        let mut stats = packet::stats(&self.rx.count, &self.tx.count);
        stats.rx_dropped += lost;
        stats
    }
    fn split(&mut self) -> (&mut XdpRx, &mut XdpTx) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        if self.link.changed() {
            return Poll::Ready(());
        }
        self.link.wait(cx.waker());
        // What the kernel did not take at the last flush, and places that have come back.
        if self.tx.stuck || want_tx {
            self.tx.flush();
        }
        let frames = self.rx.poll_ready(cx);
        let room = self.tx.stuck || want_tx;
        if room && self.tx.poll_ready(cx).is_ready() && want_tx { Poll::Ready(()) } else { frames }
    }
}
