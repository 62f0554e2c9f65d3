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
    /// What the line does to frames: delay=20ms jitter=5ms loss=2% reorder=1% duplicate=1% corrupt=0.1% rate=10mbit
    /// queue=1000 burst=1%/25% hold=5ms mtu=1500 partition=on seed=7
    #[arg(value_name = "KEY=VALUE")]
    impairments: Vec<String>,
}

/// Relays until it is interrupted, then says what became of the frames.
#[cfg(target_os = "linux")]
pub fn wire(Arguments { a, b, impairments }: &Arguments) -> Result {
    use airglow_device::Impairments;
    use airglow_platform_unix::Wire;

    let words = impairments.join(" ");
    let impairments = Impairments::parse(&words).map_err(|wrong| {
        // The words of the line, not of a boot.
        Failure::new(format!("`{}`: expected {}", wrong.word, wrong.expected))
    })?;
    let [forth, back] = Wire::run([a, b], impairments).map_err(Failure::new)?;
    println!("{a} to {b}: {forth}");
    println!("{b} to {a}: {back}");
    Ok(())
}

/// Packet sockets are Linux's.
#[cfg(not(target_os = "linux"))]
pub fn wire(arguments: &Arguments) -> Result {
    let _ = (&arguments.a, &arguments.b, &arguments.impairments);
    Err(Failure::new("the wire needs Linux"))
}
