//! A large zone is loaded again and again while it is asked: no answer is lost, none is wrong, and none comes from the old
//! version after one from the new.
//!
//! `DNS_RECORDS` in the environment sets how large: 100,000 by default, a million takes the release build and half a minute.
use super::replication::appliance_of;
use airglow_dns::wire::{Builder, Class, Flags, NameBuf, RecordType};
use airglow_testbed::name_servers::{Folder, free_port};
use std::{
    fmt::Write,
    fs,
    net::UdpSocket,
    time::{Duration, Instant},
};

const ZONE: &str = "large.example";
const WINDOW: usize = 32;

fn write(folder: &Folder, version: u8, records: u32) {
    let mut zone = format!("$TTL 1h\n@ SOA ns admin {version} 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n");
    for n in 0..records {
        let [_, a, b, c] = n.to_be_bytes();
        let _ = writeln!(zone, "h{n} A {version}.{a}.{b}.{c}");
    }
    folder.write("next", &zone);
    fs::rename(folder.path().join("next"), folder.path().join(ZONE)).unwrap();
}

fn question(n: u32, id: u16) -> Vec<u8> {
    let mut bytes = [0; 128];
    let mut builder = Builder::new(&mut bytes, id, Flags(0)).unwrap();
    let name: NameBuf = format!("h{n}.{ZONE}").parse().unwrap();
    builder.question(name.as_name(), RecordType::A, Class::IN).unwrap();
    let length = builder.finish();
    bytes[..length].to_vec()
}

#[test]
fn a_large_zone_is_loaded_again_without_a_lost_or_wrong_answer() {
    let records: u32 =
        std::env::var("DNS_RECORDS").map_or(100_000, |n| n.parse().expect("DNS_RECORDS is a number"));
    let folder = Folder::new("reload");
    let port = free_port();
    write(&folder, 1, records);
    let file = folder.path().join(ZONE).display().to_string();
    let begun = Instant::now();
    let profile = if records > 200_000 { "release" } else { "dev" };
    let airglow = appliance_of(profile, port, &[format!("zone={file}"), "reload=1".into()]);
    println!("{records} records: up after {:?}", begun.elapsed());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut state, mut asked, mut longest, mut newest) = (1_u64, 0_u64, Duration::ZERO, 1);
    let mut by_version = [0_u64; 4];
    let mut buffer = [0; 512];
    let deadline = Instant::now() + Duration::from_secs(150);
    while newest < 3 || by_version[3] < 20_000 {
        assert!(Instant::now() < deadline, "version {newest} after {asked} questions: {}", airglow.so_far());
        // The next version is written when the one before it is served.
        if by_version[usize::from(newest)] > 20_000 && newest < 3 {
            let loaded = airglow.so_far().matches("loaded again").count();
            if loaded + 1 == usize::from(newest) && by_version[0] != u64::from(newest) {
                by_version[0] = u64::from(newest);
                write(&folder, newest + 1, records);
            }
        }
        let floor = newest;
        let mut wanted = [0; WINDOW];
        let sent = Instant::now();
        for (slot, wanted) in wanted.iter_mut().enumerate() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *wanted = (state >> 33) as u32 % records;
            socket.send(&question(*wanted, slot as u16)).unwrap();
            asked += 1;
        }
        for _ in 0..WINDOW {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("an answer is lost after {asked} questions: {error}\n{}", airglow.so_far())
            });
            let reply = &buffer[..length];
            let [version, a, b, c] = *reply.last_chunk::<4>().unwrap();
            let n = wanted[usize::from(u16::from_be_bytes([reply[0], reply[1]]))];
            assert_eq!([0, a, b, c], n.to_be_bytes(), "h{n} has another's address");
            assert_eq!((reply[2] & 0xfe, reply[3], &reply[4..8]), (0x84, 0, &[0, 1, 0, 1][..]), "h{n}");
            assert!((floor..=3).contains(&version), "version {version} after {floor}");
            newest = newest.max(version);
            by_version[usize::from(version)] += 1;
        }
        longest = longest.max(sent.elapsed());
    }
    println!(
        "{asked} questions, answered from versions 1, 2, 3: {:?}; at most {longest:?} for {WINDOW} of them",
        &by_version[1..]
    );
}
