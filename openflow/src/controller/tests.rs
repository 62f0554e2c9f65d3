use super::*;
use crate::{
    switch::{self, ConnectionId, Output, Switch},
    wire::{self, HEADER, Header, Version},
};
use airglow_device::{MacAddr, RxMeta};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec, vec::Vec};

/// Switches joined by cables, hosts at the other ports, one controller, and a clock that stands still until it is moved.
struct Network<A> {
    controller: Controller<A>,
    switches: Vec<Node>,
    cables: Vec<[(usize, u32); 2]>,
    /// Frames that arrived at hosts: switch, port, frame.
    arrived: Vec<(usize, u32, Vec<u8>)>,
    version: Version,
    now: Instant,
}

struct Node {
    switch: Switch,
    connection: ConnectionId,
    id: SwitchId,
}

#[derive(Default)]
struct Sent(Vec<(u32, Vec<u8>)>);

impl Output for Sent {
    fn transmit(&mut self, port: u32, frame: &[u8], _: RxMeta) -> bool {
        self.0.push((port, frame.to_vec()));
        true
    }
}

const PORTS: u32 = 4;

impl<A: Application> Network<A> {
    fn new(version: Version, count: usize, cables: &[[(usize, u32); 2]], application: A) -> Self {
        let controller = Controller::new(Config::default(), application);
        let now = Instant::from_secs(1000);
        let cables = cables.to_vec();
        let mut network =
            Self { controller, switches: Vec::new(), cables, arrived: Vec::new(), version, now };
        for index in 0..count {
            let mut switch = Switch::new(switch::Config::new(index as u64 + 1), 1);
            for port in 1..=PORTS {
                switch.add_port(now, port, "p", MacAddr([2, 1, 0, 0, index as u8, port as u8]), 0);
            }
            let (connection, id) = (switch.connected(), network.controller.connected(now).unwrap());
            network.switches.push(Node { switch, connection, id });
        }
        network.settle();
        network
    }

    /// Carries messages and frames until nobody has anything left.
    fn settle(&mut self) {
        for _ in 0..200 {
            let mut quiet = true;
            for index in 0..self.switches.len() {
                let node = &mut self.switches[index];
                let mut bytes = node.switch.take_output(node.connection);
                if bytes.starts_with(&[6, 0]) && self.version != Version::NEWEST {
                    // As a switch of this version alone greets: no bitmap.
                    bytes = [&[self.version as u8, 0, 0, 8, 0, 0, 0, 1][..], &bytes[16..]].concat();
                }
                quiet &= bytes.is_empty();
                let id = node.id;
                for message in messages(&bytes) {
                    let _ = self.controller.message(self.now, id, message);
                }
                let mut sent = Sent::default();
                let bytes = self.controller.take_output(id);
                quiet &= bytes.is_empty();
                let node = &mut self.switches[index];
                for message in messages(&bytes) {
                    let mut message = message.to_vec();
                    if message.starts_with(&[6, 0]) && self.version != Version::NEWEST {
                        message = vec![self.version as u8, 0, 0, 8, 0, 0, 0, 1];
                    }
                    let _ = node.switch.message(self.now, node.connection, &message, &mut sent);
                }
                self.carry(index, sent);
            }
            if quiet {
                return;
            }
        }
        panic!("the network does not come to rest");
    }

    /// Frames that left a switch travel on.
    fn carry(&mut self, index: usize, sent: Sent) {
        let mut way = sent.0.into_iter().map(|(port, frame)| (index, port, frame)).collect::<Vec<_>>();
        let mut steps = 0;
        while let Some((index, port, frame)) = way.pop() {
            steps += 1;
            assert!(steps < 1000, "a frame goes round and round");
            let end = |cable: &[(usize, u32); 2]| match *cable {
                [a, b] if a == (index, port) => Some(b),
                [a, b] if b == (index, port) => Some(a),
                _ => None,
            };
            match self.cables.iter().find_map(end) {
                None => self.arrived.push((index, port, frame)),
                Some((other, input)) => {
                    let mut sent = Sent::default();
                    self.switches[other].switch.receive(self.now, input, &frame, &mut sent);
                    way.extend(sent.0.into_iter().map(|(port, frame)| (other, port, frame)));
                }
            }
        }
    }

