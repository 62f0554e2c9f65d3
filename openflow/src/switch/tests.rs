use super::*;
use crate::packet::Packet;
use crate::wire::{
    self, Action, Command, Fault, Field, FieldValue, FlowMod, HEADER, Header, Instructions, Kind, Match,
    Reader, Version, flow_mod, match10, oxm,
};
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// Frames that went out.
#[derive(Default)]
struct Sent(Vec<(u32, Vec<u8>)>);

impl Output for Sent {
    fn transmit(&mut self, port: u32, frame: &[u8], _: RxMeta) -> bool {
        self.0.push((port, frame.to_vec()));
        true
    }
}

/// A switch with four ports and one controller that speaks `version`.
struct Bench {
    switch: Switch,
    id: ConnectionId,
    version: Version,
    now: Instant,
    sent: Sent,
}

impl Bench {
    fn new(version: Version) -> Self {
        let mut switch = Switch::new(Config { flows: 8, ..Config::new(7) }, 1);
        for number in 1..=4 {
            switch.add_port(Instant::ZERO, number, "p", MacAddr([2, 0, 0, 0, 1, number as u8]), 0);
        }
        let id = switch.connected();
        let mut bench = Self { switch, id, version, now: Instant::from_secs(100), sent: Sent::default() };
        assert_eq!(bench.switch.take_output(id)[0], 6, "the hello offers our newest version");
        bench.raw(&[version as u8, 0, 0, 8, 0, 0, 0, 1]).unwrap();
        bench
    }

    fn raw(&mut self, message: &[u8]) -> Result<(), Closed> {
        self.switch.message(self.now, self.id, message, &mut self.sent)
    }

    /// Sends a request and returns the kinds and bodies of the replies.
    fn ask(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Vec<(Kind, Vec<u8>)> {
        let mut message = Vec::new();
        wire::emit(self.version, kind, 42, &mut message, body);
        self.raw(&message).unwrap();
        self.replies()
    }

    fn replies(&mut self) -> Vec<(Kind, Vec<u8>)> {
        let bytes = self.switch.take_output(self.id);
        let mut rest = &bytes[..];
        let mut replies = Vec::new();
        while let Some(header) = Header::parse(rest) {
            let (message, tail) = rest.split_at(header.length.into());
            replies.push((Kind::from_number(self.version, header.kind).unwrap(), message[HEADER..].to_vec()));
            rest = tail;
        }
        replies
    }

    fn flow(&mut self, change: FlowMod) -> Result<(), (u16, u16)> {
        let version = self.version;
        match self.ask(Kind::FlowMod, |out| change.emit(version, out)).first() {
            Some((Kind::Error, body)) => {
                Err((u16::from_be_bytes([body[0], body[1]]), u16::from_be_bytes([body[2], body[3]])))
            }
            _ => Ok(()),
        }
    }

    /// The ports that a frame to port 1 leaves through.
    fn frame(&mut self, frame: &[u8]) -> Vec<u32> {
        self.sent.0.clear();
        self.switch.receive(self.now, 1, frame, &mut self.sent);
        self.sent.0.iter().map(|(port, _)| *port).collect()
    }
}

fn flow(priority: u16, matches: Match, actions: Vec<Action>) -> FlowMod {
    FlowMod::add(matches).priority(priority).actions(actions)
}

const fn output(port: u32) -> Action {
    Action::Output { port, max_len: 0 }
}

/// An ARP request from 2:0:0:0:0:1.
fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([
        2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10,
        0, 0, 2,
    ]);
    frame
}

proptest! {
    /// Frames that are sent on together go where they would go one by one, in their order, and are counted alike.
    #[test]
    fn together_as_alone(
        rules in proptest::collection::vec((1u32..5, 0u16..4, 0u8..4), 0..8),
        frames in proptest::collection::vec((1u32..5, 0u8..4, 0usize..4000), 1..60),
    ) {
        let mut benches = [Bench::new(Version::V13), Bench::new(Version::V13)];
        for bench in &mut benches {
            for (port, priority, last) in &rules {
                // Of three masks: a port, an address, every packet. More than two and the exact-match cache is asked.
                let matches = match last {
                    0 => Match::ANY.exact(Field::InPort, (*port).into()),
                    1 => Match::ANY,
                    _ => Match::ANY.exact(Field::EthType, 0x0806).exact(Field::ArpTpa, (*last).into()),
                };
                bench.flow(flow(*priority, matches, vec![output(*port), output(port % 4 + 1)])).unwrap();
            }
        }
        let [alone, together] = &mut benches;
        for (port, last, more) in &frames {
            let mut frame = arp();
            frame[38..42].copy_from_slice(&u32::from(*last).to_be_bytes());
            frame.resize(frame.len() + more, 0);
            alone.switch.receive(alone.now, *port, &frame, &mut alone.sent);
            if together.switch.take(*port, &frame, RxMeta::default()) {
                together.switch.forward(together.now, &mut together.sent);
            }
        }
        together.switch.forward(together.now, &mut together.sent);
        prop_assert!(alone.sent.0 == together.sent.0);
        let counted = |bench: &mut Bench| bench.ask(Kind::MultipartRequest, |out| {
            out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0]);
            out.extend_from_slice(&[0xff; 8]);
            out.extend_from_slice(&[0; 20]);
            oxm::emit_match(Version::V13, &Match::ANY, out);
        });
        prop_assert_eq!(counted(alone), counted(together));
        prop_assert!(alone.switch.ports().map(|port| port.stats).eq(together.switch.ports().map(|port| port.stats)));
    }
}

