//! One after the other: what is to be written to a disk waits for what is being written.
use alloc::vec::Vec;
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// A turn that one at a time has.
#[derive(Default)]
pub(super) struct Turn {
    taken: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// The turn, until it is dropped.
pub(super) struct Taken<'t>(&'t Turn);

impl Turn {
    pub(super) async fn take(&self) -> Taken<'_> {
        poll_fn(|cx| {
            if self.taken.replace(true) {
                self.waiting.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Taken(self))
        })
        .await
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.set(false);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// Puts what was taken out of its place back, whatever becomes of the work with it.
pub(super) struct Lent<'l, T>(&'l RefCell<Option<T>>, pub(super) Option<T>);

impl<'l, T> Lent<'l, T> {
    pub(super) fn take(place: &'l RefCell<Option<T>>) -> Self {
        let taken = place.borrow_mut().take();
        Self(place, taken)
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        *self.0.borrow_mut() = self.1.take();
    }
}