    /// A host sends a frame; where it arrived.
    fn send(&mut self, at: (usize, u32), frame: &[u8]) -> Vec<(usize, u32)> {
        self.arrived.clear();
        let mut sent = Sent::default();
        self.switches[at.0].switch.receive(self.now, at.1, frame, &mut sent);
        self.carry(at.0, sent);
        self.settle();
        let mut places: Vec<_> = self
            .arrived
            .iter()
            .filter(|(_, _, arrived)| arrived == frame)
            .map(|(index, port, _)| (*index, *port))
            .collect();
        places.sort_unstable();
        places
    }

    /// Lets time pass, a quarter of a second at a time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(250);
            for node in &mut self.switches {
                node.switch.poll(self.now);
            }
            self.controller.poll(self.now);
            self.settle();
        }
    }

    fn unplug(&mut self, cable: [(usize, u32); 2]) {
        self.cables.retain(|other| *other != cable);
        for (index, port) in cable {
            self.switches[index].switch.link(port, false);
        }
        self.settle();
    }

    fn plug(&mut self, cable: [(usize, u32); 2]) {
        self.cables.push(cable);
        for (index, port) in cable {
            self.switches[index].switch.link(port, true);
        }
        self.settle();
    }

    fn packet_ins(&self) -> u64 {
        self.controller.switches().stats().packet_ins
    }
}

fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some(header) = Header::parse(rest) {
        let (message, tail) = rest.split_at(header.length.into());
        found.push(message);
        rest = tail;
    }
    found
}

const fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

/// A frame from one host to another; host 0xff is everybody.
fn frame(from: u8, to: u8) -> Vec<u8> {
    let to = if to == 0xff { [0xff; 6] } else { mac(to).0 };
    let mut frame = [&to[..], &mac(from).0[..], &[0x08, 0x00]].concat();
    frame.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, 99]);
    frame.resize(60, from);
    frame
}

fn routing(
    version: Version,
    count: usize,
    cables: &[[(usize, u32); 2]],
) -> Network<Routing<impl FnMut() -> u64>> {
    let mut number = 7_u64;
    let random = move || {
        number = number.wrapping_mul(6364136223846793005).wrapping_add(1);
        number
    };
    let mut network = Network::new(version, count, cables, Routing::new(1000, random));
    network.pass(Duration::from_secs(3));
    network
}

const TRIANGLE: [[(usize, u32); 2]; 3] = [[(0, 1), (1, 1)], [(1, 2), (2, 2)], [(2, 1), (0, 2)]];

#[test]
fn the_handshake_learns_the_switch() {
    for version in Version::ALL {
        let network = Network::new(version, 2, &[], Learning::new(10));
        let found: Vec<_> = network.controller.switches().iter().collect();
        assert_eq!(found.len(), 2);
        for (index, (_, session)) in found.iter().enumerate() {
            assert_eq!((session.version(), session.datapath_id()), (version, index as u64 + 1));
            let numbers: Vec<u32> = session.ports().map(|port| port.number).collect();
            assert_eq!(numbers, [1, 2, 3, 4]);
            let port = session.port(2).unwrap();
            assert_eq!((port.address, &*port.name), (MacAddr([2, 1, 0, 0, index as u8, 2]), "p"));
        }
    }
}

