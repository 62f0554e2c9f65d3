//! Where an arriving segment belongs (RFC 9293 section 3.10.7): a connection, the SYN queue, TIME-WAIT, a listener, nobody.
use super::{
    Ecn, Error, IcmpError, IpOutput, Storage, Tcp, Tuple,
    connection::{Connection, State, window_scale},
    input::{Arrived, Context, Reply},
    listener::HalfOpen,
    sequence::Seq,
    storage::{Memory, Record},
    table::{Inline, NONE, Queue},
    time_wait::{TimeWait, Verdict},
};
#[cfg(feature = "syn-cookies")]
use super::{connection::DEFAULT_MSS, cookie};
use crate::wire::tcp::{Flags, HEADER_LEN, Header, Segment};
use airglow_device::Instant;
use core::{net::IpAddr, time::Duration};

impl<S: Storage> Tcp<S> {
    /// Takes one segment (an IP payload of protocol 6 whose checksum is right), or several that the device coalesced
    /// (`gro_segment` is then the payload size of each, else 0). `src` must be a unicast address and `dst` one of this
    /// host's own: the IP side drops all else. Answers that belong to no connection go straight to `out`; all else waits for
    /// [`poll_transmit`](Self::poll_transmit).
    #[allow(clippy::too_many_arguments)]
    #[inline(never)] // On a small stack its frame must not lie under everything else's.
    pub fn input(
        &mut self,
        now: Instant,
        src: IpAddr,
        dst: IpAddr,
        ecn: u8,
        segment: &[u8],
        gro_segment: u16,
        out: &mut impl IpOutput,
    ) {
        self.stats.segments_received += 1;
        let Ok(segment) = Segment::new_checked(segment) else {
            self.stats.malformed += 1;
            return;
        };
        let tuple = Tuple {
            local: dst,
            remote: src,
            local_port: segment.destination_port(),
            remote_port: segment.source_port(),
        };
        let arrived = Arrived::new(&segment, gro_segment, ecn);
        let hash = self.secret.hash(&tuple);
        let answer = self.dispatch(now, &tuple, hash, &arrived, |dst| path(out, dst));
        if let Some(header) = answer {
            self.stats.segments_sent += 1;
            // No room: the peer will ask again.
            let _ = out.send(dst, src, 0, header.len(), 0, |bytes| header.emit(bytes));
        }
    }

    /// The answer that is sent outside any connection.
    fn dispatch(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        hash: u32,
        arrived: &Arrived<'_>,
        path: impl FnOnce(IpAddr) -> Option<(u32, u32)>,
    ) -> Option<Header> {
        let parts = self.storage.parts();
        if let Some(index) = parts.connections.find(hash, |record| record.connection.tuple == *tuple) {
            return match self.connection_input(now, index, arrived) {
                Reply::None => None,
                Reply::Reset => self.reset_for(tuple, arrived),
            };
        }
        if let Some(index) = parts.half_open.find(hash, |half| half.tuple == *tuple) {
            return self.half_open_input(now, hash, index, arrived);
        }
        let mut after = None;
        if let Some(index) = parts.time_wait.find(hash, |waiting| waiting.tuple == *tuple) {
            let waiting = *parts.time_wait.get(index)?;
            match waiting.input(arrived) {
                Verdict::Drop => return None,
                Verdict::Acknowledge => return Some(waiting.header(now)),
                Verdict::Restart => {
                    parts.time_wait.reschedule(index, now + self.config.time_wait);
                    return Some(waiting.header(now));
                }
                Verdict::Reopen(seq) => {
                    if self.listener_for(tuple).is_none() {
                        return Some(waiting.header(now));
                    }
                    self.storage.parts().time_wait.remove(index);
                    after = Some(seq);
                }
            }
        }
        self.listen_input(now, tuple, hash, arrived, after, path)
    }

