//! Workers, the statistics page, and what the tools of others say of the zones that are served.
use super::{
    replication::{appliance, wait_for_serial},
    zones,
};
use airglow_testbed::{
    Process,
    name_servers::{Folder, free_port},
};
use std::{process::Command, time::Duration};

fn run(program: &str, words: &[&str]) -> String {
    let said = Process::start(Command::new(program).args(words)).wait(Duration::from_secs(60));
    format!("{}{}", said.stdout, said.stderr)
}

#[test]
fn workers_share_port_and_zones_and_the_page_counts_for_all() {
    let folder = Folder::new("workers");
    let text = |serial: u32| {
        format!("$TTL 1h\n@ SOA ns admin {serial} 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.{serial}\n")
    };
    let replace = |serial: u32| {
        folder.write("next", &text(serial));
        std::fs::rename(folder.path().join("next"), folder.path().join("work.example")).unwrap();
    };
    replace(1);
    let (port, page) = (free_port(), free_port());
    let file = folder.path().join("work.example").display().to_string();
    let words = [format!("zone={file}"), "workers=2".into(), "reload=1".into(), format!("stats={page}")];
    let mut airglow = appliance(port, &words);
    let threads = std::fs::read_dir(format!("/proc/{}/task", airglow.id())).unwrap().count();
    assert_eq!(threads, 3, "one keeps house, two answer");
    wait_for_serial(port, "work.example", 1, &mut [&mut airglow]);
    let ask = |kind: &str, tcp: &str| {
        let drill = ["-p", &port.to_string(), tcp, "@127.0.0.1", "ns.work.example", kind];
        run(
            "drill",
            &drill
                .map(str::to_owned)
                .iter()
                .filter(|w| !w.is_empty())
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )
    };
    // Each asking has a port of its own, by which the kernel chooses the worker.
    for _ in 0..20 {
        assert!(ask("A", "").contains("192.0.2.1"));
        assert!(ask("A", "-t").contains("192.0.2.1"));
        assert!(ask("AAAA", "").contains("SOA"));
    }
    replace(2);
    wait_for_serial(port, "work.example", 2, &mut [&mut airglow]);
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..20 {
        assert!(ask("A", "").contains("192.0.2.2"), "every worker has the new zone");
    }
    std::thread::sleep(Duration::from_millis(300));
    let said = run("curl", &["-s", &format!("http://127.0.0.1:{page}/metrics")]);
    let value = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name} in {said}"))
    };
    assert_eq!(value("airglow_dns_queries_total{type=\"A\"}"), 60.0, "{said}");
    assert_eq!(value("airglow_dns_queries_total{type=\"AAAA\"}"), 20.0, "{said}");
    assert_eq!(value("airglow_dns_zone_serial{zone=\"work.example.\"}"), 2.0, "{said}");
    assert!(value("airglow_dns_replies_total{rcode=\"NOERROR\"}") >= 80.0, "{said}");
    assert!(value("airglow_dns_response_seconds_bucket{le=\"+Inf\"}") >= 1.0, "{said}");
}

#[test]
fn what_is_transferred_verifies() {
    let folder = Folder::new("verified");
    let zones = zones(&folder);
    for zone in &zones[1..] {
        // Transferred from ours, the zone verifies: every signature, every chain of denial.
        let (port, file) = (free_port(), folder.path().join(&zone.origin).display().to_string());
        let _ = std::fs::hard_link(&zone.file, &file);
        let airglow = appliance(port, &[format!("zone={file}"), "transfers=on".into()]);
        let port = port.to_string();
        let dig =
            ["@127.0.0.1", "-p", &port, "+onesoa", "+nocomments", "+nocmd", "+nostats", "AXFR", &zone.origin];
        let axfr = run("dig", &dig);
        folder.write("transferred", &axfr);
        let path = folder.path().join("transferred").display().to_string();
        let said = run("ldns-verify-zone", &[&path]);
        assert!(said.contains("Zone is verified and complete"), "{}: {said}", zone.origin);
        drop(airglow);
    }
}
