//! What can be wrong with a request, with the error type and code that each version of the protocol has for it.
use super::Version;
use core::fmt;

macro_rules! first {
    ($first:expr $(, $more:expr)?) => {
        $first
    };
}

macro_rules! faults {
    ($($name:ident: $v10:expr, $v13:expr, $(later $later:expr,)? $text:literal;)*) => {
        /// A refused request: OpenFlow 1.0 section 5.4.4, 1.3 section 7.4.4, 1.5 section 7.5.4.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault { $(#[doc = $text] $name,)* }

        impl Fault {
            /// Error type and code in `version`. The type of [`experimenter`](Self::experimenter) errors is 0xffff.
            pub const fn numbers(self, version: Version) -> (u16, u16) {
                match (self, version) {
                    $((Self::$name, Version::V10) => $v10, (Self::$name, Version::V13) => $v13,
                    (Self::$name, _) => first!($($later,)? $v13),)*
                }
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

faults! {
    Incompatible: (0, 0), (0, 0), "No version in common.";
    BadVersion: (1, 0), (1, 0), "The message's version is not the one agreed on.";
    BadType: (1, 1), (1, 1), "The message type is not known.";
    BadMultipart: (1, 2), (1, 2), "The kind of statistics is not known.";
    BadExperimenter: (1, 3), (1, 3), "The experimenter is not known.";
    BadExperimenterType: (1, 4), (1, 4), "The experimenter's message is not known.";
    Permission: (1, 5), (1, 5), "Not allowed.";
    BadLength: (1, 6), (1, 6), "The message's length is wrong.";
    BufferEmpty: (1, 7), (1, 7), "The buffer is empty.";
    BufferUnknown: (1, 8), (1, 8), "There is no such buffer.";
    BadTableId: (3, 5), (1, 9), "There is no such table.";
    IsSlave: (1, 5), (1, 10), "A slave may not do this.";
    BadPortRequest: (2, 4), (1, 11), "There is no such port.";
    BadPacket: (1, 6), (1, 12), "The packet is not one.";
    MultipartOverflow: (1, 6), (1, 13), "The request's parts are too long together.";
    PipelineFieldsOnly: (1, 6), (1, 6), later (1, 17), "Only fields of the pipeline may be set.";
    BadActionType: (2, 0), (2, 0), "The action is not known.";
    BadActionLength: (2, 1), (2, 1), "The action's length is wrong.";
    BadActionExperimenter: (2, 2), (2, 2), "The action's experimenter is not known.";
    BadActionExperimenterType: (2, 3), (2, 3), "The experimenter's action is not known.";
    BadOutPort: (2, 4), (2, 4), "The action's port cannot be sent to.";
    BadArgument: (2, 5), (2, 5), "The action's argument is wrong.";
    TooManyActions: (2, 7), (2, 7), "There are too many actions.";
    BadQueue: (2, 8), (2, 8), "There is no such queue.";
    BadOutGroup: (2, 5), (2, 9), "There is no such group.";
    MatchInconsistent: (2, 5), (2, 10), "The action does not fit what the flow matches.";
    BadTag: (2, 5), (2, 12), "The tag type cannot be pushed.";
    BadSetType: (2, 5), (2, 13), "The field cannot be set.";
    BadSetLength: (2, 1), (2, 14), "The field's length is wrong.";
    BadSetArgument: (2, 5), (2, 15), "The field's value is wrong.";
    UnknownInstruction: (2, 0), (3, 0), "The instruction is not known.";
    UnsupportedInstruction: (2, 0), (3, 1), "The instruction is not supported.";
    BadGotoTable: (2, 5), (3, 2), "The pipeline goes forward only.";
    UnsupportedMetadata: (2, 5), (3, 3), "The metadata cannot be set so.";
    BadInstructionLength: (2, 1), (3, 7), "The instruction's length is wrong.";
    DuplicateInstruction: (2, 0), (3, 9), "The instruction stands twice.";
    BadMatchType: (1, 6), (4, 0), "The match type is not known.";
    BadMatchLength: (1, 6), (4, 1), "The match's length is wrong.";
    BadMatchField: (1, 6), (4, 6), "The field is not known.";
    BadMatchValue: (1, 6), (4, 7), "The field cannot have this value.";
    BadMatchMask: (1, 6), (4, 8), "The field cannot be masked so.";
    BadPrerequisite: (1, 6), (4, 9), "A field is matched without what it needs.";
    DuplicateField: (1, 6), (4, 10), "A field is matched twice.";
    TableFull: (3, 0), (5, 1), "The flow table is full.";
    FlowBadTable: (3, 5), (5, 2), "There is no such table.";
    Overlap: (3, 1), (5, 3), "The flow overlaps another of its priority.";
    BadTimeout: (3, 3), (5, 5), "The timeout is not supported.";
    BadFlowCommand: (3, 4), (5, 6), "The command is not known.";
    BadFlowFlags: (3, 4), (5, 7), "The flags are not known.";
    GroupExists: (3, 0), (6, 0), "The group is there already.";
    InvalidGroup: (3, 0), (6, 1), "The group is not valid.";
    OutOfGroups: (3, 0), (6, 3), "There is no room for more groups.";
    OutOfBuckets: (3, 0), (6, 4), "The group has too many buckets.";
    ChainingUnsupported: (3, 0), (6, 5), "Groups may not lead to groups so.";
    WatchUnsupported: (3, 0), (6, 6), "The port or group cannot be watched.";
    GroupLoop: (3, 0), (6, 7), "Groups would lead to one another.";
    UnknownGroup: (3, 0), (6, 8), "There is no such group.";
    ChainedGroup: (3, 0), (6, 9), "Another group leads to it.";
    BadGroupType: (3, 0), (6, 10), "The group type is not known.";
    BadGroupCommand: (3, 0), (6, 11), "The command is not known.";
    BadBucket: (3, 0), (6, 12), "A bucket is not valid.";
    BadPort: (4, 0), (7, 0), "There is no such port.";
    BadHardwareAddress: (4, 1), (7, 1), "The port has another address.";
    BadPortConfig: (4, 0), (7, 2), "The port cannot be configured so.";
    TableModBadTable: (3, 5), (8, 0), "There is no such table.";
    QueueBadPort: (5, 0), (9, 0), "There is no such port.";
    QueueBadQueue: (5, 1), (9, 1), "There is no such queue.";
    BadConfigFlags: (1, 6), (10, 0), "The flags are not known.";
    RoleStale: (1, 5), (11, 0), "The generation is an old one.";
    RoleBad: (1, 5), (11, 2), "The role is not known.";
    MeterExists: (1, 5), (12, 1), "The meter is there already.";
    InvalidMeter: (1, 5), (12, 2), "The meter is not valid.";
    UnknownMeter: (1, 5), (12, 3), "There is no such meter.";
    BadMeterCommand: (1, 5), (12, 4), "The command is not known.";
    BadMeterFlags: (1, 5), (12, 5), "The flags are not known.";
    BadBand: (1, 5), (12, 8), "The band is not known.";
    BadSetMask: (2, 5), (2, 5), later (2, 16), "The field cannot be set under this mask.";
    BadMeter: (1, 5), (12, 2), later (2, 17), "There is no such meter.";
    BadTableConfig: (1, 6), (8, 1), "The table cannot be configured so.";
    UnknownBucket: (3, 0), (6, 12), later (6, 15), "There is no such bucket.";
    BucketExists: (3, 0), (6, 12), later (6, 16), "The bucket is there already.";
    BadPropertyType: (1, 6), (1, 6), later (14, 0), "The property is not known.";
    BadPropertyLength: (1, 6), (1, 6), later (14, 1), "The property's length is wrong.";
    BadPropertyValue: (1, 6), (1, 6), later (14, 2), "The property cannot have this value.";
    DuplicateProperty: (1, 6), (1, 6), later (14, 4), "A property stands twice.";
    PropertyExperimenter: (1, 6), (1, 6), later (14, 5), "The property's experimenter is not known.";
    BadAsync: (1, 6), (1, 6), later (15, 0), "The masks of asynchronous messages are not valid.";
    MonitorExists: (1, 5), (1, 5), later (16, 1), "The flow monitor is there already.";
    UnknownMonitor: (1, 5), (1, 5), later (16, 3), "There is no such flow monitor.";
    BadMonitorCommand: (1, 5), (1, 5), later (16, 4), "The command is not known.";
    BadMonitorFlags: (1, 5), (1, 5), later (16, 5), "The flags are not known.";
    BadMonitorTable: (1, 9), (1, 9), later (16, 6), "There is no such table.";
    OutOfMonitors: (1, 5), (1, 5), later (16, 0), "There is no room for more flow monitors.";
    BundleUnknown: (1, 5), (0xffff, 2300), later (17, 0), "The bundle could not be carried out.";
    BadBundleId: (1, 5), (0xffff, 2302), later (17, 2), "There is no such bundle.";
    BundleExists: (1, 5), (0xffff, 2303), later (17, 3), "The bundle is there already.";
    BundleClosed: (1, 5), (0xffff, 2304), later (17, 4), "The bundle is closed.";
    OutOfBundles: (1, 5), (0xffff, 2305), later (17, 5), "There is no room for more bundles.";
    BadBundleType: (1, 5), (0xffff, 2306), later (17, 6), "The bundle's command is not known.";
    BadBundleFlags: (1, 5), (0xffff, 2307), later (17, 7), "The bundle's flags are not known, or others than before.";
    BundleLength: (1, 5), (0xffff, 2308), later (17, 8), "The message in the bundle has a wrong length.";
    BundleXid: (1, 5), (0xffff, 2309), later (17, 9), "The message in the bundle has another xid.";
    BundleUnsupported: (1, 5), (0xffff, 2310), later (17, 10), "The message cannot be in a bundle.";
    BundleFull: (1, 5), (0xffff, 2312), later (17, 12), "There are too many messages in the bundle.";
    BundleFailed: (1, 5), (0xffff, 2313), later (17, 13), "A message of the bundle was refused.";
    OutOfMeters: (1, 5), (12, 10), "There is no room for more meters.";
}

/// The Open Networking Foundation as an experimenter.
pub const ONF: u32 = 0x4f4e_4600;

impl Fault {
    /// Whose error it is in `version`, where the specification itself has none: bundles came to OpenFlow 1.3 by an extension (EXT-230).
    pub const fn experimenter(self, version: Version) -> Option<u32> {
        match self.numbers(version) {
            (0xffff, _) => Some(ONF),
            _ => None,
        }
    }
}

impl core::error::Error for Fault {}
