//! Writes messages into a caller's buffer, with name compression (RFC 1035 section 4.1.4) and exact truncation.
use super::{Class, Edns, Flags, HEADER, Message, Name, RecordType, Section, rdata, same_letters};
use crate::Error;

/// Suffixes the compressor remembers; a message with more distinct ones is only a little longer.
const REMEMBERED: usize = 64;

/// A message being written.
///
/// A call that does not fit leaves the message as it was before, so that what is there is always whole records.
pub struct Builder<'a> {
    bytes: &'a mut [u8],
    length: usize,
    limit: usize,
    counts: [u16; 4],
    // Where suffixes stand, and a tag of each: equal names have equal tags.
    offsets: [u16; REMEMBERED],
    tags: [u16; REMEMBERED],
    remembered: usize,
}

/// A point to come back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    length: usize,
    counts: [u16; 4],
    remembered: usize,
}

impl<'a> Builder<'a> {
    /// A message with this id and flags and nothing else, at most as long as `bytes`.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when a header does not fit.
    pub fn new(bytes: &'a mut [u8], id: u16, flags: Flags) -> Result<Self, Error> {
        let header = bytes.get_mut(..HEADER).ok_or(Error::NoRoom)?;
        header.fill(0);
        header[..2].copy_from_slice(&id.to_be_bytes());
        header[2..4].copy_from_slice(&flags.0.to_be_bytes());
        Ok(Self {
            limit: bytes.len(),
            bytes,
            length: HEADER,
            counts: [0; 4],
            offsets: [0; REMEMBERED],
            tags: [0; REMEMBERED],
            remembered: 0,
        })
    }

    /// Bytes written so far.
    #[allow(clippy::len_without_is_empty, reason = "there is always a header")]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Sets bits of the flags word.
    pub fn set_flags(&mut self, flags: u16) {
        let word = u16::from_be_bytes([self.bytes[2], self.bytes[3]]) | flags;
        self.bytes[2..4].copy_from_slice(&word.to_be_bytes());
    }

    /// Where the message stands now.
    pub const fn mark(&self) -> Mark {
        Mark { length: self.length, counts: self.counts, remembered: self.remembered }
    }

    /// Takes back what was written since `mark`.
    pub const fn rewind(&mut self, mark: Mark) {
        self.length = mark.length;
        self.counts = mark.counts;
        self.remembered = mark.remembered;
    }

