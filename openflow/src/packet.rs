//! Packets: the key that a flow matches, read from a frame, and changes written back with their checksums.
use crate::wire::{CopyField, Field, Key, Match, field::REGISTERS};
use airglow_device::{Cut, RxMeta, complete_checksum, describe_checksum};
use alloc::vec::Vec;

/// Where the layers of a frame begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layers {
    /// The Ethernet type behind all tags, or the MPLS stack's.
    network: usize,
    /// The transport header; 0 when there is none (fragments, other protocols).
    transport: usize,
}

/// A frame on its way through the switch.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    bytes: Vec<u8>,
    key: Key,
    layers: Layers,
    meta: RxMeta,
}

impl Default for Key {
    fn default() -> Self {
        Self::ZERO
    }
}

const VLAN: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]))
}

impl Packet {
    /// Takes in a frame that came in on `port`, of which its device knows `meta`.
    pub fn read(&mut self, port: u32, frame: &[u8], meta: RxMeta) {
        self.meta = meta;
        self.bytes.clear();
        self.bytes.extend_from_slice(frame);
        // A fresh key: nothing of an old one is to be kept, as `parse` would.
        self.key = Key::ZERO;
        self.key.set(Field::InPort, u64::from(port));
        self.layers = Layers::default();
        let _ = self.parse_layers();
    }

    /// The frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// What its device said of it: its checksum may be incomplete, and it may be several segments coalesced.
    pub const fn meta(&self) -> RxMeta {
        self.meta
    }
    /// Passes the frame on as it would be on a wire, for who knows nothing of offloads: its checksum complete, and cut into segments.
    /// What cannot be cut is passed as it is.
    pub fn complete(&self, mut each: impl FnMut(&Self)) {
        if self.meta == RxMeta::default() {
            return each(self);
        }
        let mut whole = Self { meta: RxMeta::default(), ..self.clone() };
        let Some(cut) = Cut::of_frame(&self.bytes, self.meta.gro_segment.into()) else {
            if let Some(meta) = describe_checksum(&mut whole.bytes) {
                complete_checksum(&mut whole.bytes, meta);
            }
            return each(&whole);
        };
        for number in 0..cut.count() {
            whole.bytes.resize(cut.len(number), 0);
            if let Some(meta) = cut.write_described(number, &mut whole.bytes) {
                complete_checksum(&mut whole.bytes, meta);
                each(&whole);
            }
        }
    }
    /// Its key.
    pub const fn key(&self) -> &Key {
        &self.key
    }
    /// Sets the metadata.
    pub fn set_metadata(&mut self, value: u64, mask: u64) {
        let old = self.key.number(Field::Metadata);
        self.key.set(Field::Metadata, old & !mask | value & mask);
    }
    /// Says where the packet came in, as a packet-out does.
    pub fn set_in_port(&mut self, port: u32) {
        self.key.set(Field::InPort, u64::from(port));
    }
    /// Sets what of `fields` the pipeline adds to a packet, as a packet-out does.
    pub fn set_pipeline(&mut self, fields: &Match) {
        let own = [Field::InPort, Field::Metadata, Field::TunnelId].map(|field| {
            let layout = field.layout();
            layout.offset..layout.offset + layout.width
        });
        for range in own.into_iter().chain([REGISTERS]) {
            self.key.0[range.clone()].copy_from_slice(&fields.value.0[range]);
        }
    }

    /// Sets the bits of `mask` of a field, if the frame has it.
    pub fn set_masked_field(&mut self, field: Field, value: &[u8], mask: &[u8]) {
        let mut new = [0; 16];
        let old = self.key.get(field);
        for (new, (old, (value, mask))) in new.iter_mut().zip(old.iter().zip(value.iter().zip(mask))) {
            *new = old & !mask | value & mask;
        }
        self.set_field(field, new.get(..value.len()).unwrap_or(value));
    }

    /// Copies bits from one field to another.
    pub fn copy_field(&mut self, copy: &CopyField) {
        let number =
            |key: &Key, field| key.get(field).iter().fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
        let bits = u128::MAX >> 128_u32.saturating_sub(copy.bits.into()).min(127);
        let from = number(&self.key, copy.source) >> copy.from.min(127) & bits;
        let to = copy.to.min(127);
        let new = number(&self.key, copy.destination) & !(bits << to) | from << to;
        let width = copy.destination.layout().width;
        self.set_field(copy.destination, new.to_be_bytes().get(16 - width..).unwrap_or(&[]));
    }

