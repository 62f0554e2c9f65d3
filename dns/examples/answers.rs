//! Answers questions in process, as many as the first argument says, and prints how long each took. Run it under
//! `valgrind --tool=callgrind` or `perf stat` with a number of questions, twice, and divide the difference of the instructions
//! by that of the questions. The second argument says what is asked: `plain`, `edns`, or `fresh` (no reply is ready).
use airglow_device::Instant;
use airglow_dns::{
    server::{Config, CookieSecrets, Now, Origin, Server, Transport, Zones},
    wire::{Builder, Class, Edns, Flags, NameBuf, RecordType},
    zone,
};
use std::{fmt::Write, time::Duration};

fn main() {
    let mut words = std::env::args().skip(1);
    let count: u32 = words.next().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let kind = words.next().unwrap_or_else(|| "plain".to_owned());
    let mut text = String::from("$TTL 1h\n@ SOA ns admin 1 1d 2h 4w 5m\n@ NS ns\nns A 192.0.2.1\n");
    for n in 0..1000 {
        let _ = writeln!(text, "host{n} A 10.0.{}.{}", n >> 8, n & 255);
    }
    let apex: NameBuf = "bench.example".parse().expect("a name");
    let mut zones = Zones::new();
    zones.insert(zone::load("bench", text.as_bytes(), &apex, |_| Err("none".into())).expect("a zone"));
    // As the appliance sets it.
    let precomputed = if kind == "fresh" { 0 } else { Config::default().precomputed };
    let config = Config { cookies: Some(CookieSecrets::new([7; 16])), precomputed, ..Config::default() };
    let mut server = Server::new(zones, config);
    let questions: Vec<Vec<u8>> = (0..1000)
        .map(|n| {
            let mut bytes = [0; 128];
            let mut builder = Builder::new(&mut bytes, n, Flags(Flags::RD)).expect("room");
            let name: NameBuf = format!("host{n}.bench.example").parse().expect("a name");
            builder.question(name.as_name(), RecordType::A, Class::IN).expect("room");
            if kind == "edns" {
                builder.edns(&Edns { udp_payload: 1232, ..Edns::default() }).expect("room");
            }
            let length = builder.finish();
            bytes[..length].to_vec()
        })
        .collect();
    let now = || Now { monotonic: Instant::ZERO, unix: Some(Duration::from_secs(1_700_000_000)) };
    let origin = Origin { peer: Some([192, 0, 2, 77].into()), transport: Transport::Udp, now: &now };
    let mut reply = [0; 1232];
    let begun = std::time::Instant::now();
    let mut bytes = 0;
    for at in 0..count as usize {
        bytes += server.respond_to(&origin, &questions[at % questions.len()], &mut reply).unwrap_or(0);
    }
    let each = begun.elapsed().as_nanos() / u128::from(count.max(1));
    println!("{count} {kind} answers, {bytes} bytes, {each} ns each");
}
