//! What an interface is told at boot: addresses, gateways, or who to ask for them.
use airglow_device::{ParameterError, Parameters};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An address with the length of its network's prefix: `10.0.0.2/24`, `2001:db8::2/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr<A> {
    /// The address.
    pub addr: A,
    /// Bits of the network prefix.
    pub prefix_len: u8,
}

/// An IPv4 address and its prefix length (at most 32).
pub type Ipv4Cidr = Cidr<Ipv4Addr>;
/// An IPv6 address and its prefix length (at most 128).
pub type Ipv6Cidr = Cidr<Ipv6Addr>;
/// An address of either version and its prefix length.
pub type IpCidr = Cidr<IpAddr>;

impl<A> Cidr<A> {
    /// `addr` in a network of `prefix_len` bits.
    pub const fn new(addr: A, prefix_len: u8) -> Self {
        Self { addr, prefix_len }
    }
}

impl<A: fmt::Display> fmt::Display for Cidr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

/// The text is not an address, a slash and a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACidr;

impl fmt::Display for NotACidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address and its prefix length, as in 10.0.0.2/24 or 2001:db8::2/64")
    }
}
impl core::error::Error for NotACidr {}

impl<A: FromStr + Into<IpAddr> + Copy> FromStr for Cidr<A> {
    type Err = NotACidr;
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (addr, prefix_len) = text.split_once('/').ok_or(NotACidr)?;
        let addr: A = addr.parse().map_err(|_| NotACidr)?;
        let prefix_len = prefix_len.parse().map_err(|_| NotACidr)?;
        let bits = if addr.into().is_ipv4() { 32 } else { 128 };
        if prefix_len > bits {
            return Err(NotACidr);
        }
        Ok(Self { addr, prefix_len })
    }
}

impl From<Ipv4Cidr> for IpCidr {
    fn from(cidr: Ipv4Cidr) -> Self {
        Self::new(cidr.addr.into(), cidr.prefix_len)
    }
}
impl From<Ipv6Cidr> for IpCidr {
    fn from(cidr: Ipv6Cidr) -> Self {
        Self::new(cidr.addr.into(), cidr.prefix_len)
    }
}

impl IpCidr {
    /// `addr` lies in this network.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_len.min(32))).unwrap_or(0);
                (a.to_bits() ^ b.to_bits()) & mask == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_len.min(128))).unwrap_or(0);
                (a.to_bits() ^ b.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// A fixed IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Config {
    /// The address and its network.
    pub address: Ipv4Cidr,
    /// The router to all other networks.
    pub gateway: Option<Ipv4Addr>,
    /// Ask the network first whether someone has the address (RFC 5227 section 2.1.1). That takes 4 to 7 seconds in which the
    /// address is not used; without it the address is announced and defended from the start.
    pub probe: bool,
}

impl Ipv4Config {
    /// `address` without a gateway, used at once.
    pub const fn new(address: Ipv4Cidr) -> Self {
        Self { address, gateway: None, probe: false }
    }
    /// With a router.
    pub const fn with_gateway(self, gateway: Ipv4Addr) -> Self {
        Self { gateway: Some(gateway), ..self }
    }
}

/// A fixed IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Config {
    /// The address and its network.
    pub address: Ipv6Cidr,
    /// The router to all other networks.
    pub gateway: Option<Ipv6Addr>,
}

impl Ipv6Config {
    /// `address` without a gateway.
    pub const fn new(address: Ipv6Cidr) -> Self {
        Self { address, gateway: None }
    }
    /// With a router.
    pub const fn with_gateway(self, gateway: Ipv6Addr) -> Self {
        Self { gateway: Some(gateway), ..self }
    }
}

/// What the lower half of IPv6 addresses is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterfaceIdentifier {
    /// The card's Ethernet address (RFC 4291 appendix A): the same in every network, for all to see.
    #[default]
    Eui64,
    /// A hash of the prefix, the card and this secret (RFC 7217): the same whenever the host is in the same network, and another
    /// in every other one. The secret must survive restarts and stay secret.
    Stable([u8; 16]),
}

