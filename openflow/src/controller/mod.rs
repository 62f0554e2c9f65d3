//! The controller's side, without any I/O: handshakes, events, requests and their answers for any number of switches.
//!
//! The caller joins a [`Controller`] to streams: [`Controller::connected`], [`Controller::message`] and
//! [`Controller::take_output`] for every switch, [`Controller::poll`] when [`Controller::poll_timeout`] says so; or leaves that
//! to a [`Server`]. What the network does is an [`Application`]: [`Learning`], [`Routing`], or one's own.
//!
//! ```
//! use airglow_device::Instant;
//! use airglow_openflow::{controller::{Application, Config, Controller, Event, SwitchId, Switches},
//!     wire::{Action, FlowMod, Match, port}};
//!
//! /// All packets for TCP port 22 are dropped, the others are bridged.
//! struct NoShell;
//! impl Application for NoShell {
//!     fn event(&mut self, _: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>) {
//!         if let Event::Joined = event {
//!             let rest = FlowMod::add(Match::ANY).actions(vec![Action::output(port::NORMAL)]);
//!             let _ = switches.flow_mod(from, &rest);
//!             let _ = switches.flow_mod(from, &FlowMod::add(Match::ANY.tcp_dst(22)).priority(1));
//!         }
//!     }
//! }
//!
//! let mut controller = Controller::new(Config::default(), NoShell);
//! let id = controller.connected(Instant::ZERO).unwrap();
//! assert_eq!(controller.take_output(id)[..2], [6, 0]); // a hello
//! ```
//!
//! # Bounds
//! [`Config`] bounds the switches, their ports, the requests that wait and the bytes that wait to be sent; an application
//! bounds its own tables. A switch that reads too slowly loses messages ([`Full`], counted), never the controller its memory.
mod learning;
mod routing;
mod server;
mod session;

pub use learning::Learning;
pub use routing::{Host, Routing};
pub use server::Server;
pub use session::{Closed, Session};

use crate::wire::{
    Action, FlowMod, FlowRemoved, Kind, Match, PacketIn, PortReason, Role, RoleState, Version, flow_mod, port,
};
use airglow_device::Instant;
use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::{fmt, time::Duration};
use session::Phase;

/// How much a controller holds, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most switches at once.
    pub switches: usize,
    /// Most ports of a switch; further ones are not seen.
    pub ports: usize,
    /// Most requests to a switch that wait for an answer.
    pub requests: usize,
    /// Bytes that wait to be sent to a switch.
    pub backlog: usize,
    /// How long the handshake may take.
    pub handshake: Duration,
    /// How long an answer may take.
    pub answer: Duration,
    /// Silence after which a switch is asked whether it is there, and again the same before it is given up.
    pub idle: Duration,
}

impl Default for Config {
    /// 256 switches of 4,096 ports, 256 requests and 1 MiB to each; ten seconds for a handshake and for an answer, fifteen of silence.
    fn default() -> Self {
        Self {
            switches: 256,
            ports: 4096,
            requests: 256,
            backlog: 1 << 20,
            handshake: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            idle: Duration::from_secs(15),
        }
    }
}

/// Names a switch's connection; never used again after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SwitchId(u64);

/// What happened at a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'m> {
    /// The handshake is over: the switch and its ports are known.
    Joined,
    /// The connection has ended, and with it every request that waited.
    Left,
    /// A packet.
    PacketIn(PacketIn<'m>),
    /// A port came, went or changed; [`Session::ports`] has it already.
    PortStatus(PortReason, port::Description),
    /// Another controller is master now, and this one slave (1.4; before, nobody says it); [`Session::role`] has it already.
    RoleStatus(RoleState),
    /// A flow has gone that was to say so.
    FlowRemoved(Box<FlowRemoved>),
    /// The switch refused a message that was no request.
    Error {
        /// That message's.
        xid: u32,
        /// The error type.
        kind: u16,
        /// The error code.
        code: u16,
        /// The message's beginning.
        data: &'m [u8],
    },
    /// A request's answer, or a part of it.
    Answer {
        /// The request's.
        xid: u32,
        /// What the switch said.
        answer: Result<Answer<'m>, Failure>,
    },
}

/// What a switch said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'m> {
    /// The kind of the message.
    pub kind: Kind,
    /// Its body.
    pub body: &'m [u8],
    /// Further parts follow.
    pub more: bool,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The switch refused it.
    Refused {
        /// The error type.
        kind: u16,
        /// The error code.
        code: u16,
    },
    /// The time is up.
    Timeout,
}

/// A message was not sent: the switch is gone, too much waits for it already, or a slave may not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the switch is gone, or does not keep up with what is sent to it")
    }
}
impl core::error::Error for Full {}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Switches that joined.
    pub joined: u64,
    /// Packets from switches.
    pub packet_ins: u64,
    /// Messages that were not sent.
    pub dropped: u64,
    /// Errors from switches.
    pub errors: u64,
}