    /// Reads the key again from the frame; port, metadata, tunnel and registers stay.
    fn parse(&mut self) {
        let old = self.key;
        self.key = Key::ZERO;
        self.key.0[REGISTERS].copy_from_slice(&old.0[REGISTERS]);
        for field in [Field::InPort, Field::Metadata, Field::TunnelId] {
            self.key.get_mut(field).copy_from_slice(old.get(field));
        }
        self.layers = Layers::default();
        let _ = self.parse_layers();
    }

    /// `None` where the frame ends too early: what was read stays.
    fn parse_layers(&mut self) -> Option<()> {
        let Self { bytes, key, layers, .. } = self;
        let bytes: &[u8] = bytes;
        key.get_mut(Field::EthDst).copy_from_slice(bytes.get(..6)?);
        key.get_mut(Field::EthSrc).copy_from_slice(bytes.get(6..12)?);
        let mut at = 12;
        let mut kind = u16_at(bytes, at)?;
        if kind == VLAN || kind == VLAN_SERVICE {
            let tag = u16_at(bytes, at + 2)?;
            key.set(Field::VlanVid, u64::from(tag & 0xfff) | 0x1000);
            key.set(Field::VlanPcp, u64::from(tag >> 13));
            // Only the outermost tag is matched; what follows the others is the type.
            while kind == VLAN || kind == VLAN_SERVICE {
                at += 4;
                kind = u16_at(bytes, at)?;
            }
        }
        // Below 0x600 it is a length: IEEE 802.3, perhaps with SNAP (section 7.2.3.7 calls the rest 0x05ff).
        let mut network = at + 2;
        if kind < 0x600 {
            kind = 0x05ff;
            if bytes.get(network..network + 6) == Some(&[0xaa, 0xaa, 3, 0, 0, 0]) {
                kind = u16_at(bytes, network + 6)?;
                network += 8;
            }
        }
        layers.network = network;
        key.set(Field::EthType, u64::from(kind));
        match kind {
            0x0800 => Self::parse_ipv4(bytes, network, key, layers),
            0x86dd => Self::parse_ipv6(bytes, network, key, layers),
            0x0806 | 0x8035 => Self::parse_arp(bytes.get(network..)?, key),
            0x8847 | 0x8848 => {
                let label = u32::from_be_bytes(*bytes.get(network..)?.first_chunk()?);
                key.set(Field::MplsLabel, u64::from(label >> 12));
                key.set(Field::MplsTc, u64::from(label >> 9 & 7));
                key.set(Field::MplsBos, u64::from(label >> 8 & 1));
                Some(())
            }
            _ => Some(()),
        }
    }

    fn parse_ipv4(bytes: &[u8], network: usize, key: &mut Key, layers: &mut Layers) -> Option<()> {
        let header = bytes.get(network..)?.first_chunk::<20>()?;
        let length = usize::from(header[0] & 15) * 4;
        if header[0] >> 4 != 4 || length < 20 {
            return None;
        }
        key.set(Field::IpDscp, u64::from(header[1] >> 2));
        key.set(Field::IpEcn, u64::from(header[1] & 3));
        key.set(Field::IpProto, u64::from(header[9]));
        key.get_mut(Field::Ipv4Src).copy_from_slice(&header[12..16]);
        key.get_mut(Field::Ipv4Dst).copy_from_slice(&header[16..20]);
        let later_fragment = (u16::from(header[6]) << 8 | u16::from(header[7])) & 0x1fff != 0;
        if later_fragment {
            return Some(());
        }
        Self::parse_transport(bytes, network + length, header[9], key, layers)
    }

