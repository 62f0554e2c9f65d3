"""Odd segments: RFC 9293, 5961, 7323, 2018, 5927, and RFC 1122 section 4.2."""

import hashlib

from wire import *

CLOSED, DISCARD, SOURCE, HTTP = 81, 9, 19, 80


def flags_of(bits):
    return "".join(letter for bit, letter in enumerate("FSRPAU") if bits >> bit & 1)


def closed(table, wire, v6):
    """RFC 9293 section 3.10.7.1, every combination of flags, without data and with."""
    for bits in range(64):
        flags = flags_of(bits)
        for data in (b"", b"data"):
            segment = TCP(sport=1000 + bits, dport=CLOSED, flags=flags, seq=5000, ack=7000)
            frame = wire.net(v6) / segment / Raw(data)
            name = f"{flags or 'no flag'} and {len(data)} bytes to a closed port"
            length = len(data) + ("S" in flags) + ("F" in flags)
            if "R" in flags:
                table.nothing(name, "RFC 9293 section 3.10.7.1", frame)
            elif "A" in flags:
                table.answered(name, "RFC 9293 section 3.10.7.1", frame, tcp("R", seq=7000))
            else:
                table.answered(name, "RFC 9293 section 3.10.7.1", frame, tcp("RA", seq=0, ack=5000 + length))


def listening(table, wire, v6):
    """RFC 9293 section 3.10.7.2, every combination of flags."""
    for bits in range(64):
        flags = flags_of(bits)
        port = 2000 + bits
        segment = TCP(sport=port, dport=DISCARD, flags=flags, seq=5000, ack=7000)
        frame, name = wire.net(v6) / segment, f"{flags or 'no flag'} to a listener"
        if "R" not in flags and "A" in flags:
            table.answered(name, "RFC 9293 section 3.10.7.2", frame, tcp("R", seq=7000))
        elif "R" not in flags and "S" in flags and "F" not in flags:
            table.answered(name, "RFC 9293 section 3.10.7.2", frame, tcp("SA", ack=5001))
            wire.send(wire.net(v6) / TCP(sport=port, dport=DISCARD, flags="R", seq=5001))
        else:
            # SYN with FIN may be processed or not (the FIN is queued text); it opens nothing here.
            table.nothing(name, "RFC 9293 section 3.10.7.2", frame)


def established(table, wire, v6):
    """RFC 9293 section 3.10.7.4 with RFC 5961, every combination of flags at exactly RCV.NXT."""
    for bits in range(64):
        flags = flags_of(bits)

        def check():
            connection = Connection(wire, DISCARD, v6)
            got = wire.exchange(connection.segment(flags))
            ours = [f[TCP] for f in got if connection.is_ours(f)]
            if "R" in flags:
                if ours:
                    return show(got)
                return connection.is_gone()
            if "S" in flags:
                # RFC 5961 section 4.2: a challenge, and all goes on.
                if [(str(t.flags), t.ack, t.seq) for t in ours] != [("A", connection.snd, connection.rcv)]:
                    return show(got)
            elif "A" not in flags:
                if ours:
                    return show(got)
            elif "F" in flags:
                # Acknowledged, and the application closes too.
                if not ours or any(t.ack != connection.add(1) for t in ours) or not any(t.flags.F for t in ours):
                    got += wire.exchange(until=lambda got: any(connection.is_ours(f) and f[TCP].flags.F for f in got))
                connection.snd, connection.rcv = connection.add(1), (connection.rcv + 1) % (1 << 32)
                # The last acknowledgment; then there is nothing to reset.
                wire.exchange(connection.segment("A"))
                return connection.is_gone()
            elif ours:
                return show(got)
            return connection.lives()

        table.row(f"{flags or 'no flag'} in a connection", "RFC 9293 section 3.10.7.4", check)


