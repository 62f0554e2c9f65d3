//! Statistics of ports and of their queues.
use super::{Parts, put};
use crate::{
    switch::Switch,
    wire::{Fault, Reader, Version, port, properties},
};
use airglow_device::Instant;
use alloc::vec::Vec;

impl Switch {
    pub(super) fn port_stats(
        &self,
        now: Instant,
        version: Version,
        reader: &mut Reader<'_>,
        parts: &mut Parts,
    ) -> Result<(), Fault> {
        let asked = match version {
            Version::V10 => port::from_10(reader.u16()?),
            _ => reader.u32()?,
        };
        if asked != port::ANY && !self.ports.contains_key(&asked) {
            return Err(Fault::BadPortRequest);
        }
        for port in self.ports.values().filter(|port| asked == port::ANY || asked == port.description.number)
        {
            let life = now.since(port.since);
            let lived = |out: &mut Vec<u8>| {
                put(out, &(life.as_secs() as u32).to_be_bytes());
                put(out, &life.subsec_nanos().to_be_bytes());
            };
            // Errors of six kinds: none is known of. Since 1.4 those that only Ethernet has are a property.
            let properties = version >= Version::V14;
            parts.entry(|out| {
                match version {
                    Version::V10 => {
                        put(out, &port::to_10(port.description.number).to_be_bytes());
                        put(out, &[0; 6]);
                    }
                    _ if properties => {
                        put(out, &[0, 120, 0, 0]);
                        put(out, &port.description.number.to_be_bytes());
                        lived(out);
                    }
                    _ => {
                        put(out, &port.description.number.to_be_bytes());
                        put(out, &[0; 4]);
                    }
                }
                let stats = &port.stats;
                for counter in [
                    stats.rx_packets,
                    stats.tx_packets,
                    stats.rx_bytes,
                    stats.tx_bytes,
                    stats.rx_dropped,
                    stats.tx_dropped,
                ] {
                    put(out, &counter.to_be_bytes());
                }
                if properties {
                    put(out, &[0; 16]);
                    properties::emit(port::ETHERNET, out, |out| put(out, &[0; 36]));
                } else {
                    put(out, &[0; 48]);
                }
                if version == Version::V13 {
                    lived(out);
                }
            });
        }
        Ok(())
    }

    /// Statistics and descriptions of queues are empty, for there are none; asked for one of them, it is not there.
    pub(super) fn queues_asked(&self, version: Version, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let (asked, queue) = match version {
            Version::V10 => {
                let port = port::from_10(reader.u16()?);
                reader.skip(2)?;
                (port, reader.u32()?)
            }
            _ => (reader.u32()?, reader.u32()?),
        };
        let every = asked == port::ANY || version == Version::V10 && asked == port::ALL;
        if !every && !self.ports.contains_key(&asked) {
            return Err(Fault::QueueBadPort);
        }
        if queue == u32::MAX { Ok(()) } else { Err(Fault::QueueBadQueue) }
    }
}
