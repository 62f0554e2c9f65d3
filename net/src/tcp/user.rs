//! User calls (RFC 9293 section 3.10.1 to 3.10.6) by handle. They change state; output follows with
//! [`Tcp::poll_transmit`].
use super::{
    Error, Handle, IpOutput, ListenerHandle, State, Storage, Tcp, Tuple,
    congestion::CongestionControl,
    connection::Connection,
    listener::Listening,
    segments::path,
    sequence::Seq,
    storage::{ListenerRecord, Memory, Record},
    table::{Inline, NONE, Queue},
};
use airglow_device::{Endpoint, Instant};
use core::{net::SocketAddr, time::Duration};

/// Bytes that may be written however small the congestion window is.
const FIRST_QUEUE: usize = 128 << 10;
/// What a round trip is taken for before it was measured.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Ephemeral ports: IANA's dynamic range (RFC 6335 section 6).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 49152..=65535;

impl<S: Storage> Tcp<S> {
    /// Opens a port (passive OPEN). `backlog`: the most connections that wait to be accepted, and the most that are half
    /// open; what comes on top is not answered until there is room, so that the peer tries again. Port 0: one is chosen.
    ///
    /// # Errors
    /// [`Error::AddrInUse`] when the same endpoint is taken, [`Error::TableFull`] when there is no place for a listener.
    pub fn listen(&mut self, on: Endpoint, backlog: u16) -> Result<ListenerHandle, Error> {
        let mut on = on;
        if on.port == 0 {
            let free = |port: &u16| !self.port_is_listened_on(*port);
            on.port = EPHEMERAL.clone().find(free).ok_or(Error::AddrInUse)?;
        }
        let listeners = self.storage.parts().listeners;
        let taken = |index| listeners.get(index).is_some_and(|record| record.listening.on == on);
        if listeners.indices().any(taken) {
            return Err(Error::AddrInUse);
        }
        let record =
            ListenerRecord { listening: Listening::new(on, backlog.max(1)), user: S::Listener::default() };
        let index = listeners.insert(u32::from(on.port), Inline(record)).ok_or(Error::TableFull)?;
        Ok(ListenerHandle { index, generation: listeners.generation(index) })
    }

    fn port_is_listened_on(&mut self, port: u16) -> bool {
        let listeners = self.storage.parts().listeners;
        listeners
            .indices()
            .any(|index| listeners.get(index).is_some_and(|record| record.listening.on.port == port))
    }

    /// Where a listener listens, with the port that was chosen.
    pub fn listening(&mut self, handle: ListenerHandle) -> Option<Endpoint> {
        self.listener(handle).map(|record| record.listening.on)
    }

    fn listener(&mut self, handle: ListenerHandle) -> Option<&mut ListenerRecord<S::Listener>> {
        let listeners = self.storage.parts().listeners;
        if listeners.generation(handle.index) != handle.generation {
            return None;
        }
        listeners.get_mut(handle.index)
    }

    /// What the caller keeps beside a listener.
    pub fn listener_user(&mut self, handle: ListenerHandle) -> Option<&mut S::Listener> {
        self.listener(handle).map(|record| &mut record.user)
    }

    /// Closes a port. Connections that nobody has accepted are reset.
    pub fn unlisten(&mut self, now: Instant, handle: ListenerHandle) {
        while let Some(connection) = self.accept(handle) {
            self.release(now, connection);
        }
        if self.listener(handle).is_none() {
            return;
        }
        let parts = self.storage.parts();
        for index in 0..parts.half_open.rows() {
            if parts.half_open.get(index).is_some_and(|half| half.listener == handle.index) {
                parts.half_open.remove(index);
            }
        }
        parts.listeners.remove(handle.index);
    }