def windows(table, wire, v6):
    """Segments at the edges of the window and beyond."""
    # offset from RCV.NXT, flags, data; what comes back: nothing, an acknowledgment; the rule
    edge = 65535
    rows = [
        ("a RST before the window", -1, "R", b"", None, "RFC 5961 section 3.2 (1)"),
        ("a RST far before the window", -(1 << 30), "R", b"", None, "RFC 5961 section 3.2 (1)"),
        ("a RST behind the window", 1 << 30, "R", b"", None, "RFC 5961 section 3.2 (1)"),
        ("a RST with ACK behind the window", 1 << 30, "RA", b"", None, "RFC 5961 section 3.2 (1)"),
        ("a RST in the window", 1, "R", b"", "A", "RFC 5961 section 3.2 (3)"),
        ("a RST with ACK at the window's end", edge - 1, "RA", b"", "A", "RFC 5961 section 3.2 (3)"),
        ("a SYN before the window", -1, "S", b"", "A", "RFC 5961 section 4.2"),
        ("a SYN behind the window", 1 << 30, "S", b"", "A", "RFC 5961 section 4.2"),
        ("a SYN in the window", 5, "S", b"", "A", "RFC 5961 section 4.2"),
        ("a SYN,ACK in the window", 5, "SA", b"", "A", "RFC 5961 section 4.2"),
        ("a FIN before the window", -2, "FA", b"", "A", "RFC 9293 section 3.10.7.4"),
        ("a FIN behind the window", 1 << 30, "FA", b"", "A", "RFC 9293 section 3.10.7.4"),
        ("a FIN beyond a hole", 10, "FA", b"", "A", "RFC 5681 section 4.2"),
        ("data before the window", -100, "PA", b"x" * 100, "A", "RFC 9293 section 3.10.7.4"),
        ("data behind the window", 1 << 30, "PA", b"x" * 100, "A", "RFC 9293 section 3.10.7.4"),
        ("data beyond a hole", 10, "PA", b"x" * 100, "A", "RFC 5681 section 4.2"),
        ("a probe of one byte before the window", -1, "A", b"x", "A", "RFC 9293 section 3.8.4"),
        ("a keep-alive without data", -1, "A", b"", "A", "RFC 9293 section 3.8.4"),
        ("data without ACK", 0, "P", b"x" * 10, None, "RFC 9293 section 3.10.7.4"),
    ]
    for name, offset, flags, data, wanted, rule in rows:

        def check():
            connection = Connection(wire, DISCARD, v6)
            got = wire.exchange(connection.segment(flags, data, seq=connection.snd + offset))
            ours = [f[TCP] for f in got if connection.is_ours(f)]
            if wanted is None and ours:
                return show(got)
            if wanted and [(str(t.flags), t.ack, t.seq) for t in ours] != [(wanted, connection.snd, connection.rcv)]:
                return show(got)
            return connection.lives()

        table.row(name, rule, check)
    for name, ack, answers, rule in [
        ("an acknowledgment of what was never sent", 1000, True, "RFC 5961 section 5.2"),
        ("one far beyond", 1 << 30, True, "RFC 5961 section 5.2"),
        ("one from long ago", -(1 << 30), True, "RFC 5961 section 5.2"),
        ("one from just now", -1, False, "RFC 9293 section 3.10.7.4"),
    ]:

        def check():
            connection = Connection(wire, DISCARD, v6)
            got = wire.exchange(connection.segment("A", ack=connection.rcv + ack))
            ours = [str(f[TCP].flags) for f in got if connection.is_ours(f)]
            if ours != (["A"] if answers else []):
                return show(got)
            return connection.lives()

        table.row(name, rule, check)


def storms(table, wire, v6):
    """RFC 5961 section 7: forged segments do not make this host a source of acknowledgments."""
    for name, flags, offset in [
        ("SYNs", "S", 0),
        ("RSTs in the window", "R", 9),
        ("acknowledgments of nothing", "A", 0),
    ]:

        def check():
            connection = Connection(wire, DISCARD, v6)
            ack = connection.rcv + (1 << 30 if flags == "A" else 0)
            one = connection.segment(flags, seq=connection.snd + offset, ack=ack)
            got = wire.exchange(*[one] * 200)
            count = sum(connection.is_ours(f) for f in got)
            # One each 50 ms, and 200 segments take less than a few of these.
            if not 1 <= count <= 20:
                return f"{count} answers to 200 of them"
            return connection.lives()

        table.row(f"a storm of {name}", "RFC 5961 section 7", check)


