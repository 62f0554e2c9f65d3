//! State of a machine with one processor and no interrupts.
use core::cell::UnsafeCell;

/// A value that only the one thread of this kernel sees.
///
/// Nothing interrupts it: events are polled, and the exception handlers only report and end the domain.
#[derive(Debug)]
pub struct Single<T>(UnsafeCell<T>);

// SAFETY: there is one thread and one processor (the kernel starts no other).
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
    /// The value, for the length of `f`, which must not come back here for the same one.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: one thread; the callers in this crate pass closures that call nothing of the outside.
        f(unsafe { &mut *self.0.get() })
    }
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}
