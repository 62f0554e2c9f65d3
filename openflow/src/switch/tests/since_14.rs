//! What OpenFlow 1.4 and 1.5 brought, and Nicira's extensions.
use super::*;
use crate::wire::{Bucket, CopyField, GroupCommand, GroupMod, ONF, group, nicira, properties};

fn bundle(number: u32, kind: u16) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&3_u16.to_be_bytes());
    }
}

impl Bench {
    /// Another controller of the same version.
    fn another(&mut self) -> ConnectionId {
        let id = self.switch.connected();
        self.switch.take_output(id);
        let hello = [self.version as u8, 0, 0, 8, 0, 0, 0, 1];
        self.switch.message(self.now, id, &hello, &mut self.sent).unwrap();
        id
    }

    /// A request about bundles, in 1.3 in the ONF's envelope.
    fn about_bundle(&mut self, add: bool, body: impl FnOnce(&mut Vec<u8>)) -> Vec<(Kind, Vec<u8>)> {
        if self.version == Version::V13 {
            return self.ask(Kind::Experimenter, |out| {
                out.extend_from_slice(&ONF.to_be_bytes());
                out.extend_from_slice(&(2300 + u32::from(add)).to_be_bytes());
                body(out);
            });
        }
        self.ask(if add { Kind::BundleAddMessage } else { Kind::BundleControl }, body)
    }

    fn add_to_bundle(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) {
        let version = self.version;
        let replies = self.about_bundle(true, |out| {
            out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 3]);
            wire::emit(version, kind, 42, out, body);
        });
        assert_eq!(replies, []);
    }

    fn error(&mut self) -> Option<(u16, u16)> {
        self.replies()
            .iter()
            .find(|(kind, _)| *kind == Kind::Error)
            .map(|(_, body)| (u16::from_be_bytes([body[0], body[1]]), u16::from_be_bytes([body[2], body[3]])))
    }

    /// Everything that is told of flows and groups.
    fn dump(&mut self) -> Vec<(Kind, Vec<u8>)> {
        let mut told = self.ask(Kind::MultipartRequest, |out| {
            out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0]);
            out.extend_from_slice(&[0xff; 8]);
            out.extend_from_slice(&[0; 20]);
            oxm::emit_match(Version::V13, &Match::ANY, out);
        });
        told.extend(self.ask(Kind::MultipartRequest, |out| {
            out.extend_from_slice(&[0, 7, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&group::ALL_GROUPS.to_be_bytes());
            out.extend_from_slice(&[0; 4]);
        }));
        told
    }
}

fn bucket(id: u32, port: u32) -> Bucket {
    Bucket { id, weight: 1, watch_port: port::ANY, watch_group: port::ANY, actions: vec![output(port)] }
}

fn group_mod(command: GroupCommand, command_bucket: u32, buckets: Vec<Bucket>) -> GroupMod {
    GroupMod { command, kind: GroupType::Select, id: 7, command_bucket, buckets }
}

#[test]
fn a_bundle_is_carried_out_whole_or_not_at_all() {
    for version in [Version::V13, Version::V14, Version::V15] {
        let mut bench = Bench::new(version);
        bench.flow(flow(5, Match::ANY, vec![output(2)])).unwrap();
        bench.frame(&arp());
        let other = bench.another();
        let before = bench.dump();
        for (last, whole) in [(99, false), (7, true)] {
            let opened = bench.about_bundle(false, bundle(1, 0));
            assert!(opened.len() == 1 && opened[0].0 != Kind::Error, "{opened:?}");
            let group = group_mod(GroupCommand::Add, 0, vec![bucket(0, 3)]);
            bench.add_to_bundle(Kind::GroupMod, |out| group.emit(version, out));
            let mut delete = flow(5, Match::ANY, vec![]);
            (delete.command, delete.flags) = (Command::DeleteStrict, 0);
            bench.add_to_bundle(Kind::FlowMod, |out| delete.emit(version, out));
            bench.add_to_bundle(Kind::PacketOut, |out| {
                wire::emit_packet_out(version, flow_mod::NO_BUFFER, 1, &[output(4)], &arp(), out);
            });
            let add = flow(6, Match::ANY, vec![Action::Group(last)]);
            bench.add_to_bundle(Kind::FlowMod, |out| add.emit(version, out));
            assert_eq!(bench.dump(), before, "nothing is done before the end");
            bench.sent.0.clear();
            let replies = bench.about_bundle(false, bundle(1, 4));
            if whole {
                assert!(replies.len() == 1 && replies[0].0 != Kind::Error, "{replies:?}");
                assert_eq!(bench.frame(&arp()), [3]);
                assert_eq!(bench.switch.flows(), 1);
            } else {
                // The message's own fault, then the bundle's.
                assert_eq!(replies[0].1[..4], [0, 2, 0, 9]);
                let failed: &[u8] =
                    if version == Version::V13 { &[0xff, 0xff, 9, 9] } else { &[0, 17, 0, 13] };
                assert_eq!((replies.len(), &replies[1].1[..4]), (2, failed));
                assert_eq!(bench.dump(), before);
                assert!(bench.sent.0.is_empty());
            }
            let _ = bench.switch.take_output(other);
        }
        // What a bundle cannot hold, and one that is not there.
        let replies = bench.about_bundle(true, |out| {
            out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 3]);
            wire::emit(version, Kind::EchoRequest, 42, out, |_| {});
        });
        let code = replies[0].1[3];
        assert_eq!(code, if version == Version::V13 { (2310_u16 & 0xff) as u8 } else { 10 });
        let replies = bench.about_bundle(false, bundle(9, 4));
        assert_eq!(replies[0].1[3], if version == Version::V13 { (2302_u16 & 0xff) as u8 } else { 2 });
    }
}

