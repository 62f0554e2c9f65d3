//! Every wire codec of the stack: what parses is emitted, and parses to the same again.
use airglow_net::wire::{arp, dhcpv4, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp};

/// One codec: the first byte says which, the rest is the packet.
pub fn wire_codecs(data: &[u8]) {
    let Some((codec, packet)) = data.split_first() else { return };
    match codec % 10 {
        0 => of_ethernet(packet),
        1 => of_arp(packet),
        2 => of_ipv4(packet),
        3 => of_ipv6(packet),
        4 => of_icmpv4(packet),
        5 => of_icmpv6(packet),
        6 => of_ndp(packet),
        7 => of_udp(packet),
        8 => of_tcp(packet),
        _ => of_dhcpv4(packet),
    }
}

fn room(len: usize) -> Vec<u8> {
    vec![0xa5; len]
}

/// Emits into exactly the room that is asked for, and refuses less.
macro_rules! emit {
    ($repr:expr) => {{
        let mut bytes = room($repr.len());
        assert!($repr.emit(&mut bytes).is_ok(), "{:?} does not emit", $repr);
        assert!($repr.emit(&mut room($repr.len() - 1)).is_err(), "{:?} in too little room", $repr);
        bytes
    }};
}

fn of_ethernet(packet: &[u8]) {
    let Ok(frame) = ethernet::Frame::new_checked(packet) else { return };
    let repr = ethernet::Repr::parse(&frame);
    assert_eq!(frame.payload().len() + repr.len(), packet.len());
    let bytes = emit!(repr);
    assert_eq!(bytes, packet[..repr.len()]);
}

fn of_arp(packet: &[u8]) {
    let Ok(repr) = arp::Repr::parse(packet) else { return };
    let bytes = emit!(repr);
    assert_eq!(bytes, packet[..repr.len()]);
}

fn of_ipv4(packet: &[u8]) {
    if let Ok(quoted) = ipv4::Packet::new_quoted(packet) {
        let _ = (
            quoted.src(),
            quoted.dst(),
            quoted.protocol(),
            quoted.payload(),
            quoted.options(),
            quoted.bytes(),
        );
    }
    let Ok(view) = ipv4::Packet::new_checked(packet) else { return };
    let all = (
        view.traffic_class(),
        view.identification(),
        view.dont_fragment(),
        view.more_fragments(),
        view.ttl(),
    );
    let _ = (all, view.fragment_offset(), view.is_fragment());
    assert!(view.payload().len() + view.options().len() + 20 == view.bytes().len());
    let Ok(repr) = ipv4::Repr::parse(&view) else { return };
    let mut bytes = room(repr.len() + view.payload().len());
    let payload = repr.emit(&mut bytes).expect("there is room");
    payload.get_mut(..view.payload().len()).expect("for the payload too").copy_from_slice(view.payload());
    let again = ipv4::Packet::new_checked(&bytes).expect("what is emitted is checked");
    assert_eq!((ipv4::Repr::parse(&again), again.payload()), (Ok(repr), view.payload()));
}

fn of_ipv6(packet: &[u8]) {
    if let Ok(quoted) = ipv6::Packet::new_quoted(packet) {
        let _ = (quoted.src(), quoted.dst(), ipv6::upper_layer(&quoted));
    }
    let Ok(view) = ipv6::Packet::new_checked(packet) else { return };
    match ipv6::upper_layer(&view) {
        ipv6::Upper::Protocol(_, rest, at) => {
            assert!(view.payload().ends_with(rest) && (at as usize) < view.bytes().len());
        }
        ipv6::Upper::Problem { pointer, .. } => assert!((pointer as usize) < view.bytes().len() + 8),
        ipv6::Upper::Fragment { .. } | ipv6::Upper::Drop => {}
    }
    let repr = ipv6::Repr::parse(&view);
    let mut bytes = room(repr.len() + view.payload().len());
    let payload = repr.emit(&mut bytes).expect("there is room");
    payload.get_mut(..view.payload().len()).expect("for the payload too").copy_from_slice(view.payload());
    let again = ipv6::Packet::new_checked(&bytes).expect("what is emitted is checked");
    assert_eq!((ipv6::Repr::parse(&again), again.payload()), (repr, view.payload()));
}

fn of_icmpv4(packet: &[u8]) {
    let mut packet = packet.to_vec();
    // With the checksum set right half of the time: the others have it wrong, nearly always.
    if packet.len() >= 4 && packet.len().is_multiple_of(2) {
        packet[2..4].fill(0);
        let sum = airglow_net::checksum::Sum::ZERO.bytes(&packet).finish();
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let Ok(repr) = icmpv4::Repr::parse(&packet) else { return };
    let bytes = emit!(repr);
    assert_eq!(icmpv4::Repr::parse(&bytes), Ok(repr));
}

fn of_icmpv6(packet: &[u8]) {
    let Ok(repr) = icmpv6::Repr::parse(packet) else { return };
    let bytes = emit!(repr);
    assert_eq!(icmpv6::Repr::parse(&bytes), Ok(repr));
}

fn of_ndp(packet: &[u8]) {
    let Ok(repr) = ndp::Repr::parse(packet) else { return };
    let bytes = emit!(repr);
    assert_eq!(ndp::Repr::parse(&bytes), Ok(repr));
    for option in ndp::options(repr.options()) {
        let mut bytes = room(option.len());
        if option.emit(&mut bytes).is_ok() {
            assert_eq!(ndp::options(&bytes).collect::<Vec<_>>(), [option]);
        }
    }
}

fn of_udp(packet: &[u8]) {
    let Ok(view) = udp::Datagram::new_checked(packet) else { return };
    let repr = udp::Repr::parse(&view);
    let mut bytes = room(repr.len() + view.payload().len());
    let payload = repr.emit(&mut bytes).expect("there is room");
    payload.get_mut(..view.payload().len()).expect("for the payload too").copy_from_slice(view.payload());
    let again = udp::Datagram::new_checked(&bytes).expect("what is emitted is checked");
    assert_eq!((udp::Repr::parse(&again), again.payload()), (repr, view.payload()));
}

fn of_tcp(packet: &[u8]) {
    let Ok(view) = tcp::Segment::new_checked(packet) else { return };
    assert_eq!(view.payload().len() + view.option_bytes().len() + 20, packet.len());
    let header = tcp::Header::parse(&view);
    let emitted = |header: &tcp::Header| {
        let mut bytes = room(header.len());
        header.emit(&mut bytes);
        tcp::Header::parse(&tcp::Segment::new_checked(&bytes).expect("what is emitted is checked"))
    };
    assert!((20..=60).contains(&header.len()));
    let again = emitted(&header);
    assert_eq!(emitted(&again), again);
    // Padding may push out blocks of a SACK option, and nothing else.
    let kept = again.options.sack.as_slice();
    assert_eq!(header.options.sack.as_slice().get(..kept.len()), Some(kept));
    let mut rest = header;
    rest.options.sack = again.options.sack;
    assert_eq!(rest, again);
}

fn of_dhcpv4(packet: &[u8]) {
    dhcpv4::classless_routes(packet.iter().copied()).for_each(drop);
    let Ok(repr) = dhcpv4::Repr::parse(packet) else { return };
    let bytes = emit!(repr);
    let again = dhcpv4::Repr::parse(&bytes).expect("what is emitted parses");
    assert_eq!(again.len(), repr.len());
    let _ = format!("{repr:?}{again:?}");
}
