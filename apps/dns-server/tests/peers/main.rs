//! The appliance beside BIND, NSD and Knot: the same zones, the same questions, and every difference explained.
//!
//! `DNS_QUESTIONS` in the environment sets how many questions are asked (20,000 by default).
mod catalogs;
mod operation;
mod questions;
mod reload;
mod replication;
mod reply;
mod resolver;
mod tls;
mod update;
mod validators;

use airglow_testbed::{
    Process,
    name_servers::{Folder, NameServer, ZoneFile, airglow, airglow_with, bind, free_port, knot, nsd},
    program,
};
use questions::Questions;
use reply::Reply;
use std::{collections::BTreeMap, net::UdpSocket, process::Command, time::Duration};

/// A zone with what is awkward in it. `@ZONE@` is replaced.
const AWKWARD: &str = include_str!("awkward.zone");

/// How many questions are on their way at once.
const WINDOW: usize = 32;

/// Asks `port` all the questions and returns the replies in their order.
fn ask(port: u16, questions: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut replies = vec![None; questions.len()];
    let mut buffer = [0; 4096];
    for (batch, window) in questions.chunks(WINDOW).enumerate() {
        // Some replies (to what is no question) never come; what was lost on the way is asked again.
        for _ in 0..3 {
            let open: Vec<_> =
                (0..window.len()).filter(|at| replies[batch * WINDOW + at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            for at in &open {
                socket.send(&window[*at]).unwrap();
            }
            for _ in &open {
                let Ok(length) = socket.recv(&mut buffer) else { break };
                let id = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
                let at = id % WINDOW;
                if at < window.len() {
                    replies[batch * WINDOW + at] = Some(buffer[..length].to_vec());
                }
            }
        }
    }
    replies
}

/// Asks all servers, compares each peer's replies with ours and returns the unexplained differences, and how often each
/// explanation was used.
fn compare(
    servers: &[NameServer],
    questions: &[Vec<u8>],
    explained: &mut BTreeMap<String, usize>,
) -> Vec<String> {
    let replies: Vec<_> = servers.iter().map(|server| ask(server.port, questions)).collect();
    let mut unexplained = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let ours = Reply::read(replies[0][number].as_deref());
        for (server, replies) in servers.iter().zip(&replies).skip(1) {
            let theirs = Reply::read(replies[number].as_deref());
            match ours.difference(&theirs, server.name) {
                None => {}
                Some(reply::Difference::Explained(why)) => {
                    *explained.entry(format!("{}: {why}", server.name)).or_default() += 1;
                }
                Some(reply::Difference::Not) => unexplained.push(format!(
                    "{}\n  airglow: {ours}\n  {}: {theirs}",
                    reply::question(question),
                    server.name
                )),
            }
        }
    }
    unexplained
}

/// What `dnssec-signzone` is told for each chain of denial.
const CHAINS: [(&str, &[&str]); 3] = [
    ("nsec.example", &[]),
    ("nsec3.example", &["-3", "aabbccdd", "-H", "1"]),
    ("optout.example", &["-3", "-", "-H", "0", "-A"]),
];

/// The zones: plain, and signed with each chain of denial.
fn zones(folder: &Folder) -> Vec<ZoneFile> {
    let awkward = |origin: &str, signing| zone(folder, origin, &AWKWARD.replace("@ZONE@", origin), signing);
    let mut zones = vec![awkward("plain.example", None)];
    zones.extend(CHAINS.map(|(origin, options)| awkward(origin, Some(options))));
    zones
}

/// A zone of this text, signed if there are options for that.
fn zone(folder: &Folder, origin: &str, text: &str, signing: Option<&[&str]>) -> ZoneFile {
    let run = |program: &str, words: &[&str]| {
        let said = Process::start(Command::new(program).args(words).current_dir(folder.path()));
        let said = said.wait(Duration::from_secs(60));
        assert!(said.success(), "{said}");
    };
    // NSD and Knot know no $GENERATE: all servers get the zone as BIND expands it.
    let file = format!("{origin}.zone");
    let source = format!("{origin}.text");
    folder.write(&source, text);
    run("named-compilezone", &["-q", "-k", "ignore", "-i", "none", "-o", &file, origin, &source]);
    let file = match signing {
        None => file,
        Some(options) => {
            for flags in [&["-f", "KSK"][..], &[]] {
                let words = [&["-q", "-a", "ECDSAP256SHA256"], flags, &[origin]].concat();
                run("dnssec-keygen", &words);
            }
            run("dnssec-signzone", &[&["-S", "-o", origin, "-O", "full"], options, &[&file]].concat());
            format!("{file}.signed")
        }
    };
    ZoneFile { origin: origin.to_owned(), file: folder.path().join(file).display().to_string() }
}

#[test]
fn bind_nsd_and_knot_answer_alike() {
    let count =
        std::env::var("DNS_QUESTIONS").map_or(20_000, |n| n.parse().expect("DNS_QUESTIONS is a number"));
    let folder = Folder::new("differential");
    let zones = zones(&folder);
    let servers = [
        airglow(&program("airglow-dns-server", "dev"), &[], &zones, free_port()),
        nsd(&folder, &[], &zones, free_port()),
        knot(&folder, &[], &zones, free_port()),
        bind(&folder, &[], &zones, free_port()),
    ];
    let mut explained = BTreeMap::new();
    let mut unexplained = Vec::new();
    let mut questions = Questions::new(7, &zones);
    let mut asked = 0;
    while asked < count && unexplained.len() < 20 {
        let batch: Vec<_> = (0..1000.min(count - asked)).map(|at| questions.next(at % WINDOW)).collect();
        asked += batch.len();
        unexplained.extend(compare(&servers, &batch, &mut explained));
    }
    println!("{asked} questions, each to four servers over four zones");
    println!("{:>8}  difference", "replies");
    for (why, times) in &explained {
        println!("{times:>8}  {why}");
    }
    assert!(unexplained.is_empty(), "{} unexplained:\n{}", unexplained.len(), unexplained.join("\n"));
    assert!(servers.into_iter().all(|mut server| server.process.runs()), "a server ended");
}

#[test]
fn cookies_limits_and_lists_as_dig_sees_them() {
    let folder = Folder::new("clients");
    let zones = &zones(&folder)[..1];
    let program = program("airglow-dns-server", "dev");
    let start = |words: &[&str]| airglow_with(&program, &[], zones, free_port(), words);
    let dig = |server: &NameServer, words: &[&str]| {
        let port = server.port.to_string();
        let mut command = Command::new("dig");
        command.args(["@127.0.0.1", "-p", &port, "+tries=1", "+timeout=2", "web.plain.example"]).args(words);
        Process::start(&mut command).wait(Duration::from_secs(20)).stdout
    };
    let server = start(&[]);
    // dig checks that its own half came back, and says so; the whole cookie is then known again.
    for _ in 0..2 {
        let said = dig(&server, &["+cookie=0102030405060708"]);
        assert!(said.contains("COOKIE: 010203040506070801000000") && said.contains("(good)"), "{said}");
    }
    let said = dig(&server, &["+header-only", "+cookie"]);
    assert!(said.contains("status: NOERROR") && said.contains("(good)"), "{said}");
    assert!(dig(&server, &["AXFR"]).contains("Transfer failed"), "no transfers unless allowed");

    let server = start(&["cookies=off", "rrl=1"]);
    // What told that it is up has used this second's reply.
    std::thread::sleep(Duration::from_secs(2));
    let said = dig(&server, &["+cookie", "+ignore"]);
    assert!(said.contains("192.0.2.3") && !said.contains("(good)"), "{said}");
    // Of the replies over the limit one of two says "come back over TCP", and over TCP there is no limit.
    let slips = (0..20).filter(|_| dig(&server, &["+ignore", "+timeout=1"]).contains("flags: qr tc")).count();
    assert!(slips > 4, "{slips} of 20 slipped");
    assert!(dig(&server, &["+tcp"]).contains("192.0.2.3"));

    let server = start(&["allow=127.0.0.1"]);
    assert!(dig(&server, &[]).contains("192.0.2.3"));
    assert!(dig(&server, &["-b", "127.0.0.2"]).contains("EDE: 18 (Prohibited)"));
    assert!(dig(&server, &["-b", "127.0.0.2", "+tcp"]).contains("status: REFUSED"));
}

#[test]
fn signatures_that_dig_and_kdig_make_and_check() {
    let folder = Folder::new("signatures");
    // Large enough for a transfer of several messages, each with a signature.
    let mut text = "$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    for number in 0..3000 {
        text += &format!("host{number} A 192.0.2.{}\n", number % 250);
    }
    folder.write("large.example.zone", &text);
    let file = folder.path().join("large.example.zone").display().to_string();
    let zones = &[ZoneFile { origin: "large.example".into(), file }];
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let other = "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];
    let keys: Vec<_> = algorithms.iter().map(|name| format!("{name}.key:{name}:{secret}")).collect();
    let program = program("airglow-dns-server", "dev");
    let server = airglow_with(
        &program,
        &[],
        zones,
        free_port(),
        &[&format!("key={}", keys.join(",")), "allow=192.0.2.0/24,127.0.0.1"],
    );
    let port = server.port.to_string();
    let ask = |tool: &str, key: &str, words: &[&str]| {
        let mut command = Command::new(tool);
        command.args(["@127.0.0.1", "-p", &port, "-y", key, "+norecurse", &zones[0].origin]).args(words);
        let said = Process::start(&mut command).wait(Duration::from_secs(20));
        format!("{}{}", said.stdout, said.stderr)
    };
    for algorithm in algorithms {
        let good = format!("{algorithm}:{algorithm}.key:{secret}");
        for tool in ["dig", "kdig"] {
            let said = ask(tool, &good, &["SOA"]);
            assert!(said.contains("NOERROR") && said.contains("TSIG"), "{said}");
            assert!(!said.to_lowercase().contains("couldn't verify") && !said.contains("WARNING"), "{said}");
            // Every message of the transfer is checked by the client.
            let said = ask(tool, &good, &["AXFR"]);
            assert!(said.contains("host2999.large.example."), "{said}");
            let lower = said.to_lowercase();
            assert!(
                !["failed", "warning", "couldn't verify"].iter().any(|word| lower.contains(word)),
                "{said}"
            );
            let signatures =
                said.lines().filter(|line| line.contains("TSIG") && line.contains("hmac-sha")).count();
            assert!(tool != "dig" || signatures > 1, "{signatures} signatures");
        }
        // Signed by a key that is allowed, a query from elsewhere is answered.
        assert!(ask("dig", &good, &["SOA", "-b", "127.0.0.2"]).contains("NOERROR"));
        let said = ask("dig", &format!("{algorithm}:{algorithm}.key:{other}"), &["SOA"]);
        assert!(said.contains("NOTAUTH") && said.contains("BADSIG"), "{said}");
        let said = ask("dig", &format!("{algorithm}:nobody.key:{secret}"), &["SOA"]);
        assert!(said.contains("NOTAUTH") && said.contains("BADKEY"), "{said}");
        let said = ask("dig", &format!("{algorithm}:{algorithm}.key:{other}"), &["AXFR"]);
        assert!(said.contains("Transfer failed"), "{said}");
    }
}

