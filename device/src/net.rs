//! Network cards: frames in, frames out, in place, in batches.
use core::{
    fmt,
    task::{Context, Poll},
};

/// An IEEE 802 48-bit address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`: "not known yet" in ARP.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// The group bit is set (broadcast included).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
    /// Every bit is set.
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }
    /// Neither a group address nor all zeros.
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for MacAddr {
    type Err = &'static str;
    /// Six pairs of hexadecimal digits with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHAT: &str = "a MAC address is six pairs of hexadecimal digits, as in 52:54:00:12:34:56";
        let mut octets = [0; 6];
        let mut pairs = text.split([':', '-']);
        for octet in &mut octets {
            let pair = pairs
                .next()
                .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or(WHAT)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| WHAT)?;
        }
        if pairs.next().is_some() { Err(WHAT) } else { Ok(Self(octets)) }
    }
}

/// Which Internet checksums (IPv4 header, TCP, UDP, ICMPv6) the device takes off the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checksums {
    /// The device completes the transport checksum that [`TxMeta`] describes.
    pub tx: bool,
    /// The device checks on receipt and says so in [`RxMeta::checksum_ok`].
    pub rx: bool,
}

/// What a network device can do. It does not change while the device lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// The largest payload of an Ethernet frame, in bytes (1500 on ordinary Ethernet).
    pub mtu: usize,
    /// Checksum offload in each direction.
    pub checksums: Checksums,
    /// The largest Ethernet payload the device cuts into segments itself (TSO over IPv4);
    /// 0 when it cannot.
    pub tso_v4: usize,
    /// The same over IPv6.
    pub tso_v6: usize,
}

impl Caps {
    /// A plain card: `mtu`, no offload.
    pub const fn new(mtu: usize) -> Self {
        Self { mtu, checksums: Checksums { tx: false, rx: false }, tso_v4: 0, tso_v6: 0 }
    }
    /// With checksum offload as given.
    pub const fn with_checksums(self, tx: bool, rx: bool) -> Self {
        Self { checksums: Checksums { tx, rx }, ..self }
    }
    /// With segmentation offload up to these payload sizes.
    pub const fn with_tso(self, tso_v4: usize, tso_v6: usize) -> Self {
        Self { tso_v4, tso_v6, ..self }
    }
}

/// What a device knows of a frame it received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RxMeta {
    /// The transport checksum is known to be right, or the frame never left this machine.
    pub checksum_ok: bool,
    /// The frame is several TCP segments coalesced; this is the payload size of each (GRO). 0: one segment.
    pub gro_segment: u16,
}

impl RxMeta {
    /// A frame whose checksum is known to be right (`true`) or not known (`false`).
    pub const fn new(checksum_ok: bool, gro_segment: u16) -> Self {
        Self { checksum_ok, gro_segment }
    }
}

/// What a device must still do to a frame before it goes out (the form of virtio and netfront).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TxMeta {
    /// Sum from this offset of the frame to its end ...
    pub checksum_start: u16,
    /// ... and store the folded complement at `checksum_start + checksum_offset`. The field holds the
    /// sum of the pseudo-header. Both 0: nothing to do. Only with [`Checksums::tx`].
    pub checksum_offset: u16,
    /// Cut the TCP payload into segments of this size. 0: the frame goes as it is.
    /// Only up to [`Caps::tso_v4`] or [`Caps::tso_v6`].
    pub tso_segment: u16,
}

impl TxMeta {
    /// A frame that is complete.
    pub const NONE: Self = Self { checksum_start: 0, checksum_offset: 0, tso_segment: 0 };

    /// A frame whose checksum from `start` on is to be stored at `start + offset`.
    pub const fn checksum(start: u16, offset: u16) -> Self {
        Self { checksum_start: start, checksum_offset: offset, tso_segment: 0 }
    }
    /// The same, to be cut into TCP segments with `payload` bytes each.
    pub const fn segments(self, payload: u16) -> Self {
        Self { tso_segment: payload, ..self }
    }
}

/// The transmit ring has no room for the frame; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the transmit ring is full")
    }
}
impl core::error::Error for Full {}

/// Is a cable plugged in?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Frames go through.
    Up,
    /// Frames that are sent are lost.
    Down,
}

/// Counters since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Frames received and lent to the stack.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that arrived and were lost for want of room or because they were damaged.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames the device accepted and could not send.
    pub tx_dropped: u64,
}

