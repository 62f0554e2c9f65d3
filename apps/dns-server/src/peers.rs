//! The boot parameters that name other servers: `secondary=`, `catalog=`, `group=`, `notify=`.
use airglow_dns::{NameServer, secondary::Peer, server::Key, wire::NameBuf};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

/// A zone that is kept from elsewhere.
pub(crate) struct Kept {
    pub(crate) apex: NameBuf,
    pub(crate) primaries: Vec<Peer>,
    pub(crate) catalog: bool,
}

/// `ZONE@ADDRESS[@KEY]`, with commas.
pub(crate) fn kept(zones: Option<&str>, catalogs: Option<&str>, keys: &[Key]) -> Result<Vec<Kept>, String> {
    let mut all: Vec<Kept> = Vec::new();
    for (parameter, words, catalog) in [("secondary", zones, false), ("catalog", catalogs, true)] {
        for word in words.into_iter().flat_map(|words| words.split(',')) {
            let parts = word.split_once('@');
            let (name, rest) =
                parts.ok_or_else(|| format!("boot parameter `{parameter}`: `{word}` is not ZONE@ADDRESS"))?;
            let apex: NameBuf =
                name.parse().map_err(|error| format!("boot parameter `{parameter}`: `{name}`: {error}"))?;
            let primary = peer(parameter, rest, keys)?;
            match all.iter_mut().find(|kept| kept.apex == apex && kept.catalog == catalog) {
                Some(kept) => kept.primaries.push(primary),
                None => all.push(Kept { apex, primaries: [primary].into(), catalog }),
            }
        }
    }
    Ok(all)
}

/// `GROUP@ADDRESS[@KEY]`, with commas.
pub(crate) fn groups(words: Option<&str>, keys: &[Key]) -> Result<BTreeMap<String, Vec<Peer>>, String> {
    let mut all = BTreeMap::<String, Vec<Peer>>::new();
    for word in words.into_iter().flat_map(|words| words.split(',')) {
        let parts = word.split_once('@');
        let (group, rest) =
            parts.ok_or_else(|| format!("boot parameter `group`: `{word}` is not GROUP@ADDRESS"))?;
        all.entry(group.into()).or_default().push(peer("group", rest, keys)?);
    }
    Ok(all)
}

/// `ADDRESS[@KEY]`, with commas.
pub(crate) fn targets(words: Option<&str>, keys: &[Key]) -> Result<Vec<Peer>, String> {
    let target = |word| {
        let target = peer("notify", word, keys)?;
        match target.server.tls {
            None => Ok(target),
            // RFC 9103 section 6.1 leaves NOTIFY as it is.
            Some(_) => Err(format!("boot parameter `notify`: `{word}`: notifications are not sent over TLS")),
        }
    };
    words.into_iter().flat_map(|words| words.split(',')).map(target).collect()
}

fn peer(parameter: &str, text: &str, keys: &[Key]) -> Result<Peer, String> {
    let (address, key) = match text.split_once('@') {
        Some((address, key)) => (address, Some(key)),
        None => (text, None),
    };
    let server: NameServer =
        address.parse().map_err(|error| format!("boot parameter `{parameter}`: `{address}`: {error}"))?;
    let mut peer = Peer::from(server);
    if let Some(name) = key {
        let named = name.parse::<NameBuf>().ok();
        let found = keys.iter().find(|key| Some(*key.name()) == named).cloned();
        peer.key =
            Some(found.ok_or_else(|| format!("boot parameter `{parameter}`: no `key` is called `{name}`"))?);
    }
    Ok(peer)
}