#[test]
fn the_highest_priority_decides_and_counters_count() {
    for version in [Version::V10, Version::V13] {
        let mut bench = Bench::new(version);
        bench.flow(flow(1, Match::ANY, vec![output(2)])).unwrap();
        bench.flow(flow(9, Match::ANY.exact(Field::EthType, 0x0806), vec![output(3), output(4)])).unwrap();
        bench
            .flow(flow(5, Match::ANY.exact(Field::InPort, 1), vec![output(1), output(port::IN_PORT)]))
            .unwrap();
        assert_eq!(bench.frame(&arp()), [3, 4]);
        assert_eq!(bench.frame(&[0; 60]), [1], "back where it came in only through IN_PORT");
        // Cached or not, the result is the same.
        assert_eq!(bench.frame(&arp()), [3, 4]);
        assert!(bench.switch.stats().cached > 0);
        let mut change = flow(9, Match::ANY, vec![]);
        change.command = Command::Delete;
        change.out_port = 4;
        bench.flow(change).unwrap();
        assert_eq!(bench.frame(&arp()), [1]);
        assert_eq!(bench.switch.flows(), 2);
    }
}

#[test]
fn refused_changes_name_the_fault_and_change_nothing() {
    let mut bench = Bench::new(Version::V13);
    let ip = Match::ANY.exact(Field::EthType, 0x0800);
    bench.flow(flow(5, ip, vec![output(2)])).unwrap();
    let mut overlap = flow(5, ip.exact(Field::IpProto, 6), vec![]);
    overlap.flags = flow_mod::flags::CHECK_OVERLAP;
    let mut table = flow(1, Match::ANY, vec![]);
    table.table = 254;
    let mut goto = flow(1, Match::ANY, vec![]);
    goto.table = 3;
    goto.instructions.goto = Some(3);
    let mut meter = flow(1, Match::ANY, vec![]);
    meter.instructions.meter = Some(1);
    let set_port = Action::SetField(Field::TcpDst, FieldValue([0; 16]));
    for (change, fault) in [
        (overlap, Fault::Overlap),
        (table, Fault::FlowBadTable),
        (goto, Fault::BadGotoTable),
        (meter, Fault::InvalidMeter),
        (flow(1, Match::ANY, vec![Action::Group(5)]), Fault::BadOutGroup),
        (flow(1, Match::ANY, vec![output(0)]), Fault::BadOutPort),
        (flow(1, ip, vec![set_port]), Fault::MatchInconsistent),
        (flow(1, Match::ANY.exact(Field::TcpDst, 80), vec![]), Fault::BadPrerequisite),
    ] {
        assert_eq!(bench.flow(change), Err(fault.numbers(Version::V13)), "{fault:?}");
        assert_eq!(bench.switch.flows(), 1);
    }
    for priority in 10..17 {
        bench.flow(flow(priority, Match::ANY, vec![])).unwrap();
    }
    assert_eq!(bench.flow(flow(20, Match::ANY, vec![])), Err(Fault::TableFull.numbers(Version::V13)));
    // The message that is refused comes back, as much of it as fits.
    let replies = bench.ask(Kind::GroupMod, |out| out.extend_from_slice(&[0, 0, 9, 0, 0, 0, 0, 1]));
    assert_eq!(&replies[0].1[..4], &[0, 6, 0, 10]);
    assert_eq!(replies[0].1[4], Version::V13 as u8);
}

#[test]
fn flows_end_in_time_and_say_so() {
    let mut bench = Bench::new(Version::V13);
    let mut change = flow(1, Match::ANY, vec![output(2)]);
    (change.idle_timeout, change.hard_timeout, change.flags) = (10, 25, flow_mod::flags::SEND_FLOW_REM);
    bench.flow(change).unwrap();
    for _ in 0..3 {
        bench.now += Duration::from_secs(8);
        bench.frame(&arp());
        bench.switch.poll(bench.now);
        assert_eq!(bench.switch.flows(), 1);
    }
    bench.now += Duration::from_secs(2);
    assert!(bench.switch.poll_timeout().unwrap() <= bench.now);
    bench.switch.poll(bench.now);
    let replies = bench.replies();
    let (kind, body) = &replies[0];
    assert_eq!((*kind, body[10]), (Kind::FlowRemoved, Removed::Hard as u8));
    assert_eq!(&body[32 - 8..32], &3_u64.to_be_bytes(), "three packets");
    assert_eq!(bench.switch.poll_timeout(), None);
}