    /// The next established connection of a listener; `None`: there is none yet.
    /// Connections that failed while they waited are skipped.
    pub fn accept(&mut self, handle: ListenerHandle) -> Option<Handle> {
        loop {
            let listening = &mut self.listener(handle)?.listening;
            let index = listening.first;
            let parts = self.storage.parts();
            let connection = &mut parts.connections.get_mut(index)?.connection;
            let next = core::mem::replace(&mut connection.next_accept, NONE);
            connection.listener = None;
            let failed = connection.state == State::Closed;
            let listening = &mut parts.listeners.get_mut(handle.index)?.listening;
            listening.first = next;
            listening.waiting -= 1;
            if next == NONE {
                listening.last = NONE;
            }
            if failed {
                if let Some(record) = parts.connections.get_mut(index) {
                    record.connection.owned = false;
                }
                self.forget(index);
                continue;
            }
            return Some(Handle { index, generation: parts.connections.generation(index) });
        }
    }

    /// Begins to open a connection (active OPEN). It is established when [`state`](Self::state) says so.
    ///
    /// # Errors
    /// [`Error::NoRoute`], [`Error::TableFull`], [`Error::AddrInUse`] when all ports towards this peer are taken,
    /// [`Error::InvalidInput`] for port 0 or an address that is no single host's.
    pub fn connect(
        &mut self,
        now: Instant,
        to: SocketAddr,
        out: &mut impl IpOutput,
    ) -> Result<Handle, Error> {
        if to.port() == 0 || to.ip().is_unspecified() || to.ip().is_multicast() {
            return Err(Error::InvalidInput);
        }
        let route = out.route(to.ip()).ok_or(Error::NoRoute)?;
        let tuple = Tuple { local: route.source, remote: to.ip(), local_port: 0, remote_port: to.port() };
        let tuple = self.choose_port(tuple).ok_or(Error::AddrInUse)?;
        self.open(now, tuple, out)
    }

    /// The same from an address and port of the caller's choice: what a simultaneous open needs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`Error::AddrInUse`] when that connection exists already.
    pub fn connect_from(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        out: &mut impl IpOutput,
    ) -> Result<Handle, Error> {
        if from.port() == 0 || to.port() == 0 || to.ip().is_unspecified() || to.ip().is_multicast() {
            return Err(Error::InvalidInput);
        }
        let tuple =
            Tuple { local: from.ip(), remote: to.ip(), local_port: from.port(), remote_port: to.port() };
        if self.is_taken(&tuple) {
            return Err(Error::AddrInUse);
        }
        self.open(now, tuple, out)
    }

    fn is_taken(&mut self, tuple: &Tuple) -> bool {
        let hash = self.secret.hash(tuple);
        let parts = self.storage.parts();
        parts.connections.find(hash, |record| record.connection.tuple == *tuple).is_some()
            || parts.half_open.find(hash, |half| half.tuple == *tuple).is_some()
            || parts.time_wait.find(hash, |waiting| waiting.tuple == *tuple).is_some()
    }

    fn open(&mut self, now: Instant, tuple: Tuple, out: &mut impl IpOutput) -> Result<Handle, Error> {
        let path = path(out, tuple.remote).ok_or(Error::NoRoute)?;
        let (iss, offset) = self.secret.initial(&tuple, now);
        let mut connection = Connection::new(
            tuple,
            (Seq(iss), offset),
            path,
            self.storage.limits().receive,
            self.config.congestion,
        );
        connection.state = State::SynSent;
        connection.active = true;
        connection.send.syn_due = true;
        connection.send.progress = now;
        connection.arm_slow_timer(now, &self.config);
        let hash = self.secret.hash(&tuple);
        let connections = self.storage.parts().connections;
        let Some(index) = connections.insert_with(hash, || Record::new(connection).into()) else {
            self.stats.connections_full += 1;
            return Err(Error::TableFull);
        };
        let generation = connections.generation(index);
        self.settle(now, index);
        Ok(Handle { index, generation })
    }