/// What a network is to do.
pub trait Application {
    /// Something happened at the switch `from`.
    fn event(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>);
    /// The time that [`poll_timeout`](Self::poll_timeout) named has come, perhaps.
    fn poll(&mut self, now: Instant, switches: &mut Switches) {
        let _ = (now, switches);
    }
    /// When [`poll`](Self::poll) is due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// The switches, as an application sees them.
pub struct Switches {
    config: Config,
    sessions: BTreeMap<SwitchId, Session>,
    next: u64,
    stats: Stats,
}

impl Switches {
    /// Those whose handshake is over.
    pub fn iter(&self) -> impl Iterator<Item = (SwitchId, &Session)> {
        self.sessions.iter().filter(|(_, s)| s.phase == Phase::Ready).map(|(id, session)| (*id, session))
    }
    /// One of them.
    pub fn get(&self, id: SwitchId) -> Option<&Session> {
        self.sessions.get(&id).filter(|session| session.phase == Phase::Ready)
    }
    /// The one with this datapath id.
    pub fn find(&self, datapath_id: u64) -> Option<SwitchId> {
        self.iter().find(|(_, session)| session.datapath_id == datapath_id).map(|(id, _)| id)
    }
    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sends a message and returns its xid.
    ///
    /// # Errors
    /// [`Full`].
    pub fn send(&mut self, id: SwitchId, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Result<u32, Full> {
        let session = self
            .sessions
            .get_mut(&id)
            .filter(|session| session.phase == Phase::Ready && session.out.len() < self.config.backlog)
            // A slave's changes would be refused.
            .filter(|session| session.role() != Role::Slave || !kind.changes_something());
        match session {
            Some(session) => Ok(session.emit(kind, body)),
            None => {
                self.stats.dropped += 1;
                Err(Full)
            }
        }
    }

    /// Sends a message that has an answer, which comes as [`Event::Answer`] with the xid returned here, or says that none came in time.
    ///
    /// # Errors
    /// [`Full`]; also when too many requests wait.
    pub fn request(
        &mut self,
        now: Instant,
        id: SwitchId,
        kind: Kind,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, Full> {
        if self.get(id).is_none_or(|session| session.waiting() >= self.config.requests) {
            self.stats.dropped += 1;
            return Err(Full);
        }
        let xid = self.send(id, kind, body)?;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.expect(xid, now + self.config.answer);
        }
        Ok(xid)
    }

    /// Asks for a role; the answer comes as to any request, and [`Session::role`] has it. A switch refuses a generation that is older
    /// than one it has seen; as a slave nothing that changes the switch is sent ([`Full`]).
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn role(&mut self, now: Instant, id: SwitchId, state: RoleState) -> Result<u32, Full> {
        let version = self.get(id).ok_or(Full)?.version();
        let kind = if version == Version::V10 { Kind::Experimenter } else { Kind::RoleRequest };
        self.request(now, id, kind, |out| state.emit(version, out))
    }

    /// Asks to be told when everything sent so far is done.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn barrier(&mut self, now: Instant, id: SwitchId) -> Result<u32, Full> {
        self.request(now, id, Kind::BarrierRequest, |_| {})
    }

    /// Asks for statistics or descriptions of this kind (their number on the wire), with the body of that kind.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn multipart(&mut self, now: Instant, id: SwitchId, kind: u16, body: &[u8]) -> Result<u32, Full> {
        let padding: &[u8] = match self.get(id).map(Session::version) {
            Some(crate::wire::Version::V10) => &[],
            _ => &[0; 4],
        };
        self.request(now, id, Kind::MultipartRequest, |out| {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(padding);
            out.extend_from_slice(body);
        })
    }

    /// Changes the flow table.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn flow_mod(&mut self, id: SwitchId, change: &FlowMod) -> Result<u32, Full> {
        let version = self.get(id).ok_or(Full)?.version();
        self.send(id, Kind::FlowMod, |out| change.emit(version, out))
    }

    /// Sends a packet out of a switch, as if it had come in on `in_port` ([`port::CONTROLLER`] for one's own).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn packet_out(
        &mut self,
        id: SwitchId,
        in_port: u32,
        actions: &[Action],
        packet: &[u8],
    ) -> Result<u32, Full> {
        self.release(id, flow_mod::NO_BUFFER, in_port, actions, packet)
    }

    /// Lets a packet that came in do `actions`: from where the switch keeps it, or sent back.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn forward(&mut self, id: SwitchId, packet: &PacketIn<'_>, actions: &[Action]) -> Result<u32, Full> {
        self.release(id, packet.buffer, packet.in_port, actions, packet.data)
    }

    fn release(
        &mut self,
        id: SwitchId,
        buffer: u32,
        in_port: u32,
        actions: &[Action],
        packet: &[u8],
    ) -> Result<u32, Full> {
        let version = self.get(id).ok_or(Full)?.version();
        self.send(id, Kind::PacketOut, |out| {
            crate::wire::emit_packet_out(version, buffer, in_port, actions, packet, out);
        })
    }

    /// Empties the flow tables, but for one flow that hands every packet to the controller.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn reset(&mut self, id: SwitchId) -> Result<(), Full> {
        self.flow_mod(id, &FlowMod::delete(Match::ANY))?;
        let miss = FlowMod::add(Match::ANY).actions([Action::output(port::CONTROLLER)].into());
        self.flow_mod(id, &miss).map(|_| ())
    }
}

