//! A packet's way through the tables: OpenFlow 1.3 section 5, 1.5 section 5.
use super::{Output, Switch, action_set::ActionSet, meter::Verdict, tuple::hash_key};
use crate::{
    packet::Packet,
    wire::{Action, Field, Instructions, Version, port},
};
use airglow_device::{Instant, RxMeta};
use alloc::{rc::Rc, vec::Vec};

/// Deepest nesting of look-ups by `resubmit`.
const DEEPEST_LOOK_UP: u8 = 32;
/// Most look-ups by `resubmit` of one packet.
const LOOK_UPS: u16 = 1024;

/// Why a packet goes to a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No flow matched, or the table-miss flow sent it.
    NoMatch = 0,
    /// A flow's action.
    Action = 1,
    /// Its time to live is up.
    InvalidTtl = 2,
    /// The action set, at the end (1.4).
    ActionSet = 3,
    /// A group's bucket (1.4).
    Group = 4,
    /// A packet-out (1.4).
    PacketOut = 5,
}

impl Reason {
    /// Its number where packets are told by `version`: before 1.4 there are three.
    pub const fn number(self, version: Version) -> u8 {
        match (version, self) {
            (Version::V10 | Version::V13, Self::ActionSet | Self::Group | Self::PacketOut) => 1,
            (_, reason) => reason as u8,
        }
    }
}

/// What of a packet's way its packet-ins tell.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub table: u8,
    pub cookie: u64,
    pub reason: Reason,
    /// How deep in groups.
    pub groups: u8,
    /// How deep in look-ups by `resubmit`.
    pub look_ups: u8,
}

impl Origin {
    /// What comes of no flow.
    pub const fn outside(table: u8, reason: Reason) -> Self {
        Self { table, cookie: u64::MAX, reason, groups: 0, look_ups: 0 }
    }
}

impl Switch {
    /// Takes a frame that came in on a port, complete, and sends it on.
    pub fn receive(&mut self, now: Instant, number: u32, frame: &[u8], out: &mut impl Output) {
        let _ = self.take(number, frame, RxMeta::default());
        self.forward(now, out);
    }

    /// Takes a frame that came in on a port and keeps it for [`forward`](Self::forward): `true` when that is due, because much is kept.
    /// `meta` is what the port's device knows of it, and goes with it to the ports it is sent to. Several segments that the device
    /// has coalesced are one packet to flows and counters, and as many as they are to controllers.
    ///
    /// With many flows in use, frames that are sent on together cost less: their look-ups wait for memory together.
    #[must_use]
    pub fn take(&mut self, number: u32, frame: &[u8], meta: RxMeta) -> bool {
        let Some(port) = self.ports.get_mut(&number) else { return false };
        port.stats.rx_packets += 1;
        port.stats.rx_bytes += frame.len() as u64;
        if port.description.config & (port::config::PORT_DOWN | port::config::NO_RECV) != 0
            || frame.len() < 14
        {
            port.stats.rx_dropped += 1;
            return false;
        }
        self.batch.take(number, frame, meta)
    }

    /// Sends on what was [taken](Self::take).
    pub fn forward(&mut self, now: Instant, out: &mut impl Output) {
        let mut batch = core::mem::take(&mut self.batch);
        let waiting = batch.waiting();
        // All look-ups in the first table come before anything else is done, so that the processor has several of them under way.
        if let Some(table) = self.tables.first().filter(|table| table.is_quick()) {
            waiting.iter_mut().for_each(|(packet, found)| *found = table.find(packet.key()));
        }
        for (packet, found) in waiting {
            self.look_ups = 0;
            if self.run_from(now, 0, 0, packet, found.take(), out).is_none() {
                self.missed(now, 0, packet, out);
            }
        }
        batch.clear();
        self.batch = batch;
    }

    /// Sends a packet through the tables from the first on.
    pub(super) fn run(&mut self, now: Instant, packet: &mut Packet, out: &mut dyn Output) {
        self.look_ups = 0;
        if self.run_from(now, 0, 0, packet, None, out).is_none() {
            self.missed(now, 0, packet, out);
        }
    }