    /// RFC 6056 section 3.3.3: a keyed offset per peer, then one after the other.
    fn choose_port(&mut self, mut tuple: Tuple) -> Option<Tuple> {
        let count = u32::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1;
        let offset = self.secret.port_offset(&tuple);
        for _ in 0..count {
            let port = offset.wrapping_add(self.port_counter) % count;
            self.port_counter = self.port_counter.wrapping_add(1);
            tuple.local_port = EPHEMERAL.start() + port as u16;
            if !self.is_taken(&tuple) && !self.port_is_listened_on(tuple.local_port) {
                return Some(tuple);
            }
        }
        None
    }

    fn record(&mut self, handle: Handle) -> Option<&mut Record<S::Connection, S::Receive, S::Send>> {
        let connections = self.storage.parts().connections;
        if connections.generation(handle.index) != handle.generation {
            return None;
        }
        connections.get_mut(handle.index)
    }

    pub(super) fn connection(&mut self, handle: Handle) -> Option<&mut Connection> {
        self.record(handle).map(|record| &mut record.connection)
    }

    /// What the caller keeps beside a connection.
    pub fn user(&mut self, handle: Handle) -> Option<&mut S::Connection> {
        self.record(handle).map(|record| &mut record.user)
    }

    /// The state of a connection, or why it failed.
    ///
    /// # Errors
    /// Why it ended, if not by both sides' closing; [`Error::NotConnected`] for a handle that was released.
    pub fn state(&mut self, handle: Handle) -> Result<State, Error> {
        let connection = self.connection(handle).ok_or(Error::NotConnected)?;
        connection.error.map_or(Ok(connection.state), Err)
    }

    /// Our and the peer's address.
    pub fn addresses(&mut self, handle: Handle) -> Option<(SocketAddr, SocketAddr)> {
        let tuple = &self.connection(handle)?.tuple;
        Some((
            SocketAddr::new(tuple.local, tuple.local_port),
            SocketAddr::new(tuple.remote, tuple.remote_port),
        ))
    }

    /// Copies as much of `bytes` as there is room for to the send queue and returns how much. 0 for bytes that are
    /// not empty: the queue is full; the connection becomes ready when there is room again.
    ///
    /// # Errors
    /// Why the connection failed; [`Error::NotConnected`] before it is established or after [`close`](Self::close).
    pub fn write(&mut self, now: Instant, handle: Handle, bytes: &[u8]) -> Result<usize, Error> {
        self.push(now, handle, |connection, send, pool, most| {
            // What the path carries, twice: one window is under way while the next is written.
            let window = connection.send.congestion.window() as usize;
            let most = most.min(window.saturating_mul(2).max(FIRST_QUEUE));
            let queue = &mut connection.send.queue;
            if queue.takes_copies() {
                let wanted = (queue.copied() + bytes.len()).min(most);
                let head = queue.ring().head();
                if send.grow(pool, wanted, most, head) {
                    queue.ring().moved_to_start();
                }
            }
            (queue.push(send.bytes_mut(), bytes), bytes.is_empty())
        })
    }

