//! Packet tables and scenarios for the IP core in virtual time. Every check ends with "and nothing else was sent".
mod any_bytes;
mod arp;
mod codecs;
mod dhcp;
#[cfg(feature = "dhcpv6")]
mod dhcpv6;
mod errors;
mod forward;
mod fragments;
mod groups;
mod host_rules;
mod ipv4;
mod ipv6;
mod loopback;
mod ndp_messages;
mod ndp_rules;
mod raw;
mod slaac;
mod vlan;

use crate::{
    Core, Delivery, InterfaceConfig, Ipv4Config, Limits, Link,
    checksum::Sum,
    udp::Responder,
    wire::{
        arp as arp_wire,
        ethernet::{self, EtherType, Frame},
        ipv4 as ipv4_wire, ipv6 as ipv6_wire, udp as udp_wire,
    },
};
use airglow_device::{Caps, Full, Instant, MacAddr, RxMeta, TxFrame, TxMeta};
use core::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::collections::VecDeque;

pub(crate) const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

/// The frames that were sent, in order.
#[derive(Default)]
pub(crate) struct Sent {
    pub frames: VecDeque<(usize, Vec<u8>, TxMeta)>,
    pub full: bool,
}

impl Link for Sent {
    fn transmit(
        &mut self,
        interface: usize,
        len: usize,
        fill: &mut dyn FnMut(&mut TxFrame<'_>),
    ) -> Result<(), Full> {
        if self.full {
            return Err(Full);
        }
        let mut bytes = vec![0xa5; len];
        let mut frame = TxFrame::new(&mut bytes);
        fill(&mut frame);
        let (len, meta) = (frame.len, frame.meta);
        bytes.truncate(len);
        if len > 0 {
            self.frames.push_back((interface, bytes, meta));
        }
        Ok(())
    }
}

/// A core with a card, and what it sent.
pub(crate) struct Host {
    pub core: Core<'static>,
    pub sent: Sent,
    pub now: Instant,
}

impl Host {
    /// Without room for groups, so that nothing is said of them.
    pub fn with(caps: Caps, config: &InterfaceConfig) -> Self {
        Self::with_groups(caps, config, 0)
    }

    pub fn with_groups(caps: Caps, config: &InterfaceConfig, groups: usize) -> Self {
        let mut core = Core::with_memory(Limits { datagrams: 4096, groups, ..Limits::default() }, [7; 16]);
        let now = Instant::from_secs(1000);
        assert_eq!(core.add_interface(US, caps), Ok(0));
        core.configure(now, 0, config).unwrap();
        Self { core, sent: Sent::default(), now }
    }

    /// 10.0.0.1/24, a gateway, no IPv6; its announcements are over.
    pub fn ipv4() -> Self {
        Self::ipv4_with(Caps::new(1500))
    }

    pub fn ipv4_with(caps: Caps) -> Self {
        let address = crate::Cidr::new(OUR_IP, 24);
        let config = InterfaceConfig {
            ipv6_enabled: false,
            slaac: false,
            ..InterfaceConfig::ipv4(Ipv4Config::new(address).with_gateway(GATEWAY))
        };
        let mut host = Self::with(caps, &config);
        host.run_for(Duration::from_secs(10));
        host.sent.frames.clear();
        host
    }

    /// Lets time pass, doing what becomes due.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.core.poll(self.now, &mut self.sent);
            match self.core.poll_timeout() {
                Some(at) if at <= end => {
                    assert!(at > self.now, "a timer that is due stays due: {at:?}");
                    self.now = at;
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub fn receive<'f>(&mut self, frame: &'f [u8]) -> Option<Delivery<'f>> {
        let delivery = self.core.receive(self.now, 0, frame, RxMeta::default(), &mut self.sent, None);
        self.receive_held();
        delivery
    }

    /// Receives what was put together of fragments or sent to ourselves; TCP's segments.
    pub fn receive_held(&mut self) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        while self.core.has_held() {
            self.core.receive_held(self.now, &mut self.sent, None, &mut |_, _, delivery| match delivery {
                Delivery::Segment { segment, .. } => segments.push(segment.to_vec()),
                Delivery::Error { .. } => {}
            });
        }
        segments
    }

    pub fn respond(&mut self, frame: &[u8], responder: &mut Responder<'_>) {
        self.core.receive(self.now, 0, frame, RxMeta::default(), &mut self.sent, Some(responder));
    }

    /// The next frame that was sent.
    #[track_caller]
    pub fn next(&mut self) -> Vec<u8> {
        self.sent.frames.pop_front().expect("a frame was sent").1
    }

    #[track_caller]
    pub fn nothing_else(&self) {
        assert!(self.sent.frames.is_empty(), "something else was sent: {:02x?}", self.sent.frames);
    }

    /// The peer's ARP answer is in the cache.
    pub fn meet_peer(&mut self) {
        assert!(self.receive(&arp_frame(PEER, US, arp_request(PEER, PEER_IP, OUR_IP))).is_none());
        let _reply = self.next();
        self.nothing_else();
    }

    pub fn bind(&mut self, port: u16) -> usize {
        self.core.udp_bind(port.into()).unwrap()
    }

