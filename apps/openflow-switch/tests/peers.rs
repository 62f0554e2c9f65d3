//! The switch as Open vSwitch's own tools see it, with two hosts behind it, in network namespaces.
use airglow_testbed::{Authority, Namespace, Process, Said, program, veth};
use std::{fs, process::id, thread, time::Duration};

/// `ovs-testcontroller` 3.1 writes packet-outs of 1.5 that Open vSwitch cannot read either (`OFPBMC_BAD_MASK`).
const OF13: &str = "--protocols=OpenFlow13";
const SWITCH: &str = "tcp:127.0.0.1:6653";

/// Two hosts, 10.9.0.1 and 10.9.0.2, at ports 1 and 2 of a switch.
struct Network {
    hosts: [Namespace; 2],
    switch: Namespace,
    _process: Process,
}

impl Network {
    fn new(words: &[&str]) -> Self {
        let switch = Namespace::new("switch");
        let hosts = ["h1", "h2"].map(Namespace::new);
        for (index, host) in hosts.iter().enumerate() {
            let number = index + 1;
            let (inside, port) = ("e0", format!("p{number}"));
            veth(host, inside, &switch, &port);
            host.address(inside, &format!("10.9.0.{number}/24"));
        }
        let program = program("airglow-openflow-switch", "dev").display().to_string();
        let mut process = switch.start(&program, &[&["ports=p1,p2"][..], words].concat());
        process.wait_for("datapath", Duration::from_secs(10));
        Self { hosts, switch, _process: process }
    }

    fn ofctl(&self, version: &str, words: &[&str]) -> Said {
        let version = format!("--protocols={version}");
        self.switch.run("ovs-ofctl", &[&[version.as_str(), "--timeout=10"], words].concat())
    }

    /// What `ovs-ofctl` says, without the lines of times.
    fn said(&self, version: &str, words: &[&str]) -> String {
        let said = self.ofctl(version, words);
        assert!(said.success() && said.stderr.is_empty(), "{said}");
        said.stdout
    }

    /// Whether host 1 reaches host 2, be it only after its ARP has waited for another try.
    fn reaches(&self) -> bool {
        (0..20).any(|_| {
            self.ping() || {
                thread::sleep(Duration::from_millis(300));
                false
            }
        })
    }

    fn ping(&self) -> bool {
        self.hosts[0].run("ping", &["-c", "2", "-i", "0.2", "-W", "2", "10.9.0.2"]).success()
    }
}

fn listening() -> Network {
    let network = Network::new(&["listen=127.0.0.1:6653"]);
    thread::sleep(Duration::from_millis(200));
    network
}

#[test]
fn ovs_ofctl_drives_the_switch_in_both_versions() {
    let network = listening();
    assert!(!network.ping(), "fail-secure: no flow, no frame");
    for (version, mark) in [("OpenFlow10", ""), ("OpenFlow13", " (OF1.3)")] {
        let said = |words: &[&str]| network.said(version, words);
        let shown = said(&["show", SWITCH]);
        assert!(shown.contains("n_tables:254, n_buffers:256") && shown.contains(" 1(p1): addr:"), "{shown}");
        for flow in ["priority=10,in_port=1,actions=output:2", "priority=10,in_port=2,actions=output:1"] {
            said(&["add-flow", SWITCH, flow]);
        }
        assert!(network.reaches());
        let flows = said(&["dump-flows", SWITCH]);
        assert!(flows.contains(&format!("ST_FLOW reply{mark}")), "{flows}");
        assert_eq!(flows.matches("priority=10,in_port=").count(), 2, "{flows}");
        assert!(!flows.contains("n_packets=0,"), "{flows}");
        assert!(said(&["dump-aggregate", SWITCH]).contains("flow_count=2"));
        assert!(said(&["dump-ports", SWITCH]).contains("2 ports"));
        assert!(said(&["dump-tables", SWITCH]).contains("active=2"));
        assert!(said(&["dump-desc", SWITCH]).contains("Manufacturer: airglow"));
        assert!(said(&["queue-stats", SWITCH]).contains("0 queues"));
        said(&["probe", SWITCH]);
        said(&["mod-port", SWITCH, "1", "no-forward"]);
        assert!(said(&["show", SWITCH]).contains("config:     NO_FWD"));
        assert!(!network.ping());
        said(&["mod-port", SWITCH, "1", "forward"]);
        said(&["mod-flows", SWITCH, "in_port=1,actions=drop"]);
        assert!(!network.ping());
        said(&["del-flows", SWITCH]);
        assert_eq!(said(&["dump-flows", SWITCH]).lines().count(), 1);
    }
}