def contradictions(table, wire, v6):
    """Data that overlaps with other bytes: what was acknowledged stays, and the stream is of one piece."""
    length = 300
    a, b, c = (letter * length for letter in (b"a", b"b", b"c"))

    def digest(parts):
        """Sends the parts, in this order, as content of a request; the digest that the server made of it."""
        connection = Connection(wire, HTTP, v6)
        head = f"POST /sha256 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        wire.send(connection.segment("PA", head))
        base = connection.snd + len(head)
        for start, data in parts:
            wire.send(connection.segment("PA", data, seq=base + start))

        def answer(got):
            return b"".join(
                bytes(f[TCP].payload)
                for f in sorted((f for f in got if connection.is_ours(f) and f[TCP].flags.A), key=lambda f: f[TCP].seq)
            )

        got = wire.exchange(until=lambda got: b"\r\n\r\n" in answer(got) and len(answer(got)) > 160)
        connection.snd = (base + length) % (1 << 32)
        return next(word for word in answer(got).decode().split() if len(word) == 64)

    def check(parts, allowed):
        said = digest(parts)
        if said not in [hashlib.sha256(content).hexdigest() for content in allowed]:
            return f"the content is {said}, none of {len(allowed)} that it may be"
        return None

    first_kept = b[:100] + a[100:200] + b[200:]
    last_kept = b
    for name, parts, allowed in [
        ("an early segment and then all, otherwise", [(100, a[:100]), (0, b)], [first_kept, last_kept]),
        ("what was delivered, sent again otherwise", [(0, a[:200]), (0, b[:200]), (200, a[:100])], [a]),
        ("half of what was delivered, otherwise, and new", [(0, a[:200]), (100, b[:200])], [a[:200] + b[:100]]),
        (
            "two early ones that contradict each other",
            [(100, a[:100]), (100, b[:100]), (0, c[:100]), (200, c[:100])],
            [c[:100] + x[:100] + c[:100] for x in (a, b)],
        ),
        ("every byte thrice, in disorder", [(i, x[:20]) for x in (a, b, c) for i in range(280, -1, -20)], [a]),
        ("one byte at a time from the end", [(i, a[:1]) for i in range(299, -1, -1)], [a]),
        (
            "long ones that all begin before what is known",
            [(0, a[:50]), (25, a[:100]), (10, a[:200]), (1, a[:299])],
            [a],
        ),
    ]:
        table.row(name, "RFC 9293 section 3.10.7.4", lambda parts=parts, allowed=allowed: check(parts, allowed))


