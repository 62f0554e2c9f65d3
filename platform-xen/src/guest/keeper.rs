//! Devices whose backends go and come: after the domain was restored, after the device was detached and attached, or after the backend's
//! driver has started again.
use super::{
    event_loop::EventLoop,
    xenbus::{Device, State},
    xenstore::Xenstore,
};
use crate::{
    boot::grants::GrantTable,
    drivers::{
        grant::{GrantRef, Grants},
        xenstore::Error,
    },
};
use airglow_runtime::{Either, TaskSet, select, sleep, timeout};
use alloc::{boxed::Box, format, rc::Rc, string::ToString, vec::Vec};
use core::{
    cell::RefCell,
    convert::Infallible,
    fmt::{self, Display},
    future::poll_fn,
    pin::Pin,
    task::{Poll, Waker},
    time::Duration,
};

/// How long a backend that goes is waited for before the next one is looked for.
const FAREWELL: Duration = Duration::from_secs(10);

/// A device that can be connected again and again.
pub trait Kept {
    /// Its folder in xenstore, such as `vif`.
    const KIND: &'static str;
    /// Why it cannot be connected.
    type Error: Display + From<Error>;
    /// Its number in that folder.
    fn index(&self) -> &str;
    /// Its rings, which are granted as long as there is a backend.
    fn rings(&self) -> &[GrantRef];
    /// It is connected.
    fn is_connected(&self) -> bool;
    /// Connects it to `device`'s backend, which has said what it offers.
    async fn connect(&self, device: &Device<'_>, timer: &EventLoop) -> Result<(), Self::Error>;
    /// The backend has spoken up: looks at what may have changed.
    async fn look(&self, device: &Device<'_>) -> Result<(), Self::Error>;
    /// Uses the backend no more. What it still does is waited for if it `stays` for a while.
    async fn stop(&self, stays: bool, timer: &EventLoop);
    /// Takes everything but the rings back; `true`: it has nothing any more.
    fn take_back(&self) -> bool;
}

/// Devices that the application may have open at once.
const DEVICES: usize = 16;

/// The devices that the application has opened, to be looked after.
#[derive(Default)]
pub struct Devices {
    new: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    waker: RefCell<Option<Waker>>,
    // Made with the first: a kernel whose application opens none has no code of them in it.
    keeper: RefCell<Option<Pin<Box<dyn Future<Output = Infallible>>>>>,
}

impl Devices {
    /// Looks after them.
    pub async fn keep(&self) -> Infallible {
        poll_fn(|cx| {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            if let Some(keeper) = &mut *self.keeper.borrow_mut() {
                let _ = keeper.as_mut().poll(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// Looks after this one, too.
    pub(super) fn add<K: Kept + 'static>(
        &'static self,
        kept: Rc<K>,
        store: &'static Xenstore,
        timer: &'static EventLoop,
    ) {
        self.new.borrow_mut().push(Box::pin(async move {
            let Err(why) = keep(&*kept, store, timer).await;
            log::warn!("{}/{} is not looked after any more: {why}", K::KIND, kept.index());
        }));
        self.keeper.borrow_mut().get_or_insert_with(|| Box::pin(self.keep_open()));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn keep_open(&self) -> Infallible {
        let tasks = TaskSet::new(DEVICES);
        poll_fn(|cx| {
            for kept in self.new.take() {
                let _ = tasks.spawn(kept);
            }
            let _ = tasks.poll_tasks(cx);
            Poll::Pending
        })
        .await
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devices").finish_non_exhaustive()
    }
}

/// Keeps `kept` connected.
///
/// # Errors
/// What xenstore says, after which nobody looks after the device.
pub async fn keep<K: Kept>(kept: &K, store: &Xenstore, timer: &EventLoop) -> Result<Infallible, Error> {
    let node = format!("device/{}/{}/backend", K::KIND, kept.index());
    loop {
        let back = store.wait_for(&node, |path| (!path.is_empty()).then(|| path.to_string())).await?;
        let another = || store.wait_for(&node, |path| (path != back).then_some(()));
        let ended = select(connection(kept, store, timer), another()).await;
        if kept.is_connected() {
            log::warn!("{}/{}: the backend goes", K::KIND, kept.index());
        }
        kept.stop(matches!(ended, Either::Left(Ok(State::Closing))), timer).await;
        let device = Device::find(store, K::KIND, kept.index()).await.ok();
        if let Some(device) = device.filter(|device| device.back == back) {
            let _ = device.set_state(State::Closed).await;
            // The next one begins when this one has ended.
            let _ = timeout(timer, FAREWELL, device.wait_for(&[State::Closed, State::Unknown])).await;
        }
        let mut pause = Duration::from_millis(10);
        while !kept.take_back() || !kept.rings().iter().all(|grant| GrantTable.revoke(*grant)) {
            sleep(timer, pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        if let Either::Left(Err(why)) = ended {
            log::warn!("{}/{}: {why}", K::KIND, kept.index());
            another().await?;
        }
    }
}

/// One connection, until its backend goes: the state that it goes into.
async fn connection<K: Kept>(kept: &K, store: &Xenstore, timer: &EventLoop) -> Result<State, K::Error> {
    let device = Device::find(store, K::KIND, kept.index()).await?;
    if !kept.is_connected() {
        // Not one that only waits to be removed.
        let online = format!("{}/online", device.back);
        store.wait_for(&online, |text| (text.trim() == "1").then_some(())).await?;
        device.set_state(State::Initialising).await?;
        device.wait_for(&[State::InitWait]).await?;
        kept.connect(&device, timer).await?;
        log::info!("{}/{}: connected again", K::KIND, kept.index());
    }
    let watch = store.watch(&format!("{}/state", device.back)).await?;
    loop {
        watch.changed().await;
        match device.state().await? {
            State::Connected => kept.look(&device).await?,
            other => return Ok(other),
        }
    }
}
