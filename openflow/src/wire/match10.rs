//! The 12-tuple of OpenFlow 1.0 (section 5.2.3): forty bytes with a word of wildcards.
use super::{
    Fault, Reader,
    field::{Field, Match},
};
use alloc::vec::Vec;

const IN_PORT: u32 = 1;
const DL_VLAN: u32 = 1 << 1;
const DL_SRC: u32 = 1 << 2;
const DL_DST: u32 = 1 << 3;
const DL_TYPE: u32 = 1 << 4;
const NW_PROTO: u32 = 1 << 5;
const TP_SRC: u32 = 1 << 6;
const TP_DST: u32 = 1 << 7;
const NW_SRC_SHIFT: u32 = 8;
const NW_DST_SHIFT: u32 = 14;
const DL_VLAN_PCP: u32 = 1 << 20;
const NW_TOS: u32 = 1 << 21;
const ALL: u32 = (1 << 22) - 1;
/// "No VLAN tag" in `dl_vlan`.
const VLAN_NONE: u16 = 0xffff;

/// Which fields the two transport words stand for.
fn transport(found: &Match) -> Option<[Field; 2]> {
    if !found.is_exact(Field::IpProto) {
        return None;
    }
    Some(match (found.value.number(Field::EthType), found.value.number(Field::IpProto)) {
        (0x0800, 6) => [Field::TcpSrc, Field::TcpDst],
        (0x0800, 17) => [Field::UdpSrc, Field::UdpDst],
        (0x0800, 132) => [Field::SctpSrc, Field::SctpDst],
        (0x0800, 1) => [Field::Icmpv4Type, Field::Icmpv4Code],
        _ => return None,
    })
}

/// Reads a match. Fields whose prerequisites are not matched are ignored, as section 3.4 says.
///
/// # Errors
/// [`Fault::BadLength`].
pub fn parse_match(reader: &mut Reader<'_>) -> Result<Match, Fault> {
    let wildcards = reader.u32()?;
    let in_port = reader.u16()?;
    let (dl_src, dl_dst) = (reader.array::<6>()?, reader.array::<6>()?);
    let dl_vlan = reader.u16()?;
    let dl_vlan_pcp = reader.u8()?;
    reader.skip(1)?;
    let dl_type = reader.u16()?;
    let (nw_tos, nw_proto) = (reader.u8()?, reader.u8()?);
    reader.skip(2)?;
    let (nw_src, nw_dst) = (reader.u32()?, reader.u32()?);
    let (tp_src, tp_dst) = (reader.u16()?, reader.u16()?);
    let exact = |bit: u32| wildcards & bit == 0;
    let mut found = Match::ANY;
    if exact(IN_PORT) {
        found = found.exact(Field::InPort, u64::from(super::port::from_10(in_port)));
    }
    for (bit, field, value) in [(DL_SRC, Field::EthSrc, dl_src), (DL_DST, Field::EthDst, dl_dst)] {
        if exact(bit) {
            let [a, b, c, d, e, g] = value;
            found = found.exact(field, u64::from_be_bytes([0, 0, a, b, c, d, e, g]));
        }
    }
    if exact(DL_VLAN) {
        let tagged = dl_vlan != VLAN_NONE;
        found = found.exact(Field::VlanVid, if tagged { u64::from(dl_vlan & 0xfff) | 0x1000 } else { 0 });
        if tagged && exact(DL_VLAN_PCP) {
            found = found.exact(Field::VlanPcp, u64::from(dl_vlan_pcp & 7));
        }
    } else if exact(DL_VLAN_PCP) {
        // Any VLAN with this priority: a tag must be there.
        found = found.exact(Field::VlanPcp, u64::from(dl_vlan_pcp & 7));
        found.value.set(Field::VlanVid, 0x1000);
        found.mask.set(Field::VlanVid, 0x1000);
    }
    if !exact(DL_TYPE) {
        return Ok(found);
    }
    found = found.exact(Field::EthType, u64::from(dl_type));
    let (source, destination, protocol) = match dl_type {
        0x0800 => (Field::Ipv4Src, Field::Ipv4Dst, Some(Field::IpProto)),
        0x0806 => (Field::ArpSpa, Field::ArpTpa, None),
        _ => return Ok(found),
    };
    for (shift, field, value) in [(NW_SRC_SHIFT, source, nw_src), (NW_DST_SHIFT, destination, nw_dst)] {
        let mask = u32::MAX.checked_shl(wildcards >> shift & 63).unwrap_or(0);
        found.value.set(field, u64::from(value & mask));
        found.mask.set(field, u64::from(mask));
    }
    match protocol {
        Some(protocol) => {
            if exact(NW_TOS) {
                found = found.exact(Field::IpDscp, u64::from(nw_tos >> 2));
            }
            if exact(NW_PROTO) {
                found = found.exact(protocol, u64::from(nw_proto));
            }
            if let Some([source, destination]) = transport(&found) {
                for (bit, field, value) in [(TP_SRC, source, tp_src), (TP_DST, destination, tp_dst)] {
                    if exact(bit) {
                        found = found.exact(field, u64::from(value));
                    }
                }
            }
        }
        // ARP: the protocol word is the low byte of the operation.
        None if exact(NW_PROTO) => found = found.exact(Field::ArpOp, u64::from(nw_proto)),
        None => {}
    }
    Ok(found)
}

