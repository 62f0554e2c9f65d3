"""Odd neighbours: ARP, neighbour and router discovery (RFC 826, 5227, 4861, 4862, 8106)."""

from wire import *

ROUTER = "fe80::aa"
LINK_GROUP, LINK_MAC = "ff02::1", "33:33:00:00:00:01"


def arp(table, wire):
    everyone = Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff")
    ask = dict(hwsrc=OWN_MAC, psrc=OWN, pdst=PEER)

    def answers(name, rule, frame, wanted):
        def check():
            wire.all = True
            try:
                got = [f for f in wire.exchange(frame) if ARP in f]
            finally:
                wire.all = False
            right = len(got) == wanted and all(f[ARP].hwsrc == wire.peer_mac and f[ARP].psrc == PEER for f in got)
            return None if right else f"got {show(got)}"

        table.row(name, rule, check)

    answers("a question for us", "RFC 826", everyone / ARP(**ask), 1)
    answers("the same to us alone", "RFC 1122 section 2.3.2.1", wire.ether() / ARP(**ask), 1)
    answers("a probe", "RFC 5227 section 2.1.1", everyone / ARP(**{**ask, "psrc": "0.0.0.0"}), 1)
    for name, fields in [
        ("a question for another", {"pdst": "10.0.0.3"}),
        ("hardware of another kind", {"hwtype": 6}),
        ("another protocol", {"ptype": 0x86DD}),
        ("an operation that is none", {"op": 9}),
        ("operation 0", {"op": 0}),
        ("a reverse question", {"op": 3}),
        ("a hardware length of 8", {"hwlen": 8}),
        ("a protocol length of 16", {"plen": 16}),
        ("a sender that is a group", {"hwsrc": "01:00:5e:00:00:01"}),
        ("a sender at the address of all", {"hwsrc": "ff:ff:ff:ff:ff:ff"}),
        ("a sender 255.255.255.255", {"psrc": "255.255.255.255"}),
        ("a sender 224.0.0.1", {"psrc": "224.0.0.1"}),
        ("a sender 127.0.0.1", {"psrc": "127.0.0.1"}),
    ]:
        answers(name, "RFC 826", everyone / ARP(**{**ask, **fields}), 0)
    for length in (0, 8, 27):
        answers(f"{length} bytes of it", "RFC 826", bytes(everyone / ARP(**ask))[: 14 + length], 0)
    # Whoever claims our address is told once, and no more often than every ten seconds.
    claim = everyone / ARP(op=1, hwsrc="02:00:00:00:00:67", psrc=PEER, pdst="10.0.0.3")
    answers("another host that has our address", "RFC 5227 section 2.4 (b)", claim, 1)
    answers("the same again and again", "RFC 5227 section 2.4 (b)", claim, 0)
    unasked = wire.ether() / ARP(op=2, hwsrc="02:00:00:00:00:67", psrc="10.0.0.77", hwdst=wire.peer_mac, pdst=PEER)
    answers("an answer that nobody asked for", "RFC 826", unasked, 0)
    # Every address of the network asks, and then some that are not in it: the cache has its bound, and who was there is still known.
    crowd = [
        everyone / ARP(**{**ask, "hwsrc": f"02:00:00:00:01:{n % 256:02x}", "psrc": f"10.{n // 256}.0.{n % 256}"})
        for n in range(1024)
        if n not in (0, 1, 2, 66, 255)
    ]
    table.answered("a thousand neighbours", "RFC 826", crowd + [wire.ip() / ICMP(id=9)], icmp(0, 0, id=9))


