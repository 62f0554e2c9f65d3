//! EDNS(0), RFC 6891, and its options: NSID (5001), cookies (7873), TCP keepalive (7828), padding (7830), extended errors (8914).
use super::{Rcode, Record};
use crate::Error;

/// What the OPT pseudo-record of a message says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns<'a> {
    /// Largest UDP payload that its sender takes.
    pub udp_payload: u16,
    /// Version; only 0 is defined.
    pub version: u8,
    /// Upper eight bits of the rcode.
    pub extended_rcode: u8,
    /// DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// The options, in wire form.
    pub options: &'a [u8],
}

/// Codes of EDNS options.
pub mod option {
    /// Name server identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// TCP keepalive, in units of 100 ms (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Padding (RFC 7830).
    pub const PADDING: u16 = 12;
    /// Extended error (RFC 8914).
    pub const EXTENDED_ERROR: u16 = 15;
}

impl<'a> Edns<'a> {
    /// What the OPT record `record` says.
    ///
    /// # Errors
    /// [`Error::BadRecord`] when its owner is not the root or its options do not add up.
    pub fn from_record(record: &Record<'a>) -> Result<Self, Error> {
        let edns = Self {
            udp_payload: record.class.0,
            extended_rcode: (record.ttl >> 24) as u8,
            version: (record.ttl >> 16) as u8,
            dnssec_ok: record.ttl & 0x8000 != 0,
            options: record.rdata,
        };
        let mut rest = edns.options();
        if !record.name.as_name().is_root()
            || rest.by_ref().count() > usize::from(u16::MAX)
            || !rest.0.is_empty()
        {
            return Err(Error::BadRecord);
        }
        Ok(edns)
    }

    /// The options: code and value.
    pub const fn options(&self) -> Options<'a> {
        Options(self.options)
    }

    /// The value of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|(found, _)| *found == code).map(|(_, value)| value)
    }

    /// The rcode of a message with these header bits.
    pub const fn rcode(&self, header: Rcode) -> Rcode {
        Rcode((self.extended_rcode as u16) << 4 | header.0)
    }

    /// Writes the OPT record (11 bytes and the options) to the start of `out` and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Error> {
        let length = u16::try_from(self.options.len()).map_err(|_| Error::NoRoom)?;
        let out = out.get_mut(..11 + self.options.len()).ok_or(Error::NoRoom)?;
        out[..3].copy_from_slice(&[0, 0, 41]);
        out[3..5].copy_from_slice(&self.udp_payload.to_be_bytes());
        out[5..9].copy_from_slice(&[self.extended_rcode, self.version, u8::from(self.dnssec_ok) << 7, 0]);
        out[9..11].copy_from_slice(&length.to_be_bytes());
        out[11..].copy_from_slice(self.options);
        Ok(out.len())
    }
}

/// Iterator over EDNS options; it stops where they cease to add up.
#[derive(Clone, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[a, b, c, d], rest) = self.0.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
        self.0 = rest;
        Some((u16::from_be_bytes([a, b]), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, Section};

    #[test]
    fn what_is_emitted_reads_back() {
        let edns = Edns {
            udp_payload: 1232,
            dnssec_ok: true,
            extended_rcode: 1,
            version: 0,
            options: b"\0\x03\0\x02ab\0\x0a\0\0",
        };
        let mut bytes = [0; 64];
        bytes[11] = 1;
        let length = 12 + edns.emit(&mut bytes[12..]).unwrap();
        let message = Message::new(&bytes[..length]).unwrap();
        let record = message.records().next().unwrap().unwrap();
        assert_eq!(record.section, Section::Additional);
        assert_eq!(Edns::from_record(&record).unwrap(), edns);
        assert_eq!(edns.option(option::NSID), Some(&b"ab"[..]));
        assert_eq!(edns.option(option::PADDING), None);
        assert_eq!(edns.rcode(Rcode(0)), Rcode::BADVERS);
        // An option longer than the record.
        bytes[length - 1] = 9;
        let record = Message::new(&bytes[..length]).unwrap().records().next().unwrap().unwrap();
        assert_eq!(Edns::from_record(&record), Err(Error::BadRecord));
    }
}
