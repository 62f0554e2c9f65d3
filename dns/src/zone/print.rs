//! Zones as master-file text.
use super::{Node, Zone};
use crate::wire::{RecordType, rdata::Text};
use alloc::vec::Vec;
use core::fmt;

impl fmt::Display for Zone {
    /// One record a line with absolute names: the SOA first, then the names in canonical order. Reading it gives
    /// the same zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nodes: Vec<Node<'_>> = self.nodes().collect();
        nodes.sort_by(|a, b| a.name().canonical_cmp(b.name()));
        if let Some(soa) = self.apex().set(RecordType::SOA) {
            for data in soa.data() {
                writeln!(f, "{} {} IN SOA {}", self.apex().name(), soa.ttl, Text(RecordType::SOA, data))?;
            }
        }
        for node in nodes {
            for set in node.sets().filter(|set| set.rtype != RecordType::SOA) {
                for data in set.data() {
                    writeln!(f, "{} {} IN {} {}", node.name(), set.ttl, set.rtype, Text(set.rtype, data))?;
                }
            }
        }
        Ok(())
    }
}