    /// The same for bytes that never change: they are sent, and sent again, from where they lie. Takes all of them (up to
    /// 1 GiB) or none.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_static(
        &mut self,
        now: Instant,
        handle: Handle,
        bytes: &'static [u8],
    ) -> Result<usize, Error> {
        self.push(now, handle, |connection, _, _, _| {
            (connection.send.queue.push_static(bytes), bytes.is_empty())
        })
    }

    fn push(
        &mut self,
        now: Instant,
        handle: Handle,
        push: impl FnOnce(&mut Connection, &mut S::Send, &mut super::Pool, usize) -> (usize, bool),
    ) -> Result<usize, Error> {
        let most = self.storage.limits().send;
        let parts = self.storage.parts();
        if parts.connections.generation(handle.index) != handle.generation {
            return Err(Error::NotConnected);
        }
        let record = parts.connections.get_mut(handle.index).ok_or(Error::NotConnected)?;
        let Record { connection, send, .. } = record;
        if let Some(error) = connection.error {
            return Err(error);
        }
        if !connection.may_send() {
            return Err(Error::NotConnected);
        }
        let (taken, nothing) = push(connection, send, parts.pool, most);
        if taken == 0 {
            connection.want_write = !nothing;
            return Ok(0);
        }
        self.settle(now, handle.index);
        Ok(taken)
    }

    /// Lends the bytes received so far in place, or no bytes at the end of the stream; `f` says how many it has used up. `None`:
    /// nothing to read yet (`f` was not called); the connection becomes ready when there is.
    ///
    /// `declined`: how many bytes the caller saw last time and used none of, else 0. With it `f` is called only when there are
    /// more than that, the buffer is full or the stream is over; and it gets all bytes in one piece.
    ///
    /// # Errors
    /// Why the connection failed.
    pub fn read_with<R>(
        &mut self,
        now: Instant,
        handle: Handle,
        declined: usize,
        f: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<Option<R>, Error> {
        let Some(front) = self.lend(handle, declined)? else { return Ok(None) };
        let most = front.len();
        let (used, result) = f(front);
        if used > 0 {
            self.use_up(now, handle, used.min(most));
        }
        Ok(Some(result))
    }

    /// What [`read_with`](Self::read_with) lends.
    fn lend(&mut self, handle: Handle, declined: usize) -> Result<Option<&mut [u8]>, Error> {
        let parts = self.storage.parts();
        if parts.connections.generation(handle.index) != handle.generation {
            return Err(Error::NotConnected);
        }
        let record = parts.connections.get_mut(handle.index).ok_or(Error::NotConnected)?;
        let Record { connection, receive, .. } = record;
        if let Some(error) = connection.error {
            return Err(error);
        }
        let state = &mut connection.receive;
        let ends = state.finished || !connection.state.may_still_receive();
        let enough = state.readable() > declined || (declined > 0 && state.is_full());
        if !enough && !ends {
            connection.want_read = true;
            return Ok(None);
        }
        let memory = receive.bytes_mut();
        if declined > 0 && state.ring.wraps(memory.len()) {
            memory.rotate_left(state.ring.head());
            state.ring.moved_to_start();
        }
        Ok(Some(state.ring.front(memory)))
    }

    /// Takes `used` of the bytes that were lent.
    fn use_up(&mut self, now: Instant, handle: Handle, used: usize) {
        let parts = self.storage.parts();
        let Some(Record { connection, receive, .. }) = parts.connections.get_mut(handle.index) else {
            return;
        };
        let state = &mut connection.receive;
        state.ring.consume(receive.bytes_mut().len(), used);
        let round_trip = connection.send.round_trip.smoothed().unwrap_or(FIRST_ROUND_TRIP);
        let pool = &*parts.pool;
        state.tune(now, used, round_trip, |bytes| pool.has_plenty(bytes));
        state.consumed();
        if state.is_empty() {
            state.ring.reset();
            receive.release(parts.pool);
        }
        self.settle(now, handle.index);
    }

    /// Bytes that can be read now.
    pub fn readable(&mut self, handle: Handle) -> usize {
        self.connection(handle).map_or(0, |connection| connection.receive.readable())
    }

    /// Ends this side's direction after what was written; reading goes on. Closing twice does nothing.
    ///
    /// # Errors
    /// Why the connection failed.
    pub fn close(&mut self, now: Instant, handle: Handle) -> Result<(), Error> {
        let connection = self.connection(handle).ok_or(Error::NotConnected)?;
        if let Some(error) = connection.error {
            return Err(error);
        }
        connection.close();
        self.settle(now, handle.index);
        Ok(())
    }

    /// Ends the connection in both directions at once with a reset; what was not sent is lost.
    pub fn abort(&mut self, now: Instant, handle: Handle) {
        if let Some(connection) = self.connection(handle)
            && !connection.is_over()
        {
            connection.reset(Error::ConnectionAborted);
            self.settle(now, handle.index);
        }
    }

    /// Gives the handle back. A connection that was closed goes on in the background until everything is delivered, the peer
    /// has closed or the time limits end it; one that was not is aborted.
    pub fn release(&mut self, now: Instant, handle: Handle) {
        let config = self.config;
        let Some(connection) = self.connection(handle) else { return };
        let closing = matches!(
            connection.state,
            State::FinWait1
                | State::FinWait2
                | State::Closing
                | State::LastAck
                | State::TimeWait
                | State::Closed
        );
        if !closing {
            connection.reset(Error::ConnectionAborted);
        }
        connection.owned = false;
        connection.receive.discard_all();
        (connection.want_read, connection.want_write) = (false, false);
        connection.arm_slow_timer(now, &config);
        let parts = self.storage.parts();
        if let Some(record) = parts.connections.get_mut(handle.index) {
            record.receive.release(parts.pool);
            record.user = S::Connection::default();
        }
        self.settle(now, handle.index);
    }

    /// `true`: small segments go at once; `false`, the start: Nagle gathers them (RFC 9293 section 3.7.4).
    pub fn set_nodelay(&mut self, now: Instant, handle: Handle, nodelay: bool) {
        if let Some(connection) = self.connection(handle) {
            connection.send.nodelay = nodelay;
            self.settle(now, handle.index);
        }
    }

    /// Probes a peer that was silent for `idle`, every quarter of that (1 s to 75 s), and fails the connection after 8 probes without
    /// answer. `None`, the start: never.
    pub fn set_keep_alive(&mut self, now: Instant, handle: Handle, idle: Option<Duration>) {
        let config = self.config;
        if let Some(connection) = self.connection(handle) {
            connection.keep_alive.idle = idle.map(|idle| idle.max(Duration::from_secs(1)));
            connection.keep_alive.probes = 0;
            connection.arm_slow_timer(now, &config);
            self.settle(now, handle.index);
        }
    }

    /// How long data that the peer does not acknowledge is sent again before the connection fails (RFC 9293 section 3.8.3, R2); `None`, the
    /// start: [`Config::user_timeout`](super::Config::user_timeout).
    pub fn set_user_timeout(&mut self, handle: Handle, timeout: Option<Duration>) {
        if let Some(connection) = self.connection(handle) {
            connection.user_timeout = timeout;
            #[cfg(feature = "user-timeout")]
            {
                connection.exchange.due = true;
            }
        }
    }

    /// The Differentiated Services code point (RFC 2474, 6 bits) of what the connection sends from now on; 0 at first.
    pub fn set_dscp(&mut self, handle: Handle, code_point: u8) {
        if let Some(connection) = self.connection(handle) {
            connection.dscp = code_point & 0x3f;
        }
    }

    /// Everything written, and the FIN if closed, is acknowledged by the peer.
    pub fn is_delivered(&mut self, handle: Handle) -> bool {
        self.connection(handle).is_some_and(|connection| connection.send.is_idle())
    }

    /// What the caller keeps beside a connection that became readable, writable, established or failed while its user waited
    /// for that; `None`: no more.
    pub fn next_ready(&mut self) -> Option<&mut S::Connection> {
        let connections = self.storage.parts().connections;
        let index = connections.dequeue(Queue::Ready)?;
        connections.get_mut(index).map(|record| &mut record.user)
    }

    /// What the caller keeps beside a listener that has new connections to accept; `None`: no more.
    pub fn next_acceptable(&mut self) -> Option<&mut S::Listener> {
        let listeners = self.storage.parts().listeners;
        let index = listeners.dequeue(Queue::Ready)?;
        listeners.get_mut(index).map(|record| &mut record.user)
    }
}

impl State {
    /// The peer may still send data.
    fn may_still_receive(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2
        )
    }
}
