//! What `ovs-ofctl` says of our switch, line by line beside what it says of Open vSwitch's own after the same commands.
use airglow_testbed::{Namespace, OpenVswitch, Process, Said, program};
use std::{
    collections::BTreeSet,
    env::temp_dir,
    fs,
    process::id,
    thread,
    time::{Duration, Instant},
};

/// What is left out of both sides before they are compared: a text somewhere in a line, and why it is another.
const EXPLAINED: &[(&str, &str)] = &[
    ("current:", "our devices do not say how fast they are"),
    ("speed:", "likewise"),
    (" ports", "one port less, the local one"),
    ("Manufacturer:", "a name"),
    ("Hardware:", "a name"),
    ("Software:", "a name"),
    ("Serial Num:", "a name"),
    ("DP Description:", "a name"),
    ("n_buffers:", "Open vSwitch has done away with packet buffers"),
    ("miss_send_len=", "128 until a controller says otherwise, as OpenFlow 1.0 and 1.3 have it"),
    ("max_entries=", "sizes"),
    ("max_groups=", "sizes"),
    ("max_meter:", "sizes; and meters remark packets, too"),
    ("band_types:", "likewise"),
    (
        "capabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS BUNDLES",
        "Open vSwitch monitors flows and does not say it",
    ),
    ("eviction_flags=", "flows go by importance, then by lifetime, and by nothing else"),
    ("Capabilities:", "groups that lead to groups are checked for loops"),
    ("state:      LINK_DOWN", "a port that is taken down by `mod-port` does not take its device's link down"),
    ("state:      0", "likewise"),
];

/// Commands whose answers differ for a reason: how they begin, in which version, and the reason.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("add-flow table=254", "", "Open vSwitch keeps one more table for itself and refuses to change it"),
    (
        "add-flow actions=meter:99",
        "OpenFlow15",
        "the meter is an action, and the specification has an error for actions; Open vSwitch has the one of before",
    ),
    ("dump-table-features", "OpenFlow13", "Open vSwitch has fields and actions of its own"),
    ("dump-table-features", "OpenFlow14", "likewise"),
    ("dump-table-features", "OpenFlow15", "likewise"),
];

struct Both {
    switch: Namespace,
    open: Namespace,
    vswitch: OpenVswitch,
    _process: Process,
}

impl Both {
    fn new() -> Self {
        let (switch, open) = (Namespace::new("ours"), Namespace::new("theirs"));
        for space in [&switch, &open] {
            for port in ["p1", "p2", "p3"] {
                space.ip(&format!("link add {port} type veth peer name {port}x"));
                for end in [port, &format!("{port}x")] {
                    space.silence(end);
                }
            }
        }
        let binary = program("airglow-openflow-switch", "dev");
        let mut process = switch.start(binary, &["ports=p1,p2,p3", "listen=127.0.0.1:6653", "datapath=1"]);
        process.wait_for("listening", Duration::from_secs(10));
        let vswitch = OpenVswitch::new(&open);
        let ports = ["p1", "p2", "p3"].map(String::from);
        let more = ["--", "set", "bridge", "br1", "other-config:datapath-id=0000000000000001"];
        vswitch.bridge("br1", &ports, "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", &more);
        Self { switch, open, vswitch, _process: process }
    }

    /// What both say.
    fn say(&self, version: &str, words: &[&str]) -> [Said; 2] {
        let version = format!("--protocols={version}");
        let management = self.vswitch.management("br1");
        [(&self.switch, "tcp:127.0.0.1:6653"), (&self.open, &management)].map(|(space, at)| {
            // Options, the command, where to, and the rest.
            let command = words.iter().position(|word| !word.starts_with("--")).unwrap_or(0);
            let (before, after) = words.split_at(command + 1);
            let words = [&[version.as_str(), "--timeout=10"], before, &[at], after].concat();
            let mut said = space.run("ovs-ofctl", &words);
            // `ping` says whom it asks.
            said.stdout = said.stdout.replace(at, "SWITCH");
            said
        })
    }
}

