//! Groups: who listens to which, and IGMP (RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810) that say so to routers and switches.
use crate::{
    address::solicited_node,
    checksum::Sum,
    error::Error,
    ip::Core,
    ipv4::Received,
    link::Link,
    ndp::{ALL_NODES, ALL_ROUTERS},
    output::{Outgoing, Path},
    wire::{
        igmp::{self, Record},
        ipv4, mld, protocol,
    },
};
use airglow_device::{Instant, TxMeta};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// How often a change is reported (RFC 3376 section 8.1, RFC 3810 section 9.1).
const ROBUSTNESS: u8 = 2;
/// Between the reports of a change there is up to this (RFC 3376 section 8.11, RFC 3810 section 9.11).
const UNSOLICITED_INTERVAL: Duration = Duration::from_secs(1);
/// For so long an older router is believed to be there: robustness times the query interval of 125 s plus a response of 10 s
/// (RFC 3376 section 8.12, RFC 3810 section 9.12).
const OLDER_ROUTER: Duration = Duration::from_secs(260);
/// Groups of one interface.
const MAX_GROUPS: usize = 40;
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_ROUTERS_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Why a group is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It is the solicited-node group of an address of ours.
    Address,
    /// A socket joined it.
    Socket(usize),
    /// Nobody does any more, and routers are being told.
    Nobody,
}

/// One listener to a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub interface: usize,
    pub group: IpAddr,
    pub owner: Owner,
    /// How often the change must still be reported.
    changes: u8,
    /// When that, or the answer to a query, goes out.
    at: Instant,
    /// Nobody else has reported the group since we did (IGMPv2 and MLDv1: the last one says when it leaves).
    last: bool,
}

/// What was heard of the routers of a link, for one IP version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Querier {
    /// Until when the older protocol is spoken.
    older_until: Instant,
    /// When the answer to a general query goes out.
    at: Instant,
}

impl Querier {
    pub const SILENT: Self = Self { older_until: Instant::ZERO, at: Instant::MAX };
}

/// Routers do not ask for these, and nobody reports them (RFC 2236 section 6, RFC 2710 section 5, RFC 3810 section 6).
fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group != ALL_SYSTEMS,
        // Scope 0 is reserved and 1 does not leave the node.
        IpAddr::V6(group) => group != ALL_NODES && group.octets()[1] & 0x0f > 1,
    }
}

