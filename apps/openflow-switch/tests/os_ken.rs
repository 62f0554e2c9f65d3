//! The switch under os-ken's example controllers, with hosts behind it, in network namespaces.
use airglow_testbed::{Namespace, OsKen, Process, program, veth};
use std::{
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(40);

/// Two switches with a link between them, port 2 to port 2, and a host at port 1 of each.
struct Network {
    hosts: [Namespace; 2],
    middle: Namespace,
    _switches: [Process; 2],
}

impl Network {
    fn new() -> Self {
        let middle = Namespace::new("middle");
        middle.ip("link add l1 type veth peer name l2");
        let hosts = [1, 2].map(|number| {
            let host = Namespace::new(&format!("h{number}"));
            veth(&host, "e0", &middle, &format!("p{number}"));
            host.address("e0", &format!("10.9.0.{number}/24"));
            host
        });
        ["p1", "p2", "l1", "l2"].iter().for_each(|port| middle.silence(port));
        let _switches = [1, 2].map(|number| {
            let ports = format!("ports=p{number},l{number}");
            let words = [&ports, "controller=tcp:127.0.0.1:6653", &format!("datapath={number}")];
            middle.start(program("airglow-openflow-switch", "dev"), &words)
        });
        Self { hosts, middle, _switches }
    }

    fn controller(&self, ken: &OsKen, applications: &[&str]) -> Process {
        let words = ken.words(6653, applications);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.middle.start(words[0], &words[1..])
    }

    fn ping(&self, count: &str) -> bool {
        self.hosts[0].run("ping", &["-c", count, "-i", "0.2", "-W", "2", "10.9.0.2"]).success()
    }
}

fn until(controller: &Process, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "{}", controller.so_far());
        thread::sleep(Duration::from_millis(300));
    }
}

/// Learning switches of OpenFlow 1.0 and 1.3.
#[test]
fn simple_switch_and_simple_switch_13() {
    let ken = OsKen::fetch();
    for application in ["simple_switch", "simple_switch_13"] {
        let network = Network::new();
        assert!(!network.ping("1"), "no controller, no flow, no frame");
        let controller = network.controller(&ken, &[&format!("os_ken.app.{application}")]);
        until(&controller, || network.ping("2"));
        assert!(network.ping("5"), "{}", controller.so_far());
        drop(controller);
        assert!(network.ping("5"), "{application}: what it taught went with it");
    }
}

/// The topology as its REST interface tells it: both switches, both directions of the link, both hosts.
#[test]
fn rest_topology() {
    let (network, ken) = (Network::new(), OsKen::fetch());
    let applications = ["os_ken.app.simple_switch_13", "os_ken.app.rest_topology", "--observe-links"];
    let controller = network.controller(&ken, &applications);
    until(&controller, || network.ping("2"));
    let ask = |what: &str| {
        let address = format!("http://127.0.0.1:8080/v1.0/topology/{what}");
        network.middle.run("curl", &["--silent", "--fail", &address]).stdout
    };
    let both = |text: &str, word: &str| [1, 2].iter().all(|n| text.contains(&format!("{word}{n}\"")));
    until(&controller, || {
        let (switches, links, hosts) = (ask("switches"), ask("links"), ask("hosts"));
        both(&switches, "\"dpid\": \"000000000000000")
            && both(&switches, "\"name\": \"l")
            && links.matches("\"src\"").count() == 2
            && hosts.matches("\"mac\"").count() == 2
            && both(&hosts, "\"name\": \"p")
    });
}
