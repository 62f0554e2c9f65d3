//! Matches and flow changes written down in a program: each typed field brings what it needs with it.
use super::{Action, Command, Field, FlowMod, Instructions, Match, flow_mod, port};
use airglow_device::MacAddr;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

impl Match {
    /// Sets the first bits of a field to those of `value`, as many as `prefix` says (all of them at most).
    #[must_use]
    pub fn prefix(mut self, field: Field, value: &[u8], prefix: u32) -> Self {
        let width = field.layout().width;
        for (index, byte) in value.iter().take(width).enumerate() {
            let bits = prefix.saturating_sub(index as u32 * 8).min(8);
            let mask = !(0xff_u8.checked_shr(bits).unwrap_or(0));
            self.mask.get_mut(field)[index] = mask;
            self.value.get_mut(field)[index] = byte & mask;
        }
        self
    }
    fn address(self, field: Field, address: MacAddr) -> Self {
        self.prefix(field, &address.0, 48)
    }
    /// Came in on this port.
    #[must_use]
    pub fn in_port(self, port: u32) -> Self {
        self.exact(Field::InPort, port.into())
    }
    /// From this Ethernet address.
    #[must_use]
    pub fn eth_src(self, address: MacAddr) -> Self {
        self.address(Field::EthSrc, address)
    }
    /// To this Ethernet address.
    #[must_use]
    pub fn eth_dst(self, address: MacAddr) -> Self {
        self.address(Field::EthDst, address)
    }
    /// Of this Ethernet type.
    #[must_use]
    pub fn eth_type(self, kind: u16) -> Self {
        self.exact(Field::EthType, kind.into())
    }
    /// In this VLAN; `None`: without a tag.
    #[must_use]
    pub fn vlan(self, vid: Option<u16>) -> Self {
        self.exact(Field::VlanVid, vid.map_or(0, |vid| u64::from(vid & 0xfff) | 0x1000))
    }
    fn ip(self, v4: Field, v6: Field, address: IpAddr, prefix: u32) -> Self {
        match address {
            IpAddr::V4(address) => self.eth_type(0x0800).prefix(v4, &address.octets(), prefix),
            IpAddr::V6(address) => self.eth_type(0x86dd).prefix(v6, &address.octets(), prefix),
        }
    }
    /// From an IP network; sets the Ethernet type.
    #[must_use]
    pub fn ip_src(self, address: IpAddr, prefix: u32) -> Self {
        self.ip(Field::Ipv4Src, Field::Ipv6Src, address, prefix)
    }
    /// To an IP network; sets the Ethernet type.
    #[must_use]
    pub fn ip_dst(self, address: IpAddr, prefix: u32) -> Self {
        self.ip(Field::Ipv4Dst, Field::Ipv6Dst, address, prefix)
    }
    /// ARP that asks for, or answers to, this address.
    #[must_use]
    pub fn arp_target(self, address: Ipv4Addr) -> Self {
        self.eth_type(0x0806).prefix(Field::ArpTpa, &address.octets(), 32)
    }
    /// Of this IP protocol. Without an Ethernet type yet, IPv4's is set.
    #[must_use]
    pub fn ip_proto(self, protocol: u8) -> Self {
        let typed = if self.tests(Field::EthType) { self } else { self.eth_type(0x0800) };
        typed.exact(Field::IpProto, protocol.into())
    }
    /// To this TCP port; sets the protocol.
    #[must_use]
    pub fn tcp_dst(self, port: u16) -> Self {
        self.ip_proto(6).exact(Field::TcpDst, port.into())
    }
    /// From this TCP port; sets the protocol.
    #[must_use]
    pub fn tcp_src(self, port: u16) -> Self {
        self.ip_proto(6).exact(Field::TcpSrc, port.into())
    }
    /// To this UDP port; sets the protocol.
    #[must_use]
    pub fn udp_dst(self, port: u16) -> Self {
        self.ip_proto(17).exact(Field::UdpDst, port.into())
    }
    /// From this UDP port; sets the protocol.
    #[must_use]
    pub fn udp_src(self, port: u16) -> Self {
        self.ip_proto(17).exact(Field::UdpSrc, port.into())
    }
}

/// A flow change, part by part.
///
/// ```
/// use airglow_openflow::wire::{Action, FlowMod, Match};
///
/// let web = Match::ANY.in_port(1).ip_dst([10, 0, 0, 0].into(), 8).tcp_dst(80);
/// let flow = FlowMod::add(web).priority(10).idle_timeout(60).actions(vec![Action::output(2)]);
/// assert_eq!((flow.priority, flow.idle_timeout), (10, 60));
/// ```
impl FlowMod {
    fn of(command: Command, matches: Match) -> Self {
        let delete = matches!(command, Command::Delete | Command::DeleteStrict);
        Self {
            cookie: 0,
            cookie_mask: 0,
            table: if delete { flow_mod::ALL_TABLES } else { 0 },
            command,
            idle_timeout: 0,
            hard_timeout: 0,
            priority: 0,
            buffer: flow_mod::NO_BUFFER,
            out_port: port::ANY,
            out_group: flow_mod::ANY_GROUP,
            flags: 0,
            importance: 0,
            new_cookie: None,
            matches,
            instructions: Instructions::default(),
        }
    }
    /// Adds a flow to table 0, of priority 0, that drops until it has [`actions`](Self::actions).
    pub fn add(matches: Match) -> Self {
        Self::of(Command::Add, matches)
    }
    /// Deletes the flows within `matches`, in all tables.
    pub fn delete(matches: Match) -> Self {
        Self::of(Command::Delete, matches)
    }
    /// The table that is meant.
    #[must_use]
    pub fn table(self, table: u8) -> Self {
        Self { table, ..self }
    }
    /// The larger wins.
    #[must_use]
    pub fn priority(self, priority: u16) -> Self {
        Self { priority, ..self }
    }
    /// Seconds without a packet after which the flow goes.
    #[must_use]
    pub fn idle_timeout(self, idle_timeout: u16) -> Self {
        Self { idle_timeout, ..self }
    }
    /// Seconds after which the flow goes in any case.
    #[must_use]
    pub fn hard_timeout(self, hard_timeout: u16) -> Self {
        Self { hard_timeout, ..self }
    }
    /// Marks the flow; deletes only flows marked so (1.3).
    #[must_use]
    pub fn cookie(self, cookie: u64) -> Self {
        let cookie_mask = if self.command == Command::Add { 0 } else { u64::MAX };
        Self { cookie, cookie_mask, ..self }
    }
    /// Deletes only flows that send to this port.
    #[must_use]
    pub fn out_port(self, out_port: u32) -> Self {
        Self { out_port, ..self }
    }
    /// When a full table makes room, flows of the least importance go first (1.4).
    #[must_use]
    pub fn importance(self, importance: u16) -> Self {
        Self { importance, ..self }
    }
    /// Bits of [`flow_mod::flags`].
    #[must_use]
    pub fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }
    /// What is done at once with the packets.
    #[must_use]
    pub fn actions(self, actions: Vec<Action>) -> Self {
        Self { instructions: Instructions::of_actions(actions), ..self }
    }
}

impl Action {
    /// Sends the packet to a port; to the controller, all of it.
    pub const fn output(port: u32) -> Self {
        Self::Output { port, max_len: u16::MAX }
    }
}
