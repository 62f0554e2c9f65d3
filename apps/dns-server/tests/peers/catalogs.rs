//! Catalogs (RFC 9432) that Knot makes from its own zones, with groups, and such of BIND between which a zone moves.
use super::replication::{KEY, SECRET, appliance, serial, wait_for_serial};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use std::{fmt::Write, process::Command, thread, time::Duration};

fn member(serial: u32) -> String {
    format!("$TTL 60\n@ SOA ns admin {serial} 3600 60 86400 60\n@ NS ns\nns A 192.0.2.1\n")
}

#[test]
fn members_of_a_group_come_from_elsewhere() {
    let folder = Folder::new("groups");
    let here = folder.path().display().to_string();
    let (theirs, far, ours) = (free_port(), free_port(), free_port());
    let names = ["plain.example", "unknown.example", "far.example"];
    let mut zones = String::new();
    for (name, group) in names.into_iter().zip(["", "nobody", "elsewhere"]) {
        folder.write(name, &member(5));
        let group = if group.is_empty() { String::new() } else { format!("    catalog-group: {group}\n") };
        let _ = write!(
            zones,
            "  - domain: {name}\n    acl: keyed\n    file: {here}/{name}\n    catalog-role: member\n    catalog-zone: catalog.invalid\n{group}"
        );
    }
    std::fs::create_dir_all(format!("{here}/knot")).unwrap();
    folder.write(
        "knot.conf",
        &format!(
            "server:\n  rundir: {here}\n  listen: 127.0.0.1@{theirs}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: {here}/knot\nlog:\n  - target: stderr\n    any: info\nkey:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             acl:\n  - id: keyed\n    key: {KEY}\n    action: transfer\n\
             zone:\n  - domain: catalog.invalid\n    acl: keyed\n    catalog-role: generate\n{zones}"
        ),
    );
    let mut knot = Process::start(Command::new("knotd").args(["-c", &format!("{here}/knot.conf")]));
    // The other has another version of that zone.
    std::fs::create_dir_all(format!("{here}/far")).unwrap();
    folder.write("far/far.example", &member(9));
    let mut other = appliance(far, &[format!("zone={here}/far/far.example")]);
    for name in names {
        wait_for_serial(theirs, name, 5, &mut [&mut knot]);
    }
    let words = [
        format!("catalog=catalog.invalid@127.0.0.1:{theirs}@{KEY}"),
        format!("group=elsewhere@127.0.0.1:{far}@{KEY}"),
    ];
    let mut airglow = appliance(ours, &words);
    for (name, wanted) in names.into_iter().zip([5, 5, 9]) {
        wait_for_serial(ours, name, wanted, &mut [&mut knot, &mut other, &mut airglow]);
    }
}

#[test]
fn a_zone_moves_from_one_catalog_to_another() {
    const ZONE: &str = "moving.example";
    let folder = Folder::new("owners");
    let here = folder.path().display().to_string();
    let (theirs, ours) = (free_port(), free_port());
    folder.write(ZONE, &member(5));
    folder.write("own.example", &member(1));
    let catalog = |name: &str, serial: u32, records: &str| {
        let soa =
            format!("$TTL 60\n@ SOA ns.invalid. admin.invalid. {serial} 3600 60 86400 60\n@ NS invalid.\n");
        folder.write(name, &format!("{soa}version TXT \"2\"\n{records}"));
    };
    let listed = format!("a.zones PTR {ZONE}.\nb.zones PTR own.example.\n");
    catalog("old.invalid", 1, &listed);
    catalog("new.invalid", 1, "");
    let zones: String = ["old.invalid", "new.invalid", ZONE, "own.example"]
        .map(|name| format!("zone \"{name}\" {{ type primary; file \"{name}\"; }};\n"))
        .concat();
    folder.write(
        "named.conf",
        &format!(
            "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\noptions {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; \
             session-keyfile \"{here}/named.key\"; listen-on port {theirs} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
             dnssec-validation no; empty-zones-enable no; allow-transfer {{ key {KEY}; }}; notify explicit; notify-delay 0; \
             also-notify {{ 127.0.0.1 port {ours} key {KEY}; }}; }};\ncontrols {{ }};\n{zones}"
        ),
    );
    let mut bind =
        Process::start(Command::new("named").args(["-g", "-n", "1", "-c", &format!("{here}/named.conf")]));
    wait_for_serial(theirs, ZONE, 5, &mut [&mut bind]);
    // What ours serves anyway, no catalog takes over.
    std::fs::create_dir_all(format!("{here}/own")).unwrap();
    folder.write("own/own.example", &member(77));
    let catalogs = ["old", "new"].map(|name| format!("{name}.invalid@127.0.0.1:{theirs}@{KEY}")).join(",");
    let words = [format!("catalog={catalogs}"), format!("zone={here}/own/own.example")];
    let mut airglow = appliance(ours, &words);
    wait_for_serial(ours, ZONE, 5, &mut [&mut bind, &mut airglow]);
    wait_for_serial(ours, "new.invalid", 1, &mut [&mut bind, &mut airglow]);
    let clash = "a catalog lists it, but it is here for another reason";
    assert!(airglow.so_far().contains(&format!("own.example.: {clash}")), "{}", airglow.so_far());
    let change = |name: &str, serial: u32, records: &str, bind: &mut Process, airglow: &mut Process| {
        // Files' times are looked at to the second.
        thread::sleep(Duration::from_millis(1100));
        catalog(name, serial, records);
        bind.signal("HUP");
        wait_for_serial(ours, name, serial, &mut [bind, airglow]);
    };
    let came = |airglow: &Process| airglow.so_far().matches(&format!("{ZONE}.: transferred")).count();
    let taken = format!("a.zones PTR {ZONE}.\n");
    // The old one says nothing of it yet.
    change("new.invalid", 2, &taken, &mut bind, &mut airglow);
    assert!(airglow.so_far().contains(&format!("{ZONE}.: {clash}")), "{}", airglow.so_far());
    change("old.invalid", 2, &format!("{listed}coo.a.zones PTR new.invalid.\n"), &mut bind, &mut airglow);
    change("new.invalid", 3, &taken, &mut bind, &mut airglow);
    change("old.invalid", 3, "", &mut bind, &mut airglow);
    // Served all the while, and as it was.
    assert_eq!((serial(ours, ZONE), came(&airglow)), (Some(5), 1), "{}", airglow.so_far());
    assert!(!airglow.so_far().contains(&format!("{ZONE}.: the catalog no longer")), "{}", airglow.so_far());
    // Under another label it comes anew, and without one it goes.
    change("new.invalid", 4, &taken.replace("a.zones", "c.zones"), &mut bind, &mut airglow);
    airglow.wait_for(&format!("{ZONE}.: a catalog lists it anew"), Duration::from_secs(10));
    wait_for_serial(ours, ZONE, 5, &mut [&mut bind, &mut airglow]);
    assert_eq!(came(&airglow), 2, "{}", airglow.so_far());
    change("new.invalid", 5, "", &mut bind, &mut airglow);
    airglow.wait_for(&format!("{ZONE}.: the catalog no longer lists it"), Duration::from_secs(10));
    assert_eq!((serial(ours, ZONE), serial(ours, "own.example")), (None, Some(77)));
}
