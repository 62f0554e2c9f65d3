//! What is set of whole tables: eviction and vacancy events (OpenFlow 1.4 and 1.5 sections 7.3.3 and 7.4.6).
use super::{Switch, protocol::event};
use crate::wire::{self, Fault, Kind, Reader, Version, flow_mod, properties};
use alloc::vec::Vec;

/// Bits of a table's configuration.
const EVICTION: u32 = 1 << 2;
const VACANCY_EVENTS: u32 = 1 << 3;
/// Properties.
const EVICTION_PROPERTY: u16 = 2;
const VACANCY_PROPERTY: u16 = 3;
/// By what flows are chosen to go: importance, then lifetime.
const EVICTION_FLAGS: u32 = 0b110;

/// How a table behaves as it fills.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TableConfig {
    /// A flow of less importance makes room.
    pub evicts: bool,
    /// Below and above which vacancy in percent controllers are told.
    vacancy: Option<(u8, u8)>,
    /// It was below.
    scarce: bool,
}

impl Switch {
    pub(super) fn table_config(&self, table: u8) -> TableConfig {
        self.table_configs.get(usize::from(table)).copied().unwrap_or_default()
    }

    pub(super) fn table_mod(&mut self, version: Version, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader(body);
        let table = reader.u8()?;
        reader.skip(3)?;
        let config = reader.u32()?;
        if table != flow_mod::ALL_TABLES && usize::from(table) >= self.tables.len() {
            return Err(Fault::TableModBadTable);
        }
        if version == Version::V13 {
            // Its bits are those that 1.1 had for packets without a flow, and mean nothing.
            return Ok(());
        }
        if config & !(EVICTION | VACANCY_EVENTS | 3) != 0 {
            return Err(Fault::BadTableConfig);
        }
        let mut vacancy = None;
        while !reader.is_empty() {
            match properties::parse(&mut reader)? {
                (EVICTION_PROPERTY, mut property) => {
                    let flags = property.u32().map_err(|_| Fault::BadPropertyLength)?;
                    if flags != EVICTION_FLAGS {
                        return Err(Fault::BadPropertyValue);
                    }
                }
                (VACANCY_PROPERTY, mut property) => {
                    let [down, up, _, _] = property.array().map_err(|_| Fault::BadPropertyLength)?;
                    if down > up || up > 100 {
                        return Err(Fault::BadPropertyValue);
                    }
                    vacancy = Some((down, up));
                }
                (0xffff, _) => return Err(Fault::PropertyExperimenter),
                _ => return Err(Fault::BadPropertyType),
            }
        }
        for number in 0..self.tables.len() {
            if table != flow_mod::ALL_TABLES && usize::from(table) != number {
                continue;
            }
            if let Some(set) = self.table_configs.get_mut(number) {
                set.evicts = config & EVICTION != 0;
                set.vacancy = (config & VACANCY_EVENTS != 0).then_some(vacancy.or(set.vacancy)).flatten();
                set.scarce = false;
            }
            self.watch_vacancy(number);
        }
        Ok(())
    }

    fn vacancy(&self, table: usize) -> u8 {
        let (used, limit) = (self.tables.get(table).map_or(0, super::Table::len), self.config.flows.max(1));
        ((limit.saturating_sub(used)) * 100 / limit) as u8
    }

    /// Tells the controllers when a table has become scarce of room, or has room again.
    pub(super) fn watch_vacancy(&mut self, table: usize) {
        let TableConfig { vacancy: Some((down, up)), scarce, .. } = self.table_config(table as u8) else {
            return;
        };
        let vacancy = self.vacancy(table);
        let reason = match scarce {
            false if vacancy < down => 3,
            true if vacancy > up => 4,
            _ => return,
        };
        if let Some(config) = self.table_configs.get_mut(table) {
            config.scarce = !scarce;
        }
        let mut description = Vec::new();
        self.describe_table(table, &mut description);
        for connection in self.connections.iter_mut().flatten() {
            let Some(version @ (Version::V14 | Version::V15)) = connection.version else { continue };
            if connection.tells(event::TABLE_STATUS, reason) {
                wire::emit(version, Kind::TableStatus, 0, &mut connection.out, |out| {
                    out.extend_from_slice(&[reason as u8, 0, 0, 0, 0, 0, 0, 0]);
                    out.extend_from_slice(&description);
                });
            }
        }
    }

    /// Writes a table's description (section 7.3.5.15).
    pub(super) fn describe_table(&self, table: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let set = self.table_config(table as u8);
        let config =
            if set.evicts { EVICTION } else { 0 } | if set.vacancy.is_some() { VACANCY_EVENTS } else { 0 };
        out.extend_from_slice(&[0, 0, table as u8, 0]);
        out.extend_from_slice(&config.to_be_bytes());
        properties::emit(EVICTION_PROPERTY, out, |out| {
            out.extend_from_slice(&EVICTION_FLAGS.to_be_bytes());
        });
        if let Some((down, up)) = set.vacancy {
            properties::emit(VACANCY_PROPERTY, out, |out| {
                out.extend_from_slice(&[down, up, self.vacancy(table), 0]);
            });
        }
        let length = (out.len() - start) as u16;
        out[start..start + 2].copy_from_slice(&length.to_be_bytes());
    }
}