#[test]
fn a_learning_switch_floods_then_knows_then_follows_moves() {
    for version in Version::ALL {
        let mut network = Network::new(version, 2, &[[(0, 4), (1, 4)]], Learning::new(10));
        let everywhere = [(0, 2), (0, 3), (1, 1), (1, 2), (1, 3)];
        assert_eq!(network.send((0, 1), &frame(1, 2)), everywhere);
        assert_eq!(network.send((1, 1), &frame(2, 1)), [(0, 1)]);
        assert_eq!(network.send((0, 1), &frame(1, 2)), [(1, 1)]);
        let before = network.packet_ins();
        assert_eq!(network.send((0, 1), &frame(1, 2)), [(1, 1)]);
        assert_eq!(network.send((1, 1), &frame(2, 1)), [(0, 1)]);
        assert_eq!(network.packet_ins(), before, "the flows carry them");
        // Host 2 moves.
        assert_eq!(network.send((1, 3), &frame(2, 1)), [(0, 1)]);
        assert_eq!(network.send((0, 1), &frame(1, 2)), [(1, 3)]);
        // Flows end when nobody uses them.
        network.pass(Duration::from_secs(62));
        assert!(network.switches.iter().all(|node| node.switch.flows() == 1));
        // Where the link is down, nobody is.
        network.switches[1].switch.link(3, false);
        network.settle();
        let id = network.switches[1].id;
        assert_eq!(network.controller.application().port(id, mac(2)), None);
        // Frames for bridges alone go nowhere.
        let mut bridge = frame(1, 2);
        bridge[..6].copy_from_slice(&[1, 0x80, 0xc2, 0, 0, 3]);
        assert_eq!(network.send((0, 1), &bridge), []);
    }
}

#[test]
fn a_full_table_learns_no_more_until_addresses_age() {
    let mut network = Network::new(Version::V13, 1, &[], Learning::new(3));
    for host in 1..=9 {
        network.send((0, 1), &frame(host, 0xff));
    }
    let id = network.switches[0].id;
    assert_eq!(network.controller.application().len(id), 3);
    network.pass(Duration::from_secs(301));
    network.send((0, 1), &frame(9, 0xff));
    assert_eq!(network.controller.application().port(id, mac(9)), Some(1));
}

#[test]
fn links_are_found_and_broadcast_reaches_each_host_once() {
    for version in Version::ALL {
        let mut network = routing(version, 3, &TRIANGLE);
        assert_eq!(network.controller.application().links().count(), 6);
        let all = [(0, 4), (1, 3), (1, 4), (2, 3), (2, 4)];
        assert_eq!(network.send((0, 3), &frame(1, 0xff)), all);
        assert_eq!(network.send((0, 3), &frame(1, 2)), all, "unknown: to everybody");
        let hosts: Vec<_> = network.controller.application().hosts().collect();
        assert_eq!(hosts.len(), 1);
        assert_eq!((hosts[0].0, hosts[0].1.port), (mac(1), 3));
        assert_eq!(hosts[0].1.ipv4, Some([10, 0, 0, 1].into()));
    }
}

#[test]
fn a_port_is_silent_until_it_could_hear_of_a_link() {
    let mut network = Network::new(Version::V13, 3, &TRIANGLE, Routing::new(10, || 5));
    assert_eq!(network.send((0, 3), &frame(1, 0xff)), []);
    assert_eq!(network.controller.application().hosts().count(), 0);
    network.pass(Duration::from_secs(3));
    assert_eq!(network.send((0, 3), &frame(1, 0xff)).len(), 5);
}

#[test]
fn paths_are_shortest_and_go_round_links_that_are_down() {
    for version in Version::ALL {
        let mut network = routing(version, 3, &TRIANGLE);
        network.send((0, 3), &frame(1, 0xff));
        assert_eq!(network.send((2, 3), &frame(2, 1)), [(0, 3)]);
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
        // One hop: switch 1 has no part in it.
        let flows: Vec<usize> = network.switches.iter().map(|node| node.switch.flows()).collect();
        assert_eq!(flows, [3, 1, 3]);
        let before = network.packet_ins();
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
        assert_eq!(network.packet_ins(), before, "the flows carry it");
        network.unplug(TRIANGLE[2]);
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)], "the long way");
        assert_eq!(network.send((2, 3), &frame(2, 1)), [(0, 3)]);
        assert_eq!(network.switches[1].switch.flows(), 3);
        assert_eq!(network.send((0, 3), &frame(1, 0xff)), [(0, 4), (1, 3), (1, 4), (2, 3), (2, 4)]);
        network.plug(TRIANGLE[2]);
        network.pass(Duration::from_secs(3));
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
        assert_eq!(network.send((2, 3), &frame(2, 1)), [(0, 3)]);
        let flows: Vec<usize> = network.switches.iter().map(|node| node.switch.flows()).collect();
        assert_eq!(flows, [3, 1, 3], "the short way again");
    }
}

