//! The header that every message has, and the numbers of message kinds.
use super::Fault;

/// Bytes of the header.
pub const HEADER: usize = 8;

/// A version of the protocol, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// OpenFlow 1.0.
    V10 = 1,
    /// OpenFlow 1.3.
    V13 = 4,
    /// OpenFlow 1.4.
    V14 = 5,
    /// OpenFlow 1.5.
    V15 = 6,
}

impl Version {
    /// Every version that is spoken, the newest first.
    pub const ALL: [Self; 4] = [Self::V15, Self::V14, Self::V13, Self::V10];
    /// The newest.
    pub const NEWEST: Self = Self::ALL[0];
    /// What a hello's bitmap says of them (OpenFlow 1.3 section 7.5.1).
    pub const BITMAP: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6;

    /// The version with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V10),
            4 => Some(Self::V13),
            5 => Some(Self::V14),
            6 => Some(Self::V15),
            _ => None,
        }
    }
}

macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// The kind of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the specification's")]
        pub enum Kind { $($name),* }

        /// By their numbers, in OpenFlow 1.5.
        const KINDS_15: [Kind; [$(Kind::$name),*].len()] = [$(Kind::$name),*];
    };
}

// In the order of their numbers since OpenFlow 1.3.
kinds! {
    Hello, Error, EchoRequest, EchoReply, Experimenter, FeaturesRequest, FeaturesReply,
    GetConfigRequest, GetConfigReply, SetConfig, PacketIn, FlowRemoved, PortStatus, PacketOut,
    FlowMod, GroupMod, PortMod, TableMod, MultipartRequest, MultipartReply, BarrierRequest,
    BarrierReply, QueueGetConfigRequest, QueueGetConfigReply, RoleRequest, RoleReply,
    GetAsyncRequest, GetAsyncReply, SetAsync, MeterMod, RoleStatus, TableStatus, RequestForward,
    BundleControl, BundleAddMessage, ControllerStatus,
}

use Kind::*;

/// By their numbers, in OpenFlow 1.0, which calls multipart messages statistics.
const KINDS_10: [Kind; 22] = [
    Hello,
    Error,
    EchoRequest,
    EchoReply,
    Experimenter,
    FeaturesRequest,
    FeaturesReply,
    GetConfigRequest,
    GetConfigReply,
    SetConfig,
    PacketIn,
    FlowRemoved,
    PortStatus,
    PacketOut,
    FlowMod,
    PortMod,
    MultipartRequest,
    MultipartReply,
    BarrierRequest,
    BarrierReply,
    QueueGetConfigRequest,
    QueueGetConfigReply,
];

fn kinds(version: Version) -> &'static [Kind] {
    match version {
        Version::V10 => &KINDS_10,
        Version::V13 => KINDS_15.split_at(30).0,
        Version::V14 => KINDS_15.split_at(35).0,
        Version::V15 => &KINDS_15,
    }
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(version: Version, number: u8) -> Option<Self> {
        let kind = kinds(version).get(usize::from(number)).copied()?;
        // Since 1.4 queues are described by multipart messages.
        let gone = matches!(kind, QueueGetConfigRequest | QueueGetConfigReply) && version >= Version::V14;
        (!gone).then_some(kind)
    }
    /// A slave may not ask for it (section 6.3.5).
    pub const fn changes_something(self) -> bool {
        matches!(
            self,
            Self::PacketOut
                | Self::FlowMod
                | Self::GroupMod
                | Self::PortMod
                | Self::TableMod
                | Self::MeterMod
                | Self::BundleControl
                | Self::BundleAddMessage
        )
    }
    /// Its number; a kind that the version does not have gets that of an error, and is never sent.
    pub fn number(self, version: Version) -> u8 {
        kinds(version).iter().position(|kind| *kind == self).unwrap_or(1) as u8
    }
}

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version's number, known or not.
    pub version: u8,
    /// The kind's number.
    pub kind: u8,
    /// Bytes of the message, header included.
    pub length: u16,
    /// By which a reply finds its request.
    pub xid: u32,
}

impl Header {
    /// The header at the start of `bytes`; `None` when there are fewer than eight.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [version, kind, a, b, x @ ..] = *bytes.first_chunk::<HEADER>()?;
        Some(Self { version, kind, length: u16::from_be_bytes([a, b]), xid: u32::from_be_bytes(x) })
    }
}

/// The newest version that is spoken here and by the sender of a hello with this version and body (OpenFlow 1.3 section 6.3.1).
pub fn common_version(number: u8, body: &[u8]) -> Option<Version> {
    let mut elements = Reader(body);
    let mut bitmap = None;
    while let (Ok(kind), Ok(length)) = (elements.u16(), elements.u16()) {
        let Ok(body) = elements.take(usize::from(length).saturating_sub(4)) else { break };
        if kind == 1 {
            bitmap = Reader(body).u32().ok();
        }
        let length = usize::from(length);
        let _ = elements.skip(length.next_multiple_of(8).saturating_sub(length));
    }
    match bitmap {
        Some(bitmap) => Version::ALL.into_iter().find(|v| bitmap & 1 << *v as u8 != 0),
        // Without a bitmap the smaller of the two is meant, and must be one that is known.
        None => Version::from_number(number.min(Version::NEWEST as u8)),
    }
}

/// A cursor over a message's body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Fault::BadLength`] when there are fewer; the same from all methods.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Fault::BadLength)?;
        self.0 = rest;
        Ok(head)
    }
    /// The next `N` bytes.
    #[allow(missing_docs, clippy::missing_errors_doc)]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::BadLength)?;
        self.0 = rest;
        Ok(*head)
    }
    /// A byte.
    #[allow(clippy::missing_errors_doc)]
    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }
    /// Two bytes, big-endian.
    #[allow(clippy::missing_errors_doc)]
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }
    /// Four bytes, big-endian.
    #[allow(clippy::missing_errors_doc)]
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }
    /// Eight bytes, big-endian.
    #[allow(clippy::missing_errors_doc)]
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }
    /// Passes over padding.
    #[allow(clippy::missing_errors_doc)]
    pub fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.take(count).map(|_| ())
    }
    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
    /// Nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