#[test]
fn dig_kdig_and_a_transfer() {
    let folder = Folder::new("tools");
    let zones = zones(&folder);
    let server = airglow(&program("airglow-dns-server", "dev"), &[], &zones, free_port());
    let port = server.port.to_string();
    let run = |program: &str, words: &[&str]| {
        let said = Process::start(Command::new(program).args(words)).wait(Duration::from_secs(20));
        assert!(said.success(), "{said}");
        said.stdout
    };
    let dig = run("dig", &["@127.0.0.1", "-p", &port, "+short", "www.plain.example", "A"]);
    assert_eq!(dig, "web.plain.example.\n192.0.2.3\n");
    let kdig = run("kdig", &["@127.0.0.1", "-p", &port, "+short", "+tcp", "web.plain.example", "A"]);
    assert_eq!(kdig, "192.0.2.3\n");
    // What `dig` transfers and BIND's tool compiles is the zone that was loaded.
    for ZoneFile { origin, file } in &zones {
        let axfr = run(
            "dig",
            &["@127.0.0.1", "-p", &port, "+onesoa", "+nocomments", "+nocmd", "+nostats", "AXFR", origin],
        );
        folder.write("transferred", &axfr);
        let canonical = |name: &str| {
            run("named-compilezone", &["-q", "-D", "-k", "ignore", "-i", "none", "-o", "-", origin, name])
        };
        let transferred = canonical(&folder.path().join("transferred").display().to_string());
        assert_eq!(transferred, canonical(file), "{origin}");
    }
}