    #[track_caller]
    pub fn received(&mut self, socket: usize) -> (Vec<u8>, SocketAddr) {
        let mut buf = vec![0; 70_000];
        let (len, from) = self.core.udp_receive(socket, &mut buf).expect("a datagram");
        (buf[..len].to_vec(), from)
    }
}

pub(crate) fn arp_request(mac: MacAddr, from: Ipv4Addr, target: Ipv4Addr) -> arp_wire::Repr {
    arp_wire::Repr {
        operation: arp_wire::Operation::Request,
        sender_mac: mac,
        sender_ip: from,
        target_mac: MacAddr::UNSPECIFIED,
        target_ip: target,
    }
}

pub(crate) fn arp_reply(mac: MacAddr, from: Ipv4Addr, to: MacAddr, target: Ipv4Addr) -> arp_wire::Repr {
    arp_wire::Repr {
        operation: arp_wire::Operation::Reply,
        sender_mac: mac,
        sender_ip: from,
        target_mac: to,
        target_ip: target,
    }
}

pub(crate) fn ethernet_frame(src: MacAddr, dst: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 14 + payload.len()];
    ethernet::Repr { src, dst, ethertype }.emit(&mut frame).unwrap().copy_from_slice(payload);
    frame
}

pub(crate) fn arp_frame(src: MacAddr, dst: MacAddr, packet: arp_wire::Repr) -> Vec<u8> {
    let mut payload = [0; 28];
    packet.emit(&mut payload).unwrap();
    ethernet_frame(src, dst, EtherType::ARP, &payload)
}

/// An IP packet in a frame from the peer to us; the transport's checksum must be right already.
pub(crate) fn ip_frame(src: IpAddr, dst: IpAddr, protocol: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mac = crate::output::group_mac(dst).unwrap_or(US);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let repr = ipv4_wire::Repr {
                src,
                dst,
                protocol,
                ttl: hop_limit,
                traffic_class: 0,
                identification: 1,
                dont_fragment: false,
                payload_len: payload.len(),
            };
            let mut packet = vec![0; 20 + payload.len()];
            repr.emit(&mut packet).unwrap().copy_from_slice(payload);
            ethernet_frame(PEER, mac, EtherType::IPV4, &packet)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let repr = ipv6_wire::Repr {
                src,
                dst,
                next_header: protocol,
                hop_limit,
                traffic_class: 0,
                flow_label: 0,
                payload_len: payload.len(),
            };
            let mut packet = vec![0; 40 + payload.len()];
            repr.emit(&mut packet).unwrap().copy_from_slice(payload);
            ethernet_frame(PEER, mac, EtherType::IPV6, &packet)
        }
        _ => unreachable!(),
    }
}

/// Fills in the checksum at `offset` of a transport's bytes.
pub(crate) fn with_checksum(
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    offset: usize,
    mut bytes: Vec<u8>,
) -> Vec<u8> {
    bytes[offset..offset + 2].fill(0);
    let checksum = Sum::pseudo_header(src, dst, protocol, bytes.len()).bytes(&bytes).finish();
    bytes[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

pub(crate) fn udp_frame(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let repr = udp_wire::Repr { src_port: src.port(), dst_port: dst.port(), payload_len: payload.len() };
    let mut bytes = vec![0; 8 + payload.len()];
    repr.emit(&mut bytes).unwrap().copy_from_slice(payload);
    let bytes = with_checksum(src.ip(), dst.ip(), 17, 6, bytes);
    ip_frame(src.ip(), dst.ip(), 17, 64, &bytes)
}

/// What an IPv4 frame carries: source, destination, protocol, payload. The Ethernet destination must be `dst`.
#[track_caller]
pub(crate) fn open_ipv4(frame: &[u8], dst: MacAddr) -> (Ipv4Addr, Ipv4Addr, u8, Vec<u8>) {
    let frame = Frame::new_checked(frame).unwrap();
    assert_eq!((frame.src(), frame.dst(), frame.ethertype()), (US, dst, EtherType::IPV4));
    let packet = ipv4_wire::Packet::new_checked(frame.payload()).unwrap();
    assert_eq!(packet.bytes().len(), frame.payload().len(), "nothing behind the packet");
    (packet.src(), packet.dst(), packet.protocol(), packet.payload().to_vec())
}

/// A datagram in an IP payload, its checksum checked.
#[track_caller]
pub(crate) fn open_udp(src: IpAddr, dst: IpAddr, payload: &[u8]) -> (u16, u16, Vec<u8>) {
    assert!(Sum::pseudo_header(src, dst, 17, payload.len()).bytes(payload).is_correct());
    let datagram = udp_wire::Datagram::new_checked(payload).unwrap();
    (datagram.src_port(), datagram.dst_port(), datagram.payload().to_vec())
}

#[track_caller]
pub(crate) fn open_arp(frame: &[u8], dst: MacAddr) -> arp_wire::Repr {
    let frame = Frame::new_checked(frame).unwrap();
    assert_eq!((frame.src(), frame.dst(), frame.ethertype()), (US, dst, EtherType::ARP));
    arp_wire::Repr::parse(frame.payload()).unwrap()
}