    fn connection_input(&mut self, now: Instant, index: u32, arrived: &Arrived<'_>) -> Reply {
        let limits = self.storage.limits();
        let may_grow = arrived.data.is_empty() || self.receive_may_grow(index, arrived);
        let parts = self.storage.parts();
        let Some(record) = parts.connections.get_mut(index) else { return Reply::None };
        let Record { connection, receive, send, .. } = record;
        if !arrived.data.is_empty() && may_grow {
            let wanted = connection.receive.memory_for(arrived.seq, arrived.data.len());
            let head = connection.receive.ring.head();
            if receive.grow(parts.pool, wanted, limits.receive, head) {
                connection.receive.ring.moved_to_start();
            }
        }
        let mut cx = Context {
            now,
            config: &self.config,
            stats: &mut self.stats,
            receive: receive.bytes_mut(),
            send: send.bytes().len(),
        };
        let reply = connection.input(&mut cx, arrived);
        if connection.send.queue.copied() == 0 {
            send.release(parts.pool);
        }
        self.settle(now, index);
        reply
    }

    /// The bound on a peer's memory lets the receive ring grow for a segment, or it need not grow.
    fn receive_may_grow(&mut self, index: u32, arrived: &Arrived<'_>) -> bool {
        let most = self.config.peer_memory;
        if most == usize::MAX {
            return true;
        }
        let Some(record) = self.storage.parts().connections.get_mut(index) else { return false };
        let wanted = record.connection.receive.memory_for(arrived.seq, arrived.data.len());
        // Buffers come in powers of two.
        let wanted = wanted.max(2048).next_power_of_two();
        let has = record.receive.bytes().len();
        let remote = record.connection.tuple.remote;
        if wanted <= has || self.peer_memory(remote) + (wanted - has) <= most {
            return true;
        }
        self.stats.peer_memory_full += 1;
        false
    }

    /// After anything happened to a connection: queues it for output, tells its user, moves its deadline, and ends it.
    pub(super) fn settle(&mut self, now: Instant, index: u32) {
        self.settle_after(now, index, false);
    }

    /// `transmitted`: it has just sent all it may, so that only a new event puts it in the queue again.
    pub(super) fn settle_after(&mut self, now: Instant, index: u32, transmitted: bool) {
        #[cfg(feature = "trace")]
        self.sample(now, index);
        let parts = self.storage.parts();
        let Some(record) = parts.connections.get_mut(index) else { return };
        let connection = &mut record.connection;
        let ready = core::mem::take(&mut connection.ready);
        let listener = connection.listener;
        let output = connection.wants_output();
        let deadline = connection.deadline();
        let over = connection.is_over();
        let done = over && !connection.owned && !output;
        let leaves = over && core::mem::take(&mut connection.hashed);
        if ready && listener.is_none() {
            parts.connections.enqueue(Queue::Ready, index);
        }
        if output && !transmitted {
            parts.connections.enqueue(Queue::Transmit, index);
        }
        if leaves {
            self.leave(now, index);
        }
        if done {
            self.forget(index);
        } else if deadline < Instant::MAX {
            self.storage.parts().connections.schedule(index, deadline);
        }
    }

    /// The connection is over: it is no longer found by its 4-tuple, TIME-WAIT may stand in for it.
    fn leave(&mut self, now: Instant, index: u32) {
        let parts = self.storage.parts();
        parts.connections.unhash(index);
        let Some(record) = parts.connections.get_mut(index) else { return };
        if record.connection.error == Some(Error::TimedOut) {
            self.stats.timed_out += 1;
        }
        if record.connection.state != State::TimeWait {
            return;
        }
        let waiting = TimeWait::of(&mut record.connection);
        let hash = self.secret.hash(&waiting.tuple);
        loop {
            if let Some(row) = parts.time_wait.insert(hash, Inline(waiting)) {
                return parts.time_wait.schedule(row, now + self.config.time_wait);
            }
            // The oldest gives way.
            let Some((oldest, _)) = parts.time_wait.earliest() else { return };
            parts.time_wait.discard(oldest);
            self.stats.time_wait_evicted += 1;
        }
    }

    /// Frees the row and the buffers of a connection.
    pub(super) fn forget(&mut self, index: u32) {
        let parts = self.storage.parts();
        if let Some(record) = parts.connections.get_mut(index) {
            record.receive.release(parts.pool);
            record.send.release(parts.pool);
            parts.connections.discard(index);
        }
    }