    fn parse_ipv6(bytes: &[u8], network: usize, key: &mut Key, layers: &mut Layers) -> Option<()> {
        let header = bytes.get(network..)?.first_chunk::<40>()?;
        let word = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        if word >> 28 != 6 {
            return None;
        }
        key.set(Field::IpDscp, u64::from(word >> 22 & 63));
        key.set(Field::IpEcn, u64::from(word >> 20 & 3));
        key.set(Field::Ipv6Flabel, u64::from(word & 0xf_ffff));
        key.get_mut(Field::Ipv6Src).copy_from_slice(&header[8..24]);
        key.get_mut(Field::Ipv6Dst).copy_from_slice(&header[24..40]);
        let (mut next, mut at) = (header[6], network + 40);
        let mut extensions = 0_u64;
        // At most eight extension headers; more are not looked behind.
        for _ in 0..8 {
            let (bit, length) = match next {
                0 | 43 | 60 | 51 => {
                    let [_, length] = *bytes.get(at..)?.first_chunk::<2>()?;
                    let unit = if next == 51 {
                        (usize::from(length) + 2) * 4
                    } else {
                        (usize::from(length) + 1) * 8
                    };
                    (
                        match next {
                            0 => 6,
                            43 => 5,
                            60 => 3,
                            _ => 2,
                        },
                        unit,
                    )
                }
                44 => (4, 8),
                59 => {
                    extensions |= 1;
                    break;
                }
                _ => break,
            };
            extensions |= 1 << bit;
            let fragment = next == 44 && u16_at(bytes, at + 2)? & 0xfff8 != 0;
            next = *bytes.get(at)?;
            at += length;
            if fragment {
                key.set(Field::IpProto, u64::from(next));
                key.set(Field::Ipv6Exthdr, extensions);
                return Some(());
            }
        }
        key.set(Field::IpProto, u64::from(next));
        key.set(Field::Ipv6Exthdr, extensions);
        Self::parse_transport(bytes, at, next, key, layers)
    }

    fn parse_transport(
        bytes: &[u8],
        at: usize,
        protocol: u8,
        key: &mut Key,
        layers: &mut Layers,
    ) -> Option<()> {
        let fields = match protocol {
            6 => [Field::TcpSrc, Field::TcpDst],
            17 => [Field::UdpSrc, Field::UdpDst],
            132 => [Field::SctpSrc, Field::SctpDst],
            1 | 58 => {
                let [kind, code] = *bytes.get(at..)?.first_chunk::<2>()?;
                let v4 = protocol == 1;
                key.set(if v4 { Field::Icmpv4Type } else { Field::Icmpv6Type }, u64::from(kind));
                key.set(if v4 { Field::Icmpv4Code } else { Field::Icmpv6Code }, u64::from(code));
                layers.transport = at;
                if !v4 && matches!(kind, 135 | 136) && code == 0 {
                    key.get_mut(Field::Ipv6NdTarget).copy_from_slice(bytes.get(at + 8..at + 24)?);
                    // The option that gives the link-layer address: source for solicitations, target for advertisements.
                    let mut option = at + 24;
                    while let Some(&[kind_of, units]) =
                        bytes.get(option..).and_then(|rest| rest.first_chunk::<2>())
                    {
                        if units == 0 {
                            break;
                        }
                        let address = bytes.get(option + 2..option + 8);
                        match (kind, kind_of, address) {
                            (135, 1, Some(address)) => key.get_mut(Field::Ipv6NdSll).copy_from_slice(address),
                            (136, 2, Some(address)) => key.get_mut(Field::Ipv6NdTll).copy_from_slice(address),
                            _ => {}
                        }
                        option += usize::from(units) * 8;
                    }
                }
                return Some(());
            }
            _ => return Some(()),
        };
        let ports = bytes.get(at..at + 4)?;
        key.get_mut(fields[0]).copy_from_slice(&ports[..2]);
        key.get_mut(fields[1]).copy_from_slice(&ports[2..]);
        layers.transport = at;
        if let (6, Some(flags)) = (protocol, u16_at(bytes, at + 12)) {
            key.set(Field::TcpFlags, u64::from(flags & 0xfff));
        }
        Some(())
    }

    fn parse_arp(arp: &[u8], key: &mut Key) -> Option<()> {
        let arp = arp.first_chunk::<28>()?;
        if arp[..6] != [0, 1, 8, 0, 6, 4] {
            return None;
        }
        key.get_mut(Field::ArpOp).copy_from_slice(&arp[6..8]);
        for (field, at) in [(Field::ArpSha, 8), (Field::ArpSpa, 14), (Field::ArpTha, 18), (Field::ArpTpa, 24)]
        {
            let target = key.get_mut(field);
            let width = target.len();
            target.copy_from_slice(&arp[at..at + width]);
        }
        Some(())
    }

