//! One connection: RFC 9293's transmission control block without the memory of its buffers.
use super::{
    Config, Ecn, Error, Tuple,
    congestion::Congestion,
    receiver::Receiver,
    sender::{Fired, Plan, Sender},
    sequence::Seq,
};
use crate::wire::tcp::{Flags, Header, Options};
use airglow_device::Instant;
use core::time::Duration;

/// RFC 9293 section 3.3.2, without LISTEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connection: never opened, over, or failed.
    Closed,
    /// Waiting for the answer to our SYN.
    SynSent,
    /// Both SYNs have crossed; waiting for the acknowledgment of ours.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We closed; our FIN is not acknowledged yet.
    FinWait1,
    /// Our FIN is acknowledged; the peer has not closed.
    FinWait2,
    /// The peer closed; we have not.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged yet.
    Closing,
    /// The peer closed, then we; our FIN is not acknowledged yet.
    LastAck,
    /// Over on both sides; stray segments may still come.
    TimeWait,
}

/// Keep-alive: what the user wants and how far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepAlive {
    pub idle: Option<Duration>,
    pub probes: u8,
    pub due: bool,
}

/// How many unanswered keep-alive probes end a connection.
const KEEP_ALIVE_PROBES: u8 = 8;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub(crate) tuple: Tuple,
    pub(crate) state: State,
    pub(crate) send: Sender,
    pub(crate) receive: Receiver,
    /// Why it ended, until the user is told.
    pub(crate) error: Option<Error>,
    /// The user holds a handle, or the connection waits in an accept queue.
    pub(crate) owned: bool,
    /// The listener in whose accept queue it waits.
    pub(crate) listener: Option<u32>,
    /// Next in the accept queue.
    pub(crate) next_accept: u32,
    /// Opened by us.
    pub(crate) active: bool,
    /// The Differentiated Services field of its packets (RFC 2474), without the two bits of ECN.
    pub(crate) dscp: u8,
    /// How long unacknowledged data is sent again, where it is not the configuration that says so.
    pub(crate) user_timeout: Option<Duration>,
    /// What the peer said of it, and whether it must be told of ours (RFC 5482).
    #[cfg(feature = "user-timeout")]
    pub(crate) exchange: super::user_timeout::Exchange,
    /// A RST must go out; then nothing more.
    pub(crate) reset_due: bool,
    /// It is found by its 4-tuple.
    pub(crate) hashed: bool,
    /// Timestamps are agreed on.
    pub(crate) timestamps: bool,
    pub(crate) timestamp_offset: u32,
    /// Our MSS, as announced; and what the route takes.
    pub(crate) path_mss: u32,
    /// The largest TCP segment (header and data) the device cuts itself; 0: none.
    pub(crate) tso: u32,
    /// The peer's MSS.
    pub(crate) peer_mss: u32,
    #[cfg(feature = "plpmtud")]
    pub(crate) search: super::plpmtud::Search,
    pub(crate) keep_alive: KeepAlive,
    /// When the last segment came.
    pub(crate) heard: Instant,
    /// Keep-alive, FIN-WAIT-2 and other slow deadlines.
    pub(crate) slow_timer: Instant,
    /// When the next answer to an unacceptable segment may go out.
    pub(crate) challenge_at: Instant,
    /// The user waits for something to read, or for room to write.
    pub(crate) want_read: bool,
    pub(crate) want_write: bool,
    /// Something the user waits for has happened.
    pub(crate) ready: bool,
    /// An unbroken run of soft ICMP errors, reported when the connection times out.
    pub(crate) soft_error: bool,
    #[cfg(feature = "trace")]
    pub(crate) traced: bool,
}

/// RFC 7323 section 2.2: the smallest shift that lets `bytes` be announced.
pub(crate) fn window_scale(bytes: usize) -> u8 {
    (0..14).find(|shift| bytes >> shift <= 0xffff).unwrap_or(14)
}

