//! Match fields: OXM's table (OpenFlow 1.3 section 7.2.3.7, 1.5 section 7.2.3.8) and registers, each with its place in a [`Key`].
use core::fmt;

/// Bytes of a key.
pub const KEY: usize = 248;
/// Where the registers stand in a [`Key`].
pub const REGISTERS: core::ops::Range<usize> = 184..248;

/// A field that a match may test and an action may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Field {
    InPort = 0,
    InPhyPort = 1,
    Metadata = 2,
    EthDst = 3,
    EthSrc = 4,
    EthType = 5,
    VlanVid = 6,
    VlanPcp = 7,
    IpDscp = 8,
    IpEcn = 9,
    IpProto = 10,
    Ipv4Src = 11,
    Ipv4Dst = 12,
    TcpSrc = 13,
    TcpDst = 14,
    UdpSrc = 15,
    UdpDst = 16,
    SctpSrc = 17,
    SctpDst = 18,
    Icmpv4Type = 19,
    Icmpv4Code = 20,
    ArpOp = 21,
    ArpSpa = 22,
    ArpTpa = 23,
    ArpSha = 24,
    ArpTha = 25,
    Ipv6Src = 26,
    Ipv6Dst = 27,
    Ipv6Flabel = 28,
    Icmpv6Type = 29,
    Icmpv6Code = 30,
    Ipv6NdTarget = 31,
    Ipv6NdSll = 32,
    Ipv6NdTll = 33,
    MplsLabel = 34,
    MplsTc = 35,
    MplsBos = 36,
    PbbIsid = 37,
    TunnelId = 38,
    Ipv6Exthdr = 39,
    /// OpenFlow 1.5, and earlier as the ONF's extension 109.
    TcpFlags = 40,
    /// OpenFlow 1.5: 0 for Ethernet, which is all there is here.
    PacketType = 41,
    /// Sixteen registers of 32 bits (`NXM_NX_REG0` and on).
    Reg0 = 42,
    Reg1 = 43,
    Reg2 = 44,
    Reg3 = 45,
    Reg4 = 46,
    Reg5 = 47,
    Reg6 = 48,
    Reg7 = 49,
    Reg8 = 50,
    Reg9 = 51,
    Reg10 = 52,
    Reg11 = 53,
    Reg12 = 54,
    Reg13 = 55,
    Reg14 = 56,
    Reg15 = 57,
    /// The same as eight of 64 bits (`OXM_OF_PKT_REG0` and on).
    XReg0 = 58,
    XReg1 = 59,
    XReg2 = 60,
    XReg3 = 61,
    XReg4 = 62,
    XReg5 = 63,
    XReg6 = 64,
    XReg7 = 65,
}

/// What the table says of a field.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The field.
    pub field: Field,
    /// Where its value stands in a [`Key`].
    pub offset: usize,
    /// Bytes of a value.
    pub width: usize,
    /// Significant bits of a value.
    pub bits: u32,
    /// A match may mask it.
    pub maskable: bool,
    /// The values of other fields that must be matched exactly before this one means something; any one of them.
    pub needs: &'static [(Field, u16)],
    /// What `ovs-ofctl` and the specification's tables call it.
    pub name: &'static str,
}

const IP: &[(Field, u16)] = &[(Field::EthType, 0x0800), (Field::EthType, 0x86dd)];
const IPV4: &[(Field, u16)] = &[(Field::EthType, 0x0800)];
const IPV6: &[(Field, u16)] = &[(Field::EthType, 0x86dd)];
const ARP: &[(Field, u16)] = &[(Field::EthType, 0x0806), (Field::EthType, 0x8035)];
const MPLS: &[(Field, u16)] = &[(Field::EthType, 0x8847), (Field::EthType, 0x8848)];
const TCP: &[(Field, u16)] = &[(Field::IpProto, 6)];
const UDP: &[(Field, u16)] = &[(Field::IpProto, 17)];
const SCTP: &[(Field, u16)] = &[(Field::IpProto, 132)];
const ICMPV4: &[(Field, u16)] = &[(Field::IpProto, 1)];
const ICMPV6: &[(Field, u16)] = &[(Field::IpProto, 58)];
const ND: &[(Field, u16)] = &[(Field::Icmpv6Type, 135), (Field::Icmpv6Type, 136)];
const ND_SOLICIT: &[(Field, u16)] = &[(Field::Icmpv6Type, 135)];
const ND_ADVERT: &[(Field, u16)] = &[(Field::Icmpv6Type, 136)];