/// A controller with its application.
pub struct Controller<A> {
    switches: Switches,
    application: A,
}

impl<A: Application> Controller<A> {
    /// A controller without switches.
    pub const fn new(config: Config, application: A) -> Self {
        let stats = Stats { joined: 0, packet_ins: 0, dropped: 0, errors: 0 };
        Self { switches: Switches { config, sessions: BTreeMap::new(), next: 1, stats }, application }
    }

    /// The switches.
    pub const fn switches(&self) -> &Switches {
        &self.switches
    }
    /// The application.
    pub const fn application(&self) -> &A {
        &self.application
    }
    /// The switches, to send to them, and the application.
    pub const fn parts(&mut self) -> (&mut Switches, &mut A) {
        (&mut self.switches, &mut self.application)
    }

    /// A switch's stream is open: greets it. `None`: there are too many.
    pub fn connected(&mut self, now: Instant) -> Option<SwitchId> {
        let switches = &mut self.switches;
        if switches.sessions.len() >= switches.config.switches {
            return None;
        }
        let id = SwitchId(switches.next);
        switches.next += 1;
        switches.sessions.insert(id, Session::new(now, &switches.config));
        Some(id)
    }

    /// A switch's stream is gone, or must go.
    pub fn disconnected(&mut self, now: Instant, id: SwitchId) {
        let session = self.switches.sessions.remove(&id);
        if session.is_some_and(|session| session.phase == Phase::Ready) {
            self.application.event(now, &mut self.switches, id, &Event::Left);
        }
    }

    /// The controller knows this connection; when it does not, the stream is to be closed.
    pub fn is_open(&self, id: SwitchId) -> bool {
        self.switches.sessions.contains_key(&id)
    }
    /// Something is to be sent to a switch.
    pub fn has_output(&self, id: SwitchId) -> bool {
        self.switches.sessions.get(&id).is_some_and(|session| !session.out.is_empty())
    }
    /// What is to be sent to a switch; it is taken away.
    pub fn take_output(&mut self, id: SwitchId) -> Vec<u8> {
        let session = self.switches.sessions.get_mut(&id);
        session.map_or_else(Vec::new, |session| core::mem::take(&mut session.out))
    }

    /// Takes one whole message, as long as its header says.
    ///
    /// # Errors
    /// [`Closed`]: what is left in the output says why, and then the stream is to be closed.
    pub fn message(&mut self, now: Instant, id: SwitchId, bytes: &[u8]) -> Result<(), Closed> {
        let switches = &mut self.switches;
        let session = switches.sessions.get_mut(&id).ok_or(Closed)?;
        let Some(event) = session.message(now, &switches.config, bytes)? else { return Ok(()) };
        match event {
            Event::Joined => {
                switches.stats.joined += 1;
                // A switch that connects anew has lost its old connection, heard of or not.
                let datapath_id = session.datapath_id;
                let old = switches.iter().find(|(other, s)| *other != id && s.datapath_id == datapath_id);
                if let Some((old, _)) = old {
                    self.disconnected(now, old);
                }
            }
            Event::PacketIn(_) => switches.stats.packet_ins += 1,
            Event::Error { .. } | Event::Answer { answer: Err(_), .. } => switches.stats.errors += 1,
            _ => {}
        }
        self.application.event(now, &mut self.switches, id, &event);
        Ok(())
    }

    /// When [`poll`](Self::poll) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.switches.sessions.values().map(Session::poll_timeout);
        sessions.chain(self.application.poll_timeout()).min()
    }

    /// Asks silent switches, gives up those that do not answer, and requests whose time is up.
    pub fn poll(&mut self, now: Instant) {
        let due = |session: &Session| session.poll_timeout() <= now;
        let ids: Vec<_> = self.switches.sessions.iter().filter(|(_, s)| due(s)).map(|(id, _)| *id).collect();
        for id in ids {
            let switches = &mut self.switches;
            let Some(session) = switches.sessions.get_mut(&id) else { continue };
            let mut late = Vec::new();
            let state = session.poll(now, &switches.config, &mut late);
            for xid in late {
                let event = Event::Answer { xid, answer: Err(Failure::Timeout) };
                self.application.event(now, &mut self.switches, id, &event);
            }
            if state.is_err() {
                self.disconnected(now, id);
            }
        }
        if self.application.poll_timeout().is_some_and(|at| at <= now) {
            self.application.poll(now, &mut self.switches);
        }
    }
}

#[cfg(test)]
mod tests;
