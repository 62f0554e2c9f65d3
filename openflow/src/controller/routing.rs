//! Shortest-path routing: links are found by LLDP (IEEE 802.1AB), hosts by their packets; every pair of hosts that talks gets the
//! flows of a shortest path, and what is for everybody goes along a spanning tree of the links.
mod lldp;
mod topology;

use super::{Application, Event, SwitchId, Switches, learning::Frame};
use crate::wire::{Action, Field, FlowMod, Match, PacketIn, PortReason, Version, port};
use airglow_device::{Instant, MacAddr};
use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::Ipv4Addr, time::Duration};
use topology::Topology;

/// Seconds without a packet after which a flow goes.
const FLOW_IDLE: u16 = 60;
/// Marks the flows of paths.
const PATH: u64 = 0x6169_7267_6c6f_7701;
/// How often every port is asked what is at its other end.
const PROBE: Duration = Duration::from_secs(1);
/// How long a host is remembered without a packet of its own reaching the controller.
const AGE: Duration = Duration::from_secs(300);

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The switch ...
    pub switch: SwitchId,
    /// ... and the port there.
    pub port: u32,
    /// Its IPv4 address, when it has told one.
    pub ipv4: Option<Ipv4Addr>,
    seen: Instant,
}

/// Shortest-path routing over any topology.
///
/// A link counts when both of its ends have heard the other. Until a port had the time to find out whether it is a link's end,
/// about two seconds, its packets are not forwarded, so that no packet goes round in a loop that is not known yet.
///
/// # Trust
/// A host cannot pretend to be a link's end with LLDP frames that it made up: each port's carry a random number that only
/// the port's true neighbour sees. Hosts are not stopped from using one another's Ethernet addresses.
pub struct Routing<R> {
    topology: Topology,
    hosts: BTreeMap<MacAddr, Host>,
    most: usize,
    random: R,
    next_probe: Instant,
    swept: Instant,
}

impl<R: FnMut() -> u64> Routing<R> {
    /// Remembers at most `most` hosts; to further ones packets go along the spanning tree. `random` must not be foreseeable by hosts.
    pub const fn new(most: usize, random: R) -> Self {
        Self {
            topology: Topology::new(),
            hosts: BTreeMap::new(),
            most,
            random,
            next_probe: Instant::ZERO,
            swept: Instant::ZERO,
        }
    }

    /// The hosts.
    pub fn hosts(&self) -> impl Iterator<Item = (MacAddr, &Host)> {
        self.hosts.iter().map(|(address, host)| (*address, host))
    }
    /// The links, each once in each direction: a switch and its port, and those at the other end.
    pub fn links(&self) -> impl Iterator<Item = ((SwitchId, u32), (SwitchId, u32))> {
        self.topology.links()
    }

    /// After the topology changed: hosts are no longer behind ports that are links' ends, and all paths are found anew.
    fn rerouted(&mut self, switches: &mut Switches) {
        let topology = &self.topology;
        self.hosts.retain(|_, host| !topology.is_inner((host.switch, host.port)));
        let ids: Vec<(SwitchId, Version)> = switches.iter().map(|(id, s)| (id, s.version())).collect();
        for (id, version) in ids {
            // OpenFlow 1.0 cannot delete by cookie.
            let _ = match version {
                Version::V10 => switches.reset(id),
                _ => switches.flow_mod(id, &FlowMod::delete(Match::ANY).cookie(PATH)).map(|_| ()),
            };
        }
    }

    /// A port or its switch is gone.
    fn lost(&mut self, switches: &mut Switches, from: SwitchId, number: Option<u32>) {
        let here = |host: &Host| host.switch == from && number.is_none_or(|number| host.port == number);
        self.hosts.retain(|_, host| !here(host));
        let link = match number {
            Some(number) => self.topology.port_down((from, number)),
            None => self.topology.remove(from),
        };
        if link {
            self.rerouted(switches);
        } else if let Some(number) = number {
            let _ = switches.flow_mod(from, &FlowMod::delete(Match::ANY).out_port(number));
        }
    }

    fn port_up(&mut self, now: Instant, switches: &mut Switches, at: (SwitchId, u32)) {
        if at.1 <= port::MAX && self.topology.port_up(now, at, (self.random)()) {
            self.probe(switches, at);
        }
    }

    /// Asks what is at the other end of a port.
    fn probe(&self, switches: &mut Switches, at: (SwitchId, u32)) {
        let Some(session) = switches.get(at.0) else { return };
        let (Some(port), Some(nonce)) = (session.port(at.1), self.topology.nonce(at)) else { return };
        let frame = lldp::Probe { datapath_id: session.datapath_id(), port: at.1, nonce }.emit(port.address);
        let _ = switches.packet_out(at.0, port::CONTROLLER, &[Action::output(at.1)], &frame);
    }

