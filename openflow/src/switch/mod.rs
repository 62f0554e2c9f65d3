//! An OpenFlow switch without any I/O: frames and controllers' messages in, frames and messages out, the time passed in.
//!
//! The caller joins it to network devices and to streams: [`Switch::receive`] for every frame, [`Switch::connected`],
//! [`Switch::message`] and [`Switch::take_output`] for every controller, [`Switch::poll`] when [`Switch::poll_timeout`] says so.
mod action_set;
mod asynchronous;
mod batch;
mod bundle;
mod changes;
mod events;
mod exact;
mod groups;
mod learning;
mod meter;
mod monitor;
mod multipart;
mod nicira;
mod pipeline;
mod protocol;
mod rule;
mod table;
mod tables;
mod tuple;

pub use protocol::{Closed, ConnectionId};
pub use rule::{Removed, Rule};

use crate::wire::{Bucket, GroupType, port};
use airglow_device::{Instant, MacAddr, RxMeta};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use batch::Batch;
use core::time::Duration;
use exact::Exact;
use learning::Learning;
use meter::Meter;
use protocol::Connection;
use table::Table;

/// Where frames go.
pub trait Output {
    /// Sends a frame out of a port. `meta` is what the device that it came from knows of it: what is left to be done to its checksum, and of
    /// how many segments it consists, is this port's to do. `false` when it is lost for want of room, or because it is too long.
    fn transmit(&mut self, port: u32, frame: &[u8], meta: RxMeta) -> bool;
}

/// What the switch is called and how much it holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The switch's number: 48 bits of an address and 16 of the owner's choice.
    pub datapath_id: u64,
    /// Number of flow tables.
    pub tables: u8,
    /// Most flows in one table.
    pub flows: usize,
    /// Most groups, and most buckets of one.
    pub groups: usize,
    /// Most meters.
    pub meters: usize,
    /// Packets that wait in the switch while a controller thinks.
    pub buffers: usize,
    /// Bytes of messages that wait for one controller; packet-ins beyond are dropped and counted.
    pub backlog: usize,
    /// Bytes of messages in one controller's bundles.
    pub bundles: usize,
    /// Slots of the exact-match cache, which is there once a table has more than two masks; each takes some 280 bytes.
    pub exact: usize,
    /// Addresses that the reserved port `NORMAL` remembers.
    pub addresses: usize,
    /// A packet that no flow of table 0 matches goes where a learning switch would send it while no controller is there.
    pub fail_standalone: bool,
    /// Shown in the switch's description.
    pub description: String,
}

impl Config {
    /// The usual sizes.
    pub fn new(datapath_id: u64) -> Self {
        Self {
            datapath_id,
            tables: 254,
            flows: 1 << 20,
            groups: 4096,
            meters: 1024,
            buffers: 256,
            backlog: 1 << 20,
            bundles: 16 << 20,
            exact: 8192,
            addresses: 4096,
            fail_standalone: false,
            description: String::from("airglow"),
        }
    }

    /// Sizes for a machine with some hundred kilobytes for it: four tables of 64 flows.
    pub fn small(datapath_id: u64) -> Self {
        Self {
            tables: 4,
            flows: 64,
            groups: 16,
            meters: 16,
            buffers: 8,
            backlog: 32 << 10,
            bundles: 32 << 10,
            exact: 64,
            addresses: 256,
            ..Self::new(datapath_id)
        }
    }
}

/// A port and its counters.
#[derive(Clone, Debug)]
pub struct Port {
    /// How controllers see it.
    pub description: port::Description,
    /// Frames in and out.
    pub stats: PortStats,
    since: Instant,
}

/// A port's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames dropped on arrival.
    pub rx_dropped: u64,
    /// Frames dropped on departure.
    pub tx_dropped: u64,
}

#[derive(Clone)]
struct Group {
    kind: GroupType,
    buckets: Vec<Bucket>,
    counts: Vec<(u64, u64)>,
    packets: u64,
    bytes: u64,
    since: Instant,
}