/// Writes a match; what the 12-tuple cannot say is left out.
pub fn emit_match(found: &Match, out: &mut Vec<u8>) {
    let number = |field: Field| found.value.number(field);
    let mut wildcards = ALL & !(63 << NW_SRC_SHIFT) & !(63 << NW_DST_SHIFT);
    let mut test = |field: Field, bit: u32| {
        if found.tests(field) {
            wildcards &= !bit;
        }
    };
    test(Field::InPort, IN_PORT);
    test(Field::EthSrc, DL_SRC);
    test(Field::EthDst, DL_DST);
    test(Field::VlanPcp, DL_VLAN_PCP);
    test(Field::EthType, DL_TYPE);
    test(Field::IpDscp, NW_TOS);
    test(Field::IpProto, NW_PROTO);
    test(Field::ArpOp, NW_PROTO);
    if found.is_exact(Field::VlanVid) {
        wildcards &= !DL_VLAN;
    }
    let vlan = match (found.is_exact(Field::VlanVid), number(Field::VlanVid)) {
        (true, 0) => VLAN_NONE,
        (_, vid) => vid as u16 & 0xfff,
    };
    let arp = number(Field::EthType) == 0x0806;
    let (source, destination) =
        if arp { (Field::ArpSpa, Field::ArpTpa) } else { (Field::Ipv4Src, Field::Ipv4Dst) };
    for (shift, field) in [(NW_SRC_SHIFT, source), (NW_DST_SHIFT, destination)] {
        wildcards |= (found.mask.number(field) as u32).trailing_zeros().min(32) << shift;
    }
    let transport = transport(found);
    if let Some([source, destination]) = transport {
        if found.tests(source) {
            wildcards &= !TP_SRC;
        }
        if found.tests(destination) {
            wildcards &= !TP_DST;
        }
    }
    out.extend_from_slice(&wildcards.to_be_bytes());
    out.extend_from_slice(&super::port::to_10(number(Field::InPort) as u32).to_be_bytes());
    out.extend_from_slice(found.value.get(Field::EthSrc));
    out.extend_from_slice(found.value.get(Field::EthDst));
    out.extend_from_slice(&vlan.to_be_bytes());
    out.extend_from_slice(&[number(Field::VlanPcp) as u8, 0]);
    out.extend_from_slice(found.value.get(Field::EthType));
    let protocol = if arp { number(Field::ArpOp) } else { number(Field::IpProto) };
    out.extend_from_slice(&[(number(Field::IpDscp) as u8) << 2, protocol as u8, 0, 0]);
    out.extend_from_slice(found.value.get(source));
    out.extend_from_slice(found.value.get(destination));
    for index in 0..2 {
        let value = transport.map_or(0, |fields| number(fields[index]));
        out.extend_from_slice(&(value as u16).to_be_bytes());
    }
}
