//! What a switch tells unasked: OpenFlow 1.0 section 5.4, 1.3 section 7.4, 1.5 section 7.4; and how packets are sent out.
use super::{Fault, Match, Reader, Statistics, Version, flow_mod, match10, oxm, port};

/// A packet that a switch hands to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketIn<'a> {
    /// Where the switch keeps the packet; [`flow_mod::NO_BUFFER`] when all of it is here.
    pub buffer: u32,
    /// Bytes of the packet, here or not.
    pub total_len: u16,
    /// 0: no flow matched; 1: a flow's action; 2: the TTL ran out; since 1.4 3: its action set; 4: a group; 5: a packet-out.
    pub reason: u8,
    /// The table that it was in (1.3).
    pub table: u8,
    /// The cookie of the flow that sent it, all ones for none (1.3).
    pub cookie: u64,
    /// The port that it came in on.
    pub in_port: u32,
    /// The packet, or its beginning.
    pub data: &'a [u8],
}

impl<'a> PacketIn<'a> {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`Fault::BadLength`]; a match that is not one, or that does not tell the port.
    pub fn parse(version: Version, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let (buffer, total_len) = (reader.u32()?, reader.u16()?);
        if version == Version::V10 {
            let in_port = port::from_10(reader.u16()?);
            let reason = reader.u8()?;
            reader.skip(1)?;
            let data = reader.rest();
            return Ok(Self { buffer, total_len, reason, table: 0, cookie: u64::MAX, in_port, data });
        }
        let (reason, table, cookie) = (reader.u8()?, reader.u8()?, reader.u64()?);
        let kind = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let mut fields = Reader(reader.take(length.checked_sub(4).ok_or(Fault::BadMatchLength)?)?);
        reader.skip(length.next_multiple_of(8) - length + 2)?;
        // A switch may tell more than is known here (registers, tunnels): only the port is looked for.
        let mut in_port = None;
        while let Ok(header) = fields.u32() {
            let payload = fields.take((header & 0xff) as usize)?;
            if header == 0x8000_0004 {
                in_port = Some(Reader(payload).u32()?);
            }
        }
        let in_port = in_port.filter(|_| kind == 1).ok_or(Fault::BadMatchType)?;
        Ok(Self { buffer, total_len, reason, table, cookie, in_port, data: reader.rest() })
    }

    /// All of the packet is here.
    pub fn is_whole(&self) -> bool {
        self.data.len() >= usize::from(self.total_len)
    }
}

/// A flow has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRemoved {
    /// What it matched.
    pub matches: Match,
    /// Its cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// 0: idle; 1: its time was up; 2: deleted; 3: its group was deleted.
    pub reason: u8,
    /// Its table (1.3).
    pub table: u8,
    /// Seconds that it lived.
    pub seconds: u32,
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes that it matched.
    pub bytes: u64,
}

impl FlowRemoved {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`Fault::BadLength`], or what is wrong with the match.
    pub fn parse(version: Version, body: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        if version == Version::V15 {
            let (table, reason, priority) = (reader.u8()?, reader.u8()?, reader.u16()?);
            // The timeouts.
            reader.skip(4)?;
            let (cookie, matches) = (reader.u64()?, oxm::parse_match(&mut reader)?);
            let counted = Statistics::parse(&mut reader)?;
            return Ok(Self {
                matches,
                cookie,
                priority,
                reason,
                table,
                seconds: counted.duration.map_or(0, |life| life.as_secs() as u32),
                packets: counted.packets.unwrap_or(0),
                bytes: counted.bytes.unwrap_or(0),
            });
        }
        let before = match version {
            Version::V10 => Some(match10::parse_match(&mut reader)?),
            _ => None,
        };
        let (cookie, priority, reason, table) = (reader.u64()?, reader.u16()?, reader.u8()?, reader.u8()?);
        let seconds = reader.u32()?;
        // Nanoseconds and the idle timeout; padding (1.0) or the hard timeout (1.3).
        reader.skip(4 + 2 + 2)?;
        let (packets, bytes) = (reader.u64()?, reader.u64()?);
        let matches = match before {
            Some(matches) => matches,
            None => oxm::parse_match(&mut reader)?,
        };
        Ok(Self { matches, cookie, priority, reason, table, seconds, packets, bytes })
    }
}

/// What became of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum PortReason {
    Add,
    Delete,
    Modify,
}

