//! A DHCPv6 client for each interface whose routers say that there is something to ask for (RFC 8415): one address (IA_NA) when
//! they set the managed flag, configuration alone when they set the other (RFC 4861 section 4.2).
//!
//! A lease is renewed, rebound, confirmed when the link was away, declined when another host has the address, and released once.
use crate::{
    AddressState,
    address::Origin,
    config::IpCidr,
    interface::NameServer,
    ip::Core,
    ipv4::Received,
    link::Link,
    output::Outgoing,
    wire::{
        dhcpv6::{
            ALL_SERVERS, CLIENT_PORT, INFORMATION_REQUESTS, IaAddress, IaNa, MessageType, REQUESTS, Repr,
            SERVER_PORT, status,
        },
        ndp::lifetime,
        protocol,
        udp::{self, Datagram},
    },
};
use airglow_device::{Instant, MacAddr};
use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use heapless::Vec;

/// The longest DUID, its type included (RFC 8415 section 11.1).
const LONGEST_DUID: usize = 130;
/// Our one identity association.
const IAID: u32 = 1;
/// IRT_DEFAULT and IRT_MINIMUM of RFC 8415 section 7.6.
const REFRESH: u32 = 86_400;
const LEAST_REFRESH: u32 = 600;
/// SOL_MAX_DELAY, CNF_MAX_DELAY and INF_MAX_DELAY: not all hosts at once after a power failure.
const MAX_DELAY: u64 = 1_000_000_000;
/// CNF_MAX_RD.
const CONFIRM_FOR: Duration = Duration::from_secs(10);
/// Bounds of SOL_MAX_RT and INF_MAX_RT as a server may set them (RFC 8415 sections 21.24 and 21.25).
const PAUSES: core::ops::RangeInclusive<u32> = 60..=86_400;

/// RFC 8415 section 18.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Looking for servers.
    Soliciting,
    /// Asking one for what it advertised.
    Requesting,
    /// Asking whether the address is right on the link that came back.
    Confirming,
    /// Holding a lease.
    Bound,
    /// Asking the server to prolong it.
    Renewing,
    /// Asking any server to.
    Rebinding,
    /// Another host has the address: saying so.
    Declining,
    /// Asking for configuration alone.
    Informing,
    /// Having it.
    Informed,
}

impl State {
    /// The message, its IRT and MRT in seconds (0: no bound), and its MRC (0: no bound): RFC 8415 section 7.6.
    fn exchange(self) -> (MessageType, u64, u64, u8) {
        match self {
            Self::Soliciting => (MessageType::Solicit, 1, 3600, 0),
            Self::Requesting => (MessageType::Request, 1, 30, 10),
            Self::Confirming => (MessageType::Confirm, 1, 4, 0),
            Self::Bound | Self::Renewing => (MessageType::Renew, 10, 600, 0),
            Self::Rebinding => (MessageType::Rebind, 10, 600, 0),
            Self::Declining => (MessageType::Decline, 1, 0, 4),
            Self::Informing | Self::Informed => (MessageType::InformationRequest, 1, 3600, 0),
        }
    }
}

/// An address and its times.
#[derive(Clone, Copy, Debug)]
struct Lease {
    addr: Ipv6Addr,
    renew: Instant,
    rebind: Instant,
    expires: Instant,
}

/// The client of one interface.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    state: State,
    xid: u32,
    /// When the exchange at hand began.
    started: Instant,
    next: Instant,
    tries: u8,
    /// RT.
    pause: Duration,
    /// SOL_MAX_RT or INF_MAX_RT, if the server set it.
    most_pause: Option<u32>,
    /// The server that was chosen, and how it ranks.
    server: Vec<u8, LONGEST_DUID>,
    preference: Option<u8>,
    lease: Option<Lease>,
}

impl Client {
    fn new(state: State, next: Instant) -> Self {
        Self {
            state,
            xid: 0,
            started: next,
            next,
            tries: 0,
            pause: Duration::ZERO,
            most_pause: None,
            server: Vec::new(),
            preference: None,
            lease: None,
        }
    }

