//! One switch's connection: the handshake, what the switch has, and the requests that wait for an answer.
use super::{Answer, Config, Event, Failure};
use crate::wire::{self, Fault, Features, FlowRemoved, HEADER, Header, Kind, PacketIn, PortReason, Reader};
use crate::wire::{Role, RoleState, Version, port::Description};
use airglow_device::Instant;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

/// How far the handshake is: which answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Hello,
    Features,
    Ports,
    Config,
    Ready,
}

/// The conversation must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A request that waits.
struct Request {
    xid: u32,
    until: Instant,
}

/// What is known of one switch.
pub struct Session {
    pub(super) phase: Phase,
    version: Version,
    pub(super) datapath_id: u64,
    pub(super) ports: BTreeMap<u32, Description>,
    requests: VecDeque<Request>,
    role: Role,
    pub(super) out: Vec<u8>,
    last_xid: u32,
    /// When the handshake must be over; then, when silence is too long.
    deadline: Instant,
    asked: bool,
}

impl Session {
    pub(super) fn new(now: Instant, config: &Config) -> Self {
        let mut session = Self {
            phase: Phase::Hello,
            version: Version::NEWEST,
            datapath_id: 0,
            ports: BTreeMap::new(),
            requests: VecDeque::new(),
            role: Role::Equal,
            out: Vec::new(),
            last_xid: 0,
            deadline: now + config.handshake,
            asked: false,
        };
        session.emit(Kind::Hello, |out| {
            // The versions that are spoken, as a bitmap (OpenFlow 1.3 section 7.5.1).
            out.extend_from_slice(&[0, 1, 0, 8]);
            out.extend_from_slice(&Version::BITMAP.to_be_bytes());
        });
        session
    }

    /// The version that is spoken.
    pub const fn version(&self) -> Version {
        self.version
    }
    /// The switch's number.
    pub const fn datapath_id(&self) -> u64 {
        self.datapath_id
    }
    /// One's own role there, as the switch said it last.
    pub const fn role(&self) -> Role {
        self.role
    }
    /// Its ports, by number.
    pub fn ports(&self) -> impl Iterator<Item = &Description> {
        self.ports.values()
    }
    /// The port with this number.
    pub fn port(&self, number: u32) -> Option<&Description> {
        self.ports.get(&number)
    }

    /// Writes a message with an xid of its own.
    pub(super) fn emit(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.last_xid = match self.last_xid.wrapping_add(1) {
            0 => 1,
            next => next,
        };
        wire::emit(self.version, kind, self.last_xid, &mut self.out, body);
        self.last_xid
    }