impl PortReason {
    /// Reads the body of a port-status message.
    ///
    /// # Errors
    /// [`Fault::BadLength`]; [`Fault::BadArgument`] for a reason that is none.
    pub fn parse(version: Version, body: &[u8]) -> Result<(Self, port::Description), Fault> {
        let mut reader = Reader(body);
        let reason = match reader.u8()? {
            0 => Self::Add,
            1 => Self::Delete,
            2 => Self::Modify,
            _ => return Err(Fault::BadArgument),
        };
        reader.skip(7)?;
        Ok((reason, port::Description::parse(version, &mut reader)?))
    }
}

/// What a switch is: the reply to a features request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features<'a> {
    /// Its number.
    pub datapath_id: u64,
    /// Packets that it can keep.
    pub buffers: u32,
    /// Its tables.
    pub tables: u8,
    /// 0 for the main connection (1.3).
    pub auxiliary: u8,
    /// Its ports, one description after the other (1.0).
    pub ports: &'a [u8],
}

impl<'a> Features<'a> {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`Fault::BadLength`].
    pub fn parse(version: Version, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let (datapath_id, buffers) = (reader.u64()?, reader.u32()?);
        let (tables, auxiliary) = (reader.u8()?, reader.u8()?);
        reader.skip(2 + 4 + 4)?;
        let (auxiliary, ports) = match version {
            Version::V10 => (0, reader.rest()),
            _ => (auxiliary, &[][..]),
        };
        Ok(Self { datapath_id, buffers, tables, auxiliary, ports })
    }
}

/// Writes the body of a packet-out: `actions` are done to the packet in `buffer`, or to `data`.
pub fn emit_packet_out(
    version: Version,
    buffer: u32,
    in_port: u32,
    actions: &[super::Action],
    data: &[u8],
    out: &mut alloc::vec::Vec<u8>,
) {
    out.extend_from_slice(&buffer.to_be_bytes());
    let at = match version {
        Version::V10 => {
            out.extend_from_slice(&port::to_10(in_port).to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            out.len() - 2
        }
        Version::V15 => {
            out.extend_from_slice(&[0; 4]);
            let at = out.len() - 4;
            oxm::emit_match(version, &Match::ANY.in_port(in_port), out);
            at
        }
        _ => {
            out.extend_from_slice(&in_port.to_be_bytes());
            out.extend_from_slice(&[0; 8]);
            out.len() - 8
        }
    };
    let start = out.len();
    actions.iter().for_each(|action| action.emit(version, out));
    let length = (out.len() - start) as u16;
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    if buffer == flow_mod::NO_BUFFER {
        out.extend_from_slice(data);
    }
}

/// A packet that a controller sends out, with what the pipeline is to take it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut<'a> {
    /// Where the switch keeps the packet; [`flow_mod::NO_BUFFER`] when it is here.
    pub buffer: u32,
    /// Where it came in, and in 1.5 metadata, tunnel and registers.
    pub fields: Match,
    /// What is done to it.
    pub actions: alloc::vec::Vec<super::Action>,
    /// The packet.
    pub data: &'a [u8],
}

impl<'a> PacketOut<'a> {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// [`Fault::BadLength`]; [`Fault::PipelineFieldsOnly`] for fields that the packet itself has; an action's.
    pub fn parse(version: Version, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader(body);
        let buffer = reader.u32()?;
        let (fields, length) = match version {
            Version::V10 => (Match::ANY.in_port(port::from_10(reader.u16()?)), reader.u16()?),
            Version::V15 => {
                let length = reader.u16()?;
                reader.skip(2)?;
                let fields = oxm::parse_match(&mut reader)?;
                let only = super::field::FIELDS.iter().all(|layout| {
                    let field = layout.field;
                    let pipeline = matches!(
                        field,
                        super::Field::InPort
                            | super::Field::InPhyPort
                            | super::Field::Metadata
                            | super::Field::TunnelId
                            | super::Field::PacketType
                    );
                    pipeline || field.is_register() || field.is_wide_register() || !fields.tests(field)
                });
                if !only {
                    return Err(Fault::PipelineFieldsOnly);
                }
                if !fields.tests(super::Field::InPort) {
                    return Err(Fault::BadPrerequisite);
                }
                (fields, length)
            }
            _ => {
                let head = (Match::ANY.in_port(reader.u32()?), reader.u16()?);
                reader.skip(6)?;
                head
            }
        };
        let actions = super::action::parse_list(version, reader.take(usize::from(length))?)?;
        Ok(Self { buffer, fields, actions, data: reader.rest() })
    }
}
