//! Words that people type: boot parameters and the link's.
use airglow_device::{Impairments, Instant, LinkModel, MacAddr, Parameters};
use airglow_net::{InterfaceConfig, IpCidr};

/// Boot parameters: every way to read them, and an error that names a word that is there.
pub fn parameters(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parameters = Parameters::new(&text);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let errors = [
        parameters.get::<u16>("port", "a port number (1 to 65535)").err(),
        parameters.get::<MacAddr>("mac", "a MAC address").err(),
        parameters.get::<IpCidr>("ipv4", "an address").err(),
        parameters.switch("quiet").err(),
        InterfaceConfig::from_parameters(&parameters).err(),
    ];
    for error in errors.into_iter().flatten() {
        assert!(words.contains(&error.word), "{:?} is not among the words", error.word);
        assert!(error.to_string().contains(error.word) && !error.expected.is_empty());
    }
    if let Some(word) = parameters.unknown() {
        assert!(words.contains(&word));
    }
    // What was asked for is known.
    for word in &words {
        let key = word.split_once('=').map_or(*word, |(key, _)| key);
        assert!(parameters.text(key).is_some());
    }
    assert!(words.len() > 128 || parameters.unknown().is_none());
}

/// The words of a link up to the end of the line, then frames on it, each a length in a byte, taken at 0.1 ms each.
pub fn link(data: &[u8]) {
    let (words, mut rest) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let words = String::from_utf8_lossy(words);
    let impairments = match Impairments::parse(&words) {
        Ok(impairments) => impairments,
        Err(error) => {
            assert!(words.split_ascii_whitespace().any(|word| word == error.word), "{error}");
            return;
        }
    };
    let mut link = LinkModel::new(impairments);
    let (mut now, mut last, mut out) = (Instant::ZERO, Instant::ZERO, 0);
    while let Some((len, tail)) = rest.split_first() {
        let (frame, tail) = tail.split_at(tail.len().min(usize::from(*len)));
        rest = tail;
        link.push(now, frame, frame.len());
        now += std::time::Duration::from_micros(100);
        while let Some(at) = link.next_at().filter(|at| *at <= now) {
            assert!(at >= last, "time goes on");
            last = at;
            let frame = link.pop(now).expect("it is due");
            assert_eq!(frame.bytes.len(), frame.meta, "nothing is cut");
            out += 1;
            link.recycle(frame.bytes);
        }
        assert!(link.pop(now).is_none());
    }
    let stats = link.stats();
    out += link.in_flight() as u64;
    let gone = stats.lost + stats.too_big + stats.partitioned;
    assert!(out <= stats.offered - gone + stats.duplicated, "{stats:?}");
    assert!(out + stats.overflowed >= stats.offered - gone, "{stats:?}");
}