#[test]
fn buckets_come_and_go() {
    let mut bench = Bench::new(Version::V15);
    let mut change = |command, place, buckets: &[(u32, u32)]| {
        let buckets = buckets.iter().map(|(id, port)| bucket(*id, *port)).collect();
        let change = group_mod(command, place, buckets);
        bench
            .ask(Kind::GroupMod, |out| change.emit(Version::V15, out))
            .first()
            .map(|(_, body)| (u16::from_be_bytes([body[0], body[1]]), u16::from_be_bytes([body[2], body[3]])))
    };
    use GroupCommand::{Add, InsertBucket as Insert, RemoveBucket as Remove};
    assert_eq!(change(Insert, group::LAST_BUCKET, &[(1, 1)]), Some((6, 8)));
    assert_eq!(change(Add, group::ALL_BUCKETS, &[(5, 1), (9, 2)]), None);
    assert_eq!(change(Insert, group::FIRST_BUCKET, &[(7, 3)]), None);
    assert_eq!(change(Insert, 5, &[(8, 4)]), None);
    assert_eq!(change(Insert, 5, &[(8, 4)]), Some((6, 16)));
    assert_eq!(change(Insert, 77, &[(10, 4)]), Some((6, 15)));
    assert_eq!(change(Remove, 9, &[]), None);
    assert_eq!(change(Remove, 9, &[]), Some((6, 15)));
    let ids: Vec<u32> = bench.switch.groups[&7].buckets.iter().map(|bucket| bucket.id).collect();
    assert_eq!(ids, [7, 5, 8]);
}

#[test]
fn a_full_table_makes_room_by_importance_and_says_that_it_fills() {
    let mut bench = Bench::new(Version::V15);
    let set = |bench: &mut Bench, config: u8| {
        bench.ask(Kind::TableMod, |out| {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, config]);
            properties::emit(3, out, |out| out.extend_from_slice(&[30, 60, 0, 0]));
        })
    };
    assert_eq!(set(&mut bench, 8), []);
    let numbered = |number: u16| {
        let mut change = flow(number, Match::ANY.exact(Field::InPort, u64::from(number)), vec![output(2)]);
        (change.importance, change.flags) = (number, flow_mod::flags::SEND_FLOW_REM);
        change
    };
    let told = (1..=8).map(|number| {
        let change = numbered(number);
        let replies = bench.ask(Kind::FlowMod, |out| change.emit(Version::V15, out));
        replies.iter().filter(|(kind, body)| *kind == Kind::TableStatus && body[0] == 3).count()
    });
    // Of eight places the sixth flow leaves a quarter.
    assert_eq!(told.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bench.flow(numbered(9)), Err((5, 1)));
    set(&mut bench, 4);
    assert_eq!(bench.flow(numbered(0)), Err((5, 1)), "nothing is less important");
    let change = numbered(9);
    let gone = bench.ask(Kind::FlowMod, |out| change.emit(Version::V15, out));
    let gone = wire::FlowRemoved::parse(Version::V15, &gone[0].1).unwrap();
    assert_eq!((gone.reason, gone.priority, bench.switch.flows()), (5, 1, 8));
}

