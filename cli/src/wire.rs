//! `cargo airglow wire`: a relay between two interfaces that behaves like a bad line.
use crate::failure::{Failure, Result};

/// The two ends, and how bad the line is.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo airglow wire veth-a veth-b delay=20ms loss=2% reorder=5% seed=7")]
pub struct Arguments {
    /// The interface at one end
    a: String,
    /// The interface at the other end
    b: String,
    /// What the line does to frames: delay=20ms jitter=5ms loss=2% reorder=1% duplicate=1% corrupt=0.1% rate=10Mbit/s seed=7
    #[arg(value_name = "KEY=VALUE")]
    impairments: Vec<String>,
}

/// Relays until it is interrupted.
pub fn wire(arguments: &Arguments) -> Result {
    let _ = (&arguments.a, &arguments.b, &arguments.impairments);
    Err(Failure::new("this version of cargo airglow has no wire"))
}