    /// Sets a field of the frame, if it has it, and mends the checksums that cover it (RFC 1624).
    pub fn set_field(&mut self, field: Field, value: &[u8]) {
        let network = self.layers.network;
        let transport = self.layers.transport;
        let kind = self.key.number(Field::EthType);
        let is = |kinds: &[u64]| kinds.contains(&kind);
        let protocol = self.key.number(Field::IpProto);
        // A header that is cut off has no fields to set.
        let header = match kind {
            0x0800 => 20,
            0x86dd => 40,
            0x0806 | 0x8035 => 28,
            _ => 0,
        };
        // What the pipeline adds stands in the key alone.
        if matches!(field, Field::TunnelId | Field::Metadata)
            || field.is_register()
            || field.is_wide_register()
        {
            return self.key.get_mut(field).copy_from_slice(value);
        }
        let outer = matches!(field, Field::EthDst | Field::EthSrc | Field::VlanVid | Field::VlanPcp);
        if !outer && self.bytes.len() < network + header {
            return;
        }
        match field {
            Field::EthDst => self.write(0, value),
            Field::EthSrc => self.write(6, value),
            Field::VlanVid | Field::VlanPcp => {
                if let Some(tag) = self.tag() {
                    let number = value.iter().fold(0_u16, |n, b| n << 8 | u16::from(*b));
                    let tag = match field {
                        Field::VlanVid => tag & 0xf000 | number & 0xfff,
                        _ => tag & 0x1fff | number << 13,
                    };
                    self.write(14, &tag.to_be_bytes());
                }
            }
            Field::IpDscp | Field::IpEcn if is(&[0x0800]) => {
                let old = self.bytes[network + 1];
                let new = if field == Field::IpDscp { old & 3 | value[0] << 2 } else { old & !3 | value[0] };
                self.write_ipv4(network + 1, &[new]);
            }
            Field::IpDscp | Field::IpEcn if is(&[0x86dd]) => {
                let word = u16::from_be_bytes([self.bytes[network], self.bytes[network + 1]]);
                let new = match field {
                    Field::IpDscp => word & 0xf03f | u16::from(value[0]) << 6,
                    _ => word & 0xffcf | u16::from(value[0]) << 4,
                };
                self.write(network, &new.to_be_bytes());
            }
            Field::IpProto if is(&[0x0800]) => self.write_ipv4(network + 9, value),
            Field::Ipv4Src if is(&[0x0800]) => self.write_address(network + 12, value, true),
            Field::Ipv4Dst if is(&[0x0800]) => self.write_address(network + 16, value, true),
            Field::Ipv6Src if is(&[0x86dd]) => self.write_address(network + 8, value, false),
            Field::Ipv6Dst if is(&[0x86dd]) => self.write_address(network + 24, value, false),
            Field::Ipv6Flabel if is(&[0x86dd]) => {
                let high = self.bytes[network + 1] & 0xf0 | value[1] & 0x0f;
                self.write(network + 1, &[high, value[2], value[3]]);
            }
            Field::TcpSrc
            | Field::UdpSrc
            | Field::SctpSrc
            | Field::TcpDst
            | Field::UdpDst
            | Field::SctpDst => {
                let (number, second) = match field {
                    Field::TcpSrc => (6, 0),
                    Field::TcpDst => (6, 2),
                    Field::UdpSrc => (17, 0),
                    Field::UdpDst => (17, 2),
                    Field::SctpSrc => (132, 0),
                    _ => (132, 2),
                };
                if transport > 0 && protocol == number {
                    self.write_transport(transport + second, value);
                }
            }
            Field::Icmpv4Type | Field::Icmpv6Type | Field::Icmpv4Code | Field::Icmpv6Code => {
                let v4 = matches!(field, Field::Icmpv4Type | Field::Icmpv4Code);
                let at = transport + usize::from(matches!(field, Field::Icmpv4Code | Field::Icmpv6Code));
                if transport > 0 && protocol == if v4 { 1 } else { 58 } {
                    self.write_transport(at, value);
                }
            }
            Field::ArpOp | Field::ArpSha | Field::ArpSpa | Field::ArpTha | Field::ArpTpa
                if is(&[0x0806, 0x8035]) =>
            {
                let at = match field {
                    Field::ArpOp => 6,
                    Field::ArpSha => 8,
                    Field::ArpSpa => 14,
                    Field::ArpTha => 18,
                    _ => 24,
                };
                self.write(network + at, value);
            }
            Field::Ipv6NdTarget if transport > 0 && self.key.number(Field::Icmpv6Type) >= 135 => {
                self.write_transport(transport + 8, value);
            }
            Field::MplsLabel | Field::MplsTc | Field::MplsBos if is(&[0x8847, 0x8848]) => {
                if let Some(word) = self.label() {
                    let number = value.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
                    let word = match field {
                        Field::MplsLabel => word & 0xfff | number << 12,
                        Field::MplsTc => word & !0xe00 | number << 9,
                        _ => word & !0x100 | number << 8,
                    };
                    self.write(network, &word.to_be_bytes());
                }
            }
            _ => return,
        }
        self.parse();
    }

