"""Odd packets: IPv4 and IPv6 headers, options and fragments, ICMP, UDP (RFC 791, 8200, 1122 sections 3 and 4.1, 792, 4443, 768)."""

from wire import *

DISCARD, ECHO, CLOSED = 9, 7, 81


def udp_to(wire, v6, data=b"hello", port=ECHO, sport=5000, **fields):
    return wire.net(v6, **fields) / UDP(sport=sport, dport=port) / Raw(data)


def ping(wire, v6, **fields):
    return wire.net(v6, **fields) / (
        ICMPv6EchoRequest(id=9, seq=1, data=b"ping") if v6 else ICMP(id=9, seq=1) / Raw(b"ping")
    )


def pong(v6):
    return (lambda f: ICMPv6EchoReply in f and f[ICMPv6EchoReply].id == 9) if v6 else icmp(0, 0, id=9)


def built(frame):
    """The bytes of a frame as scapy completes it, to be damaged."""
    return bytearray(bytes(frame))


def with_checksum(data):
    """The IPv4 header's checksum made right again."""
    length = (data[14] & 15) * 4
    data[24:26] = b"\0\0"
    total = sum(int.from_bytes(data[14 + i : 16 + i], "big") for i in range(0, length, 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    data[24:26] = (total ^ 0xFFFF).to_bytes(2, "big")
    return data


def frames(table, wire):
    """RFC 894, RFC 1122 section 2.3, IEEE 802.1Q."""
    good = built(ping(wire, False))
    table.answered("an echo request that is well", "RFC 1122 section 3.2.2.6", ping(wire, False), pong(False))
    for length in (14, 15, 33):
        table.nothing(f"a frame of {length} bytes", "RFC 894", bytes(good[:length]))
    table.answered("a frame with a trailer", "RFC 894", bytes(good) + bytes(500), pong(False))
    table.nothing(
        "a frame for another station", "RFC 894", Ether(src=OWN_MAC, dst="02:00:00:00:00:77") / ping(wire, False)[IP]
    )
    for kind in (0x0805, 0x88B5, 0xFFFF, 0x0010, 0x05DC):
        table.nothing(
            f"a frame of type {kind:#06x}", "RFC 1122 section 2.3.3", wire.ether(type=kind) / Raw(bytes(good[14:]))
        )
    table.answered(
        "a frame with a tag of VLAN 0",
        "IEEE 802.1Q section 6.9",
        wire.ether() / Dot1Q(vlan=0, prio=5) / ping(wire, False)[IP],
        pong(False),
    )
    table.nothing(
        "a frame of a VLAN that is not ours",
        "IEEE 802.1Q section 6.9",
        wire.ether() / Dot1Q(vlan=5) / ping(wire, False)[IP],
    )
    table.nothing("a tag and nothing else", "IEEE 802.1Q section 9.6", wire.ether(type=0x8100) / Raw(b"\0"))
    table.nothing(
        "IPv6 in a frame of IPv4", "RFC 1122 section 3.2.1.1", wire.ether(type=0x0800) / ping(wire, True)[IPv6]
    )
    table.nothing("IPv4 in a frame of IPv6", "RFC 8200 section 3", wire.ether(type=0x86DD) / ping(wire, False)[IP])


def headers_v4(table, wire):
    """RFC 791 section 3.1, RFC 1122 section 3.2.1."""
    for name, offset, value, rule in [
        ("version 5", 14, 0x55, "RFC 1122 section 3.2.1.1"),
        ("version 0", 14, 0x05, "RFC 1122 section 3.2.1.1"),
        ("a header of 0 words", 14, 0x40, "RFC 791 section 3.1"),
        ("a header of 4 words", 14, 0x44, "RFC 791 section 3.1"),
        ("a header of 15 words in a short packet", 14, 0x4F, "RFC 791 section 3.1"),
    ]:
        data = built(ping(wire, False))
        data[offset] = value
        if value & 15 >= 5:
            with_checksum(data + bytes(40))
        table.nothing(name, rule, bytes(data))
    for name, total in [("0", 0), ("19", 19), ("more than there is", 2000), ("65535", 65535)]:
        data = built(ping(wire, False))
        data[16:18] = total.to_bytes(2, "big")
        table.nothing(f"a total length of {name}", "RFC 791 section 3.1", bytes(with_checksum(data)))
    data = built(ping(wire, False))
    data[24] ^= 1
    table.nothing("a wrong checksum", "RFC 1122 section 3.2.1.2", bytes(data))
    for ttl in (0, 1):
        table.answered(f"a time to live of {ttl}", "RFC 1122 section 3.2.1.7", ping(wire, False, ttl=ttl), pong(False))
    table.answered("the reserved flag", "RFC 791 section 3.1", ping(wire, False, flags="evil"), pong(False))
    table.answered(
        "every type of service",
        "RFC 1122 section 3.2.1.6",
        [ping(wire, False, tos=t) for t in (3, 0xB8, 0xFF)],
        *[pong(False)] * 3,
    )
    for src in ("255.255.255.255", "10.0.0.255", "10.0.0.0", "224.0.0.1", "127.0.0.1", "0.0.0.0", PEER):
        table.nothing(f"an echo request from {src}", "RFC 1122 section 3.2.1.3", ping(wire, False, src=src))
        table.nothing(f"a datagram from {src}", "RFC 1122 section 3.2.1.3", udp_to(wire, False, src=src))
        table.nothing(
            f"a datagram for nobody from {src}", "RFC 1122 section 3.2.2", udp_to(wire, False, src=src, port=CLOSED)
        )
    for dst in ("127.0.0.1", "10.0.0.3", "0.0.0.0", "224.0.0.99", "240.0.0.1"):
        table.nothing(f"an echo request to {dst}", "RFC 1122 section 3.2.1.3", ping(wire, False, dst=dst))
    for dst in ("255.255.255.255", "10.0.0.255", "224.0.0.1"):
        frame = Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff") / ping(wire, False, dst=dst)[IP]
        table.nothing(f"an echo request to {dst}", "RFC 1122 section 3.2.2.6", frame)
        frame = Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff") / udp_to(wire, False, dst=dst, port=CLOSED)[IP]
        table.nothing(f"a datagram for nobody to {dst}", "RFC 1122 section 3.2.2", frame)
    frame = Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff") / ping(wire, False)[IP]
    table.nothing("an echo request to us in a frame to all", "RFC 1122 section 3.3.6", frame)
    for protocol in (0, 3, 132, 253, 255):
        table.answered(
            f"protocol {protocol}", "RFC 1122 section 3.2.2.1", wire.ip(proto=protocol) / Raw(b"x" * 20), icmp(3, 2)
        )
    table.nothing(
        "protocol 253 to all",
        "RFC 1122 section 3.2.2",
        Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff") / IP(src=OWN, dst="10.0.0.255", proto=253) / Raw(b"x" * 20),
    )


def options_v4(table, wire):
    """RFC 1122 section 3.2.1.8: options that are not known are passed over, others do not harm."""
    for name, options in [
        ("no operation", b"\x01\x01\x01\x00"),
        ("an unknown one", b"\x9e\x04\x00\x00"),
        ("one of length 0", b"\x9e\x00\x00\x00"),
        ("one of length 1", b"\x9e\x01\x00\x00"),
        ("one longer than the header", b"\x9e\x28\x00\x00"),
        ("a kind at the very end", b"\x01\x01\x01\x9e"),
        ("record route, full", b"\x07\x07\x08\x0a\x00\x00\x01\x00"),
        ("record route with a pointer of 0", b"\x07\x07\x00\x00\x00\x00\x00\x00"),
        ("a timestamp that overflows", b"\x44\x08\x09\xf0\x00\x00\x00\x00"),
        ("router alert", b"\x94\x04\x00\x00"),
        ("forty bytes", b"\x9e\x28" + bytes(38)),
        ("a source route that is at its end", b"\x83\x07\x08\x0a\x00\x00\x01\x00"),
    ]:
        data = built(ping(wire, False))
        head = data[14:34]
        head[0] = 0x45 + len(options) // 4
        head[2:4] = (len(data) - 14 + len(options)).to_bytes(2, "big")
        frame = with_checksum(data[:14] + head + options + data[34:])
        table.answered(f"an echo request with the option {name}", "RFC 1122 section 3.2.1.8", bytes(frame), pong(False))


def fragments_v4(table, wire):
    """RFC 791 section 3.2, RFC 1122 section 3.3.2, RFC 1858, RFC 5722's rule for IPv4 too."""

    def parts(data, cuts, ident, proto=17):
        """A datagram's bytes, cut at these places."""
        ends = list(cuts) + [len(data)]
        starts = [0] + list(cuts)
        return [
            wire.ip(id=ident, proto=proto, flags="MF" if end < len(data) else 0, frag=start // 8) / Raw(data[start:end])
            for start, end in zip(starts, ends)
        ]

    payload = bytes(range(200))
    whole = bytes((wire.ip() / UDP(sport=5000, dport=ECHO) / Raw(payload)))[34:]
    echoed = udp(payload)
    table.answered("fragments in order", "RFC 791 section 3.2", parts(whole, (80, 160), 1), echoed)
    table.answered("fragments from the end", "RFC 791 section 3.2", parts(whole, (80, 160), 2)[::-1], echoed)
    table.answered("the tiniest fragments", "RFC 791 section 3.2", parts(whole, range(8, len(whole), 8), 3), echoed)
    table.answered(
        "every fragment twice", "RFC 791 section 3.2", [f for f in parts(whole, (80, 160), 4) for _ in (0, 1)], echoed
    )
    one, two, three = parts(whole, (80, 160), 5)
    wide = wire.ip(id=5, proto=17, flags="MF", frag=9) / Raw(b"z" * 96)
    table.nothing("an overlap with other bytes", "RFC 5722 section 4", one, wide, two, three)
    one, two, three = parts(whole, (80, 160), 7)
    table.nothing(
        "an end before what is there",
        "RFC 5722 section 4",
        two,
        three,
        wire.ip(id=7, proto=17, frag=2) / Raw(b"z" * 8),
        one,
    )
    one, two, three = parts(whole, (80, 160), 8)
    table.nothing("two ends", "RFC 5722 section 4", one, three, wire.ip(id=8, proto=17, frag=40) / Raw(b"z" * 8), two)
    table.nothing(
        "a fragment inside another",
        "RFC 5722 section 4",
        one,
        wire.ip(id=8, proto=17, flags="MF", frag=2) / Raw(b"z" * 8),
        two,
        three,
    )
    table.nothing(
        "beyond 65,535 bytes (ping of death)",
        "RFC 791 section 3.1",
        wire.ip(id=9, proto=1, flags="MF", frag=0) / Raw(bytes(ICMP()) + bytes(1000)),
        wire.ip(id=9, proto=1, frag=8191) / Raw(b"z" * 1400),
    )
    table.nothing(
        "a fragment that is not the last and no multiple of 8",
        "RFC 791 section 3.2",
        wire.ip(id=10, proto=17, flags="MF") / Raw(whole[:77]),
        wire.ip(id=10, proto=17, frag=9) / Raw(whole[72:]),
    )
    table.nothing(
        "fragments without data",
        "RFC 791 section 3.2",
        *[wire.ip(id=11, proto=17, flags="MF", frag=n) for n in (0, 1, 8191)],
    )
    table.nothing(
        "fragments of two datagrams that do not belong together",
        "RFC 791 section 3.2",
        parts(whole, (80,), 12)[0],
        parts(whole, (80,), 13)[1],
    )
    table.nothing(
        "fragments of two protocols",
        "RFC 791 section 3.2",
        parts(whole, (80,), 14)[0],
        parts(whole, (80,), 14, proto=132)[1],
    )
    table.nothing(
        "a thousand that are never finished",
        "RFC 1122 section 3.3.2",
        *[wire.ip(id=1000 + n, proto=17, flags="MF", frag=n % 50) / Raw(b"z" * 800) for n in range(1000)],
    )
    table.answered("and after them one that is", "RFC 1122 section 3.3.2", parts(whole, (80, 160), 15), echoed)
    segment = bytes(wire.ip() / TCP(sport=4500, dport=CLOSED, flags="S", seq=5))[34:]
    table.answered(
        "a SYN whose flags are in the second fragment",
        "RFC 791 section 3.2",
        parts(segment, (8,), 16, proto=6),
        tcp("RA", ack=6),
    )
    table.nothing(
        "a header overwritten by a second fragment",
        "RFC 1858 section 4",
        wire.ip(id=17, proto=6, flags="MF") / Raw(segment[:16]),
        wire.ip(id=17, proto=6, frag=1) / Raw(b"z" * 12),
    )
    big = bytes((wire.ip() / ICMP(id=9, seq=1) / Raw(bytes(65000))))[34:]
    cuts = range(1480, len(big), 1480)

    def large():
        got = wire.exchange(
            *parts(big, cuts, 18, proto=1), until=lambda got: sum(IP in f for f in got) == len(cuts) + 1
        )
        return None if all(len(f) <= 1514 for f in got) else show(got)

    table.row("an echo request of 65,008 bytes", "RFC 1122 section 3.2.2.6", large)


def icmp_v4(table, wire):
    """RFC 792, RFC 1122 section 3.2.2."""
    for kind in (1, 2, 7, 13, 15, 17, 37, 40, 255):
        table.nothing(
            f"ICMP of type {kind}", "RFC 1122 section 3.2.2", wire.ip(proto=1) / Raw(bytes(ICMP(type=kind)) + bytes(20))
        )
    for name, bytes_ in [
        ("no byte", b""),
        ("one byte", b"\x08"),
        ("four bytes", b"\x08\x00\xf7\xff"),
        ("seven bytes", b"\x08\x00\xf7\xff\0\0\0"),
    ]:
        table.nothing(f"an ICMP message of {name}", "RFC 792", wire.ip(proto=1) / Raw(bytes_))
    table.nothing("an echo request with a wrong checksum", "RFC 792", wire.ip() / ICMP(id=9, chksum=1) / Raw(b"ping"))
    table.nothing("an echo reply that nobody asked for", "RFC 792", wire.ip() / ICMP(type=0, id=9) / Raw(b"ping"))
    inner = bytes(IP(src=PEER, dst=OWN) / UDP(sport=ECHO, dport=5000))
    for kind in (3, 4, 5, 11, 12):
        for name, quoted in [
            ("nothing", b""),
            ("half a header", inner[:10]),
            ("a header alone", inner[:20]),
            ("itself", bytes(IP(src=PEER, dst=OWN, proto=1)) + bytes(ICMP(type=kind))),
            ("a packet of others", bytes(IP(src="10.9.9.9", dst="10.8.8.8") / UDP(dport=CLOSED))),
            ("a header with a wrong length", b"\x4f" + inner[1:]),
            ("all zeros", bytes(28)),
            ("a closed port's datagram", inner),
        ]:
            table.nothing(
                f"an ICMP error of type {kind} that quotes {name}",
                "RFC 1122 section 3.2.2",
                wire.ip() / ICMP(type=kind, code=1) / Raw(quoted),
            )
    time.sleep(0.5)

    def limited():
        got = wire.exchange(*[udp_to(wire, False, port=CLOSED, sport=6000 + n) for n in range(500)])
        return None if 1 <= sum(ICMP in f and f[ICMP].type == 3 for f in got) <= 120 else f"{len(got)} answers"

    table.row("errors are limited", "RFC 1812 section 4.3.2.8", limited)
    time.sleep(0.5)


def datagrams(table, wire, v6):
    """RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1."""
    table.answered("a datagram for the echo", "RFC 862", udp_to(wire, v6), udp(b"hello"))
    table.answered("an empty datagram", "RFC 768", udp_to(wire, v6, b""), udp(b""))
    refused = (lambda f: ICMPv6DestUnreach in f and f[ICMPv6DestUnreach].code == 4) if v6 else icmp(3, 3)
    table.answered("a datagram for nobody", "RFC 1122 section 4.1.3.1", udp_to(wire, v6, port=CLOSED), refused)
    table.answered("a datagram for port 0", "RFC 1122 section 4.1.3.1", udp_to(wire, v6, port=0), refused)
    table.nothing("a datagram from port 0", "RFC 768", udp_to(wire, v6, sport=0))

    def changed(**fields):
        frame = udp_to(wire, v6)
        for name, value in fields.items():
            setattr(frame[UDP], name, value)
        return frame

    table.nothing("a wrong checksum", "RFC 1122 section 4.1.3.4", changed(chksum=1))
    for length in (0, 7, 14, 100, 65535):
        # The checksum covers what the length says, so it is wrong where that is another.
        table.nothing(f"a length of {length}", "RFC 768", changed(len=length))
    shorter = changed(len=10)
    if v6:
        table.nothing("no checksum", "RFC 8200 section 8.1", changed(chksum=0))
    else:
        table.answered("no checksum", "RFC 768", changed(chksum=0), udp(b"hello"))
        shorter[UDP].chksum = 0
        table.answered("a length less than there is, no checksum", "RFC 768", shorter, udp(b"he"))
        shorter[UDP].len = 200
        table.nothing("a length more than there is, no checksum", "RFC 768", shorter)
    fields = {"nh": 17} if v6 else {"proto": 17}
    for length in (0, 1, 7):
        table.nothing(
            f"{length} bytes of a header", "RFC 768", wire.net(v6, **fields) / Raw(bytes(UDP(dport=ECHO))[:length])
        )


def headers_v6(table, wire):
    """RFC 8200 sections 3 and 4, RFC 4443 section 2.4, RFC 5095."""
    table.answered("an echo request that is well", "RFC 4443 section 4.1", ping(wire, True), pong(True))
    for name, offset, value in [
        ("version 4", 14, 0x40),
        ("version 15", 14, 0xF0),
        ("a payload longer than there is", 18, 0x40),
    ]:
        data = built(ping(wire, True))
        data[offset] = value
        table.nothing(name, "RFC 8200 section 3", bytes(data))
    table.answered(
        "a payload shorter than there is", "RFC 8200 section 3", bytes(built(ping(wire, True))) + b"trailer", pong(True)
    )
    table.nothing("a payload of no length", "RFC 8200 section 3", wire.ip6(nh=58, plen=0) / Raw(bytes(20)))
    for hops in (0, 1):
        table.answered(f"a hop limit of {hops}", "RFC 8200 section 3", ping(wire, True, hlim=hops), pong(True))
    for src in ("ff02::1", "::1", "::", PEER6):
        table.nothing(f"an echo request from {src}", "RFC 4291 section 2.7", ping(wire, True, src=src))
        table.nothing(f"a datagram from {src}", "RFC 4291 section 2.7", udp_to(wire, True, src=src))
        table.nothing(
            f"a datagram for nobody from {src}", "RFC 4443 section 2.4 (e)", udp_to(wire, True, src=src, port=CLOSED)
        )
        table.nothing(
            f"an unknown header from {src}", "RFC 4443 section 2.4 (e)", wire.ip6(src=src, nh=253) / Raw(b"x" * 20)
        )
    for dst in ("::1", "fd00::3", "::", "ff02::99"):
        table.nothing(f"an echo request to {dst}", "RFC 4291 section 2.5.3", ping(wire, True, dst=dst))
    problem = lambda code, ptr: icmp6(ICMPv6ParamProblem, code=code, ptr=ptr)
    to_group = lambda nh, data: (
        Ether(src=OWN_MAC, dst="33:33:00:00:00:01") / IPv6(src=OWN6, dst="ff02::1", nh=nh) / Raw(data)
    )
    for nh in (3, 132, 253, 255):
        table.answered(f"next header {nh}", "RFC 8200 section 4", wire.ip6(nh=nh) / Raw(b"x" * 20), problem(1, 6))
    table.nothing("next header 253 to a group", "RFC 4443 section 2.4 (e.3)", to_group(253, b"x" * 20))
    table.nothing("no next header", "RFC 8200 section 4.7", wire.ip6(nh=59) / Raw(b"x" * 20))
    echo = bytes(ping(wire, True))[54:]
    for name, kind, wanted, rule in [
        ("to be passed over", 0x1E, pong(True), "RFC 8200 section 4.2 (00)"),
        ("to be dropped", 0x5E, None, "RFC 8200 section 4.2 (01)"),
        ("to be reported", 0x9E, problem(2, 42), "RFC 8200 section 4.2 (10)"),
        ("to be reported but for groups", 0xDE, problem(2, 42), "RFC 8200 section 4.2 (11)"),
    ]:
        for layer, number in ((IPv6ExtHdrDestOpt, 60), (IPv6ExtHdrHopByHop, 0)):
            raw = bytes([58, 0, kind, 4, 0, 0, 0, 0])
            frame = wire.ip6(nh=number) / Raw(raw + echo)
            what = f"an unknown option {name} in header {number}"
            if wanted:
                table.answered(what, rule, frame, wanted)
            else:
                table.nothing(what, rule, frame)
            error = bytes(wire.ip6() / ICMPv6DestUnreach(code=0) / Raw(bytes(48)))[54:]
            table.nothing(
                f"{what}, before an ICMP error", "RFC 4443 section 2.4 (e.1)", wire.ip6(nh=number) / Raw(raw + error)
            )
    option_to_group = lambda kind: to_group(60, bytes([59, 0, kind, 4, 0, 0, 0, 0]))
    table.answered(
        "an unknown option to be reported, to a group",
        "RFC 4443 section 2.4 (e.3)",
        option_to_group(0x9E),
        problem(2, 42),
    )
    table.nothing(
        "an unknown option to be reported but for groups, to a group",
        "RFC 8200 section 4.2 (11)",
        option_to_group(0xDE),
    )
    for name, raw in [
        ("longer than its header", bytes([58, 0, 0x1E, 40, 0, 0, 0, 0])),
        ("cut off", bytes([58, 0, 1, 3, 0, 0, 0, 0x1E])),
    ]:
        table.nothing(f"an option {name}", "RFC 8200 section 4.2", wire.ip6(nh=60) / Raw(raw + echo))
    for name, nh, raw in [
        ("a header longer than the packet", 60, bytes([58, 200, 1, 4, 0, 0, 0, 0])),
        ("half a header", 60, bytes([58, 0, 1])),
        ("half a fragment header", 44, bytes([58, 0, 0])),
    ]:
        table.nothing(name, "RFC 8200 section 4", wire.ip6(nh=nh) / Raw(raw))
    twice = bytes([0, 0, 1, 4, 0, 0, 0, 0]) + bytes([58, 0, 1, 4, 0, 0, 0, 0])
    table.answered(
        "hop-by-hop options that are not first",
        "RFC 8200 section 4.1",
        wire.ip6(nh=0) / Raw(twice + echo),
        problem(1, 40),
    )
    table.nothing(
        "a hundred headers",
        "RFC 8200 section 4.1",
        wire.ip6(nh=60) / Raw(bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 100 + echo),
    )
    for kind in (0, 2, 99):
        routed = lambda left: wire.ip6(nh=43) / Raw(bytes([58, 2, kind, left, 0, 0, 0, 0]) + bytes(16) + echo)
        table.answered(
            f"routing header {kind} with segments left",
            "RFC 8200 section 4.4, RFC 5095 section 3",
            routed(1),
            problem(0, 42),
        )
        table.answered(f"routing header {kind} without segments left", "RFC 8200 section 4.4", routed(0), pong(True))


def fragments_v6(table, wire):
    """RFC 8200 section 4.5, RFC 5722, RFC 6946, RFC 7112."""
    payload = bytes(range(200))
    whole = bytes((wire.ip6() / UDP(sport=5000, dport=ECHO) / Raw(payload)))[54:]

    def part(ident, start, end, more, data=None, nh=17):
        data = whole[start:end] if data is None else data
        return wire.ip6(nh=44) / Raw(
            bytes([nh, 0]) + (start | more).to_bytes(2, "big") + ident.to_bytes(4, "big") + data
        )

    def parts(ident, cuts):
        ends, starts = list(cuts) + [len(whole)], [0] + list(cuts)
        return [part(ident, s, e, e < len(whole)) for s, e in zip(starts, ends)]

    echoed = udp(payload)
    table.answered("fragments in order", "RFC 8200 section 4.5", parts(1, (80, 160)), echoed)
    table.answered("fragments from the end", "RFC 8200 section 4.5", parts(2, (80, 160))[::-1], echoed)
    table.answered("the tiniest fragments", "RFC 8200 section 4.5", parts(3, range(8, len(whole), 8)), echoed)
    table.answered("a fragment that is all", "RFC 6946 section 4", part(4, 0, len(whole), 0), echoed)
    one, two, three = parts(5, (80, 160))
    table.answered(
        "a fragment that is all, beside others of its name",
        "RFC 6946 section 4",
        [one, part(5, 0, len(whole), 0)],
        echoed,
    )
    one, two, three = parts(6, (80, 160))
    table.nothing("an overlap", "RFC 5722 section 4", one, part(6, 72, 0, 1, b"z" * 96), two, three)
    table.nothing(
        "an end before what is there", "RFC 5722 section 4", *parts(7, (80, 160))[1:], part(7, 16, 0, 0, b"z" * 8)
    )
    problem = lambda code, ptr: icmp6(ICMPv6ParamProblem, code=code, ptr=ptr)
    table.answered(
        "a fragment that is not the last and no multiple of 8", "RFC 8200 section 4.5", part(8, 0, 77, 1), problem(0, 4)
    )
    table.answered("beyond 65,535 bytes", "RFC 8200 section 4.5", part(9, 65528, 0, 0, b"z" * 100), problem(0, 42))
    table.answered(
        "a first fragment without the whole header chain",
        "RFC 8200 section 4.5, RFC 7112 section 5",
        part(10, 0, 0, 1, bytes(8), nh=60),
        problem(3, 0),
    )
    table.answered(
        "a first fragment with half a TCP header",
        "RFC 8200 section 4.5, RFC 7112 section 5",
        part(11, 0, 0, 1, bytes(16), nh=6),
        problem(3, 0),
    )
    table.nothing(
        "a thousand that are never finished",
        "RFC 8200 section 4.5",
        *[part(1000 + n, 8 * (n % 50), 0, 1, b"z" * 800) for n in range(1000)],
    )
    table.answered("and after them one that is", "RFC 8200 section 4.5", parts(12, (80, 160)), echoed)
    time.sleep(0.5)


def icmp_v6(table, wire):
    """RFC 4443."""
    for kind in (0, 5, 100, 139, 144, 200, 255):
        body = bytearray(bytes(ping(wire, True))[54:])
        body[0], body[2:4] = kind, b"\0\0"
        frame = wire.ip6(nh=58) / Raw(bytes(body))
        body[2:4] = in6_chksum(58, frame[IPv6], bytes(body)).to_bytes(2, "big")
        frame[Raw].load = bytes(body)
        table.nothing(f"ICMPv6 of type {kind}", "RFC 4443 section 2.4 (a), (b)", frame)
    table.nothing(
        "an echo request with a wrong checksum", "RFC 4443 section 2.3", wire.ip6() / ICMPv6EchoRequest(id=9, cksum=1)
    )
    for length in (0, 1, 4, 7):
        table.nothing(
            f"{length} bytes of a message",
            "RFC 4443 section 2.1",
            wire.ip6(nh=58) / Raw(bytes(ping(wire, True))[54 : 54 + length]),
        )
    table.nothing("ICMP of IPv4 over IPv6", "RFC 4443 section 1", wire.ip6(nh=58) / Raw(bytes(ICMP(id=9))))
    inner = bytes(IPv6(src=PEER6, dst=OWN6) / UDP(sport=ECHO, dport=5000))
    for layer in (
        ICMPv6DestUnreach(),
        ICMPv6PacketTooBig(mtu=0),
        ICMPv6PacketTooBig(mtu=1280),
        ICMPv6TimeExceeded(),
        ICMPv6ParamProblem(),
    ):
        for name, quoted in [
            ("nothing", b""),
            ("half a header", inner[:20]),
            ("a header alone", inner[:40]),
            ("all zeros", bytes(60)),
            ("a closed port's datagram", inner),
            ("a packet of others", bytes(IPv6(src="fd99::1", dst="fd98::1") / UDP(dport=CLOSED))),
        ]:
            table.nothing(f"{layer.name} that quotes {name}", "RFC 4443 section 2.4", wire.ip6() / layer / Raw(quoted))
    time.sleep(0.5)

    def limited():
        got = wire.exchange(*[udp_to(wire, True, port=CLOSED, sport=6000 + n) for n in range(500)])
        return None if 1 <= sum(ICMPv6DestUnreach in f for f in got) <= 120 else f"{len(got)} answers"

    table.row("errors are limited", "RFC 4443 section 2.4 (f)", limited)
    time.sleep(0.5)


def given_up(table, wire):
    """Fragments whose rest does not come (RFC 1122 section 3.3.2, RFC 8200 section 4.5): a minute later their sender hears of it."""
    parts = []
    for v6 in (False, True):
        whole = bytes(UDP(sport=5000, dport=ECHO, len=2008) / Raw(bytes(1400)))
        if v6:
            parts.append(wire.ip6(nh=44) / Raw(bytes([17, 0, 0, 1, 0, 0, 0, 77]) + whole[:1400]))
        else:
            parts.append(wire.ip(id=77, flags="MF", proto=17) / Raw(whole[:1400]))
    # And one whose first part is what is missing: of that nobody hears.
    parts.append(wire.ip(id=78, frag=100, proto=17) / Raw(bytes(400)))
    wire.send(*parts)
    start, got = time.monotonic(), []

    def wait():
        while time.monotonic() < start + 66:
            if frame := wire.receive(1):
                got.append((time.monotonic() - start, frame))
        return [f for _, f in got]

    def check(v6, is_right):
        frames = wait() if not got else [f for _, f in got]
        right = [after for after, f in got if is_right(f)]
        if len(right) != 1 or not 55 <= right[0] <= 65:
            return f"after {right} seconds; got {show(frames)}"
        return None

    table.row(
        "the first fragment alone",
        "RFC 1122 section 3.3.2",
        lambda: check(False, lambda f: ICMP in f and (f[ICMP].type, f[ICMP].code) == (11, 1)),
    )
    table.row(
        "the same over IPv6",
        "RFC 8200 section 4.5",
        lambda: check(True, lambda f: ICMPv6TimeExceeded in f and f[ICMPv6TimeExceeded].code == 1),
    )
    table.row(
        "nothing else is said",
        "RFC 1122 section 3.2.2",
        lambda: None if len(got) == 2 else f"got {show([f for _, f in got])}",
    )


def run(table, wire):
    # Errors come twenty at once and fifty a second: after each part there may be twenty again.
    for part in (frames, headers_v4, options_v4, fragments_v4, icmp_v4, headers_v6, fragments_v6, icmp_v6):
        part(table, wire)
        time.sleep(0.4)
    for v6 in (False, True):
        datagrams(table, wire, v6)
    given_up(table, wire)