const fn f(
    field: Field,
    offset: usize,
    width: usize,
    bits: u32,
    maskable: bool,
    needs: &'static [(Field, u16)],
    name: &'static str,
) -> Layout {
    Layout { field, offset, width, bits, maskable, needs, name }
}

/// Every field, in the order of its number.
pub static FIELDS: [Layout; 66] = [
    f(Field::InPort, 0, 4, 32, false, &[], "in_port"),
    f(Field::InPhyPort, 4, 4, 32, false, &[], "in_phy_port"),
    f(Field::Metadata, 8, 8, 64, true, &[], "metadata"),
    f(Field::EthDst, 16, 6, 48, true, &[], "eth_dst"),
    f(Field::EthSrc, 22, 6, 48, true, &[], "eth_src"),
    f(Field::EthType, 28, 2, 16, false, &[], "eth_type"),
    f(Field::VlanVid, 30, 2, 13, true, &[], "vlan_vid"),
    f(Field::VlanPcp, 32, 1, 3, false, &[], "vlan_pcp"),
    f(Field::IpDscp, 33, 1, 6, false, IP, "ip_dscp"),
    f(Field::IpEcn, 34, 1, 2, false, IP, "ip_ecn"),
    f(Field::IpProto, 35, 1, 8, false, IP, "ip_proto"),
    f(Field::Ipv4Src, 36, 4, 32, true, IPV4, "ipv4_src"),
    f(Field::Ipv4Dst, 40, 4, 32, true, IPV4, "ipv4_dst"),
    f(Field::TcpSrc, 44, 2, 16, true, TCP, "tcp_src"),
    f(Field::TcpDst, 46, 2, 16, true, TCP, "tcp_dst"),
    f(Field::UdpSrc, 48, 2, 16, true, UDP, "udp_src"),
    f(Field::UdpDst, 50, 2, 16, true, UDP, "udp_dst"),
    f(Field::SctpSrc, 52, 2, 16, true, SCTP, "sctp_src"),
    f(Field::SctpDst, 54, 2, 16, true, SCTP, "sctp_dst"),
    f(Field::Icmpv4Type, 56, 1, 8, false, ICMPV4, "icmpv4_type"),
    f(Field::Icmpv4Code, 57, 1, 8, false, ICMPV4, "icmpv4_code"),
    f(Field::ArpOp, 58, 2, 16, false, ARP, "arp_op"),
    f(Field::ArpSpa, 60, 4, 32, true, ARP, "arp_spa"),
    f(Field::ArpTpa, 64, 4, 32, true, ARP, "arp_tpa"),
    f(Field::ArpSha, 68, 6, 48, true, ARP, "arp_sha"),
    f(Field::ArpTha, 74, 6, 48, true, ARP, "arp_tha"),
    f(Field::Ipv6Src, 80, 16, 128, true, IPV6, "ipv6_src"),
    f(Field::Ipv6Dst, 96, 16, 128, true, IPV6, "ipv6_dst"),
    f(Field::Ipv6Flabel, 112, 4, 20, true, IPV6, "ipv6_flabel"),
    f(Field::Icmpv6Type, 116, 1, 8, false, ICMPV6, "icmpv6_type"),
    f(Field::Icmpv6Code, 117, 1, 8, false, ICMPV6, "icmpv6_code"),
    f(Field::Ipv6NdTarget, 120, 16, 128, true, ND, "ipv6_nd_target"),
    f(Field::Ipv6NdSll, 136, 6, 48, true, ND_SOLICIT, "ipv6_nd_sll"),
    f(Field::Ipv6NdTll, 142, 6, 48, true, ND_ADVERT, "ipv6_nd_tll"),
    f(Field::MplsLabel, 148, 4, 20, false, MPLS, "mpls_label"),
    f(Field::MplsTc, 152, 1, 3, false, MPLS, "mpls_tc"),
    f(Field::MplsBos, 153, 1, 1, false, MPLS, "mpls_bos"),
    f(Field::PbbIsid, 156, 3, 24, true, &[(Field::EthType, 0x88e7)], "pbb_isid"),
    f(Field::TunnelId, 160, 8, 64, true, &[], "tunnel_id"),
    f(Field::Ipv6Exthdr, 168, 2, 9, true, IPV6, "ipv6_exthdr"),
    f(Field::TcpFlags, 170, 2, 12, true, TCP, "tcp_flags"),
    f(Field::PacketType, 172, 4, 32, false, &[], "packet_type"),
    f(Field::Reg0, 184, 4, 32, true, &[], "reg0"),
    f(Field::Reg1, 188, 4, 32, true, &[], "reg1"),
    f(Field::Reg2, 192, 4, 32, true, &[], "reg2"),
    f(Field::Reg3, 196, 4, 32, true, &[], "reg3"),
    f(Field::Reg4, 200, 4, 32, true, &[], "reg4"),
    f(Field::Reg5, 204, 4, 32, true, &[], "reg5"),
    f(Field::Reg6, 208, 4, 32, true, &[], "reg6"),
    f(Field::Reg7, 212, 4, 32, true, &[], "reg7"),
    f(Field::Reg8, 216, 4, 32, true, &[], "reg8"),
    f(Field::Reg9, 220, 4, 32, true, &[], "reg9"),
    f(Field::Reg10, 224, 4, 32, true, &[], "reg10"),
    f(Field::Reg11, 228, 4, 32, true, &[], "reg11"),
    f(Field::Reg12, 232, 4, 32, true, &[], "reg12"),
    f(Field::Reg13, 236, 4, 32, true, &[], "reg13"),
    f(Field::Reg14, 240, 4, 32, true, &[], "reg14"),
    f(Field::Reg15, 244, 4, 32, true, &[], "reg15"),
    f(Field::XReg0, 184, 8, 64, true, &[], "xreg0"),
    f(Field::XReg1, 192, 8, 64, true, &[], "xreg1"),
    f(Field::XReg2, 200, 8, 64, true, &[], "xreg2"),
    f(Field::XReg3, 208, 8, 64, true, &[], "xreg3"),
    f(Field::XReg4, 216, 8, 64, true, &[], "xreg4"),
    f(Field::XReg5, 224, 8, 64, true, &[], "xreg5"),
    f(Field::XReg6, 232, 8, 64, true, &[], "xreg6"),
    f(Field::XReg7, 240, 8, 64, true, &[], "xreg7"),
];

