//! Port numbers and descriptions.
use airglow_device::MacAddr;

/// Largest number of a real port in OpenFlow 1.3.
pub const MAX: u32 = 0xffff_ff00;
/// Back where it came in.
pub const IN_PORT: u32 = 0xffff_fff8;
/// Through the flow tables; in packet-out only.
pub const TABLE: u32 = 0xffff_fff9;
/// As a learning switch would.
pub const NORMAL: u32 = 0xffff_fffa;
/// To all ports of the VLAN but the one it came in on.
pub const FLOOD: u32 = 0xffff_fffb;
/// To all ports but the one it came in on.
pub const ALL: u32 = 0xffff_fffc;
/// To the controller.
pub const CONTROLLER: u32 = 0xffff_fffd;
/// To the switch's own host.
pub const LOCAL: u32 = 0xffff_fffe;
/// No port; in requests, every port.
pub const ANY: u32 = 0xffff_ffff;

/// A port number of OpenFlow 1.0: sixteen bits, the reserved ones at their end; those between are nobody's.
pub const fn from_10(port: u16) -> u32 {
    match port {
        0..0xff00 => port as u32,
        0xff00..0xfff8 => ANY,
        _ => 0xffff_0000 | port as u32,
    }
}

/// The same the other way; a number that 1.0 does not have becomes "none".
pub const fn to_10(port: u32) -> u16 {
    if port < 0xff00 || port >= IN_PORT { port as u16 } else { 0xffff }
}

/// Bits of a port's configuration (OpenFlow 1.3 section 7.2.1).
pub mod config {
    /// Administratively down.
    pub const PORT_DOWN: u32 = 1;
    /// Drop what comes in.
    pub const NO_RECV: u32 = 1 << 2;
    /// Drop what would go out.
    pub const NO_FWD: u32 = 1 << 5;
    /// Do not send packet-ins for it.
    pub const NO_PACKET_IN: u32 = 1 << 6;
    /// OpenFlow 1.0: leave it out of floods.
    pub const NO_FLOOD: u32 = 1 << 4;
}

/// The property of Ethernet ports (1.4).
pub const ETHERNET: u16 = 0;

/// A port as a controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its number.
    pub number: u32,
    /// Its address.
    pub address: MacAddr,
    /// Its name, at most 15 bytes of text.
    pub name: alloc::string::String,
    /// Bits of [`config`].
    pub config: u32,
    /// The link is down.
    pub link_down: bool,
    /// Speed in kbit/s, 0 when it is not known.
    pub speed: u32,
}

impl Description {
    /// The fixed-width form of the name.
    fn name_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let length = self.name.len().min(15);
        bytes[..length].copy_from_slice(&self.name.as_bytes()[..length]);
        bytes
    }

    /// Reads a description.
    ///
    /// # Errors
    /// [`Fault::BadLength`](super::Fault::BadLength).
    pub fn parse(version: super::Version, reader: &mut super::Reader<'_>) -> Result<Self, super::Fault> {
        let number = match version {
            super::Version::V10 => from_10(reader.u16()?),
            _ => {
                let number = reader.u32()?;
                let length = usize::from(reader.u16()?);
                reader.skip(2)?;
                if version >= super::Version::V14 {
                    let rest = reader.take(length.checked_sub(8).ok_or(super::Fault::BadLength)?)?;
                    return Self::parse_rest(number, super::Reader(rest));
                }
                number
            }
        };
        let address = MacAddr(reader.array()?);
        if version != super::Version::V10 {
            reader.skip(2)?;
        }
        let name = reader.array::<16>()?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(15);
        let name = alloc::string::String::from_utf8_lossy(&name[..end]).into_owned();
        let (config, state) = (reader.u32()?, reader.u32()?);
        reader.skip(16)?;
        let speed = match version {
            super::Version::V10 => 0,
            _ => {
                let speed = reader.u32()?;
                reader.skip(4)?;
                speed
            }
        };
        Ok(Self { number, address, name, config, link_down: state & 1 != 0, speed })
    }

    /// What follows the length, with the properties (OpenFlow 1.5 section 7.2.1.2).
    fn parse_rest(number: u32, mut reader: super::Reader<'_>) -> Result<Self, super::Fault> {
        let address = MacAddr(reader.array()?);
        reader.skip(2)?;
        let name = reader.array::<16>()?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(15);
        let name = alloc::string::String::from_utf8_lossy(&name[..end]).into_owned();
        let (config, state) = (reader.u32()?, reader.u32()?);
        let mut speed = 0;
        while !reader.is_empty() {
            let (kind, mut property) = super::properties::parse(&mut reader)?;
            if kind == ETHERNET {
                // Behind padding and four words of features.
                property.skip(20)?;
                speed = property.u32()?;
            }
        }
        Ok(Self { number, address, name, config, link_down: state & 1 != 0, speed })
    }

    /// Frames may pass: neither the link nor the configuration is down.
    pub const fn is_up(&self) -> bool {
        !self.link_down && self.config & config::PORT_DOWN == 0
    }

    /// Writes the description as `version` has it: 48 bytes in 1.0, 64 in 1.3, with properties later.
    pub fn emit(&self, version: super::Version, out: &mut alloc::vec::Vec<u8>) {
        match version {
            super::Version::V10 => {
                out.extend_from_slice(&to_10(self.number).to_be_bytes());
                out.extend_from_slice(&self.address.0);
                out.extend_from_slice(&self.name_bytes());
                out.extend_from_slice(&self.config.to_be_bytes());
                out.extend_from_slice(&u32::from(self.link_down).to_be_bytes());
                out.extend_from_slice(&[0; 16]);
            }
            _ => {
                let properties = version >= super::Version::V14;
                let start = out.len();
                out.extend_from_slice(&self.number.to_be_bytes());
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&self.address.0);
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&self.name_bytes());
                out.extend_from_slice(&self.config.to_be_bytes());
                // Bit 0: link down; bit 2: live for fast failover.
                let state = u32::from(self.link_down) | u32::from(self.is_up()) << 2;
                out.extend_from_slice(&state.to_be_bytes());
                let features = |out: &mut alloc::vec::Vec<u8>| {
                    out.extend_from_slice(&[0; 16]);
                    out.extend_from_slice(&self.speed.to_be_bytes());
                    out.extend_from_slice(&self.speed.to_be_bytes());
                };
                if properties {
                    super::properties::emit(ETHERNET, out, |out| {
                        out.extend_from_slice(&[0; 4]);
                        features(out);
                    });
                    let length = (out.len() - start) as u16;
                    out[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
                } else {
                    features(out);
                }
            }
        }
    }
}