    fn reset_for(&mut self, tuple: &Tuple, arrived: &Arrived<'_>) -> Option<Header> {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.5.2
        //# If the incoming segment has the ACK bit set, the reset takes its
        //# sequence number from the ACK field of the segment
        if arrived.flags.has(Flags::RST) {
            return None;
        }
        self.stats.resets_sent += 1;
        let mut header = Header {
            source_port: tuple.local_port,
            destination_port: tuple.remote_port,
            flags: Flags::RST,
            ..Header::default()
        };
        if arrived.flags.has(Flags::ACK) {
            header.sequence = arrived.ack.0;
        } else {
            header.flags = Flags::RST | Flags::ACK;
            header.acknowledgment = (arrived.seq + arrived.len()).0;
        }
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
        //# In the <RST> segment, SEG.TSecr SHOULD be set to SEG.TSval from the
        //# incoming segment and SEG.TSval SHOULD be set to zero.
        header.options.timestamps = arrived.options.timestamps.map(|(value, _)| (0, value));
        Some(header)
    }

    fn listener_for(&mut self, tuple: &Tuple) -> Option<u32> {
        let listeners = self.storage.parts().listeners;
        let matching = |index: u32| {
            let matches =
                listeners.get(index).map_or(0, |l| l.listening.matches(tuple.local, tuple.local_port));
            (matches > 0).then_some((matches, index))
        };
        listeners.indices().filter_map(matching).max().map(|(_, index)| index)
    }

    /// LISTEN, or nobody (RFC 9293 sections 3.10.7.1 and 3.10.7.2).
    fn listen_input(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        hash: u32,
        arrived: &Arrived<'_>,
        after: Option<Seq>,
        path: impl FnOnce(IpAddr) -> Option<(u32, u32)>,
    ) -> Option<Header> {
        let flags = arrived.flags;
        if flags.has(Flags::RST) {
            return None;
        }
        let listener = self.listener_for(tuple);
        #[cfg(feature = "syn-cookies")]
        if let Some(listener) = listener
            && flags.has(Flags::ACK)
            && !flags.has(Flags::SYN)
        {
            return self.cookie_input(now, listener, tuple, hash, arrived, path);
        }
        let Some(listener) = listener.filter(|_| !flags.has(Flags::ACK)) else {
            self.stats.no_connection += 1;
            return self.reset_for(tuple, arrived);
        };
        if !flags.has(Flags::SYN) || flags.has(Flags::FIN) {
            return None;
        }
        let (iss, timestamp_offset) = self.secret.initial(tuple, now);
        let path = path(tuple.remote)?;
        let most = self.storage.limits().receive;
        let parts = self.storage.parts();
        let generation = parts.listeners.generation(listener);
        let listening = &mut parts.listeners.get_mut(listener)?.listening;
        let options = &arrived.options;
        let half = HalfOpen {
            tuple: *tuple,
            listener,
            generation,
            irs: arrived.seq,
            iss: after.unwrap_or(Seq(iss)),
            timestamp_offset,
            mss: options.mss,
            scale: options.window_scale,
            own_scale: window_scale(most),
            sack: self.config.sack && options.sack_permitted,
            ecn: self.config.ecn != Ecn::Off && flags.has(Flags::ECE | Flags::CWR),
            timestamp: options.timestamps.map(|(value, _)| value).filter(|_| self.config.timestamps),
            window: most.min(0xffff) as u16,
            path,
            sent: now,
            retries: 0,
        };
        if listening.half_open >= listening.backlog.max(1) {
            return self.syn_queue_full(now, &half);
        }
        let Some(row) = parts.half_open.insert(hash, Inline(half)) else {
            return self.syn_queue_full(now, &half);
        };
        listening.half_open += 1;
        parts.half_open.schedule(row, now + Duration::from_secs(1));
        Some(half.header(now))
    }