#[test]
fn a_controller_hears_that_another_is_master_and_what_it_changes() {
    let mut bench = Bench::new(Version::V15);
    let other = bench.another();
    let role = |role: u8, generation: u8| {
        move |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 0, 0, role, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, generation]);
        }
    };
    assert_eq!(bench.ask(Kind::RoleRequest, role(2, 5))[0].0, Kind::RoleReply);
    // The first wants to hear of groups, too.
    bench.ask(Kind::SetAsync, |out| {
        for kind in [10, 11] {
            properties::emit(kind, out, |out| out.extend_from_slice(&1_u32.to_be_bytes()));
        }
    });
    let first = core::mem::replace(&mut bench.id, other);
    let stale = bench.ask(Kind::RoleRequest, role(2, 4));
    assert_eq!(stale[0].1[..4], [0, 11, 0, 0]);
    assert_eq!(bench.ask(Kind::RoleRequest, role(2, 6))[0].0, Kind::RoleReply);
    let change = group_mod(GroupCommand::Add, 0, vec![bucket(1, 3)]);
    bench.ask(Kind::GroupMod, |out| change.emit(Version::V15, out));
    bench.id = first;
    let told = bench.replies();
    assert_eq!((told[0].0, &told[0].1[..5]), (Kind::RoleStatus, &[0, 0, 0, 3, 0][..]));
    assert_eq!(told[1].0, Kind::RequestForward);
    assert_eq!(GroupMod::parse(Version::V15, &told[1].1[8..]), Ok(change));
    assert_eq!(bench.flow(flow(1, Match::ANY, vec![])), Err((1, 10)), "a slave changes nothing");
    let replies = bench.about_bundle(false, bundle(1, 0));
    assert_eq!(replies[0].1[..4], [0, 1, 0, 10]);
}