/// What is said of the port LOCAL is left out, too: Open vSwitch is also an interface of its host, below our switch there is none.
/// The lines in order of the alphabet, without what differs from run to run and what is explained.
fn settled(version: &str, said: &Said, used: &mut BTreeSet<usize>) -> Vec<String> {
    let mark = match version {
        "OpenFlow10" => "",
        "OpenFlow13" => " (OF1.3)",
        "OpenFlow14" => " (OF1.4)",
        _ => " (OF1.5)",
    };
    let mut lines = Vec::new();
    let mut local = false;
    for line in said.stdout.lines().chain(said.stderr.lines()) {
        let mut line = line.replace("NXST_", "OFPST_").replace(mark, "");
        for (mark, end) in [
            ("xid=", ")"),
            ("duration=", "s"),
            ("duration:", "s"),
            (" duration", "s"),
            ("addr:", "\n"),
            ("dpid:", "\n"),
            ("idle_age=", " "),
            ("Finished in ", "\n"),
            ("-ofctl: ", ""),
        ] {
            if let Some(at) = line.find(mark) {
                let from = at + mark.len();
                let to = line[from..].find(|c: char| end.contains(c)).map_or(line.len(), |n| from + n);
                line.replace_range(from..to, "_");
            }
        }
        // A Nicira extension of flow statistics.
        let line = line.replace(" idle_age=_", "");
        let below = line.starts_with("     ") && !line.contains("table");
        local = line.contains("LOCAL") || local && below;
        if local {
            continue;
        }
        match EXPLAINED.iter().position(|(text, _)| line.contains(text)) {
            Some(why) => drop(used.insert(why)),
            None => lines.push(line.trim_end().to_owned()),
        }
    }
    lines.sort();
    lines
}

