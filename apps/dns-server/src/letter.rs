//! One value from one thread to a task of another.
use crate::doorbell::Doorbell;
use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

/// What has come, and who waits for it.
struct State<T> {
    value: Option<T>,
    /// It has been sent, or never will be.
    done: bool,
    waker: Option<Waker>,
}

/// Where the value comes; see [`letter`].
pub(crate) struct Letter<T>(Arc<Mutex<State<T>>>);

/// What sends the value, at most once.
pub(crate) struct Sender<T> {
    state: Arc<Mutex<State<T>>>,
    doorbell: Arc<Doorbell>,
}

/// A value that is to come from another thread, and what sends it to the one that `doorbell` wakes.
pub(crate) fn letter<T>(doorbell: &Arc<Doorbell>) -> (Sender<T>, Letter<T>) {
    let state = Arc::new(Mutex::new(State { value: None, done: false, waker: None }));
    (Sender { state: state.clone(), doorbell: doorbell.clone() }, Letter(state))
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        self.doorbell.ring();
    }
}

impl<T> Letter<T> {
    /// The value; `None` when nobody will send it.
    pub(crate) async fn read(self) -> Option<T> {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.done {
                return Poll::Ready(state.value.take());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
