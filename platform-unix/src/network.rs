//! Which network, by the boot parameters.
use airglow_device::{ParameterError, Parameters};
#[cfg(target_os = "linux")]
use {crate::platform::MOST_CARDS, airglow_device::MacAddr, airglow_net::InterfaceConfig};

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network<'a> {
    /// The host's sockets.
    Host,
    /// Airglow's own stack.
    #[cfg(target_os = "linux")]
    Own(Kind, Own<'a>),
    // So that the lifetime is used everywhere.
    #[cfg(not(target_os = "linux"))]
    #[allow(dead_code)]
    Never(std::convert::Infallible, &'a ()),
}

/// The kinds of cards that a stack of airglow's own may have.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tap devices.
    Tap,
    /// Interfaces of the host, through AF_PACKET.
    Packet,
    /// The same through AF_XDP.
    Xdp,
}

/// What a stack of airglow's own is told.
#[cfg(target_os = "linux")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    /// Its cards, at least one.
    pub interfaces: Vec<Interface<'a>>,
    pub offload: bool,
    /// Packets go from card to card.
    pub forward: bool,
    /// The file for the cards' frames.
    pub capture: Option<&'a str>,
    /// The file for samples of the connections.
    pub trace: Option<&'a str>,
}

/// What one card is told.
#[cfg(target_os = "linux")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface<'a> {
    pub device: &'a str,
    pub mac: Option<MacAddr>,
    pub addresses: InterfaceConfig,
}

/// The tap device when none is named.
#[cfg(target_os = "linux")]
const TAP: &str = "airglow0";

/// Words that only mean something on a network of airglow's own.
const OWN: [&str; 12] = [
    "device", "ipv4", "ipv6", "gateway", "gateway6", "dhcp", "slaac", "mac", "offload", "forward", "capture",
    "trace",
];

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
            Some("tap") => Ok(Self::Own(Kind::Tap, Own::read(parameters, Some(TAP))?)),
            #[cfg(target_os = "linux")]
            Some("packet") => Ok(Self::Own(Kind::Packet, Own::read(parameters, None)?)),
            #[cfg(target_os = "linux")]
            Some("xdp") => Ok(Self::Own(Kind::Xdp, Own::read(parameters, None)?)),
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
        let mut interfaces = vec![Interface::read(parameters, device)?];
        for number in 2..=MOST_CARDS as u8 {
            let another = parameters.numbered(number, |parameters| {
                parameters.text("device").map(|device| Interface::read(parameters, device))
            });
            let Some(another) = another.transpose()? else { break };
            if interfaces.iter().any(|other| other.device == another.device) {
                let word = parameters.numbered(number, |parameters| word(parameters, "device"));
                return Err(ParameterError { word, expected: "another interface than before" });
            }
            interfaces.push(another);
        }
        Ok(Self {
            interfaces,
            offload: parameters.switch("offload")?.unwrap_or(true),
            forward: parameters.switch("forward")?.unwrap_or(false),
            capture: file(parameters, "capture")?,
            trace: file(parameters, "trace")?,
        })
    }
}

#[cfg(target_os = "linux")]
impl<'a> Interface<'a> {
    fn read(parameters: &Parameters<'a>, device: &'a str) -> Result<Self, ParameterError<'a>> {
        let mac: Option<MacAddr> = parameters.get("mac", MAC)?;
        if mac.is_some_and(|mac| !mac.is_unicast()) {
            return Err(ParameterError { word: word(parameters, "mac"), expected: MAC });
        }
        Ok(Self { device, mac, addresses: InterfaceConfig::from_parameters(parameters)? })
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
    parameters.word(key).unwrap_or_default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_networks_are_chosen_by_name() {
        let read = |words| Network::read(&Parameters::new(words));
        assert_eq!(read("port=80"), Ok(Network::Host));
        assert_eq!(read("net=host"), Ok(Network::Host));
        let own = |words| match read(words) {
            Ok(Network::Own(kind, own)) => (kind, own),
            other => panic!("{words}: {other:?}"),
        };
        let (kind, tap) = own("net=tap ipv4=10.0.0.2/24 mac=02:00:00:00:00:01 offload=off trace=a.trace");
        assert_eq!((kind, tap.offload, tap.capture, tap.trace), (Kind::Tap, false, None, Some("a.trace")));
        let [only] = &tap.interfaces[..] else { panic!("{tap:?}") };
        assert_eq!((only.device, only.mac), (TAP, Some(MacAddr([2, 0, 0, 0, 0, 1]))));
        assert_eq!(address(only), "10.0.0.2/24");
        let (kind, packet) = own("net=packet device=veth0 dhcp");
        let [only] = &packet.interfaces[..] else { panic!("{packet:?}") };
        assert_eq!((kind, packet.offload, packet.forward), (Kind::Packet, true, false));
        assert_eq!((only.device, only.mac, only.addresses.dhcp), ("veth0", None, true));
        assert_eq!(own("net=xdp device=veth1").0, Kind::Xdp);
    }

    fn address(interface: &Interface<'_>) -> String {
        interface.addresses.ipv4.map(|v4| v4.address.to_string()).unwrap_or_default()
    }

    #[test]
    fn further_cards_have_words_with_their_number() {
        let words = Parameters::new(
            "ipv4.2=10.0.1.1/24 net=tap device.3=tap2 device.2=tap1 dhcp.3 ipv4=10.0.0.1/24 forward port.2=1",
        );
        let Ok(Network::Own(Kind::Tap, own)) = Network::read(&words) else { panic!("no tap") };
        let names: Vec<_> = own.interfaces.iter().map(|card| (card.device, address(card))).collect();
        let [first, second] = ["10.0.0.1/24", "10.0.1.1/24"].map(String::from);
        assert_eq!(names, [(TAP, first), ("tap1", second), ("tap2", String::new())]);
        let dhcp: Vec<_> = own.interfaces.iter().map(|card| card.addresses.dhcp).collect();
        assert_eq!((dhcp, own.forward), (vec![false, false, true], true));
        // What nobody asked for is found with its number, and so is a card that stands behind a gap.
        assert_eq!(words.unknown(), Some("port.2=1"));
        let gap = Parameters::new("net=tap device.3=tap2");
        assert!(Network::read(&gap).is_ok());
        assert_eq!(gap.unknown(), Some("device.3=tap2"));
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
            ("net=tap device.2=tap1 ipv4.2=10.0.0.2", "ipv4.2=10.0.0.2", "ipv4=10.0.0.2/24"),
            ("net=tap device.2=airglow0", "device.2=airglow0", "another interface"),
            ("forward", "forward", "`net=tap`, `net=packet` or `net=xdp`"),
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