impl Field {
    /// The field with this class and number: OXM's own, the packet registers, or Nicira's NXM where the value is written alike.
    pub fn from_header(class: u16, number: u8) -> Option<Self> {
        let plain = |index: u8| FIELDS.get(usize::from(index)).map(|layout| layout.field);
        match (class, number) {
            (OPENFLOW_BASIC, 0..=39) => plain(number),
            (OPENFLOW_BASIC, 42) => Some(Self::TcpFlags),
            (OPENFLOW_BASIC, 44) => Some(Self::PacketType),
            (PACKET_REGISTERS, 0..=7) => plain(Self::XReg0 as u8 + number),
            (NXM_1, 0..=15) => plain(Self::Reg0 as u8 + number),
            (0 | NXM_1, _) => {
                FIELDS.iter().map(|layout| layout.field).find(|field| field.nxm() == Some((class, number)))
            }
            _ => None,
        }
    }
    /// OXM's class and number.
    pub const fn header(self) -> (u16, u8) {
        match self as u8 {
            number @ 0..=39 => (OPENFLOW_BASIC, number),
            40 => (OPENFLOW_BASIC, 42),
            41 => (OPENFLOW_BASIC, 44),
            number @ 42..=57 => (NXM_1, number - Self::Reg0 as u8),
            number => (PACKET_REGISTERS, number - Self::XReg0 as u8),
        }
    }
    /// NXM's class and number, if it writes the field's value as OXM does (Open vSwitch's `nicira-ext.h`).
    pub const fn nxm(self) -> Option<(u16, u8)> {
        Some(match self {
            Self::EthDst => (0, 1),
            Self::EthSrc => (0, 2),
            Self::EthType => (0, 3),
            Self::IpProto => (0, 6),
            Self::Ipv4Src => (0, 7),
            Self::Ipv4Dst => (0, 8),
            Self::TcpSrc => (0, 9),
            Self::TcpDst => (0, 10),
            Self::UdpSrc => (0, 11),
            Self::UdpDst => (0, 12),
            Self::Icmpv4Type => (0, 13),
            Self::Icmpv4Code => (0, 14),
            Self::ArpOp => (0, 15),
            Self::ArpSpa => (0, 16),
            Self::ArpTpa => (0, 17),
            Self::TunnelId => (NXM_1, 16),
            Self::ArpSha => (NXM_1, 17),
            Self::ArpTha => (NXM_1, 18),
            Self::Ipv6Src => (NXM_1, 19),
            Self::Ipv6Dst => (NXM_1, 20),
            Self::Icmpv6Type => (NXM_1, 21),
            Self::Icmpv6Code => (NXM_1, 22),
            Self::Ipv6NdTarget => (NXM_1, 23),
            Self::Ipv6NdSll => (NXM_1, 24),
            Self::Ipv6NdTll => (NXM_1, 25),
            Self::Ipv6Flabel => (NXM_1, 27),
            Self::IpEcn => (NXM_1, 28),
            Self::TcpFlags => (NXM_1, 34),
            _ => return None,
        })
    }
    /// A register of 32 bits.
    pub const fn is_register(self) -> bool {
        matches!(self as u8, 42..=57)
    }
    /// Two registers as one.
    pub const fn is_wide_register(self) -> bool {
        self as u8 >= Self::XReg0 as u8
    }
    /// What the table says of it.
    pub fn layout(self) -> &'static Layout {
        // The table has a row for each variant, in order; a test checks it.
        &FIELDS[self as usize]
    }
}

