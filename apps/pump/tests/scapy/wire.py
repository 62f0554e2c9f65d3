"""What the tables share: a host made of scapy on one interface, and rows that are checked one after the other.

The host is 10.0.0.66 and fd00::66. The kernel has no address there and so does not answer beside it. After what a row sends
goes an echo request, twice: its answers come behind all that the row causes, so "nothing comes back" is known and not waited for, and
the stack is seen to live after every row.
"""

import random
import socket
import sys
import time

from scapy.all import (  # noqa: F401 (the tables use them from here)
    ARP,
    BOOTP,
    DHCP,
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    Raw,
    in6_chksum,
)
from scapy.utils import checksum

OWN_MAC, OWN, OWN6, OWN_LINK = "02:00:00:00:00:66", "10.0.0.66", "fd00::66", "fe80::66"
PEER, PEER6 = "10.0.0.2", "fd00::2"
# A row may take so long.
PATIENCE = 10.0


class Failed(Exception):
    """A row is not as it should be."""


def bad_checksum(data):
    """What is wrong about the checksums of a frame, if anything is."""
    if data[12:14] == b"\x08\x00":
        header, end = (data[14] & 15) * 4, 14 + int.from_bytes(data[16:18], "big")
        if checksum(data[14 : 14 + header]):
            return "header checksum"
        if data[20] & 0x3F or data[21]:
            return None
        protocol, addresses, payload = data[23], data[26:34], data[14 + header : end]
    elif data[12:14] == b"\x86\xdd":
        protocol, addresses, payload = data[20], data[22:54], data[54 : 54 + int.from_bytes(data[18:20], "big")]
    else:
        return None
    pseudo = addresses + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    if protocol == 1:
        pseudo = b""
    elif protocol not in (6, 17, 58):
        return None
    return "checksum" if checksum(pseudo + payload) else None


class Wire:
    """Frames out and in."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((interface, 0))
        self.peer_mac = None
        self.echo = 0
        # Connections of a row that did not come to its end.
        self.open = set()
        # Rows that want to see neighbour discovery and ARP.
        self.all = False

    def ether(self, **fields):
        """The header of a frame to the stack."""
        return Ether(**{"src": OWN_MAC, "dst": self.peer_mac, **fields})

    def ip(self, **fields):
        return self.ether() / IP(**{"src": OWN, "dst": PEER, **fields})

    def ip6(self, **fields):
        return self.ether() / IPv6(**{"src": OWN6, "dst": PEER6, **fields})

    def net(self, v6, **fields):
        return self.ip6(**fields) if v6 else self.ip(**fields)

    def send(self, *frames):
        for frame in frames:
            self.socket.send(bytes(frame))

    def receive(self, timeout):
        """The next frame that is of interest, or None. Questions for our address are answered on the way."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data, (_, _, kind, _, _) = self.socket.recvfrom(65600)
            except TimeoutError:
                return None
            if kind == socket.PACKET_OUTGOING:
                continue
            frame = Ether(data)
            if wrong := bad_checksum(data):
                raise Failed(f"a frame with a wrong {wrong}: {frame.summary()}")
            if frame.src != self.peer_mac and self.peer_mac:
                continue
            asked = self.answer(frame)
            if self.all or not (asked or ICMPv6ND_NA in frame or ARP in frame):
                if self.all or frame.dst == OWN_MAC:
                    return frame
        return None

    def receive_any(self, timeout):
        """The next frame of the stack, whoever it is for; questions for our address are answered."""
        self.socket.settimeout(timeout)
        try:
            data, (_, _, kind, _, _) = self.socket.recvfrom(65600)
        except TimeoutError:
            return None
        frame = Ether(data)
        if kind == socket.PACKET_OUTGOING or frame.src != self.peer_mac:
            return None
        if frame.dst == OWN_MAC or frame.dst[1] in "13579bdf":
            self.answer(frame)
        return frame

    def answer(self, frame):
        if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == OWN:
            to = frame[ARP]
            self.send(
                Ether(src=OWN_MAC, dst=to.hwsrc) / ARP(op=2, hwsrc=OWN_MAC, psrc=OWN, hwdst=to.hwsrc, pdst=to.psrc)
            )
            return True
        if ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt in (OWN6, OWN_LINK) and frame[IPv6].src != "::":
            target = frame[ICMPv6ND_NS].tgt
            self.send(
                Ether(src=OWN_MAC, dst=frame.src)
                / IPv6(src=target, dst=frame[IPv6].src, hlim=255)
                / ICMPv6ND_NA(tgt=target, R=0, S=1, O=1)
                / ICMPv6NDOptDstLLAddr(lladdr=OWN_MAC)
            )
            return True
        return False

    def meet(self):
        """Learns the stack's address by ARP (RFC 826)."""
        ask = Ether(src=OWN_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=OWN_MAC, psrc=OWN, pdst=PEER)
        self.all = True
        for _ in range(20):
            self.send(ask)
            while frame := self.receive(0.5):
                if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == PEER:
                    self.peer_mac, self.all = frame[ARP].hwsrc, False
                    return
        raise SystemExit("the stack does not answer ARP")

    def exchange(self, *frames, until=None):
        """Sends the frames and returns what came in answer. `until`: waits until it is true of what came so far."""
        self.send(*frames)
        got = []
        deadline = time.monotonic() + PATIENCE
        while until and not until(got):
            frame = self.receive(deadline - time.monotonic())
            if frame is None:
                raise Failed("waited in vain; got " + show(got))
            got.append(frame)
        for _ in range(2):
            self.barrier(got)
        return got

    def barrier(self, got):
        self.echo = self.echo % 65535 + 1
        self.send(self.ip() / ICMP(type=8, id=0xB1B1, seq=self.echo))
        deadline = time.monotonic() + PATIENCE
        while frame := self.receive(deadline - time.monotonic()):
            if ICMP in frame and frame[ICMP].type == 0 and frame[ICMP].id == 0xB1B1:
                if frame[ICMP].seq == self.echo:
                    return
                continue
            got.append(frame)
        raise Failed("the stack is dead: no echo; before that came " + show(got))


