//! A tap device: the card's other end is an interface of the host.
use super::{
    OpenError,
    link::Link,
    transmit::{self, Count, Sink, Transmit},
    vnet,
};
use crate::{
    entropy::SystemEntropy,
    reactor::Reactor,
    source::{Direction, Source},
    sys::interface::{self, Name},
};
use airglow_device::{Caps, Entropy, LinkState, MacAddr, NetDevice, NetRx, NetStats, NetTx, RxMeta};
use rustix::io::Errno;
use std::{
    io,
    ops::Range,
    os::fd::BorrowedFd,
    rc::Rc,
    task::{Context, Poll},
};

/// A tap device with the virtio header: the kernel completes checksums and cuts segments for us, and hands us
/// frames whose checksums it has not computed and TCP segments it has not cut.
///
/// A tap device takes one frame in a system call, so a flush is as many calls as there are frames; a frame may be
/// 64 KiB long.
///
/// What measurements taught (Linux 6.18 in a virtual machine, nanoseconds of processor time a frame): batches through `io_uring` do not make up for
/// that. Reading frames of 106 bytes as fast as they come takes 1008 with `read`, 986 with 64 reads in the ring, 1051 with a multishot read; of
/// 60 KiB 12,145, 11,866 and 11,915; with pauses between frames the ring costs more (12,864, 18,918, 13,547). Writing takes as much either way, 322
/// and 320 for small frames, 4414 and 4443 for large ones. A call is cheap beside what the kernel does with a frame, and dear is the sleep: a sender
/// that has to wake us spent half of its time on that, so after a turn that brought much we look for more before we sleep.
pub struct Tap {
    source: Rc<Source>,
    reactor: Reactor,
    link: Link,
    mac: MacAddr,
    caps: Caps,
    pub(super) rx: TapRx,
    pub(super) tx: Transmit<TapSink>,
}

impl Tap {
    /// Opens the tap device `name`, and creates it where the process may (it then ends with the process) and sets it up.
    ///
    /// `mac` is our address, not that of the host's interface; `None` makes one up at random. Without `offload` every
    /// frame is complete and no longer than the MTU, which is for measuring and for passing frames on.
    ///
    /// # Errors
    /// What the system refused, and what to type.
    pub fn open(
        reactor: &Reactor,
        name: &str,
        mac: Option<MacAddr>,
        offload: bool,
    ) -> Result<Self, OpenError> {
        let fail = |doing, error: io::Error, advice: String| OpenError::new(name, doing, error, advice);
        let Some(system_name) = Name::new(name) else {
            return Err(fail("opening the tap device", io::ErrorKind::InvalidInput.into(), NAME.to_owned()));
        };
        let control =
            interface::control().map_err(|error| fail("opening the tap device", error, String::new()))?;
        let tap = interface::open_tap(system_name, offload).map_err(|error| {
            let advice = match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => format!(
                    "as root, type: ip tuntap add dev {name} mode tap vnet_hdr user $USER && ip link set {name} up && \
                     ip address add 10.0.0.1/24 dev {name}"
                ),
                Some(libc::EBUSY) => "another program has it open".to_owned(),
                Some(libc::EINVAL) => "there is an interface of this name that is no plain tap device".to_owned(),
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                    "this kernel has no tap devices: as root, type: modprobe tun".to_owned()
                }
                _ => String::new(),
            };
            fail("opening the tap device", error, advice)
        })?;
        if let Err(error) = interface::set_up(&control, system_name) {
            log::warn!("{name} is down; as root, type: ip link set {name} up ({error})");
        }
        let mtu = interface::mtu(&control, system_name)
            .map_err(|error| fail("asking for the MTU of", error, String::new()))?;
        let link = Link::watch(reactor, control, system_name)
            .map_err(|error| fail("watching the state of", error, String::new()))?;
        let source = Source::new(tap.into());
        let mut caps = Caps::new(mtu);
        if offload {
            caps = caps.with_checksums(true, true).with_tso(transmit::TSO, transmit::TSO);
        }
        Ok(Self {
            reactor: reactor.clone(),
            link,
            mac: mac.unwrap_or_else(random_mac),
            caps,
            rx: TapRx {
                source: source.clone(),
                reactor: reactor.clone(),
                buffer: vec![0; vnet::LEN + transmit::LONGEST].into(),
                count: Count::default(),
            },
            tx: Transmit::new(source.clone(), reactor.clone(), TapSink, mtu),
            source,
        })
    }
}

/// What a name of an interface looks like.
pub(super) const NAME: &str = "a name is 1 to 15 characters without white space, `/` and `%`";

/// A random address of the locally administered kind (IEEE 802 section 8.4).
fn random_mac() -> MacAddr {
    let mut octets = [0; 6];
    SystemEntropy.fill(&mut octets);
    octets[0] = octets[0] & 0xfc | 0x02;
    MacAddr(octets)
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.reactor.remove(&self.source);
    }
}

/// The receiving half of a [`Tap`]: one frame at a time, always in the same place.
pub struct TapRx {
    source: Rc<Source>,
    reactor: Reactor,
    buffer: Box<[u8]>,
    pub(super) count: Count,
}

impl NetRx for TapRx {
    fn receive(&mut self, budget: usize, mut frame: impl FnMut(&mut [u8], RxMeta)) -> usize {
        let (mut received, before) = (0, self.count.bytes.get());
        while received < budget && self.source.is_ready(Direction::Read) {
            match rustix::io::read(self.source.fd(), &mut self.buffer[..]) {
                Ok(len) => {
                    let parts = vnet::Header::split(&mut self.buffer[..len]);
                    let Some((bytes, meta)) = parts.and_then(|(header, bytes)| Some((bytes, header.meta()?)))
                    else {
                        self.count.drop(1);
                        continue;
                    };
                    self.count.add(bytes);
                    frame(bytes, meta);
                    received += 1;
                }
                Err(Errno::INTR) => {}
                // Nothing is left, or the interface is down; either way an edge will tell of more.
                Err(_) => {
                    if self.source.would_block(&self.reactor, Direction::Read).is_err() {
                        break;
                    }
                }
            }
        }
        super::came(&self.reactor, self.count.bytes.get() - before);
        received
    }
}

/// Writes one frame in a call.
pub struct TapSink;

impl Sink for TapSink {
    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8], ranges: &[Range<usize>]) -> Result<usize, Errno> {
        match ranges.first() {
            Some(range) => rustix::io::write(fd, &bytes[range.clone()]).map(|_| 1),
            None => Ok(0),
        }
    }
}

impl NetDevice for Tap {
    type Rx = TapRx;
    type Tx = Transmit<TapSink>;

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
        super::packet::stats(&self.rx.count, &self.tx.count)
    }
    fn split(&mut self) -> (&mut TapRx, &mut Transmit<TapSink>) {
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        // What the kernel did not take at the last flush, before anything new.
        if self.tx.is_stuck() {
            self.tx.flush();
        }
        let want_tx = want_tx || self.tx.is_stuck();
        super::packet::poll_ready(&self.source, self.tx.source(), &self.link, cx, want_tx)
    }
}
