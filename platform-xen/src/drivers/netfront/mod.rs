//! The network card (`io/netif.h`): receive by copy, scatter-gather, checksum and segmentation offload both ways.
mod checksum;
mod rx;
#[cfg(test)]
mod tests;
mod tx;
pub mod wire;

pub use rx::Rx;
pub use tx::Tx;

use super::grant::{DomainId, Doorbell, Grants, Misbehaviour};
use super::ring::RingPage;
use airglow_device::{Caps, LinkState, MacAddr, NetDevice, NetStats};
use core::task::{Context, Poll};

/// What the backend offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It completes TCP and UDP checksums over IPv4 (all do unless they say otherwise).
    pub checksum_v4: bool,
    /// Over IPv6.
    pub checksum_v6: bool,
    /// Frames may lie in several pages.
    pub scatter_gather: bool,
    /// It cuts TCP over IPv4.
    pub gso_v4: bool,
    /// It cuts TCP over IPv6.
    pub gso_v6: bool,
}

/// How many pages the device may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// For frames that arrive.
    pub rx_pages: usize,
    /// For frames that leave.
    pub tx_pages: usize,
}

/// A network interface of the domain.
#[derive(Debug)]
pub struct Netfront<'p, G: Grants, D: Doorbell> {
    rx: Rx<'p, G, D>,
    tx: Tx<'p, G, D>,
    mac: MacAddr,
    caps: Caps,
}

impl<'p, G: Grants + Clone, D: Doorbell + Clone> Netfront<'p, G, D> {
    /// Over two ring pages to `backend`. `None`: the grant table is full.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        pages: (&'p RingPage, &'p RingPage),
        mac: MacAddr,
        mtu: usize,
        features: Features,
        sizes: Sizes,
        backend: DomainId,
        grants: G,
        doorbell: D,
    ) -> Option<Self> {
        let (rx, tx) = pages;
        let tx = Tx::new(tx, sizes.tx_pages, backend, features, grants.clone(), doorbell.clone())?;
        let rx = Rx::new(rx, sizes.rx_pages, backend, grants, doorbell)?;
        let payload = tx.largest() - 14;
        let cut = |can: bool| if can && features.scatter_gather { payload } else { 0 };
        // Without scatter-gather a frame lies in one page.
        let mtu = if features.scatter_gather { mtu } else { mtu.min(1500) };
        let caps = Caps::new(mtu).with_checksums(true, true).with_tso(
            cut(features.gso_v4 && features.checksum_v4),
            cut(features.gso_v6 && features.checksum_v6),
        );
        Some(Self { rx, tx, mac, caps })
    }

    /// Starts over with empty rings to `backend`, rung by `doorbell`: the old backend has gone and has nothing of ours any more.
    pub fn reset(&mut self, backend: DomainId, doorbell: D) {
        self.tx.reset(backend, doorbell.clone());
        self.rx.reset(backend, doorbell);
    }

    /// Why the device was closed, if it was.
    pub fn closed(&self) -> Option<Misbehaviour> {
        self.rx.closed.or(self.tx.closed)
    }

    /// Closes it: frames are lost from here on. `true`: the backend has nothing of ours any more, so that [`reset`](Self::reset) may
    /// follow; until then this can be called again.
    pub fn close(&mut self, why: Misbehaviour) -> bool {
        self.rx.closed.get_or_insert(why);
        self.tx.closed.get_or_insert(why);
        self.rx.close() & self.tx.close()
    }
}

impl<'p, G: Grants, D: Doorbell> NetDevice for Netfront<'p, G, D> {
    type Rx = Rx<'p, G, D>;
    type Tx = Tx<'p, G, D>;

    fn caps(&self) -> Caps {
        self.caps
    }
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> LinkState {
        if self.rx.closed.or(self.tx.closed).is_some() { LinkState::Down } else { LinkState::Up }
    }
    fn stats(&self) -> NetStats {
        NetStats {
            rx_frames: self.rx.frames,
            rx_bytes: self.rx.bytes,
            rx_dropped: self.rx.dropped,
            tx_frames: self.tx.frames,
            tx_bytes: self.tx.bytes,
            tx_dropped: self.tx.dropped,
        }
    }
    fn split(&mut self) -> (&mut Self::Rx, &mut Self::Tx) {
        // One half's fault closes the other.
        let closed = self.rx.closed.or(self.tx.closed);
        if closed.is_some() {
            (self.rx.closed, self.tx.closed) = (closed, closed);
        }
        (&mut self.rx, &mut self.tx)
    }
    fn poll_ready(&mut self, cx: &mut Context<'_>, want_tx: bool) -> Poll<()> {
        for _ in 0..2 {
            if self.rx.ready() {
                return Poll::Ready(());
            }
            if want_tx {
                self.tx.reap();
                if self.tx.closed.is_some() || self.tx.fits(self.caps.mtu + 14) {
                    return Poll::Ready(());
                }
            }
            // First listen, then ask to be rung, then look again.
            self.rx.doorbell().register(cx.waker());
            self.tx.doorbell().register(cx.waker());
            let more = self.rx.arm() || (want_tx && self.tx.arm());
            if !more {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}