    /// There is no place to remember a SYN: it is not answered.
    #[cfg(not(feature = "syn-cookies"))]
    fn syn_queue_full(&mut self, _now: Instant, _half: &HalfOpen) -> Option<Header> {
        self.stats.syn_queue_full += 1;
        None
    }

    /// There is no place to remember a SYN: the answer holds all there is to know. A listener whose accept queue is full has no
    /// use for more connections and does not answer.
    #[cfg(feature = "syn-cookies")]
    fn syn_queue_full(&mut self, now: Instant, half: &HalfOpen) -> Option<Header> {
        let listening = &mut self.storage.parts().listeners.get_mut(half.listener)?.listening;
        if listening.waiting >= listening.backlog {
            self.stats.syn_queue_full += 1;
            return None;
        }
        listening.cookies_until = now + cookie::LIFE;
        self.stats.syn_cookies_sent += 1;
        let mss = half.mss.unwrap_or(if half.tuple.remote.is_ipv4() { DEFAULT_MSS.0 } else { DEFAULT_MSS.1 });
        let iss = cookie::make(&self.secret, &half.tuple, half.irs, mss, now);
        let remembers = half.timestamp.is_some();
        let half = HalfOpen {
            iss,
            scale: half.scale.filter(|_| remembers),
            sack: half.sack && remembers,
            ecn: false,
            ..*half
        };
        let mut header = half.header(now);
        if let Some((value, _)) = &mut header.options.timestamps {
            *value = cookie::encode_options(*value, half.scale, half.sack);
        }
        Some(header)
    }

    /// An acknowledgment for a listener: perhaps of a SYN,ACK with a cookie.
    #[cfg(feature = "syn-cookies")]
    fn cookie_input(
        &mut self,
        now: Instant,
        listener: u32,
        tuple: &Tuple,
        hash: u32,
        arrived: &Arrived<'_>,
        path: impl FnOnce(IpAddr) -> Option<(u32, u32)>,
    ) -> Option<Header> {
        let most = self.storage.limits().receive;
        let parts = self.storage.parts();
        let generation = parts.listeners.generation(listener);
        let awaited = parts.listeners.get(listener).is_some_and(|l| now < l.listening.cookies_until);
        let (iss, irs) = (arrived.ack - 1, arrived.seq - 1);
        let mss = awaited.then(|| cookie::check(&self.secret, tuple, irs, iss, now)).flatten();
        let Some(mss) = mss else {
            self.stats.syn_cookies_refused += u64::from(awaited);
            self.stats.no_connection += 1;
            return self.reset_for(tuple, arrived);
        };
        let timestamps = arrived.options.timestamps.filter(|_| self.config.timestamps);
        let (_, timestamp_offset) = self.secret.initial(tuple, now);
        let offer = cookie::decode_options(mss, timestamps.map(|(_, echo)| echo));
        let half = HalfOpen {
            tuple: *tuple,
            listener,
            generation,
            irs,
            iss,
            timestamp_offset,
            mss: Some(offer.mss),
            scale: offer.scale,
            own_scale: window_scale(most),
            sack: offer.sack && self.config.sack,
            ecn: false,
            timestamp: timestamps.map(|(value, _)| value),
            window: most.min(0xffff) as u16,
            path: path(tuple.remote)?,
            sent: now,
            // Nothing is known of the round-trip time.
            retries: 1,
        };
        self.stats.syn_cookies_accepted += 1;
        self.establish(now, hash, &half, None, arrived)
    }

    /// A segment for an entry of the SYN queue (RFC 9293 section 3.10.7.4, SYN-RECEIVED).
    fn half_open_input(
        &mut self,
        now: Instant,
        hash: u32,
        index: u32,
        arrived: &Arrived<'_>,
    ) -> Option<Header> {
        let half = *self.storage.parts().half_open.get(index)?;
        let flags = arrived.flags;
        let next = half.irs + 1;
        if flags.has(Flags::RST) {
            if arrived.seq == next {
                self.stats.resets_received += 1;
                self.remove_half_open(index);
            }
            return None;
        }
        if flags.has(Flags::SYN) {
            // A retransmission is answered with the same SYN,ACK; any other with a challenge, which it is too.
            return Some(half.header(now));
        }
        if !flags.has(Flags::ACK) {
            return None;
        }
        if arrived.ack != half.iss + 1 {
            return self.reset_for(&half.tuple, arrived);
        }
        if arrived.seq.before(next) || arrived.seq.after(next + u32::from(half.window)) {
            return Some(half.header(now));
        }
        self.establish(now, hash, &half, Some(index), arrived)
    }

