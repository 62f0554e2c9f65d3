//! Switches, their ports, and which port is joined to which.
use super::PROBE;
use crate::controller::SwitchId;
use airglow_device::Instant;
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

/// A port of a switch.
pub(super) type Place = (SwitchId, u32);

/// A port that is up.
struct Port {
    since: Instant,
    nonce: u64,
    /// The port that it has heard, and when it last did.
    heard: Option<(Place, Instant)>,
}

/// One switch on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub switch: SwitchId,
    pub input: u32,
    pub output: u32,
}

/// The network. Its size is that of the switches' ports.
pub(super) struct Topology {
    /// Each with its datapath id, by which the tree's root is chosen.
    switches: BTreeMap<SwitchId, u64>,
    ports: BTreeMap<Place, Port>,
    // From here on: computed from the ports.
    links: BTreeMap<Place, Place>,
    inner: BTreeSet<Place>,
    tree: BTreeSet<Place>,
}

impl Topology {
    pub const fn new() -> Self {
        Self {
            switches: BTreeMap::new(),
            ports: BTreeMap::new(),
            links: BTreeMap::new(),
            inner: BTreeSet::new(),
            tree: BTreeSet::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.switches.is_empty()
    }
    pub fn links(&self) -> impl Iterator<Item = (Place, Place)> {
        self.links.iter().map(|(a, b)| (*a, *b))
    }
    /// The ports that are up.
    pub fn ports(&self) -> impl Iterator<Item = Place> {
        self.ports.keys().copied()
    }
    pub fn nonce(&self, at: Place) -> Option<u64> {
        self.ports.get(&at).map(|port| port.nonce)
    }
    /// There is a switch, not a host, at the other end.
    pub fn is_inner(&self, at: Place) -> bool {
        self.inner.contains(&at)
    }
    /// The port had the time to hear of a link.
    pub fn is_settled(&self, now: Instant, at: Place) -> bool {
        self.ports.get(&at).is_some_and(|port| now.since(port.since) >= PROBE * 2)
    }

    pub fn add(&mut self, id: SwitchId, datapath_id: u64) {
        self.switches.insert(id, datapath_id);
    }

    /// A switch is gone; `true`: links with it.
    pub fn remove(&mut self, id: SwitchId) -> bool {
        self.switches.remove(&id);
        self.ports.retain(|(switch, _), _| *switch != id);
        self.forget_neighbours(|(switch, _)| switch == id)
    }

    /// A port is up; `false`: it was before.
    pub fn port_up(&mut self, now: Instant, at: Place, nonce: u64) -> bool {
        let new = !self.ports.contains_key(&at);
        if new {
            self.ports.insert(at, Port { since: now, nonce, heard: None });
        }
        new
    }

    /// A port is down; `true`: a link with it.
    pub fn port_down(&mut self, at: Place) -> bool {
        self.ports.remove(&at);
        self.forget_neighbours(|place| place == at)
    }

    /// A port has heard another; `true`: that is news.
    pub fn heard(&mut self, now: Instant, at: Place, sender: Place) -> bool {
        let Some(port) = self.ports.get_mut(&at).filter(|_| at != sender) else { return false };
        let old = port.heard.replace((sender, now));
        old.is_none_or(|(old, _)| old != sender) && self.compute()
    }

    /// Drops what was not heard for three and a half rounds; `true`: a link with it.
    pub fn forget(&mut self, now: Instant) -> bool {
        for port in self.ports.values_mut() {
            if port.heard.is_some_and(|(_, seen)| now.since(seen) > PROBE * 7 / 2) {
                port.heard = None;
            }
        }
        self.compute()
    }

    fn forget_neighbours(&mut self, gone: impl Fn(Place) -> bool) -> bool {
        for port in self.ports.values_mut() {
            if port.heard.is_some_and(|(place, _)| gone(place)) {
                port.heard = None;
            }
        }
        self.compute()
    }

    /// Finds links and tree anew; `true`: something changed.
    fn compute(&mut self) -> bool {
        let heard = |at: Place| self.ports.get(&at).and_then(|port| port.heard).map(|(place, _)| place);
        let pairs = self.ports.keys().filter_map(|at| heard(*at).map(|other| (*at, other)));
        let inner: BTreeSet<Place> = pairs.clone().flat_map(|(at, other)| [at, other]).collect();
        let links: BTreeMap<Place, Place> = pairs.filter(|(at, other)| heard(*other) == Some(*at)).collect();
        if links == self.links && inner == self.inner {
            return false;
        }
        (self.links, self.inner) = (links, inner);
        self.tree.clear();
        let mut roots: Vec<(u64, SwitchId)> =
            self.switches.iter().map(|(id, number)| (*number, *id)).collect();
        roots.sort_unstable();
        let mut reached = BTreeSet::new();
        for (_, root) in roots {
            if reached.contains(&root) {
                continue;
            }
            for (switch, next) in self.towards(root) {
                reached.insert(switch);
                self.tree.extend(next.into_iter().flat_map(|port| {
                    let at = (switch, port);
                    [Some(at), self.links.get(&at).copied()].into_iter().flatten()
                }));
            }
        }
        true
    }

    /// For each switch that has a way to `root`, the port of the first link of a shortest one; none for `root` itself.
    fn towards(&self, root: SwitchId) -> BTreeMap<SwitchId, Option<u32>> {
        let mut found = BTreeMap::from([(root, None)]);
        let mut next = VecDeque::from([root]);
        while let Some(switch) = next.pop_front() {
            for (_, (other, port)) in self.links.range((switch, 0)..=(switch, u32::MAX)) {
                if !found.contains_key(other) {
                    found.insert(*other, Some(*port));
                    next.push_back(*other);
                }
            }
        }
        found
    }

    /// A shortest path for a packet that came in at `from` to what is behind `to`.
    pub fn path(&self, from: Place, to: Place) -> Option<Vec<Hop>> {
        let next = self.towards(to.0);
        let (mut switch, mut input) = from;
        let mut path = Vec::new();
        loop {
            match next.get(&switch)? {
                None => {
                    path.push(Hop { switch, input, output: to.1 });
                    return Some(path);
                }
                Some(output) => {
                    path.push(Hop { switch, input, output: *output });
                    (switch, input) = *self.links.get(&(switch, *output))?;
                }
            }
        }
    }

    /// The ports that a packet for everybody goes to from here: hosts' and the tree's. `None` when it did not come along these.
    pub fn spread(&self, now: Instant, at: Place) -> Option<impl Iterator<Item = u32>> {
        let open = move |place: Place| {
            self.tree.contains(&place) || !self.inner.contains(&place) && self.is_settled(now, place)
        };
        let ports = self.ports.range((at.0, 0)..=(at.0, u32::MAX)).map(|(place, _)| *place);
        open(at).then(|| ports.filter(move |place| *place != at && open(*place)).map(|(_, port)| port))
    }
}