/// What one interface is told. More addresses and routes may be added to a running stack.
///
/// ```
/// use airglow_device::Parameters;
/// use airglow_net::InterfaceConfig;
///
/// let config = InterfaceConfig::from_parameters(&Parameters::new("ipv4=10.0.0.2/24 gateway=10.0.0.1")).unwrap();
/// assert_eq!(config.ipv4.unwrap().address.to_string(), "10.0.0.2/24");
/// let wrong = Parameters::new("ipv4=10.0.0.2");
/// assert_eq!(InterfaceConfig::from_parameters(&wrong).unwrap_err().word, "ipv4=10.0.0.2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// A fixed IPv4 address.
    pub ipv4: Option<Ipv4Config>,
    /// A fixed IPv6 address.
    pub ipv6: Option<Ipv6Config>,
    /// Ask a DHCP server for an IPv4 address, a router and name servers.
    pub dhcp: bool,
    /// Ask a DHCP server for routes and name servers to go with the fixed address `ipv4` (RFC 2131 section 3.4), with the feature
    /// `dhcp-inform`.
    pub dhcp_inform: bool,
    /// Probe the address that a server gives before it is used (RFC 2131 section 4.4.1, RFC 5227), and decline it when another
    /// host has it. That takes 4 to 7 seconds.
    pub dhcp_probe: bool,
    /// Ask a DHCPv6 server for an address or configuration when a router says that there is one (RFC 8415), with the feature `dhcpv6` and
    /// `slaac`.
    pub dhcpv6: bool,
    /// Take IPv6 addresses and routers from router advertisements (RFC 4862).
    pub slaac: bool,
    /// Speak IPv6 at all: a link-local address, neighbour discovery.
    pub ipv6_enabled: bool,
    /// What the lower half of IPv6 addresses is made of.
    pub identifier: InterfaceIdentifier,
    /// Have temporary addresses too (RFC 8981), new ones every day, and prefer them for what is sent first.
    pub temporary: bool,
    /// Neighbour solicitations sent before an IPv6 address is used (RFC 4862 section 5.1 DupAddrDetectTransmits);
    /// 0 uses addresses at once.
    pub dad_transmits: u8,
}

impl Default for InterfaceConfig {
    /// No IPv4; with the feature `ipv6` a link-local address and what routers advertise.
    fn default() -> Self {
        Self {
            ipv4: None,
            ipv6: None,
            dhcp: false,
            dhcp_inform: false,
            dhcp_probe: true,
            dhcpv6: cfg!(feature = "dhcpv6"),
            slaac: crate::IPV6,
            ipv6_enabled: crate::IPV6,
            identifier: InterfaceIdentifier::Eui64,
            temporary: false,
            dad_transmits: 1,
        }
    }
}

impl InterfaceConfig {
    /// A fixed IPv4 address, and IPv6 as by default.
    pub fn ipv4(config: Ipv4Config) -> Self {
        Self { ipv4: Some(config), ..Self::default() }
    }

    /// IPv4 from a DHCP server, and IPv6 as by default.
    pub fn dhcp() -> Self {
        Self { dhcp: true, ..Self::default() }
    }

    /// With a fixed IPv6 address too.
    pub fn with_ipv6(self, config: Ipv6Config) -> Self {
        Self { ipv6: Some(config), ..self }
    }