#[test]
fn tables_groups_and_meters_of_1_3() {
    let network = listening();
    let said = |words: &[&str]| network.said("OpenFlow13", words);
    said(&[
        "add-group",
        SWITCH,
        "group_id=1,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:1,output:1",
    ]);
    said(&["add-meter", SWITCH, "meter=3,pktps,band=type=drop,rate=100000"]);
    for flow in [
        "table=0,priority=5,ip,nw_dst=10.9.0.2,actions=meter:3,dec_ttl,mod_nw_tos:184,write_metadata:0x5/0xff,goto_table:1",
        "table=1,metadata=0x5/0xff,actions=group:1",
        "table=0,priority=5,ip,nw_dst=10.9.0.1,actions=write_actions(output:1)",
        "table=0,priority=5,arp,actions=FLOOD",
    ] {
        said(&["add-flow", SWITCH, flow]);
    }
    assert!(network.reaches());
    assert!(
        said(&["dump-groups", SWITCH]).contains("group_id=1,type=ff,bucket=watch_port:2,actions=output:2")
    );
    assert!(
        !said(&["dump-group-stats", SWITCH]).contains(",packet_count=0,byte_count=0,bucket0:packet_count=0")
    );
    assert!(said(&["dump-meters", SWITCH]).contains("meter=3 pktps bands="));
    assert!(said(&["meter-stats", SWITCH]).contains("flow_count:1"));
    assert!(said(&["dump-table-features", SWITCH]).contains("tables 1...252: ditto"));
    // What the hosts see: the first packet's TTL is one less.
    let ping = network.hosts[1].run("ping", &["-c", "1", "-W", "2", "10.9.0.1"]);
    assert!(ping.success(), "{ping}");
    let file = std::env::temp_dir().join(format!("airglow-flows-{}", id()));
    fs::write(&file, "priority=1,in_port=1,actions=2\npriority=2,udp,actions=drop\n").unwrap();
    let path = file.display().to_string();
    said(&["replace-flows", SWITCH, &path]);
    assert_eq!(said(&["diff-flows", SWITCH, &path]), "");
    fs::remove_file(file).unwrap();
    for (words, error) in [
        (["add-flow", SWITCH, "actions=group:77"], "OFPBAC_BAD_OUT_GROUP"),
        (["add-flow", SWITCH, "actions=meter:77"], "OFPMMFC_INVALID_METER"),
        (["add-group", SWITCH, "group_id=1,type=all"], "OFPGMFC_GROUP_EXISTS"),
        (["add-flow", SWITCH, "check_overlap,priority=1,in_port=1,actions=drop"], ""),
        (["add-flow", SWITCH, "check_overlap,priority=2,udp,in_port=1,actions=drop"], "OFPFMFC_OVERLAP"),
    ] {
        let said = network.ofctl("OpenFlow13", &words);
        assert!(said.stderr.contains(error) && said.success() == error.is_empty(), "{words:?}: {said}");
    }
}

#[test]
fn a_learning_controller_teaches_the_switch() {
    let network = Network::new(&["controller=tcp:127.0.0.1:6653"]);
    // The controller comes later than the switch, which goes on trying.
    let mut controller =
        network.switch.start("ovs-testcontroller", &[OF13, "--unixctl=none", "ptcp:6653:127.0.0.1"]);
    assert!(network.reaches() && controller.runs(), "{}", controller.so_far());
}

