//! The atomics that this crate is written over. `tests/loom.rs` compiles `waker.rs`, `pool.rs` and `task_set.rs` with
//! loom's in their place, so that the code that is shipped is the code that is searched.
#[cfg(feature = "alloc")]
pub(crate) use core::sync::atomic::AtomicBool;
#[cfg(target_has_atomic = "ptr")]
pub(crate) use core::sync::atomic::AtomicUsize;
pub(crate) use core::sync::atomic::Ordering;
/// A Cortex-M0 has no instruction for it: a critical section of the platform's.
#[cfg(not(target_has_atomic = "ptr"))]
pub(crate) use portable_atomic::AtomicUsize;

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

/// A function that lends a static table of things that `new` makes.
macro_rules! table {
    (fn $name:ident() -> &'static [$item:ty; $len:expr]) => {
        fn $name() -> &'static [$item] {
            static TABLE: [$item; $len] = [const { <$item>::new() }; $len];
            &TABLE
        }
    };
}
pub(crate) use table;
