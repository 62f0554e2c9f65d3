//! Random and adversarial questions about the zones.
use airglow_dns::wire::{Builder, Class, Edns, Flags, NameBuf, RecordType};
use airglow_testbed::name_servers::ZoneFile;
use std::fs;

/// An endless source of questions, the same for the same seed.
pub struct Questions {
    state: u64,
    origins: Vec<String>,
    names: Vec<String>,
}

const TYPES: &[u16] = &[
    1, 1, 1, 28, 2, 5, 6, 12, 13, 15, 16, 17, 29, 33, 35, 39, 43, 43, 44, 46, 47, 48, 50, 51, 52, 61, 62, 64,
    65, 255, 256, 257, 65280, 1234,
];

const LABELS: &[&str] =
    &["x", "no", "*", "ns", "sub", "child", "a", "wild", "such", "www", "0", "zz", "_tcp", "h1", "inner"];

impl Questions {
    /// Questions about names in and around the zones' files.
    pub fn new(seed: u64, zones: &[ZoneFile]) -> Self {
        let text = fs::read_to_string(&zones[0].file).expect("the plain zone");
        let mut names: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with([' ', ';', '$', '@']))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        names.extend((1..=200).step_by(17).map(|n| format!("h{n}")));
        names.extend(["many", "large", "c3", "c50"].map(str::to_owned));
        Self { state: seed, origins: zones.iter().map(|zone| zone.origin.clone()).collect(), names }
    }

    fn random(&mut self, below: usize) -> usize {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    fn name(&mut self) -> String {
        let origin = self.random(self.origins.len());
        let origin = self.origins[origin].clone();
        let known = self.random(self.names.len());
        let mut name = self.names[known].clone();
        for _ in 0..[0, 0, 0, 1, 1, 2][self.random(6)] {
            let label = LABELS[self.random(LABELS.len())];
            name = format!("{label}.{name}");
        }
        match self.random(20) {
            0 => return origin,
            1 => name = LABELS[self.random(LABELS.len())].to_owned(),
            2 => name = name.split_once('.').map_or(name.clone(), |(_, rest)| rest.to_owned()),
            3 => name = name.to_ascii_uppercase(),
            4 if self.random(4) == 0 => return format!("{name}.elsewhere.test"),
            5 => {
                // Close to the longest name there can be.
                let more = 20 + self.random(43);
                name = format!("{}.{}.{name}", "l".repeat(more), "m".repeat(63));
            }
            _ => {}
        }
        format!("{name}.{origin}")
    }

    /// The next question, whose id is `at` modulo the window.
    pub fn next(&mut self, at: usize) -> Vec<u8> {
        let mut bytes = vec![0; 600];
        let id = at as u16 | (self.random(1 << 11) as u16) << 5;
        let flags = [0, Flags::RD, Flags::CD, Flags::AD | Flags::RD][self.random(4)];
        let mut builder = Builder::new(&mut bytes, id, Flags(flags)).unwrap();
        let name: NameBuf = loop {
            if let Ok(name) = self.name().parse() {
                break name;
            }
        };
        let rtype = RecordType(TYPES[self.random(TYPES.len())]);
        builder.question(name.as_name(), rtype, Class::IN).unwrap();
        if self.random(5) > 0 {
            let udp_payload = [512, 1232, 1232, 4096, 100][self.random(5)];
            let dnssec_ok = self.random(2) == 0;
            builder.edns(&Edns { udp_payload, dnssec_ok, ..Edns::default() }).unwrap();
        }
        let length = builder.finish();
        bytes.truncate(length);
        bytes
    }
}
