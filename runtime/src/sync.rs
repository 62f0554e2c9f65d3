//! The atomics that `waker.rs` is written over. The loom model in `tests/loom.rs` compiles that file with loom's
//! in their place, so that the code that is shipped is the code that is searched.
pub(crate) use core::sync::atomic::{AtomicUsize, Ordering};

/// `core::cell::UnsafeCell` with loom's way in.
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A constructor: `const` here, so that statics can be made of it; loom's types have no `const` ones.
macro_rules! constructor {
    ($(#[$doc:meta])* fn $name:ident() -> Self $body:block) => {
        $(#[$doc])*
        pub(crate) const fn $name() -> Self $body
    };
}
pub(crate) use constructor;
