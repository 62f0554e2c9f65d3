//! The buffers of connections: held only while there is a request.
use core::fmt;

/// What one connection works with while it has a request.
pub(crate) struct Buffers<const HEAD: usize, const OUT: usize> {
    pub head: [u8; HEAD],
    pub out: [u8; OUT],
}

impl<const HEAD: usize, const OUT: usize> Buffers<HEAD, OUT> {
    const fn new() -> Self {
        Self { head: [0; HEAD], out: [0; OUT] }
    }
}

/// A future in memory of its own, so that whoever awaits it is no larger for it at other times.
#[cfg(feature = "alloc")]
pub(crate) fn apart<F: Future>(future: F) -> core::pin::Pin<alloc::boxed::Box<F>> {
    alloc::boxed::Box::pin(future)
}

/// Without an allocator it stays where it is.
#[cfg(not(feature = "alloc"))]
pub(crate) fn apart<F: Future>(future: F) -> F {
    future
}

/// Buffers that no connection holds just now, kept for the next.
#[cfg(feature = "alloc")]
mod pool {
    use super::Buffers;
    use alloc::{boxed::Box, vec::Vec};
    use core::cell::RefCell;

    /// So many are kept; what comes back beyond them is freed.
    const KEPT: usize = 32;

    pub(crate) struct Pool<const HEAD: usize, const OUT: usize>(RefCell<Vec<Box<Buffers<HEAD, OUT>>>>);

    impl<const HEAD: usize, const OUT: usize> Pool<HEAD, OUT> {
        pub const fn new() -> Self {
            Self(RefCell::new(Vec::new()))
        }
    }

    /// A connection's hold on buffers.
    pub(crate) struct Lease<const HEAD: usize, const OUT: usize>(Option<Box<Buffers<HEAD, OUT>>>);

    impl<const HEAD: usize, const OUT: usize> Lease<HEAD, OUT> {
        pub const fn new() -> Self {
            Self(None)
        }
        /// The buffers, taken from `pool` if there are none yet.
        pub fn take(&mut self, pool: &Pool<HEAD, OUT>) -> &mut Buffers<HEAD, OUT> {
            self.0.get_or_insert_with(|| {
                let spare = pool.0.try_borrow_mut().ok().and_then(|mut pool| pool.pop());
                spare.unwrap_or_else(|| Box::new(Buffers::new()))
            })
        }
        /// Gives them back.
        pub fn release(&mut self, pool: &Pool<HEAD, OUT>) {
            if let (Some(buffers), Ok(mut pool)) = (self.0.take(), pool.0.try_borrow_mut())
                && pool.len() < KEPT
            {
                pool.push(buffers);
            }
        }
    }
}

/// Without an allocator each connection has its own.
#[cfg(not(feature = "alloc"))]
mod pool {
    use super::Buffers;

    pub(crate) struct Pool<const HEAD: usize, const OUT: usize>;

    impl<const HEAD: usize, const OUT: usize> Pool<HEAD, OUT> {
        pub const fn new() -> Self {
            Self
        }
    }

    pub(crate) struct Lease<const HEAD: usize, const OUT: usize>(Buffers<HEAD, OUT>);

    impl<const HEAD: usize, const OUT: usize> Lease<HEAD, OUT> {
        pub const fn new() -> Self {
            Self(Buffers::new())
        }
        pub fn take(&mut self, _: &Pool<HEAD, OUT>) -> &mut Buffers<HEAD, OUT> {
            &mut self.0
        }
        pub fn release(&mut self, _: &Pool<HEAD, OUT>) {}
    }
}

pub(crate) use pool::{Lease, Pool};

impl<const HEAD: usize, const OUT: usize> fmt::Debug for Pool<HEAD, OUT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}