impl Core<'_> {
    /// Some owner listens to `group` on `interface`.
    pub(crate) fn listens(&self, interface: usize, group: IpAddr) -> bool {
        crate::MULTICAST
            && self
                .groups
                .iter()
                .flatten()
                .any(|m| m.group == group && m.interface == interface && m.owner != Owner::Nobody)
    }

    /// Begins to listen to a group. `AddrInUse` when the owner does already.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        interface: usize,
        group: IpAddr,
        owner: Owner,
    ) -> Result<(), Error> {
        if !crate::MULTICAST || !group.is_multicast() {
            return Err(Error::InvalidInput);
        }
        if self.interfaces.get(interface).is_none_or(|i| !i.active) {
            return Err(Error::NoInterface);
        }
        let on = |m: &&Membership| m.interface == interface;
        if owner != Owner::Address
            && self.groups.iter().flatten().filter(on).any(|m| m.group == group && m.owner == owner)
        {
            return Err(Error::AddrInUse);
        }
        if self.groups.iter().flatten().filter(on).count() >= MAX_GROUPS {
            return Err(Error::TableFull);
        }
        let first = !self.listens(interface, group);
        // A farewell that is not over yet is taken back.
        for slot in self.groups.iter_mut() {
            if slot.is_some_and(|m| m.interface == interface && m.group == group && m.owner == Owner::Nobody)
            {
                *slot = None;
            }
        }
        let slot = self.groups.iter_mut().find(|m| m.is_none()).ok_or(Error::TableFull)?;
        let report = first && is_reported(group);
        let (changes, at) = if report { (ROBUSTNESS, now) } else { (0, Instant::MAX) };
        *slot = Some(Membership { interface, group, owner, changes, at, last: false });
        self.next = self.next.min(at);
        self.groups_changed(interface);
        Ok(())
    }

    /// Ends listening.
    pub(crate) fn leave(
        &mut self,
        now: Instant,
        interface: usize,
        group: IpAddr,
        owner: Owner,
    ) -> Result<(), Error> {
        if !crate::MULTICAST {
            return Err(Error::InvalidInput);
        }
        let mine = |m: &Option<Membership>| {
            m.is_some_and(|m| m.interface == interface && m.group == group && m.owner == owner)
        };
        let index = self.groups.iter().position(mine).ok_or(Error::AddrNotAvailable)?;
        let Some(slot) = self.groups.get_mut(index) else { return Ok(()) };
        let Some(gone) = slot.take() else { return Ok(()) };
        let heir = self.groups.iter_mut().flatten().find(|m| m.interface == interface && m.group == group);
        match heir {
            // Another one listens on and says what is still to be said.
            Some(heir) => {
                (heir.changes, heir.last) = (heir.changes.max(gone.changes), heir.last | gone.last);
                heir.at = heir.at.min(gone.at);
            }
            None if is_reported(group) => {
                let farewell = Membership { owner: Owner::Nobody, changes: ROBUSTNESS, at: now, ..gone };
                if let Some(slot) = self.groups.get_mut(index) {
                    *slot = Some(farewell);
                }
                self.next = self.next.min(now);
            }
            None => {}
        }
        self.groups_changed(interface);
        Ok(())
    }

    /// A socket goes: it leaves its groups.
    pub(crate) fn leave_all(&mut self, now: Instant, owner: Owner) {
        while crate::MULTICAST
            && let Some(m) = self.groups.iter().flatten().find(|m| m.owner == owner).copied()
        {
            if self.leave(now, m.interface, m.group, owner).is_err() {
                return;
            }
        }
    }

    /// An IPv6 address came or went.
    pub(crate) fn solicited_node_group(
        &mut self,
        now: Instant,
        interface: usize,
        addr: Ipv6Addr,
        here: bool,
    ) {
        if !crate::MULTICAST || !crate::IPV6 {
            return;
        }
        let group = solicited_node(addr).into();
        let _ = match here {
            true => self.join(now, interface, group, Owner::Address),
            false => self.leave(now, interface, group, Owner::Address),
        };
    }

    fn groups_changed(&mut self, interface: usize) {
        if let Some(interface) = self.interfaces.get_mut(interface) {
            interface.groups_changed = true;
        }
    }

    /// Takes in an IGMP message.
    pub(crate) fn receive_igmp(&mut self, now: Instant, received: &Received<'_>) {
        let IpAddr::V4(dst) = received.dst else { return };
        match igmp::Repr::parse(received.payload) {
            Ok(igmp::Repr::Query { group, max_response, version }) => {
                let wanted = (!group.is_unspecified()).then_some(IpAddr::V4(group));
                // RFC 3376 section 9.1 and RFC 2236 section 10: a general query goes to all systems.
                if wanted.is_none() && dst != ALL_SYSTEMS {
                    self.stats.bad_neighbor += 1;
                    return;
                }
                let within = Duration::from_millis(u64::from(max_response) * 100);
                self.queried(now, received.interface, 0, wanted, within, version < 3);
            }
            Ok(igmp::Repr::ReportV2(group)) => self.reported(received.interface, group.into()),
            Ok(_) | Err(crate::wire::WireError::Unsupported) => {}
            Err(crate::wire::WireError::Checksum) => self.stats.bad_checksum += 1,
            Err(_) => self.stats.malformed += 1,
        }
    }

    /// Takes in an MLD message; `false` when it is none.
    pub(crate) fn receive_mld(&mut self, now: Instant, received: &Received<'_>) -> bool {
        if !crate::MULTICAST {
            return false;
        }
        let message = match mld::Repr::parse(received.payload) {
            Ok(message) => message,
            Err(crate::wire::WireError::Unsupported) => return false,
            Err(_) => {
                self.stats.malformed += 1;
                return true;
            }
        };
        // RFC 3810 section 6.2: from a link-local address, with a hop limit of 1.
        let local = matches!(received.src, IpAddr::V6(src) if src.is_unicast_link_local());
        if !local || received.hop_limit != 1 {
            self.stats.bad_neighbor += 1;
            return true;
        }
        match message {
            mld::Repr::Query { group, max_response, version } => {
                let wanted = (!group.is_unspecified()).then_some(IpAddr::V6(group));
                let within = Duration::from_millis(max_response.into());
                self.queried(now, received.interface, 1, wanted, within, version < 2);
            }
            mld::Repr::ReportV1(group) => self.reported(received.interface, group.into()),
            mld::Repr::Done(_) | mld::Repr::ReportV2(..) => {}
        }
        true
    }

    /// A router asks: answer at a random time within what it says.
    fn queried(
        &mut self,
        now: Instant,
        interface: usize,
        version: usize,
        group: Option<IpAddr>,
        within: Duration,
        older: bool,
    ) {
        let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        let at = now + Duration::from_nanos(self.random.below(nanos.max(1)));
        let Some(querier) =
            self.interfaces.get_mut(interface).and_then(|card| card.queriers.get_mut(version))
        else {
            return;
        };
        if older {
            querier.older_until = now + OLDER_ROUTER;
        }
        match group {
            None => {
                querier.at = querier.at.min(at);
                self.next = self.next.min(at);
            }
            Some(group) => {
                let mine = |m: &&mut Membership| {
                    m.interface == interface && m.group == group && m.owner != Owner::Nobody
                };
                if let Some(membership) = self.groups.iter_mut().flatten().find(mine) {
                    membership.at = membership.at.min(at);
                    self.next = self.next.min(at);
                }
            }
        }
    }

    /// Another host reported a group in the older protocol, so that we need not.
    fn reported(&mut self, interface: usize, group: IpAddr) {
        for membership in self.groups.iter_mut().flatten() {
            if membership.interface == interface && membership.group == group && membership.changes == 0 {
                (membership.at, membership.last) = (Instant::MAX, false);
            }
        }
    }

    /// Sends the reports that are due.
    pub(crate) fn poll_groups(&mut self, now: Instant, link: &mut dyn Link) {
        if !crate::MULTICAST {
            return;
        }
        for interface in 0..self.interfaces.len() {
            for version in 0..2 {
                let Some(querier) =
                    self.interfaces.get_mut(interface).and_then(|card| card.queriers.get_mut(version))
                else {
                    continue;
                };
                if querier.at > now {
                    self.next = self.next.min(querier.at);
                    continue;
                }
                querier.at = Instant::MAX;
                // The answer to a general query: each group, as if it had been asked for.
                for membership in self.groups.iter_mut().flatten() {
                    let of = membership.interface == interface
                        && membership.group.is_ipv6() == (version == 1)
                        && membership.owner != Owner::Nobody
                        && is_reported(membership.group);
                    if of {
                        membership.at = membership.at.min(now);
                    }
                }
            }
        }
        for index in 0..self.groups.len() {
            let Some(Some(membership)) = self.groups.get(index).copied() else { continue };
            if membership.at > now {
                self.next = self.next.min(membership.at);
                continue;
            }
            // Several owners of a group: the first speaks for all.
            let same = |m: &Membership| m.group == membership.group && m.interface == membership.interface;
            let spoken =
                self.groups.iter().take(index).flatten().any(|m| same(m) && m.last && m.at == Instant::MAX);
            if !spoken || membership.changes > 0 {
                self.report_group(now, &membership, link);
            }
            let pause = Duration::from_nanos(self.random.below(UNSOLICITED_INTERVAL.as_nanos() as u64));
            let Some(slot) = self.groups.get_mut(index) else { continue };
            let Some(m) = slot else { continue };
            m.changes = m.changes.saturating_sub(1);
            m.last |= m.owner != Owner::Nobody;
            m.at = if m.changes > 0 { now + pause.max(Duration::from_millis(1)) } else { Instant::MAX };
            self.next = self.next.min(m.at);
            if m.changes == 0 && m.owner == Owner::Nobody {
                *slot = None;
            }
        }
    }

    fn report_group(&mut self, now: Instant, membership: &Membership, link: &mut dyn Link) {
        let Membership { interface, group, owner, changes, last, .. } = *membership;
        let Some(card) = self.interfaces.get(interface) else { return };
        let older = |version: usize| card.queriers.get(version).is_some_and(|q| now < q.older_until);
        let leaves = owner == Owner::Nobody;
        let record = match (leaves, changes) {
            (true, _) => Record::ToInclude,
            (false, 0) => Record::IsExclude,
            (false, _) => Record::ToExclude,
        };
        match group {
            IpAddr::V4(group) => {
                let (message, dst) = match (older(0), leaves) {
                    (false, _) => (igmp::Repr::ReportV3(record, group), IGMPV3_ROUTERS),
                    (true, false) => (igmp::Repr::ReportV2(group), group),
                    // RFC 2236 section 3: who was not the last to report need not say that it leaves.
                    (true, true) if !last => return,
                    (true, true) => (igmp::Repr::Leave(group), ALL_ROUTERS_V4),
                };
                self.send_igmp(now, interface, dst, &message, link);
            }
            IpAddr::V6(group) => {
                let (message, dst) = match (older(1), leaves) {
                    (false, _) => (mld::Repr::ReportV2(record, group), MLDV2_ROUTERS),
                    (true, false) => (mld::Repr::ReportV1(group), group),
                    (true, true) if !last => return,
                    (true, true) => (mld::Repr::Done(group), ALL_ROUTERS),
                };
                self.send_mld(now, interface, dst, &message, link);
            }
        }
    }

    fn send_igmp(
        &mut self,
        now: Instant,
        interface: usize,
        dst: Ipv4Addr,
        message: &igmp::Repr,
        link: &mut dyn Link,
    ) {
        let src = match self.source(now, interface, dst.into()) {
            Some(IpAddr::V4(src)) => src,
            // RFC 3376 section 4.2.13: a host without an address may report from 0.0.0.0.
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let repr = ipv4::Repr {
            src,
            dst,
            protocol: protocol::IGMP,
            ttl: 1,
            // RFC 3376 section 4: internetwork control.
            traffic_class: 0xc0,
            identification: 0,
            dont_fragment: false,
            payload_len: message.len(),
        };
        let len = ipv4::HEADER_LEN + ipv4::ROUTER_ALERT.len() + message.len();
        let path = Path { interface, next_hop: dst.into(), local: false };
        let sent =
            self.send_to(now, link, path, len, false, &mut |room: &mut [u8], _: &mut TxMeta| match repr
                .emit_with_router_alert(room)
                .and_then(|body| message.emit(body))
            {
                Ok(()) => len,
                Err(_) => 0,
            });
        if sent.is_err() {
            self.stats.transmit_full += 1;
        }
    }

    fn send_mld(
        &mut self,
        now: Instant,
        interface: usize,
        dst: Ipv6Addr,
        message: &mld::Repr,
        link: &mut dyn Link,
    ) {
        let src = match self.source(now, interface, ALL_ROUTERS.into()) {
            Some(IpAddr::V6(src)) if src.is_unicast_link_local() => src,
            // RFC 3590: before there is a link-local address.
            _ => Ipv6Addr::UNSPECIFIED,
        };
        let len = mld::ROUTER_ALERT.len() + message.len();
        let mut packet = Outgoing::new(src.into(), dst.into(), protocol::HOP_BY_HOP, len).on(interface);
        packet.hop_limit = Some(1);
        self.answer(now, link, &packet, &mut |room| {
            let Some((options, body)) = room.split_first_chunk_mut::<8>() else { return 0 };
            *options = mld::ROUTER_ALERT;
            if message.emit(body).is_err() {
                return 0;
            }
            let sum = Sum::pseudo_header(src.into(), dst.into(), protocol::ICMPV6, message.len());
            let checksum = sum.bytes(body.get(..message.len()).unwrap_or(&[])).finish();
            if let Some(field) = body.get_mut(2..4) {
                field.copy_from_slice(&checksum.to_be_bytes());
            }
            len
        });
    }
}