/// The class of the specification's own fields.
pub const OPENFLOW_BASIC: u16 = 0x8000;
/// The class of the registers of 64 bits.
pub const PACKET_REGISTERS: u16 = 0x8001;
/// The second of Nicira's classes.
pub const NXM_1: u16 = 1;

/// The values of all fields of a packet, or a mask over them: each field at its [`Layout::offset`], big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u8; KEY]);

impl Key {
    /// All zeros.
    pub const ZERO: Self = Self([0; KEY]);

    /// The bytes of a field.
    pub fn get(&self, field: Field) -> &[u8] {
        let layout = field.layout();
        &self.0[layout.offset..layout.offset + layout.width]
    }
    /// The bytes of a field, to be written.
    pub fn get_mut(&mut self, field: Field) -> &mut [u8] {
        let layout = field.layout();
        &mut self.0[layout.offset..layout.offset + layout.width]
    }
    /// A field of at most eight bytes as a number.
    pub fn number(&self, field: Field) -> u64 {
        self.get(field).iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
    /// Sets a field of at most eight bytes.
    pub fn set(&mut self, field: Field, value: u64) {
        let bytes = value.to_be_bytes();
        let field = self.get_mut(field);
        let width = field.len().min(8);
        field[..width].copy_from_slice(&bytes[8 - width..]);
    }
    /// Every byte is zero.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
    /// Byte by byte `self & mask`.
    #[must_use]
    pub fn masked(&self, mask: &Self) -> Self {
        let mut key = *self;
        key.0.iter_mut().zip(&mask.0).for_each(|(byte, mask)| *byte &= mask);
        key
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for layout in FIELDS.iter().filter(|layout| !layout.field.is_wide_register()) {
            let value = self.get(layout.field);
            if value.iter().any(|byte| *byte != 0) {
                map.entry(&layout.name, &value);
            }
        }
        map.finish()
    }
}

/// What a flow matches: a packet whose masked key is `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// The values, zero where the mask is.
    pub value: Key,
    /// The bits that count.
    pub mask: Key,
}

