//! The console: the ring that `xenconsoled` reads, and Xen's own console in dom0.
use super::{hypercall, single::Single};
use crate::drivers::console::Interface;

#[derive(Clone, Copy)]
enum Console {
    /// Not known yet.
    None,
    /// The ring and its event channel.
    Ring(&'static Interface, u32),
    /// Xen's own.
    Hypervisor,
}

static CONSOLE: Single<Console> = Single::new(Console::None);

fn console() -> Console {
    CONSOLE.with(|c| *c)
}

/// Uses the ring at `interface` with its event channel `port`.
pub fn use_ring(interface: &'static Interface, port: u32) {
    CONSOLE.with(|c| *c = Console::Ring(interface, port));
}

/// The ring's event channel is another one now.
pub fn use_port(new: u32) {
    CONSOLE.with(|c| {
        if let Console::Ring(_, port) = c {
            *port = new;
        }
    });
}

/// Uses Xen's own console.
pub fn use_hypervisor() {
    CONSOLE.with(|c| *c = Console::Hypervisor);
}

/// The event channel, where it is a ring.
pub fn port() -> Option<u32> {
    match console() {
        Console::Ring(_, port) => Some(port),
        _ => None,
    }
}

/// Turns a reader may let pass before the rest of a text is dropped: a daemon that has died must not stop the guest.
const PATIENCE: u32 = 10_000;

/// Writes `bytes`, with a carriage return before each line feed.
pub fn write(bytes: &[u8]) {
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => {
                raw(text);
                raw(b"\r\n");
            }
            None => raw(line),
        }
    }
}

fn raw(mut bytes: &[u8]) {
    match console() {
        Console::None => {}
        Console::Hypervisor => {
            let _ = hypercall::console_write(bytes);
        }
        Console::Ring(ring, port) => {
            let mut patience = PATIENCE;
            while !bytes.is_empty() {
                let count = ring.write(bytes);
                hypercall::send(port);
                bytes = bytes.get(count..).unwrap_or_default();
                if !bytes.is_empty() {
                    if patience == 0 {
                        return;
                    }
                    patience -= 1;
                    hypercall::yield_now();
                }
            }
        }
    }
}

/// What was typed.
pub fn read(buffer: &mut [u8]) -> usize {
    match console() {
        Console::Ring(ring, port) => {
            let count = ring.read(buffer);
            if count > 0 {
                hypercall::send(port);
            }
            count
        }
        _ => 0,
    }
}

/// Waits until everything was read, with bounded patience.
pub fn drain() {
    if let Console::Ring(ring, _) = console() {
        for _ in 0..PATIENCE {
            if ring.is_drained() {
                return;
            }
            hypercall::yield_now();
        }
    }
}