    fn enter(&mut self, state: State, next: Instant) {
        self.state = state;
        self.next = next;
        self.tries = 0;
    }

    /// Looks for a server again.
    fn start_over(&mut self, next: Instant) {
        *self = Self { most_pause: self.most_pause, ..Self::new(State::Soliciting, next) };
    }

    /// RFC 8415 section 15. `random`: at most 200 per mille.
    fn lengthen(&mut self, random: u64) {
        let (_, first, most, _) = self.state.exchange();
        let most = self.most_pause.filter(|_| most == 3600).map_or(most, u64::from);
        let millis = |time: Duration| time.as_millis() as u64;
        // RAND is between -0.1 and +0.1; of the first Solicit it is above 0.
        let spread = |base: u64, random: u64| base * random / 1000;
        let pause = match self.tries {
            0 if self.state == State::Soliciting => first * 1000 + spread(first * 1000, random / 2 + 1),
            0 => first * 900 + spread(first * 1000, random),
            _ => millis(self.pause) * 19 / 10 + spread(millis(self.pause), random),
        };
        let pause =
            if most > 0 && pause > most * 1000 { most * 900 + spread(most * 1000, random) } else { pause };
        self.pause = Duration::from_millis(pause);
    }
}

/// RFC 8415 section 11.4: a DUID based on the link-layer address, DUID-LL, of Ethernet.
fn duid(mac: MacAddr) -> [u8; 10] {
    let [a, b, c, d, e, f] = mac.0;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

impl Core<'_> {
    /// What a router says of DHCPv6 on the link.
    pub(crate) fn heed_dhcpv6_flags(&mut self, now: Instant, interface: usize, managed: bool, other: bool) {
        let delay = Duration::from_nanos(self.random.below(MAX_DELAY));
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        if !card.config.is_some_and(|config| config.dhcpv6) {
            return;
        }
        let stateless = |client: &Client| matches!(client.state, State::Informing | State::Informed);
        let state = match &card.dhcpv6 {
            Some(client) if managed && stateless(client) => State::Soliciting,
            None if managed => State::Soliciting,
            None if other => State::Informing,
            _ => return,
        };
        card.dhcpv6 = Some(Client::new(state, now + delay));
    }

    /// The link came back, and may be another (RFC 8415 section 18.2.3).
    pub(crate) fn restart_dhcpv6(&mut self, now: Instant, interface: usize) {
        let next = now + Duration::from_nanos(self.random.below(MAX_DELAY));
        let Some(client) = self.interfaces.get_mut(interface).and_then(|card| card.dhcpv6.as_mut()) else {
            return;
        };
        match client.state {
            State::Informing | State::Informed => client.enter(State::Informing, next),
            State::Bound | State::Renewing | State::Rebinding | State::Confirming => {
                client.enter(State::Confirming, next);
            }
            _ => client.start_over(next),
        }
    }

    /// Gives the lease back, with one message, and asks for no other.
    pub(crate) fn release_dhcpv6(&mut self, now: Instant, interface: usize, link: &mut dyn Link) {
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        let mac = card.mac;
        let Some(client) = card.dhcpv6.take() else { return };
        let Some(lease) = client.lease else { return };
        self.remove_address(now, lease.addr.into());
        if !client.server.is_empty() {
            let id = duid(mac);
            let xid = self.random.next() as u32;
            let message = Repr {
                server_id: &client.server,
                elapsed: Some(0),
                ia: Some(association(Some(lease.addr))),
                ..Repr::new(MessageType::Release, xid, &id)
            };
            self.send_dhcpv6(now, link, interface, &message);
        }
    }

    /// When a client has something to do.
    pub(crate) fn dhcpv6_timeout(&self) -> Instant {
        let clients = self.interfaces.iter().filter(|card| card.up).filter_map(|card| card.dhcpv6.as_ref());
        clients.map(|client| client.next).min().unwrap_or(Instant::MAX)
    }

    /// Takes in a datagram if it is for a client: `true`.
    pub(crate) fn receive_dhcpv6(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        datagram: &Datagram<'_>,
    ) -> bool {
        let interface = received.interface;
        let Some(card) = self.interfaces.get_mut(interface) else { return false };
        let id = duid(card.mac);
        let Some(client) = card.dhcpv6.as_mut() else { return false };
        if datagram.dst_port() != CLIENT_PORT || received.src.is_ipv4() {
            return false;
        }
        let Ok(message) = Repr::parse(datagram.payload()) else {
            self.stats.malformed += 1;
            return true;
        };
        //= https://www.rfc-editor.org/rfc/rfc8415#section-16.10
        //# Clients MUST discard any received Reply message that meets any of the
        //# following conditions:
        let server = Vec::from_slice(message.server_id).unwrap_or_default();
        let ours =
            message.xid == client.xid && message.client_id == id && !server.is_empty() && client.tries > 0;
        if !ours {
            return true;
        }
        if let Some(pause) = message.most_pause.filter(|pause| PAUSES.contains(pause)) {
            client.most_pause = Some(pause);
        }
        let ia = message
            .ia
            .filter(|ia| ia.iaid == IAID && (ia.renew == 0 || ia.rebind == 0 || ia.renew <= ia.rebind));
        let offered = ia.filter(|ia| ia.status == status::SUCCESS).and_then(|ia| Some((ia, ia.address?)));
        let good = message.status == status::SUCCESS;
        match (message.message_type, client.state) {
            (MessageType::Advertise, State::Soliciting) => {
                let usable = offered.is_some_and(|(_, address)| is_host(address) && address.valid > 0);
                let better = client.preference.is_none_or(|known| message.preference > known);
                if good && usable && better {
                    (client.server, client.preference) = (server, Some(message.preference));
                    //= https://www.rfc-editor.org/rfc/rfc8415#section-18.2.1
                    //# If the client receives a valid Advertise message that includes a
                    //# Preference option with a preference value of 255, the client
                    //# immediately begins a client-initiated message exchange
                    if message.preference == 255 || client.tries > 1 {
                        client.enter(State::Requesting, now);
                    }
                }
            }
            (MessageType::Reply, State::Requesting | State::Renewing | State::Rebinding) => {
                let refused = |code| message.status == code || ia.is_some_and(|ia| ia.status == code);
                if refused(status::NOT_ON_LINK) || refused(status::NO_ADDRS_AVAIL) {
                    self.dhcpv6_lose(now, interface, now + Duration::from_secs(1));
                } else if refused(status::NO_BINDING) && client.state != State::Requesting {
                    client.server = server;
                    client.enter(State::Requesting, now);
                } else if let Some((ia, address)) = offered.filter(|_| good) {
                    client.server = server;
                    if address.valid == 0 || !is_host(address) || address.preferred > address.valid {
                        self.dhcpv6_lose(now, interface, now + Duration::from_secs(1));
                    } else {
                        self.dhcpv6_bind(now, interface, &ia, address);
                        self.dhcpv6_configure(now, interface, &message, address.valid);
                    }
                }
            }
            (MessageType::Reply, State::Confirming) => {
                if message.status == status::NOT_ON_LINK {
                    self.dhcpv6_lose(now, interface, now);
                } else if good {
                    let next = client.lease.map_or(now, |lease| lease.renew);
                    client.enter(State::Bound, next);
                }
            }
            (MessageType::Reply, State::Declining) => {
                self.dhcpv6_lose(now, interface, now + Duration::from_secs(1));
            }
            (MessageType::Reply, State::Informing) if good => {
                let refresh = message.refresh.unwrap_or(REFRESH).max(LEAST_REFRESH);
                client.enter(State::Informed, now + lifetime(refresh));
                // Should the server be away then, what it said is used for as long again.
                self.dhcpv6_configure(now, interface, &message, refresh.saturating_mul(2));
            }
            _ => {}
        }
        true
    }

    /// Takes the address that a server gave or prolonged.
    fn dhcpv6_bind(&mut self, now: Instant, interface: usize, ia: &IaNa, address: IaAddress) {
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        let probe = card.config.is_none_or(|config| config.dad_transmits > 0);
        let Some(client) = card.dhcpv6.as_mut() else { return };
        let old = client.lease.map(|lease| lease.addr).filter(|addr| *addr != address.addr);
        // RFC 8415 section 21.4: where the server leaves it to the client, 0.5 and 0.8 of the preferred lifetime.
        let after = |seconds: u32, tenths: u64| match seconds {
            u32::MAX => Instant::MAX,
            seconds => now + Duration::from_millis(u64::from(seconds) * 100 * tenths),
        };
        let expires = after(address.valid, 10);
        let share = |given: u32, tenths| {
            if given == 0 { after(address.preferred.max(1), tenths) } else { after(given, 10) }
        };
        let rebind = share(ia.rebind, 8).min(expires);
        let renew = share(ia.renew, 5).min(rebind);
        client.lease = Some(Lease { addr: address.addr, renew, rebind, expires });
        client.enter(State::Bound, renew);
        if let Some(old) = old {
            self.remove_address(now, old.into());
        }
        // Not on the link by itself: only routers' prefixes say what is (RFC 5942 section 4).
        let cidr = IpCidr::new(address.addr.into(), 128);
        let _ = self.add_address(now, interface, cidr, Origin::Dhcpv6, probe);
        if let Some(known) =
            self.addresses.iter_mut().flatten().find(|a| a.cidr == cidr && a.origin == Origin::Dhcpv6)
        {
            known.valid_until = expires;
            known.preferred_until = after(address.preferred, 10);
            self.next = self.next.min(expires);
        }
    }

    /// Name servers and search domains, for so many seconds.
    fn dhcpv6_configure(&mut self, now: Instant, interface: usize, message: &Repr<'_>, seconds: u32) {
        let expires = now + lifetime(seconds);
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        for octets in message.name_servers.as_chunks::<16>().0 {
            let addr = IpAddr::from(*octets);
            match card.name_servers.iter_mut().find(|known| known.addr == addr) {
                Some(known) => known.expires = known.expires.max(expires),
                None => {
                    let _ = card.name_servers.push(NameServer { addr, expires });
                }
            }
        }
        self.next = self.next.min(expires);
        #[cfg(feature = "search-list")]
        self.learn_search_domains(now, interface, message.domains, seconds);
    }

    /// The lease is over or refused: look for another.
    fn dhcpv6_lose(&mut self, now: Instant, interface: usize, next: Instant) {
        let Some(client) = self.interfaces.get_mut(interface).and_then(|card| card.dhcpv6.as_mut()) else {
            return;
        };
        let lease = client.lease;
        client.start_over(next);
        if let Some(lease) = lease {
            self.remove_address(now, lease.addr.into());
        }
    }

    /// Sends what is due.
    pub(crate) fn poll_dhcpv6(&mut self, now: Instant, link: &mut dyn Link) {
        for interface in 0..self.interfaces.len() {
            self.decline_dhcpv6(now, interface);
            // What ends here may begin something else at once, and that waits for an answer.
            while self.poll_dhcpv6_client(now, interface, link) {}
        }
    }

    /// Another host has the address that a server gave.
    fn decline_dhcpv6(&mut self, now: Instant, interface: usize) {
        let Some(client) = self.interfaces.get_mut(interface).and_then(|card| card.dhcpv6.as_mut()) else {
            return;
        };
        let Some(lease) = client.lease.filter(|_| client.state != State::Declining) else { return };
        let taken =
            |a: &crate::Address| a.cidr.addr == IpAddr::V6(lease.addr) && a.state == AddressState::Duplicate;
        if self.addresses.iter().flatten().any(taken) {
            client.enter(State::Declining, now);
            self.remove_address(now, lease.addr.into());
        }
    }

    /// Lets one client do what is due; `true`: it goes on at once.
    fn poll_dhcpv6_client(&mut self, now: Instant, interface: usize, link: &mut dyn Link) -> bool {
        let Some(card) = self.interfaces.get(interface).filter(|card| card.up) else { return false };
        let mac = card.mac;
        let Some(mut client) = card.dhcpv6.clone().filter(|client| client.next <= now) else { return false };
        // It must have an address to be answered at, which may still be probed.
        if self.source(now, interface, ALL_SERVERS.into()).is_none() {
            client.next = now + Duration::from_millis(500);
            self.put_dhcpv6(interface, client);
            return false;
        }
        match (client.state, client.lease) {
            (State::Bound, Some(_)) => client.enter(State::Renewing, now),
            (State::Informed, _) => client.enter(State::Informing, now),
            (State::Soliciting, _) if client.preference.is_some() => client.enter(State::Requesting, now),
            _ => {}
        }
        match (client.state, client.lease) {
            (State::Renewing, Some(lease)) if now >= lease.rebind => client.enter(State::Rebinding, now),
            (State::Confirming, Some(lease))
                if client.tries > 0 && now.since(client.started) >= CONFIRM_FOR =>
            {
                // RFC 8415 section 18.2.3: without an answer it goes on using the address.
                client.enter(State::Bound, lease.renew.max(now));
                self.put_dhcpv6(interface, client);
                return true;
            }
            _ => {}
        }
        let (kind, _, _, most) = client.state.exchange();
        let over = most > 0 && client.tries >= most;
        let lost = match (client.state, client.lease) {
            (State::Renewing | State::Rebinding, Some(lease)) => now >= lease.expires,
            (
                State::Bound | State::Renewing | State::Rebinding | State::Confirming | State::Declining,
                None,
            ) => true,
            _ => over,
        };
        if lost {
            self.dhcpv6_lose(now, interface, now);
            return true;
        }
        if client.tries == 0 {
            (client.xid, client.started) = (self.random.next() as u32 & 0xff_ffff, now);
        }
        client.lengthen(self.random.below(200));
        client.tries = client.tries.saturating_add(1);
        client.next = now + client.pause;
        if let Some(lease) = client.lease {
            match client.state {
                State::Renewing => client.next = client.next.min(lease.rebind),
                State::Rebinding => client.next = client.next.min(lease.expires),
                _ => {}
            }
        }
        let id = duid(mac);
        let hundredths = now.since(client.started).as_millis() / 10;
        let mut message = Repr::new(kind, client.xid, &id);
        message.elapsed = Some(u16::try_from(hundredths).unwrap_or(u16::MAX));
        if client.state != State::Informing {
            message.ia = Some(association(client.lease.map(|lease| lease.addr)));
        }
        let to_one = matches!(client.state, State::Requesting | State::Renewing | State::Declining);
        let server = client.server.clone();
        if to_one {
            message.server_id = &server;
        }
        message.requests = match client.state {
            State::Informing => &INFORMATION_REQUESTS,
            State::Confirming | State::Declining => &[],
            _ => &REQUESTS,
        };
        self.put_dhcpv6(interface, client);
        self.send_dhcpv6(now, link, interface, &message);
        false
    }

    fn put_dhcpv6(&mut self, interface: usize, client: Client) {
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.dhcpv6 = Some(client);
        }
    }

    fn send_dhcpv6(&mut self, now: Instant, link: &mut dyn Link, interface: usize, message: &Repr<'_>) {
        let Some(from) = self.source(now, interface, ALL_SERVERS.into()) else { return };
        let payload_len = message.len();
        let header = udp::Repr { src_port: CLIENT_PORT, dst_port: SERVER_PORT, payload_len };
        let len = udp::HEADER_LEN + payload_len;
        let packet = Outgoing::new(from, ALL_SERVERS.into(), protocol::UDP, len).on(interface);
        self.answer(now, link, &packet, &mut |room| {
            header.emit(room).and_then(|body| message.emit(body)).map_or(0, |()| len)
        });
    }
}

/// Our identity association, with an address that we have.
fn association(addr: Option<Ipv6Addr>) -> IaNa {
    let address = addr.map(|addr| IaAddress { addr, preferred: 0, valid: 0 });
    IaNa { iaid: IAID, renew: 0, rebind: 0, status: status::SUCCESS, address }
}

/// An address that a server may give.
fn is_host(address: IaAddress) -> bool {
    let addr = address.addr;
    !addr.is_unspecified() && !addr.is_multicast() && !addr.is_loopback() && !addr.is_unicast_link_local()
}