impl Match {
    /// Matches every packet.
    pub const ANY: Self = Self { value: Key::ZERO, mask: Key::ZERO };

    /// The packet with these fields matches.
    pub fn matches(&self, key: &Key) -> bool {
        key.0.iter().zip(&self.mask.0).zip(&self.value.0).all(|((key, mask), value)| key & mask == *value)
    }

    /// The mask of `field` has a bit.
    pub fn tests(&self, field: Field) -> bool {
        self.mask.get(field).iter().any(|byte| *byte != 0)
    }

    /// Every significant bit of `field` counts.
    pub fn is_exact(&self, field: Field) -> bool {
        full_mask(field, self.mask.get(field))
    }

    /// Every packet that matches `self` matches `other` too.
    pub fn is_within(&self, other: &Self) -> bool {
        let bytes = self.value.0.iter().zip(&self.mask.0).zip(other.value.0.iter().zip(&other.mask.0));
        bytes
            .into_iter()
            .all(|((value, mask), (other, wider))| mask & wider == *wider && value & wider == *other)
    }

    /// Some packet may match both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let bytes = self.value.0.iter().zip(&self.mask.0).zip(other.value.0.iter().zip(&other.mask.0));
        bytes
            .into_iter()
            .all(|((value, mask), (others, other_mask))| (value ^ others) & mask & other_mask == 0)
    }

    /// Sets an exact field of at most eight bytes.
    #[must_use]
    pub fn exact(mut self, field: Field, value: u64) -> Self {
        self.value.set(field, value);
        let bits = field.layout().bits.min(64);
        self.mask.set(field, u64::MAX >> (64 - bits));
        self
    }
}

/// The bits of `value` that `field` does not have are zero.
pub fn fits(field: Field, value: &[u8]) -> bool {
    let layout = field.layout();
    let spare = layout.width * 8 - layout.bits as usize;
    let number = value.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    spare == 0 || number >> layout.bits == 0
}

/// `mask` has every significant bit of `field`.
pub fn full_mask(field: Field, mask: &[u8]) -> bool {
    let layout = field.layout();
    let spare = layout.width * 8 - layout.bits as usize;
    mask.iter().enumerate().all(|(index, byte)| {
        let significant = match spare.checked_sub(index * 8) {
            Some(spare @ 1..=7) => 0xff >> spare,
            Some(8..) => 0,
            _ => 0xff,
        };
        byte & significant == significant
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_fields_do_not_overlap() {
        let mut used = [false; KEY];
        for (number, layout) in FIELDS.iter().enumerate() {
            assert_eq!(layout.field as usize, number);
            assert!(layout.bits as usize <= layout.width * 8 && layout.width <= 16);
            let (class, number) = layout.field.header();
            assert_eq!(Field::from_header(class, number), Some(layout.field));
            if let Some((class, number)) = layout.field.nxm() {
                assert_eq!(Field::from_header(class, number), Some(layout.field));
            }
            if layout.field.is_wide_register() {
                // Two registers of 32 bits.
                assert!(REGISTERS.contains(&layout.offset));
                continue;
            }
            for place in &mut used[layout.offset..layout.offset + layout.width] {
                assert!(!*place, "{}", layout.name);
                *place = true;
            }
        }
    }

    #[test]
    fn matches_within_and_overlap() {
        let ip = Match::ANY.exact(Field::EthType, 0x0800);
        let host = ip.exact(Field::Ipv4Dst, 0x0a00_0001);
        assert!(host.is_within(&ip) && !ip.is_within(&host) && host.overlaps(&ip));
        let other = ip.exact(Field::Ipv4Dst, 0x0a00_0002);
        assert!(!host.overlaps(&other));
        assert!(host.overlaps(&ip.exact(Field::IpProto, 6)) && !host.is_within(&ip.exact(Field::IpProto, 6)));
        assert!(Match::ANY.exact(Field::VlanVid, 0x1005).is_exact(Field::VlanVid));
        assert!(host.is_within(&Match::ANY));
    }
}
