//! Packets larger than the way takes: sent in fragments, and what arrives in fragments put together.
use crate::{
    checksum::Sum,
    icmp::About,
    ip::{Arrival, Core},
    link::Link,
    output::{Outgoing, SendError, checksum_offset, ip_header_len, transport_checksum},
    reassembly::{Fragment, Key, Outcome},
    wire::{icmpv4, icmpv6, ipv4, ipv6, protocol},
};
use airglow_device::{Instant, TxMeta};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Offset of the payload length in an IPv6 header, and of the fragment offset in a fragment header.
const PAYLOAD_LENGTH: u32 = 4;
const FRAGMENT_OFFSET: usize = 2;

impl Core<'_> {
    /// Sends a packet whose payload is `head` and then `body`, in fragments when the path takes no packet of that size. The
    /// checksum of UDP and ICMPv6 is filled in.
    pub(crate) fn send_parts(
        &mut self,
        now: Instant,
        link: &mut dyn Link,
        packet: &Outgoing,
        mut head: [u8; 8],
        body: &[u8],
    ) -> Result<(), SendError> {
        let len = head.len() + body.len();
        let path = self.way(now, packet).ok_or(SendError::NoRoute)?;
        let mtu = self.path_mtu(now, path, packet.dst);
        let header_len = ip_header_len(packet.dst);
        let packet = Outgoing { len, ..*packet };
        if header_len + len <= mtu {
            return self.send_packet(now, link, &packet, &mut |room| {
                let Some((to, rest)) = room.split_first_chunk_mut::<8>() else { return 0 };
                let Some(rest) = rest.get_mut(..body.len()) else { return 0 };
                *to = head;
                rest.copy_from_slice(body);
                len
            });
        }
        let largest = if packet.dst.is_ipv4() { 65_535 - ipv4::HEADER_LEN } else { 65_535 };
        // A loopback packet is as large as its buffer takes, and is not cut.
        if !crate::FRAGMENTS || len > largest || path.local {
            return Err(SendError::TooLong);
        }
        if let Some(offset) = checksum_offset(packet.protocol) {
            let sum = Sum::pseudo_header(packet.src, packet.dst, packet.protocol, len);
            let checksum = transport_checksum(packet.protocol, sum.bytes(&head).bytes(body));
            if let Some(field) = head.get_mut(offset..offset + 2) {
                field.copy_from_slice(&checksum.to_be_bytes());
            }
        }
        let interface = self.interfaces.get(path.interface).ok_or(SendError::NoRoute)?;
        let hop_limit = packet.hop_limit.unwrap_or(interface.hop_limit(packet.dst.is_ipv4()));
        // RFC 7739: a number that others cannot guess.
        let identification = self.random.next() as u32;
        let extra = if packet.dst.is_ipv4() { 0 } else { ipv6::FRAGMENT_LEN };
        let step = mtu.saturating_sub(header_len + extra) / 8 * 8;
        if step == 0 {
            return Err(SendError::TooLong);
        }
        let mut offset = 0;
        while offset < len {
            let size = step.min(len - offset);
            let more = offset + size < len;
            let mut write = |room: &mut [u8], _: &mut TxMeta| {
                let header = FragmentHeader { identification, offset, more, hop_limit };
                let Some(room) = header.emit(room, &packet, size) else { return 0 };
                let Some(room) = room.get_mut(..size) else { return 0 };
                // The head is 8 bytes and so whole in the first fragment.
                let body_at = offset.saturating_sub(head.len());
                let (to_head, to_body) = room.split_at_mut(if offset == 0 { head.len() } else { 0 });
                to_head.copy_from_slice(&head[..to_head.len()]);
                let Some(from) = body.get(body_at..body_at + to_body.len()) else { return 0 };
                to_body.copy_from_slice(from);
                header_len + extra + size
            };
            let frame = header_len + extra + size;
            if self.send_to(now, link, path, frame, true, &mut write).is_err() {
                if offset == 0 {
                    return Err(SendError::Full);
                }
                // The ring may be shorter than the packet: let the device take what is in it.
                let device = self.interfaces.get(path.interface).map_or(0, |i| i.device(path.interface));
                link.flush(device);
                if self.send_to(now, link, path, frame, true, &mut write).is_err() {
                    self.stats.transmit_full += 1;
                    return Ok(());
                }
            }
            self.stats.fragments_sent += 1;
            offset += size;
        }
        Ok(())
    }

    /// Takes in a fragment of an IPv4 packet that is for us.
    pub(crate) fn receive_fragment_v4(&mut self, now: Instant, arrival: &Arrival, packet: &ipv4::Packet<'_>) {
        if !crate::FRAGMENTS {
            return;
        }
        let bytes = packet.bytes();
        let payload = packet.payload();
        let (offset, more) = (packet.fragment_offset(), packet.more_fragments());
        let headers = bytes.get(..bytes.len() - payload.len()).unwrap_or(bytes);
        let whole = headers.len() + offset + payload.len();
        if payload.is_empty() || whole > 65_535 || (more && !payload.len().is_multiple_of(8)) {
            self.stats.malformed += 1;
            return;
        }
        self.add_fragment(
            now,
            &Fragment {
                key: Key {
                    interface: arrival.interface,
                    src: packet.src().into(),
                    dst: packet.dst().into(),
                    identification: packet.identification().into(),
                    protocol: packet.protocol(),
                },
                headers,
                named_at: 0,
                offset,
                more,
                ecn: packet.traffic_class() & 3,
                unicast: !arrival.group_frame,
                payload,
            },
        );
    }

    /// Takes in a fragment of an IPv6 packet that is for us. `at`: where the fragment header is; `named_at`: where it is named.
    pub(crate) fn receive_fragment_v6(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &ipv6::Packet<'_>,
        at: usize,
        named_at: usize,
        link: &mut dyn Link,
    ) {
        if !crate::FRAGMENTS {
            return;
        }
        let bytes = packet.bytes();
        let Some((headers, payload)) = bytes.split_at_checked(at + ipv6::FRAGMENT_LEN) else {
            self.stats.malformed += 1;
            return;
        };
        let Some(&[next, _, a, b, i, j, k, l]) = headers.last_chunk::<8>() else { return };
        let (offset, more) = (usize::from(u16::from_be_bytes([a, b]) & !7), b & 1 != 0);
        let about = About {
            interface: arrival.interface,
            src: packet.src().into(),
            dst: packet.dst().into(),
            unicast: !arrival.group_frame && !packet.dst().is_multicast(),
            ours: !packet.dst().is_multicast(),
            packet: bytes,
        };
        let mut problem = |core: &mut Self, code, pointer| {
            core.stats.malformed += 1;
            let error = |quoted| icmpv6::Repr::ParameterProblem { code, pointer, quoted };
            if about.unicast {
                core.send_icmpv6_error(now, &about, &error, link);
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the length of a fragment, as derived from the fragment
        //# packet's Payload Length field, is not a multiple of 8 octets
        //# and the M flag of that fragment is 1, then that fragment
        //# must be discarded and an ICMP Parameter Problem, Code 0,
        //# message should be sent to the source of the fragment, pointing
        //# to the Payload Length field of the fragment packet.
        if more && !payload.len().is_multiple_of(8) {
            problem(self, 0, PAYLOAD_LENGTH);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the length and offset of a fragment are such that the
        //# Payload Length of the packet reassembled from that fragment
        //# would exceed 65,535 octets, then that fragment must be
        //# discarded and an ICMP Parameter Problem, Code 0, message should
        //# be sent to the source of the fragment, pointing to the Fragment
        //# Offset field of the fragment packet.
        let unfragmentable = at - ipv6::HEADER_LEN;
        if unfragmentable + offset + payload.len() > 65_535 {
            problem(self, 0, (at + FRAGMENT_OFFSET) as u32);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# If the first fragment does not include all headers through an
        //# Upper-Layer header, then that fragment should be discarded and
        //# an ICMP Parameter Problem, Code 3, message should be sent to
        //# the source of the fragment, with the Pointer field set to zero.
        if offset == 0 && !ipv6::reaches_upper_layer(next, payload) {
            problem(self, 3, 0);
            return;
        }
        if payload.is_empty() {
            self.stats.malformed += 1;
            return;
        }
        self.add_fragment(
            now,
            &Fragment {
                key: Key {
                    interface: arrival.interface,
                    src: about.src,
                    dst: about.dst,
                    identification: u32::from_be_bytes([i, j, k, l]),
                    protocol: 0,
                },
                headers,
                named_at,
                offset,
                more,
                ecn: packet.traffic_class() & 3,
                unicast: !arrival.group_frame,
                payload,
            },
        );
    }

    fn add_fragment(&mut self, now: Instant, fragment: &Fragment<'_>) {
        match self.reassembly.add(now, fragment) {
            Outcome::Kept => {}
            Outcome::Whole => self.stats.reassembled += 1,
            Outcome::Evicted => self.stats.reassembly_failed += 1,
            Outcome::Refused => self.stats.fragments_refused += 1,
        }
    }

    /// Gives up the packets whose fragments did not all come in time.
    pub(crate) fn poll_reassembly(&mut self, now: Instant, link: &mut dyn Link) {
        if !crate::FRAGMENTS || now < self.reassembly.poll_timeout() {
            return;
        }
        let mut reassembly = core::mem::take(&mut self.reassembly);
        let failed = reassembly.expire(now, |key, packet| {
            let about = About {
                interface: key.interface,
                src: key.src,
                dst: key.dst,
                unicast: !key.dst.is_multicast(),
                ours: !key.dst.is_multicast(),
                packet,
            };
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
            //# If the first fragment
            //# (i.e., the one with a Fragment Offset of zero) has been
            //# received, an ICMP Time Exceeded -- Fragment Reassembly Time
            //# Exceeded message should be sent to the source of that fragment.
            if key.src.is_ipv4() || !crate::IPV6 {
                self.send_icmpv4_error(
                    now,
                    &about,
                    &|quoted| icmpv4::Repr::TimeExceeded { code: 1, quoted },
                    link,
                );
            } else {
                self.send_icmpv6_error(
                    now,
                    &about,
                    &|quoted| icmpv6::Repr::TimeExceeded { code: 1, quoted },
                    link,
                );
            }
        });
        self.stats.reassembly_failed += failed;
        self.reassembly = reassembly;
    }
}

/// What a fragment says of itself.
struct FragmentHeader {
    identification: u32,
    offset: usize,
    more: bool,
    hop_limit: u8,
}

impl FragmentHeader {
    /// Writes the headers of a fragment with `size` bytes of payload; the rest of `room`.
    fn emit<'r>(&self, room: &'r mut [u8], packet: &Outgoing, size: usize) -> Option<&'r mut [u8]> {
        match (packet.src, packet.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.emit_v4(room, packet, src, dst, size),
            (IpAddr::V6(src), IpAddr::V6(dst)) if crate::IPV6 => self.emit_v6(room, packet, src, dst, size),
            _ => None,
        }
    }

    fn emit_v4<'r>(
        &self,
        room: &'r mut [u8],
        packet: &Outgoing,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        size: usize,
    ) -> Option<&'r mut [u8]> {
        let repr = ipv4::Repr {
            src,
            dst,
            protocol: packet.protocol,
            ttl: self.hop_limit,
            traffic_class: packet.traffic_class,
            identification: self.identification as u16,
            dont_fragment: false,
            payload_len: size,
        };
        repr.emit(room).ok()?;
        let (header, rest) = room.split_at_mut_checked(ipv4::HEADER_LEN)?;
        ipv4::set_fragment(header, self.offset, self.more)?;
        Some(rest)
    }

    fn emit_v6<'r>(
        &self,
        room: &'r mut [u8],
        packet: &Outgoing,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        size: usize,
    ) -> Option<&'r mut [u8]> {
        let repr = ipv6::Repr {
            src,
            dst,
            next_header: protocol::FRAGMENT,
            hop_limit: self.hop_limit,
            traffic_class: packet.traffic_class,
            flow_label: 0,
            payload_len: ipv6::FRAGMENT_LEN + size,
        };
        let (header, rest) = repr.emit(room).ok()?.split_first_chunk_mut::<8>()?;
        let [a, b] = (self.offset as u16 | u16::from(self.more)).to_be_bytes();
        let [i, j, k, l] = self.identification.to_be_bytes();
        *header = [packet.protocol, 0, a, b, i, j, k, l];
        Some(rest)
    }
}
