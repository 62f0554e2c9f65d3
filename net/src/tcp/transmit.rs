//! What goes out: timers, then every connection that has something to send.
use super::{
    IpOutput, Storage, Tcp,
    connection::{Connection, Output, State},
    sender::Fired,
    storage::{Memory, Record},
    table::Queue,
};
use airglow_device::{Full, Instant};
use core::time::Duration;

/// Segments one connection sends before the next has its turn.
const TURN: usize = 64;

impl<S: Storage> Tcp<S> {
    /// Runs the timers that are due and sends everything that may go now: data, acknowledgments, retransmissions, probes,
    /// resets. Returns `false` when `out` was full and there is more to send: call again when the device has room.
    #[inline(never)] // On a small stack its frame must not lie under everything else's.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut impl IpOutput) -> bool {
        self.run_timers(now, out);
        while let Some(index) = self.storage.parts().connections.dequeue(Queue::Transmit) {
            let (sent, full) = self.transmit(now, index, out);
            self.stats.segments_sent += sent as u64;
            self.settle_after(now, index, true);
            if full {
                self.storage.parts().connections.enqueue(Queue::Transmit, index);
                return false;
            }
            if sent >= TURN {
                self.storage.parts().connections.enqueue(Queue::Transmit, index);
            }
        }
        true
    }

    fn transmit(&mut self, now: Instant, index: u32, out: &mut impl IpOutput) -> (usize, bool) {
        let Some(record) = self.storage.parts().connections.get_mut(index) else { return (0, false) };
        let Record { connection, send, .. } = record;
        #[cfg(feature = "plpmtud")]
        if connection.path_mss < connection.peer_mss && self.config.probe_sizes {
            connection.search_path(now, out);
        }
        let memory = send.bytes();
        let (src, dst) = (connection.tuple.local, connection.tuple.remote);
        for sent in 0..TURN {
            let Some(output) = connection.plan(now) else { return (sent, false) };
            let header = connection.header(&output, now, &self.config);
            let data = output.data();
            let large = data as u32 > connection.send.mss;
            // One that is too large on purpose is not cut.
            #[cfg(feature = "plpmtud")]
            let whole = large && connection.send.is_probing_size();
            #[cfg(not(feature = "plpmtud"))]
            let whole = false;
            let segment = if large && !whole { connection.send.mss as u16 } else { 0 };
            let header_len = header.len();
            let queue = &connection.send.queue;
            let offset = header.sequence.wrapping_sub(connection.send.unacknowledged.0) as usize;
            let traffic_class = connection.dscp << 2 | connection.ecn_bits(&output);
            let result = out.send(src, dst, traffic_class, header_len + data, segment, |bytes| {
                header.emit(bytes);
                if data > 0
                    && let Some(room) = bytes.get_mut(header_len..)
                {
                    queue.read_at(memory, offset, room);
                }
            });
            if let Err(Full) = result {
                return (sent, true);
            }
            connection.sent(&output, now);
            #[cfg(feature = "plpmtud")]
            if whole {
                connection.send.size_probe_sent();
            }
            match output {
                Output::Segment(plan) => {
                    self.stats.bytes_sent += data as u64;
                    self.stats.retransmitted += u64::from(plan.again && data > 0);
                    self.stats.size_probes += u64::from(whole);
                }
                Output::Reset => self.stats.resets_sent += 1,
                Output::KeepAlive => self.stats.keep_alives += 1,
                Output::Acknowledgment => {}
            }
        }
        (TURN, false)
    }

    fn run_timers(&mut self, now: Instant, out: &mut impl IpOutput) {
        while let Some(index) = self.storage.parts().connections.pop_due(now) {
            let Some(record) = self.storage.parts().connections.get_mut(index) else { continue };
            let connection = &mut record.connection;
            match connection.on_timer(now, &self.config) {
                Fired::Nothing => {}
                Fired::Retransmission => {
                    self.stats.timeouts += 1;
                    // The route may have changed.
                    if let Some((mss, tso)) = super::segments::path(out, connection.tuple.remote) {
                        connection.path_mss = connection.path_mss.min(mss);
                        connection.tso = tso;
                        connection.update_mss();
                    }
                    let timeouts = self.config.black_hole_timeouts;
                    #[cfg(feature = "plpmtud")]
                    let before = connection.path_mss;
                    if connection.suspect_black_hole(timeouts) {
                        self.stats.black_holes += 1;
                        #[cfg(feature = "plpmtud")]
                        connection.search_after_black_hole(before, out);
                    }
                }
                Fired::Probe => self.stats.window_probes += 1,
                #[cfg(feature = "rack")]
                Fired::Tail => self.stats.tail_probes += 1,
                #[cfg(feature = "rack")]
                Fired::Recovery => self.stats.fast_retransmits += 1,
            }
            self.settle(now, index);
        }
        while let Some(index) = self.storage.parts().half_open.pop_due(now) {
            self.half_open_timer(now, index, out);
        }
        while let Some(index) = self.storage.parts().time_wait.pop_due(now) {
            self.storage.parts().time_wait.remove(index);
        }
    }

    fn half_open_timer(&mut self, now: Instant, index: u32, out: &mut impl IpOutput) {
        let retries = self.config.syn_ack_retries;
        let half_open = self.storage.parts().half_open;
        let Some(half) = half_open.get_mut(index) else { return };
        if half.retries >= retries {
            self.stats.handshakes_abandoned += 1;
            return self.remove_half_open(index);
        }
        half.retries += 1;
        let wait = Duration::from_secs(1 << half.retries.min(6));
        let half = *half;
        half_open.schedule(index, now + wait);
        let header = half.header(now);
        self.stats.segments_sent += 1;
        let (src, dst) = (half.tuple.local, half.tuple.remote);
        let _ = out.send(src, dst, 0, header.len(), 0, |bytes| header.emit(bytes));
    }
}

impl Output {
    /// Bytes of data.
    fn data(&self) -> usize {
        match self {
            Self::Segment(plan) => plan.len,
            _ => 0,
        }
    }
}

/// ECN-capable transport, ECT(0), as the two ECN bits of the IP header (RFC 3168 section 5).
const ECN_CAPABLE: u8 = 0b10;

impl Connection {
    /// The ECN bits of the packet that carries `output`.
    fn ecn_bits(&self, output: &Output) -> u8 {
        match output {
            // RFC 3168 sections 6.1.4 to 6.1.6: new data only, neither retransmissions nor acknowledgments nor probes.
            Output::Segment(plan) if self.send.ecn && plan.len > 0 && !plan.again => ECN_CAPABLE,
            _ => 0,
        }
    }

    /// The segment is with the device.
    fn sent(&mut self, output: &Output, now: Instant) {
        match output {
            Output::Reset => return self.reset_due = false,
            Output::Segment(plan) => self.send.sent(plan, now),
            Output::KeepAlive => self.keep_alive.due = false,
            Output::Acknowledgment => {}
        }
        if self.state != State::SynSent {
            let pure = !matches!(output, Output::Segment(plan) if plan.len > 0);
            self.receive.acknowledged(pure);
            #[cfg(feature = "user-timeout")]
            if pure {
                self.exchange.due = false;
            }
        }
    }
}
