//! Benchmarks against named peers, in the same run.
//!
//! A benchmark makes a [`Table`] of rows, each with our value, the peer's, and the ratio of the two, which is above 1
//! where ours is better. `cargo airglow bench NAME` prints it and writes `target/bench/NAME.json`.
#![forbid(unsafe_code)]

mod applications;
mod cable;
mod nginx;
mod table;

pub use applications::{application, flow, own_program};
pub use cable::{Answers, Cable, Join, ask_from_here, processes};
pub use nginx::Nginx;
pub use table::{Better, Table, median};
