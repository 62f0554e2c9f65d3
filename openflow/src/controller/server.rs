//! The thin asynchronous part: a [`Controller`] over any listener's streams.
use super::{Application, Config, Controller, SwitchId};
use crate::stream::{Ended, next_message, send};
use airglow_device::{Listener, Stream, Timer};
use airglow_runtime::{Either, for_each_connection, select};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    task::{Poll, Waker},
};

/// Connections at once; those beyond what [`Config::switches`] says are closed.
const CONNECTIONS: usize = 1024;

/// A controller that serves switches.
pub struct Server<A, T> {
    inner: RefCell<Inner<A>>,
    timer: T,
}

struct Inner<A> {
    controller: Controller<A>,
    driver: Option<Waker>,
    waiting: Vec<(SwitchId, Waker)>,
}

impl<A: Application> Inner<A> {
    /// Wakes those who have something to send, or whose switch is gone; and the driver, for there may be a new deadline.
    fn wake(&self) {
        for (id, waker) in &self.waiting {
            if self.controller.has_output(*id) || !self.controller.is_open(*id) {
                waker.wake_by_ref();
            }
        }
        if let Some(waker) = &self.driver {
            waker.wake_by_ref();
        }
    }
}

impl<A: Application, T: Timer> Server<A, T> {
    /// A server for this application.
    pub const fn new(config: Config, application: A, timer: T) -> Self {
        let controller = Controller::new(config, application);
        Self { inner: RefCell::new(Inner { controller, driver: None, waiting: Vec::new() }), timer }
    }

    /// Calls `f` with the controller, to look at it or to send something.
    pub fn with<R>(&self, f: impl FnOnce(&mut Controller<A>) -> R) -> R {
        let inner = &mut *self.inner.borrow_mut();
        let result = f(&mut inner.controller);
        inner.wake();
        result
    }

    /// Serves every switch that connects. Never returns.
    pub async fn serve(&self, listener: &impl Listener) -> Infallible {
        let accepting = for_each_connection::<CONNECTIONS, _>(listener, &self.timer, async |stream| {
            self.switch(stream).await
        });
        select(self.run(), accepting).await.into_inner()
    }

    /// Keeps time. Never returns; poll it beside [`switch`](Self::switch) where [`serve`](Self::serve) is not used.
    pub async fn run(&self) -> Infallible {
        poll_fn(|cx| {
            let inner = &mut *self.inner.borrow_mut();
            let now = self.timer.now();
            inner.driver = None;
            if inner.controller.poll_timeout().is_some_and(|at| at <= now) {
                inner.controller.poll(now);
                inner.wake();
            }
            inner.driver = Some(cx.waker().clone());
            if let Some(at) = inner.controller.poll_timeout() {
                self.timer.wake_at(at, cx.waker());
            }
            Poll::Pending
        })
        .await
    }

    /// Speaks with one switch until its stream ends, it breaks the protocol, or it is silent for too long.
    pub async fn switch(&self, mut stream: impl Stream) {
        stream.set_nodelay(true);
        let id = self.with(|controller| controller.connected(self.timer.now()));
        if let Some(id) = id {
            let _ = Connected { server: self, id }.speak(&mut stream).await;
        }
        let _ = stream.close().await;
    }
}

/// A switch's connection, taken back when dropped.
struct Connected<'s, A: Application, T: Timer> {
    server: &'s Server<A, T>,
    id: SwitchId,
}

impl<A: Application, T: Timer> Drop for Connected<'_, A, T> {
    fn drop(&mut self) {
        self.server.inner.borrow_mut().waiting.retain(|(id, _)| *id != self.id);
        self.server.with(|controller| controller.disconnected(self.server.timer.now(), self.id));
    }
}

impl<A: Application, T: Timer> Connected<'_, A, T> {
    async fn speak(&self, stream: &mut impl Stream) -> Result<(), Ended> {
        let mut input = BytesMut::new();
        loop {
            self.send(stream).await?;
            if !self.server.inner.borrow().controller.is_open(self.id) {
                return Err(Ended);
            }
            let mut chunk = [0; 4096];
            match select(stream.read(&mut chunk), self.output()).await {
                Either::Left(Ok(count @ 1..)) => {
                    input.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
                    if self.take(&mut input).is_err() {
                        // What is left says why.
                        return self.send(stream).await;
                    }
                }
                Either::Left(_) => return Ok(()),
                Either::Right(()) => {}
            }
        }
    }

    /// Hands every whole message in `input` to the controller.
    fn take(&self, input: &mut BytesMut) -> Result<(), Ended> {
        let now = self.server.timer.now();
        self.server.with(|controller| {
            while let Some(message) = next_message(input)? {
                controller.message(now, self.id, &message).map_err(|_| Ended)?;
            }
            Ok(())
        })
    }

    async fn send(&self, stream: &mut impl Stream) -> Result<(), Ended> {
        let Self { server, id } = self;
        send(&server.timer, stream, || server.inner.borrow_mut().controller.take_output(*id)).await
    }

    /// Waits until there is something to send, or the controller has given the switch up.
    async fn output(&self) {
        poll_fn(|cx| {
            let inner = &mut *self.server.inner.borrow_mut();
            if inner.controller.has_output(self.id) || !inner.controller.is_open(self.id) {
                return Poll::Ready(());
            }
            match inner.waiting.iter_mut().find(|(id, _)| *id == self.id) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => inner.waiting.push((self.id, cx.waker().clone())),
            }
            Poll::Pending
        })
        .await;
    }
}