/// Bytes of options in every segment when timestamps are agreed on.
const TIMESTAMPS_LEN: u32 = 12;
/// The longest TCP header there is.
const LONGEST_HEADER: u32 = 60;
/// RFC 9293 section 3.7.1: without an MSS option (IPv4, IPv6).
pub(crate) const DEFAULT_MSS: (u16, u16) = (536, 1220);
/// What every path takes: of packets of 1,024 bytes (RFC 4821 section 7.2) and of IPv6's least MTU.
const SAFE_MSS: (u32, u32) = (1024 - 40, 1280 - 60);
/// A peer that announces less than this gets segments of this size all the same: smaller ones serve only attacks.
const LEAST_MSS: u32 = 64;

impl Connection {
    pub(crate) fn new(
        tuple: Tuple,
        (initial, timestamp_offset): (Seq, u32),
        path: (u32, u32),
        most: usize,
        congestion: Congestion,
    ) -> Self {
        let (path_mss, tso) = path;
        Self {
            tuple,
            state: State::Closed,
            send: Sender::new(initial, path_mss, congestion),
            receive: Receiver::new(most, window_scale(most)),
            error: None,
            owned: true,
            listener: None,
            next_accept: u32::MAX,
            active: false,
            dscp: 0,
            user_timeout: None,
            #[cfg(feature = "user-timeout")]
            exchange: super::user_timeout::Exchange::default(),
            reset_due: false,
            hashed: true,
            timestamps: false,
            timestamp_offset,
            path_mss,
            tso,
            peer_mss: u32::from(if tuple.remote.is_ipv4() { DEFAULT_MSS.0 } else { DEFAULT_MSS.1 }),
            #[cfg(feature = "plpmtud")]
            search: super::plpmtud::Search::new(),
            keep_alive: KeepAlive::default(),
            heard: Instant::ZERO,
            slow_timer: Instant::MAX,
            challenge_at: Instant::ZERO,
            want_read: false,
            want_write: false,
            ready: false,
            soft_error: false,
            #[cfg(feature = "trace")]
            traced: false,
        }
    }

    /// Takes what the peer's SYN offered. `scale`: its window scale if both sides use it.
    pub(crate) fn negotiated(&mut self, mss: Option<u16>, scale: Option<u8>, sack: bool, timestamps: bool) {
        if let Some(mss) = mss {
            self.peer_mss = u32::from(mss);
        }
        match scale {
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
            //# If a Window Scale option is received with a shift.cnt value larger than 14, the
            //# TCP SHOULD log the error but MUST use 14 instead of the specified
            //# value.
            Some(shift) => self.send.scale = shift.min(14),
            None => (self.send.scale, self.receive.scale) = (0, 0),
        }
        self.send.sack = sack;
        self.timestamps = timestamps;
        self.update_mss();
    }

    /// Bytes of options in every segment.
    pub(crate) fn option_bytes(&self) -> u32 {
        if self.timestamps { TIMESTAMPS_LEN } else { 0 }
    }

    /// The path or the options changed.
    pub(crate) fn update_mss(&mut self) {
        let mss = self.peer_mss.max(LEAST_MSS).min(self.path_mss.max(LEAST_MSS));
        self.send.set_mss(mss - self.option_bytes());
    }

    /// RFC 4821 section 7.7: large segments time out again and again and no ICMP error says why. Smaller ones may get through;
    /// returns whether they are tried from now on.
    pub(crate) fn suspect_black_hole(&mut self, timeouts: u8) -> bool {
        let safe = if self.tuple.remote.is_ipv4() { SAFE_MSS.0 } else { SAFE_MSS.1 };
        let suspicious = timeouts > 0
            && self.is_synchronized()
            && self.send.round_trip.backoff() >= timeouts
            && self.send.in_flight() + self.option_bytes() > safe
            && self.path_mss > safe;
        if suspicious {
            self.path_mss = safe;
            self.update_mss();
        }
        suspicious
    }