    fn write(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    /// Writes into the IPv4 header and mends its checksum.
    fn write_ipv4(&mut self, at: usize, value: &[u8]) {
        let network = self.layers.network;
        self.write_summed(at, value, network, network + 10, false);
    }

    /// Writes an address, which the transport's checksum covers too.
    fn write_address(&mut self, at: usize, value: &[u8], v4: bool) {
        let old: [u8; 16] = core::array::from_fn(|n| self.bytes.get(at + n).copied().unwrap_or(0));
        if let Some(checksum) = self.transport_checksum(true) {
            self.mend(checksum, &old[..value.len()], value, self.key.number(Field::IpProto) == 17);
        }
        if v4 { self.write_ipv4(at, value) } else { self.write(at, value) }
    }

    fn write_transport(&mut self, at: usize, value: &[u8]) {
        let transport = self.layers.transport;
        match self.transport_checksum(false) {
            Some(checksum) => {
                self.write_summed(at, value, transport, checksum, self.key.number(Field::IpProto) == 17);
            }
            None => self.write(at, value),
        }
    }

    /// Where the transport's checksum stands. `pseudo`: only if it covers the addresses.
    fn transport_checksum(&self, pseudo: bool) -> Option<usize> {
        let transport = Some(self.layers.transport).filter(|at| *at > 0)?;
        let place = match self.key.number(Field::IpProto) {
            6 => 16,
            17 => 6,
            58 => 2,
            1 if !pseudo => 2,
            _ => return None,
        };
        (self.bytes.len() >= transport + place + 2).then_some(transport + place)
    }

    /// Writes `value` at `at` and mends the checksum at `checksum` over a header that begins at `start`.
    fn write_summed(&mut self, at: usize, value: &[u8], start: usize, checksum: usize, udp: bool) {
        // Whole words, counted from the header's start.
        let from = at - (at - start) % 2;
        let end = from + (at + value.len() - from).next_multiple_of(2);
        let mut old = [0; 20];
        let span = end - from;
        let Some(place) = self.bytes.get(from..end).filter(|_| span <= old.len()) else {
            return self.write(at, value);
        };
        old[..span].copy_from_slice(place);
        let mut new = old;
        new[at - from..at - from + value.len()].copy_from_slice(value);
        self.write(at, value);
        self.mend(checksum, &old[..span], &new[..span], udp);
    }

    /// RFC 1624: HC' = ~(~HC + ~m + m'). A UDP checksum of zero means there is none.
    fn mend(&mut self, at: usize, old: &[u8], new: &[u8], udp: bool) {
        let Some(sum) = u16_at(&self.bytes, at) else { return };
        if udp && sum == 0 {
            return;
        }
        let mut total = u32::from(!sum);
        for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            total += u32::from(!u16::from_be_bytes([old[0], old[1]]))
                + u32::from(u16::from_be_bytes([new[0], new[1]]));
        }
        while total >> 16 != 0 {
            total = (total & 0xffff) + (total >> 16);
        }
        let sum = match !(total as u16) {
            0 if udp => 0xffff,
            sum => sum,
        };
        self.write(at, &sum.to_be_bytes());
    }

    fn tag(&self) -> Option<u16> {
        let kind = u16_at(&self.bytes, 12)?;
        u16_at(&self.bytes, 14).filter(|_| kind == VLAN || kind == VLAN_SERVICE)
    }

