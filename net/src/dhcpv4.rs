//! A DHCP client for each interface that wants one (RFC 2131 section 4.4): it discovers, requests, renews, rebinds, gives up. For a fixed
//! address it asks what goes with it.
use crate::{
    address::Origin,
    config::{IpCidr, Ipv4Cidr},
    interface::NameServer,
    ip::Core,
    ipv4::Received,
    link::Link,
    output::Outgoing,
    route::RouteEntry,
    wire::{
        dhcpv4::{CLIENT_PORT, MessageType, PARAMETERS, Repr, SERVER_PORT, classless_routes},
        protocol,
        udp::{self, Datagram},
    },
};
use airglow_device::Instant;
use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// What marks a route as given by a server: behind a configured one, before a router's advertisement.
const METRIC: u16 = 512;
/// RFC 2131 section 4.1: 4 seconds, doubled up to 64, give or take one.
const FIRST_RETRY: u64 = 4;
const LAST_RETRY: u64 = 64;
/// RFC 2131 section 4.4.5.
const MIN_RENEWAL_RETRY: Duration = Duration::from_secs(60);
//= https://www.rfc-editor.org/rfc/rfc2131#section-3.1
//# The client SHOULD wait a minimum of ten seconds before restarting
//# the configuration process to avoid excessive network traffic in case
//# of looping.
const AFTER_DECLINE: Duration = Duration::from_secs(10);
/// Requests without an answer before the search starts over.
const REQUEST_TRIES: u32 = 4;
/// Requests for the old address after the link came back, before it is simply used on.
const REBOOT_TRIES: u32 = 2;
/// Questions what goes with a fixed address: RFC 2131 section 4.4.3 says four, then the host does without.
const INFORM_TRIES: u32 = 4;

/// RFC 2131 figure 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Looking for a server.
    Selecting,
    /// Asking one for what it offered.
    Requesting,
    /// Asking whether the old address holds after the link came back.
    Rebooting,
    /// Holding a lease.
    Bound,
    /// Asking the server to prolong it.
    Renewing,
    /// Asking any server to.
    Rebinding,
    /// The address is taken: saying so.
    Declining,
    /// Asking what goes with a fixed address. It never asks for another.
    Informing,
}

/// A lease, or the offer of one.
#[derive(Clone, Copy, Debug)]
struct Lease {
    addr: Ipv4Addr,
    server: Ipv4Addr,
    renew: Instant,
    rebind: Instant,
    expires: Instant,
}

/// The client of one interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    state: State,
    xid: u32,
    started: Instant,
    next: Instant,
    tries: u32,
    /// When the last request was sent.
    asked: Instant,
    lease: Option<Lease>,
}

impl Client {
    fn new(now: Instant, xid: u32) -> Self {
        Self { state: State::Selecting, xid, started: now, next: now, tries: 0, asked: now, lease: None }
    }

    fn enter(&mut self, state: State, next: Instant) {
        self.state = state;
        self.next = next;
        self.tries = 0;
    }

    /// How long to wait for an answer to the try that just went out.
    fn retry(&self, jitter: u64) -> Duration {
        let seconds = (FIRST_RETRY << self.tries.saturating_sub(1).min(5)).min(LAST_RETRY);
        Duration::from_nanos((seconds - 1) * 1_000_000_000 + jitter)
    }

    /// Half of what is left until `end`, at least a minute, at most all of it.
    fn half_until(now: Instant, end: Instant) -> Instant {
        (now + (end.since(now) / 2).max(MIN_RENEWAL_RETRY)).min(end)
    }
}

