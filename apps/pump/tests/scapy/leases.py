"""A DHCP server that talks nonsense, until it gives a lease (RFC 2131, RFC 2132)."""

from wire import *

SERVER, LEASED = OWN, "10.0.0.2"


def run(table, wire):
    wire.all = True

    def hear(kind, patience=20):
        """The next DHCP message of this kind from the client."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            frame = wire.receive(left)
            if frame and DHCP in frame and frame[BOOTP].op == 1 and ("message-type", kind) in frame[DHCP].options:
                return frame
        return None

    def answer(asked, options, to=LEASED, **fields):
        bootp = BOOTP(
            **{
                "op": 2,
                "xid": asked[BOOTP].xid,
                "chaddr": asked[BOOTP].chaddr,
                "yiaddr": to,
                "siaddr": SERVER,
                "flags": asked[BOOTP].flags,
                **fields,
            }
        )
        return (
            Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff")
            / IP(src=SERVER, dst="255.255.255.255")
            / UDP(sport=67, dport=68)
            / bootp
            / (DHCP(options=options + ["end"]) if isinstance(options, list) else Raw(options))
        )

    offer = [("message-type", "offer"), ("server_id", SERVER), ("lease_time", 600), ("subnet_mask", "255.255.255.0")]
    ack = [("message-type", "ack")] + offer[1:]

    def without(name):
        return [option for option in offer if option[0] != name]

    magic = b"\x63\x82\x53\x63"
    raw_offer = b"\x35\x01\x02\x36\x04" + socket.inet_aton(SERVER) + b"\x33\x04\x00\x00\x02\x58"
    nonsense = [
        ("an offer with another transaction", lambda q: answer(q, offer, xid=q[BOOTP].xid ^ 1)),
        ("an offer for another client", lambda q: answer(q, offer, chaddr=bytes.fromhex("020000000099") + bytes(10))),
        ("a question", lambda q: answer(q, offer, op=1)),
        ("an acknowledgment of nothing", lambda q: answer(q, ack)),
        ("a refusal of nothing", lambda q: answer(q, [("message-type", "nak"), ("server_id", SERVER)])),
        ("an offer of no address", lambda q: answer(q, offer, to="0.0.0.0")),
        ("an offer of everybody's address", lambda q: answer(q, offer, to="255.255.255.255")),
        ("an offer of a group's address", lambda q: answer(q, offer, to="224.0.0.1")),
        ("an offer of a loopback address", lambda q: answer(q, offer, to="127.0.0.1")),
        ("an offer by nobody", lambda q: answer(q, without("server_id"))),
        ("no message type", lambda q: answer(q, offer[1:])),
        ("a message type that is none", lambda q: answer(q, magic + b"\x35\x01\x63" + raw_offer[3:] + b"\xff")),
        ("no magic cookie", lambda q: answer(q, b"\x63\x82\x53\x64" + raw_offer + b"\xff")),
        ("no options at all", lambda q: answer(q, b"")),
        ("half a cookie", lambda q: answer(q, magic[:2])),
        ("an option beyond the end", lambda q: answer(q, magic + raw_offer[:3] + b"\x36\xff\x0a\x00")),
        ("an option without a length", lambda q: answer(q, magic + raw_offer[:3] + b"\x36")),
        ("a message type of two bytes", lambda q: answer(q, magic + b"\x35\x02\x02\x02" + raw_offer[3:] + b"\xff")),
        ("half a message", lambda q: Ether(bytes(answer(q, offer))[:150])),
        (
            "a datagram of four bytes",
            lambda q: Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff")
            / IP(src=SERVER, dst="255.255.255.255")
            / UDP(sport=67, dport=68)
            / Raw(b"DHCP"),
        ),
    ]

    # Until it has an offer it listens to whatever comes, and asks for nothing of this.
    asked = hear(1)
    if asked is None:
        raise SystemExit("nobody asks for an address")
    for name, make in nonsense:

        def check():
            wire.send(make(asked))
            return "it was taken for an offer" if hear(3, 0.15) else None

        table.row(name, "RFC 2131 section 4.4.1", check)
    table.row(
        "nor of anything that takes longer",
        "RFC 2131 section 4.4.1",
        lambda: "an answer was taken for an offer" if hear(3, 1.5) else None,
    )

    def leased():
        # Since a question with the same transaction may come again, each is answered.
        for _ in range(5):
            question = hear(1)
            if question is None:
                return "no further question"
            wire.send(answer(question, offer))
            request = hear(3, 3)
            if request:
                # Not these either, and then the lease.
                wire.send(answer(request, ack, xid=request[BOOTP].xid ^ 1), answer(request, ack, to="224.0.0.1"))
                wire.send(answer(request, ack))
                return None
        return "no request after an offer"

    table.row("an offer, a request, a lease", "RFC 2131 section 3.1", leased)
