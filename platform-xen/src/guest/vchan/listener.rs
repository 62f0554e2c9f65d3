//! A server of channels: when one is taken, the next is offered under the same path.
use super::{Vchan, granted};
use crate::{
    drivers::grant::DomainId,
    guest::{event_loop::EventLoop, xenstore::Xenstore},
};
use airglow_device::Listener;
use airglow_runtime::sleep;
use airglow_vchan::{Doorbell, Error};
use alloc::{rc::Rc, string::String};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

/// How often pages that the client keeps are looked at, while no channel can be offered for want of them.
const AGAIN: Duration = Duration::from_millis(100);

/// Channels for one domain, offered one after the other under one path.
///
/// Memory is bounded: at most `most` channels are open at once, counted until the client has let go of their pages.
#[derive(Debug)]
pub struct VchanListener<'s> {
    pub(in crate::guest) store: &'s Xenstore,
    pub(in crate::guest) timer: &'s EventLoop,
    pub(in crate::guest) peer: DomainId,
    pub(in crate::guest) path: String,
    /// Bytes of the rings, towards this end and from it.
    pub(in crate::guest) rings: (usize, usize),
    pub(in crate::guest) most: usize,
    pub(in crate::guest) token: Rc<()>,
    pub(in crate::guest) offer: RefCell<Option<Vchan<'s>>>,
    pub(in crate::guest) offering: Cell<bool>,
}

/// One task offers; the others wait.
struct Offering<'l>(&'l Cell<bool>);

impl Drop for Offering<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<'s> VchanListener<'s> {
    /// Channels whose memory is in use.
    fn open(&self) -> usize {
        Rc::strong_count(&self.token) - 1
    }
}

impl<'s> Listener for VchanListener<'s> {
    type Error = Error;
    type Stream<'a>
        = Vchan<'s>
    where
        Self: 'a;

    async fn accept(&self) -> Result<Vchan<'s>, Error> {
        loop {
            if self.offer.borrow().is_none() {
                if self.open() >= self.most {
                    granted::take_back();
                }
                if self.open() >= self.most || self.offering.replace(true) {
                    sleep(self.timer, AGAIN).await;
                    continue;
                }
                let offering = Offering(&self.offering);
                let offered =
                    Vchan::offer(self.store, self.peer, &self.path, self.rings, self.token.clone()).await;
                match offered {
                    Ok(vchan) => *self.offer.borrow_mut() = Some(vchan),
                    Err(why) => {
                        log::warn!("{}: {why}", self.path);
                        return Err(Error::NotOffered);
                    }
                }
                drop(offering);
            }
            poll_fn(|cx| match &*self.offer.borrow() {
                Some(vchan) => {
                    // First listen, then look.
                    vchan.bell.register(cx.waker());
                    let waits = vchan.channel.is_peer_open() && !vchan.channel.is_connected();
                    if waits { Poll::Pending } else { Poll::Ready(()) }
                }
                None => Poll::Ready(()),
            })
            .await;
            // Another task may have it already; or the domain was saved, and nobody can come to this one any more.
            let Some(mut vchan) = self.offer.borrow_mut().take() else { continue };
            if vchan.channel.is_connected() {
                // The next one is announced in the same place.
                vchan.announced = None;
                return Ok(vchan);
            }
        }
    }
}
