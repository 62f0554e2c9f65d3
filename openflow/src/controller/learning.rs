//! A learning switch: each switch by itself learns which address is behind which port, and gets a flow for every pair that talks.
use super::{Application, Event, SwitchId, Switches};
use crate::{
    packet::Packet,
    wire::{Action, Field, FlowMod, Match, PacketIn, PortReason, port},
};
use airglow_device::{Instant, MacAddr, RxMeta};
use alloc::collections::BTreeMap;
use core::time::Duration;

/// Seconds without a packet after which a flow goes.
const FLOW_IDLE: u16 = 60;
/// How long an address is remembered without a packet of its own reaching the controller (IEEE 802.1D table 7-5).
const AGE: Duration = Duration::from_secs(300);

/// The learning switch. Networks whose links form loops need [`Routing`](super::Routing).
pub struct Learning {
    most: usize,
    tables: BTreeMap<SwitchId, Table>,
}

#[derive(Default)]
struct Table {
    places: BTreeMap<(u16, MacAddr), (u32, Instant)>,
    swept: Instant,
}

impl Learning {
    /// Learns at most `most` addresses at each switch; to further ones packets are flooded.
    pub const fn new(most: usize) -> Self {
        Self { most, tables: BTreeMap::new() }
    }

    /// The port of a switch that an address without a VLAN tag is behind.
    pub fn port(&self, switch: SwitchId, address: MacAddr) -> Option<u32> {
        self.tables.get(&switch)?.places.get(&(0, address)).map(|(port, _)| *port)
    }
    /// Addresses that are known at a switch.
    pub fn len(&self, switch: SwitchId) -> usize {
        self.tables.get(&switch).map_or(0, |table| table.places.len())
    }

    fn packet(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, packet_in: &PacketIn<'_>) {
        let Some(table) = self.tables.get_mut(&from) else { return };
        let Some(frame) = Frame::read(packet_in) else { return };
        if frame.source.0[0] & 1 == 0 {
            let place = (frame.vlan, frame.source);
            if table.places.len() >= self.most && now.since(table.swept) >= Duration::from_secs(1) {
                table.swept = now;
                table.places.retain(|_, (_, seen)| now.since(*seen) < AGE);
            }
            let room = table.places.len() < self.most;
            match table.places.get_mut(&place) {
                Some((port, seen)) => {
                    if *port != packet_in.in_port {
                        // It moved: the flows to its old place are wrong.
                        *port = packet_in.in_port;
                        let _ = switches.flow_mod(from, &FlowMod::delete(Match::ANY.eth_dst(frame.source)));
                    }
                    *seen = now;
                }
                None if room => {
                    table.places.insert(place, (packet_in.in_port, now));
                }
                None => {}
            }
        }
        let place = table.places.get(&(frame.vlan, frame.destination));
        let to = match place.filter(|(_, seen)| now.since(*seen) < AGE) {
            None => port::FLOOD,
            Some((to, _)) if *to == packet_in.in_port => return,
            Some((to, _)) => {
                let pair = Match::ANY
                    .in_port(packet_in.in_port)
                    .eth_src(frame.source)
                    .eth_dst(frame.destination)
                    .vlan(Some(frame.vlan).filter(|vlan| *vlan != 0));
                let flow = FlowMod::add(pair).priority(10).idle_timeout(FLOW_IDLE);
                let _ = switches.flow_mod(from, &flow.actions([Action::output(*to)].into()));
                *to
            }
        };
        let _ = switches.forward(from, packet_in, &[Action::output(to)]);
    }

    fn port_gone(&mut self, switches: &mut Switches, from: SwitchId, number: u32) {
        if let Some(table) = self.tables.get_mut(&from) {
            table.places.retain(|_, (port, _)| *port != number);
            let _ = switches.flow_mod(from, &FlowMod::delete(Match::ANY).out_port(number));
        }
    }
}

impl Application for Learning {
    fn event(&mut self, now: Instant, switches: &mut Switches, from: SwitchId, event: &Event<'_>) {
        match event {
            Event::Joined => {
                self.tables.insert(from, Table::default());
                let _ = switches.reset(from);
            }
            Event::Left => drop(self.tables.remove(&from)),
            Event::PacketIn(packet) => self.packet(now, switches, from, packet),
            Event::PortStatus(reason, port) if *reason == PortReason::Delete || !port.is_up() => {
                self.port_gone(switches, from, port.number);
            }
            _ => {}
        }
    }
}

/// What a controller looks at in a frame.
pub(super) struct Frame {
    pub source: MacAddr,
    pub destination: MacAddr,
    /// 0 for a frame without a tag.
    pub vlan: u16,
    pub packet: Packet,
}

impl Frame {
    /// `None` when it is none, or one that no bridge forwards (IEEE 802.1Q table 8-1).
    pub fn read(packet_in: &PacketIn<'_>) -> Option<Self> {
        let [d0, d1, d2, d3, d4, d5, s @ ..] = *packet_in.data.first_chunk::<12>()?;
        let destination = MacAddr([d0, d1, d2, d3, d4, d5]);
        if matches!(destination.0, [1, 0x80, 0xc2, 0, 0, 0..=0x0f]) {
            return None;
        }
        let mut packet = Packet::default();
        packet.read(packet_in.in_port, packet_in.data, RxMeta::default());
        let vlan = packet.key().number(Field::VlanVid) as u16 & 0xfff;
        Some(Self { source: MacAddr(s), destination, vlan, packet })
    }
}