    /// Makes the message's limit shorter (or longer again, up to the buffer) to keep room for what must come last.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.bytes.len());
    }

    /// Adds a question. The name's case is kept.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; the message is as before.
    pub fn question(&mut self, name: Name<'_>, rtype: RecordType, class: Class) -> Result<(), Error> {
        let mark = self.mark();
        self.written(mark, |this| {
            this.name(name)?;
            this.put(&rtype.0.to_be_bytes())?;
            this.put(&class.0.to_be_bytes())?;
            this.counts[0] += 1;
            Ok(())
        })
    }

    /// Adds a record whose data are in wire form without compression; names in them that may be compressed are.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; the message is as before.
    pub fn record(
        &mut self,
        section: Section,
        owner: Name<'_>,
        rtype: RecordType,
        class: Class,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), Error> {
        let mark = self.mark();
        self.written(mark, |this| {
            this.name(owner)?;
            this.put(&rtype.0.to_be_bytes())?;
            this.put(&class.0.to_be_bytes())?;
            this.put(&ttl.to_be_bytes())?;
            let length_at = this.length;
            this.put(&[0, 0])?;
            let compressible = rdata::compressible_names(rtype);
            let mut rest = data;
            if let Some((fixed, names)) = compressible {
                let (head, mut tail) = rest.split_at_checked(fixed).unwrap_or((rest, &[]));
                this.put(head)?;
                for _ in 0..names {
                    match Name::parse(tail) {
                        Ok(name) => {
                            tail = tail.get(name.len()..).unwrap_or(&[]);
                            this.name(name)?;
                        }
                        Err(_) => break,
                    }
                }
                rest = tail;
            }
            this.put(rest)?;
            let length = u16::try_from(this.length - length_at - 2).map_err(|_| Error::NoRoom)?;
            this.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
            this.counts[1 + section as usize] += 1;
            Ok(())
        })
    }

    /// Adds the OPT record to the additional section.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; the message is as before.
    pub fn edns(&mut self, edns: &Edns<'_>) -> Result<(), Error> {
        let room = self.bytes.get_mut(self.length..self.limit).ok_or(Error::NoRoom)?;
        self.length += edns.emit(room)?;
        self.counts[3] += 1;
        Ok(())
    }

    /// Whether `section` has a record of this owner and type already.
    pub fn has_record(&mut self, section: Section, owner: Name<'_>, rtype: RecordType) -> bool {
        self.write_counts();
        Message::new(&self.bytes[..self.length]).is_ok_and(|message| {
            message.records().flatten().any(|record| {
                record.section == section && record.rtype == rtype && record.name.as_name() == owner
            })
        })
    }

    fn written(
        &mut self,
        mark: Mark,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let result = write(self);
        if result.is_err() {
            self.rewind(mark);
        }
        result
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length + bytes.len();
        if end > self.limit {
            return Err(Error::NoRoom);
        }
        self.bytes.get_mut(self.length..end).ok_or(Error::NoRoom)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Writes `name`, its longest suffix that the message already has as a pointer.
    fn name(&mut self, name: Name<'_>) -> Result<(), Error> {
        let start = self.length;
        let mut rest = name.as_bytes();
        while let Some((&label, tail)) = rest.split_first() {
            if label == 0 {
                break;
            }
            let tag = (rest.len() as u16) << 8 | u16::from(tail.first().map_or(0, u8::to_ascii_lowercase));
            if let Some(offset) = self.find(tag, rest) {
                return self.put(&(0xc000 | offset).to_be_bytes());
            }
            let at = self.length;
            let (head, tail) = rest.split_at_checked(1 + usize::from(label)).ok_or(Error::BadName)?;
            self.put(head)?;
            if at < 0x4000 && self.remembered < REMEMBERED {
                self.offsets[self.remembered] = at as u16;
                self.tags[self.remembered] = tag;
                self.remembered += 1;
            }
            rest = tail;
        }
        debug_assert!(self.length - start < super::MAX_NAME);
        self.put(&[0])
    }

    fn find(&self, tag: u16, name: &[u8]) -> Option<u16> {
        let known = self.tags.get(..self.remembered)?.iter().zip(&self.offsets);
        known
            .filter(|&(&other, _)| other == tag)
            .map(|(_, &offset)| offset)
            .find(|&at| self.equals_at(name, at))
    }

    /// Whether the name at `offset`, which this builder wrote, is `name`. One that is still being written has no end.
    fn equals_at(&self, name: &[u8], offset: u16) -> bool {
        let written = &self.bytes[..self.length];
        let mut rest = name;
        let mut at = usize::from(offset);
        loop {
            match (written.get(at), rest.first()) {
                (Some(&high @ 0xc0..), _) => {
                    let Some(&low) = written.get(at + 1) else { return false };
                    at = usize::from(high & 63) << 8 | usize::from(low);
                }
                (Some(0), Some(0)) => return true,
                (Some(&length), Some(&other)) if length == other && length > 0 => {
                    let count = 1 + usize::from(length);
                    let (Some(here), Some(there)) = (written.get(at..at + count), rest.get(..count)) else {
                        return false;
                    };
                    if !same_letters(here, there) {
                        return false;
                    }
                    at += count;
                    rest = &rest[count..];
                }
                _ => return false,
            }
        }
    }

    /// Completes the header's counts and returns the message's length.
    pub fn finish(mut self) -> usize {
        self.write_counts();
        self.length
    }

    fn write_counts(&mut self) {
        for (index, count) in self.counts.iter().enumerate() {
            self.bytes[4 + 2 * index..6 + 2 * index].copy_from_slice(&count.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, NameBuf};

    fn name(text: &str) -> NameBuf {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_compressed_and_read_back() {
        let mut bytes = [0; 512];
        let mut builder = Builder::new(&mut bytes, 7, Flags(Flags::QR)).unwrap();
        let www = name("www.example.com");
        builder.question(www.as_name(), RecordType::MX, Class::IN).unwrap();
        let mut data = std::vec![0, 10];
        data.extend(name("mail.EXAMPLE.com").as_name().as_bytes());
        builder.record(Section::Answer, www.as_name(), RecordType::MX, Class::IN, 60, &data).unwrap();
        let length = builder.finish();
        // Owner as one pointer, exchange as one label and a pointer.
        assert_eq!(length, 12 + 21 + (2 + 10 + 2 + 5 + 2));
        let message = Message::new(&bytes[..length]).unwrap();
        let record = message.records().next().unwrap().unwrap();
        assert_eq!(record.name, www);
        let (exchange, _) = NameBuf::from_message(message.as_bytes(), record.rdata_offset + 2).unwrap();
        assert_eq!(exchange, name("mail.example.com"));
    }

    #[test]
    fn what_does_not_fit_leaves_the_message_whole() {
        let mut bytes = [0; 60];
        let mut builder = Builder::new(&mut bytes, 7, Flags(0)).unwrap();
        let owner = name("a.example");
        builder.question(owner.as_name(), RecordType::TXT, Class::IN).unwrap();
        let before = builder.len();
        assert!(
            builder
                .record(Section::Answer, owner.as_name(), RecordType::TXT, Class::IN, 1, &[40; 41])
                .is_err()
        );
        assert_eq!(builder.len(), before);
        builder
            .record(Section::Answer, owner.as_name(), RecordType::TXT, Class::IN, 1, &[3, 1, 2, 3])
            .unwrap();
        let length = builder.finish();
        let message = Message::new(&bytes[..length]).unwrap();
        assert_eq!(message.record_count(Section::Answer), 1);
        assert!(message.records().all(|record| record.is_ok()));
    }
}
