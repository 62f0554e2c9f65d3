//! What a connection knows of itself: statistics and a trace.
use super::{
    Handle, Storage, Tcp,
    congestion::CongestionControl,
    connection::{Connection, State},
};
#[cfg(feature = "trace")]
use airglow_device::Instant;
#[cfg(feature = "trace")]
use core::fmt;
use core::time::Duration;

/// One connection's statistics, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// RFC 9293's name for where it is.
    pub state: State,
    /// Data bytes of a full-sized segment.
    pub mss: u32,
    /// The congestion window, in bytes.
    pub congestion_window: u32,
    /// Where slow start ends, in bytes; `u32::MAX` before the first sign of congestion.
    pub slow_start_threshold: u32,
    /// What is believed to be in the network, in bytes: sent, and neither acknowledged nor lost.
    pub in_flight: u32,
    /// Bytes written and not yet acknowledged.
    pub queued: usize,
    /// Bytes received and not yet read.
    pub readable: usize,
    /// What the peer's window takes, in bytes.
    pub send_window: u32,
    /// The window the peer was last told, in bytes.
    pub receive_window: u32,
    /// The smoothed round-trip time, once measured.
    pub round_trip: Option<Duration>,
    /// The least round-trip time seen.
    pub least_round_trip: Option<Duration>,
    /// The retransmission timeout, with its backoff.
    pub timeout: Duration,
    /// Timeouts since the peer last acknowledged something.
    pub timeouts: u8,
    /// An ICMP error said since then that the peer cannot be reached now (a soft error, RFC 1122 section 4.2.3.9).
    pub unreachable: bool,
    /// Losses are being repaired.
    pub recovering: bool,
    /// Explicit congestion notification is agreed on.
    pub ecn: bool,
    /// Segments taken for lost.
    pub lost: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Times the answer to a loss was taken back because there was none.
    pub undone: u32,
}

impl Connection {
    fn info(&self) -> Info {
        let send = &self.send;
        Info {
            state: self.state,
            mss: send.mss,
            congestion_window: send.congestion.window(),
            slow_start_threshold: send.congestion.slow_start_threshold(),
            in_flight: send.pipe(),
            queued: send.queue.len(),
            readable: self.receive.readable(),
            send_window: send.window,
            receive_window: self.receive.window(),
            round_trip: send.round_trip.smoothed(),
            least_round_trip: send.round_trip.least(),
            timeout: send.round_trip.timeout(),
            timeouts: send.round_trip.backoff(),
            unreachable: self.soft_error,
            recovering: send.is_recovering(),
            ecn: send.ecn,
            lost: send.losses,
            retransmitted: send.retransmitted,
            undone: send.undone,
        }
    }
}

/// One line of a trace.
#[cfg(feature = "trace")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Whose.
    pub handle: Handle,
    /// When.
    pub at: Instant,
    /// RFC 9293's name for where it is.
    pub state: State,
    /// The congestion window, in bytes.
    pub congestion_window: u32,
    /// Where slow start ends, in bytes.
    pub slow_start_threshold: u32,
    /// What is believed to be in the network, in bytes.
    pub in_flight: u32,
    /// The smoothed round-trip time in microseconds; 0 before it is known.
    pub round_trip: u32,
    /// Segments taken for lost so far.
    pub lost: u32,
    /// Segments sent again so far.
    pub retransmitted: u32,
}

#[cfg(feature = "trace")]
impl fmt::Display for Sample {
    /// One line of the file that `cargo airglow trace` draws: connection, microseconds, state, congestion window, slow-start threshold,
    /// bytes in flight, round trip in microseconds, segments lost, segments sent again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handle: Handle { index, generation }, at, state, .. } = self;
        write!(
            f,
            "{index}.{generation} {} {state:?} {} {} {} {} {} {}",
            at.as_micros(),
            self.congestion_window,
            self.slow_start_threshold,
            self.in_flight,
            self.round_trip,
            self.lost,
            self.retransmitted
        )
    }
}

/// The latest samples of the connections that are traced.
#[cfg(feature = "trace")]
#[derive(Debug, Default)]
pub(super) struct Samples {
    ring: heapless::Deque<Sample, SAMPLES>,
    /// The latest, taken or not.
    last: Option<Sample>,
    dropped: u64,
    /// Every connection is traced.
    pub(super) all: bool,
}

/// Samples kept until they are taken.
#[cfg(feature = "trace")]
const SAMPLES: usize = 256;

impl<S: Storage> Tcp<S> {
    /// The statistics of a connection; `None` for a handle that was released.
    pub fn info(&mut self, handle: Handle) -> Option<Info> {
        self.connection(handle).map(|connection| connection.info())
    }

    /// Traces a connection or no longer does. Whenever its window, flight, round trip or losses have changed a [`Sample`] is kept for
    /// [`next_sample`](Self::next_sample).
    #[cfg(feature = "trace")]
    pub fn trace(&mut self, handle: Handle, on: bool) {
        if let Some(connection) = self.connection(handle) {
            connection.traced = on;
        }
    }

    /// Traces every connection or no longer does: also those that nobody has a handle of yet.
    #[cfg(feature = "trace")]
    pub fn trace_all(&mut self, on: bool) {
        self.samples.all = on;
    }

    /// The oldest sample not yet taken. The last 256 are kept; [`samples_dropped`](Self::samples_dropped) says how many were not.
    #[cfg(feature = "trace")]
    pub fn next_sample(&mut self) -> Option<Sample> {
        self.samples.ring.pop_front()
    }

    /// Samples that gave way to later ones.
    #[cfg(feature = "trace")]
    pub fn samples_dropped(&self) -> u64 {
        self.samples.dropped
    }

    /// Keeps a sample of a traced connection that something happened to.
    #[cfg(feature = "trace")]
    pub(super) fn sample(&mut self, now: Instant, index: u32) {
        let connections = self.storage.parts().connections;
        let generation = connections.generation(index);
        let Some(record) = connections.get_mut(index) else { return };
        let connection = &record.connection;
        if !connection.traced && !self.samples.all {
            return;
        }
        let send = &connection.send;
        let sample = Sample {
            handle: Handle { index, generation },
            at: now,
            state: connection.state,
            congestion_window: send.congestion.window(),
            slow_start_threshold: send.congestion.slow_start_threshold(),
            in_flight: send.pipe(),
            round_trip: send.round_trip.smoothed().map_or(0, |time| time.as_micros() as u32),
            lost: send.losses,
            retransmitted: send.retransmitted,
        };
        let Samples { ring, last, dropped, .. } = &mut self.samples;
        if last.replace(sample).is_some_and(|last| Sample { at: now, ..last } == sample) {
            return;
        }
        if ring.is_full() {
            ring.pop_front();
            *dropped += 1;
        }
        let _ = ring.push_back(sample);
    }
}
