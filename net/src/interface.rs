//! What the stack knows of one network card.
use crate::{config::InterfaceConfig, dhcpv4::Client, multicast::Querier, slaac::RouterSolicitation};
use airglow_device::{Caps, Instant, MacAddr};
use core::{net::IpAddr, time::Duration};
use heapless::Vec;

/// Name servers kept for each interface.
pub(crate) const NAME_SERVERS: usize = 3;

/// A name server, and until when it may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameServer {
    pub addr: IpAddr,
    pub expires: Instant,
}

/// One interface: its card, its configuration, what routers and servers said on its link.
pub struct Interface {
    pub(crate) active: bool,
    pub(crate) mac: MacAddr,
    /// The interface is a VLAN of that number on another one.
    pub(crate) vlan: Option<(u8, u16)>,
    pub(crate) caps: Caps,
    pub(crate) up: bool,
    pub(crate) config: Option<InterfaceConfig>,
    /// The MTU for IPv6 that a router advertised (RFC 4861 section 6.3.4).
    pub(crate) mtu6: usize,
    /// Hop limits of packets we send, over IPv4 and IPv6.
    pub(crate) ttl: u8,
    pub(crate) hop_limit: u8,
    pub(crate) base_reachable: Duration,
    pub(crate) reachable: Duration,
    pub(crate) retransmit: Duration,
    pub(crate) solicitation: RouterSolicitation,
    pub(crate) dhcp: Option<Client>,
    /// Requests for hosts behind us are answered (RFC 1027).
    #[cfg(feature = "forwarding")]
    pub(crate) proxy_arp: bool,
    #[cfg(feature = "dhcpv6")]
    pub(crate) dhcpv6: Option<crate::dhcpv6::Client>,
    #[cfg(feature = "search-list")]
    pub(crate) search_list: crate::search_list::SearchList,
    pub(crate) name_servers: Vec<NameServer, NAME_SERVERS>,
    /// Multicast routers of IPv4 and of IPv6.
    pub(crate) queriers: [Querier; 2],
    /// The device has not been told of a change in our groups.
    pub(crate) groups_changed: bool,
}

impl Interface {
    pub(crate) const NONE: Self = Self::new(MacAddr::UNSPECIFIED, Caps::new(0), false);

    pub(crate) const fn new(mac: MacAddr, caps: Caps, active: bool) -> Self {
        Self {
            active,
            mac,
            vlan: None,
            caps,
            up: active,
            config: None,
            mtu6: caps.mtu,
            ttl: 64,
            hop_limit: 64,
            base_reachable: Duration::from_secs(30),
            reachable: Duration::from_secs(30),
            retransmit: Duration::from_secs(1),
            solicitation: RouterSolicitation::IDLE,
            dhcp: None,
            #[cfg(feature = "forwarding")]
            proxy_arp: false,
            #[cfg(feature = "dhcpv6")]
            dhcpv6: None,
            #[cfg(feature = "search-list")]
            search_list: Vec::new(),
            name_servers: Vec::new(),
            queriers: [Querier::SILENT; 2],
            groups_changed: false,
        }
    }

    /// The number of the VLAN, whose tag is in front of what is sent.
    pub(crate) fn tag(&self) -> Option<u16> {
        if crate::VLAN { self.vlan.map(|(_, id)| id) } else { None }
    }

    /// The device behind interface number `own`.
    pub(crate) fn device(&self, own: usize) -> usize {
        self.vlan.filter(|_| crate::VLAN).map_or(own, |(parent, _)| parent.into())
    }

    /// The hop limit where the sender of a packet does not say.
    pub(crate) fn hop_limit(&self, ipv4: bool) -> u8 {
        if ipv4 { self.ttl } else { self.hop_limit }
    }

    /// The largest IP packet, header included.
    pub(crate) fn mtu(&self, ipv4: bool) -> usize {
        if ipv4 { self.caps.mtu } else { self.mtu6.min(self.caps.mtu) }
    }
}
