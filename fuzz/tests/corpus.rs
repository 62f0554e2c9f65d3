//! Every fuzz body over the committed corpus, and over a fixed number of inputs that a seeded generator makes of it.
//!
//! `AIRGLOW_FUZZ_SEED=7 AIRGLOW_FUZZ_FACTOR=100 cargo test --release -p airglow-fuzz` looks elsewhere, and a hundred times as long.
use airglow_fuzz::{TARGETS, Target, corpus, generator::Generator};
use std::{env, fs, panic};

fn setting(name: &str, default: u64) -> u64 {
    env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn run(target: &Target, what: &str, input: &[u8]) {
    if panic::catch_unwind(|| (target.body)(input)).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} fails on {what}; as a corpus file:\n{hex}", target.name);
    }
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let inputs = corpus::load(name);
    assert!(!inputs.is_empty(), "{name} has a corpus");
    for (file, input) in &inputs {
        run(target, file, input);
    }
    let seed = setting("AIRGLOW_FUZZ_SEED", 1);
    let mut generator = Generator::new(&inputs, seed);
    for number in 0..u64::from(target.count) * setting("AIRGLOW_FUZZ_FACTOR", 1) {
        run(target, &format!("input {number} from seed {seed}"), &generator.input());
    }
}

macro_rules! fuzz {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*
        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

fuzz! { frames offload wire_codecs http_request http_response http_server http_values dns_message dns_zone dns_server tls_messages tls_server tls_client tls_ocsp openflow_codec openflow_switch parameters link }

#[test]
fn every_target_is_tested_and_has_a_binary() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    for name in names {
        let path = format!("{}/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        assert!(text.contains(&format!("airglow_fuzz::{name}(data)")), "{path}");
    }
}