#[test]
fn a_link_that_dies_silently_is_found_out() {
    let mut network = routing(Version::V13, 3, &TRIANGLE);
    network.send((0, 3), &frame(1, 0xff));
    network.send((2, 3), &frame(2, 1));
    assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
    // The cable carries nothing more, but both ends see light.
    network.cables.retain(|cable| *cable != TRIANGLE[2]);
    assert_eq!(network.send((0, 3), &frame(1, 2)), [(0, 2)], "into the dead cable");
    network.pass(Duration::from_secs(5));
    assert_eq!(network.controller.application().links().count(), 4);
    assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
}

#[test]
fn a_switch_that_leaves_takes_its_hosts_and_links_along() {
    let mut network = routing(Version::V13, 3, &TRIANGLE);
    network.send((0, 3), &frame(1, 0xff));
    network.send((1, 3), &frame(2, 1));
    let (now, id) = (network.now, network.switches[1].id);
    network.controller.disconnected(now, id);
    assert_eq!(network.controller.application().links().count(), 2);
    assert_eq!(network.controller.application().hosts().count(), 1);
    assert!(!network.controller.is_open(id));
}

#[test]
fn a_host_that_moves_is_found_at_its_new_place() {
    for version in Version::ALL {
        let mut network = routing(version, 3, &TRIANGLE);
        network.send((0, 3), &frame(1, 0xff));
        network.send((2, 3), &frame(2, 1));
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(2, 3)]);
        network.send((1, 4), &frame(2, 0xff));
        assert_eq!(network.send((0, 3), &frame(1, 2)), [(1, 4)]);
    }
}

#[test]
fn hosts_cannot_make_links_up() {
    let mut network = routing(Version::V13, 2, &[[(0, 1), (1, 1)]]);
    network.send((0, 3), &frame(1, 0xff));
    // What the host heard on its own port, and a guess of another port's.
    network.arrived.clear();
    network.pass(Duration::from_secs(2));
    let mut heard =
        network.arrived.iter().find(|(index, port, _)| (*index, *port) == (1, 4)).unwrap().2.clone();
    network.send((1, 4), &heard);
    heard[14 + 2 + 9 + 2 + 1 + 3] = 3;
    network.send((0, 3), &heard);
    assert_eq!(network.controller.application().links().count(), 2);
    assert_eq!(network.controller.application().hosts().count(), 1);
}

/// Keeps what happens.
#[derive(Default)]
struct Log(Vec<(SwitchId, std::string::String)>);

impl Application for Log {
    fn event(&mut self, _: Instant, _: &mut Switches, from: SwitchId, event: &Event<'_>) {
        self.0.push((from, std::format!("{event:?}")));
    }
}

#[test]
fn requests_are_paired_with_answers_errors_and_time() {
    for version in Version::ALL {
        let mut network = Network::new(version, 1, &[], Log::default());
        let (now, id) = (network.now, network.switches[0].id);
        let (switches, _) = network.controller.parts();
        let barrier = switches.barrier(now, id).unwrap();
        let description = switches.multipart(now, id, 0, &[]).unwrap();
        let unknown = switches.multipart(now, id, 0x7777, &[]).unwrap();
        let refused =
            switches.packet_out(id, port::CONTROLLER, &[Action::output(0x1000_0000)], &[0; 2]).unwrap();
        network.settle();
        let log = core::mem::take(&mut network.controller.parts().1.0);
        let found = |xid: u32, text: &str| {
            let xid = std::format!("xid: {xid},");
            assert_eq!(
                log.iter().filter(|(_, e)| e.contains(&xid) && e.contains(text)).count(),
                1,
                "{text}: {log:?}"
            );
        };
        found(barrier, "kind: BarrierReply");
        found(description, "kind: MultipartReply");
        found(unknown, "Refused { kind: 1, code: 2 }");
        found(refused, "Error {");
        // Nobody carries this one's request to the switch.
        let late = network.controller.parts().0.barrier(now, id).unwrap();
        network.controller.poll(now + Duration::from_secs(9));
        assert!(network.controller.application().0.is_empty());
        network.controller.poll(now + Duration::from_secs(10));
        let log = &network.controller.application().0;
        assert_eq!(log.len(), 1);
        assert!(
            log[0].1.contains(&std::format!("Answer {{ xid: {late}, answer: Err(Timeout) }}")),
            "{log:?}"
        );
    }
}

