//! Dynamic updates by `nsupdate` and `knsupdate`, a journal that outlives the process, and secondaries that hear of each change.
use super::replication::{KEY, SECRET, appliance, serial, transferred, wait_for_serial};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use std::{process::Command, time::Duration};

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