    /// From boot parameters: `ipv4=10.0.0.2/24`, `gateway=10.0.0.1`, `dhcp` (or `dhcp=inform` beside `ipv4=`: routes and name servers alone), `ipv6=2001:db8::2/64` (or `ipv6=off`, `ipv6=auto`),
    /// `gateway6=2001:db8::1`, `dhcpv6=off`, `temporary` (addresses for a day, RFC 8981), `stable=` with 32 hexadecimal digits of a secret (RFC 7217), `probe` (look for another owner of an IPv4 address before it is used; on by default for
    /// `dhcp`, off for `ipv4=`). With `ipv6=ADDRESS/LENGTH` router advertisements are heeded too unless `slaac=off`.
    ///
    /// # Errors
    /// The word that is wrong, and what it should be.
    pub fn from_parameters<'a>(parameters: &Parameters<'a>) -> Result<Self, ParameterError<'a>> {
        let gateway: Option<Ipv4Addr> =
            parameters.get("gateway", "the router's IPv4 address, as in gateway=10.0.0.1")?;
        let ipv4: Option<Ipv4Cidr> =
            parameters.get("ipv4", "an IPv4 address and its prefix length, as in ipv4=10.0.0.2/24")?;
        let mut config = Self::default();
        if crate::DHCP {
            config.dhcp_inform = crate::DHCP_INFORM && parameters.text("dhcp") == Some("inform");
            if !config.dhcp_inform {
                config.dhcp = parameters.switch("dhcp")?.unwrap_or(false);
            } else if ipv4.is_none() {
                let expected = "an address beside it, as in ipv4=10.0.0.2/24 dhcp=inform";
                return Err(ParameterError { word: "dhcp=inform", expected });
            }
        }
        let probe = parameters.switch("probe")?;
        config.ipv4 = ipv4.map(|address| Ipv4Config { address, gateway, probe: probe.unwrap_or(false) });
        config.dhcp_probe = probe.unwrap_or(true);
        if !crate::IPV6 {
            parameters.get::<Off>("ipv6", "`off`: this image was built without IPv6")?;
            return Ok(config);
        }
        let gateway6: Option<Ipv6Addr> =
            parameters.get("gateway6", "the router's IPv6 address, as in gateway6=2001:db8::1")?;
        match parameters.text("ipv6") {
            None | Some("auto" | "on" | "") => {}
            Some("off") => {
                config.ipv6_enabled = false;
                config.slaac = false;
            }
            Some(_) => {
                let expected =
                    "`auto`, `off`, or an IPv6 address and its prefix length, as in ipv6=2001:db8::2/64";
                config.ipv6 = parameters
                    .get("ipv6", expected)?
                    .map(|address| Ipv6Config { address, gateway: gateway6 });
            }
        }
        config.temporary = parameters.switch("temporary")?.unwrap_or(false);
        if let Some(secret) = parameters.get::<Secret>("stable", "a secret of 32 hexadecimal digits")? {
            config.identifier = InterfaceIdentifier::Stable(secret.0);
        }
        if let Some(slaac) = parameters.switch("slaac")? {
            config.slaac = slaac && config.ipv6_enabled;
        }
        if cfg!(feature = "dhcpv6") {
            config.dhcpv6 = parameters.switch("dhcpv6")?.unwrap_or(true);
        }
        Ok(config)
    }
}

/// The word `off`.
struct Off;

impl FromStr for Off {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "off" { Ok(Self) } else { Err(()) }
    }
}

/// Sixteen bytes in hexadecimal digits.
struct Secret([u8; 16]);

impl FromStr for Secret {
    type Err = NotACidr;
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let digits = Some(text).filter(|t| t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|text| u128::from_str_radix(text, 16).ok()).ok_or(NotACidr)?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_parse_print_and_contain() {
        let v4: IpCidr = "10.1.2.3/20".parse().unwrap();
        assert!(v4.contains("10.1.15.255".parse().unwrap()) && !v4.contains("10.1.16.0".parse().unwrap()));
        assert!(!v4.contains("::1".parse().unwrap()));
        let all: IpCidr = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert_eq!(v4.to_string(), "10.1.2.3/20");
        for bad in ["10.0.0.1", "10.0.0.1/33", "::1/129", "x/8", "10.0.0.1/-1", "10.0.0.1/"] {
            assert_eq!(bad.parse::<IpCidr>(), Err(NotACidr), "{bad}");
        }
        assert!("::1/64".parse::<Ipv4Cidr>().is_err());
    }

    #[test]
    fn boot_parameters() {
        let read = |words| InterfaceConfig::from_parameters(&Parameters::new(words));
        assert_eq!(read("").unwrap(), InterfaceConfig::default());
        assert!(read("dhcp").unwrap().dhcp);
        let inform = read("ipv4=10.0.0.2/24 dhcp=inform").unwrap();
        assert!(inform.dhcp_inform && !inform.dhcp);
        assert_eq!(read("dhcp=inform").unwrap_err().word, "dhcp=inform");
        let both =
            read("ipv4=10.0.0.2/24 gateway=10.0.0.1 ipv6=2001:db8::2/64 gateway6=2001:db8::1").unwrap();
        assert_eq!(both.ipv4.unwrap().gateway, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(both.ipv6.unwrap().gateway, Some("2001:db8::1".parse().unwrap()));
        let private = read("temporary stable=000102030405060708090a0b0c0d0e0f").unwrap();
        let secret = core::array::from_fn(|i| i as u8);
        assert_eq!((private.temporary, private.identifier), (true, InterfaceIdentifier::Stable(secret)));
        assert_eq!(read("stable=00").unwrap_err().word, "stable=00");
        let off = read("ipv6=off").unwrap();
        assert!(!off.ipv6_enabled && !off.slaac);
        for (words, wrong) in
            [("ipv4=1.2.3.4", "ipv4=1.2.3.4"), ("dhcp=perhaps", "dhcp=perhaps"), ("ipv6=::1", "ipv6=::1")]
        {
            assert_eq!(read(words).unwrap_err().word, wrong);
        }
    }
}
