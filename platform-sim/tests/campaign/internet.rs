//! Networks at random, and what goes wrong in them.
use airglow_platform_sim::Simulation;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// When faults are over, those that do not last.
pub const FAULTS: u64 = 60;

/// A tree of networks with routers between them, and hosts on them.
pub struct Internet {
    /// Which two networks each router is between.
    pub routers: Vec<[usize; 2]>,
    /// Which network each host is on.
    pub hosts: Vec<usize>,
    /// What the cards on each network take.
    pub mtus: Vec<usize>,
}

impl Internet {
    pub fn random(simulation: &Simulation<'_>) -> Self {
        let below = |bound: usize| simulation.below(bound as u64) as usize;
        let routers: Vec<_> = (0..below(4)).map(|router| [router + 1, below(router + 1)]).collect();
        let networks = routers.len() + 1;
        let hosts = (0..2 + below(4)).map(|_| below(networks)).collect();
        let mtus = (0..networks).map(|_| [1500, 1500, 1400, 1280][below(4)]).collect();
        Self { routers, hosts, mtus }
    }

    /// Routers on the way from one network to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        let mut distances = vec![usize::MAX; self.mtus.len()];
        distances[from] = 0;
        for _ in 0..distances.len() {
            for &[a, b] in &self.routers {
                distances[a] = distances[a].min(distances[b].saturating_add(1));
                distances[b] = distances[b].min(distances[a].saturating_add(1));
            }
        }
        distances[to]
    }

    /// The routes of a host on `networks`: to which network, over which router on which network.
    pub fn routes(&self, networks: &[usize]) -> Vec<(usize, usize, usize)> {
        let mut routes = Vec::new();
        for to in (0..self.mtus.len()).filter(|to| !networks.contains(to)) {
            let near = networks.iter().copied().min_by_key(|near| self.distance(*near, to)).unwrap();
            let nearer = |&(_, ends): &(usize, &[usize; 2])| {
                let [a, b] = *ends;
                let other = if a == near { Some(b) } else { (b == near).then_some(a) };
                other.is_some_and(|other| self.distance(other, to) < self.distance(near, to))
            };
            let (router, _) = self.routers.iter().enumerate().find(nearer).unwrap();
            routes.push((to, router, near));
        }
        routes
    }
}

pub fn v4(network: usize, host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, network as u8, host as u8)
}
pub fn v6(network: usize, host: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, network as u16, 0, 0, 0, host as u16)
}
pub fn host_address(internet: &Internet, host: usize, six: bool) -> IpAddr {
    let network = internet.hosts[host];
    if six { v6(network, 10 + host).into() } else { v4(network, 10 + host).into() }
}
pub const ROUTERS: usize = 200;

/// What a card's cable does, as bad as it comes; `corrupt` on one cable only: two bits turned over on one way can undo each other in a checksum.
pub fn cable(simulation: &Simulation<'_>, mtu: usize, corrupt: bool) -> String {
    let below = |bound| simulation.below(bound);
    let mut words = format!("card-mtu={mtu}");
    let mut word = |one_in: u64, text: String| {
        if below(one_in) == 0 {
            let _ = write!(words, " {text}");
        }
    };
    let delay = below(40);
    word(1, format!("delay={delay}ms"));
    word(2, format!("jitter={}us", below(1000 * delay + 1)));
    word(2, format!("loss=0.{:02}", below(4)));
    word(6, format!("burst=0.2%/{}%", 50 + below(40)));
    word(3, format!("reorder={}% hold={}ms", below(4), 1 + below(20)));
    word(3, format!("duplicate={}%", below(4)));
    word(3, format!("rate={}kbit queue={}", 500 + below(50_000), 20 + below(200)));
    word(20, "mtu=1300".into());
    word(2, "offload=on".into());
    word(if corrupt { 1 } else { u64::MAX }, format!("corrupt=0.{}%", below(10)));
    words
}

/// What goes wrong beside the cables.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Cut(usize),
    Mend(usize),
    Unplug(usize),
    Plug(usize),
    Reboot(usize),
}

pub fn faults(simulation: &Simulation<'_>, cables: usize, hosts: usize) -> (Vec<(u64, Fault)>, bool) {
    let below = |bound: usize| simulation.below(bound as u64) as usize;
    let (mut faults, mut lasting) = (Vec::new(), false);
    for _ in 0..below(5) {
        let at = 2_000 + simulation.below(1000 * (FAULTS - 22));
        let until = at + 100 + simulation.below(20_000);
        let cable = below(cables);
        match below(8) {
            0..=2 => faults.extend([(at, Fault::Cut(cable)), (until, Fault::Mend(cable))]),
            3..=4 => faults.extend([(at, Fault::Unplug(cable)), (until, Fault::Plug(cable))]),
            5..=6 => {
                lasting = true;
                faults.push((at, Fault::Reboot(below(hosts))));
            }
            _ => {
                lasting = true;
                faults.push((at, Fault::Cut(cable)));
            }
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    (faults, lasting)
}