#[test]
fn over_tls_with_open_vswitch_s_programs() {
    let space = Namespace::new("certificates");
    let site = Authority::new(&space, &["switch", "other"]);
    let ours = site.ours("switch");
    let words: Vec<&str> = ours.iter().map(String::as_str).collect();
    let network = Network::new(&[&["listen=ssl:127.0.0.1:6653"][..], &words].concat());
    thread::sleep(Duration::from_millis(300));
    let theirs = site.theirs("other");
    let ofctl = |options: &[String]| {
        let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
        all.extend(["--protocols=OpenFlow15", "--timeout=10", "show", "ssl:127.0.0.1:6653"]);
        network.switch.run("ovs-ofctl", &all)
    };
    let said = ofctl(&theirs);
    assert!(said.success() && said.stdout.contains(" 1(p1): addr:"), "{said}");
    // One whom another authority has signed is not let in.
    let stranger = Authority::new(&network.switch, &["other"]);
    let mut options = stranger.theirs("other");
    options[2].clone_from(&theirs[2]);
    assert!(!ofctl(&options).success());
    // The other way round: the switch connects, and the controller is Open vSwitch's.
    drop(network);
    let network = Network::new(&[&["controller=ssl:127.0.0.1:6653"][..], &words].concat());
    let mut all: Vec<&str> = theirs.iter().map(String::as_str).collect();
    all.extend([OF13, "--unixctl=none", "pssl:6653:127.0.0.1"]);
    let mut controller = network.switch.start("ovs-testcontroller", &all);
    assert!(network.reaches() && controller.runs(), "{}", controller.so_far());
}

/// Wireshark's dissector reads what the switch said, to the last octet, as it was meant.
#[test]
fn tshark_agrees() {
    let network = listening();
    let file = std::env::temp_dir().join(format!("airglow-openflow-{}.pcapng", id()));
    let path = file.display().to_string();
    let capture = ["-q", "-i", "lo", "-f", "tcp port 6653", "-w", &path];
    let mut tshark = network.switch.start("tshark", &capture);
    tshark.wait_for("Capture started", Duration::from_secs(20));
    for version in ["OpenFlow10", "OpenFlow13"] {
        let flow = "cookie=0x77,idle_timeout=61,hard_timeout=62,priority=63,tcp,tp_dst=80,actions=mod_nw_dst:10.1.1.1,output:2";
        network.said(version, &["add-flow", SWITCH, flow]);
        let mut commands =
            vec!["show", "dump-desc", "dump-tables", "dump-ports", "dump-flows", "dump-aggregate"];
        if version == "OpenFlow13" {
            network.said(version, &["add-group", SWITCH, "group_id=5,type=select,bucket=weight:3,output:1"]);
            network.said(version, &["add-meter", SWITCH, "meter=6,kbps,band=type=drop,rate=77"]);
            commands.extend([
                "dump-ports-desc",
                "dump-groups",
                "dump-group-stats",
                "dump-meters",
                "meter-stats",
            ]);
            commands.extend(["dump-group-features", "meter-features", "dump-table-features"]);
        }
        for command in commands {
            network.said(version, &[command, SWITCH]);
        }
        assert!(!network.ofctl(version, &["add-flow", SWITCH, "actions=output:99999"]).success());
        network.said(version, &["del-flows", SWITCH]);
    }
    thread::sleep(Duration::from_millis(500));
    tshark.signal("INT");
    let said = tshark.wait(Duration::from_secs(20));
    assert!(said.success(), "{said}");
    let read = |fields: &[&str]| {
        let mut words = vec!["-r", &path, "-d", "tcp.port==6653,openflow", "-T", "fields", "-Y"];
        words.push("tcp.srcport == 6653 && (openflow_v1 || openflow_v4)");
        fields.iter().for_each(|field| words.extend(["-e", field]));
        let said = network.switch.run("tshark", &words);
        assert!(said.success(), "{said}");
        said.stdout
    };
    // Nothing malformed; what Wireshark has no dissector for it says, and TCP is not the matter here.
    let silent =
        |line: &&str| ["Message data not dissected yet", "TCP window"].iter().any(|of| line.contains(of));
    let remarks = read(&["_ws.malformed", "_ws.expert.message"]);
    let faults: Vec<&str> =
        remarks.lines().map(str::trim).filter(|line| !line.is_empty() && !silent(line)).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let one_of = |text: &str, values: &str| text.split_whitespace().any(|word| word == values);
    for (field, value) in [
        ("openflow_v4.flow_stats.priority", "63"),
        ("openflow_v4.flow_stats.idle_timeout", "61"),
        ("openflow_v4.flow_stats.hard_timeout", "62"),
        ("openflow_v4.bucket.weight", "3"),
        ("openflow_v4.meter_band.rate", "77"),
        ("openflow.n_tables", "254"),
        ("openflow.port_name", "p1,p2"),
    ] {
        let said = read(&[field]);
        assert!(one_of(&said, value), "{field}: {said}");
    }
    fs::remove_file(file).unwrap();
}