    /// A handshake is complete: the connection goes to the accept queue. `row`: its entry of the SYN queue. In a frame of its own:
    /// it makes a connection, which is large.
    #[inline(never)]
    fn establish(
        &mut self,
        now: Instant,
        hash: u32,
        half: &HalfOpen,
        row: Option<u32>,
        arrived: &Arrived<'_>,
    ) -> Option<Header> {
        if self.peer_has_enough(half.tuple.remote) {
            self.stats.peer_connections_full += 1;
            if let Some(row) = row {
                self.remove_half_open(row);
            }
            return self.reset_for(&half.tuple, arrived);
        }
        let limits = self.storage.limits();
        self.make_room_to_accept(half.listener);
        let parts = self.storage.parts();
        let waiting = parts
            .listeners
            .get(half.listener)
            .filter(|_| parts.listeners.generation(half.listener) == half.generation)?;
        if waiting.listening.waiting >= waiting.listening.backlog {
            // The peer sends again what we leave unanswered; our SYN,ACK's timer asks it to.
            self.stats.accept_queue_full += 1;
            return None;
        }
        let config = &self.config;
        let make = || Record::new(half.connection(now, limits.receive, config, arrived)).into();
        let Some(connection) = parts.connections.insert_with(hash, make) else {
            self.stats.connections_full += 1;
            return None;
        };
        self.stats.established += 1;
        if let Some(row) = row {
            self.remove_half_open(row);
        }
        let row = connection;
        let parts = self.storage.parts();
        let listening = &mut parts.listeners.get_mut(half.listener)?.listening;
        listening.waiting += 1;
        let last = core::mem::replace(&mut listening.last, row);
        if last == NONE {
            listening.first = row;
        } else if let Some(last) = parts.connections.get_mut(last) {
            last.connection.next_accept = row;
        }
        parts.listeners.enqueue(Queue::Ready, half.listener);
        match self.connection_input(now, row, arrived) {
            Reply::None => None,
            Reply::Reset => self.reset_for(&half.tuple, arrived),
        }
    }

    /// Connections that this peer opened, and bytes of buffers that all of its connections hold, reach a bound. It is looked at once
    /// for a connection and once when a buffer grows, and only where there is a bound: all connections are walked through.
    fn peer_has_enough(&mut self, remote: IpAddr) -> bool {
        let most = self.config.peer_connections;
        if most == usize::MAX {
            return false;
        }
        let connections = &*self.storage.parts().connections;
        let theirs = |index: &u32| {
            connections.get(*index).is_some_and(|record| {
                let connection = &record.connection;
                connection.tuple.remote == remote && !connection.active && !connection.is_over()
            })
        };
        connections.indices().filter(theirs).count() >= most
    }

    fn peer_memory(&mut self, remote: IpAddr) -> usize {
        let connections = &*self.storage.parts().connections;
        let held = |index: u32| {
            let record = connections.get(index)?;
            let held = record.receive.bytes().len() + record.send.bytes().len();
            (record.connection.tuple.remote == remote).then_some(held)
        };
        connections.indices().filter_map(held).sum()
    }