    /// Sends a packet through the tables from `first` on: whether it is still there at the end. `None`: no flow of the first matched.
    /// `found` is the first one's flow where it is known.
    fn run_from(
        &mut self,
        now: Instant,
        first: u8,
        look_ups: u8,
        packet: &mut Packet,
        mut found: Option<u32>,
        out: &mut dyn Output,
    ) -> Option<bool> {
        let mut set = ActionSet::default();
        let mut table = first;
        let mut origin;
        loop {
            let Some((instructions, cookie, miss)) = self.look_up(now, table, packet, found.take()) else {
                if table == first {
                    return None;
                }
                self.missed(now, table, packet, out);
                return Some(true);
            };
            let reason = if miss { Reason::NoMatch } else { Reason::Action };
            origin = Origin { table, cookie, reason, groups: 0, look_ups };
            if let Some(meter) = instructions.meter
                && !self.meter(now, meter, packet)
            {
                return Some(false);
            }
            if !self.apply(now, instructions.applied(), packet, origin, out) {
                return Some(false);
            }
            if instructions.clear {
                set.actions.clear();
            }
            set.write(instructions.written());
            if let Some((value, mask)) = instructions.metadata {
                packet.set_metadata(value, mask);
            }
            match instructions.goto {
                Some(next) if next > table => table = next,
                _ => break,
            }
        }
        if set.actions.is_empty() {
            return Some(true);
        }
        let reason = if origin.reason == Reason::Action { Reason::ActionSet } else { origin.reason };
        Some(self.apply(now, &set.ordered(), packet, Origin { reason, ..origin }, out))
    }

    /// Nicira's `resubmit`: another look-up, from which the packet comes back; `false` when it ended there.
    fn resubmit(
        &mut self,
        now: Instant,
        (port, table): (Option<u32>, Option<u8>),
        packet: &mut Packet,
        origin: Origin,
        out: &mut dyn Output,
    ) -> bool {
        if origin.look_ups >= DEEPEST_LOOK_UP || self.look_ups >= LOOK_UPS {
            self.stats.loops += 1;
            return false;
        }
        self.look_ups += 1;
        let came = packet.key().number(Field::InPort) as u32;
        packet.set_in_port(port.unwrap_or(came));
        let there = self.run_from(now, table.unwrap_or(origin.table), origin.look_ups + 1, packet, None, out);
        packet.set_in_port(came);
        there.unwrap_or(true)
    }

    /// Sends a packet through a meter; `false` when it is dropped there.
    fn meter(&mut self, now: Instant, meter: u32, packet: &mut Packet) -> bool {
        let Some(meter) = self.meters.get_mut(&meter) else { return true };
        match meter.take(now, packet.bytes().len()) {
            Verdict::Pass => {}
            Verdict::Drop => return false,
            Verdict::Remark(precedence) => remark(packet, precedence),
        }
        true
    }

    /// The flow that a packet matches: instructions, cookie, and whether it is the table-miss flow.
    fn look_up(
        &mut self,
        now: Instant,
        number: u8,
        packet: &Packet,
        found: Option<u32>,
    ) -> Option<(Rc<Instructions>, u64, bool)> {
        let table = self.tables.get_mut(usize::from(number))?;
        table.lookups += 1;
        let index = if let Some(index) = found {
            index
        } else if table.is_quick() {
            table.find(packet.key())?
        } else {
            let hash = hash_key(packet.key()) ^ u64::from(number);
            match self.exact.find(hash, number, packet.key()) {
                Some(index) => {
                    self.stats.cached += 1;
                    index
                }
                None => {
                    let index = table.find(packet.key())?;
                    self.exact.keep(hash, number, index, packet.key());
                    index
                }
            }
        };
        table.matched += 1;
        let rule = table.rule_mut(index)?;
        let before = (rule.packets, rule.bytes);
        rule.packets += 1;
        rule.bytes += packet.bytes().len() as u64;
        rule.used = now;
        let miss = rule.priority == 0 && rule.matches.mask.is_zero();
        let (instructions, cookie) = (Rc::clone(&rule.instructions), rule.cookie);
        if let Some(trigger) = &instructions.trigger
            && trigger.is_reached(before, (rule.packets, rule.bytes))
        {
            self.flow_triggered(now, number, index);
        }
        Some((instructions, cookie, miss))
    }

