//! The one file with `unsafe`: a cell for a waker that other threads and interrupts may wake, wakers that are an
//! integer and not a pointer, and the pinned elements of a pinned array.
//!
//! Each is sound for whatever safe code does with it; nothing outside this file has to keep a promise.
use crate::sync::{AtomicUsize, Ordering, UnsafeCell, constructor};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr,
    task::{RawWaker, RawWakerVTable, Waker},
};

/// Somebody is replacing the waker.
const REGISTERING: usize = 1;
/// A wake is under way, or came while the cell was taken.
const WAKING: usize = 2;
/// The owner has gone; whoever holds the cell empties it.
const CLOSING: usize = 4;

/// The waker of the one task that waits for a thing, and that anybody may wake.
///
/// `state` is a lock that nobody waits for: the cell belongs to whoever moved `state` from 0 to one of the bits,
/// until they move it back. Who finds it taken leaves a bit behind, or wakes its own task, and goes on. So it works in
/// interrupt handlers as well as between threads.
pub(crate) struct ParentWaker {
    state: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: `Waker` is `Send + Sync`, and `waker` is touched only by whoever moved `state` away from 0 (acquire),
// until it moves it back (release): never by two at a time.
unsafe impl Sync for ParentWaker {}
// SAFETY: owns its parts, which are `Send`.
unsafe impl Send for ParentWaker {}

impl ParentWaker {
    constructor! {
        /// A cell without a waker.
        fn new() -> Self {
            Self { state: AtomicUsize::new(0), waker: UnsafeCell::new(None) }
        }
    }

    /// Keeps `waker` in place of the one before. Every [`wake`](Self::wake) that does not happen before this call
    /// wakes it. If the cell is taken, wakes `waker` at once: its task polls again and registers again.
    pub(crate) fn register(&self, waker: &Waker) {
        if self.state.compare_exchange(0, REGISTERING, Ordering::Acquire, Ordering::Acquire).is_err() {
            waker.wake_by_ref();
            return;
        }
        // SAFETY: this call moved `state` from 0, so the cell is its own until it moves `state` back.
        let old = self.waker.with_mut(|cell| unsafe {
            match &*cell {
                Some(kept) if kept.will_wake(waker) => None,
                _ => (*cell).replace(waker.clone()),
            }
        });
        if self.state.swap(0, Ordering::AcqRel) != REGISTERING {
            // A wake came in between and left it to us.
            waker.wake_by_ref();
        }
        drop(old);
    }

    /// Wakes the waker that is registered, if there is one.
    pub(crate) fn wake(&self) {
        if self.state.fetch_or(WAKING, Ordering::AcqRel) != 0 {
            // Who holds the cell registers, and will see the bit; or wakes, and a task that registers meanwhile
            // wakes itself; or closes, and nobody is left to wake.
            return;
        }
        // SAFETY: this call moved `state` from 0, so the cell is its own until it moves `state` back. Only a shared
        // reference is made, and `wake_by_ref` cannot reach the cell through this type while `state` is not 0.
        self.waker.with_mut(|cell| unsafe {
            if let Some(waker) = &*cell {
                waker.wake_by_ref();
            }
        });
        if self.state.compare_exchange(WAKING, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // Closed meanwhile.
            self.empty();
        }
    }

    /// Forgets the waker.
    pub(crate) fn close(&self) {
        if self.state.fetch_or(CLOSING, Ordering::AcqRel) == 0 {
            self.empty();
        }
    }

    /// Takes the waker out and gives the cell back. For the holder of the cell only, which is whoever found `state`
    /// at 0; the two callers above did.
    fn empty(&self) {
        // SAFETY: the caller moved `state` from 0 and has not moved it back.
        let waker = self.waker.with_mut(|cell| unsafe { (*cell).take() });
        self.state.swap(0, Ordering::AcqRel);
        drop(waker);
    }
}

/// What an [`integer_waker`] does when it is woken.
pub(crate) trait Wake {
    /// Any number may arrive here, at any time, from any thread or interrupt.
    fn wake(number: usize);
}

struct VTable<T>(PhantomData<T>);

impl<T: Wake> VTable<T> {
    const WAKE: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &Self::WAKE),
        |data| T::wake(data.addr()),
        |data| T::wake(data.addr()),
        |_| (),
    );
}

/// A waker that owns nothing: it carries `number` and hands it to `T`. It may outlive anything.
pub(crate) fn integer_waker<T: Wake>(number: usize) -> Waker {
    // SAFETY: the data is an integer in a pointer's clothes, never dereferenced; cloning copies it, dropping does
    // nothing, waking calls a safe function that takes any number from any thread. That is the whole contract.
    unsafe { Waker::new(ptr::without_provenance(number), &VTable::<T>::WAKE) }
}

/// The pinned element `index` of a pinned array.
pub(crate) fn element<T, const N: usize>(array: Pin<&mut [T; N]>, index: usize) -> Option<Pin<&mut T>> {
    // SAFETY: an array is pinned structurally: it has no `Drop` of its own that could move an element, it is `Unpin` only if
    // `T` is, and the only way in used here hands the element out pinned again.
    unsafe { array.get_unchecked_mut().get_mut(index).map(|element| Pin::new_unchecked(element)) }
}