    /// Takes connections that are over already out of a full accept queue.
    fn make_room_to_accept(&mut self, listener: u32) {
        let parts = self.storage.parts();
        let Some(record) = parts.listeners.get_mut(listener) else { return };
        let listening = &mut record.listening;
        if listening.waiting < listening.backlog {
            return;
        }
        let mut at = core::mem::replace(&mut listening.first, NONE);
        (listening.last, listening.waiting) = (NONE, 0);
        let mut keep = |row: u32| {
            let last = core::mem::replace(&mut listening.last, row);
            listening.waiting += 1;
            if last == NONE {
                listening.first = row;
                None
            } else {
                Some(last)
            }
        };
        while let Some(record) = parts.connections.get_mut(at) {
            let row = at;
            at = core::mem::replace(&mut record.connection.next_accept, NONE);
            if record.connection.state == State::Closed && !record.connection.reset_due {
                record.receive.release(parts.pool);
                record.send.release(parts.pool);
                parts.connections.discard(row);
            } else if let Some(last) = keep(row)
                && let Some(last) = parts.connections.get_mut(last)
            {
                last.connection.next_accept = row;
            }
        }
    }

    /// Takes an entry out of the SYN queue.
    pub(super) fn remove_half_open(&mut self, index: u32) {
        let parts = self.storage.parts();
        if let Some(Inline(half)) = parts.half_open.remove(index)
            && parts.listeners.generation(half.listener) == half.generation
            && let Some(listener) = parts.listeners.get_mut(half.listener)
        {
            listener.listening.half_open = listener.listening.half_open.saturating_sub(1);
        }
    }

    /// An ICMP error that quotes a segment from `src` (ours) to `dst`; `quoted` is what it quotes of the TCP header,
    /// at least the first 8 bytes. Checked as RFC 5927 says: the sequence number must be in flight.
    ///
    /// `true`: the segment is one of a connection's that are in flight, so the error is to be believed (RFC 5927 section 4.1).
    pub fn unreachable(
        &mut self,
        now: Instant,
        error: IcmpError,
        src: IpAddr,
        dst: IpAddr,
        quoted: &[u8],
    ) -> bool {
        let Some(&[a, b, c, d, e, f, g, h]) = quoted.first_chunk::<8>() else { return false };
        let tuple = Tuple {
            local: src,
            remote: dst,
            local_port: u16::from_be_bytes([a, b]),
            remote_port: u16::from_be_bytes([c, d]),
        };
        let seq = Seq(u32::from_be_bytes([e, f, g, h]));
        let hash = self.secret.hash(&tuple);
        let parts = self.storage.parts();
        let Some(index) = parts.connections.find(hash, |record| record.connection.tuple == tuple) else {
            return false;
        };
        let Some(record) = parts.connections.get_mut(index) else { return false };
        let connection = &mut record.connection;
        if seq.before(connection.send.unacknowledged) || !seq.before(connection.send.next) {
            return false;
        }
        let header = if dst.is_ipv4() { 20 } else { 40 };
        match error {
            IcmpError::Hard if connection.state == State::SynSent => {
                connection.fail(Error::ConnectionRefused)
            }
            // RFC 5927 section 5.2: once synchronized, a hard error is no more than a soft one.
            IcmpError::Hard | IcmpError::Soft => connection.soft_error = true,
            IcmpError::TooBig(mtu) => {
                let least = if dst.is_ipv4() { 552 } else { 1280 };
                let mss = (mtu.max(least) - header - HEADER_LEN) as u32;
                if mss < connection.path_mss {
                    connection.path_mss = mss;
                    connection.update_mss();
                    connection.send.path_shrunk();
                }
                #[cfg(feature = "plpmtud")]
                if mss >= connection.path_mss {
                    connection.size_probe_too_big(seq, mss);
                }
            }
        }
        self.settle(now, index);
        true
    }
}

/// What a route leaves for TCP: the MSS and the TSO size.
pub(super) fn path(out: &mut impl IpOutput, dst: IpAddr) -> Option<(u32, u32)> {
    let route = out.route(dst)?;
    let mss = route.mtu.saturating_sub(HEADER_LEN).clamp(64, 0xffff - HEADER_LEN) as u32;
    Some((mss, route.tso.min(0xffff) as u32))
}

impl Connection {
    /// There may be something to send.
    pub(super) fn wants_output(&self) -> bool {
        if self.reset_due {
            return true;
        }
        match self.state {
            State::Closed => false,
            State::TimeWait => self.receive.owes(),
            _ => self.receive.owes() || self.keep_alive.due || self.send.wants_output(),
        }
    }
}