def options(table, wire, v6):
    """RFC 9293 section 3.1 and 3.2 (MUST-6, MUST-7), RFC 7323 section 2.3, RFC 2018 section 2."""
    rows = [
        ("no option", b""),
        ("an option of length 0", b"\x02\x00\x05\xb4"),
        ("an option of length 1", b"\x02\x01\x05\xb4"),
        ("an option longer than the header", b"\x02\x28\x05\xb4"),
        ("an option's kind at the very end", b"\x01\x01\x01\x02"),
        ("an unknown option", b"\xfd\x06abcd\x01\x01"),
        ("an unknown option of length 0", b"\xfd\x00\x00\x00"),
        ("forty bytes of an unknown option", b"\xfd\x28" + bytes(38)),
        ("MSS of the wrong length", b"\x02\x03\x05\x01"),
        ("MSS twice", b"\x02\x04\x05\xb4\x02\x04\x02\x00"),
        ("MSS of 0", b"\x02\x04\x00\x00"),
        ("MSS of 65535", b"\x02\x04\xff\xff"),
        ("window scale of 255", b"\x03\x03\xff\x01\x02\x04\x05\xb4"),
        ("window scale twice", b"\x03\x03\x02\x03\x03\x0e\x01\x01"),
        ("SACK blocks in a SYN", b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02"),
        ("SACK blocks of an odd length", b"\x05\x09\x00\x00\x00\x01\x00\x00\x00"),
        ("timestamps of length 8", b"\x08\x08\x00\x00\x00\x01\x00\x00"),
        ("end of options, then what must not be read", b"\x00\x02\x00\x02\x04\xff\xff"),
        ("all options at once", b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07"),
        ("TCP MD5 signature", b"\x13\x12" + bytes(16)),
        ("TCP Fast Open cookie", b"\x22\x0a" + bytes(8)),
    ]
    for number, (name, raw) in enumerate(rows):
        frame = raw_tcp(wire, v6, 3000 + number, DISCARD, "S", 5000, 0, raw)
        table.answered(f"a SYN with {name}", "RFC 9293 section 3.1 (MUST-6, MUST-7)", frame, tcp("SA", ack=5001))
        wire.send(wire.net(v6) / TCP(sport=3000 + number, dport=DISCARD, flags="R", seq=5001))

    def in_connection(raw):
        connection = Connection(
            wire, DISCARD, v6, options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("WScale", 3)]
        )
        ts = [o for o in connection.synack.options if o[0] == "Timestamp"][0][1]
        stamp = b"\x08\x0a" + (8).to_bytes(4, "big") + ts[0].to_bytes(4, "big")
        frame = raw_tcp(wire, v6, connection.sport, DISCARD, "PA", connection.snd, connection.rcv, stamp + raw, b"?")

        def known(got):
            return any(connection.is_ours(f) and f[TCP].ack == connection.add(1) for f in got)

        wire.exchange(frame, until=known)
        connection.snd = connection.add(1)

    blocks = b"".join(n.to_bytes(4, "big") for n in (1, 0xFFFFFFF0, 0x80000000, 5, 7, 7))
    for name, raw in [
        ("SACK blocks of bytes never sent", b"\x01\x01\x05\x1a" + blocks),
        ("a SACK block cut off", b"\x01\x01\x05\x0a\x00\x00"),
        ("timestamps twice", b"\x01\x01\x08\x0a\x00\x00\x00\x09\x00\x00\x00\x00"),
        ("MSS", b"\x02\x04\x00\x01\x01\x01"),
        ("an option of length 0", b"\x01\xfe\x00\x00"),
    ]:
        table.row(f"data with {name}", "RFC 9293 section 3.1 (MUST-6)", lambda raw=raw: in_connection(raw))
    for name, change in [
        ("a data offset of 0", {"dataofs": 0}),
        ("a data offset of 4", {"dataofs": 4}),
        ("a data offset beyond the segment", {"dataofs": 15}),
    ]:
        table.nothing(
            f"a SYN with {name}",
            "RFC 9293 section 3.1",
            wire.net(v6) / TCP(sport=3500, dport=DISCARD, flags="S", **change),
        )
    for length in (0, 1, 12, 19):
        segment = bytes(TCP(sport=3501, dport=DISCARD, flags="S"))[:length]
        fields = {"nh": 6} if v6 else {"proto": 6}
        table.nothing(f"{length} bytes of a header", "RFC 9293 section 3.1", wire.net(v6, **fields) / Raw(segment))
    good = wire.net(v6) / TCP(sport=3502, dport=DISCARD, flags="S", seq=1)
    right = Ether(bytes(good))[TCP].chksum
    for name, sum_ in [
        ("0", 0),
        ("all ones", 0xFFFF),
        ("one bit off", right ^ 1),
        ("its bytes swapped", right >> 8 | (right & 255) << 8),
    ]:
        if sum_ != right:
            bad = good.copy()
            bad[TCP].chksum = sum_
            table.nothing(f"a SYN whose checksum is {name}", "RFC 9293 section 3.1 (MUST-3)", bad)


def raw_tcp(wire, v6, sport, dport, flags, seq, ack, raw, data=b""):
    """A segment whose options are these bytes, padded with zeros, and whose checksum is right."""
    raw += bytes(-len(raw) % 4)
    segment = bytearray(bytes(TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=8192)) + raw + data)
    segment[12] = (20 + len(raw)) // 4 << 4
    segment[16:18] = b"\0\0"
    # As TCP without a known length scapy computes the checksum of what stands there.
    frame = wire.net(v6, **({"nh": 6} if v6 else {"proto": 6})) / Raw(bytes(segment))
    lower = frame[IPv6] if v6 else frame[IP]
    if v6:
        check = in6_chksum(6, lower, bytes(segment))
    else:
        pseudo = (
            socket.inet_aton(lower.src) + socket.inet_aton(lower.dst) + bytes([0, 6]) + len(segment).to_bytes(2, "big")
        )
        check = checksum(pseudo + bytes(segment))
    segment[16:18] = check.to_bytes(2, "big")
    frame[Raw].load = bytes(segment)
    return frame