    /// No flow, not even a table-miss flow: 1.0 asks the controller, 1.3 drops; alone, the switch may bridge.
    fn missed(&mut self, now: Instant, table: u8, packet: &mut Packet, out: &mut dyn Output) {
        let origin = Origin::outside(table, Reason::NoMatch);
        if !self.has_controller() {
            if self.config.fail_standalone {
                self.output(now, port::NORMAL, u16::MAX, packet, origin, out);
            } else {
                self.stats.missed += 1;
            }
            return;
        }
        if !self.packet_in_missed(packet, origin) {
            self.stats.missed += 1;
        }
    }

    /// Carries out a list of actions; `false` when the packet ended on the way.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        actions: &[Action],
        packet: &mut Packet,
        origin: Origin,
        out: &mut dyn Output,
    ) -> bool {
        for action in actions {
            match *action {
                Action::Output { port, max_len } => self.output(now, port, max_len, packet, origin, out),
                Action::Group(group) => self.group(now, group, packet, origin, out),
                Action::SetField(field, value) => packet.set_field(field, value.bytes(field)),
                Action::PushVlan(tag) => packet.push_vlan(tag),
                Action::PopVlan => packet.pop_vlan(),
                Action::PushMpls(tag) => packet.push_mpls(tag),
                Action::PopMpls(tag) => packet.pop_mpls(tag),
                Action::SetVlanVid(vid) => packet.set_vlan(Field::VlanVid, vid | 0x1000),
                Action::SetVlanPcp(pcp) => packet.set_vlan(Field::VlanPcp, u16::from(pcp)),
                Action::SetTransportSrc(port) => packet.set_transport(true, port),
                Action::SetTransportDst(port) => packet.set_transport(false, port),
                Action::SetIpTtl(ttl) => packet.set_ip_ttl(ttl),
                Action::SetMplsTtl(ttl) => packet.set_mpls_ttl(ttl),
                Action::DecIpTtl => match packet.ip_ttl() {
                    Some(ttl @ 2..) => packet.set_ip_ttl(ttl - 1),
                    Some(_) => {
                        self.packet_in(packet, Origin { reason: Reason::InvalidTtl, ..origin }, u16::MAX);
                        return false;
                    }
                    None => {}
                },
                Action::DecMplsTtl => match packet.mpls_ttl() {
                    Some(ttl @ 2..) => packet.set_mpls_ttl(ttl - 1),
                    Some(_) => {
                        self.packet_in(packet, Origin { reason: Reason::InvalidTtl, ..origin }, u16::MAX);
                        return false;
                    }
                    None => {}
                },
                Action::CopyTtlOut => {
                    // From the header within to the outermost: from IP, where the label is the only one.
                    let inner = inner_ttl(packet);
                    if let Some(ttl) = inner {
                        packet.set_mpls_ttl(ttl);
                    }
                }
                Action::CopyTtlIn => copy_ttl_in(packet),
                Action::SetMaskedField(field, value, mask) => {
                    packet.set_masked_field(field, value.bytes(field), mask.bytes(field));
                }
                Action::CopyField(copy) => packet.copy_field(&copy),
                Action::Meter(meter) => {
                    if !self.meter(now, meter, packet) {
                        return false;
                    }
                }
                Action::Resubmit { port, table } => {
                    if !self.resubmit(now, (port, table), packet, origin, out) {
                        return false;
                    }
                }
                Action::Controller { max_len, id, reason } => {
                    self.packet_in_to(packet, origin, max_len, id, Some(reason));
                }
                Action::Exit => return false,
                // There are no queues but the port's own.
                Action::Enqueue { port, .. } => self.output(now, port, 0, packet, origin, out),
                Action::SetQueue(_) | Action::PopQueue => {}
            }
        }
        true
    }

    /// Sends a packet to a real or reserved port.
    pub(super) fn output(
        &mut self,
        now: Instant,
        to: u32,
        max_len: u16,
        packet: &mut Packet,
        origin: Origin,
        out: &mut dyn Output,
    ) {
        let came = packet.key().number(Field::InPort) as u32;
        match to {
            port::IN_PORT => self.send(came, packet, out),
            port::FLOOD | port::ALL => {
                let skip = if to == port::FLOOD { port::config::NO_FLOOD } else { 0 };
                self.flood(came, skip, packet, out);
            }
            port::NORMAL => match self.learning.forward(now, packet.key()) {
                Some(known) if known != came => self.send(known, packet, out),
                Some(_) => {}
                None => self.flood(came, port::config::NO_FLOOD, packet, out),
            },
            port::CONTROLLER => self.packet_in(packet, origin, max_len),
            // A frame is never sent back where it came in but through IN_PORT (section 4.5).
            real if real <= port::MAX && real != came => self.send(real, packet, out),
            _ => {}
        }
    }

    fn flood(&mut self, came: u32, skip: u32, packet: &Packet, out: &mut dyn Output) {
        let to: Vec<u32> = self
            .ports
            .values()
            .filter(|port| port.description.number != came && port.description.config & skip == 0)
            .map(|port| port.description.number)
            .collect();
        for number in to {
            self.send(number, packet, out);
        }
    }

    fn send(&mut self, number: u32, packet: &Packet, out: &mut dyn Output) {
        let Some(port) = self.ports.get_mut(&number) else { return };
        let closed = port::config::PORT_DOWN | port::config::NO_FWD;
        if port.description.config & closed != 0 || port.description.link_down {
            port.stats.tx_dropped += 1;
            return;
        }
        if out.transmit(number, packet.bytes(), packet.meta()) {
            port.stats.tx_packets += 1;
            port.stats.tx_bytes += packet.bytes().len() as u64;
        } else {
            port.stats.tx_dropped += 1;
        }
    }
}