def claims(table, wire):
    """An address that is in use, claimed by another card (RFC 4861 sections 7.2.5 and 7.3, and what ARP has of them)."""
    thief = "02:00:00:00:00:67"

    def heard(frame, *sent, until):
        """What the stack sends, by frame, when `sent` have come to it and it has an answer to give every tenth of a second."""
        wire.all = True
        got = []
        try:
            wire.exchange(frame)
            wire.send(*sent)
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline and not until(got):
                wire.send(frame)
                pause = time.monotonic() + 0.1
                while (left := pause - time.monotonic()) > 0:
                    if f := wire.receive_any(left):
                        got.append(f)
        finally:
            wire.all = False
        return got

    def asked(got):
        """Whether our card alone was asked for our address."""
        return any(
            f.dst == OWN_MAC and (ARP in f and f[ARP].pdst == OWN or ICMPv6ND_NS in f and f[ICMPv6ND_NS].tgt == OWN6)
            for f in got
        )

    def row(name, rule, frame, claim, is_answer, stolen):
        def check():
            def enough(got):
                answers = [f for f in got if is_answer(f)]
                return asked(got) and len(answers) > 3 and all(f.dst == OWN_MAC for f in answers[-3:])

            # Whether the questions come once in a second or not: that long after the last ones.
            time.sleep(1.1)
            got = heard(frame, claim, until=enough)
            there = [f for f in got if is_answer(f) and f.dst == thief]
            if not enough(got):
                return f"our card is not asked, or has not its address back: {show(got[-8:])}"
            return None if stolen or not there else f"{len(there)} answers went to another card"

        table.row(name, rule, check)

    everyone = Ether(src=thief, dst="ff:ff:ff:ff:ff:ff")
    to_us = Ether(src=thief, dst=wire.peer_mac)
    ping, pong = wire.ip() / ICMP(id=9), icmp(0, 0, id=9)
    for name, claim in [
        ("an announcement in our name", everyone / ARP(op=1, hwsrc=thief, psrc=OWN, pdst=OWN)),
        ("a question in our name", to_us / ARP(op=1, hwsrc=thief, psrc=OWN, pdst=PEER)),
        (
            "an answer in our name",
            to_us / ARP(op=2, hwsrc=thief, psrc=OWN, hwdst=wire.peer_mac, pdst=PEER),
        ),
    ]:
        row(name, "RFC 4861 section 7.3.2", ping, claim, pong, False)
    ping, pong = wire.ip6() / ICMPv6EchoRequest(id=9), lambda f: ICMPv6EchoReply in f
    advertisement = to_us / IPv6(src=OWN6, dst=PEER6, hlim=255)
    there = ICMPv6NDOptDstLLAddr(lladdr=thief)
    row(
        "an advertisement that overrides",
        "RFC 4861 section 7.2.5",
        ping,
        advertisement / ICMPv6ND_NA(tgt=OWN6, R=0, S=0, O=1) / there,
        pong,
        True,
    )

    def kept():
        got = heard(
            ping,
            advertisement / ICMPv6ND_NA(tgt=OWN6, R=0, S=0, O=0) / there,
            until=lambda got: len([f for f in got if pong(f)]) > 5,
        )
        wrong = [f for f in got if pong(f) and f.dst != OWN_MAC]
        return f"got {show(wrong)}" if wrong or not any(pong(f) for f in got) else None

    table.row("an advertisement that does not override", "RFC 4861 section 7.2.5", kept)


