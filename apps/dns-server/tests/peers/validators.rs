//! Signed zones as validators see them when they ask our server: DNSViz and delv.
use super::{CHAINS, replication::appliance, zone};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use std::{fs, process::Command, time::Duration};

/// All that is here is within the zone: DNSViz asks the name servers and mail exchangers of others too.
const TEXT: &str = "$TTL 3600\n@ SOA ns1 admin 1 86400 7200 2419200 300\n@ NS ns1\nns1 A 127.0.0.1\n@ MX 10 web\n@ TXT text\n\
    web A 192.0.2.1\nwww CNAME web\n*.wild A 192.0.2.2\na.b.ent A 192.0.2.3\nold DNAME web\nchild NS ns.child\nns.child A 192.0.2.4\n";

fn run(program: &str, words: &[&str]) -> String {
    let said = Process::start(Command::new(program).args(words)).wait(Duration::from_secs(60));
    assert!(said.success(), "{said}");
    said.stdout
}

/// What DNSViz finds wrong with `names` of a zone on `port`, and how many signatures and proofs it finds right.
fn dnsviz(folder: &Folder, origin: &str, port: u16, names: &[String]) -> (String, usize) {
    let file = folder.path().join(format!("{origin}.json")).display().to_string();
    let server = format!("{origin}+:ns1.{origin}=127.0.0.1:{port}");
    let probe = ["probe", "-A", "-d", "0", "-x", &server, "-o", &file];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run("dnsviz", &[&probe[..], &names].concat());
    let wrong = run("dnsviz", &[&["grok", "-r", &file, "-l", "warning"][..], &names].concat());
    let all = run("dnsviz", &[&["grok", "-r", &file, "-l", "info"][..], &names].concat());
    (wrong, all.matches("\"VALID\"").count())
}

#[test]
fn dnsviz_and_delv_find_signed_zones_right() {
    let folder = Folder::new("validators");
    let signed = CHAINS.map(|(origin, options)| zone(&folder, origin, TEXT, Some(options)));
    std::thread::scope(|scope| {
        for zone in &signed {
            let folder = &folder;
            scope.spawn(move || {
                let origin = &zone.origin;
                let path = folder.path().join(origin).display().to_string();
                let _ = fs::hard_link(&zone.file, &path);
                let port = free_port();
                let _airglow = appliance(port, &[format!("zone={path}")]);
                let names = ["", "www.", "some.name.wild."];
                let names = names.map(|name| format!("{name}{origin}"));
                let (wrong, right) = dnsviz(folder, origin, port, &names);
                assert!(wrong.trim().is_empty() && right > 20, "{origin}: {right} right, but {wrong}");

                // From the DS of the zone down, each answer and each denial.
                let set = fs::read_to_string(folder.path().join(format!("dsset-{origin}."))).unwrap();
                let (_, ds) = set.lines().next().and_then(|line| line.split_once(" DS ")).unwrap();
                let mut fields = ds.split_whitespace();
                let numbers: Vec<&str> = fields.by_ref().take(3).collect();
                let digest: String = fields.collect();
                let anchor = format!(
                    "trust-anchors {{ \"{origin}\" static-ds {} \"{digest}\"; }};\n",
                    numbers.join(" ")
                );
                let anchors = folder.path().join(format!("{origin}.anchors")).display().to_string();
                fs::write(&anchors, anchor).unwrap();
                let (port, root) = (port.to_string(), format!("+root={origin}"));
                let delv = |name: &str, kind: &str| {
                    let name = format!("{name}.{origin}");
                    run("delv", &["@127.0.0.1", "-p", &port, "-a", &anchors, &root, &name, kind])
                };
                // With opt-out no proof says that there is no unsigned delegation nearer by (RFC 5155 section 9.2).
                let open = origin == "optout.example";
                for (name, kind, expected) in [
                    ("web", "A", "; fully validated"),
                    ("www", "AAAA", "; fully validated"),
                    ("some.name.wild", "A", if open { "; unsigned answer" } else { "; fully validated" }),
                    ("web", "MX", "; negative response, fully validated"),
                    ("no.such.name", "A", "; negative response, fully validated"),
                    ("b.ent", "A", "; negative response, fully validated"),
                ] {
                    let said = delv(name, kind);
                    assert!(said.contains(expected), "{name}.{origin} {kind}: {said}");
                }
            });
        }
    });

    // A signature with one letter changed is found, so what is not found is not there.
    let text = fs::read_to_string(&signed[0].file).unwrap();
    let line = text.lines().find(|line| line.starts_with("web.") && line.contains("RRSIG\tA "));
    let line = line.expect("the signature of web's addresses");
    let at = line.len() - 20;
    let other = if line[at..].starts_with('A') { "B" } else { "A" };
    let broken = text.replace(line, &format!("{}{other}{}", &line[..at], &line[at + 1..]));
    assert_ne!(text, broken);
    let apart = Folder::new("validators-broken");
    let origin = &signed[0].origin;
    apart.write(origin, &broken);
    let port = free_port();
    let _airglow = appliance(port, &[format!("zone={}", apart.path().join(origin).display())]);
    let (wrong, _) = dnsviz(&apart, origin, port, &[format!("web.{origin}")]);
    assert!(wrong.contains("SIGNATURE_INVALID") || wrong.contains("\"errors\""), "{wrong}");
}
