//! Passive opens: who listens, the SYN queue, the accept queue.
use super::{Config, Tuple, connection, input::Arrived, sequence::Seq, table::NONE};
use crate::wire::tcp::{Flags, Header, Options};
use airglow_device::{Endpoint, Instant};
use core::net::IpAddr;

/// A listener.
#[derive(Debug)]
pub struct Listening {
    pub(crate) on: Endpoint,
    pub(crate) backlog: u16,
    /// Entries of the SYN queue that are this listener's.
    pub(crate) half_open: u16,
    /// The accept queue: first, last, length.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) waiting: u16,
    /// Cookies that were sent count until then.
    #[cfg(feature = "syn-cookies")]
    pub(crate) cookies_until: Instant,
}

impl Listening {
    pub(crate) const fn new(on: Endpoint, backlog: u16) -> Self {
        Self {
            on,
            backlog,
            half_open: 0,
            first: NONE,
            last: NONE,
            waiting: 0,
            #[cfg(feature = "syn-cookies")]
            cookies_until: Instant::ZERO,
        }
    }
    /// 2: listens on exactly this address and port; 1: on every address; 0: not.
    pub(crate) fn matches(&self, addr: IpAddr, port: u16) -> u8 {
        if self.on.port != port {
            return 0;
        }
        match self.on.addr {
            None => 1,
            Some(own) if own == addr => 2,
            Some(_) => 0,
        }
    }
}

/// An entry of the SYN queue: a connection in SYN-RECEIVED that came from LISTEN, in a tenth of a connection's memory.
#[derive(Clone, Copy, Debug)]
pub struct HalfOpen {
    pub(crate) tuple: Tuple,
    pub(crate) listener: u32,
    pub(crate) generation: u32,
    pub(crate) irs: Seq,
    pub(crate) iss: Seq,
    pub(crate) timestamp_offset: u32,
    pub(crate) mss: Option<u16>,
    /// The peer's and our window scale, when both are used.
    pub(crate) scale: Option<u8>,
    pub(crate) own_scale: u8,
    pub(crate) sack: bool,
    pub(crate) ecn: bool,
    /// The peer's TSval, when timestamps are used.
    pub(crate) timestamp: Option<u32>,
    /// The window our SYN,ACK offers.
    pub(crate) window: u16,
    /// What the route takes: MSS and TSO size.
    pub(crate) path: (u32, u32),
    pub(crate) sent: Instant,
    pub(crate) retries: u8,
}

impl HalfOpen {
    /// The header of the SYN,ACK.
    pub(crate) fn header(&self, now: Instant) -> Header {
        let timestamp = (now.as_millis() as u32).wrapping_add(self.timestamp_offset);
        Header {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence: self.iss.0,
            acknowledgment: (self.irs + 1).0,
            flags: Flags::SYN | Flags::ACK | if self.ecn { Flags::ECE } else { Flags(0) },
            window: self.window,
            options: Options {
                mss: Some(self.path.0.min(0xffff) as u16),
                // RFC 7323 section 2.2: only in answer to one.
                window_scale: self.scale.map(|_| self.own_scale),
                sack_permitted: self.sack,
                timestamps: self.timestamp.map(|recent| (timestamp, recent)),
                ..Options::default()
            },
        }
    }

    /// The connection it becomes when its SYN,ACK is acknowledged.
    pub(crate) fn connection(
        &self,
        now: Instant,
        most: usize,
        config: &Config,
        arrived: &Arrived<'_>,
    ) -> connection::Connection {
        let mut connection = connection::Connection::new(
            self.tuple,
            (self.iss, self.timestamp_offset),
            self.path,
            most,
            config.congestion,
        );
        connection.listener = Some(self.listener);
        connection.receive.synchronize(self.irs, self.window.into());
        connection.send.ecn = self.ecn;
        connection.negotiated(self.mss, self.scale, self.sack, self.timestamp.is_some());
        if let Some(recent) = self.timestamp {
            (connection.receive.timestamp, connection.receive.timestamp_at) = (recent, now);
        }
        let round_trip = (self.retries == 0).then(|| now.since(self.sent));
        connection.send.handshake_done(now, round_trip, config.least_timeout);
        connection.send.window_from = (arrived.seq, arrived.ack);
        connection.send.set_window(u32::from(arrived.window) << connection.send.scale);
        connection.state = connection::State::Established;
        connection.heard = now;
        connection
    }
}
