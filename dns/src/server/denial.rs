//! Proofs that something is not there: RFC 4035 section 3.1.3 with NSEC, RFC 5155 section 7.2 with NSEC3.
use super::answer::Answer;
use crate::{
    Error,
    wire::{Name, NameBuf, RecordType, Section},
    zone::{Node, Zone},
};

impl Answer<'_, '_, '_> {
    /// `name` does not exist, nor a wildcard that would stand for it; `closest` is the nearest name above it.
    pub(super) fn deny_name(&mut self, closest: Node<'_>, name: Name<'_>) -> Result<(), Error> {
        if !crate::SIGNED {
            return Ok(());
        }
        let wildcard = NameBuf::wildcard_below(closest.name())?;
        if self.zone.denies_by_hash() {
            self.closest_encloser(closest, name)?;
            self.hashed(wildcard.as_name())
        } else {
            self.chained(&[name, wildcard.as_name()])
        }
    }

    /// `node` is there under `name`, without the type that was asked for.
    pub(super) fn deny_type(&mut self, node: Node<'_>, name: Name<'_>) -> Result<(), Error> {
        if !crate::SIGNED {
            return Ok(());
        }
        if !self.zone.denies_by_hash() {
            return self.chained(&[name]);
        }
        match self.zone.nsec3_for(name) {
            Some((_, false)) => {
                // An insecure delegation or what stands above only such, left out by opt-out (section 7.2.4).
                let above = nearest_hashed(self.zone, node.name());
                match above {
                    Some(above) => self.closest_encloser(above, name),
                    None => Ok(()),
                }
            }
            _ => self.hashed(name),
        }
    }

    /// The wildcard that stands for `name` has not the type that was asked for.
    pub(super) fn deny_wildcard_type(
        &mut self,
        wildcard: Node<'_>,
        closest: Node<'_>,
        name: Name<'_>,
    ) -> Result<(), Error> {
        if !crate::SIGNED {
            return Ok(());
        }
        if self.zone.denies_by_hash() {
            self.closest_encloser(closest, name)?;
            self.hashed(wildcard.name())
        } else {
            self.chained(&[name, wildcard.name()])
        }
    }

    /// No name closer to `name` than the wildcard exists, which makes the expanded answer right.
    pub(super) fn deny_closer(&mut self, closest: Node<'_>, name: Name<'_>) -> Result<(), Error> {
        if !crate::SIGNED || !self.dnssec {
            return Ok(());
        }
        if self.zone.denies_by_hash() {
            match next_closer(closest, name) {
                Some(next) => self.hashed(next),
                None => Ok(()),
            }
        } else {
            self.chained(&[name])
        }
    }

    /// The zone below `cut` has no DS: it is not signed.
    pub(super) fn deny_keys(&mut self, cut: Node<'_>) -> Result<(), Error> {
        self.deny_type(cut, cut.name())
    }

    /// RFC 5155 section 7.2.1: the closest encloser is there, the next closer name is not.
    fn closest_encloser(&mut self, closest: Node<'_>, name: Name<'_>) -> Result<(), Error> {
        self.hashed(closest.name())?;
        match next_closer(closest, name) {
            Some(next) => self.hashed(next),
            None => Ok(()),
        }
    }

    /// The NSEC records that match or cover these names, each once.
    fn chained(&mut self, names: &[Name<'_>]) -> Result<(), Error> {
        let zone = self.zone;
        let mut written: [Option<usize>; 2] = [None; 2];
        for (index, name) in names.iter().enumerate() {
            let Some(node) = zone.nsec_for(*name) else { continue };
            let key = node.name().as_bytes().as_ptr() as usize;
            if written.contains(&Some(key)) {
                continue;
            }
            if let Some(place) = written.get_mut(index) {
                *place = Some(key);
            }
            if let Some(set) = node.set(RecordType::NSEC) {
                self.signed_set(Section::Authority, node, &set, node.name())?;
            }
        }
        Ok(())
    }

    /// The NSEC3 record that matches or covers this name, unless it is there already.
    fn hashed(&mut self, name: Name<'_>) -> Result<(), Error> {
        let zone = self.zone;
        let Some((node, _)) = zone.nsec3_for(name) else { return Ok(()) };
        if self.builder.has_record(Section::Authority, node.name(), RecordType::NSEC3) {
            return Ok(());
        }
        match node.set(RecordType::NSEC3) {
            Some(set) => self.signed_set(Section::Authority, node, &set, node.name()),
            None => Ok(()),
        }
    }
}

/// `name` cut to one label more than `closest`.
fn next_closer<'n>(closest: Node<'_>, name: Name<'n>) -> Option<Name<'n>> {
    name.ancestor(name.label_count().checked_sub(closest.name().label_count() + 1)?)
}

/// The closest name above that has an NSEC3 of its own.
fn nearest_hashed<'z>(zone: &'z Zone, name: Name<'_>) -> Option<Node<'z>> {
    let apex = zone.apex().name().len();
    let mut above = name.parent().filter(|parent| parent.len() >= apex);
    while let Some(name) = above {
        if zone.nsec3_for(name).is_some_and(|(_, exact)| exact) {
            return zone.find(name);
        }
        above = name.parent().filter(|parent| parent.len() >= apex);
    }
    None
}