/// A network card.
///
/// # Contract
/// - Frames are Ethernet II without preamble and frame check sequence: 14 bytes of header, then up to
///   [`Caps::mtu`] bytes (more where segments are coalesced). Short frames need no padding by the
///   stack: a device that must pad, pads.
/// - The device filters nothing that the stack must see: its own address, broadcast, and the groups of
///   [`set_multicast`](Self::set_multicast). It may pass more.
/// - Nothing here blocks.
pub trait NetDevice {
    /// The receiving half.
    type Rx: NetRx;
    /// The transmitting half.
    type Tx: NetTx;

    /// What the device can do.
    fn caps(&self) -> Caps;
    /// The device's own address.
    fn mac(&self) -> MacAddr;
    /// Whether frames go through just now. A change wakes `poll_ready`'s waker.
    fn link(&self) -> LinkState {
        LinkState::Up
    }
    /// Counters.
    fn stats(&self) -> NetStats;
    /// Receive these groups too, and no others. A device that cannot filter does nothing.
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        let _ = groups;
    }
    /// The disjoint halves, so that an answer is written while its question is still in the ring.
    fn split(&mut self) -> (&mut Self::Rx, &mut Self::Tx);
    /// Ready when a frame waits or, if `want_tx`, when there is room to send; otherwise keeps
    /// `cx.waker()`, in place of any waker it kept before, and wakes it then.
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()>;
}

/// The receiving half of a [`NetDevice`].
pub trait NetRx {
    /// Lends up to `budget` frames one after the other, each in place in the ring, then refills the
    /// ring once. Returns how many there were; fewer than `budget` means that none is left.
    fn receive(&mut self, budget: usize, frame: impl FnMut(&mut [u8], RxMeta)) -> usize;
}

/// A slot of the transmit ring while it is being filled.
///
/// The frame is the first [`len`](Self::len) bytes of [`bytes`](Self::bytes); a filler that needs less
/// than it reserved shortens it, and one that has nothing to say sets it to 0, which gives the slot back.
#[derive(Debug)]
pub struct TxFrame<'a> {
    /// The slot, as long as was reserved. Its content at the start is unspecified.
    pub bytes: &'a mut [u8],
    /// Length of the frame; starts as the whole slot.
    pub len: usize,
    /// What the device must still do; starts as [`TxMeta::NONE`].
    pub meta: TxMeta,
}

impl<'a> TxFrame<'a> {
    /// A frame that fills the whole of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { len: bytes.len(), bytes, meta: TxMeta::NONE }
    }
}

/// The transmitting half of a [`NetDevice`].
pub trait NetTx {
    /// Frames of `mtu` size that fit just now.
    fn capacity(&self) -> usize;
    /// Reserves a slot of exactly `len` bytes, lets `fill` write the frame there, and enqueues it.
    /// `len` includes the Ethernet header and is at most `mtu + 14`, or the TSO size + 14 for a frame that
    /// `fill` marks to be cut. Frames keep their order.
    fn transmit<R>(&mut self, len: usize, fill: impl FnOnce(&mut TxFrame<'_>) -> R) -> Result<R, Full>;
    /// Sends what was enqueued: one doorbell for the whole batch.
    fn flush(&mut self);
}

impl<T: NetDevice + ?Sized> NetDevice for &mut T {
    type Rx = T::Rx;
    type Tx = T::Tx;
    fn caps(&self) -> Caps {
        (**self).caps()
    }
    fn mac(&self) -> MacAddr {
        (**self).mac()
    }
    fn link(&self) -> LinkState {
        (**self).link()
    }
    fn stats(&self) -> NetStats {
        (**self).stats()
    }
    fn set_multicast(&mut self, groups: &[MacAddr]) {
        (**self).set_multicast(groups);
    }
    fn split(&mut self) -> (&mut Self::Rx, &mut Self::Tx) {
        (**self).split()
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        (**self).poll_ready(cx, want_tx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_read_as_they_print() {
        let mac: MacAddr = "52:54:00:12:AB:ff".parse().unwrap();
        assert_eq!(mac, MacAddr([0x52, 0x54, 0, 0x12, 0xab, 0xff]));
        for bad in ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "5:54:00:12:34:56", "+2:54:00:12:34:56"] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }
}
