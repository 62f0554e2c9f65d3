//! The smallest async executor that works everywhere: [`block_on`], an allocation-free [`pool()`], [`TaskSet`]s, timers.
//!
//! Everything in airglow runs on one core and one thread. A platform implements [`Park`], "sleep until something
//! happens", and [`Timer`](airglow_device::Timer); the rest is here and the same on all of them.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use airglow_runtime::{block_on, join, sleep, timeout, Elapsed, ThreadPark};
//! use core::time::Duration;
//!
//! let platform = ThreadPark::new();
//! let answer = block_on(&platform, async {
//!     let quick = async { sleep(&platform, Duration::from_millis(5)).await; 42 };
//!     let slow = timeout(&platform, Duration::from_millis(10), core::future::pending::<()>());
//!     join(quick, slow).await
//! });
//! assert_eq!(answer, (42, Err(Elapsed)));
//! # }
//! ```
//!
//! | item | allocates | what it is |
//! |---|---|---|
//! | [`block_on`], [`Park`] | no | drives one future to its end |
//! | [`pool()`] | no | `N` copies of a future side by side; polls only those that were woken |
//! | [`TaskSet`] | feature `alloc` | futures that come and go; polls only those that were woken |
//! | [`for_each_connection`] | with `alloc` only | an accept loop with at most `N` connections at once |
//! | [`sleep`], [`sleep_until`], [`timeout`] | no | over any [`Timer`](airglow_device::Timer) |
//! | [`select`], [`join`], [`yield_now`] | no | two futures in one task |
//! | [`FixedTimers`], [`TimerQueue`] | no, `alloc` | what a platform implements its `Timer` with |
//! | [`refuse_unknown`] | feature `alloc` | boot parameters that nobody asks for end a platform's application |
//! | [`ThreadPark`] | feature `std` | the platform that is a thread: for tests and examples |
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod block_on;
mod combine;
mod connections;
mod pool;
#[cfg(feature = "alloc")]
mod refuse_unknown;
mod sync;
#[cfg(feature = "alloc")]
mod task_set;
#[cfg(feature = "std")]
mod thread_park;
mod time;
mod timer_queue;
#[allow(unsafe_code)] // The one file that has any.
mod waker;

pub use block_on::{Park, block_on};
pub use combine::{Either, YieldNow, join, select, yield_now};
pub use connections::for_each_connection;
pub use pool::pool;
#[cfg(feature = "alloc")]
pub use refuse_unknown::refuse_unknown;
#[cfg(feature = "alloc")]
pub use task_set::TaskSet;
#[cfg(feature = "std")]
pub use thread_park::ThreadPark;
pub use time::{Elapsed, Sleep, sleep, sleep_until, timeout, timeout_at};
pub use timer_queue::FixedTimers;
#[cfg(feature = "alloc")]
pub use timer_queue::TimerQueue;

#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}