def zero_windows(table, wire, v6):
    """RFC 9293 section 3.8.6.1: a closed window is probed and kept; one that opens is used."""

    def check():
        connection = Connection(wire, SOURCE, v6, window=0)
        ours = lambda got: [f[TCP] for f in got if connection.is_ours(f)]
        end = lambda got: max([t.seq + len(t.payload) - connection.rcv for t in ours(got)], default=0)
        probe = wire.exchange(until=ours)
        if end(probe) > 1:
            return "more than a byte into a closed window: " + show(probe)
        # It is taken, and there is room for a little more.
        connection.rcv += 1
        got = wire.exchange(connection.segment("A", window=100), until=lambda got: end(got) > 0)
        if end(got) > 100:
            return "more than the window: " + show(got)
        # What was offered is taken back: the connection stands it (MUST-34), and goes on when the window opens.
        wire.exchange(connection.segment("A", window=0))
        connection.rcv += end(got)
        got = wire.exchange(connection.segment("A", window=5000), until=lambda got: end(got) >= 2000)
        if end(got) > 5000:
            return "more than the window: " + show(got)
        return None

    table.row(
        "a window that is closed, opened, taken back and opened", "RFC 9293 section 3.8.6.1 (MUST-34, MUST-36)", check
    )

    def silly():
        connection = Connection(wire, SOURCE, v6, window=1)
        wire.exchange(until=lambda got: any(connection.is_ours(f) and len(f[TCP].payload) == 1 for f in got))

    table.row("a window of one byte", "RFC 9293 section 3.8.6.2.1", silly)


def urgent(table, wire, v6):
    """RFC 9293 section 3.8.5 with RFC 6093: urgent data is data in its place."""
    request = b"POST /sha256 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    wanted = hashlib.sha256(b"abc").hexdigest().encode()
    for name, pointer in [
        ("at its first byte", 0),
        ("in it", 5),
        ("at its end", len(request)),
        ("far beyond it", 65535),
    ]:

        def check():
            connection = Connection(wire, HTTP, v6)
            wire.exchange(
                connection.segment("PAU", request, urgent=pointer),
                until=lambda got: any(wanted in bytes(f[TCP].payload) for f in got if connection.is_ours(f)),
            )
            connection.snd = connection.add(len(request))

        table.row(f"data with the urgent pointer {name}", "RFC 6093 section 3", check)


def icmp_about_connections(table, wire, v6):
    """RFC 5927 sections 4 and 5: what an error quotes must be in flight, and then it is a hint."""

    def quote(connection, seq):
        """The segment of the stack's that we claim to complain about."""
        ports = TCP(sport=connection.dport, dport=connection.sport, seq=seq % (1 << 32), flags="A", chksum=1)
        return IPv6(src=PEER6, dst=OWN6) / ports if v6 else IP(src=PEER, dst=OWN, flags="DF", len=1500) / ports

    def errors(connection, seq):
        quoted = bytes(quote(connection, seq))[: 40 + 20]
        if v6:
            return [
                wire.ip6() / e / Raw(quoted)
                for e in [
                    ICMPv6DestUnreach(code=0),
                    ICMPv6DestUnreach(code=1),
                    ICMPv6DestUnreach(code=4),
                    ICMPv6TimeExceeded(code=0),
                    ICMPv6ParamProblem(code=1, ptr=6),
                ]
            ]
        return [
            wire.ip() / e / Raw(quoted)
            for e in [
                ICMP(type=3, code=0),
                ICMP(type=3, code=1),
                ICMP(type=3, code=2),
                ICMP(type=3, code=3),
                ICMP(type=3, code=13),
                ICMP(type=4, code=0),
                ICMP(type=11, code=0),
                ICMP(type=12, code=0),
                ICMP(type=5, code=1),
            ]
        ]

    def check(offset):
        connection = Connection(wire, DISCARD, v6)
        got = wire.exchange(*errors(connection, connection.rcv + offset))
        if got:
            return show(got)
        return connection.lives()

    for name, offset in [
        ("of what was never sent", 1000),
        ("of what is acknowledged", -1),
        ("with the sequence number of nothing in flight", 0),
    ]:
        table.row(
            f"every ICMP error about a segment {name}", "RFC 5927 section 4.1", lambda offset=offset: check(offset)
        )

    too_big = (lambda mtu: ICMPv6PacketTooBig(mtu=mtu)) if v6 else (lambda mtu: ICMP(type=3, code=4, nexthopmtu=mtu))
    header = 60 if v6 else 40

    def flight(window):
        connection = Connection(wire, SOURCE, v6, window=window)
        size = lambda got: [len(f[TCP].payload) for f in got if connection.is_ours(f)]
        first = wire.exchange(until=lambda got: sum(size(got)) >= window - 1460)
        return connection, size, max(size(first))

    def hard():
        connection, size, _ = flight(4000)
        got = wire.exchange(*errors(connection, connection.rcv))
        # Not one of them ends it: new data comes when the old is acknowledged.
        connection.rcv += 2000
        wire.exchange(connection.segment("A", window=8000), until=lambda got: sum(size(got)) >= 2000)
        return None

    table.row("every ICMP error about a segment in flight", "RFC 5927 section 5.2", hard)

    def forged_too_big():
        connection, size, before = flight(6000)
        quoted = bytes(quote(connection, connection.rcv + 100_000))[:60]
        wire.exchange(wire.net(v6) / too_big(1280 if v6 else 600) / Raw(quoted))
        connection.rcv += 6000
        got = wire.exchange(connection.segment("A", window=6000), until=lambda got: sum(size(got)) >= 4000)
        if max(size(got)) != before:
            return f"segments of {max(size(got))} after {before}"
        return None

    table.row("too big, about what is not in flight", "RFC 5927 section 7", forged_too_big)

    def true_too_big(mtu, most):
        connection, size, before = flight(6000)
        quoted = bytes(quote(connection, connection.rcv))[:60]
        got = wire.exchange(wire.net(v6) / too_big(mtu) / Raw(quoted), until=lambda got: sum(size(got)) >= 500)
        if max(size(got)) > most - header:
            return f"segments of {max(size(got))} after {before}"
        return None

    if v6:
        table.row("too big, of a segment in flight", "RFC 8201 section 4", lambda: true_too_big(1400, 1400))
        table.row("too big, below what every link takes", "RFC 8201 section 4", lambda: true_too_big(600, 1280))
    else:
        table.row("too big, of a segment in flight", "RFC 1191 section 3", lambda: true_too_big(1000, 1000))
        table.row("too big, absurdly small", "RFC 1191 section 3", lambda: true_too_big(1, 552))


