//! Dynamic updates by `nsupdate` and `knsupdate`, a journal that outlives the process, and secondaries that hear of each change.
use super::replication::{KEY, SECRET, appliance, serial, transferred, wait_for_serial};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use std::{
    fmt::Write,
    process::Command,
    time::{Duration, Instant},
};

const ZONE: &str = "dynamic.example";

#[test]
fn nsupdate_and_knsupdate_change_a_zone_and_a_kill_loses_nothing() {
    change("update", &[]);
}

/// Workers leave it to the main thread, and all of them have the change before the client hears that it is made.
#[test]
fn the_same_with_workers_here_and_there() {
    change("update-workers", &["workers=3".into()]);
}

/// However long the main thread takes over an update: one costs as much as loading the zone.
#[test]
fn a_worker_answers_while_an_update_is_made() {
    let folder = Folder::new("update-meanwhile");
    let here = folder.path().display().to_string();
    let mut text =
        String::from("$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\n");
    for number in 0..100_000 {
        let _ = writeln!(text, "host{number} A 192.0.2.{}", number % 250);
    }
    folder.write(ZONE, &text);
    let port = free_port();
    let words = [format!("zone={here}/{ZONE}"), format!("update={ZONE}@{KEY}"), "workers=1".into()];
    let _airglow = appliance(port, &words);
    let good = format!("hmac-sha256:{KEY}:{SECRET}");
    for (number, flags) in [&[][..], &["-v"]].into_iter().enumerate() {
        let change = format!("update add new{number}.{ZONE}. 60 A 192.0.2.3");
        folder.write("script", &format!("server 127.0.0.1 {port}\nzone {ZONE}.\n{change}\nsend\n"));
        let script = format!("{here}/script");
        let words = [&["-y", good.as_str()], flags, &[&script]].concat();
        let begun = Instant::now();
        let mut nsupdate = Process::start(Command::new("nsupdate").args(words));
        let (mut silent, mut heard) = (Duration::ZERO, begun);
        while nsupdate.runs() {
            if serial(port, ZONE).is_some() {
                silent = silent.max(heard.elapsed());
                heard = Instant::now();
            }
        }
        let took = begun.elapsed();
        let said = nsupdate.wait(Duration::from_secs(1));
        assert!(said.success(), "{said}");
        assert_eq!(serial(port, ZONE), Some(number as u32 + 2));
        silent = silent.max(heard.elapsed());
        assert!(took > Duration::from_millis(300), "an update that takes {took:?} shows nothing");
        assert!(silent < took / 2, "{flags:?}: silent for {silent:?} of {took:?}");
    }
}

fn change(name: &str, more: &[String]) {
    let folder = Folder::new(name);
    let here = folder.path().display().to_string();
    folder.write(
        ZONE,
        "$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\nold TXT gone\n",
    );
    let (ours, second) = (free_port(), free_port());
    let words = [
        format!("zone={here}/{ZONE}"),
        format!("update={ZONE}@{KEY}"),
        format!("journal={here}/journal"),
        format!("notify=127.0.0.1:{second}@{KEY}"),
    ];
    let words = [&words[..], more].concat();
    let mut airglow = appliance(ours, &words);
    let kept = [format!("secondary={ZONE}@127.0.0.1:{ours}@{KEY}")];
    let mut copy = appliance(second, &[&kept[..], more].concat());
    wait_for_serial(second, ZONE, 1, &mut [&mut airglow, &mut copy]);
    let good = format!("hmac-sha256:{KEY}:{SECRET}");
    let send = |tool: &str, words: &[&str], script: &str| {
        folder.write("script", &format!("server 127.0.0.1 {ours}\nzone {ZONE}.\n{script}\nsend\n"));
        let mut command = Command::new(tool);
        command.args(words).arg(folder.path().join("script"));
        let said = Process::start(&mut command).wait(Duration::from_secs(20));
        format!("{} {said}", if said.success() { "done" } else { "failed" })
    };
    let mut expected = 1;
    for (tool, name) in [("nsupdate", "bind"), ("knsupdate", "knot")] {
        for (flags, number) in [(&[][..], 1), (&["-v"][..], 2)] {
            let script = format!(
                "prereq nxdomain {name}{number}.{ZONE}.\nupdate add {name}{number}.{ZONE}. 60 A 192.0.2.{number}\n\
                 update add {name}{number}.{ZONE}. 60 TXT \"by {tool}\""
            );
            let said = send(tool, &[&["-y", good.as_str()], flags].concat(), &script);
            assert!(said.starts_with("done"), "{said}");
            expected += 1;
            // Each asking comes from another port, by which the kernel chooses the worker.
            for _ in 0..20 {
                assert_eq!(serial(ours, ZONE), Some(expected), "{said}");
            }
            // Again it fails: the name is there now.
            let said = send(tool, &[&["-y", good.as_str()], flags].concat(), &script);
            assert!(said.starts_with("failed") && said.contains("YXDOMAIN"), "{said}");
            assert_eq!(serial(ours, ZONE), Some(expected));
        }
        // Nobody else may.
        let change = format!("update delete ns.{ZONE}.");
        let said = send(tool, &[], &change);
        assert!(said.starts_with("failed") && said.contains("REFUSED"), "{said}");
        let said = send(tool, &["-y", &format!("hmac-sha256:{KEY}:/wECAwQ=")], &change);
        assert!(said.starts_with("failed") && said.to_uppercase().contains("BADSIG"), "{said}");
    }
    let said = send("nsupdate", &["-y", &good], &format!("update delete old.{ZONE}."));
    assert!(said.starts_with("done"), "{said}");
    expected += 1;
    // An update too long for a datagram.
    let many: String = (0..300).map(|n| format!("update add many{n}.{ZONE}. 60 A 192.0.2.9\n")).collect();
    let said = send("nsupdate", &["-y", &good], many.trim_end());
    assert!(said.starts_with("done"), "{said}");
    expected += 1;
    wait_for_serial(second, ZONE, expected, &mut [&mut airglow, &mut copy]);
    let before = transferred(ours, ZONE);
    assert_eq!(before, transferred(second, ZONE));
    assert!(
        copy.so_far().contains(&format!("transferred the changes, serial {expected}")),
        "{}",
        copy.so_far()
    );
    let text: Vec<_> = before.iter().filter(|line| line.contains("TXT")).collect();
    assert_eq!(text.len(), 4, "{text:?}");

    // Killed, and started again from the old file and the journal.
    airglow.signal("KILL");
    let said = airglow.wait(Duration::from_secs(10));
    assert!(!said.success());
    let mut airglow = appliance(ours, &words);
    assert_eq!(transferred(ours, ZONE), before);
    let said = send("nsupdate", &["-y", &good], &format!("update delete many7.{ZONE}. A"));
    assert!(said.starts_with("done"), "{said}");
    wait_for_serial(second, ZONE, expected + 1, &mut [&mut airglow, &mut copy]);
}