#[test]
fn what_ofctl_says_is_the_same() {
    let both = Both::new();
    let file = temp_dir().join(format!("airglow-like-ovs-{}", id()));
    fs::write(&file, "priority=1,in_port=1,actions=output:2\npriority=7,udp,tp_dst=53,actions=drop\n")
        .unwrap();
    let path = file.display().to_string();
    let [bundle, bad] = [
        ("bundle", "group add group_id=1,type=all,bucket=output:1\nflow add priority=9,in_port=1,actions=group:1\nflow add priority=8,actions=drop\n"),
        ("bad", "group add group_id=2,type=all,bucket=output:1\nflow delete in_port=1\nflow add priority=1,actions=group:7\n"),
    ]
    .map(|(name, text)| {
        let path = format!("{path}-{name}");
        fs::write(&path, text).unwrap();
        path
    });
    let both_versions: Vec<Vec<&str>> = [
        "show", "dump-desc", "dump-tables", "dump-ports", "dump-ports-desc", "get-frags", "queue-stats", "probe",
        "ping", "ping 0", "ping 1000", "ping 65527", "benchmark 0 100", "benchmark 100 1000", "benchmark 60000 50",
        "add-flow priority=10,in_port=1,actions=output:2",
        "add-flow priority=11,idle_timeout=60,hard_timeout=600,tcp,nw_dst=10.0.0.0/8,tp_dst=80,actions=mod_nw_dst:10.1.1.1,output:3",
        "add-flow cookie=0x1234,priority=12,dl_vlan=7,actions=strip_vlan,NORMAL",
        "add-flow priority=13,icmp,icmp_type=8,actions=CONTROLLER:64",
        "add-flow priority=14,arp,arp_tpa=10.0.0.1,actions=FLOOD",
        "add-flow priority=15,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,actions=mod_dl_src:02:00:00:00:00:09,IN_PORT",
        "add-flow priority=16,udp,tp_src=67,actions=ALL,LOCAL",
        "add-flow send_flow_rem,priority=17,ip,nw_tos=32,actions=mod_nw_tos:64,mod_tp_dst:99,output:1",
        "add-flow priority=18,dl_vlan_pcp=3,actions=mod_vlan_vid:9,mod_vlan_pcp:2,output:2",
        "dump-flows", "dump-aggregate", "dump-tables",
        "mod-flows priority=10,in_port=1,actions=drop",
        "dump-flows in_port=1",
        "--strict mod-flows priority=14,arp,arp_tpa=10.0.0.1,actions=NORMAL",
        "dump-flows arp",
        "del-flows tcp",
        "dump-flows",
        "mod-port 1 no-flood", "mod-port 2 no-receive", "mod-port 3 down", "show",
        "mod-port 1 flood", "mod-port 2 receive", "mod-port 3 up", "show",
        "dump-ports 1", "dump-ports-desc 2",
        "add-flow priority=1,in_port=1,actions=enqueue:1:1",
        "add-flow table=77,actions=drop", "add-flow table=254,actions=drop",
        "add-flow actions=output:99", "add-flow actions=mod_nw_src:1.2.3.4,output:1",
        "packet-out in_port=1,packet=ffffffffffff0200000000010806000108000604000102000000000109090901000000000000090909020000,actions=output:2",
        "del-flows cookie=0x1234/-1", "del-flows", "dump-flows",
        "replace-flows FILE", "dump-flows", "diff-flows FILE", "del-flows",
    ].iter().map(|line| line.split(' ').map(|word| if word == "FILE" { path.as_str() } else { word }).collect()).collect();
    let of_13: Vec<Vec<&str>> = [
        "add-group group_id=1,type=all,bucket=output:1,bucket=output:2",
        "add-group group_id=2,type=select,bucket=weight:10,output:1,bucket=weight:20,output:2",
        "add-group group_id=3,type=indirect,bucket=output:3",
        "add-group group_id=4,type=ff,bucket=watch_port:1,output:1,bucket=watch_port:2,output:2",
        "add-group group_id=4,type=all,bucket=output:1",
        "add-group group_id=5,type=indirect,bucket=output:3,bucket=output:1",
        "mod-group group_id=9,type=all,bucket=output:1",
        "dump-groups", "dump-groups 2", "dump-group-stats", "dump-group-features",
        "add-meter meter=1,kbps,band=type=drop,rate=1000",
        "add-meter meter=2,pktps,burst,stats,band=type=drop,rate=100,burst_size=20",
        "add-meter meter=1,kbps,band=type=drop,rate=1000", "mod-meter meter=7,kbps,band=type=drop,rate=1000",
        "dump-meters", "dump-meter meter=2", "meter-stats", "meter-features",
        "add-flow table=0,priority=9,tcp,actions=meter:1,write_actions(group:1),goto_table:1",
        "add-flow table=1,priority=9,metadata=0x5/0xff,actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:2",
        "add-flow table=0,priority=8,ip,actions=write_metadata:0x5/0xff,clear_actions,goto_table:1",
        "add-flow table=2,priority=7,mpls,mpls_label=77,actions=dec_mpls_ttl,pop_mpls:0x0800,output:1",
        "add-flow table=2,priority=6,ip,actions=push_mpls:0x8847,set_field:77->mpls_label,output:1",
        "add-flow table=2,priority=5,ipv6,ipv6_dst=2001:db8::/32,ipv6_label=5,actions=dec_ttl,output:1",
        "add-flow table=2,priority=4,icmp6,icmp_type=135,nd_target=fe80::1,actions=set_field:fe80::2->nd_target,output:1",
        "add-flow table=2,priority=3,sctp,sctp_dst=99,actions=set_field:100->sctp_dst,output:1",
        "add-flow table=2,priority=2,tun_id=5,actions=set_field:6->tun_id,set_queue:1,output:1",
        "dump-flows", "dump-flows table=2", "dump-flows out_group=1", "dump-tables",
        "add-flow table=1,actions=goto_table:1", "add-flow table=0,actions=goto_table:0",
        "add-flow actions=group:99", "add-flow actions=meter:99,output:1",
        "del-groups group_id=1", "dump-flows", "del-meters", "dump-flows", "dump-meters", "del-groups", "dump-groups",
        "dump-group-stats", "del-flows", "dump-flows", "dump-table-features",
    ].iter().map(|line| line.split(' ').collect()).collect();
    let of_10: Vec<Vec<&str>> = [
        "add-flow table=3,priority=9,in_port=1,actions=output:2",
        "add-flow cookie=0x77,priority=9,ipv6,ipv6_src=2001:db8::/32,actions=drop",
        "add-flow cookie=0x77,table=1,priority=8,tcp6,tp_dst=80,reg0=0x5/0xff,tun_id=7,metadata=3,actions=output:1",
        "add-flow priority=7,vlan_tci=0x1007/0x1fff,actions=strip_vlan,resubmit(,3)",
        "add-flow priority=6,in_port=1,actions=resubmit:2",
        "add-flow priority=5,in_port=2,actions=load:0x7->NXM_NX_REG1[0..7],move:NXM_NX_REG1[]->NXM_NX_REG2[],resubmit(2,1)",
        "add-flow priority=4,in_port=3,actions=set_tunnel:5,set_queue:1,output:1,pop_queue,exit",
        "add-flow priority=3,udp,actions=controller(reason=invalid_ttl,max_len=77,id=9),dec_ttl,output:2",
        "add-flow priority=2,mpls,actions=dec_mpls_ttl,pop_mpls:0x0800,output:1",
        "add-flow priority=1,arp,arp_sha=02:00:00:00:00:01,actions=push_mpls:0x8847,set_mpls_ttl:5,output:2",
        "add-flow priority=12,icmp6,icmp_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:07,actions=set_tunnel64:0x1122334455,NORMAL",
        "add-flow priority=13,tcp,tcp_flags=+syn-ack,actions=drop",
        "add-flow priority=13,sctp,tp_src=5,actions=write_metadata:0x5/0xff,ALL",
        "dump-flows", "dump-flows table=1", "dump-aggregate table=0", "dump-flows cookie=0x77/-1",
        "mod-flows cookie=0x77/-1,actions=output:3", "dump-flows",
        "del-flows cookie=0x77/-1", "dump-flows", "del-flows table=3", "dump-flows", "del-flows", "dump-flows",
    ].iter().map(|line| line.split(' ').collect()).collect();
    let of_14: Vec<Vec<&str>> = [
        "add-flow importance=7,priority=3,in_port=1,actions=output:2", "dump-flows", "del-flows",
        "--bundle add-flow priority=9,udp,actions=output:1",
        "--bundle add-flows FILE", "dump-flows", "--bundle replace-flows FILE", "dump-flows", "diff-flows FILE",
        "--bundle mod-flows udp,actions=drop", "dump-flows", "--bundle del-flows udp", "dump-flows",
        "--bundle add-flow actions=group:99", "del-flows",
        "dump-table-desc", "mod-table 3 evict", "mod-table 4 vacancy:20,80", "dump-table-desc",
        "mod-table 3 noevict", "mod-table 4 novacancy", "queue-get-config", "queue-stats",
        "add-flow priority=5,tcp,tcp_flags=+syn-ack,actions=drop",
        "add-flow priority=6,reg0=0x5,metadata=7,actions=load:7->NXM_NX_REG3[4..7],move:NXM_NX_REG0[]->NXM_NX_REG2[],resubmit(,5)",
        "dump-flows", "del-flows", "bundle BUNDLE", "dump-flows", "dump-groups", "bundle BAD", "dump-flows", "dump-groups",
        "del-groups", "del-flows",
    ].iter().map(|line| line.split(' ').map(|word| match word {
        "FILE" => path.as_str(),
        "BUNDLE" => bundle.as_str(),
        "BAD" => bad.as_str(),
        word => word,
    }).collect()).collect();
    let of_15: Vec<Vec<&str>> = [
        "add-group group_id=1,type=select,bucket=bucket_id:5,weight:10,output:1,bucket=bucket_id:9,output:2",
        "add-group group_id=2,type=ff,bucket=bucket_id:1,watch_port:1,output:1",
        "dump-groups", "dump-groups 1",
        "insert-buckets group_id=1,command_bucket_id=first,bucket=bucket_id:7,weight:3,output:3",
        "insert-buckets group_id=1,command_bucket_id=5,bucket=bucket_id:8,weight:3,output:3",
        "insert-buckets group_id=1,command_bucket_id=last,bucket=bucket_id:5,output:3",
        "insert-buckets group_id=1,command_bucket_id=77,bucket=bucket_id:11,output:3",
        "insert-buckets group_id=1,command_bucket_id=last,bucket=bucket_id:12,output:3", "dump-groups",
        "remove-buckets group_id=1,command_bucket_id=5", "remove-buckets group_id=1,command_bucket_id=5",
        "remove-buckets group_id=1,command_bucket_id=first", "remove-buckets group_id=1,command_bucket_id=last", "dump-groups",
        "dump-group-stats", "remove-buckets group_id=1,command_bucket_id=all", "dump-groups",
        "insert-buckets group_id=99,command_bucket_id=last,bucket=bucket_id:1,output:3", "del-groups",
        "add-flow priority=2,in_port=1,actions=set_field:02:00:00:00:00:09/ff:ff:00:00:00:ff->eth_src,output:2",
        "add-flow priority=3,ip,actions=move:NXM_OF_IP_SRC[0..15]->NXM_OF_IP_DST[16..31],output:2",
        "add-flow priority=4,in_port=2,actions=set_field:0x5->reg1,set_field:0x7->xreg2,output:1",
        "add-flow priority=5,xreg1=0x77,packet_type=(0,0),actions=drop",
        "add-meter meter=3,pktps,band=type=drop,rate=100",
        "add-flow priority=6,in_port=3,actions=meter:3,output:1", "dump-flows", "meter-stats", "del-meters", "dump-flows", "del-flows",
    ].iter().map(|line| line.split(' ').collect()).collect();
    let mut differences = Vec::new();
    let mut used = BTreeSet::new();
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let none: &[Vec<&str>] = &[];
        let more = [
            if version == "OpenFlow10" { &of_10 } else { none },
            if version == "OpenFlow10" { none } else { &of_13 },
            if version < "OpenFlow14" { none } else { &of_14 },
            if version < "OpenFlow15" { none } else { &of_15 },
        ];
        for words in both_versions.iter().chain(more.into_iter().flatten()) {
            let said = both.say(version, words);
            let [ours, theirs] = said.each_ref().map(|said| settled(version, said, &mut used));
            let only = |these: &[String], those: &[String]| {
                let mut rest = those.to_vec();
                let only = these.iter().filter(|line| match rest.iter().position(|other| other == *line) {
                    Some(at) => {
                        rest.remove(at);
                        false
                    }
                    None => true,
                });
                only.fold(String::new(), |text, line| format!("{text}\n    {line}"))
            };
            let (mine, yours) = (only(&ours, &theirs), only(&theirs, &ours));
            let differs = !mine.is_empty() || !yours.is_empty();
            let line = words.join(" ");
            if let Some((_, _, why)) = OTHERWISE
                .iter()
                .find(|(begin, of, _)| line.starts_with(begin) && (version == *of || of.is_empty()))
            {
                if !differs {
                    differences
                        .push(format!("{version} {line} is the same, and not different because {why}"));
                }
            } else if differs {
                differences.push(format!("{version} {line}\n  ours{mine}\n  theirs{yours}"));
            }
        }
    }
    for path in [&path, &bundle, &bad] {
        fs::remove_file(path).unwrap();
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    let idle: Vec<_> = (0..EXPLAINED.len()).filter(|n| !used.contains(n)).map(|n| EXPLAINED[n]).collect();
    assert!(idle.is_empty(), "explained, but not different: {idle:?}");
}

