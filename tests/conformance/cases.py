"""The cases of the Autobahn testsuite's fuzzing client, by the same numbers.

A case is a function of a Run; it sends, expects, and raises Failure. Informational cases (7.1.6,
7.13.*) pass whatever the server does, as long as it ends the connection.
"""

import struct

import data
from wire import BINARY, CLOSE, Failure, PING, PONG, TEXT, fragments, frame

HELLO = b"Hello, world!"
CASES = []  # (number, function)


def case(number, function):
    CASES.append((number, function))


class Run:
    """One case on one connection."""

    def __init__(self, connect, limits):
        self.connect = connect
        self.limits = limits
        self.c = None

    def open(self, offer=None):
        self.c = self.connect(offer)
        return self.c

    def expect(self, *events):
        for wanted in events:
            got = self.c.event()
            if got != wanted:
                raise Failure("expected %s, got %s" % (brief(wanted), brief(got)))

    def expect_close(self, codes):
        """The server's close frame with one of the codes or none, then the end of the socket."""
        got = self.c.event()
        if got[0] != "close":
            raise Failure("expected a close frame, got %s" % brief(got))
        if got[1] is not None and got[1] not in codes:
            raise Failure("expected close code %s, got %s" % (codes, got[1]))
        self.expect_end()

    def expect_end(self):
        got = self.c.event()
        if got != ("end",):
            raise Failure("expected the end of the socket, got %s" % brief(got))

    def close_cleanly(self, codes=(1000,)):
        self.c.send_close(1000)
        self.expect_close(codes)

    def expect_failed(self, code, *events):
        """The server ends the connection after the events, with the code or without a word."""
        self.expect(*events)
        got = self.c.event()
        if got == ("end",):
            return
        if got[0] != "close":
            raise Failure("expected the connection to be failed, got %s" % brief(got))
        if got[1] is not None and got[1] != code:
            raise Failure("expected close code %d, got %s" % (code, got[1]))
        self.c.send_close(code)
        self.expect_end()


def brief(event):
    return repr(tuple(e[:60] if isinstance(e, (bytes, str)) else e for e in event))


def text(payload):
    return ("message", payload, False)


def binary(payload):
    return ("message", payload, True)


