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

/// Memory in a `static` for one future of any type of at most `N` bytes: a background task of a driver, whose type has no name.
#[cfg(embassy_time)]
#[derive(Debug)]
pub(crate) struct Runner<const N: usize>(Once<Aligned<N>>);

#[cfg(embassy_time)]
#[derive(Debug)]
#[repr(C, align(16))]
struct Aligned<const N: usize>([core::mem::MaybeUninit<u8>; N]);

#[cfg(embassy_time)]
impl<const N: usize> Runner<N> {
    pub(crate) const fn new() -> Self {
        Self(Once::new(Aligned([const { core::mem::MaybeUninit::uninit() }; N])))
    }

    /// Puts `future` there, for ever; `None` from the second call on. A future that is too large does not compile.
    pub(crate) fn place<F: Future<Output = core::convert::Infallible> + 'static>(
        &'static self,
        future: F,
    ) -> Option<core::pin::Pin<&'static mut dyn Future<Output = core::convert::Infallible>>> {
        const { assert!(size_of::<F>() <= N && align_of::<F>() <= align_of::<Aligned<N>>()) };
        let place: *mut F = self.0.take()?.0.as_mut_ptr().cast();
        // SAFETY: the memory is large enough, aligned, and nobody else's for ever, so it is never moved either.
        unsafe {
            place.write(future);
            Some(core::pin::Pin::new_unchecked(&mut *place))
        }
    }
}