impl Core<'_> {
    fn dhcp_client(&mut self, interface: usize) -> Option<&mut Client> {
        if !crate::DHCP {
            return None;
        }
        self.interfaces.get_mut(interface)?.dhcp.as_mut()
    }

    pub(crate) fn start_dhcp(&mut self, now: Instant, interface: usize) {
        if !crate::DHCP {
            return;
        }
        let xid = self.random.next() as u32;
        if let Some(card) = self.interfaces.get_mut(interface) {
            let mut client = Client::new(now, xid);
            if crate::DHCP_INFORM && card.config.is_some_and(|config| config.dhcp_inform) {
                client.state = State::Informing;
            }
            card.dhcp = Some(client);
        }
    }

    /// The link came back: ask whether the address is still good here (RFC 2131 section 3.2).
    pub(crate) fn restart_dhcp(&mut self, now: Instant, interface: usize) {
        let xid = self.random.next() as u32;
        let Some(client) = self.dhcp_client(interface) else { return };
        if client.lease.is_some_and(|lease| lease.expires <= now) {
            return self.dhcp_lose(now, interface, Duration::ZERO);
        }
        client.xid = xid;
        client.started = now;
        if client.state == State::Informing {
            return client.enter(State::Informing, now);
        }
        let holds =
            matches!(client.state, State::Bound | State::Renewing | State::Rebinding | State::Rebooting);
        client.enter(if holds { State::Rebooting } else { State::Selecting }, now);
    }

    /// Gives the lease back and asks for no other.
    pub(crate) fn release_dhcp(&mut self, now: Instant, interface: usize, link: &mut dyn Link) {
        let Some(client) = self.dhcp_client(interface).copied() else { return };
        let Some(mac) = self.interfaces.get(interface).map(|card| card.mac) else { return };
        let bound =
            matches!(client.state, State::Bound | State::Renewing | State::Rebinding | State::Rebooting);
        if let Some(lease) = client.lease.filter(|_| bound) {
            let mut id = [1; 7];
            id[1..].copy_from_slice(&mac.0);
            // RFC 2131 table 5: no requested address, lease time, parameters or size, but the server's identifier.
            let mut message = Repr::client(MessageType::Release, self.random.next() as u32, mac);
            message.client_id = &id;
            message.ciaddr = lease.addr;
            message.server_id = Some(lease.server);
            self.send_dhcp(now, link, interface, lease.addr, lease.server, &message);
        }
        self.dhcp_clear(now, interface, false);
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.name_servers.retain(|server| server.addr.is_ipv6());
            card.dhcp = None;
        }
    }

    /// Another host has the address that a server gave.
    pub(crate) fn decline_dhcp(&mut self, now: Instant, interface: usize, addr: IpAddr) {
        if let Some(client) = self.dhcp_client(interface)
            && client.lease.is_some_and(|lease| IpAddr::V4(lease.addr) == addr)
        {
            client.enter(State::Declining, now);
        }
    }

    /// The interface has no address yet and waits for a server's answer.
    pub(crate) fn dhcp_waits(&self, interface: usize) -> bool {
        if !crate::DHCP {
            return false;
        }
        let client = self.interfaces.get(interface).and_then(|i| i.dhcp);
        client.is_some_and(|c| matches!(c.state, State::Selecting | State::Requesting | State::Rebooting))
    }

    /// When a client has something to do.
    pub(crate) fn dhcp_timeout(&self) -> Instant {
        if !crate::DHCP {
            return Instant::MAX;
        }
        let clients = self.interfaces.iter().filter(|i| i.up).filter_map(|i| i.dhcp.as_ref());
        clients.map(|client| client.next).min().unwrap_or(Instant::MAX)
    }

    /// Takes in a datagram if it is for a client: `true`.
    pub(crate) fn receive_dhcp(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        datagram: &Datagram<'_>,
    ) -> bool {
        if !crate::DHCP {
            return false;
        }
        let Some(card) = self.interfaces.get_mut(received.interface) else { return false };
        let (mac, Some(client)) = (card.mac, card.dhcp.as_mut()) else { return false };
        if datagram.dst_port() != CLIENT_PORT || received.src.is_ipv6() {
            return false;
        }
        let Ok(message) = Repr::parse(datagram.payload()) else {
            self.stats.malformed += 1;
            return true;
        };
        // RFC 2131 section 4.4.1: what does not bear the transaction's identifier is not ours.
        let ours = message.xid == client.xid && message.chaddr == mac && datagram.src_port() == SERVER_PORT;
        if !ours {
            return true;
        }
        let asked =
            matches!(client.state, State::Requesting | State::Rebooting | State::Renewing | State::Rebinding);
        // Only the server that was asked may answer a request to one.
        let server = message.server_id.or(client.lease.map(|l| l.server)).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let chosen = client.state != State::Requesting || client.lease.is_none_or(|l| l.server == server);
        match message.message_type {
            MessageType::Offer if client.state == State::Selecting => {
                let usable = message.server_id.is_some() && is_host(message.yiaddr);
                if let (true, Some(server)) = (usable, message.server_id) {
                    // The first offer is taken.
                    client.lease = Some(Lease {
                        addr: message.yiaddr,
                        server,
                        renew: Instant::MAX,
                        rebind: Instant::MAX,
                        expires: Instant::MAX,
                    });
                    client.enter(State::Requesting, now);
                }
            }
            MessageType::Ack if asked && chosen && is_host(message.yiaddr) => {
                self.dhcp_bind(now, received.interface, server, &message);
            }
            MessageType::Ack if client.state == State::Informing && client.next != Instant::MAX => {
                // Until the link was away.
                client.next = Instant::MAX;
                self.dhcp_informed(now, received.interface, &message);
            }
            MessageType::Nak if asked && chosen => {
                //= https://www.rfc-editor.org/rfc/rfc2131#section-3.1
                //# If the client receives a DHCPNAK message, the client restarts the
                //# configuration process.
                self.dhcp_lose(now, received.interface, Duration::from_secs(1));
            }
            _ => {}
        }
        true
    }

    /// Takes the lease that a server confirmed.
    fn dhcp_bind(&mut self, now: Instant, interface: usize, server: Ipv4Addr, message: &Repr<'_>) {
        let Some(seconds) = message.lease_time.filter(|seconds| *seconds > 0) else { return };
        //= https://www.rfc-editor.org/rfc/rfc2131#section-4.4.1
        //# The client records the lease expiration time
        //# as the sum of the time at which the original request was sent and the
        //# duration of the lease from the DHCPACK message.
        let asked = self.dhcp_client(interface).map_or(now, |client| client.asked);
        let after = |seconds: u32| {
            if seconds == u32::MAX { Instant::MAX } else { asked + Duration::from_secs(seconds.into()) }
        };
        let expires = after(seconds);
        // RFC 2131 section 4.4.5: T1 defaults to half, T2 to seven eighths of the lease.
        let share = |eighths: u64| {
            if seconds == u32::MAX {
                Instant::MAX
            } else {
                asked + Duration::from_millis(u64::from(seconds) * 125 * eighths)
            }
        };
        let rebind = message.rebinding_time.map(after).filter(|t2| *t2 < expires).unwrap_or(share(7));
        let renew = message.renewal_time.map(after).filter(|t1| *t1 < rebind).unwrap_or(share(4).min(rebind));
        let addr = message.yiaddr;
        let prefix_len = match message.subnet_mask.map(Ipv4Addr::to_bits) {
            Some(mask) if mask.leading_ones() + mask.trailing_zeros() >= 32 => mask.leading_ones() as u8,
            // Without a mask the class says it (RFC 791 section 3.2).
            _ => match addr.octets()[0] {
                0..128 => 8,
                128..192 => 16,
                _ => 24,
            },
        };
        let cidr = IpCidr::from(Ipv4Cidr::new(addr, prefix_len));
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        let probe = card.config.is_none_or(|c| c.dhcp_probe);
        let Some(client) = card.dhcp.as_mut() else { return };
        client.lease = Some(Lease { addr, server, renew, rebind, expires });
        client.enter(State::Bound, renew);
        let current = |a: &crate::address::Address| a.interface == interface && a.origin == Origin::Dhcp;
        let same = self.addresses.iter().flatten().any(|a| current(a) && a.cidr == cidr);
        self.dhcp_clear(now, interface, same);
        if !same && self.add_address(now, interface, cidr, Origin::Dhcp, probe).is_err() {
            return;
        }
        self.dhcp_take(interface, message);
    }

    /// Takes what goes with the fixed address of an interface.
    fn dhcp_informed(&mut self, now: Instant, interface: usize, message: &Repr<'_>) {
        self.dhcp_clear(now, interface, true);
        self.dhcp_take(interface, message);
    }

    /// Takes the name servers and routes of a message.
    fn dhcp_take(&mut self, interface: usize, message: &Repr<'_>) {
        let Some(card) = self.interfaces.get_mut(interface) else { return };
        card.name_servers.retain(|server| server.addr.is_ipv6());
        for server in &message.name_servers {
            let _ = card.name_servers.push(NameServer { addr: (*server).into(), expires: Instant::MAX });
        }
        let route = |destination: IpCidr, router: Ipv4Addr| RouteEntry {
            metric: METRIC,
            gateway: Some(IpAddr::V4(router)).filter(|_| !router.is_unspecified()),
            ..RouteEntry::on_link(destination, interface)
        };
        //= https://www.rfc-editor.org/rfc/rfc3442
        //# If the DHCP server returns both a Classless Static Routes option and
        //# a Router option, the DHCP client MUST ignore the Router option.
        if message.classless_routes.bytes().next().is_none() {
            if let Some(router) = message.router {
                let default = IpCidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
                let _ = self.add_route(route(default, router));
            }
        } else {
            let routes = classless_routes(message.classless_routes.bytes());
            for (destination, prefix_len, router) in routes {
                let _ = self.add_route(route(IpCidr::new(destination.into(), prefix_len), router));
            }
        }
    }

    /// Removes what a lease gave, but the address if it is `kept`.
    fn dhcp_clear(&mut self, now: Instant, interface: usize, kept: bool) {
        self.routes.retain(|r| r.interface != interface || r.metric != METRIC);
        self.last_path = None;
        let old = |a: &&crate::address::Address| a.interface == interface && a.origin == Origin::Dhcp;
        if !kept && let Some(addr) = self.addresses.iter().flatten().find(old).map(|a| a.cidr.addr) {
            self.remove_address(now, addr);
        }
    }

    /// The lease is over or refused: start again after `pause`.
    fn dhcp_lose(&mut self, now: Instant, interface: usize, pause: Duration) {
        self.dhcp_clear(now, interface, false);
        let xid = self.random.next() as u32;
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.name_servers.retain(|server| server.addr.is_ipv6());
            let mut client = Client::new(now, xid);
            client.next = now + pause;
            card.dhcp = Some(client);
        }
    }

    /// Sends what is due.
    pub(crate) fn poll_dhcp(&mut self, now: Instant, link: &mut dyn Link) {
        if !crate::DHCP {
            return;
        }
        for interface in 0..self.interfaces.len() {
            // A client that gives up starts over at once, and then waits for an answer.
            while self.poll_dhcp_client(now, interface, link) {}
        }
    }

    /// Lets one client do what is due; `true`: it goes on at once.
    fn poll_dhcp_client(&mut self, now: Instant, interface: usize, link: &mut dyn Link) -> bool {
        let Some(card) = self.interfaces.get(interface).filter(|i| i.up) else { return false };
        let (mac, Some(mut client)) = (card.mac, card.dhcp) else { return false };
        if now < client.next {
            return false;
        }
        let jitter = self.random.below(2_000_000_000);
        let mut id = [1; 7];
        id[1..].copy_from_slice(&mac.0);
        let kind = match client.state {
            State::Informing if crate::DHCP_INFORM => MessageType::Inform,
            State::Selecting => MessageType::Discover,
            State::Declining => MessageType::Decline,
            _ => MessageType::Request,
        };
        let mut message = Repr::client(kind, client.xid, mac);
        message.secs = u16::try_from(now.since(client.started).as_secs()).unwrap_or(u16::MAX);
        message.client_id = &id;
        if kind != MessageType::Decline {
            message.parameters = &PARAMETERS;
            message.max_size = Some(1500);
        }
        let mut to = Ipv4Addr::BROADCAST;
        let mut from = Ipv4Addr::UNSPECIFIED;
        let lease = client.lease;
        client.tries += 1;

        match (client.state, lease) {
            (State::Selecting, _) => {
                message.requested_ip = lease.map(|l| l.addr);
                client.next = now + client.retry(jitter);
            }
            (State::Requesting, Some(lease)) => {
                if client.tries > REQUEST_TRIES {
                    self.dhcp_lose(now, interface, Duration::ZERO);
                    return true;
                }
                message.requested_ip = Some(lease.addr);
                message.server_id = Some(lease.server);
                client.next = now + client.retry(jitter);
            }
            (State::Rebooting, Some(lease)) => {
                message.requested_ip = Some(lease.addr);
                client.next = now + client.retry(jitter);
                if client.tries > REBOOT_TRIES {
                    // RFC 2131 section 3.2: it may use the address for the rest of the lease.
                    client.enter(State::Bound, lease.renew.max(now));
                    self.put_client(interface, client);
                    return true;
                }
            }
            (State::Bound | State::Renewing | State::Rebinding, Some(lease)) if now >= lease.expires => {
                //= https://www.rfc-editor.org/rfc/rfc2131#section-4.4.5
                //# If the lease expires before the client receives a DHCPACK, the client
                //# moves to INIT state, MUST immediately stop any other network
                //# processing and requests network initialization parameters as if the
                //# client were uninitialized.
                self.dhcp_lose(now, interface, Duration::ZERO);
                return true;
            }
            (State::Bound | State::Renewing | State::Rebinding, Some(lease)) => {
                if client.state == State::Bound {
                    client.started = now;
                    client.xid = self.random.next() as u32;
                    message.xid = client.xid;
                    message.secs = 0;
                }
                (from, message.ciaddr) = (lease.addr, lease.addr);
                if now >= lease.rebind {
                    client.state = State::Rebinding;
                    client.next = Client::half_until(now, lease.expires);
                } else {
                    client.state = State::Renewing;
                    to = lease.server;
                    client.next = Client::half_until(now, lease.rebind);
                }
            }
            (State::Informing, _) if crate::DHCP_INFORM => {
                let fixed = |a: &&crate::address::Address| {
                    a.interface == interface && a.origin == Origin::Static && a.cidr.addr.is_ipv4()
                };
                let own = self.addresses.iter().flatten().find(fixed).filter(|a| a.is_usable());
                match own.map(|a| a.cidr.addr) {
                    Some(IpAddr::V4(own)) => (from, message.ciaddr) = (own, own),
                    // It is being probed, or is another host's.
                    _ => {
                        client.enter(State::Informing, now + Duration::from_secs(1));
                        self.put_client(interface, client);
                        return false;
                    }
                }
                client.next = now + client.retry(jitter);
                if client.tries > INFORM_TRIES {
                    client.next = Instant::MAX;
                    self.put_client(interface, client);
                    return false;
                }
            }
            (State::Declining, Some(lease)) => {
                message.requested_ip = Some(lease.addr);
                message.server_id = Some(lease.server);
                self.send_dhcp(now, link, interface, from, to, &message);
                self.dhcp_lose(now, interface, AFTER_DECLINE);
                return true;
            }
            _ => {
                self.dhcp_lose(now, interface, Duration::ZERO);
                return true;
            }
        }
        client.asked = now;
        self.put_client(interface, client);
        self.send_dhcp(now, link, interface, from, to, &message);
        false
    }

    fn put_client(&mut self, interface: usize, client: Client) {
        if let Some(card) = self.interfaces.get_mut(interface) {
            card.dhcp = Some(client);
        }
    }

    fn send_dhcp(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        interface: usize,
        from: Ipv4Addr,
        to: Ipv4Addr,
        message: &Repr<'_>,
    ) {
        let payload_len = message.len();
        let header = udp::Repr { src_port: CLIENT_PORT, dst_port: SERVER_PORT, payload_len };
        let len = udp::HEADER_LEN + payload_len;
        let mut packet = Outgoing::new(from.into(), to.into(), protocol::UDP, len);
        // A renewal goes where the routes lead; all else to this link.
        packet.interface = Some(interface);
        self.answer(now, link, &packet, &mut |room| {
            header.emit(room).and_then(|body| message.emit(body)).map_or(0, |()| len)
        });
    }
}

/// An address that a host may have.
fn is_host(addr: Ipv4Addr) -> bool {
    !addr.is_unspecified() && !addr.is_multicast() && !addr.is_broadcast() && !addr.is_loopback()
}