    fn packet(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, packet_in: &PacketIn<'_>) {
        let at = (from, packet_in.in_port);
        if let Some(probe) = lldp::Probe::parse(packet_in.data) {
            let sender = switches.find(probe.datapath_id).map(|sender| (sender, probe.port));
            if let Some(sender) = sender.filter(|sender| self.topology.nonce(*sender) == Some(probe.nonce))
                && self.topology.heard(now, at, sender)
            {
                self.rerouted(switches);
            }
            return;
        }
        if !self.topology.is_settled(now, at) {
            return;
        }
        let Some(frame) = Frame::read(packet_in) else { return };
        if !self.topology.is_inner(at) {
            self.learn(now, switches, at, &frame);
        }
        let host = self.hosts.get(&frame.destination);
        match host.copied().filter(|host| now.since(host.seen) < AGE) {
            Some(host) => self.route(switches, at, host, &frame, packet_in),
            None => self.spread(now, switches, at, packet_in),
        }
    }

    fn learn(&mut self, now: Instant, switches: &mut Switches, at: (SwitchId, u32), frame: &Frame) {
        if frame.source.0[0] & 1 != 0 {
            return;
        }
        let key = frame.packet.key();
        let address = [Field::ArpSpa, Field::Ipv4Src].map(|field| key.number(field) as u32);
        let told = address.into_iter().find(|address| *address != 0).map(Ipv4Addr::from);
        if self.hosts.len() >= self.most && now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.hosts.retain(|_, host| now.since(host.seen) < AGE);
        }
        let old = self.hosts.get(&frame.source).copied();
        if old.is_none() && self.hosts.len() >= self.most {
            return;
        }
        let ipv4 = told.or(old.and_then(|old| old.ipv4));
        self.hosts.insert(frame.source, Host { switch: at.0, port: at.1, ipv4, seen: now });
        if old.is_some_and(|old| (old.switch, old.port) != at) {
            // It moved: the paths to its old place are wrong.
            let ids: Vec<SwitchId> = switches.iter().map(|(id, _)| id).collect();
            for id in ids {
                let _ = switches.flow_mod(id, &FlowMod::delete(Match::ANY.eth_dst(frame.source)));
            }
        }
    }

    /// Lays the path from here to a host, its end first, and sends the packet on its way.
    fn route(
        &self,
        switches: &mut Switches,
        at: (SwitchId, u32),
        host: Host,
        frame: &Frame,
        packet_in: &PacketIn<'_>,
    ) {
        let Some(path) = self.topology.path(at, (host.switch, host.port)) else { return };
        let pair = Match::ANY.eth_src(frame.source).eth_dst(frame.destination);
        for hop in path.iter().rev() {
            if hop.input != hop.output {
                let flow = FlowMod::add(pair.in_port(hop.input)).priority(10).cookie(PATH);
                let flow = flow.idle_timeout(FLOW_IDLE).actions([Action::output(hop.output)].into());
                let _ = switches.flow_mod(hop.switch, &flow);
            }
        }
        if let Some(hop) = path.first().filter(|hop| hop.input != hop.output) {
            let _ = switches.forward(at.0, packet_in, &[Action::output(hop.output)]);
        }
    }

    /// Sends a packet on to every host behind this switch, and along the tree to the next.
    fn spread(&self, now: Instant, switches: &mut Switches, at: (SwitchId, u32), packet_in: &PacketIn<'_>) {
        let Some(ports) = self.topology.spread(now, at) else { return };
        let actions: Vec<Action> = ports.map(Action::output).collect();
        if !actions.is_empty() {
            let _ = switches.forward(at.0, packet_in, &actions);
        }
    }
}

impl<R: FnMut() -> u64> Application for Routing<R> {
    fn event(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>) {
        match event {
            Event::Joined => {
                let _ = switches.reset(from);
                let Some(session) = switches.get(from) else { return };
                self.topology.add(from, session.datapath_id());
                let up = session.ports().filter(|port| port.is_up());
                let up: Vec<u32> = up.map(|port| port.number).collect();
                for number in up {
                    self.port_up(now, switches, (from, number));
                }
            }
            Event::Left => self.lost(switches, from, None),
            Event::PortStatus(reason, port) => match reason {
                PortReason::Add | PortReason::Modify if port.is_up() => {
                    self.port_up(now, switches, (from, port.number));
                }
                _ => self.lost(switches, from, Some(port.number)),
            },
            Event::PacketIn(packet) => self.packet(now, switches, from, packet),
            _ => {}
        }
    }

    fn poll(&mut self, now: Instant, switches: &mut Switches) {
        if self.next_probe > now {
            return;
        }
        self.next_probe = now + PROBE;
        if self.topology.forget(now) {
            self.rerouted(switches);
        }
        let ports: Vec<_> = self.topology.ports().collect();
        for at in ports {
            self.probe(switches, at);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (!self.topology.is_empty()).then_some(self.next_probe)
    }
}
