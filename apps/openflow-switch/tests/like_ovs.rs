//! What `ovs-ofctl` says of our switch, line by line beside what it says of Open vSwitch's own after the same commands.
use airglow_testbed::{Namespace, OpenVswitch, Process, Said, program};
use std::{collections::BTreeSet, env::temp_dir, fs, process::id, time::Duration};

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
    ("Capabilities:", "groups that lead to groups are checked for loops"),
    ("state:      LINK_DOWN", "a port that is taken down by `mod-port` does not take its device's link down"),
    ("state:      0", "likewise"),
];

/// Commands whose answers differ for a reason: how they begin, in which version, and the reason.
const OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "del-flows cookie=",
        "OpenFlow10",
        "cookies pick flows by a Nicira extension of 1.0, which is not there",
    ),
    ("add-flow table=77", "OpenFlow10", "tables but the first: likewise"),
    ("add-flow table=254", "OpenFlow10", "likewise"),
    (
        "add-flow table=254",
        "OpenFlow13",
        "Open vSwitch keeps one more table for itself and refuses to change it",
    ),
    ("add-flow priority=1,in_port=1,actions=enqueue", "OpenFlow13", "ends with a Nicira action, pop_queue"),
    ("dump-table-features", "OpenFlow13", "Open vSwitch has fields and actions of its own"),
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
        vswitch.bridge("br1", &ports, "OpenFlow10,OpenFlow13", &more);
        Self { switch, open, vswitch, _process: process }
    }

    /// What both say.
    fn say(&self, version: &str, words: &[&str]) -> [Said; 2] {
        let version = format!("--protocols={version}");
        let management = self.vswitch.management("br1");
        [(&self.switch, "tcp:127.0.0.1:6653"), (&self.open, &management)].map(|(space, at)| {
            let mut all = vec![version.as_str(), "--timeout=10", words[0], at];
            all.extend(&words[1..]);
            space.run("ovs-ofctl", &all)
        })
    }
}

/// What is said of the port LOCAL is left out, too: Open vSwitch is also an interface of its host, below our switch there is none.
/// The lines in order of the alphabet, without what differs from run to run and what is explained.
fn settled(said: &Said, used: &mut BTreeSet<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut local = false;
    for line in said.stdout.lines().chain(said.stderr.lines()) {
        let mut line = line.replace("NXST_", "OFPST_").replace(" (OF1.3)", "");
        for (mark, end) in [
            ("xid=", ")"),
            ("duration=", "s"),
            ("duration:", "s"),
            ("addr:", "\n"),
            ("dpid:", "\n"),
            ("idle_age=", " "),
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
    let both_versions: Vec<Vec<&str>> = [
        "show", "dump-desc", "dump-tables", "dump-ports", "dump-ports-desc", "get-frags", "queue-stats", "probe",
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
    let mut differences = Vec::new();
    let mut used = BTreeSet::new();
    for version in ["OpenFlow10", "OpenFlow13"] {
        let more: &[Vec<&str>] = if version == "OpenFlow13" { &of_13 } else { &[] };
        for words in both_versions.iter().chain(more) {
            let said = both.say(version, words);
            let [ours, theirs] = said.each_ref().map(|said| settled(said, &mut used));
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
            if let Some((_, _, why)) =
                OTHERWISE.iter().find(|(begin, of, _)| line.starts_with(begin) && version == *of)
            {
                assert!(differs, "{version} {line} is the same, and not different because {why}");
            } else if differs {
                differences.push(format!("{version} {line}\n  ours{mine}\n  theirs{yours}"));
            }
        }
    }
    fs::remove_file(file).unwrap();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    let idle: Vec<_> = (0..EXPLAINED.len()).filter(|n| !used.contains(n)).map(|n| EXPLAINED[n]).collect();
    assert!(idle.is_empty(), "explained, but not different: {idle:?}");
}
