//! What a peer may use up.
use airglow_device::Instant;
use core::time::Duration;

/// The bounds of one connection. Buffers are bounded by their own sizes (a head never exceeds the head
/// buffer);
/// everything else is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Field lines in a head (431 beyond). 100.
    pub fields: u16,
    /// Octets of a request target (414 beyond). 2,000.
    pub target: usize,
    /// Octets of a request's content that a handler may read (413 beyond). 1 MiB.
    pub content: u64,
    /// Octets of chunk extensions and trailers in one message (400 beyond). 4,096.
    pub chunk_overhead: u32,
    /// Octets of unread content that the server reads and drops to keep a connection. 64 KiB.
    pub discard: u64,
    /// Requests on one connection before it is closed. 10,000.
    pub requests: u32,
    /// From the first octet of a head to its last. 10 s.
    pub head_timeout: Duration,
    /// Without any octet of content. 20 s.
    pub body_timeout: Duration,
    /// Between requests, and before the first. 60 s.
    pub idle_timeout: Duration,
    /// Without any octet of the answer taken. 20 s.
    pub write_timeout: Duration,
    /// How long the server reads on after it has closed its side, so that a peer that is still sending gets
    /// the answer
    /// instead of a reset (RFC 9112 section 9.6). 2 s.
    pub linger: Duration,
    /// Octets per second below which content in either direction is too slow, counted from the start of the
    /// content
    /// plus that direction's timeout above. 0: any rate will do. 100.
    pub least_rate: u32,
}

impl Limits {
    /// The defaults that stand with each field.
    pub const DEFAULT: Self = Self {
        fields: 100,
        target: 2_000,
        content: 1 << 20,
        chunk_overhead: 4_096,
        discard: 64 << 10,
        requests: 10_000,
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(20),
        linger: Duration::from_secs(2),
        least_rate: 100,
    };

    /// Until when a wait that began at `since` may last: never longer than `patience`, and if there is a
    /// least rate no longer
    /// than `patience` plus what the `done` octets so far have earned, less what was `waited` before.
    pub(crate) fn transfer_deadline(
        &self,
        since: Instant,
        waited: Duration,
        done: u64,
        patience: Duration,
    ) -> Instant {
        if self.least_rate == 0 {
            return since + patience;
        }
        let earned = Duration::from_millis(done.saturating_mul(1_000) / u64::from(self.least_rate));
        since + patience.min(patience.saturating_add(earned).saturating_sub(waited))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