#[test]
fn a_secondary_hands_updates_on_to_ours_and_to_bind() {
    let folder = Folder::new("forward");
    let here = folder.path().display().to_string();
    folder.write(ZONE, "$TTL 60\n@ SOA ns admin 1 86400 7200 2419200 300\n@ NS ns\nns A 192.0.2.1\n");
    folder.write("bind.zone", &std::fs::read_to_string(folder.path().join(ZONE)).unwrap());
    for bind in [false, true] {
        let (first, second) = (free_port(), free_port());
        let mut primary = if bind {
            folder.write(
                "named.conf",
                &format!(
                    "key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\noptions {{ directory \"{here}\"; \
                     pid-file \"{here}/named.pid\"; session-keyfile \"{here}/named.key\"; listen-on port {first} {{ 127.0.0.1; }}; \
                     listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\n\
                     zone \"{ZONE}\" {{ type primary; file \"bind.zone\"; allow-transfer {{ key {KEY}; }}; allow-update {{ key {KEY}; }}; \
                     notify explicit; notify-delay 0; also-notify {{ 127.0.0.1 port {second} key {KEY}; }}; }};\n"
                ),
            );
            Process::start(Command::new("named").args(["-g", "-n", "1", "-c", &format!("{here}/named.conf")]))
        } else {
            let words = [
                format!("zone={here}/{ZONE}"),
                format!("update={ZONE}@{KEY}"),
                format!("notify=127.0.0.1:{second}@{KEY}"),
            ];
            appliance(first, &words)
        };
        wait_for_serial(first, ZONE, 1, &mut [&mut primary]);
        let words = [format!("secondary={ZONE}@127.0.0.1:{first}@{KEY}"), "forward-updates=on".into()];
        let mut copy = appliance(second, &words);
        wait_for_serial(second, ZONE, 1, &mut [&mut primary, &mut copy]);
        let send = |tool: &str, words: &[&str], script: &str| {
            folder.write("script", &format!("server 127.0.0.1 {second}\nzone {ZONE}.\n{script}\nsend\n"));
            let mut command = Command::new(tool);
            command.args(words).arg(folder.path().join("script"));
            let said = Process::start(&mut command).wait(Duration::from_secs(20));
            format!("{} {said}", if said.success() { "done" } else { "failed" })
        };
        // The client checks the primary's signature, which comes through as it is.
        let good = format!("hmac-sha256:{KEY}:{SECRET}");
        let mut expected = 1;
        for (tool, flags) in
            [("nsupdate", &[][..]), ("nsupdate", &["-v"]), ("knsupdate", &[]), ("knsupdate", &["-v"])]
        {
            expected += 1;
            let change = format!("update add new{expected}.{ZONE}. 60 A 192.0.2.{expected}");
            let said = send(tool, &[&["-y", good.as_str()], flags].concat(), &change);
            assert!(said.starts_with("done"), "{bind} {tool} {flags:?}: {said}\n{}", copy.so_far());
            assert_eq!(serial(first, ZONE), Some(expected));
            wait_for_serial(second, ZONE, expected, &mut [&mut primary, &mut copy]);
        }
        assert_eq!(transferred(first, ZONE), transferred(second, ZONE));
        let said = send("nsupdate", &["-y", &format!("hmac-sha256:{KEY}:/wECAwQ=")], "update delete ns");
        assert!(said.starts_with("failed"), "{said}");
        let said = send("nsupdate", &[], &format!("update delete ns.{ZONE}."));
        assert!(said.starts_with("failed") && said.contains("NOTIMP"), "unsigned ones go nowhere: {said}");
        assert_eq!(serial(first, ZONE), Some(expected));
    }
}
