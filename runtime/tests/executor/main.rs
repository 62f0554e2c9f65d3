//! The executor and what it polls: accept loops, task sets, pools, timers.
mod connections;
mod count;
#[cfg(feature = "std")]
mod tasks;
#[cfg(feature = "std")]
mod time;
