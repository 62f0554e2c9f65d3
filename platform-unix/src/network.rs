//! Which network, by the boot parameters.
use airglow_device::{ParameterError, Parameters};
#[cfg(target_os = "linux")]
use {airglow_device::MacAddr, airglow_net::InterfaceConfig};

/// The kinds of network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network<'a> {
    /// The host's sockets.
    Host,
    /// Airglow's own stack on a tap device.
    #[cfg(target_os = "linux")]
    Tap(Own<'a>),
    /// Airglow's own stack on an interface of the host, through AF_PACKET.
    #[cfg(target_os = "linux")]
    Packet(Own<'a>),
    /// The same through AF_XDP.
    #[cfg(target_os = "linux")]
    Xdp(Own<'a>),
    // So that the lifetime is used everywhere.
    #[cfg(not(target_os = "linux"))]
    #[allow(dead_code)]
    Never(std::convert::Infallible, &'a ()),
}

/// What a stack of airglow's own is told.
#[cfg(target_os = "linux")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    pub device: &'a str,
    pub mac: Option<MacAddr>,
    pub offload: bool,
    /// The file for the card's frames.
    pub capture: Option<&'a str>,
    /// The file for samples of the connections.
    pub trace: Option<&'a str>,
    pub addresses: InterfaceConfig,
}

/// The tap device when none is named.
#[cfg(target_os = "linux")]
const TAP: &str = "airglow0";

/// Words that only mean something on a network of airglow's own.
const OWN: [&str; 11] =
    ["device", "ipv4", "ipv6", "gateway", "gateway6", "dhcp", "slaac", "mac", "offload", "capture", "trace"];

#[cfg(target_os = "linux")]
const KINDS: &str = "`host`, `tap`, `packet` or `xdp`";
#[cfg(not(target_os = "linux"))]
const KINDS: &str = "`host`: the others are for Linux";

impl<'a> Network<'a> {
    pub(crate) fn read(parameters: &Parameters<'a>) -> Result<Self, ParameterError<'a>> {
        match parameters.text("net") {
            None | Some("host") => {
                for key in OWN {
                    if parameters.text(key).is_some() {
                        return Err(ParameterError {
                            word: word(parameters, key),
                            expected: "`net=tap`, `net=packet` or `net=xdp` beside it: host sockets have the host's addresses",
                        });
                    }
                }
                Ok(Self::Host)
            }
            #[cfg(target_os = "linux")]
            Some("tap") => Ok(Self::Tap(Own::read(parameters, Some(TAP))?)),
            #[cfg(target_os = "linux")]
            Some("packet") => Ok(Self::Packet(Own::read(parameters, None)?)),
            #[cfg(target_os = "linux")]
            Some("xdp") => Ok(Self::Xdp(Own::read(parameters, None)?)),
            Some(_) => Err(ParameterError { word: word(parameters, "net"), expected: KINDS }),
        }
    }
}

#[cfg(target_os = "linux")]
impl<'a> Own<'a> {
    fn read(parameters: &Parameters<'a>, default: Option<&'a str>) -> Result<Self, ParameterError<'a>> {
        let device = parameters.text("device").or(default).ok_or_else(|| ParameterError {
            word: word(parameters, "net"),
            expected: "`device=NAME` beside it: the interface to answer on",
        })?;
        let mac: Option<MacAddr> = parameters.get("mac", MAC)?;
        if mac.is_some_and(|mac| !mac.is_unicast()) {
            return Err(ParameterError { word: word(parameters, "mac"), expected: MAC });
        }
        Ok(Self {
            device,
            mac,
            offload: parameters.switch("offload")?.unwrap_or(true),
            capture: file(parameters, "capture")?,
            trace: file(parameters, "trace")?,
            addresses: InterfaceConfig::from_parameters(parameters)?,
        })
    }
}

#[cfg(target_os = "linux")]
const MAC: &str = "the address of one card, as in mac=02:00:00:12:34:56";

/// The name of the file that `key` gives.
#[cfg(target_os = "linux")]
fn file<'a>(parameters: &Parameters<'a>, key: &str) -> Result<Option<&'a str>, ParameterError<'a>> {
    match parameters.text(key) {
        Some("") => Err(ParameterError {
            word: word(parameters, key),
            expected: "a file, as in capture=/tmp/own.pcapng",
        }),
        name => Ok(name),
    }
}

/// The word that counts for `key`, as it was given.
fn word<'a>(parameters: &Parameters<'a>, key: &str) -> &'a str {
    let named = |word: &&str| word.split('=').next() == Some(key);
    parameters.words().split_ascii_whitespace().rfind(named).unwrap_or_default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_networks_are_chosen_by_name() {
        let read = |words| Network::read(&Parameters::new(words));
        assert_eq!(read("port=80"), Ok(Network::Host));
        assert_eq!(read("net=host"), Ok(Network::Host));
        let Ok(Network::Tap(own)) =
            read("net=tap ipv4=10.0.0.2/24 mac=02:00:00:00:00:01 offload=off trace=a.trace")
        else {
            panic!("no tap");
        };
        assert_eq!((own.device, own.offload, own.capture, own.trace), (TAP, false, None, Some("a.trace")));
        assert_eq!(own.mac, Some(MacAddr([2, 0, 0, 0, 0, 1])));
        assert_eq!(own.addresses.ipv4.map(|v4| v4.address.to_string()).as_deref(), Some("10.0.0.2/24"));
        let Ok(Network::Packet(own)) = read("net=packet device=veth0 dhcp") else { panic!("no packet") };
        assert_eq!((own.device, own.offload, own.mac, own.addresses.dhcp), ("veth0", true, None, true));
        assert!(matches!(read("net=xdp device=veth1"), Ok(Network::Xdp(own)) if own.device == "veth1"));
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, word, expected) in [
            ("net=wifi", "net=wifi", "`host`, `tap`, `packet` or `xdp`"),
            ("net=packet", "net=packet", "`device=NAME`"),
            ("net=xdp", "net=xdp", "`device=NAME`"),
            ("dhcp", "dhcp", "`net=tap`, `net=packet` or `net=xdp`"),
            ("net=tap mac=1:2", "mac=1:2", "mac=02:00:00:12:34:56"),
            ("net=tap mac=ff:ff:ff:ff:ff:ff", "mac=ff:ff:ff:ff:ff:ff", "one card"),
            ("net=tap ipv4=10.0.0.2", "ipv4=10.0.0.2", "ipv4=10.0.0.2/24"),
            ("net=tap capture", "capture", "capture=/tmp/own.pcapng"),
            ("net=tap trace=", "trace=", "a file"),
            ("capture=file", "capture=file", "`net=tap`, `net=packet` or `net=xdp`"),
            ("net=tap offload=maybe", "offload=maybe", "`on` or `off`"),
        ] {
            let error = Network::read(&Parameters::new(words)).unwrap_err();
            assert_eq!(error.word, word);
            assert!(error.expected.contains(expected), "{error}");
        }
    }
}
