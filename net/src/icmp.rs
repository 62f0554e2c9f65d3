//! ICMP for IPv4: echo, the errors we send, the errors we hear (RFC 792, RFC 1122 section 3.2.2).
use crate::{
    config::IpCidr,
    ip::{Core, Delivery},
    ipv4::Received,
    link::Link,
    output::{Outgoing, SendError},
    route::RouteEntry,
    tcp::IcmpError,
    wire::{
        icmpv4::{self, Repr, unreachable},
        icmpv6, ipv4, ipv6, protocol,
    },
};
use airglow_device::Instant;
use core::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// How long a redirect is believed.
const REDIRECT_LIFETIME: Duration = Duration::from_secs(600);

/// Allows a burst, then so many a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    tokens: u32,
    refilled: Instant,
}

/// A burst of 20 errors, and 50 a second.
const BURST: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(20);

impl RateLimit {
    pub const fn new() -> Self {
        Self { tokens: BURST, refilled: Instant::ZERO }
    }

    /// One more may go now.
    pub fn allow(&mut self, now: Instant) -> bool {
        if now.since(self.refilled) >= INTERVAL {
            // At most twenty rounds, and no division, which a small processor has not.
            while self.tokens < BURST && now.since(self.refilled) >= INTERVAL {
                self.tokens += 1;
                self.refilled += INTERVAL;
            }
            if self.tokens == BURST {
                self.refilled = now;
            }
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

/// How much of the packet an ICMPv4 error quotes: all that fits 576 bytes (RFC 1812 section 4.3.2.3).
const QUOTED_V4: usize = 576 - ipv4::HEADER_LEN - icmpv4::HEADER_LEN;

/// What an ICMP error quotes of a packet of ours.
pub(crate) struct Reported<'f> {
    pub error: IcmpError,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    /// Length of the whole packet.
    pub len: usize,
    /// From the transport's header on.
    pub quoted: &'f [u8],
}

/// The packet that an ICMP error is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'f> {
    pub interface: usize,
    pub src: IpAddr,
    pub dst: IpAddr,
    /// It went to one of our unicast addresses, in a frame to us alone.
    pub unicast: bool,
    /// Its destination is ours; else it was to be forwarded.
    pub ours: bool,
    /// From its IP header on.
    pub packet: &'f [u8],
}

impl<'f> Received<'f> {
    pub(crate) fn about(&self) -> About<'f> {
        let Self { interface, src, dst, unicast, packet, .. } = *self;
        About { interface, src, dst, unicast, ours: unicast, packet }
    }
}