#[test]
fn silence_is_asked_about_and_then_ends_the_connection() {
    let mut network = Network::new(Version::V13, 1, &[], Log::default());
    network.pass(Duration::from_secs(120));
    let id = network.switches[0].id;
    assert!(network.controller.is_open(id), "it answers");
    let now = network.now;
    network.controller.poll(now + Duration::from_secs(15));
    assert_eq!(network.controller.take_output(id)[1], 2, "an echo request");
    network.controller.poll(now + Duration::from_secs(29));
    assert!(network.controller.is_open(id));
    network.controller.poll(now + Duration::from_secs(31));
    assert!(!network.controller.is_open(id));
    assert_eq!(network.controller.application().0.last().unwrap().1, "Left");
    // Whoever never greets is not waited for either.
    let mute = network.controller.connected(now).unwrap();
    network.controller.poll(now + Duration::from_secs(10));
    assert!(!network.controller.is_open(mute));
}

#[test]
fn a_switch_that_connects_anew_replaces_its_old_self() {
    let mut network = Network::new(Version::V13, 1, &[], Log::default());
    let now = network.now;
    let old = network.switches[0].id;
    let node = &mut network.switches[0];
    node.switch.disconnected(node.connection);
    node.connection = node.switch.connected();
    node.id = network.controller.connected(now).unwrap();
    let new = node.id;
    network.settle();
    assert!(!network.controller.is_open(old) && network.controller.switches().get(new).is_some());
    let log: Vec<_> = network.controller.application().0.iter().map(|(id, what)| (*id, &**what)).collect();
    assert_eq!(log, [(old, "Joined"), (old, "Left"), (new, "Joined")]);
}

#[test]
fn what_a_switch_does_not_take_is_bounded() {
    let mut network = Network::new(Version::V13, 1, &[], Log::default());
    let (now, id) = (network.now, network.switches[0].id);
    let (switches, _) = network.controller.parts();
    let sent = (0..5000)
        .take_while(|_| switches.packet_out(id, port::CONTROLLER, &[Action::output(1)], &[0; 1500]).is_ok());
    assert!((675..690).contains(&sent.count()));
    assert!(switches.stats().dropped == 1);
    assert_eq!((0..300).filter(|_| switches.barrier(now, id).is_ok()).count(), 0);
    network.settle();
    let (switches, _) = network.controller.parts();
    assert_eq!((0..300).filter(|_| switches.barrier(now, id).is_ok()).count(), 256);
    // One that asks for echoes and reads none is given up.
    let echo = [&[4, 2, 0xff, 0xff, 0, 0, 0, 9][..], &[0; 0xffff - 8]].concat();
    let asked = (0..100).take_while(|_| network.controller.message(now, id, &echo).is_ok()).count();
    assert!(asked < 17, "{asked}");
}

#[test]
fn versions_without_one_in_common_end_with_an_error() {
    let mut controller = Controller::new(Config::default(), Log::default());
    let id = controller.connected(Instant::ZERO).unwrap();
    controller.take_output(id);
    // A bitmap with 1.1 and 1.2 alone.
    let hello = [6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x0c];
    assert_eq!(controller.message(Instant::ZERO, id, &hello), Err(Closed));
    assert_eq!(controller.take_output(id)[1], 1);
    assert_eq!(core::mem::size_of::<Failure>(), 6);
}

