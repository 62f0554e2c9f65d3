//! Statistics of flows as OXS: OpenFlow 1.5 section 7.2.4.
use super::{Fault, Reader};
use alloc::vec::Vec;
use core::time::Duration;

/// The class of the specification's own statistics.
const OPENFLOW_BASIC: u16 = 0x8002;

/// What is counted of a flow, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How long it has lived.
    pub duration: Option<Duration>,
    /// How long no packet has matched.
    pub idle: Option<Duration>,
    /// How many flows these are.
    pub flows: Option<u32>,
    /// Packets that matched.
    pub packets: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
}

impl Statistics {
    /// Reads statistics with their header and padding.
    ///
    /// # Errors
    /// [`Fault::BadLength`]. Statistics that are not known are passed over.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.skip(2)?;
        let length = usize::from(reader.u16()?);
        let mut fields = Reader(reader.take(length.checked_sub(4).ok_or(Fault::BadLength)?)?);
        reader.skip(length.next_multiple_of(8) - length)?;
        let mut found = Self::default();
        while !fields.is_empty() {
            let class = fields.u16()?;
            let [number, length] = fields.array()?;
            let mut value = Reader(fields.take(usize::from(length))?);
            let time = |mut value: Reader<'_>| -> Result<_, Fault> {
                // Nanoseconds that are a second or more would be the sender's mistake; they are carried over.
                Ok(Some(Duration::from_secs(value.u32()?.into()) + Duration::from_nanos(value.u32()?.into())))
            };
            match (class, number >> 1) {
                (OPENFLOW_BASIC, 0) => found.duration = time(value)?,
                (OPENFLOW_BASIC, 1) => found.idle = time(value)?,
                (OPENFLOW_BASIC, 3) => found.flows = Some(value.u32()?),
                (OPENFLOW_BASIC, 4) => found.packets = Some(value.u64()?),
                (OPENFLOW_BASIC, 5) => found.bytes = Some(value.u64()?),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Writes statistics with their header and padding.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut put = |number: u8, value: &[u8]| {
            out.extend_from_slice(&OPENFLOW_BASIC.to_be_bytes());
            out.extend_from_slice(&[number << 1, value.len() as u8]);
            out.extend_from_slice(value);
        };
        let time = |time: Duration| {
            (time.as_secs().min(u32::MAX.into()) << 32 | u64::from(time.subsec_nanos())).to_be_bytes()
        };
        self.duration.inspect(|life| put(0, &time(*life)));
        self.idle.inspect(|idle| put(1, &time(*idle)));
        self.flows.inspect(|flows| put(3, &flows.to_be_bytes()));
        self.packets.inspect(|packets| put(4, &packets.to_be_bytes()));
        self.bytes.inspect(|bytes| put(5, &bytes.to_be_bytes()));
        let length = out.len() - start;
        out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
        out.resize(start + length.next_multiple_of(8), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn statistics_read_as_they_are_written(
            secs: Option<(u32, u32)>, idle: Option<u32>, flows: Option<u32>, packets: Option<u64>, bytes: Option<u64>,
        ) {
            let duration = secs.map(|(secs, nanos)| Duration::new(secs.into(), nanos % 1_000_000_000));
            let idle = idle.map(|secs| Duration::from_secs(secs.into()));
            let statistics = Statistics { duration, idle, flows, packets, bytes };
            let mut out = Vec::new();
            statistics.emit(&mut out);
            prop_assert_eq!(out.len() % 8, 0);
            prop_assert_eq!(Statistics::parse(&mut Reader(&out)), Ok(statistics));
        }
    }
}