impl Core<'_> {
    /// Sends an answer to a received packet and counts why it could not.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        packet: &Outgoing,
        fill: &mut dyn FnMut(&mut [u8]) -> usize,
    ) {
        match self.send_packet(now, link, packet, fill) {
            Ok(()) => {}
            Err(SendError::Full) => self.stats.transmit_full += 1,
            Err(SendError::NoRoute | SendError::TooLong) => self.stats.no_route += 1,
        }
    }

    /// Sends an answer that may need fragments, and counts why it could not.
    pub(crate) fn answer_parts(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        packet: &Outgoing,
        head: [u8; 8],
        body: &[u8],
    ) {
        match self.send_parts(now, link, packet, head, body) {
            Ok(()) => {}
            Err(SendError::Full) => self.stats.transmit_full += 1,
            Err(SendError::NoRoute | SendError::TooLong) => self.stats.no_route += 1,
        }
    }

    /// The address to answer from: the one that was asked, or one of ours if that was a group.
    pub(crate) fn answer_source(&self, now: Instant, about: &About<'_>) -> Option<IpAddr> {
        if about.ours { Some(about.dst) } else { self.source(now, about.interface, about.src) }
    }

    pub(crate) fn receive_icmpv4<'f>(
        &mut self,
        now: Instant,
        received: &Received<'f>,
        message: &Repr<'f>,
        link: &mut dyn Link,
    ) -> Option<Delivery<'f>> {
        match *message {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.6
            //# Every host MUST implement an ICMP Echo server function that
            //# receives Echo Requests and sends corresponding Echo Replies.
            Repr::EchoRequest { identifier, sequence, data } => {
                // RFC 1122 section 3.2.2.6 lets a host ignore echo requests to broadcast addresses; that stops smurf attacks.
                if received.unicast && !received.src.is_unspecified() {
                    let reply = Repr::EchoReply { identifier, sequence, data };
                    let packet = Outgoing::new(received.dst, received.src, protocol::ICMP, 0);
                    self.answer_parts(now, link, &packet, reply.header(), data);
                }
                None
            }
            Repr::EchoReply { identifier, sequence, data } => {
                self.ping_receive(received, identifier, sequence, data);
                None
            }
            Repr::Unreachable { code, mtu, quoted } => {
                let error = match code {
                    unreachable::FRAGMENTATION_NEEDED => IcmpError::TooBig(usize::from(mtu)),
                    unreachable::PROTOCOL | unreachable::PORT | 9 | 10 | 13 => IcmpError::Hard,
                    _ => IcmpError::Soft,
                };
                self.quoted_ipv4(received, error, quoted)
            }
            Repr::Redirect { gateway, quoted, .. } if crate::REDIRECTS => {
                self.receive_redirect_v4(now, received, gateway, quoted);
                None
            }
            Repr::Redirect { .. } => None,
            Repr::TimeExceeded { quoted, .. } | Repr::ParameterProblem { quoted, .. } => {
                self.quoted_ipv4(received, IcmpError::Soft, quoted)
            }
        }
    }

    /// A router says that another is nearer to where a packet of ours went. What it says of a whole network counts for that host alone
    /// (RFC 1122 section 3.2.2.2).
    fn receive_redirect_v4(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        gateway: Ipv4Addr,
        quoted: &[u8],
    ) {
        let Ok(packet) = ipv4::Packet::new_quoted(quoted) else {
            self.stats.malformed += 1;
            return;
        };
        let (target, destination) = (gateway.into(), packet.dst().into());
        let interface = received.interface;
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.2
        //# A Redirect message SHOULD be silently discarded if the new
        //# gateway address it specifies is not on the same connected
        //# (sub-) net through which the Redirect arrived [INTRO:2,
        //# Appendix A], or if the source of the Redirect is not the
        //# current first-hop gateway for the specified destination (see
        //# Section 3.3.1).
        let good = received.unicast
            && !self.forwarding
            && self.own_interface(packet.src().into()) == Some(interface)
            && self.is_on_link(interface, target)
            && self.own_interface(target).is_none();
        if !good || !self.follow_redirect(now, interface, received.src, target, destination) {
            self.stats.bad_neighbor += 1;
        }
    }

    /// Takes the way over `target` to `destination` when `from` is the router of the way so far. Whether it did.
    pub(crate) fn follow_redirect(
        &mut self,
        now: Instant,
        interface: usize,
        from: IpAddr,
        target: IpAddr,
        destination: IpAddr,
    ) -> bool {
        let current = self.routes.find(destination, now, |r| r.interface == interface);
        let from_router = current.and_then(|r| r.gateway) == Some(from);
        // Redirects never take the last free places of the table.
        if !from_router || destination.is_multicast() || self.routes.room() <= 2 {
            return false;
        }
        let gateway = Some(target).filter(|_| target != destination);
        let expires = now + REDIRECT_LIFETIME;
        let destination = IpCidr::new(destination, if destination.is_ipv4() { 32 } else { 128 });
        // The new way replaces one that an earlier redirect gave.
        self.routes.retain(|r| r.destination != destination);
        self.add_route(RouteEntry { gateway, expires, ..RouteEntry::on_link(destination, interface) }).is_ok()
    }

    /// Whom an error that quotes a packet of ours concerns.
    fn quoted_ipv4<'f>(
        &mut self,
        received: &Received<'f>,
        error: IcmpError,
        quoted: &'f [u8],
    ) -> Option<Delivery<'f>> {
        let Ok(packet) = ipv4::Packet::new_quoted(quoted) else {
            self.stats.malformed += 1;
            return None;
        };
        // Only the first fragment has the ports.
        if packet.fragment_offset() != 0 {
            return None;
        }
        let (src, dst) = (packet.src().into(), packet.dst().into());
        let len = packet.total_len();
        self.report(
            received,
            &Reported { error, src, dst, protocol: packet.protocol(), len, quoted: packet.payload() },
        )
    }

    /// Tells whom an error concerns: TCP is given it, a UDP socket notes it, the path's MTU is kept.
    pub(crate) fn report<'f>(
        &mut self,
        received: &Received<'_>,
        reported: &Reported<'f>,
    ) -> Option<Delivery<'f>> {
        let Reported { error, src, dst, protocol, len, quoted } = *reported;
        if !received.unicast || self.own_interface(src).is_none() {
            return None;
        }
        match protocol {
            protocol::TCP if quoted.len() >= 8 => Some(Delivery::Error { error, src, dst, quoted }),
            protocol::UDP => {
                let &[a, b, c, d] = quoted.first_chunk::<4>()?;
                let (local, remote) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                self.udp_error(received.now, src, local, SocketAddr::new(dst, remote), error, len);
                None
            }
            protocol::ICMP | protocol::ICMPV6 => {
                self.ping_error(received.now, reported);
                None
            }
            _ => None,
        }
    }

    /// A router on the way to `dst` takes no packet of `len` bytes, only up to `mtu`; whoever sent it has made sure that it is true.
    pub fn path_too_big(&mut self, now: Instant, dst: IpAddr, mtu: usize, len: usize) {
        self.path_mtus.shrink(now, dst, mtu, len);
    }

    /// RFC 1122 section 3.2.2: no error about a packet to or from a group, an ICMP error, or a fragment that is not the first.
    fn may_complain(&mut self, now: Instant, about: &About<'_>) -> bool {
        if !about.unicast || about.src.is_unspecified() {
            return false;
        }
        let allowed = self.icmp_errors.allow(now);
        self.stats.icmp_limited += u64::from(!allowed);
        allowed
    }

    pub(crate) fn send_port_unreachable(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        link: &mut dyn Link,
    ) {
        if received.src.is_ipv4() {
            self.send_unreachable_v4(now, received, unreachable::PORT, link);
        } else if crate::IPV6 {
            let error = |quoted| icmpv6::Repr::Unreachable { code: icmpv6::unreachable::PORT, quoted };
            self.send_icmpv6_error(now, &received.about(), &error, link);
        }
    }

    pub(crate) fn send_protocol_unreachable(
        &mut self,
        now: Instant,
        received: &Received<'_>,
        link: &mut dyn Link,
    ) {
        // Over IPv6 this is a parameter problem that `ipv6.rs` reports, since it knows where the octet is.
        if received.src.is_ipv4() {
            self.send_unreachable_v4(now, received, unreachable::PROTOCOL, link);
        }
    }

    fn send_unreachable_v4(&mut self, now: Instant, received: &Received<'_>, code: u8, link: &mut dyn Link) {
        self.send_icmpv4_error(
            now,
            &received.about(),
            &|quoted| Repr::Unreachable { code, mtu: 0, quoted },
            link,
        );
    }

    /// Sends an ICMPv4 error with as much of the packet as fits 576 bytes.
    pub(crate) fn send_icmpv4_error<'f>(
        &mut self,
        now: Instant,
        about: &About<'f>,
        error: &dyn Fn(&'f [u8]) -> Repr<'f>,
        link: &mut dyn Link,
    ) {
        if !self.may_complain(now, about) {
            return;
        }
        let message = error(about.packet.get(..QUOTED_V4).unwrap_or(about.packet));
        let Some(source) = self.answer_source(now, about) else { return };
        let packet = Outgoing::new(source, about.src, protocol::ICMP, message.len());
        self.answer(now, link, &packet, &mut |room| message.emit(room).map_or(0, |()| message.len()));
    }

    /// Sends an ICMPv6 error with as much of the packet as fits the minimum MTU (RFC 4443 section 2.4 (c)).
    pub(crate) fn send_icmpv6_error<'f>(
        &mut self,
        now: Instant,
        about: &About<'f>,
        error: &dyn Fn(&'f [u8]) -> icmpv6::Repr<'f>,
        link: &mut dyn Link,
    ) {
        const QUOTED_V6: usize = 1280 - 40 - 8;
        // RFC 4443 section 2.4 (e): not about an error or a redirect, also where a header before it is what is wrong.
        if about.src.is_unspecified() || about.src.is_multicast() || ipv6::behind(about.packet).error {
            return;
        }
        if !self.icmp_errors.allow(now) {
            self.stats.icmp_limited += 1;
            return;
        }
        let Some(source) = self.answer_source(now, about) else { return };
        let message = error(about.packet.get(..QUOTED_V6).unwrap_or(about.packet));
        let packet = Outgoing::new(source, about.src, protocol::ICMPV6, message.len()).on(about.interface);
        self.answer(now, link, &packet, &mut |room| message.emit(room).map_or(0, |()| message.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_fifty_a_second() {
        let mut limit = RateLimit::new();
        let mut now = Instant::from_secs(10);
        assert_eq!((0..100).filter(|_| limit.allow(now)).count(), 20);
        let mut sent = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            sent += u32::from(limit.allow(now));
        }
        assert_eq!(sent, 500);
    }
}