class Connection:
    """Our end of a TCP connection, as far as a table needs one."""

    port = random.randrange(20000, 40000)

    def __init__(self, wire, port=9, v6=False, window=65535, options=(("MSS", 1460),), finish=True):
        Connection.port += 1
        self.wire, self.v6, self.window, self.sport, self.dport = wire, v6, window, Connection.port, port
        self.snd, self.rcv = random.randrange(1 << 32), 0
        got = wire.exchange(
            self.segment("S", options=list(options), ack=0), until=lambda got: any(self.is_ours(f) for f in got)
        )
        self.synack = [f for f in got if self.is_ours(f)][0][TCP]
        if self.synack.flags != "SA" or self.synack.ack != self.add(1):
            raise Failed("no SYN,ACK: " + show(got))
        self.snd = self.add(1)
        self.rcv = (self.synack.seq + 1) % (1 << 32)
        wire.open.add(self)
        if finish:
            wire.send(self.segment("A"))

    def add(self, n):
        return (self.snd + n) % (1 << 32)

    def is_ours(self, frame):
        return TCP in frame and frame[TCP].dport == self.sport and frame[TCP].sport == self.dport

    def segment(self, flags, data=b"", seq=None, ack=None, window=None, options=(), urgent=0, **more):
        tcp = TCP(
            sport=self.sport,
            dport=self.dport,
            flags=flags,
            seq=self.snd if seq is None else seq % (1 << 32),
            ack=(self.rcv if ack is None else ack) % (1 << 32),
            window=self.window if window is None else window,
            options=list(options),
            urgptr=urgent,
            **more,
        )
        frame = self.wire.net(self.v6) / tcp
        return frame / Raw(data) if data else frame

    def lives(self):
        """New data is acknowledged. Only where nobody minds what it is: on the port that discards."""

        def known(got):
            return any(self.is_ours(f) and f[TCP].flags.A and f[TCP].ack == self.add(1) for f in got)

        self.wire.exchange(self.segment("PA", b"?"), until=known)
        self.snd = self.add(1)

    def is_gone(self):
        """A segment of it is answered as one of no connection (RFC 9293 section 3.10.7.1)."""
        got = self.wire.exchange(self.segment("A"), until=lambda got: any(self.is_ours(f) for f in got))
        if not all(f[TCP].flags.R for f in got if self.is_ours(f)):
            raise Failed("the connection is still there: " + show(got))

    def abort(self):
        self.wire.open.discard(self)
        self.wire.send(self.segment("R"))


def show(frames):
    return "; ".join(f.summary() for f in frames) or "nothing"


class Table:
    """Rows, each with the rule that it shows."""

    def __init__(self, wire):
        self.wire, self.passed, self.failed = wire, 0, 0

    def row(self, name, rule, check):
        try:
            wrong = check()
        except Failed as why:
            wrong = str(why)
        for connection in list(self.wire.open):
            connection.abort()
        if wrong:
            self.failed += 1
            print(f"FAILED {name} ({rule}): {wrong}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name} ({rule})", flush=True)

    def nothing(self, name, rule, *frames):
        """Nothing comes back."""

        def check():
            got = self.wire.exchange(*frames)
            return f"got {show(got)}" if got else None

        self.row(name, rule, check)

    def answered(self, name, rule, frames, *wanted):
        """As many frames come back as there are in `wanted`, each as one of these says, in order."""

        def check():
            sent = frames if isinstance(frames, (list, tuple)) else [frames]
            got = self.wire.exchange(*sent, until=lambda got: len(got) >= len(wanted))
            if len(got) != len(wanted) or not all(w(f) for w, f in zip(wanted, got)):
                return f"got {show(got)}"
            return None

        self.row(name, rule, check)

    def finish(self):
        print(f"{self.passed} rows passed, {self.failed} failed", flush=True)
        sys.exit(self.failed > 0)


def tcp(flags, **fields):
    """A segment with exactly these flags and these fields."""

    def matches(frame):
        if TCP not in frame or str(frame[TCP].flags) != str(TCP(flags=flags).flags):
            return False
        return all(getattr(frame[TCP], name) == value % (1 << 32) for name, value in fields.items())

    return matches


def icmp(kind, code, **fields):
    def matches(frame):
        if ICMP not in frame or (frame[ICMP].type, frame[ICMP].code) != (kind, code):
            return False
        return all(getattr(frame[ICMP], name) == value for name, value in fields.items())

    return matches


def icmp6(layer, **fields):
    def matches(frame):
        return layer in frame and all(getattr(frame[layer], name) == value for name, value in fields.items())

    return matches


def udp(data):
    return lambda frame: UDP in frame and bytes(frame[UDP].payload)[: frame[UDP].len - 8] == data