/// Counters of what the switch had to drop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets that no flow matched and nobody was told of.
    pub missed: u64,
    /// Packet-ins that a controller's backlog had no room for.
    pub packet_ins_dropped: u64,
    /// Counters that reached a flow's threshold and that a controller's backlog had no room for.
    pub triggers_dropped: u64,
    /// Packets that went round through groups too often.
    pub loops: u64,
    /// Packets answered by the exact-match cache.
    pub cached: u64,
}

/// An OpenFlow switch.
pub struct Switch {
    config: Config,
    ports: BTreeMap<u32, Port>,
    tables: Vec<Table>,
    groups: BTreeMap<u32, Group>,
    meters: BTreeMap<u32, Meter>,
    learning: Learning,
    exact: Exact,
    connections: Vec<Option<Connection>>,
    generation: Option<u64>,
    miss_send_len: u16,
    buffers: Vec<Option<(u32, u32, Vec<u8>)>>,
    next_buffer: u32,
    batch: Batch,
    stats: Stats,
    next_poll: Option<Instant>,
    random: u64,
    table_configs: Vec<tables::TableConfig>,
    /// Look-ups of the packet under way by `resubmit`.
    look_ups: u16,
    /// Whose request changes flows just now, and its xid.
    changed_by: Option<(ConnectionId, u32)>,
    /// What waits for the end of a bundle, while one is carried out.
    later: Option<Vec<changes::Later>>,
}

impl Switch {
    /// A switch without ports and flows. `random` chooses among the buckets of select groups.
    pub fn new(config: Config, random: u64) -> Self {
        Self {
            ports: BTreeMap::new(),
            tables: (0..config.tables).map(|_| Table::default()).collect(),
            groups: BTreeMap::new(),
            meters: BTreeMap::new(),
            learning: Learning::new(config.addresses),
            exact: Exact::new(config.exact),
            connections: Vec::new(),
            generation: None,
            miss_send_len: 128,
            buffers: (0..config.buffers).map(|_| None).collect(),
            next_buffer: 1,
            batch: Batch::default(),
            stats: Stats::default(),
            next_poll: None,
            random,
            table_configs: (0..config.tables).map(|_| tables::TableConfig::default()).collect(),
            look_ups: 0,
            changed_by: None,
            later: None,
            config,
        }
    }

    /// Adds a port, or renews its description; controllers are told. Numbers run from 1 to [`port::MAX`].
    pub fn add_port(&mut self, now: Instant, number: u32, name: &str, address: MacAddr, speed: u32) {
        let description = port::Description {
            number,
            address,
            name: String::from(name),
            config: 0,
            link_down: false,
            speed,
        };
        let old = self.ports.insert(number, Port { description, stats: PortStats::default(), since: now });
        self.port_changed(number, if old.is_some() { events::MODIFIED } else { events::ADDED });
    }

    /// The link of a port came up or went down.
    pub fn link(&mut self, number: u32, up: bool) {
        if let Some(port) = self.ports.get_mut(&number)
            && port.description.link_down == up
        {
            port.description.link_down = !up;
            self.exact.clear();
            self.port_changed(number, events::MODIFIED);
        }
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values()
    }
    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
    /// Flows in all tables.
    pub fn flows(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// When [`poll`](Self::poll) is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next_poll
    }

    /// Lets flows whose time is up go and tells the controllers that asked.
    pub fn poll(&mut self, now: Instant) {
        if self.next_poll.is_none_or(|at| at > now) {
            return;
        }
        self.next_poll = None;
        for number in 0..self.tables.len() {
            let gone = self.tables[number].expire(now);
            if !gone.is_empty() {
                self.exact.clear();
            }
            for (rule, why) in gone {
                self.flow_removed(now, number as u8, &rule, why);
            }
            self.watch_vacancy(number);
        }
        self.tell_monitors(now);
        self.schedule(now);
    }

    /// Timeouts count in seconds; so does the look for them.
    fn schedule(&mut self, now: Instant) {
        let next = self.tables.iter().filter_map(Table::next_end).min();
        self.next_poll = next.map(|at| at.max(now + Duration::from_millis(250)));
    }
}

#[cfg(test)]
mod tests;
