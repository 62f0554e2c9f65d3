//! The boot parameters that need nothing but themselves.
#[cfg(feature = "replication")]
use crate::peers::{self, Kept};
use airglow::device::{Entropy, ParameterError, Platform, WallClock};
#[cfg(feature = "replication")]
use airglow_dns::secondary::Peer;
use airglow_dns::{
    server::{CookieSecrets, Key, Prefix, RateLimit},
    wire::NameBuf,
};
#[cfg(feature = "replication")]
use alloc::collections::BTreeMap;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Display, str::FromStr, time::Duration};

/// What they say.
pub(crate) struct Options<'p> {
    pub(crate) port: u16,
    pub(crate) nsid: &'p [u8],
    pub(crate) allow: Vec<Prefix>,
    pub(crate) transfers: Vec<Prefix>,
    pub(crate) keys: Vec<Key>,
    pub(crate) cookies: Option<CookieSecrets>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) files: Vec<&'p str>,
    pub(crate) origin: Option<NameBuf>,
    /// How often files are looked at.
    #[cfg(unix)]
    pub(crate) reload: Option<Duration>,
    #[cfg(unix)]
    pub(crate) workers: usize,
    /// The port of the page.
    #[cfg(unix)]
    pub(crate) statistics: Option<u16>,
    #[cfg(feature = "replication")]
    pub(crate) replication: Replicated,
}

/// Zones from elsewhere, and who is told of changes.
#[cfg(feature = "replication")]
pub(crate) struct Replicated {
    pub(crate) kept: Vec<Kept>,
    pub(crate) groups: BTreeMap<String, Vec<Peer>>,
    pub(crate) targets: Vec<Peer>,
    pub(crate) forward: bool,
}

impl<'p> Options<'p> {
    pub(crate) fn read<P: Platform>(platform: &'p P) -> Result<Self, String> {
        let parameters = platform.parameters();
        let wrong = |error: ParameterError<'_>| error.to_string();
        let default = if cfg!(unix) { 5353 } else { 53 };
        let transfers = match parameters.text("transfers") {
            Some("on" | "") => list("transfers", Some("127.0.0.0/8,::1"))?,
            other => list("transfers", other.filter(|words| *words != "off"))?,
        };
        let keys: Vec<Key> = list("key", parameters.text("key"))?;
        if !keys.is_empty() && platform.wall_clock().unix_now().is_none() {
            return Err(
                "boot parameter `key`: signatures need the time of day, and this platform does not know it"
                    .into(),
            );
        }
        let cookies = parameters.switch("cookies").map_err(wrong)?.unwrap_or(true);
        let rate = parameters.get("rrl", "a number of replies a second").map_err(wrong)?;
        let reload = parameters.get("reload", "a number of seconds").map_err(wrong)?;
        let reload = reload.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        #[cfg(not(unix))]
        let _ = reload;
        Ok(Self {
            port: parameters.get("port", "a port number (1 to 65535)").map_err(wrong)?.unwrap_or(default),
            nsid: parameters.text("nsid").unwrap_or("").as_bytes(),
            allow: list("allow", parameters.text("allow"))?,
            transfers,
            cookies: cookies.then(|| CookieSecrets::new(secret(platform))),
            rate_limit: rate.filter(|rate| *rate > 0).map(|rate| RateLimit::new(rate, secret(platform))),
            files: parameters.text("zone").into_iter().flat_map(|files| files.split(',')).collect(),
            origin: parameters.get("origin", "a domain name").map_err(wrong)?,
            #[cfg(unix)]
            reload,
            #[cfg(unix)]
            workers: parameters
                .get("workers", "a number of threads (1 to 256)")
                .map_err(wrong)?
                .map_or(0, |count: usize| count.min(256)),
            #[cfg(unix)]
            statistics: parameters.get("stats", "a port number (1 to 65535)").map_err(wrong)?,
            #[cfg(feature = "replication")]
            replication: Replicated {
                kept: peers::kept(parameters.text("secondary"), parameters.text("catalog"), &keys)?,
                groups: peers::groups(parameters.text("group"), &keys)?,
                targets: peers::targets(parameters.text("notify"), &keys)?,
                forward: parameters.switch("forward-updates").map_err(wrong)?.unwrap_or(false),
            },
            keys,
        })
    }

    /// Zones are kept from elsewhere.
    pub(crate) fn keeps_zones(&self) -> bool {
        #[cfg(feature = "replication")]
        return !self.replication.kept.is_empty();
        #[cfg(not(feature = "replication"))]
        false
    }

    /// Whom zones are kept from.
    #[cfg(all(unix, feature = "replication"))]
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Peer> {
        let own = self.replication.kept.iter().flat_map(|zone| &zone.primaries);
        own.chain(self.replication.groups.values().flatten())
    }
    #[cfg(all(unix, not(feature = "replication")))]
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &airglow_dns::secondary::Peer> {
        core::iter::empty()
    }

    /// What does not go together. `updates`: this server takes them.
    #[cfg(unix)]
    pub(crate) fn check<P: Platform>(&self, platform: &P, updates: bool) -> Result<(), String> {
        let parameters = platform.parameters();
        #[cfg(feature = "replication")]
        if self.replication.forward && (updates || self.workers > 0) {
            return Err("boot parameter `forward-updates`: not together with `update` or `workers`".into());
        }
        if self.primaries().any(|primary| primary.server.tls.is_some()) && parameters.text("ca").is_none() {
            return Err("boot parameter `secondary`: a primary over TLS wants `ca=FILE` too".into());
        }
        if self.workers > 0 && parameters.text("net").is_some_and(|net| net != "host") {
            return Err("boot parameter `workers`: only with host sockets".into());
        }
        let _ = updates;
        Ok(())
    }
}

/// 16 random bytes.
pub(crate) fn secret<P: Platform>(platform: &P) -> [u8; 16] {
    let mut secret = [0; 16];
    platform.entropy().fill(&mut secret);
    secret
}

/// The values of a list with commas.
fn list<T: FromStr<Err: Display>>(key: &str, list: Option<&str>) -> Result<Vec<T>, String> {
    let words = list.into_iter().flat_map(|list| list.split(','));
    words.map(|word| word.parse().map_err(|error| format!("boot parameter `{key}`: {error}"))).collect()
}
