//! An application that is watched: who comes and goes is logged, and every switch is asked now and then what its flows carried.
use airglow::device::{Instant, MacAddr};
use airglow_openflow::{
    controller::{Answer, Application, Event, Learning, Routing, SwitchId, Switches},
    wire::{Match, Reader, Version, flow_mod, match10, oxm, port},
};
use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::Ipv4Addr, time::Duration};

/// How often the switches are asked.
const EVERY: Duration = Duration::from_secs(2);
/// Aggregate statistics of flows.
const AGGREGATE: u16 = 2;

/// What an application knows of the network.
pub trait Map {
    /// The links, in both directions: a switch and its port, and those at the other end.
    fn links(&self) -> Vec<((SwitchId, u32), (SwitchId, u32))> {
        Vec::new()
    }
    /// The hosts, each at a port of a switch.
    fn hosts(&self) -> Vec<(MacAddr, (SwitchId, u32), Option<Ipv4Addr>)> {
        Vec::new()
    }
}

impl Map for Learning {}

impl<R: FnMut() -> u64> Map for Routing<R> {
    fn links(&self) -> Vec<((SwitchId, u32), (SwitchId, u32))> {
        Routing::links(self).collect()
    }
    fn hosts(&self) -> Vec<(MacAddr, (SwitchId, u32), Option<Ipv4Addr>)> {
        Routing::hosts(self).map(|(address, host)| (address, (host.switch, host.port), host.ipv4)).collect()
    }
}

/// What the flows of a switch carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub flows: u32,
    pub packets: u64,
    pub bytes: u64,
}

/// An application, and what it is watched for.
pub struct Watched<A> {
    /// The application itself.
    pub application: A,
    /// Whether switches are asked for their counters.
    ask: bool,
    counters: BTreeMap<SwitchId, Counters>,
    asked: BTreeMap<(SwitchId, u32), Version>,
    next: Instant,
}

impl<A> Watched<A> {
    pub fn new(application: A, ask: bool) -> Self {
        let (counters, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { application, ask, counters, asked, next: Instant::ZERO }
    }

    /// The last answer of a switch.
    pub fn counters(&self, of: SwitchId) -> Counters {
        self.counters.get(&of).copied().unwrap_or_default()
    }

    /// `true`: the answer was to a question from here.
    fn answered(&mut self, from: SwitchId, xid: u32, answer: Result<Answer<'_>, ()>) -> bool {
        let Some(version) = self.asked.remove(&(from, xid)) else { return false };
        let read = || {
            let mut reader = Reader(answer.ok()?.body);
            reader.skip(if version == Version::V10 { 4 } else { 8 }).ok()?;
            let (packets, bytes) = (reader.u64().ok()?, reader.u64().ok()?);
            Some(Counters { packets, bytes, flows: reader.u32().ok()? })
        };
        if let Some(counters) = read() {
            self.counters.insert(from, counters);
        }
        true
    }
}

/// The body of a request for what all flows carried.
fn every_flow(version: Version) -> Vec<u8> {
    let mut body = Vec::new();
    match version {
        Version::V10 => {
            match10::emit_match(&Match::ANY, &mut body);
            body.extend_from_slice(&[flow_mod::ALL_TABLES, 0]);
            body.extend_from_slice(&port::to_10(port::ANY).to_be_bytes());
        }
        _ => {
            body.extend_from_slice(&[flow_mod::ALL_TABLES, 0, 0, 0]);
            body.extend_from_slice(&port::ANY.to_be_bytes());
            body.extend_from_slice(&flow_mod::ANY_GROUP.to_be_bytes());
            // Padding, cookie and its mask.
            body.extend_from_slice(&[0; 20]);
            oxm::emit_match(version, &Match::ANY, &mut body);
        }
    }
    body
}

impl<A: Application> Application for Watched<A> {
    fn event(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>) {
        match event {
            Event::Joined => {
                if let Some(session) = switches.get(from) {
                    let (datapath, ports) = (session.datapath_id(), session.ports().count());
                    let version = session.version();
                    log::info!("{from:?}: datapath {datapath:016x} joined with {ports} ports, {version:?}");
                }
            }
            Event::Left => {
                self.counters.remove(&from);
                self.asked.retain(|(switch, _), _| *switch != from);
                log::warn!("{from:?} left");
            }
            Event::Error { kind, code, .. } => {
                log::warn!("{from:?} refused a message: error {kind}, code {code}");
            }
            Event::Answer { xid, answer } if self.answered(from, *xid, answer.map_err(|_| ())) => return,
            _ => {}
        }
        self.application.event(now, switches, from, event);
    }

    fn poll(&mut self, now: Instant, switches: &mut Switches) {
        if self.application.poll_timeout().is_some_and(|at| at <= now) {
            self.application.poll(now, switches);
        }
        if !self.ask || now < self.next {
            return;
        }
        self.next = now + EVERY;
        let ids: Vec<_> = switches.iter().map(|(id, session)| (id, session.version())).collect();
        for (id, version) in ids {
            if let Ok(xid) = switches.multipart(now, id, AGGREGATE, &every_flow(version)) {
                self.asked.insert((id, xid), version);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let own = self.ask.then_some(self.next);
        [self.application.poll_timeout(), own].into_iter().flatten().min()
    }
}