def sources(table, wire, v6):
    """RFC 9293 section 3.9.2.3: no segment from or to what is no host."""
    names = (
        ["ff02::1", "ff0e::1", "::1", PEER6, "::", "::ffff:10.0.0.66"]
        if v6
        else ["255.255.255.255", "10.0.0.255", "10.0.0.0", "224.0.0.1", "239.255.255.250", "127.0.0.1", "0.0.0.0", PEER]
    )
    for src in names:
        for flags, port in [("S", DISCARD), ("S", CLOSED), ("A", DISCARD), ("SA", CLOSED)]:
            table.nothing(
                f"{flags} from {src} to port {port}",
                "RFC 9293 section 3.9.2.3 (MUST-57, MUST-63)",
                wire.net(v6, src=src) / TCP(sport=port, dport=port, flags=flags, seq=1),
            )
    for dst in (
        ["ff02::1", "ff02::1:ff00:2", "::1"] if v6 else ["255.255.255.255", "10.0.0.255", "224.0.0.1", "127.0.0.1"]
    ):
        for mac in (wire.peer_mac, "ff:ff:ff:ff:ff:ff"):
            for port in (DISCARD, CLOSED):
                table.nothing(
                    f"a SYN to {dst} at {mac[:2]}.., port {port}",
                    "RFC 9293 section 3.9.2.3 (MUST-57)",
                    Ether(src=OWN_MAC, dst=mac)
                    / (IPv6(src=OWN6, dst=dst) if v6 else IP(src=OWN, dst=dst))
                    / TCP(sport=4000, dport=port, flags="S"),
                )
    table.nothing(
        "a SYN to us in a frame to all",
        "RFC 1122 section 3.3.6",
        Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff")
        / (IPv6(src=OWN6, dst=PEER6) if v6 else IP(src=OWN, dst=PEER))
        / TCP(sport=4001, dport=DISCARD, flags="S"),
    )


def run(table, wire):
    for v6 in (False, True):
        for part in (
            closed,
            listening,
            established,
            windows,
            storms,
            contradictions,
            options,
            zero_windows,
            urgent,
            icmp_about_connections,
            sources,
        ):
            part(table, wire, v6)
