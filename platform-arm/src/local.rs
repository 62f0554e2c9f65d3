//! Values in statics on a machine with one core and no interrupt handlers.
use core::cell::{Cell, UnsafeCell};

/// A value that is not `Sync`, in a `static`.
///
/// Sound on the boards of this crate only: one core runs, interrupts are never unmasked, so no two
/// pieces of code ever run at once (see [`interrupt`](crate::interrupt)).
#[derive(Debug)]
pub(crate) struct Local<T>(T);

// SAFETY: see above; `new` is only reachable in this crate and only used by code for bare targets.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> core::ops::Deref for Local<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A `static` that lends itself out exclusively, once: memory for what lives as long as the machine runs.
#[derive(Debug)]
pub struct Once<T> {
    taken: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: as `Local`; `take` hands the value out at most once.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    /// Holds `value`; all zeros cost no flash.
    pub const fn new(value: T) -> Self {
        Self { taken: Cell::new(false), value: UnsafeCell::new(value) }
    }
    /// The value; `None` from the second call on.
    #[allow(clippy::mut_from_ref, reason = "the flag makes it the only one")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.replace(true) {
            return None;
        }
        // SAFETY: the first and only call that gets here.
        Some(unsafe { &mut *self.value.get() })
    }
}
