"""`table.py NAME INTERFACE`: checks the rows of one table against the stack at the other end."""

import importlib
import sys
import time

from wire import ICMPv6EchoReply, ICMPv6EchoRequest, Table, Wire

name, interface = sys.argv[1:]
wire = Wire(interface)
if name != "leases":
    wire.meet()
    # And each side knows the other over IPv6, when the search for duplicates of its address is over.
    deadline = time.monotonic() + 20
    while not (frame := wire.receive(0.3)) or ICMPv6EchoReply not in frame:
        if time.monotonic() > deadline:
            raise SystemExit("the stack does not answer over IPv6")
        wire.send(wire.ip6() / ICMPv6EchoRequest(id=9))
    wire.exchange()
table = Table(wire)
importlib.import_module(name).run(table, wire)
table.finish()