#[test]
fn a_monitor_hears_of_flows_and_of_its_own_by_their_xid() {
    for version in [Version::V14, Version::V15] {
        let mut bench = Bench::new(version);
        bench.flow(flow(1, Match::ANY, vec![output(2)])).unwrap();
        let replies = bench.ask(Kind::MultipartRequest, |out| {
            out.extend_from_slice(&[0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            out.extend_from_slice(&[0xff; 8]);
            out.extend_from_slice(&[0, 0x1f, 0xff, 0]);
            oxm::emit_match(version, &Match::ANY, out);
        });
        assert_eq!(replies[0].1[8..14], [0, 56, 0, 0, 0, 0], "the flow that is there, with its instructions");
        let own = bench.ask(Kind::FlowMod, |out| flow(2, Match::ANY, vec![]).emit(version, out));
        assert_eq!(own[0].1[8..], [0, 8, 0, 4, 0, 0, 0, 42]);
        let monitor = bench.id;
        bench.id = bench.another();
        bench.flow(flow(3, Match::ANY, vec![])).unwrap();
        bench.id = monitor;
        let told = bench.replies();
        assert_eq!((told[0].0, &told[0].1[10..12]), (Kind::MultipartReply, &[0, 1][..]));
        assert_eq!(u16::from_be_bytes([told[0].1[18], told[0].1[19]]), 3, "the priority");
    }
}

#[test]
fn packets_are_looked_up_again_with_registers_and_what_was_copied() {
    let mut bench = Bench::new(Version::V15);
    let copy = CopyField { bits: 16, from: 0, to: 4, source: Field::EthType, destination: Field::Reg1 };
    let mask = |byte| FieldValue([byte, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let actions = vec![
        Action::CopyField(copy),
        Action::SetMaskedField(Field::EthSrc, mask(0x42), mask(0x42)),
        Action::Resubmit { port: Some(9), table: Some(3) },
        output(4),
    ];
    bench.flow(flow(1, Match::ANY, actions)).unwrap();
    let mut second = flow(1, Match::ANY.exact(Field::Reg1, 0x8060).in_port(9), vec![output(3)]);
    second.table = 3;
    bench.flow(second.clone()).unwrap();
    assert_eq!(bench.frame(&arp()), [3, 4]);
    assert_eq!(bench.sent.0[0].1[6..12], [0x42, 0, 0, 0, 0, 1]);
    // A flow that looks itself up comes to an end, with what it sent until then.
    second.instructions = Instructions::of_actions(vec![
        Action::Resubmit { port: None, table: None },
        Action::Resubmit { port: None, table: None },
    ]);
    bench.flow(second).unwrap();
    bench.frame(&arp());
    assert_eq!(bench.switch.stats().loops, 1);
}

#[test]
fn nicira_s_changes_name_table_and_cookie() {
    let mut bench = Bench::new(Version::V10);
    let say = |bench: &mut Bench, kind: u32, body: &[u8]| {
        bench.ask(Kind::Experimenter, |out| {
            out.extend_from_slice(&nicira::NICIRA.to_be_bytes());
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(body);
        })
    };
    assert_eq!(say(&mut bench, nicira::message::FLOW_MOD_TABLE_ID, &[1, 0, 0, 0, 0, 0, 0, 0]), []);
    let mut change = flow(4, Match::ANY.ip_dst([10, 0, 0, 1].into(), 32).tcp_dst(80), vec![output(2)]);
    (change.table, change.cookie) = (3, 0x77);
    let send = |bench: &mut Bench, change: &FlowMod| {
        let mut body = Vec::new();
        change.emit_nicira(Version::V10, true, &mut body);
        say(bench, nicira::message::FLOW_MOD, &body)
    };
    assert_eq!(send(&mut bench, &change), []);
    assert_eq!(bench.switch.tables[3].len(), 1);
    let mut delete = FlowMod::delete(Match::ANY).cookie(0x78);
    assert_eq!((send(&mut bench, &delete), bench.switch.flows()), (vec![], 1), "of another cookie");
    delete.cookie = 0x77;
    assert_eq!((send(&mut bench, &delete), bench.switch.flows()), (vec![], 0));
    // A message that is not known, and an experimenter that is not.
    say(&mut bench, 999, &[]);
    bench.ask(Kind::Experimenter, |out| out.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 1]));
    bench.raw(&[1, 4, 0, 16, 0, 0, 0, 1, 0, 0, 0x23, 0x20, 0, 0, 3, 0xe7]).unwrap();
    assert_eq!(bench.error(), Some((1, 4)));
    bench.raw(&[1, 4, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1]).unwrap();
    assert_eq!(bench.error(), Some((1, 3)));
}

fn any_action() -> impl Strategy<Value = Action> {
    let settable = [
        Field::EthDst,
        Field::VlanVid,
        Field::IpDscp,
        Field::Ipv4Src,
        Field::TcpDst,
        Field::Ipv6Dst,
        Field::TunnelId,
        Field::MplsLabel,
        Field::Reg5,
        Field::XReg2,
        Field::ArpOp,
    ];
    let field = (proptest::sample::select(settable.to_vec()), any::<[u8; 16]>(), any::<[u8; 16]>());
    let set = field.prop_map(|(field, bits, mask)| {
        let layout = field.layout();
        let spare = layout.width * 8 - layout.bits as usize;
        let fit = |mut bytes: [u8; 16]| {
            bytes[0] &= 0xff_u8.checked_shr(spare.min(7) as u32).unwrap_or(0);
            if spare >= 8 {
                bytes[0] = 0;
                bytes[1] &= 0xff >> (spare - 8);
            }
            bytes[layout.width..].fill(0);
            bytes
        };
        let (bits, mask) = (fit(bits), fit(mask));
        let masked = core::array::from_fn(|n| bits[n] & mask[n]);
        [
            Action::SetField(field, FieldValue(bits)),
            Action::SetMaskedField(field, FieldValue(masked), FieldValue(mask)),
        ]
    });
    prop_oneof![
        (set, 0..2_usize).prop_map(|(both, which)| both[which]),
        any::<u32>().prop_map(Action::Meter),
        (1..16_u16, 0..16_u16, 0..16_u16).prop_map(|(bits, from, to)| {
            let (source, destination) = (Field::Ipv4Dst, Field::Reg3);
            Action::CopyField(CopyField { bits, from, to, source, destination })
        }),
        (any::<u8>(), 1..100_u32, 0..255_u8).prop_map(|(which, port, table)| Action::Resubmit {
            port: (which & 1 != 0).then_some(port),
            table: (which & 2 != 0).then_some(table),
        }),
        (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(max_len, id, reason)| Action::Controller {
            max_len,
            id,
            reason
        }),
        Just(Action::Exit),
        Just(Action::PopQueue),
        any::<u32>().prop_map(Action::SetQueue),
        any::<u32>().prop_map(Action::Group),
        (1..100_u32).prop_map(output),
    ]
}

proptest! {
    #[test]
    fn flows_read_as_they_are_written(
        found in any_match(), actions in proptest::collection::vec(any_action(), 0..6),
        registers: (u32, u32), flags: u8, importance: u16, cookie: u64,
    ) {
        let mut change = flow(3, found.exact(Field::Reg2, registers.0.into()), actions);
        (change.cookie, change.flags) = (cookie, u16::from(flags) & 0x1f);
        change.matches = change.matches.exact(Field::Metadata, registers.1.into());
        for version in [Version::V13, Version::V14, Version::V15] {
            change.importance = if version == Version::V13 { 0 } else { importance };
            // A meter is an action in 1.5 alone, and a field set under a mask is one of Nicira's before; masks of all bits and of none
            // are written otherwise.
            let mut same = change.clone();
            let actions = same.instructions.apply.as_mut().unwrap();
            actions.retain(|action| match action {
                Action::Meter(_) => version == Version::V15,
                Action::SetMaskedField(field, _, mask) => version == Version::V15
                    || !wire::field::full_mask(*field, mask.bytes(*field)),
                _ => true,
            });
            let mut out = Vec::new();
            same.emit(version, &mut out);
            prop_assert_eq!(FlowMod::parse(version, &out), Ok(same));
        }
        let mut nxm = change.clone();
        // Ports of 1.0 have sixteen bits.
        if found.value.number(Field::InPort) >= 0xff00 {
            nxm.matches = nxm.matches.in_port(7);
        }
        (nxm.importance, nxm.flags, nxm.table) = (0, change.flags & 3, 5);
        nxm.instructions.apply.as_mut().unwrap().retain(|action| {
            matches!(action, Action::Resubmit { .. } | Action::Exit | Action::CopyField(_) | Action::Output { .. })
        });
        let mut out = Vec::new();
        nxm.emit_nicira(Version::V10, true, &mut out);
        prop_assert_eq!(FlowMod::parse_nicira(Version::V10, true, &out), Ok(nxm));
    }

    #[test]
    fn groups_read_as_they_are_written(id: u32, place: u32, buckets in proptest::collection::vec((any::<u32>(), 1..9_u16, 1..9_u32), 0..5), insert: bool) {
        let buckets = buckets.into_iter().map(|(id, weight, port)| Bucket { weight, ..bucket(id, port) }).collect();
        let command = if insert { GroupCommand::InsertBucket } else { GroupCommand::Add };
        let change = GroupMod { command, kind: GroupType::Select, id, command_bucket: place, buckets };
        let mut out = Vec::new();
        change.emit(Version::V15, &mut out);
        prop_assert_eq!(GroupMod::parse(Version::V15, &out), Ok(change));
    }

    #[test]
    fn a_refused_bundle_leaves_every_flow_as_it_was(
        before in proptest::collection::vec((any_match(), 0..4_u16), 0..8),
        changes in proptest::collection::vec((0..5_u8, any_match(), 0..4_u16), 0..12),
    ) {
        let mut bench = Bench::new(Version::V15);
        for (matches, priority) in before {
            let _ = bench.flow(flow(priority, matches, vec![output(2)]));
        }
        bench.frame(&arp());
        let told = bench.dump();
        bench.about_bundle(false, bundle(1, 0));
        let commands = [Command::Add, Command::Modify, Command::ModifyStrict, Command::Delete, Command::DeleteStrict];
        for (command, matches, priority) in changes {
            let mut change = flow(priority, matches, vec![output(3)]);
            change.command = commands[usize::from(command)];
            bench.add_to_bundle(Kind::FlowMod, |out| change.emit(Version::V15, out));
        }
        let bad = flow(1, Match::ANY, vec![Action::Group(1)]);
        bench.add_to_bundle(Kind::FlowMod, |out| bad.emit(Version::V15, out));
        let replies = bench.about_bundle(false, bundle(1, 4));
        prop_assert_eq!(&replies.last().unwrap().1[..4], &[0, 17, 0, 13]);
        let sorted = |mut told: Vec<(Kind, Vec<u8>)>| { told.sort_by(|a, b| a.1.cmp(&b.1)); told };
        prop_assert_eq!(sorted(bench.dump()), sorted(told));
        prop_assert_eq!(bench.frame(&arp()).len(), bench.frame(&arp()).len());
    }
}

/// OpenFlow 1.5 sections 5.9 and 7.2.5.7: the flow's counters are told when they reach a threshold, with this as the reason.
#[test]
fn counters_that_reach_a_threshold_are_told() {
    use crate::wire::{Statistics, Trigger};
    let packets = |count| Statistics { packets: Some(count), ..Statistics::default() };
    let bytes = Statistics { bytes: Some(100), ..Statistics::default() };
    let frame = arp();
    assert_eq!(frame.len(), 42);
    for (periodic, thresholds, expected) in [
        (true, packets(3), &[3, 6][..]),
        (false, packets(3), &[3]),
        (true, packets(1), &[1, 2, 3, 4, 5, 6, 7]),
        (false, packets(0), &[]),
        (true, bytes, &[3, 5]),
        (false, bytes, &[3]),
    ] {
        let mut bench = Bench::new(Version::V15);
        let trigger = Trigger { periodic, thresholds };
        let mut added = flow(5, Match::ANY, vec![output(2)]);
        added.instructions.trigger = Some(alloc::boxed::Box::new(trigger));
        bench.flow(added.clone()).unwrap();
        let mut written = Vec::new();
        added.instructions.emit(Version::V15, &mut written);
        assert_eq!(Instructions::parse(Version::V15, &written), Ok(added.instructions.clone()));
        // Before 1.5 there are no triggers to be told of.
        let mut without = added.instructions.clone();
        without.trigger = None;
        let (mut old, mut told) = (Vec::new(), Vec::new());
        added.instructions.emit(Version::V14, &mut old);
        assert_eq!(Instructions::parse(Version::V14, &old), Ok(without));
        for number in 1..=7_u64 {
            assert_eq!(bench.frame(&frame), [2]);
            for (kind, body) in bench.replies() {
                assert_eq!(kind, Kind::MultipartReply);
                assert_eq!(body[..8], [0, 17, 0, 0, 0, 0, 0, 0]);
                let mut entry = Reader(&body[8..]);
                assert_eq!(usize::from(entry.u16().unwrap()), body.len() - 8);
                assert_eq!(entry.array(), Ok([0, 0, 0, 1, 0, 5]), "table 0, OFPFSR_STAT_TRIGGER, priority 5");
                assert_eq!(oxm::parse_match(&mut entry), Ok(Match::ANY));
                let counted = Statistics::parse(&mut entry).unwrap();
                assert_eq!((counted.packets, counted.bytes), (Some(number), Some(number * 42)));
                told.push(number);
            }
        }
        assert_eq!(told, expected, "{trigger:?}");
        // As a slave one is not told until one asks for it.
        let role = bench.ask(Kind::RoleRequest, |out| {
            out.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        });
        assert_eq!(role[0].0, Kind::RoleReply);
        (0..3).for_each(|_| drop(bench.frame(&frame)));
        assert_eq!(bench.replies(), []);
    }
}

#[test]
fn triggers_that_are_not_there_are_refused() {
    let refused = |flags: u32, fields: &[u8]| {
        let mut body = vec![0, 7, 0, 0];
        body.extend(flags.to_be_bytes());
        body.extend([0, 0, 0, 4 + fields.len() as u8]);
        body.extend(fields);
        body.resize(body.len().next_multiple_of(8), 0);
        body[3] = body.len() as u8;
        Instructions::parse(Version::V15, &body).err()
    };
    let packets = [0x80, 2, 8, 8, 0, 0, 0, 0, 0, 0, 0, 9];
    let life = [0x80, 2, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0];
    assert_eq!(refused(1, &packets), None);
    for (flags, fields) in [(4, &packets[..]), (1, &life), (1, &[0x80, 2, 6, 4, 0, 0, 0, 9])] {
        assert_eq!(refused(flags, fields), Some(Fault::UnsupportedInstruction));
    }
    assert_eq!(refused(1, &packets[..7]), Some(Fault::BadInstructionLength));
    assert_eq!(
        Instructions::parse(Version::V15, &[0, 7, 0, 8, 0, 0, 0, 1]),
        Err(Fault::BadInstructionLength)
    );
    assert_eq!(Instructions::parse(Version::V13, &[0, 7, 0, 8, 0, 0, 0, 1]), Err(Fault::UnknownInstruction));
}