    fn label(&self) -> Option<u32> {
        self.bytes.get(self.layers.network..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    /// Adds a VLAN tag outside all others; id and priority are those of the tag below, or 0.
    pub fn push_vlan(&mut self, kind: u16) {
        if self.bytes.len() < 14 {
            return;
        }
        let [a, b] = kind.to_be_bytes();
        let [c, d] = self.tag().unwrap_or(0).to_be_bytes();
        self.bytes.splice(12..12, [a, b, c, d]);
        self.parse();
    }

    /// Takes the outermost VLAN tag away.
    pub fn pop_vlan(&mut self) {
        if self.tag().is_some() && self.bytes.len() >= 18 {
            self.bytes.drain(12..16);
            self.parse();
        }
    }

    /// Sets the VLAN id or priority as OpenFlow 1.0 does, with a tag of its own where there is none.
    pub fn set_vlan(&mut self, field: Field, value: u16) {
        if self.tag().is_none() {
            self.push_vlan(VLAN);
        }
        let bytes = value.to_be_bytes();
        self.set_field(field, if field == Field::VlanPcp { &bytes[1..] } else { &bytes });
    }

    /// Sets the source (`true`) or destination port of whatever transport there is.
    pub fn set_transport(&mut self, source: bool, port: u16) {
        let field = match (self.key.number(Field::IpProto), source) {
            (6, true) => Field::TcpSrc,
            (6, false) => Field::TcpDst,
            (17, true) => Field::UdpSrc,
            (17, false) => Field::UdpDst,
            (132, true) => Field::SctpSrc,
            (132, false) => Field::SctpDst,
            _ => return,
        };
        self.set_field(field, &port.to_be_bytes());
    }

    /// Adds an MPLS label outside all others: label, class and TTL of the one below; else label 0 and IP's TTL.
    pub fn push_mpls(&mut self, kind: u16) {
        let network = self.layers.network;
        if network < 14 || self.bytes.len() < network {
            return;
        }
        let mpls = matches!(self.key.number(Field::EthType), 0x8847 | 0x8848);
        let word = match self.label().filter(|_| mpls) {
            Some(word) => word & !0x100,
            None => 0x100 | u32::from(self.ip_ttl().unwrap_or(64)),
        };
        self.bytes.splice(network..network, word.to_be_bytes());
        self.write(network - 2, &kind.to_be_bytes());
        self.parse();
    }

    /// Takes the outermost MPLS label away; what follows is of the Ethernet type `kind`.
    pub fn pop_mpls(&mut self, kind: u16) {
        let network = self.layers.network;
        if matches!(self.key.number(Field::EthType), 0x8847 | 0x8848) && self.bytes.len() >= network + 4 {
            self.bytes.drain(network..network + 4);
            self.write(network - 2, &kind.to_be_bytes());
            self.parse();
        }
    }

    fn ttl_place(&self) -> Option<usize> {
        match self.key.number(Field::EthType) {
            0x0800 => Some(self.layers.network + 8),
            0x86dd => Some(self.layers.network + 7),
            _ => None,
        }
        .filter(|at| *at < self.bytes.len())
    }

    /// IP's time to live or hop limit.
    pub fn ip_ttl(&self) -> Option<u8> {
        self.bytes.get(self.ttl_place()?).copied()
    }

    /// Sets it.
    pub fn set_ip_ttl(&mut self, ttl: u8) {
        if let Some(at) = self.ttl_place() {
            if self.key.number(Field::EthType) == 0x0800 {
                self.write_ipv4(at, &[ttl])
            } else {
                self.write(at, &[ttl])
            }
        }
    }

    /// The first byte behind the outermost MPLS label.
    pub(crate) fn behind_label(&self) -> Option<u8> {
        self.bytes.get(self.layers.network + 4).copied()
    }

    /// The outermost MPLS label's time to live.
    pub fn mpls_ttl(&self) -> Option<u8> {
        let mpls = matches!(self.key.number(Field::EthType), 0x8847 | 0x8848);
        self.label().filter(|_| mpls).map(|word| word as u8)
    }

    /// Sets it.
    pub fn set_mpls_ttl(&mut self, ttl: u8) {
        if self.mpls_ttl().is_some() {
            self.write(self.layers.network + 3, &[ttl]);
        }
    }
}

#[cfg(test)]
mod tests;