    pub(crate) fn timestamp(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.timestamp_offset)
    }

    /// Sequence numbers are synchronized and the connection is not over.
    pub(crate) fn is_synchronized(&self) -> bool {
        !matches!(self.state, State::Closed | State::SynSent | State::SynReceived)
    }
    /// The user may still write.
    pub(crate) fn may_send(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait)
    }
    /// No segment belongs to it any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Closed | State::TimeWait)
    }

    /// The connection ends here and now.
    pub(crate) fn fail(&mut self, error: Error) {
        self.state = State::Closed;
        self.error = Some(error);
        self.ready = true;
    }
    /// The connection ends here and the peer is told.
    pub(crate) fn reset(&mut self, error: Error) {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.5
        //# Send a reset segment:
        self.reset_due = self.is_synchronized() || self.state == State::SynReceived;
        self.fail(error);
    }

    /// The user has no more to send (RFC 9293 section 3.10.4).
    pub(crate) fn close(&mut self) {
        match self.state {
            State::SynSent => self.state = State::Closed,
            State::SynReceived => self.reset(Error::ConnectionAborted),
            State::Established => {
                self.send.fin_queued = true;
                self.state = State::FinWait1;
            }
            State::CloseWait => {
                self.send.fin_queued = true;
                self.state = State::LastAck;
            }
            _ => {}
        }
    }

    /// Something arrived, was acknowledged or went wrong that a waiting user wants to know.
    pub(crate) fn wake_reader(&mut self) {
        if core::mem::take(&mut self.want_read) {
            self.ready = true;
        }
    }
    pub(crate) fn wake_writer(&mut self) {
        if core::mem::take(&mut self.want_write) {
            self.ready = true;
        }
    }

    /// The earliest of the connection's timers.
    pub(crate) fn deadline(&self) -> Instant {
        if self.is_over() {
            return Instant::MAX;
        }
        self.send.deadline().min(self.receive.deadline()).min(self.slow_timer)
    }

    /// Starts the slow timer for the state and wishes at hand.
    pub(crate) fn arm_slow_timer(&mut self, now: Instant, config: &Config) {
        self.slow_timer = match self.state {
            State::FinWait2 if !self.owned => now + config.fin_wait_2,
            State::SynSent | State::SynReceived => now + config.connect_timeout,
            _ => match self.keep_alive.idle {
                Some(idle) if self.is_synchronized() => self.heard.max(now - idle) + idle,
                _ => Instant::MAX,
            },
        };
    }

    /// RFC 9293's user timeout.
    #[cfg(not(feature = "user-timeout"))]
    fn patience(&self, config: &Config) -> Duration {
        self.user_timeout.unwrap_or(config.user_timeout)
    }

    /// Runs the timers that are due. Returns what the sender's did.
    pub(crate) fn on_timer(&mut self, now: Instant, config: &Config) -> Fired {
        if self.is_over() {
            return Fired::Nothing;
        }
        self.receive.on_timer(now);
        if self.slow_timer <= now {
            self.on_slow_timer(now);
        }
        let fired = self.send.on_timer(now);
        if fired != Fired::Nothing {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
            //# When the number of transmissions of the same segment reaches a
            //# threshold R2 greater than R1, close the connection.
            let patience =
                if self.is_synchronized() { self.patience(config) } else { config.connect_timeout };
            if now.since(self.send.progress) >= patience {
                let error = if self.soft_error { Error::NoRoute } else { Error::TimedOut };
                self.reset(error);
            }
        }
        fired
    }

    fn on_slow_timer(&mut self, now: Instant) {
        self.slow_timer = Instant::MAX;
        match self.state {
            State::FinWait2 if !self.owned => return self.reset(Error::TimedOut),
            State::SynSent | State::SynReceived => {
                return self.reset(if self.soft_error { Error::NoRoute } else { Error::TimedOut });
            }
            _ => {}
        }
        let Some(idle) = self.keep_alive.idle else { return };
        let silent = now.since(self.heard);
        if silent < idle {
            self.keep_alive.probes = 0;
            self.slow_timer = self.heard + idle;
            return;
        }
        if self.keep_alive.probes >= KEEP_ALIVE_PROBES {
            self.reset(Error::TimedOut);
            return;
        }
        let interval = (idle / 4).clamp(Duration::from_secs(1), Duration::from_secs(75));
        self.slow_timer = now + interval;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
        //# Keep-alive packets MUST only be sent when no sent data is outstanding,
        //# and no data or acknowledgment packets have been received for the
        //# connection within an interval (MUST-26).
        if self.send.is_idle() {
            self.keep_alive.probes += 1;
            self.keep_alive.due = true;
        }
    }

    /// What to send next; tell with [`sent`](Self::sent) that it went.
    pub(crate) fn plan(&mut self, now: Instant) -> Option<Output> {
        if self.reset_due {
            return Some(Output::Reset);
        }
        if self.state == State::Closed {
            return None;
        }
        if self.state != State::TimeWait {
            // A recovering sender cuts its segments itself: it wants to know what becomes of each.
            // So does one that tells of a reduced window: the device would tell it in every segment.
            let alone = self.send.is_recovering() || self.send.window_reduced_due;
            let most = if alone { 0 } else { self.tso.saturating_sub(LONGEST_HEADER) };
            if let Some(plan) = self.send.plan(now, most) {
                return Some(Output::Segment(plan));
            }
            if self.state == State::SynSent {
                return None;
            }
            if self.keep_alive.due {
                return Some(Output::KeepAlive);
            }
        }
        self.receive.owes().then_some(Output::Acknowledgment)
    }

    /// The header of what goes out.
    pub(crate) fn header(&mut self, output: &Output, now: Instant, config: &Config) -> Header {
        let mut header = Header {
            source_port: self.tuple.local_port,
            destination_port: self.tuple.remote_port,
            sequence: self.send.next.0,
            acknowledgment: self.receive.next.0,
            flags: Flags::ACK,
            ..Header::default()
        };
        let mut pure = true;
        match output {
            Output::Reset => {
                header.flags = Flags::RST | Flags::ACK;
                self.stamp(&mut header, now);
                return header;
            }
            Output::KeepAlive => header.sequence = (self.send.next - 1).0,
            Output::Acknowledgment => {}
            Output::Segment(plan) => {
                header.sequence = plan.seq.0;
                pure = plan.len == 0;
                if plan.syn {
                    return self.syn_header(header, now, config);
                }
                if plan.fin {
                    header.flags = header.flags | Flags::FIN;
                }
                if plan.push {
                    header.flags = header.flags | Flags::PSH;
                }
                if self.send.window_reduced_due && plan.len > 0 && !plan.again {
                    header.flags = header.flags | Flags::CWR;
                }
            }
        }
        if self.receive.congestion_echo {
            header.flags = header.flags | Flags::ECE;
        }
        header.window = self.receive.advertise();
        self.stamp(&mut header, now);
        #[cfg(feature = "user-timeout")]
        if pure && self.exchange.due && config.exchange_user_timeouts {
            header.options.user_timeout = Some(self.advertised_user_timeout(config));
        }
        if pure && self.send.sack && self.receive.has_blocks() {
            header.options.sack = self.receive.sack_blocks();
        }
        header
    }

    /// RFC 7323 section 3.2: in every segment, once agreed on.
    fn stamp(&self, header: &mut Header, now: Instant) {
        if self.timestamps {
            header.options.timestamps = Some((self.timestamp(now), self.receive.timestamp));
        }
    }

    fn syn_header(&mut self, mut header: Header, now: Instant, config: &Config) -> Header {
        let answer = self.state == State::SynReceived;
        header.flags = if answer { Flags::SYN | Flags::ACK } else { Flags::SYN };
        // RFC 3168 section 6.1.1: not again when the first SYN got no answer, which it may be the cause of.
        if !answer && config.ecn == Ecn::Offer && self.send.in_flight() == 0 {
            header.flags = header.flags | Flags::ECE | Flags::CWR;
        }
        if !answer {
            header.acknowledgment = 0;
        }
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
        //# The window field in a segment where the SYN bit is set (i.e., a <SYN>
        //# or <SYN,ACK>) MUST NOT be scaled.
        header.window = self.receive.syn_window();
        let timestamps = if answer { self.timestamps } else { config.timestamps };
        header.options = Options {
            mss: Some(self.path_mss.min(0xffff) as u16),
            window_scale: (!answer || self.receive.scale > 0 || self.send.scale > 0)
                .then_some(self.receive.scale),
            sack_permitted: if answer { self.send.sack } else { config.sack },
            timestamps: timestamps.then(|| (self.timestamp(now), self.receive.timestamp)),
            #[cfg(feature = "user-timeout")]
            user_timeout: (!answer && config.exchange_user_timeouts)
                .then(|| self.advertised_user_timeout(config)),
            ..Options::default()
        };
        header
    }
}

/// A segment to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Segment(Plan),
    Acknowledgment,
    KeepAlive,
    Reset,
}