#[test]
fn a_flow_that_was_replaced_or_came_again_ends_at_its_own_time() {
    let mut bench = Bench::new(Version::V13);
    let timed = |seconds| FlowMod { hard_timeout: seconds, ..flow(1, Match::ANY, vec![output(2)]) };
    bench.flow(timed(5)).unwrap();
    bench.flow(timed(9)).unwrap();
    bench.now += Duration::from_secs(6);
    bench.switch.poll(bench.now);
    assert_eq!(bench.switch.flows(), 1, "replaced: nine seconds from then on");
    bench.flow(FlowMod { command: wire::Command::Delete, ..timed(0) }).unwrap();
    assert_eq!(bench.switch.poll_timeout(), None, "nothing to wait for");
    bench.flow(timed(4)).unwrap();
    bench.now += Duration::from_secs(3);
    bench.switch.poll(bench.now);
    assert_eq!(bench.switch.flows(), 1, "the deleted flow's time is not this one's");
    bench.now += Duration::from_secs(1);
    bench.switch.poll(bench.now);
    assert_eq!(bench.switch.flows(), 0);
}

#[test]
fn the_pipeline_gathers_a_set_and_metadata_and_a_group_fails_over() {
    let mut bench = Bench::new(Version::V13);
    let bucket = |port: u32| wire::Bucket {
        id: port,
        weight: 0,
        watch_port: port,
        watch_group: port::ANY,
        actions: vec![output(port)],
    };
    let buckets = [bucket(2), bucket(3)];
    bench.ask(Kind::GroupMod, |out| {
        out.extend_from_slice(&[0, 0, GroupType::FastFailover as u8, 0, 0, 0, 0, 7]);
        wire::group::emit_buckets(Version::V13, GroupType::FastFailover, &buckets, out);
    });
    let mut first = flow(1, Match::ANY, vec![]);
    first.instructions = Instructions {
        write: Some(vec![output(4)]),
        metadata: Some((5, 0xff)),
        goto: Some(2),
        ..Instructions::default()
    };
    bench.flow(first).unwrap();
    let mut second = flow(1, Match::ANY.exact(Field::Metadata, 5), vec![]);
    second.table = 2;
    second.instructions = Instructions { write: Some(vec![Action::Group(7)]), ..Instructions::default() };
    bench.flow(second).unwrap();
    assert_eq!(bench.frame(&arp()), [2], "the group takes the place of the output");
    bench.switch.link(2, false);
    assert_eq!(bench.frame(&arp()), [3]);
    bench.switch.link(2, true);
    assert_eq!(bench.frame(&arp()), [2]);
    // A group that would lead to itself is refused; one that is deleted takes its flows along.
    let replies = bench.ask(Kind::GroupMod, |out| {
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 7]);
        let actions = vec![Action::Group(7)];
        let bucket =
            wire::Bucket { id: 0, weight: 0, watch_port: port::ANY, watch_group: port::ANY, actions };
        wire::group::emit_buckets(Version::V13, GroupType::All, &[bucket], out);
    });
    assert_eq!(&replies.last().unwrap().1[..4], &[0, 6, 0, 7]);
    bench.ask(Kind::GroupMod, |out| out.extend_from_slice(&[0, 2, 0, 0, 0, 0, 0, 7]));
    assert_eq!(bench.switch.flows(), 1);
}

#[test]
fn a_missed_packet_waits_for_its_controller() {
    let mut bench = Bench::new(Version::V10);
    assert_eq!(bench.frame(&arp()), []);
    let replies = bench.replies();
    let (kind, body) = &replies[0];
    assert_eq!((*kind, &body[4..8]), (Kind::PacketIn, &[0, 42, 0, 1][..]));
    let buffer = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
    let mut change = flow(1, Match::ANY, vec![output(2)]);
    change.buffer = buffer;
    bench.sent.0.clear();
    bench.flow(change.clone()).unwrap();
    assert_eq!(bench.sent.0, [(2, arp())]);
    // The buffer is empty now.
    assert_eq!(bench.flow(change), Err(Fault::BufferUnknown.numbers(Version::V10)));
    // OpenFlow 1.3 without a table-miss flow drops.
    let mut bench = Bench::new(Version::V13);
    assert_eq!((bench.frame(&arp()), bench.replies()), (vec![], vec![]));
    assert_eq!(bench.switch.stats().missed, 1);
}