def repeat(pattern, n):
    return (pattern * (n // len(pattern) + 1))[:n]


# ---- makers: a case from what it sends and what must come ----

def echoes(wire, *events, chop=0):
    def run(r):
        c = r.open()
        for part in wire if isinstance(wire, list) else [wire]:
            c.send(part, chop)
        r.expect(*events)
        r.close_cleanly()
    return run


def fails(wire, code, *events, chop=0):
    def run(r):
        c = r.open()
        for part in wire if isinstance(wire, list) else [wire]:
            c.send(part, chop)
        r.expect_failed(code, *events)
    return run


# ---- 1: framing ----

def add_framing():
    sizes = (0, 125, 126, 127, 128, 65535, 65536)
    for group, op, byte, event in ((1, TEXT, b"*", text), (2, BINARY, b"\xfe", binary)):
        for i, n in enumerate(sizes, 1):
            case("1.%d.%d" % (group, i), echoes(frame(op, byte * n), event(byte * n)))
        case("1.%d.8" % group, echoes(frame(op, byte * 65536), event(byte * 65536), chop=997))


# ---- 2: pings and pongs ----

def add_pings():
    case("2.1", echoes(frame(PING), ("pong", b"")))
    case("2.2", echoes(frame(PING, HELLO), ("pong", HELLO)))
    noise = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    case("2.3", echoes(frame(PING, noise), ("pong", noise)))
    full = b"\xfe" * 125
    case("2.4", echoes(frame(PING, full), ("pong", full)))
    case("2.5", fails(frame(PING, b"\xfe" * 126), 1002))
    case("2.6", echoes(frame(PING, full), ("pong", full), chop=1))
    case("2.7", echoes(frame(PONG)))
    case("2.8", echoes(frame(PONG, b"unsolicited")))
    case("2.9", echoes(frame(PONG, b"unsolicited") + frame(PING, b"ping"), ("pong", b"ping")))
    names = [b"payload-%d" % i for i in range(10)]
    pings = b"".join(frame(PING, n) for n in names)
    pongs = [("pong", n) for n in names]
    case("2.10", echoes(pings, *pongs))
    case("2.11", echoes(pings, *pongs, chop=1))


# ---- 3 and 4: reserved bits and opcodes ----

def add_reserved():
    hello, ping = frame(TEXT, HELLO), frame(PING)
    noise = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    case("3.1", fails(frame(TEXT, HELLO, rsv=1), 1002))
    case("3.2", fails(hello + frame(TEXT, HELLO, rsv=2) + ping, 1002, text(HELLO)))
    case("3.3", fails([hello, frame(TEXT, HELLO, rsv=3), ping], 1002, text(HELLO)))
    case("3.4", fails(hello + frame(TEXT, HELLO, rsv=4) + ping, 1002, text(HELLO), chop=1))
    case("3.5", fails(frame(BINARY, noise, rsv=5), 1002))
    case("3.6", fails(frame(PING, HELLO, rsv=6), 1002))
    case("3.7", fails(frame(CLOSE, rsv=7), 1002))
    for group, first in ((1, 3), (2, 11)):
        number = "4.%d.%%d" % group
        case(number % 1, fails(frame(first), 1002))
        case(number % 2, fails(frame(first + 1, b"reserved opcode"), 1002))
        case(number % 3, fails(hello + frame(first + 2) + ping, 1002, text(HELLO)))
        case(number % 4, fails(hello + frame(first + 3, HELLO) + ping, 1002, text(HELLO)))
        case(number % 5, fails(hello + frame(first + 4, HELLO) + ping, 1002, text(HELLO), chop=1))


# ---- 5: fragmentation ----

def part(op, payload, fin=False):
    return frame(op, payload, fin=fin)


def pieces_with_pings(together):
    def run(r):
        c = r.open()
        first = [part(TEXT, b"fragment1"), part(0, b"fragment2"), frame(PING, b"pongme 1!")]
        second = [part(0, b"fragment3"), part(0, b"fragment4"), frame(PING, b"pongme 2!"),
                  part(0, b"fragment5", fin=True)]
        for batch in (first, second):
            for wire in [b"".join(batch)] if together else batch:
                c.send(wire)
            r.expect(("pong", b"pongme 1!" if batch is first else b"pongme 2!"))
        r.expect(text(b"fragment1fragment2fragment3fragment4fragment5"))
        r.close_cleanly()
    return run


def add_fragmentation():
    for number, op in (("5.1", PING), ("5.2", PONG)):
        case(number, fails(part(op, b"fragment1") + part(0, b"fragment2", True), 1002))
    two = [part(TEXT, b"fragment1"), part(0, b"fragment2", True)]
    both = text(b"fragment1fragment2")
    with_ping = [two[0], frame(PING, b"ping payload"), two[1]]
    pong = ("pong", b"ping payload")
    for at, wire, events in ((3, two, [both]), (6, with_ping, [pong, both])):
        case("5.%d" % at, echoes(b"".join(wire), *events))
        case("5.%d" % (at + 1), echoes(wire, *events))
        case("5.%d" % (at + 2), echoes(b"".join(wire), *events, chop=1))
    for at, fin in ((9, True), (12, False)):
        wire = [part(0, b"non-continuation payload", fin), part(TEXT, HELLO, True)]
        case("5.%d" % at, fails(b"".join(wire), 1002))
        case("5.%d" % (at + 1), fails(wire, 1002))
        case("5.%d" % (at + 2), fails(b"".join(wire), 1002, chop=1))
    after = part(0, b"fragment3") + part(TEXT, b"fragment4", True)
    case("5.15", fails(b"".join(two) + after, 1002, both))
    for number, fin in (("5.16", False), ("5.17", True)):
        once = part(0, b"fragment1", fin) + part(TEXT, b"fragment2") + part(0, b"fragment3", True)
        case(number, fails(once * 2, 1002))
    case("5.18", fails(part(TEXT, b"fragment1") + part(TEXT, b"fragment2", True), 1002))
    case("5.19", pieces_with_pings(together=True))
    case("5.20", pieces_with_pings(together=False))


# ---- 6: UTF-8 ----

GOOD = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
BROKEN = (GOOD, b"\xed\xa0\x80", b"edited")
OUTSIDE = (GOOD, b"\xf4\x90\x80\x80", b"edited")


def fails_fast_frames(first, second):
    """The pong shows that the first frame was accepted; the third frame is never sent."""
    def run(r):
        c = r.open()
        c.send(part(TEXT, first) + frame(PING, b"so far"))
        r.expect(("pong", b"so far"))
        c.send(part(0, second))
        r.expect_failed(1007)
    return run


def fails_fast_chops(at, size):
    def run(r):
        c = r.open()
        payload = b"".join(OUTSIDE)
        wire = frame(TEXT, payload)
        head = len(wire) - len(payload)
        c.send(wire[:head + at])
        if not c.is_quiet(0.05):
            raise Failure("the valid beginning of a text was not waited for")
        c.send(wire[head + at:head + at + size])
        r.expect_failed(1007)
    return run


def add_utf8():
    case("6.1.1", echoes(frame(TEXT), text(b"")))
    nothing = part(TEXT, b"") + part(0, b"") + part(0, b"", True)
    case("6.1.2", echoes(nothing, text(b"")))
    middle = part(TEXT, b"") + part(0, b"middle frame payload") + part(0, b"", True)
    case("6.1.3", echoes(middle, text(b"middle frame payload")))
    one, two = "Hello-µ@ßöä".encode(), "üàá-UTF-8!!".encode()
    case("6.2.1", echoes(frame(TEXT, one + two), text(one + two)))
    case("6.2.2", echoes(part(TEXT, one) + part(0, two, True), text(one + two)))
    case("6.2.3", echoes(fragments(TEXT, one + two, 1), text(one + two)))
    case("6.2.4", echoes(fragments(TEXT, GOOD, 1), text(GOOD)))
    case("6.3.1", fails(frame(TEXT, b"".join(BROKEN)), 1007))
    case("6.3.2", fails(fragments(TEXT, b"".join(BROKEN), 1), 1007))
    whole = b"".join(OUTSIDE)
    case("6.4.1", fails_fast_frames(OUTSIDE[0], OUTSIDE[1]))
    case("6.4.2", fails_fast_frames(whole[:12], whole[12:13]))
    case("6.4.3", fails_fast_chops(len(GOOD), 4))
    case("6.4.4", fails_fast_chops(12, 1))
    for group, sequences in enumerate(data.utf8_groups(), 5):
        for i, payload in enumerate(sequences, 1):
            wire = frame(TEXT, payload)
            valid = data.is_utf8(payload)
            case("6.%d.%d" % (group, i),
                 echoes(wire, text(payload)) if valid else fails(wire, 1007))


# ---- 7: closing ----

def closes(wire, codes, *events):
    """We close; the server answers with one of the codes, or drops the connection when the close
    was a wrong one."""
    def run(r):
        r.open().send(wire)
        r.expect(*events)
        if 1000 in codes:
            r.expect_close(codes)
            return
        got = r.c.event()
        if got[0] == "close" and got[1] is not None and got[1] not in codes:
            raise Failure("expected close code %s, got %s" % (codes, got[1]))
        if got[0] not in ("close", "end"):
            raise Failure("expected a close frame, got %s" % brief(got))
        if got[0] == "close":
            r.expect_end()
    return run


def informational(wire):
    def run(r):
        r.open().send(wire)
        while r.c.event() != ("end",):
            pass
    return run


def close_frame(code, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


def add_closing():
    normal = close_frame(1000)
    case("7.1.1", echoes(frame(TEXT, b"Hello World!"), text(b"Hello World!")))
    case("7.1.2", closes(normal + frame(CLOSE), (1000,)))
    case("7.1.3", closes(normal + frame(PING), (1000,)))
    case("7.1.4", closes(normal + frame(TEXT, b"Hello World!"), (1000,)))
    case("7.1.5", closes(part(TEXT, b"fragment1") + normal + part(0, b"fragment2", True), (1000,)))
    long = frame(TEXT, repeat(b"BAsd7&jh23", 256 * 1024))
    case("7.1.6", informational(long + frame(TEXT, b"Hello World!") + normal + frame(PING)))
    case("7.3.1", closes(frame(CLOSE), (1000,)))
    case("7.3.2", closes(frame(CLOSE, b"a"), (1002,)))
    case("7.3.3", closes(normal, (1000,)))
    case("7.3.4", closes(close_frame(1000, b"Hello World!"), (1000,)))
    case("7.3.5", closes(close_frame(1000, b"*" * 123), (1000,)))
    case("7.3.6", closes(close_frame(1000, b"*" * 124), (1002,)))
    case("7.5.1", closes(close_frame(1000, b"".join(BROKEN)), (1002, 1007)))
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for i, code in enumerate(good, 1):
        case("7.7.%d" % i, closes(close_frame(code), (1000, code)))
    bad = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
    for i, code in enumerate(bad, 1):
        case("7.9.%d" % i, closes(close_frame(code), (1002,)))
    case("7.13.1", informational(close_frame(5000)))
    case("7.13.2", informational(close_frame(65535)))


# ---- 9 and 10: limits ----

def large(op, pattern, size, fragment=0, chop=0):
    def run(r):
        n = min(size, r.limits.message_max)
        payload = repeat(pattern, n)
        c = r.open()
        c.send(fragments(op, payload, fragment), chop)
        r.expect(("message", payload, op == BINARY))
        r.close_cleanly()
    return run


def round_trips(op, byte, size):
    def run(r):
        c = r.open()
        for _ in range(r.limits.round_trips):
            c.send(frame(op, byte * size))
            r.expect(("message", byte * size, op == BINARY))
        r.close_cleanly()
    return run


def add_limits():
    kib, mib = 1 << 10, 1 << 20
    kinds = ((TEXT, b"BAsd7&jh23"), (BINARY, b"\x00\xfe\x23\xfa\xf0"))
    for group, (op, pattern) in enumerate(kinds, 1):
        for i, n in enumerate((64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib), 1):
            case("9.%d.%d" % (group, i), large(op, pattern, n))
    for group, (op, pattern) in enumerate(((TEXT, b"*"), (BINARY, b"\xfe")), 3):
        for i, n in enumerate((64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib),
                              1):
            case("9.%d.%d" % (group, i), large(op, pattern, 4 * mib, fragment=n))
    for group, (op, pattern) in enumerate(kinds, 5):
        for i, n in enumerate((64, 128, 256, 512, 1024, 2048), 1):
            case("9.%d.%d" % (group, i), large(op, pattern, mib, chop=n))
    for group, (op, byte) in enumerate(((TEXT, b"*"), (BINARY, b"\xfe")), 7):
        for i, n in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            case("9.%d.%d" % (group, i), round_trips(op, byte, n))
    case("10.1.1", echoes(fragments(TEXT, b"*" * 65536, 1300), text(b"*" * 65536)))


# ---- 12 and 13: compression ----

SIZES = [(n, 0) for n in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)]
SIZES += [(n, 256) for n in (8192, 16384, 32768, 65536, 131072)]
SIZES += [(131072, n) for n in (1024, 4096, 32768)]


def offer(no_context=False, bits=0):
    words = ["permessage-deflate", "client_no_context_takeover", "client_max_window_bits"]
    words += ["server_no_context_takeover"] if no_context else []
    words += ["server_max_window_bits=%d" % bits] if bits else []
    return "; ".join(words)


def check_answer(deflate, no_context, bits):
    if no_context and "server_no_context_takeover" not in deflate.params:
        raise Failure("server_no_context_takeover was asked and not answered")
    if bits and not (8 <= deflate.bits_in <= bits and "server_max_window_bits" in deflate.params):
        raise Failure("server_max_window_bits was asked and not answered")


def compressed(corpus, op, size, fragment, header, asked):
    """One message after the other, each another part of the corpus."""
    def run(r):
        c = r.open(header)
        if c.deflate is None:
            raise Failure("permessage-deflate was declined: %s" % header)
        check_answer(c.deflate, *asked)
        n = min(size, r.limits.message_max)
        whole, at = data.corpus(corpus), 0
        for _ in range(r.limits.compressed_messages):
            payload = (whole[at:] + whole[:at])[:n] if at + n > len(whole) else whole[at:at + n]
            at = (at + n) % len(whole)
            c.send(fragments(op, c.deflate.deflate(payload), fragment, rsv=4))
            r.expect(("message", payload, op == BINARY))
        r.close_cleanly()
    return run


def add_compression():
    for group, corpus in enumerate(data.CORPORA, 1):
        op = TEXT if corpus in data.TEXT_CORPORA else BINARY
        for i, (n, fragment) in enumerate(SIZES, 1):
            case("12.%d.%d" % (group, i), compressed(corpus, op, n, fragment, offer(), (False, 0)))
    asks = ((False, 0), (True, 0), (False, 9), (False, 15), (True, 9), (True, 15))
    for group, ask in enumerate(asks, 1):
        for i, (n, fragment) in enumerate(SIZES, 1):
            case("13.%d.%d" % (group, i), compressed("json", TEXT, n, fragment, offer(*ask), ask))
    three = ", ".join((offer(True, 9), offer(True), offer()))
    for i, (n, fragment) in enumerate(SIZES, 1):
        case("13.7.%d" % i, compressed("json", TEXT, n, fragment, three, (False, 0)))


for add in (add_framing, add_pings, add_reserved, add_fragmentation, add_utf8, add_closing,
            add_limits, add_compression):
    add()