/// Raises the drop precedence of an assured-forwarding DSCP (RFC 2597).
fn remark(packet: &mut Packet, precedence: u8) {
    let dscp = packet.key().number(Field::IpDscp) as u8;
    let (class, drop) = (dscp >> 3, dscp >> 1 & 3);
    if (1..=4).contains(&class) && (1..=3).contains(&drop) {
        let drop = drop.saturating_add(precedence).min(3);
        packet.set_field(Field::IpDscp, &[class << 3 | drop << 1]);
    }
}

/// The Ethernet type of what follows the outermost MPLS label; under the last one IP says its version itself.
fn inner_kind(packet: &Packet) -> u16 {
    match (packet.key().number(Field::MplsBos), packet.behind_label()) {
        (0, _) => 0x8847,
        (_, Some(first)) if first >> 4 == 6 => 0x86dd,
        _ => 0x0800,
    }
}

fn inner_ttl(packet: &Packet) -> Option<u8> {
    packet.mpls_ttl()?;
    let mut inner = packet.clone();
    let bottom = inner.key().number(Field::MplsBos) == 1;
    inner.pop_mpls(inner_kind(packet));
    if bottom { inner.ip_ttl() } else { inner.mpls_ttl() }
}

fn copy_ttl_in(packet: &mut Packet) {
    let (Some(ttl), Some(_)) = (packet.mpls_ttl(), inner_ttl(packet)) else { return };
    let kind = packet.key().number(Field::EthType) as u16;
    let label = [Field::MplsLabel, Field::MplsTc, Field::MplsBos].map(|field| (field, *packet.key()));
    let bottom = packet.key().number(Field::MplsBos) == 1;
    packet.pop_mpls(inner_kind(packet));
    if bottom {
        packet.set_ip_ttl(ttl)
    } else {
        packet.set_mpls_ttl(ttl)
    }
    packet.push_mpls(kind);
    for (field, key) in label {
        packet.set_field(field, key.get(field));
    }
    packet.set_mpls_ttl(ttl);
}