    /// Waits for the answer to a message just written.
    pub(super) fn expect(&mut self, xid: u32, until: Instant) {
        self.requests.push_back(Request { xid, until });
    }
    pub(super) fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// When [`Self::poll`] has something to do.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.requests.front().map_or(self.deadline, |request| request.until.min(self.deadline))
    }

    /// Asks a silent switch whether it is there. The xids of requests whose time is up go to `late`.
    pub(super) fn poll(&mut self, now: Instant, config: &Config, late: &mut Vec<u32>) -> Result<(), Closed> {
        while self.requests.front().is_some_and(|request| request.until <= now) {
            late.extend(self.requests.pop_front().map(|request| request.xid));
        }
        if self.deadline > now {
            return Ok(());
        }
        if self.asked || self.phase != Phase::Ready {
            return Err(Closed);
        }
        self.asked = true;
        self.deadline = now + config.idle;
        self.emit(Kind::EchoRequest, |_| {});
        Ok(())
    }

    /// Takes one whole message; the event that it is, if it is one.
    pub(super) fn message<'m>(
        &mut self,
        now: Instant,
        config: &Config,
        bytes: &'m [u8],
    ) -> Result<Option<Event<'m>>, Closed> {
        let header = Header::parse(bytes).filter(|header| usize::from(header.length) == bytes.len());
        let header = header.ok_or(Closed)?;
        let body = bytes.get(HEADER..).unwrap_or(&[]);
        if self.phase == Phase::Hello {
            return self.greeting(header, body);
        }
        let Some(kind) = Kind::from_number(self.version, header.kind) else { return Ok(None) };
        if header.version != self.version as u8 {
            return Err(Closed);
        }
        if self.phase == Phase::Ready {
            self.deadline = now + config.idle;
            self.asked = false;
        }
        let result = match kind {
            Kind::EchoRequest if self.out.len() + bytes.len() > config.backlog => return Err(Closed),
            Kind::EchoRequest => {
                wire::emit(self.version, Kind::EchoReply, header.xid, &mut self.out, |out| {
                    out.extend_from_slice(body);
                });
                return Ok(None);
            }
            Kind::PortStatus => self.port_status(config, body),
            _ if self.phase == Phase::Ready => self.event(kind, header.xid, body),
            _ => match self.handshake(now, config, kind, body) {
                Ok(event) => Ok(event),
                Err(_) => return Err(Closed),
            },
        };
        // A message that cannot be read tells nothing; a switch that sends one is still a switch.
        Ok(result.unwrap_or(None))
    }

    /// The first message must be a hello, and name a version that is spoken.
    fn greeting<'m>(&mut self, header: Header, body: &[u8]) -> Result<Option<Event<'m>>, Closed> {
        let common = if header.kind == 0 { wire::common_version(header.version, body) } else { None };
        let Some(version) = common else {
            let (kind, code) = Fault::Incompatible.numbers(Version::NEWEST);
            self.version = Version::from_number(header.version).unwrap_or(Version::NEWEST);
            self.emit(Kind::Error, |out| {
                out.extend_from_slice(&kind.to_be_bytes());
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(b"airglow speaks OpenFlow 1.0, 1.3, 1.4 and 1.5");
            });
            return Err(Closed);
        };
        self.version = version;
        self.phase = Phase::Features;
        self.emit(Kind::FeaturesRequest, |_| {});
        Ok(None)
    }

    fn handshake<'m>(
        &mut self,
        now: Instant,
        config: &Config,
        kind: Kind,
        body: &[u8],
    ) -> Result<Option<Event<'m>>, Fault> {
        match (self.phase, kind) {
            (Phase::Features, Kind::FeaturesReply) => {
                let features = Features::parse(self.version, body)?;
                if features.auxiliary != 0 {
                    return Err(Fault::Permission);
                }
                self.datapath_id = features.datapath_id;
                if self.version != Version::V10 {
                    self.phase = Phase::Ports;
                    let version = self.version;
                    self.emit(Kind::MultipartRequest, |out| {
                        out.extend_from_slice(&[0, 13, 0, 0, 0, 0, 0, 0]);
                        if version == Version::V15 {
                            // Of every port.
                            out.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
                        }
                    });
                } else {
                    self.describe(config, features.ports)?;
                    self.configure();
                }
            }
            (Phase::Ports, Kind::MultipartReply) => {
                let mut reader = Reader(body);
                let (kind, flags) = (reader.u16()?, reader.u16()?);
                reader.skip(4)?;
                if kind == 13 {
                    self.describe(config, reader.rest())?;
                    if flags & 1 == 0 {
                        self.configure();
                    }
                }
            }
            (Phase::Config, Kind::GetConfigReply) => {
                self.phase = Phase::Ready;
                self.deadline = now + config.idle;
                return Ok(Some(Event::Joined));
            }
            // A switch that refuses the handshake is none.
            (_, Kind::Error) => return Err(Fault::Permission),
            // Packets and the like before the switch is known: its flows are an earlier controller's.
            _ => {}
        }
        Ok(None)
    }

    /// Asks for whole packets, and for the answer that says that this is so.
    fn configure(&mut self) {
        self.phase = Phase::Config;
        self.emit(Kind::SetConfig, |out| out.extend_from_slice(&[0, 0, 0xff, 0xff]));
        self.emit(Kind::GetConfigRequest, |_| {});
    }

    fn describe(&mut self, config: &Config, ports: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(ports);
        while !reader.is_empty() {
            let port = Description::parse(self.version, &mut reader)?;
            self.keep(config, port);
        }
        Ok(())
    }

    /// Keeps a port; `false` when there is no room for more.
    fn keep(&mut self, config: &Config, port: Description) -> bool {
        let room = self.ports.len() < config.ports || self.ports.contains_key(&port.number);
        if room {
            self.ports.insert(port.number, port);
        }
        room
    }

    fn port_status<'m>(&mut self, config: &Config, body: &[u8]) -> Result<Option<Event<'m>>, Fault> {
        let (reason, port) = PortReason::parse(self.version, body)?;
        let known = match reason {
            PortReason::Delete => self.ports.remove(&port.number).is_some(),
            PortReason::Add | PortReason::Modify => self.keep(config, port.clone()),
        };
        let tell = known && self.phase == Phase::Ready;
        Ok(tell.then_some(Event::PortStatus(reason, port)))
    }

    fn event<'m>(&mut self, kind: Kind, xid: u32, body: &'m [u8]) -> Result<Option<Event<'m>>, Fault> {
        let extension = self.version == Version::V10 && kind == Kind::Experimenter;
        if matches!(kind, Kind::RoleReply | Kind::RoleStatus) || extension {
            match RoleState::parse(self.version, body) {
                Ok(state) => self.role = state.role,
                Err(Fault::BadExperimenter) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(Some(match kind {
            Kind::RoleStatus => Event::RoleStatus(RoleState::parse(self.version, body)?),
            Kind::PacketIn => Event::PacketIn(PacketIn::parse(self.version, body)?),
            Kind::FlowRemoved => Event::FlowRemoved(Box::new(FlowRemoved::parse(self.version, body)?)),
            Kind::Error => {
                let mut reader = Reader(body);
                let (kind, code) = (reader.u16()?, reader.u16()?);
                if self.answered(xid, false) {
                    Event::Answer { xid, answer: Err(Failure::Refused { kind, code }) }
                } else {
                    Event::Error { xid, kind, code, data: reader.rest() }
                }
            }
            Kind::MultipartReply
            | Kind::BarrierReply
            | Kind::GetConfigReply
            | Kind::FeaturesReply
            | Kind::QueueGetConfigReply
            | Kind::RoleReply
            | Kind::GetAsyncReply
            | Kind::Experimenter => {
                let more = kind == Kind::MultipartReply && body.get(3).is_some_and(|flags| flags & 1 != 0);
                if !self.answered(xid, more) {
                    return Ok(None);
                }
                Event::Answer { xid, answer: Ok(Answer { kind, body, more }) }
            }
            _ => return Ok(None),
        }))
    }

    /// A request waits with this xid; unless `more` is to come, it waits no longer.
    fn answered(&mut self, xid: u32, more: bool) -> bool {
        let Some(index) = self.requests.iter().position(|request| request.xid == xid) else { return false };
        if !more {
            self.requests.remove(index);
        }
        true
    }
}
