//! Replies in a form that can be compared, and the differences that are no faults.
use airglow_dns::wire::{Flags, Message, Rcode, Record, RecordType, Section, rdata};
use std::{collections::BTreeSet, fmt};

/// A reply without what may differ freely: order within a section, case, compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    came: bool,
    rcode: u16,
    authoritative: bool,
    truncated: bool,
    answer: BTreeSet<String>,
    authority: BTreeSet<String>,
    additional: BTreeSet<String>,
    asked: RecordType,
    aliased: bool,
}

/// Whether a difference is one of the known choices.
pub enum Difference {
    /// It is, and this is why.
    Explained(&'static str),
    /// It is not.
    Not,
}

/// A question in words.
pub fn question(bytes: &[u8]) -> String {
    let message = Message::new(bytes).unwrap();
    let (question, _) = message.question().unwrap();
    let edns = message.records().flatten().find(|r| r.rtype == RecordType::OPT);
    let edns = edns.map_or(String::new(), |r| format!(" payload {} DO {}", r.class.0, r.ttl >> 15 & 1));
    format!("{} {}{edns}", question.name, question.rtype)
}

impl Reply {
    /// Reads what came; `None` is no reply.
    pub fn read(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::none() };
        let message = Message::new(bytes).expect("a header");
        let flags = message.flags();
        let mut reply = Self {
            came: true,
            rcode: flags.rcode().0,
            authoritative: flags.has(Flags::AA),
            truncated: flags.has(Flags::TC),
            asked: message.question().map_or(RecordType(0), |(question, _)| question.rtype),
            ..Self::none()
        };
        for record in message.records() {
            let record = record.expect("a whole record");
            if record.rtype == RecordType::OPT {
                continue;
            }
            reply.aliased |= matches!(record.rtype, RecordType::CNAME | RecordType::DNAME);
            let line = line(bytes, &record);
            match record.section {
                Section::Answer => reply.answer.insert(line),
                Section::Authority => reply.authority.insert(line),
                Section::Additional => reply.additional.insert(line),
            };
        }
        reply
    }

    const fn none() -> Self {
        Self {
            came: false,
            rcode: 0,
            authoritative: false,
            truncated: false,
            answer: BTreeSet::new(),
            authority: BTreeSet::new(),
            additional: BTreeSet::new(),
            asked: RecordType(0),
            aliased: false,
        }
    }

    /// How `peer`'s reply differs from this one, which is ours.
    pub fn difference(&self, peer: &Self, name: &str) -> Option<Difference> {
        use Difference::Explained;
        if self == peer {
            return None;
        }
        if !self.came || !peer.came {
            return Some(Difference::Not);
        }
        // Beside a positive answer NSD and BIND may name the zone's servers; the answer is complete without them.
        let servers = |reply: &Self| {
            reply
                .authority
                .iter()
                .filter(|line| !line.contains(" NS ") && !line.contains("RRSIG NS "))
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        let same_head = self.rcode == peer.rcode && self.authoritative == peer.authoritative;
        let same_proof = servers(self) == servers(peer) || self.authority == peer.authority;
        if self.asked == RecordType::ANY
            && same_head
            && (self.answer.is_subset(&peer.answer)
                || peer.answer.is_subset(&self.answer)
                || !self.answer.is_empty() && !peer.answer.is_empty())
        {
            return Some(Explained("ANY: each server gives the record sets that RFC 8482 lets it choose"));
        }
        if self.rcode == 0 && peer.rcode == 2 && self.answer == peer.answer && self.aliased && name == "BIND"
        {
            return Some(Explained("SERVFAIL beside the whole of a loop of CNAMEs"));
        }
        if self.asked == RecordType::RRSIG
            && same_head
            && (self.answer.is_superset(&peer.answer) || peer.answer.is_superset(&self.answer))
        {
            return Some(Explained(
                "RRSIG asked for: some or all of the signatures at the name (RFC 8482 section 7)",
            ));
        }
        let timeless = |lines: &BTreeSet<String>| {
            lines
                .iter()
                .map(|line| {
                    line.split(' ')
                        .enumerate()
                        .filter(|(n, _)| *n != 1)
                        .map(|(_, w)| w.to_owned())
                        .collect::<Vec<_>>()
                })
                .collect::<BTreeSet<_>>()
        };
        if same_head
            && name == "BIND"
            && self.asked == RecordType::SOA
            && timeless(&self.authority) == timeless(&peer.authority)
        {
            return Some(Explained("a negative answer to a question for SOA has TTL 0"));
        }
        let chain = matches!(self.asked, RecordType::NSEC3 | RecordType::NSEC);
        if name == "NSD" && chain && (self.aliased || peer.aliased) {
            return Some(Explained(
                "follows an alias for NSEC and not for NSEC3; we, BIND and Knot the other way round",
            ));
        }
        if name == "BIND"
            && self.asked == RecordType::NSEC
            && !self.authoritative
            && peer.authoritative
            && !peer.answer.is_empty()
        {
            return Some(Explained(
                "gives the NSEC at a cut to who asks for it; we, NSD and Knot refer to the child",
            ));
        }
        if self.truncated || peer.truncated {
            return match self.rcode == peer.rcode || self.truncated && peer.truncated {
                true => Some(Explained(
                    "one of the two did not fit its datagram: what is left out of a truncated reply is free",
                )),
                false => Some(Difference::Not),
            };
        }
        if same_head && self.answer == peer.answer && self.authority == peer.authority {
            return Some(Explained(
                "additional records: a courtesy but for glue, which is compared in the test of referrals",
            ));
        }
        if same_head && self.answer == peer.answer && same_proof && !self.answer.is_empty() {
            return Some(Explained("the zone's servers beside an answer (we answer minimally)"));
        }
        if self.aliased && self.rcode == peer.rcode && (self.answer == peer.answer) && name == "BIND" {
            return Some(Explained("authority section after an alias"));
        }
        Some(Difference::Not)
    }
}

fn line(message: &[u8], record: &Record<'_>) -> String {
    let mut data = vec![0; 65_535];
    let length =
        rdata::from_message(record.rtype, message, record.rdata_offset, record.rdata.len(), &mut data);
    let text = rdata::Text(record.rtype, &data[..length.expect("good data")]).to_string();
    // Character strings keep their case; names have none. Lower-casing both loses no test that matters here.
    format!("{} {} {} {}", record.name, record.ttl, record.rtype, text)
        .to_ascii_lowercase()
        .replace(" ns ", " NS ")
        .replace("rrsig ns ", "RRSIG NS ")
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.came {
            return f.write_str("no reply");
        }
        write!(f, "{:?}", Rcode(self.rcode))?;
        write!(
            f,
            "{}{}",
            if self.authoritative { " aa" } else { "" },
            if self.truncated { " tc" } else { "" }
        )?;
        for (name, section) in
            [("answer", &self.answer), ("authority", &self.authority), ("additional", &self.additional)]
        {
            for line in section {
                write!(f, "\n    {name}: {line}")?;
            }
        }
        Ok(())
    }
}