#[test]
fn roles_are_asked_for_and_taken_away() {
    for version in Version::ALL {
        let mut network = Network::new(version, 1, &[], Learning::new(10));
        let (id, now) = (network.switches[0].id, network.now);
        let ask = |network: &mut Network<Learning>, role, generation| {
            network.controller.parts().0.role(now, id, wire::RoleState { role, generation }).unwrap();
            network.settle();
            network.controller.switches().get(id).unwrap().role()
        };
        assert_eq!(ask(&mut network, wire::Role::Slave, 5), wire::Role::Slave);
        let (switches, _) = network.controller.parts();
        assert_eq!(switches.flow_mod(id, &FlowMod::add(Match::ANY)), Err(Full), "a slave changes nothing");
        assert!(switches.barrier(now, id).is_ok());
        assert_eq!(ask(&mut network, wire::Role::Master, 6), wire::Role::Master);
        assert!(network.controller.parts().0.flow_mod(id, &FlowMod::add(Match::ANY)).is_ok());
        network.settle();
        if version != Version::V10 {
            // An old election's role is refused.
            assert_eq!(ask(&mut network, wire::Role::Slave, 4), wire::Role::Master);
            let stats = network.controller.switches().stats();
            assert_eq!(stats.errors, 1);
        }
        // Another controller becomes master.
        let switch = &mut network.switches[0].switch;
        let other = switch.connected();
        let mut sent = Sent::default();
        switch.message(now, other, &[version as u8, 0, 0, 8, 0, 0, 0, 1], &mut sent).unwrap();
        let mut request = Vec::new();
        let kind = if version == Version::V10 { Kind::Experimenter } else { Kind::RoleRequest };
        let state = wire::RoleState { role: wire::Role::Master, generation: 7 };
        wire::emit(version, kind, 9, &mut request, |out| state.emit(version, out));
        switch.message(now, other, &request, &mut sent).unwrap();
        network.settle();
        let role = network.controller.switches().get(id).unwrap().role();
        let told = version >= Version::V14;
        assert_eq!(role, if told { wire::Role::Slave } else { wire::Role::Master }, "{version:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_after_the_handshake(
        version in prop::sample::select(&Version::ALL[..]),
        inputs in prop::collection::vec((0_u8..32, prop::collection::vec(any::<u8>(), 0..120)), 0..40),
    ) {
        let mut network = Network::new(version, 1, &[], Routing::new(4, || 1));
        network.pass(Duration::from_secs(3));
        let (now, id) = (network.now, network.switches[0].id);
        for (kind, body) in &inputs {
            let mut message = vec![version as u8, *kind, 0, (HEADER + body.len()) as u8, 0, 0, 0, 3];
            message.extend(body);
            let _ = network.controller.message(now, id, &message);
        }
        prop_assert!(network.controller.take_output(id).len() < 1 << 20);
        prop_assert!(network.controller.switches().get(id).is_none_or(|s| s.ports().count() <= 4 + inputs.len()));
    }

    #[test]
    fn any_frame_from_a_host(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 14..90), 0..20), lldp: bool) {
        let mut network = routing(Version::V13, 2, &[[(0, 1), (1, 1)]]);
        for mut frame in frames {
            if lldp {
                frame[12..14].copy_from_slice(&[0x88, 0xcc]);
            }
            network.send((0, 3), &frame);
        }
        prop_assert_eq!(network.controller.application().links().count(), 2);
        let mut places = BTreeSet::new();
        prop_assert!(network.controller.application().hosts().all(|(mac, _)| places.insert(mac)));
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut controller = Controller::new(Config::default(), Learning::new(4));
        let id = controller.connected(Instant::ZERO).unwrap();
        let _ = controller.message(Instant::ZERO, id, &bytes);
        for version in Version::ALL {
            let _ = wire::PacketIn::parse(version, &bytes);
            let _ = wire::FlowRemoved::parse(version, &bytes);
            let _ = wire::PortReason::parse(version, &bytes);
            let _ = wire::Features::parse(version, &bytes);
        }
        let _ = wire::common_version(4, &bytes);
    }

    #[test]
    fn built_flows_survive_the_wire(port in 1_u32..1000, address: [u8; 4], prefix in 1_u32..=32, tcp: u16, vid in 0_u16..4096) {
        let matches = Match::ANY.in_port(port).eth_dst(mac(3)).vlan(Some(vid)).ip_dst(address.into(), prefix).tcp_dst(tcp);
        let flow = FlowMod::add(matches).priority(9).idle_timeout(5).actions(vec![Action::output(port)]);
        for version in Version::ALL {
            let mut body = Vec::new();
            flow.emit(version, &mut body);
            prop_assert_eq!(&FlowMod::parse(version, &body).unwrap(), &flow);
        }
    }
}
