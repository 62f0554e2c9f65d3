//! Zones from BIND, NSD, Knot and PowerDNS, and to them: AXFR, IXFR and NOTIFY, all signed.
use airglow_dns::wire::{Builder, Class, Flags, Message, NameBuf, RecordType, Section, rdata};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
    program,
};
use std::{
    collections::BTreeSet,
    fmt::Write,
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const ZONE: &str = "moving.example";
pub const KEY: &str = "move.key";
pub const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The zone's version `serial`. It is refreshed so rarely that only a NOTIFY brings news in time.
fn text(serial: u32) -> String {
    let mut zone = format!(
        "$TTL 3600\n{ZONE}. IN SOA ns.{ZONE}. admin.{ZONE}. {serial} 86400 7200 2419200 300\n{ZONE}. IN NS ns.{ZONE}.\nns.{ZONE}. IN A 192.0.2.1\n\
         changing.{ZONE}. IN TXT \"version {serial}\"\nonly{serial}.{ZONE}. IN MX 10 mail.{ZONE}.\n*.wild.{ZONE}. IN A 192.0.2.9\n"
    );
    for number in 0..400 {
        let _ = writeln!(zone, "host{number}.{ZONE}. IN A 192.0.2.{}", number % 250);
    }
    zone
}

/// The serial that a server on loopback tells.
pub fn serial(port: u16, zone: &str) -> Option<u32> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let apex: NameBuf = zone.parse().unwrap();
    let mut bytes = [0; 512];
    let mut builder = Builder::new(&mut bytes, 7, Flags(0)).unwrap();
    builder.question(apex.as_name(), RecordType::SOA, Class::IN).unwrap();
    let length = builder.finish();
    socket.send(&bytes[..length]).ok()?;
    let length = socket.recv(&mut bytes).ok()?;
    let message = Message::new(&bytes[..length]).ok()?;
    let soa =
        message.records().flatten().find(|r| r.section == Section::Answer && r.rtype == RecordType::SOA)?;
    let mut data = [0; 512];
    let used =
        rdata::from_message(soa.rtype, message.as_bytes(), soa.rdata_offset, soa.rdata.len(), &mut data)
            .ok()?;
    let numbers = data[..used].last_chunk::<20>()?;
    Some(u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]))
}

