//! RFC 1034 section 4.3.2 within one zone: exact matches, cuts, aliases, wildcards, and what is not there.
use crate::{
    Error,
    wire::{Builder, Class, Flags, Name, NameBuf, Question, Rcode, RecordType, Section, SuffixHashes, rdata},
    zone::{Node, RecordSet, Zone},
};

/// Longest chain of CNAME and DNAME that is followed in one answer.
const LONGEST_CHAIN: usize = 16;

/// An answer being written.
pub(super) struct Answer<'q, 'b, 'm> {
    pub zone: &'q Zone,
    pub question: &'q Question,
    pub dnssec: bool,
    pub udp: bool,
    pub builder: &'b mut Builder<'m>,
    /// The code so far, which a truncated answer has too.
    pub rcode: Rcode,
}

/// Where a name leads.
enum Found<'z> {
    /// To a node of its own (or to an empty non-terminal).
    Node(Node<'z>),
    /// To a zone below.
    Cut(Node<'z>),
    /// Below a DNAME.
    Below(Node<'z>),
    /// Nowhere; this is the closest name above it that is there.
    Nothing(Node<'z>),
}

fn find<'z>(zone: &'z Zone, name: Name<'_>, rtype: RecordType) -> Found<'z> {
    let mut hashes = SuffixHashes::new();
    hashes.compute(name);
    let apex_labels = zone.apex().name().label_count();
    // The usual case first: the name is there and nothing above it stands in the way.
    let exact = zone.find_hashed(hashes.get(0), name);
    if let Some(node) = exact.filter(|node| !node.is_occluded()) {
        // The keys of a zone below are the parent's to know; everything else at a cut is the child's.
        let own = !node.is_cut() || rtype == RecordType::DS;
        return if own { Found::Node(node) } else { Found::Cut(node) };
    }
    // From the apex down: the first cut or DNAME decides, else the last node that is there.
    let mut closest = zone.apex();
    for depth in (0..hashes.len() - 1 - apex_labels).rev() {
        if closest.has_dname() {
            return Found::Below(closest);
        }
        let Some(node) = name.ancestor(depth).and_then(|above| zone.find_hashed(hashes.get(depth), above))
        else {
            break;
        };
        if node.is_cut() {
            return Found::Cut(node);
        }
        closest = node;
    }
    if closest.has_dname() { Found::Below(closest) } else { Found::Nothing(closest) }
}

impl Answer<'_, '_, '_> {
    /// Writes the sections and returns the code.
    pub(super) fn write(mut self) -> Rcode {
        match self.follow(self.question.name) {
            Ok(rcode) => rcode,
            // Answer or authority did not fit: what is there are whole record sets.
            Err(_) => {
                self.builder.set_flags(Flags::TC);
                self.rcode
            }
        }
    }

    fn follow(&mut self, mut name: NameBuf) -> Result<Rcode, Error> {
        let rtype = self.question.rtype;
        let zone = self.zone;
        for step in 0..LONGEST_CHAIN {
            let (node, owner) = match find(zone, name.as_name(), rtype) {
                Found::Cut(cut) => {
                    // After an alias the answer so far is ours; the rest is the child's.
                    return self.referral(cut, step > 0);
                }
                Found::Below(dname) => match self.dname(dname, &name)? {
                    Some(next) => {
                        name = next;
                        if !name.as_name().is_within(zone.apex().name()) {
                            return Ok(Rcode::NOERROR);
                        }
                        continue;
                    }
                    None => return Ok(Rcode::YXDOMAIN),
                },
                Found::Nothing(closest) => {
                    let wildcard = closest
                        .has_wildcard()
                        .then(|| NameBuf::wildcard_below(closest.name()).ok())
                        .flatten();
                    match wildcard.and_then(|wildcard| zone.find(wildcard.as_name())) {
                        // The wildcard may itself be where a zone below begins; such a zone is never entered (RFC 4592 section 4.2).
                        Some(node) => {
                            self.builder.set_flags(Flags::AA);
                            if let Some(next) = self.at_wildcard(node, closest, &name)? {
                                name = next;
                                continue;
                            }
                            return Ok(Rcode::NOERROR);
                        }
                        None => {
                            self.builder.set_flags(Flags::AA);
                            // After a chain of aliases the code is that of its last name (RFC 6604 section 3).
                            self.rcode = Rcode::NXDOMAIN;
                            self.negative(|this| this.deny_name(closest, name.as_name()))?;
                            return Ok(Rcode::NXDOMAIN);
                        }
                    }
                }
                Found::Node(node) => (node, name),
            };
            self.builder.set_flags(Flags::AA);
            match self.at_node(node, owner.as_name())? {
                Step::Done => return Ok(Rcode::NOERROR),
                Step::Alias(target) if !target.as_name().is_within(zone.apex().name()) => {
                    return Ok(Rcode::NOERROR);
                }
                Step::Alias(target) => name = target,
                Step::NoData => {
                    self.negative(|this| this.deny_type(node, name.as_name()))?;
                    return Ok(Rcode::NOERROR);
                }
            }
        }
        // A loop of aliases, or a chain too long to follow: what was found is the answer.
        Ok(Rcode::NOERROR)
    }

    fn at_wildcard(
        &mut self,
        wildcard: Node<'_>,
        closest: Node<'_>,
        name: &NameBuf,
    ) -> Result<Option<NameBuf>, Error> {
        match self.at_node(wildcard, name.as_name())? {
            Step::NoData => {
                self.negative(|this| this.deny_wildcard_type(wildcard, closest, name.as_name()))?;
                Ok(None)
            }
            step => {
                self.deny_closer(closest, name.as_name())?;
                let apex = self.zone.apex().name();
                Ok(match step {
                    Step::Alias(target) if target.as_name().is_within(apex) => Some(target),
                    _ => None,
                })
            }
        }
    }

    /// Answers from `node`, under the name `owner`, which differs when the node is a wildcard.
    fn at_node(&mut self, node: Node<'_>, owner: Name<'_>) -> Result<Step, Error> {
        let rtype = self.question.rtype;
        if rtype == RecordType::ANY {
            //= https://www.rfc-editor.org/rfc/rfc8482#section-4.1
            //# A DNS responder that receives an ANY query MAY decline to provide a conventional ANY response
            //# or MAY instead send a response with a single RRset (or a larger subset of available RRsets) in the answer section.
            // Over a stream, where nobody else pays for it, everything.
            let mut any = false;
            let dnssec = self.dnssec;
            let shown = |rtype| rtype != RecordType::RRSIG && (dnssec || rtype != RecordType::NSEC);
            for set in node.sets().filter(|set| shown(set.rtype)) {
                self.signed_set(Section::Answer, node, &set, owner)?;
                any = true;
                if self.udp {
                    break;
                }
            }
            return Ok(if any { Step::Done } else { Step::NoData });
        }
        let mut any = false;
        for set in node.sets().filter(|set| set.rtype == rtype) {
            self.signed_set(Section::Answer, node, &set, owner)?;
            self.additional(&set)?;
            any = true;
        }
        if any {
            return Ok(Step::Done);
        }
        let alias =
            node.set(RecordType::CNAME).filter(|_| !matches!(rtype, RecordType::NSEC | RecordType::RRSIG));
        if let Some(set) = alias {
            self.signed_set(Section::Answer, node, &set, owner)?;
            let target = set.data().next().and_then(|data| Name::parse(data).ok());
            return Ok(target.map_or(Step::Done, |target| Step::Alias(NameBuf::from_name(target))));
        }
        Ok(Step::NoData)
    }

    /// RFC 6672: the DNAME and the CNAME it makes. `None` when the new name would be too long.
    fn dname(&mut self, node: Node<'_>, name: &NameBuf) -> Result<Option<NameBuf>, Error> {
        self.builder.set_flags(Flags::AA);
        let Some(set) = node.set(RecordType::DNAME) else { return Ok(None) };
        self.signed_set(Section::Answer, node, &set, node.name())?;
        let Some(target) = set.data().next().and_then(|data| Name::parse(data).ok()) else { return Ok(None) };
        let kept = name.as_name().len() - node.name().len();
        // The labels in front of the DNAME's owner, with a root byte to make them a name.
        let mut head = [0; 256];
        head[..kept].copy_from_slice(&name.as_name().as_bytes()[..kept]);
        let Ok(next) = Name::parse(&head[..kept + 1]).and_then(|head| NameBuf::join(head, target)) else {
            return Ok(None);
        };
        let owner = name.as_name();
        self.record(Section::Answer, owner, RecordType::CNAME, set.ttl, next.as_name().as_bytes())?;
        Ok(Some(next))
    }

    /// The zone goes on elsewhere: its servers, whether its keys are known, and their addresses.
    fn referral(&mut self, cut: Node<'_>, aliased: bool) -> Result<Rcode, Error> {
        if aliased {
            self.builder.set_flags(Flags::AA);
        }
        let Some(servers) = cut.set(RecordType::NS) else { return Ok(Rcode::SERVFAIL) };
        self.set(Section::Authority, &servers, cut.name())?;
        if crate::SIGNED && self.dnssec && self.zone.is_signed() {
            match cut.set(RecordType::DS) {
                Some(keys) => self.signed_set(Section::Authority, cut, &keys, cut.name())?,
                None => self.deny_keys(cut)?,
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc9471#section-3.1
        //# When a name server generates a referral response, it MUST include all available glue
        //# records for in-domain name servers in the additional section or MUST set TC=1
        for data in servers.data() {
            let Ok(server) = Name::parse(data) else { continue };
            let needed = server.is_within(cut.name());
            match self.addresses(server) {
                Err(error) if needed => return Err(error),
                _ => {}
            }
        }
        Ok(Rcode::NOERROR)
    }

    /// The addresses that an answer's reader will ask for next. They are a courtesy: what does not fit is left out.
    fn additional(&mut self, set: &RecordSet<'_>) -> Result<(), Error> {
        if matches!(
            set.rtype,
            RecordType::NS | RecordType::MX | RecordType::SRV | RecordType::SVCB | RecordType::HTTPS
        ) {
            for data in set.data() {
                if let Some(target) = rdata::target(set.rtype, data) {
                    let _ = self.addresses(target);
                }
            }
        }
        Ok(())
    }

    /// A and AAAA of a name of this zone, glue included.
    fn addresses(&mut self, name: Name<'_>) -> Result<(), Error> {
        let zone = self.zone;
        let Some(node) = name.is_within(zone.apex().name()).then(|| zone.find(name)).flatten() else {
            return Ok(());
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            if let Some(set) = node.set(rtype) {
                let mark = self.builder.mark();
                let signed = !node.is_occluded() && !node.is_cut();
                let written = if signed {
                    self.signed_set(Section::Additional, node, &set, name)
                } else {
                    self.set(Section::Additional, &set, name)
                };
                if written.is_err() {
                    self.builder.rewind(mark);
                    return written;
                }
            }
        }
        Ok(())
    }

    /// The SOA, and with DNSSEC the proof that `deny` writes.
    fn negative(&mut self, deny: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let apex = self.zone.apex();
        if let Some(soa) = apex.set(RecordType::SOA) {
            //= https://www.rfc-editor.org/rfc/rfc2308#section-3
            //# The TTL of this record is set from the minimum of the MINIMUM field of the SOA record
            //# and the TTL of the SOA itself
            let soa = soa.with_ttl(self.zone.negative_ttl());
            self.set(Section::Authority, &soa, apex.name())?;
            if crate::SIGNED && self.dnssec {
                for signature in apex.signatures(RecordType::SOA) {
                    self.record(Section::Authority, apex.name(), RecordType::RRSIG, soa.ttl, signature)?;
                }
                deny(self)?;
            }
        }
        Ok(())
    }

    pub(super) fn signed_set(
        &mut self,
        section: Section,
        node: Node<'_>,
        set: &RecordSet<'_>,
        owner: Name<'_>,
    ) -> Result<(), Error> {
        self.set(section, set, owner)?;
        if crate::SIGNED && self.dnssec && set.rtype != RecordType::RRSIG {
            for signature in node.signatures(set.rtype) {
                self.record(section, owner, RecordType::RRSIG, set.ttl, signature)?;
            }
        }
        Ok(())
    }

    /// A whole record set or nothing of it.
    fn set(&mut self, section: Section, set: &RecordSet<'_>, owner: Name<'_>) -> Result<(), Error> {
        let mark = self.builder.mark();
        for data in set.data() {
            if let Err(error) = self.record(section, owner, set.rtype, set.ttl, data) {
                self.builder.rewind(mark);
                return Err(error);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        section: Section,
        owner: Name<'_>,
        rtype: RecordType,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), Error> {
        self.builder.record(section, owner, rtype, Class::IN, ttl, data)
    }
}

/// What a node had to say.
#[allow(clippy::large_enum_variant, reason = "lives on the stack for the length of one step")]
enum Step {
    Done,
    Alias(NameBuf),
    NoData,
}
