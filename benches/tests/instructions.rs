//! Instructions that TCP spends on a segment, the stack on a datagram that is answered in place, and the
//! OpenFlow switch on a frame, counted by callgrind and held against a kept file: a change that makes it dearer by more
//! than 2 % is seen, whatever else the machine does.
use airglow_testbed::example;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// Segments, datagrams, and frames.
const SEGMENTS: usize = 20_000;
/// How much dearer or cheaper something may be.
const TOLERANCE: f64 = 0.02;

/// Instructions inside `function` of the example, and the counts it printed.
fn count(program: &Path, words: &[&str], function: &str) -> (f64, Vec<f64>) {
    let file = std::env::temp_dir().join(format!("airglow-callgrind-{}-{function}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(words)
        .output()
        .expect("valgrind is installed: cargo airglow test unix");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let profile = fs::read_to_string(&file).expect("callgrind wrote its profile");
    fs::remove_file(&file).expect("the profile goes");
    let total = |key: &str| profile.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    let numbers = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (total("summary:").or_else(|| total("totals:")).expect("a total"), numbers)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1).unwrap_or_default().to_owned()
}

/// `AIRGLOW_SNAPSHOT=write` writes the file anew.
#[test]
#[ignore = "needs valgrind: cargo airglow test unix"]
fn instructions_are_as_kept() {
    let kept_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let program = example("airglow-net", "segments", "release");
    let number = SEGMENTS.to_string();
    let mut counted = BTreeMap::new();
    for kind in ["clean", "lossy"] {
        for (index, (function, what)) in
            [("send_batch", "sent"), ("receive_batch", "received"), ("acknowledge_batch", "acknowledgment")]
                .into_iter()
                .enumerate()
        {
            let (instructions, segments) = count(&program, &[kind, &number], function);
            counted.insert(format!("{kind} {what}"), instructions / segments[index]);
        }
    }
    let program = example("airglow-net", "datagrams", "release");
    let (instructions, answered) = count(&program, &[&number], "answer_batch");
    counted.insert("udp answered".to_owned(), instructions / answered[0]);
    let program = example("airglow-openflow", "forwarding", "release");
    let (instructions, forwarded) = count(&program, &["10", &number], "forward_batch");
    counted.insert("openflow forwarded".to_owned(), instructions / forwarded[0]);
    let mut text = format!("rustc {}\n", compiler());
    counted.iter().for_each(|(what, each)| text += &format!("{what} {each:.0}\n"));
    print!("{text}");
    if std::env::var("AIRGLOW_SNAPSHOT").is_ok_and(|what| what == "write") {
        return fs::write(kept_file, text).expect("the file is written");
    }
    let kept = fs::read_to_string(kept_file).expect("the kept counts");
    // Another compiler counts otherwise: then the counts must only be near.
    let same = kept.lines().next() == text.lines().next();
    let tolerance = if same { TOLERANCE } else { 0.15 };
    for (what, each) in &counted {
        let before = kept.lines().find_map(|line| line.strip_prefix(what)?.trim().parse::<f64>().ok());
        let before = before.unwrap_or_else(|| panic!("`{what}` is not in the file"));
        let change = each / before - 1.0;
        assert!(
            change.abs() <= tolerance,
            "{what}: {each:.0} instructions, kept {before:.0}: {:+.1} %; AIRGLOW_SNAPSHOT=write keeps the new count",
            100.0 * change
        );
    }
}