/// Says what happens to both while `ovs-ofctl monitor` listens, and compares what it heard.
#[test]
fn what_a_monitor_hears_is_the_same() {
    let both = Both::new();
    let management = both.vswitch.management("br1");
    let happens: Vec<Vec<&str>> = [
        "add-flow send_flow_rem,cookie=0x5,priority=9,arp,actions=CONTROLLER",
        "add-flow priority=8,ip,actions=dec_ttl,output:2",
        "add-flow table=3,send_flow_rem,priority=7,udp,actions=drop",
        "mod-flows ip,actions=output:3",
        "mod-port 2 no-forward",
        "packet-out in_port=3,packet=ffffffffffff0200000000010806000108000604000102000000000109090901000000000000090909020000,actions=CONTROLLER",
        "packet-out in_port=2,packet=ffffffffffff0200000000010806000108000604000102000000000109090901000000000000090909020000,actions=TABLE",
        "--strict del-flows priority=8,ip",
        "mod-port 2 forward", "del-flows",
    ].iter().map(|line| line.split(' ').collect()).collect();
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let protocols = format!("--protocols={version}");
        let sides = [(&both.switch, "tcp:127.0.0.1:6653"), (&both.open, management.as_str())];
        let monitors = sides.map(|(space, at)| {
            let control = temp_dir().join(format!("airglow-monitor-{}-{}", space.name(), id()));
            let control = format!("--unixctl={}", control.display());
            // Packets whole; flows, too, that others change.
            space.start("ovs-ofctl", &[&protocols, &control, "monitor", at, "65534", "watch:!own"])
        });
        let heard = |monitor: &Process, what: &str| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !monitor.so_far().contains(what) {
                assert!(Instant::now() < deadline, "{version}: no {what} in {}", monitor.so_far());
                thread::sleep(Duration::from_millis(50));
            }
        };
        // The answer to what it asks at its beginning.
        monitors.iter().for_each(|monitor| heard(monitor, "FLOW_MONITOR reply"));
        // Of a packet-out through the tables a flow's action is the reason from 1.4 on; Open vSwitch says "packet_out".
        let told_alike = |words: &&Vec<&str>| version < "OpenFlow14" || !words.concat().ends_with("TABLE");
        for words in happens.iter().filter(told_alike) {
            let said = both.say(version, words);
            assert!(said.iter().all(Said::success), "{version} {words:?}: {} {}", said[0], said[1]);
        }
        monitors.iter().for_each(|monitor| heard(monitor, "event=DELETED reason=delete table=0 cookie=0x5"));
        thread::sleep(Duration::from_millis(300));
        let [ours, theirs] = monitors.map(|monitor| {
            monitor.signal("TERM");
            let said = monitor.wait(Duration::from_secs(10));
            let mut lines = settled(version, &said, &mut BTreeSet::new());
            lines.retain(|line| !line.contains("fatal_signal"));
            // How updates are put together into messages is either one's own matter.
            lines.dedup_by(|a, b| a == b && a.contains("FLOW_MONITOR reply"));
            lines
        });
        assert!(ours.len() > 15, "{ours:#?}");
        assert_eq!(ours, theirs, "{version}");
    }
}