#[test]
fn a_meter_drops_above_its_rate() {
    let mut bench = Bench::new(Version::V13);
    bench.ask(Kind::MeterMod, |out| {
        out.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 1]);
        wire::group::emit_bands(&[wire::Band { rate: 10, burst: 0, remark: None }], out);
    });
    let mut change = flow(1, Match::ANY, vec![output(2)]);
    change.instructions.meter = Some(1);
    bench.flow(change).unwrap();
    let passed = |bench: &mut Bench| (0..30).filter(|_| !bench.frame(&arp()).is_empty()).count();
    assert_eq!(passed(&mut bench), 10);
    bench.now += Duration::from_millis(500);
    assert_eq!(passed(&mut bench), 5);
}

#[test]
fn versions_are_agreed_on_or_the_connection_ends() {
    let mut switch = Switch::new(Config::new(1), 1);
    for (hello, agreed) in [
        (&[4, 0, 0, 8, 0, 0, 0, 0][..], true),
        (&[6, 0, 0, 8, 0, 0, 0, 0], true),
        (&[2, 0, 0, 8, 0, 0, 0, 0], false),
        (&[6, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x0c], false),
        (&[6, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x52], true),
        (&[4, 5, 0, 8, 0, 0, 0, 0], false),
    ] {
        let id = switch.connected();
        let result = switch.message(Instant::ZERO, id, hello, &mut Sent::default());
        assert_eq!(result.is_ok(), agreed, "{hello:?}");
        switch.disconnected(id);
    }
}

fn any_match() -> impl Strategy<Value = Match> {
    (
        any::<[u8; 16]>(),
        proptest::sample::select(vec![0x0800_u64, 0x86dd, 0x0806, 0x8847, 3]),
        0..3_u8,
        any::<u32>(),
    )
        .prop_map(|(bytes, kind, depth, bits)| {
            let mut found = Match::ANY.exact(Field::EthType, kind);
            if bits & 1 != 0 {
                found = found.exact(Field::InPort, u64::from(bits >> 8));
            }
            if bits & 2 != 0 {
                found = found.exact(Field::VlanVid, 0x1000 | u64::from(bits >> 20)).exact(Field::VlanPcp, 3);
            }
            if kind == 0x0800 && depth > 0 {
                let mask = u32::MAX << (bits % 32);
                found.mask.set(Field::Ipv4Src, u64::from(mask));
                found.value.set(
                    Field::Ipv4Src,
                    u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & mask),
                );
                found = found.exact(Field::IpProto, 6);
                if depth > 1 {
                    found = found.exact(Field::TcpDst, u64::from(bits & 0xffff));
                }
            }
            found
        })
}

proptest! {
    #[test]
    fn matches_read_as_they_are_written(found in any_match()) {
        let mut out = Vec::new();
        oxm::emit_match(Version::V13, &found, &mut out);
        prop_assert_eq!(out.len() % 8, 0);
        prop_assert_eq!(oxm::parse_match(&mut Reader(&out)), Ok(found));
        if found.value.number(Field::EthType) != 0x8847 && found.value.number(Field::InPort) < 0xff00 {
            let mut out = Vec::new();
            match10::emit_match(&found, &mut out);
            prop_assert_eq!(out.len(), 40);
            prop_assert_eq!(match10::parse_match(&mut Reader(&out)), Ok(found));
        }
    }

    #[test]
    fn a_tuple_space_finds_what_a_list_finds(rules in proptest::collection::vec((any_match(), 0..50_u16), 1..8), frames: Vec<Vec<u8>>) {
        let mut bench = Bench::new(Version::V13);
        for (index, (matches, priority)) in rules.iter().enumerate() {
            let _ = bench.flow(flow(*priority, *matches, vec![output(2 + (index as u32 % 3))]));
        }
        for frame in frames.iter().map(Vec::as_slice).chain([&arp()[..]]) {
            let mut packet = Packet::default();
            packet.read(1, frame, RxMeta::default());
            let best = rules.iter().filter(|(m, _)| m.matches(packet.key())).map(|(_, priority)| *priority).max();
            let found = bench.switch.tables[0].find(packet.key());
            let found = found.and_then(|index| bench.switch.tables[0].rule_mut(index)).map(|rule| rule.priority);
            prop_assert_eq!(found, best);
        }
    }

    #[test]
    fn any_message_is_answered_or_refused(version in 0..4_usize, kind in 0..37_u8, body: Vec<u8>, frame: Vec<u8>) {
        let mut bench = Bench::new(Version::ALL[version]);
        let mut message = vec![bench.version as u8, kind];
        message.extend_from_slice(&((HEADER + body.len()) as u16).to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 1]);
        message.extend_from_slice(&body);
        let _ = bench.raw(&message);
        let _ = bench.replies();
        bench.frame(&frame);
    }
}

mod offload;
mod since_14;
