//! nmap looks at the website's machine in every way it knows: it finds the ports as they are, and nothing that it sends does harm. Needs root,
//! iproute2, curl and nmap: `cargo airglow test peers`.
use airglow_testbed::{Namespace, Process, Said, veth};
use std::time::Duration;

const WEBSITE: &str = env!("CARGO_BIN_EXE_airglow-website");
const LIMIT: Duration = Duration::from_secs(100);

struct Network {
    client: Namespace,
    _server: Namespace,
    website: Process,
}

fn network() -> Network {
    let (client, server) = (Namespace::new("nmap"), Namespace::new("website"));
    veth(&client, "c0", &server, "s0");
    client.address("c0", "10.0.0.1/24");
    client.address("c0", "fd00::1/64");
    server.silence("s0");
    let words = ["net=packet", "device=s0", "ipv4=10.0.0.2/24", "ipv6=fd00::2/64", "log=debug"];
    let mut website = server.start(WEBSITE, &words);
    website.wait_for("http://", Duration::from_secs(10));
    let network = Network { client, _server: server, website };
    for to in ["10.0.0.2", "fd00::2"] {
        let said = network.client.run("ping", &["-c", "1", "-i", "0.2", "-w", "10", to]);
        assert!(said.success(), "{said}");
    }
    network
}

impl Network {
    fn nmap(&self, words: &str) -> Said {
        let words: Vec<_> = ["-n", "-Pn", "--max-retries", "3"].into_iter().chain(words.split(' ')).collect();
        let said = self.client.run_for(LIMIT, "nmap", &words);
        assert!(said.success() && !said.stderr.contains("QUITTING"), "{said}");
        said
    }
}

/// The lines of a scan that tell of ports, such as `80/tcp open http`, and what is said of all others.
fn ports(said: &Said) -> Vec<String> {
    let line = |line: &str| {
        let port = line.split_once('/').is_some_and(|(port, _)| port.parse::<u16>().is_ok());
        (port || line.starts_with("Not shown: ") || line.starts_with("All "))
            .then(|| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    said.stdout.lines().filter_map(line).collect()
}

#[test]
fn every_scan_sees_the_ports_as_they_are() {
    let mut network = network();
    let before = network.website.memory();
    for to in ["10.0.0.2", "-6 fd00::2"] {
        // Without ports in the words: the thousand that are used most, of which one is open.
        for (scan, others, open) in [
            // A SYN is answered with SYN,ACK or a reset (RFC 9293 sections 3.10.7.1 and 3.10.7.2).
            ("-sS", "999 closed tcp ports (reset)", "80/tcp open http"),
            ("-sT", "999 closed tcp ports (conn-refused)", "80/tcp open http"),
            // What has neither SYN, ACK nor RST a listener drops, and a closed port resets.
            ("-sN", "999 closed tcp ports (reset)", "80/tcp open|filtered http"),
            ("-sF", "999 closed tcp ports (reset)", "80/tcp open|filtered http"),
            ("-sX", "999 closed tcp ports (reset)", "80/tcp open|filtered http"),
        ] {
            let said = network.nmap(&format!("{scan} {to}"));
            assert_eq!(
                ports(&said),
                [format!("Not shown: {others}"), open.to_owned()],
                "{scan} {to}: {said}"
            );
        }
        // An acknowledgment of nothing is reset by both (section 3.10.7.2): none is filtered.
        let said = network.nmap(&format!("-sA {to}"));
        assert!(ports(&said).iter().any(|line| line.contains("unfiltered tcp ports (reset)")), "{said}");
        // Port unreachable, as many as the limit lets through.
        let said = network.nmap(&format!("-sU -p 1,7,53,67,123,161 {to}"));
        assert!(ports(&said).iter().filter(|line| line.contains("/udp closed")).count() >= 5, "{said}");
    }
    let said = network.nmap("-sO -p 1,6,17,132,253 10.0.0.2");
    for line in ["1 open icmp", "6 open tcp", "17 open udp", "132 closed sctp"] {
        let told = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ") == line;
        assert!(said.stdout.lines().any(told), "{line}: {said}");
    }
    let said = network.nmap("-sV -p 80 10.0.0.2");
    assert!(ports(&said).iter().any(|line| line.starts_with("80/tcp open http")), "{said}");
    for to in ["10.0.0.2", "-6 fd00::2"] {
        let said = network.nmap(&format!("-O --osscan-guess -p 80,81 {to}"));
        let guess = |line: &&str| {
            ["OS", "Aggressive", "Running", "No exact", "Network Distance"]
                .iter()
                .any(|w| line.starts_with(w))
        };
        let guesses: Vec<_> = said.stdout.lines().filter(guess).collect();
        println!("nmap's guess of {to}: {}", guesses.join("; "));
        assert!(ports(&said).iter().any(|line| line == "80/tcp open http"), "{said}");
    }
    // Damaged on purpose, in fragments, from a port that a filter might trust, with decoys; bad checksums are never answered.
    for (words, expected) in [
        ("-sS -f -p 80,81 10.0.0.2", "80/tcp open http"),
        ("-sS --mtu 16 -p 80,81 10.0.0.2", "80/tcp open http"),
        ("-sS -g 53 --data-length 40 -p 80,81 10.0.0.2", "80/tcp open http"),
        ("-sS -D 10.0.0.7,10.0.0.8,ME -p 80,81 10.0.0.2", "80/tcp open http"),
        ("-sS --ip-options R -p 80,81 10.0.0.2", "80/tcp open http"),
        ("-sS --badsum --max-retries 1 -p 80,81 10.0.0.2", "80/tcp filtered http"),
    ] {
        let said = network.nmap(words);
        assert!(ports(&said).iter().any(|line| line == expected), "{words}: {said}");
    }
    // After all that it serves as before.
    for to in ["http://10.0.0.2/", "http://[fd00::2]/"] {
        let said = network.client.run("curl", &["-s", "--max-time", "10", to]);
        assert!(said.stdout.contains("</html>"), "{said}");
    }
    assert!(network.website.runs());
    let after = network.website.memory();
    println!("memory {before} before, {after} after");
    assert!(after < before + (4 << 20), "memory grew from {before} to {after}");
    network.website.signal("TERM");
    let said = network.website.wait(Duration::from_secs(10));
    assert!(said.success(), "{said}");
    for counted in [
        "no_connection",
        "no_port",
        "bad_checksum",
        "unknown_protocol",
        "reassembled",
        "resets_sent",
        "resets_received",
    ] {
        let none = format!(" {counted}: 0,");
        assert!(
            said.stderr.contains(&format!(" {counted}: ")) && !said.stderr.contains(&none),
            "{counted}: {said}"
        );
    }
}