def solicitations(table, wire):
    """RFC 4861 section 7.1."""

    def check_answers(frame, wanted):
        wire.all = True
        try:
            got = [f for f in wire.exchange(frame) if ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == PEER6]
        finally:
            wire.all = False
        return None if len(got) == wanted else f"got {show(got)}"

    def row(name, rule, frame, wanted):
        table.row(name, rule, lambda: check_answers(frame, wanted))

    group = "ff02::1:ff00:2"
    to = Ether(src=OWN_MAC, dst="33:33:ff:00:00:02")
    source = ICMPv6NDOptSrcLLAddr(lladdr=OWN_MAC)
    rule = "RFC 4861 section 7.1.1"
    row(
        "a solicitation that is well",
        rule,
        to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / source,
        1,
    )
    row("to us alone", rule, wire.ip6(hlim=255) / ICMPv6ND_NS(tgt=PEER6) / source, 1)
    row(
        "a probe for a duplicate",
        "RFC 4862 section 5.4.3",
        to / IPv6(src="::", dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6),
        1,
    )
    for hops in (254, 64, 0):
        row(
            f"a hop limit of {hops}",
            rule,
            to / IPv6(src=OWN6, dst=group, hlim=hops) / ICMPv6ND_NS(tgt=PEER6) / source,
            0,
        )
    row(
        "a probe with a source link-layer address",
        rule,
        to / IPv6(src="::", dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / source,
        0,
    )
    row("a probe to us alone", rule, wire.ip6(src="::", hlim=255) / ICMPv6ND_NS(tgt=PEER6), 0)
    row(
        "a target that is a group",
        rule,
        to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt="ff02::1") / source,
        0,
    )
    row("a code", rule, to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(code=1, tgt=PEER6) / source, 0)
    row(
        "a wrong checksum", rule, to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(cksum=1, tgt=PEER6) / source, 0
    )
    row(
        "an option of length 0",
        rule,
        to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / ICMPv6NDOptSrcLLAddr(lladdr=OWN_MAC, len=0),
        0,
    )
    row(
        "an option longer than the message",
        rule,
        to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / ICMPv6NDOptSrcLLAddr(lladdr=OWN_MAC, len=9),
        0,
    )
    row(
        "an option that nobody knows",
        "RFC 4861 section 4.6",
        to / IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / source / Raw(b"\xfd\x01" + bytes(6)),
        1,
    )
    row(
        "in a fragment",
        "RFC 6980 section 5",
        to
        / IPv6(src=OWN6, dst=group, hlim=255, nh=44)
        / Raw(
            bytes([58, 0, 0, 0, 0, 0, 0, 9])
            + bytes(IPv6(src=OWN6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=PEER6) / source)[40:]
        ),
        0,
    )
    for name, frame in [
        (
            "our address is another's",
            IPv6(src=OWN6, dst=PEER6, hlim=255) / ICMPv6ND_NA(tgt=PEER6, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OWN_MAC),
        ),
        (
            "a hop limit of 64",
            IPv6(src=OWN6, dst=PEER6, hlim=64)
            / ICMPv6ND_NA(tgt=OWN6, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:67"),
        ),
        (
            "a solicited one to a group",
            IPv6(src=OWN6, dst=LINK_GROUP, hlim=255)
            / ICMPv6ND_NA(tgt=OWN6, S=1, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:67"),
        ),
        ("a target that is a group", IPv6(src=OWN6, dst=PEER6, hlim=255) / ICMPv6ND_NA(tgt="ff02::1", O=1)),
        (
            "an option of length 0",
            IPv6(src=OWN6, dst=PEER6, hlim=255)
            / ICMPv6ND_NA(tgt=OWN6, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:67", len=0),
        ),
    ]:
        table.answered(
            f"an advertisement: {name}",
            "RFC 4861 section 7.1.2",
            [wire.ether() / frame, wire.ip6() / ICMPv6EchoRequest(id=9, seq=1)],
            lambda f: ICMPv6EchoReply in f,
        )


def routers(table, wire):
    """RFC 4861 section 6.1.2: what breaks a rule makes no address, no route and no MTU."""

    def advertisement(prefix, src=ROUTER, hops=255, more=b"", lifetime=600, **fields):
        return (
            Ether(src=OWN_MAC, dst=LINK_MAC)
            / IPv6(src=src, dst=LINK_GROUP, hlim=hops)
            / ICMPv6ND_RA(routerlifetime=lifetime, **fields)
            / ICMPv6NDOptPrefixInfo(prefix=prefix, prefixlen=64, L=1, A=1, validlifetime=3600, preferredlifetime=1800)
        )

    def makes_address(frame, prefix):
        """Whether a probe for an address of this prefix follows (RFC 4862 section 5.4)."""
        wire.all = True
        try:
            got = wire.exchange(frame)
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                if any(ICMPv6ND_NS in f and f[ICMPv6ND_NS].tgt.startswith(prefix) for f in got):
                    return True
                if f := wire.receive(0.1):
                    got.append(f)
        finally:
            wire.all = False
        return False

    wrong = {
        "fd10:": ("a hop limit of 254", {"hops": 254}),
        "fd11:": ("a global source", {"src": OWN6}),
        "fd12:": ("no source", {"src": "::"}),
        "fd13:": ("a code", {"code": 1}),
        "fd14:": ("a wrong checksum", {"cksum": 1}),
    }
    frames = [advertisement(f"{prefix}:", **fields) for prefix, (_, fields) in wrong.items()]
    frames += [
        advertisement("fe80::"),
        advertisement("ff02::"),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / Raw(b"\x03\x00" + bytes(30)),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / Raw(b"\x03\x04" + bytes(10)),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / ICMPv6NDOptPrefixInfo(prefix="fd15::", prefixlen=129, L=1, A=1),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / ICMPv6NDOptPrefixInfo(prefix="fd16::", prefixlen=64, L=1, A=1, preferredlifetime=9, validlifetime=1),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / ICMPv6NDOptMTU(mtu=100),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / ICMPv6NDOptMTU(mtu=1 << 31),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA()
        / ICMPv6NDOptRDNSS(dns=["::", "ff02::1"], lifetime=60),
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=ROUTER, dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA(reachabletime=1 << 31, retranstimer=(1 << 32) - 1),
    ]
    wire.send(*frames)
    table.row(
        "router advertisements that break a rule",
        "RFC 4861 section 6.1.2",
        lambda: "an address was made" if makes_address(frames[0], "fd1") else None,
    )
    table.row(
        "one that keeps them",
        "RFC 4862 section 5.5.3",
        lambda: None if makes_address(advertisement("fd20::"), "fd20:") else "no address was made",
    )
    # As many as one likes: the tables have their bounds, and what was there is not pushed out.
    flood = [
        Ether(src=OWN_MAC, dst=LINK_MAC)
        / IPv6(src=f"fe80::{n + 1:x}", dst=LINK_GROUP, hlim=255)
        / ICMPv6ND_RA(routerlifetime=9000)
        / ICMPv6NDOptPrefixInfo(prefix=f"fd{n % 100 + 100:x}:{n:x}::", prefixlen=64, L=1, A=1)
        for n in range(500)
    ]
    table.answered(
        "five hundred routers with a network each",
        "RFC 4861 section 6.3.4",
        flood + [wire.ip6() / ICMPv6EchoRequest(id=9, seq=1)],
        lambda f: ICMPv6EchoReply in f,
    )
    for name, frame in [
        (
            "a redirect by nobody's router",
            IPv6(src="fe80::dead", dst=PEER6, hlim=255) / ICMPv6ND_Redirect(tgt="fe80::dead", dst=OWN6),
        ),
        (
            "a redirect with a hop limit of 64",
            IPv6(src=ROUTER, dst=PEER6, hlim=64) / ICMPv6ND_Redirect(tgt="fe80::dead", dst=OWN6),
        ),
        (
            "a redirect from a global address",
            IPv6(src=OWN6, dst=PEER6, hlim=255) / ICMPv6ND_Redirect(tgt="fe80::dead", dst=OWN6),
        ),
        ("a redirect to a group", IPv6(src=ROUTER, dst=PEER6, hlim=255) / ICMPv6ND_Redirect(tgt="ff02::1", dst=OWN6)),
        ("a router solicitation", IPv6(src=OWN6, dst="ff02::2", hlim=255) / ICMPv6ND_RS()),
        ("a listener query with a hop limit of 64", IPv6(src=ROUTER, dst=LINK_GROUP, hlim=64) / ICMPv6MLQuery()),
    ]:
        table.answered(
            name,
            "RFC 4861 section 8.1",
            [wire.ether() / frame, wire.ip6() / ICMPv6EchoRequest(id=9, seq=1)],
            lambda f: ICMPv6EchoReply in f,
        )


def run(table, wire):
    arp(table, wire)
    solicitations(table, wire)
    claims(table, wire)
    routers(table, wire)