pub fn wait_for_serial(port: u16, zone: &str, wanted: u32, who: &mut [&mut Process]) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while serial(port, zone) != Some(wanted) {
        if Instant::now() > deadline {
            let said: Vec<_> = who.iter().map(|process| process.so_far()).collect();
            panic!(
                "{zone} on {port} has serial {:?}, not {wanted}:\n{}",
                serial(port, zone),
                said.join("\n---\n")
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The records that a server transfers, sorted.
pub fn transferred(port: u16, zone: &str) -> BTreeSet<String> {
    let port = port.to_string();
    let key = format!("hmac-sha256:{KEY}:{SECRET}");
    let words =
        ["@127.0.0.1", "-p", &port, "-y", &key, "+onesoa", "+nocomments", "+nocmd", "+nostats", "AXFR", zone];
    let said = Process::start(Command::new("dig").args(words)).wait(Duration::from_secs(20));
    let lines = said.stdout.lines().filter(|line| !line.contains("TSIG") && !line.starts_with(';'));
    let records: BTreeSet<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|l| !l.is_empty())
        .collect();
    assert!(records.len() > 3, "{said}");
    records
}

fn run(program: &str, words: &[&str]) {
    let said = Process::start(Command::new(program).args(words)).wait(Duration::from_secs(30));
    assert!(said.success(), "{said}");
}

/// Ours, on `port`, with these boot parameters.
pub fn appliance(port: u16, words: &[String]) -> Process {
    appliance_of("dev", port, words)
}

/// The same in another cargo profile.
pub fn appliance_of(profile: &str, port: u16, words: &[String]) -> Process {
    let mut command = Command::new(program("airglow-dns-server", profile));
    command.arg(format!("port={port}")).arg(format!("key={KEY}:hmac-sha256:{SECRET}")).args(words);
    let mut process = Process::start(&mut command);
    process.wait_for("serving", Duration::from_secs(60));
    process
}

/// A name server that others made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Bind,
    Nsd,
    Knot,
    PowerDns,
}

impl Peer {
    /// Starts it on `port`: as the primary of the zone in the file `zone` that tells `other`, or as its secondary.
    fn start(self, folder: &Folder, port: u16, other: u16, primary: bool) -> Process {
        let here = folder.path().display().to_string();
        match self {
            Self::Bind => {
                let zone = if primary {
                    format!(
                        "type primary; file \"{here}/zone\"; ixfr-from-differences yes; allow-transfer {{ key {KEY}; }}; \
                         notify explicit; notify-delay 0; also-notify {{ 127.0.0.1 port {other} key {KEY}; }};"
                    )
                } else {
                    format!(
                        "type secondary; file \"{here}/copy\"; primaries {{ 127.0.0.1 port {other} key {KEY}; }}; \
                         allow-transfer {{ key {KEY}; }}; notify no;"
                    )
                };
                folder.write(
                    "named.conf",
                    &format!(
                        "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\noptions {{ directory \"{here}\"; \
                         pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; listen-on port {port} {{ 127.0.0.1; }}; \
                         listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\n\
                         zone \"{ZONE}\" {{ {zone} }};\n"
                    ),
                );
                Process::start(Command::new("named").args([
                    "-g",
                    "-n",
                    "1",
                    "-c",
                    &format!("{here}/named.conf"),
                ]))
            }
            Self::Nsd => {
                let zone = if primary {
                    format!(
                        " zonefile: {here}/zone\n notify: 127.0.0.1@{other} {KEY}\n provide-xfr: 127.0.0.1 {KEY}\n store-ixfr: yes\n create-ixfr: yes\n"
                    )
                } else {
                    format!(
                        " zonefile: {here}/copy\n request-xfr: 127.0.0.1@{other} {KEY}\n allow-notify: 127.0.0.1 {KEY}\n provide-xfr: 127.0.0.1 {KEY}\n"
                    )
                };
                folder.write(
                    "nsd.conf",
                    &format!(
                        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n database: \"\"\n pidfile: \"{here}/nsd.pid\"\n \
                         xfrdfile: \"{here}/nsd.xfrd\"\n xfrdir: \"{here}\"\n zonelistfile: \"{here}/nsd.zones\"\n xfrd-reload-timeout: 0\nremote-control:\n control-enable: no\n\
                         key:\n name: {KEY}\n algorithm: hmac-sha256\n secret: \"{SECRET}\"\nzone:\n name: {ZONE}\n{zone}"
                    ),
                );
                Process::start(Command::new("nsd").args(["-d", "-c", &format!("{here}/nsd.conf")]))
            }
            Self::Knot => {
                std::fs::create_dir_all(format!("{here}/knot")).unwrap();
                let zone = if primary {
                    format!(
                        "    file: {here}/zone\n    notify: other\n    zonefile-load: difference\n    zonefile-sync: -1\n"
                    )
                } else {
                    format!("    file: {here}/copy\n    master: other\n    zonefile-sync: -1\n")
                };
                folder.write(
                    "knot.conf",
                    &format!(
                        "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                         database:\n  storage: {here}/knot\nlog:\n  - target: stderr\n    any: info\nkey:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
                         remote:\n  - id: other\n    address: 127.0.0.1@{other}\n    key: {KEY}\nacl:\n  - id: keyed\n    key: {KEY}\n    action: [transfer, notify]\n\
                         zone:\n  - domain: {ZONE}\n    acl: keyed\n    semantic-checks: off\n{zone}"
                    ),
                );
                Process::start(Command::new("knotd").args(["-c", &format!("{here}/knot.conf")]))
            }
            Self::PowerDns => {
                folder.write(
                    "pdns.conf",
                    &format!(
                        "launch=gsqlite3\ngsqlite3-database={here}/pdns.sqlite\nlocal-address=127.0.0.1\nlocal-port={port}\nprimary=yes\nsecondary=yes\n\
                         xfr-cycle-interval=1\nsocket-dir={here}\ndaemon=no\nguardian=no\ndisable-syslog=yes\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n\
                         zone-cache-refresh-interval=0\nsetuid=\nsetgid=\nloglevel=6\nonly-notify=\nallow-notify-from=127.0.0.1\n"
                    ),
                );
                let schema = "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql";
                // The schema comes with the package; Python's standard library speaks SQLite.
                let load = format!(
                    "import sqlite3;sqlite3.connect('{here}/pdns.sqlite').executescript(open('{schema}').read())"
                );
                run("python3", &["-c", &load]);
                let config = format!("--config-dir={here}");
                let tool = |words: &[&str]| run("pdnsutil", &[&[config.as_str()], words].concat());
                tool(&["import-tsig-key", KEY, "hmac-sha256", SECRET]);
                let place = format!("127.0.0.1:{other}");
                if primary {
                    tool(&["load-zone", ZONE, &format!("{here}/zone")]);
                    tool(&["set-kind", ZONE, "primary"]);
                    tool(&["activate-tsig-key", ZONE, KEY, "primary"]);
                    tool(&["set-meta", ZONE, "ALSO-NOTIFY", &place]);
                } else {
                    tool(&["create-secondary-zone", ZONE, &place]);
                    tool(&["activate-tsig-key", ZONE, KEY, "secondary"]);
                    tool(&["set-meta", ZONE, "TSIG-ALLOW-AXFR", KEY]);
                    tool(&["set-meta", ZONE, "IXFR", "1"]);
                }
                Process::start(Command::new("pdns_server").arg(config))
            }
        }
    }

    /// Makes a primary load its zone file again.
    fn reload(self, folder: &Folder, process: &Process) {
        if self == Self::PowerDns {
            let here = folder.path().display();
            run("pdnsutil", &[&format!("--config-dir={here}"), "load-zone", ZONE, &format!("{here}/zone")]);
            run("pdns_control", &[&format!("--config-dir={here}"), "notify", ZONE]);
        } else {
            process.signal("HUP");
        }
    }
}

const PEERS: [Peer; 4] = [Peer::Bind, Peer::Nsd, Peer::Knot, Peer::PowerDns];

#[test]
fn zones_come_from_bind_nsd_knot_and_powerdns() {
    thread::scope(|scope| {
        for peer in PEERS {
            scope.spawn(move || {
                let folder = Folder::new(&format!("primary-{peer:?}"));
                folder.write("zone", &text(1));
                let (theirs, ours) = (free_port(), free_port());
                let mut process = peer.start(&folder, theirs, ours, true);
                let mut airglow = appliance(ours, &[format!("secondary={ZONE}@127.0.0.1:{theirs}@{KEY}")]);
                wait_for_serial(ours, ZONE, 1, &mut [&mut process, &mut airglow]);
                assert_eq!(transferred(ours, ZONE), transferred(theirs, ZONE), "{peer:?}");
                // Files' times are looked at to the second.
                thread::sleep(Duration::from_millis(1100));
                for serial in 2..=3 {
                    folder.write("zone", &text(serial));
                    peer.reload(&folder, &process);
                    wait_for_serial(ours, ZONE, serial, &mut [&mut process, &mut airglow]);
                    assert_eq!(transferred(ours, ZONE), transferred(theirs, ZONE), "{peer:?}");
                    thread::sleep(Duration::from_millis(1100));
                }
                let said = airglow.so_far();
                // PowerDNS 4.7 has no changes to give.
                let expected =
                    if peer == Peer::PowerDns { "the whole zone, serial 3" } else { "the changes, serial 3" };
                assert!(said.contains(expected), "{peer:?}: {said}\n{}", process.so_far());
                // Without the right key nothing comes, and what is there stays.
                let stranger = free_port();
                let mut command = Command::new(program("airglow-dns-server", "dev"));
                command.args([
                    format!("port={stranger}"),
                    format!("key={KEY}:hmac-sha256:/wECAwQ="),
                    format!("secondary={ZONE}@127.0.0.1:{theirs}@{KEY}"),
                ]);
                let mut stranger = Process::start(&mut command);
                stranger.wait_for("transfer failed", Duration::from_secs(20));
            });
        }
    });
}

#[test]
fn zones_go_to_bind_nsd_knot_and_powerdns() {
    thread::scope(|scope| {
        for peer in PEERS {
            scope.spawn(move || {
                let folder = Folder::new(&format!("secondary-{peer:?}"));
                let replace = |serial: u32| {
                    folder.write("next", &text(serial));
                    std::fs::rename(folder.path().join("next"), folder.path().join(ZONE)).unwrap();
                };
                replace(1);
                let (theirs, ours) = (free_port(), free_port());
                let file = folder.path().join(ZONE).display().to_string();
                let mut airglow = appliance(
                    ours,
                    &[format!("zone={file}"), format!("notify=127.0.0.1:{theirs}@{KEY}"), "reload=1".into()],
                );
                let mut process = peer.start(&folder, theirs, ours, false);
                wait_for_serial(theirs, ZONE, 1, &mut [&mut process, &mut airglow]);
                for serial in 2..=3 {
                    replace(serial);
                    wait_for_serial(theirs, ZONE, serial, &mut [&mut process, &mut airglow]);
                    assert_eq!(transferred(ours, ZONE), transferred(theirs, ZONE), "{peer:?}");
                }
            });
        }
    });
}

#[test]
fn changes_as_dig_asks_for_them_and_a_catalog_from_bind() {
    let folder = Folder::new("catalog");
    let here = folder.path().display().to_string();
    folder.write(ZONE, &text(1));
    let (theirs, ours, last) = (free_port(), free_port(), free_port());
    let catalog = |serial: u32, members: &[&str]| {
        let mut text = format!(
            "$TTL 60\n@ SOA ns.invalid. admin.invalid. {serial} 3600 60 86400 60\n@ NS invalid.\nversion TXT \"2\"\n"
        );
        for member in members {
            let _ = writeln!(text, "{}.zones PTR {member}.", member.replace('.', "-"));
        }
        text
    };
    let member = |name: &str| {
        format!(
            "$TTL 60\n@ SOA ns.{ZONE}. admin.{ZONE}. 5 3600 60 86400 60\n@ NS ns.{ZONE}.\nwww A 192.0.2.7\nname TXT {name}\n"
        )
    };
    folder.write("catalog", &catalog(1, &["one.example", "two.example"]));
    let mut config = format!(
        "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\noptions {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; \
         session-keyfile \"{here}/named.key\"; listen-on port {theirs} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         dnssec-validation no; empty-zones-enable no; allow-transfer {{ key {KEY}; }}; notify explicit; notify-delay 0; \
         also-notify {{ 127.0.0.1 port {ours} key {KEY}; }}; }};\ncontrols {{ }};\nzone \"catalog.invalid\" {{ type primary; file \"catalog\"; }};\n"
    );
    for name in ["one.example", "two.example", "three.example"] {
        folder.write(name, &member(name));
        let _ = writeln!(config, "zone \"{name}\" {{ type primary; file \"{name}\"; }};");
    }
    folder.write("named.conf", &config);
    let mut bind =
        Process::start(Command::new("named").args(["-g", "-n", "1", "-c", &format!("{here}/named.conf")]));
    wait_for_serial(theirs, "catalog.invalid", 1, &mut [&mut bind]);
    let mut airglow = appliance(ours, &[format!("catalog=catalog.invalid@127.0.0.1:{theirs}@{KEY}")]);
    for name in ["one.example", "two.example"] {
        wait_for_serial(ours, name, 5, &mut [&mut bind, &mut airglow]);
        assert_eq!(transferred(ours, name), transferred(theirs, name));
    }
    thread::sleep(Duration::from_millis(1100));
    folder.write("catalog", &catalog(2, &["two.example", "three.example"]));
    bind.signal("HUP");
    wait_for_serial(ours, "three.example", 5, &mut [&mut bind, &mut airglow]);
    assert_eq!((serial(ours, "one.example"), serial(ours, "two.example")), (None, Some(5)));

    // A chain: a third of ours keeps the catalog from the second.
    let mut third = appliance(last, &[format!("catalog=catalog.invalid@127.0.0.1:{ours}@{KEY}")]);
    wait_for_serial(last, "three.example", 5, &mut [&mut airglow, &mut third]);

    // IXFR as dig asks for it: two SOAs around what differs.
    let primary = free_port();
    let mut ours = appliance(primary, &[format!("zone={here}/{ZONE}"), "reload=1".into()]);
    folder.write("next", &text(2));
    std::fs::rename(folder.path().join("next"), folder.path().join(ZONE)).unwrap();
    wait_for_serial(primary, ZONE, 2, &mut [&mut ours]);
    let key = format!("hmac-sha256:{KEY}:{SECRET}");
    for (tool, from) in [("dig", "ixfr=1"), ("kdig", "ixfr=1"), ("dig", "ixfr=2")] {
        let words = ["@127.0.0.1", "-p", &primary.to_string(), "-y", &key, ZONE, "-t", from];
        let said = Process::start(Command::new(tool).args(words)).wait(Duration::from_secs(20));
        let count = |word: &str| {
            said.stdout.lines().filter(|line| !line.starts_with(';') && line.contains(word)).count()
        };
        let expected = if from == "ixfr=1" { (4, 2, 2, 0) } else { (1, 0, 0, 0) };
        let records = (count("SOA"), count("version "), count("mail."), count("host"));
        assert_eq!(records, expected, "{tool} {from}: {said}");
    }
}

#[test]
fn zones_from_elsewhere_outlive_a_kill_but_not_their_expire_time() {
    let folder = Folder::new("keep");
    let here = folder.path().display().to_string();
    let short = |serial: u32| text(serial).replace("86400 7200 2419200 300", "86400 1 15 300");
    folder.write("catalog.invalid", &format!(
        "$TTL 60\n@ SOA ns.invalid. admin.invalid. 1 3600 60 86400 60\n@ NS invalid.\nversion TXT \"2\"\na.zones PTR {ZONE}.\n"
    ));
    folder.write(ZONE, &short(1));
    let (theirs, ours) = (free_port(), free_port());
    let notify = format!("notify=127.0.0.1:{ours}@{KEY}");
    let primary = [format!("zone={here}/catalog.invalid,{here}/{ZONE}"), "reload=1".into(), notify];
    let mut first = appliance(theirs, &primary);
    let words = [format!("catalog=catalog.invalid@127.0.0.1:{theirs}@{KEY}"), format!("keep={here}/copies")];
    let mut airglow = appliance(ours, &words);
    wait_for_serial(ours, ZONE, 1, &mut [&mut first, &mut airglow]);
    folder.write("next", &short(2));
    std::fs::rename(folder.path().join("next"), folder.path().join(ZONE)).unwrap();
    wait_for_serial(ours, ZONE, 2, &mut [&mut first, &mut airglow]);
    let before = transferred(theirs, ZONE);
    first.signal("KILL");
    first.wait(Duration::from_secs(10));
    let gone = Instant::now();
    thread::sleep(Duration::from_secs(1));
    airglow.signal("KILL");
    airglow.wait(Duration::from_secs(10));

    // Nobody to ask, and the zone is there, member of a catalog that is there too, until its time is over.
    let mut airglow = appliance(ours, &[&words[..], &["workers=2".into()]].concat());
    wait_for_serial(ours, ZONE, 2, &mut [&mut airglow]);
    assert_eq!(transferred(ours, ZONE), before);
    assert!(airglow.so_far().contains("found on the disk, serial 2"), "{}", airglow.so_far());
    airglow.wait_for("expired", Duration::from_secs(30));
    assert!(
        gone.elapsed() < Duration::from_secs(23),
        "{:?}: the time before the kill counts",
        gone.elapsed()
    );
    thread::sleep(Duration::from_millis(200));
    assert_eq!(serial(ours, ZONE), None);
    airglow.signal("KILL");
    airglow.wait(Duration::from_secs(10));
    // Nor is it there after one more restart, but for a primary.
    let mut airglow = appliance(ours, &words);
    airglow.wait_for("expired", Duration::from_secs(10));
    assert_eq!(serial(ours, ZONE), None);
    let mut first = appliance(theirs, &primary);
    wait_for_serial(ours, ZONE, 2, &mut [&mut first, &mut airglow]);
}
