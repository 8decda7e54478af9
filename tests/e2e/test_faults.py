"""Hostile, broken and slow clients: each is answered or ended, and the others notice nothing.

In every attack a healthy subscriber (hostile.Healthy) gets each publication, in order, all the
while. Counts and memory are compared with configured limits; no time is asserted.
"""

import contextlib
import json
import random
import signal
import ssl
import struct

import pytest

from certs import make_certificate
from hostile import (
    BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, Crowd, Ended, Healthy, NativeWire, Wire, WsWire,
    deflated, frame, handshake, is_sanitized, native_to, open_files, request, resident_bytes,
    until, wire_to)

MIB = 1 << 20
QUICK = "http: {head_timeout: 500ms, body_timeout: 500ms, idle_timeout: 2s}"
ECHO = "endpoints: [{path: /echo, dialect: echo}]"


def echo_to(recado, **options):
    return WsWire(("127.0.0.1", recado.port), path="/echo", **options)


def error_of(body):
    error = json.loads(body)["error"]
    assert isinstance(error["code"], int) and error["message"]
    return error


def closes(recado, reason):
    return recado.metrics()[f'recado_closes_total{{reason="{reason}"}}']


# ---- those who never speak ----


@pytest.mark.timeout(300)
@pytest.mark.release  # sanitizers keep what was freed
def test_ten_thousand_who_never_speak(start_recado):
    recado = start_recado("http: {head_timeout: 15s}")
    with Healthy(recado) as healthy:
        files = open_files(recado.process)
        peaks = []
        for _ in range(2):
            with Crowd("silent", recado, count=10_000) as crowd:
                crowd.hear("open")
                until("all accepted", lambda: open_files(recado.process) >= files + 10_000)
                healthy.watch()
                peaks.append(resident_bytes(recado.process))
                assert crowd.hear("ended") == {"close": 10_000}
            until("all gone", lambda: open_files(recado.process) <= files)
        assert recado.metrics()["recado_connections"] <= 4
        # What the first ten thousand needed serves the second: nothing was lost. (Sanitizers keep
        # freed memory for a while, and look for what was lost by themselves.)
        assert is_sanitized(recado) or peaks[1] <= peaks[0] + 4 * MIB, peaks


@pytest.mark.parametrize("says", [
    "G", "GET / HTTP/1.1\r\nHost: x\r\nX-A", handshake()[:-2], "POST /api/publish HTTP/1.1\r\n"])
def test_half_a_head(start_recado, says):
    recado = start_recado(QUICK)
    with Healthy(recado), Crowd("silent", recado, count=500, says=says) as crowd:
        crowd.hear("open")
        assert crowd.hear("ended") == {"408": 500}


def test_half_a_body(start_recado):
    says = request("POST", "/api/publish", "Content-Length: 100") + '{"channel":'
    recado = start_recado(QUICK)
    with Healthy(recado), Crowd("silent", recado, count=500, says=says) as crowd:
        crowd.hear("open")
        assert crowd.hear("ended") == {"408": 500}


def test_a_head_that_never_ends_in_time(start_recado):
    """Bytes that keep coming do not buy more time."""
    recado = start_recado(QUICK)
    with Healthy(recado), wire_to(recado) as wire:
        wire.send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        wire.socket.settimeout(0.02)
        while True:  # ends: the server answers, or the limit of this test does it
            wire.send_as_far_as_possible("a")
            with contextlib.suppress(TimeoutError):
                if wire.socket.recv(65536, 2):
                    break
        wire.socket.settimeout(20)
        assert wire.read_response()[0] == 408


def test_who_says_nothing_after_the_handshake(start_recado):
    recado = start_recado("client: {connect_timeout: 300ms}")
    with Healthy(recado):
        wires = [native_to(recado, connect=False) for _ in range(100)]
        assert {wire.read_close() for wire in wires} == {3502}


# ---- those who speak one byte at a time ----


def test_one_byte_at_a_time(recado):
    with Healthy(recado), wire_to(recado) as wire:
        wire.drip(request("POST", "/api/publish", body='{"channel":"a","data":{"n":1}}'))
        assert wire.read_response()[0] == 200
        wire.drip("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "10\r\n{\"channel\": \"a\",\r\nb\r\n\"data\": {}}\r\n0\r\n\r\n")
        status, _, body = wire.read_response()
        assert status == 200 and json.loads(body)["result"]["offset"] == 2


def test_a_websocket_one_byte_at_a_time(recado):
    with Healthy(recado), Wire(("127.0.0.1", recado.port)) as wire:
        wire.__class__ = NativeWire
        wire.pushes, wire._lines, wire.id = [], [], 0
        wire.drip(handshake())
        assert wire.read_response()[0] == 101
        wire.drip(frame(TEXT, '{"id":1,"connect":{}}'))
        assert "connect" in wire.read_message()
        wire.drip(frame(TEXT, '{"id":2,"subscr', fin=False) + frame(PING, b"now")
                  + frame(0, 'ibe":{"channel":"drip"}}'))
        assert wire.read_frame() == (PONG, b"now")
        assert "subscribe" in wire.read_message()
        recado.publish("drip", {"n": 1})
        assert wire.read_publication()["data"] == {"n": 1}


# ---- too big ----


@pytest.mark.parametrize("text,status", [
    ("GET /" + "a" * 70_000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + "a" * 70_000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\n" + "X-A: b\r\n" * 200 + "\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\n" + "X-A: b\r\n" * 20_000, 431),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     + ("8000\r\n" + "a" * 0x8000 + "\r\n") * 40, 413),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "fffffffffffffffff\r\n", 400),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     + "1;" + "e" * 1_000_000, 400),
])
def test_too_big_for_http(recado, text, status):
    with Healthy(recado):
        for _ in range(20):
            with wire_to(recado) as wire:
                got, headers, body = wire.ask(text)
                assert got == status
                assert headers["connection"] == "close"
                error_of(body)
        wire = wire_to(recado)
        assert wire.ask(request("GET", "/healthz/live"))[0] == 200


def test_endless_headers_are_not_kept(recado):
    with Healthy(recado) as healthy:
        before = resident_bytes(recado.process)
        wires = [wire_to(recado) for _ in range(200)]
        for wire in wires:
            wire.send_as_far_as_possible("GET / HTTP/1.1\r\n" + "X-A: b\r\n" * 100_000)
        assert {wire.read_response()[0] for wire in wires} == {431}
        healthy.watch()
        assert resident_bytes(recado.process) - before < 200 * 2 * 16384 + 16 * MIB


BIG = 10 * MIB
TOO_BIG = {
    "one frame": frame(TEXT, b"a" * BIG),
    "one byte too many": frame(TEXT, b"a" * 65537),
    "only said": frame(TEXT, claim=BIG),
    "said to be enormous": frame(TEXT, claim=(1 << 63) - 1),
    "in fragments": frame(TEXT, b"a" * 40_000, fin=False) + frame(0, b"a" * 40_000),
    "in many fragments": frame(TEXT, b"", fin=False) + frame(0, b"a", fin=False) * 70_000,
}


@pytest.mark.parametrize("path", ["/connection/websocket", "/echo"])
@pytest.mark.parametrize("what", TOO_BIG)
def test_too_big_a_message(start_recado, what, path):
    recado = start_recado(ECHO)
    with Healthy(recado):
        for _ in range(5):
            with WsWire(("127.0.0.1", recado.port), path=path) as wire:
                wire.send_as_far_as_possible(TOO_BIG[what])
                assert wire.read_close() == 1009


def test_endless_empty_fragments(start_recado):
    """They add nothing to the message, and must not add to memory either."""
    recado = start_recado(ECHO)
    with Healthy(recado), echo_to(recado) as wire:
        before = resident_bytes(recado.process)
        wire.send(frame(TEXT, b"a", fin=False))
        for _ in range(500):
            wire.send(frame(0, b"", fin=False) * 1000)
        wire.send(frame(0, b"b"))
        assert wire.read_frame() == (TEXT, b"ab")
        assert resident_bytes(recado.process) - before < 16 * MIB


@pytest.mark.parametrize("path", ["/connection/websocket", "/echo"])
def test_compression_bombs(start_recado, path):
    recado = start_recado(ECHO)
    bomb = deflated(bytes(60 * MIB))
    assert len(bomb) < 65536
    with Healthy(recado) as healthy:
        before = resident_bytes(recado.process)
        wires = [WsWire(("127.0.0.1", recado.port), path=path, extra=DEFLATE) for _ in range(50)]
        for wire in wires:
            assert "permessage-deflate" in wire.headers["sec-websocket-extensions"]
            wire.send_as_far_as_possible(frame(TEXT, bomb, rsv=4))
        assert {wire.read_close() for wire in wires} == {1009}
        healthy.watch()
        assert resident_bytes(recado.process) - before < 16 * MIB


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", b"\x00" * 100, deflated(b"hello")[:-2]])
def test_broken_compression(start_recado, payload):
    recado = start_recado(ECHO)
    with Healthy(recado), echo_to(recado, extra=DEFLATE) as wire:
        wire.send(frame(TEXT, payload, rsv=4))
        assert wire.read_close() in (1002, 1007)


# ---- wrong ----


WRONG_FRAMES = {
    "unmasked": (frame(TEXT, "a", mask=b""), 1002),
    "reserved bit": (frame(TEXT, "a", rsv=2), 1002),
    "compressed without agreement": (frame(TEXT, "a", rsv=4), 1002),
    "reserved opcode": (frame(5, "a"), 1002),
    "reserved control": (frame(12, "a"), 1002),
    "long ping": (frame(PING, b"a" * 126), 1002),
    "fragmented ping": (frame(PING, b"a", fin=False), 1002),
    "continues nothing": (frame(0, "a"), 1002),
    "begins twice": (frame(TEXT, "a", fin=False) + frame(TEXT, "a"), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close with 1005": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "close that is not UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"\xc0\xaf"), 1007),
    "a cut character": (frame(TEXT, b"a\xe2\x82"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "not UTF-8 over fragments": (frame(TEXT, b"\xf0\x9f", fin=False) + frame(0, b"\xff\x80"), 1007),
}


@pytest.mark.parametrize("path", ["/connection/websocket", "/echo"])
@pytest.mark.parametrize("what", WRONG_FRAMES)
def test_wrong_frames(start_recado, what, path):
    recado = start_recado(ECHO)
    data, code = WRONG_FRAMES[what]
    with Healthy(recado), WsWire(("127.0.0.1", recado.port), path=path) as wire:
        wire.send(data)
        assert wire.read_close() == code


WRONG_COMMANDS = {
    "not JSON": "hello",
    "half": '{"id":1,"connect":{',
    "an array": "[]",
    "a number": "7",
    "nothing": "",
    "deep": '{"id":1,"connect":' * 3000 + "{}" + "}" * 3000,
    "deep data": '{"id":1,"connect":{"data":' + "[" * 30_000 + "]" * 30_000 + "}}",
    "an id that is too big": '{"id":99999999999,"connect":{}}',
    "a negative id": '{"id":-1,"connect":{}}',
    "no id": '{"connect":{}}',
    "no verb": '{"id":1}',
    "an unknown verb": '{"id":1,"fly":{}}',
    "a verb too early": '{"id":1,"subscribe":{"channel":"a"}}',
    "a pong that nobody asked for": "{}",
    "too many commands": '{"id":1,"connect":{}}\n' + '{"id":2,"ping":{}}\n' * 3000,
    "a wrong type": '{"id":1,"connect":"a"}',
    "connected twice": '{"id":1,"connect":{}}\n{"id":2,"connect":{}}',
    "text behind": '{"id":1,"connect":{}} x',
    "a lone surrogate": '{"id":1,"connect":{"name":"\\ud800"}}{',
    "a raw control character": '{"id":1,"connect":{"token":"a\nb"}}',
}


@pytest.mark.parametrize("what", WRONG_COMMANDS)
def test_wrong_commands(recado, what):
    with Healthy(recado), native_to(recado, connect=False) as wire:
        wire.send(frame(TEXT, WRONG_COMMANDS[what]))
        assert wire.read_close() == 3501


@pytest.mark.parametrize("command,code", [
    ({"subscribe": {"channel": "a" * 300}}, 107),
    ({"subscribe": {"channel": "with space"}}, 107),
    ({"subscribe": {"channel": "a\u0000b"}}, 107),
    ({"subscribe": {"channel": "a", "tf": {"op": "?"}}}, 107),
    ({"publish": {"channel": "a", "data": {}}}, 103),
    ({"history": {"channel": "never-followed", "limit": 1}}, 103),
    ({"presence": {"channel": "never-followed"}}, 103),
    ({"rpc": {"method": "x", "data": {}}}, 104),
])
def test_refused_commands(recado, command, code):
    """Wrong in one thing: that is answered, and the session goes on."""
    (verb, fields), = command.items()
    with Healthy(recado), native_to(recado) as wire:
        assert wire.call(verb, fields)["error"]["code"] == code
        assert "error" not in wire.call("ping", {})


@pytest.mark.parametrize("body", [
    "", "{", "[]", "7", "nonsense", '{"channel":"a"}', '{"data":{}}', '{"channel":7,"data":{}}',
    '{"channel":"a","data":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"channel":"a","data":{"x":"\xff"}}'.encode("latin-1"), b"\x00\x01\x02"])
def test_wrong_api_bodies(recado, body):
    with Healthy(recado):
        status, _, answer = recado.post("/api/publish", body)
        assert status in (200, 400)
        error_of(answer)
        assert "offset" in recado.publish("still", {})


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/nowhere", 404), ("GET", "/api/nothing", 404), ("GET", "/..%2f..%2fetc/passwd", 404),
    ("GET", "/../../etc/passwd", 404), ("GET", "/api/publish", 405), ("DELETE", "/metrics", 405),
    ("POST", "/connection/websocket", 405), ("GET", "/connection/websocket", 426),
    ("BREW", "/", 501), ("GET", "/%zz", 400), ("GET", "/a%00b", 400), ("GET", "*", 400)])
def test_wrong_paths_and_methods(recado, method, path, status):
    with Healthy(recado), wire_to(recado) as wire:
        got, headers, body = wire.ask(request(method, path))
        assert got == status, body
        error_of(body)
        if status == 405:
            assert headers["allow"]


@pytest.mark.parametrize("text,status", [
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: x\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
     "Transfer-Encoding: chunked\r\n\r\n", 400),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\n{}XX0\r\n\r\n", 400),  # no line end behind the chunk
    ("POST /api/publish HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\n"
     "Content-Length: 2\r\n\r\n", 417),
    ("GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade"
     "\r\nSec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n", 400),
    (handshake().replace("Version: 13", "Version: 8"), 426),
])
def test_wrong_http(recado, text, status):
    with Healthy(recado), wire_to(recado) as wire:
        got, _, body = wire.ask(text)
        assert got == status, body
        error_of(body)


# ---- garbage ----


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_to_the_port(recado, seed):
    dice = random.Random(seed)
    with Healthy(recado) as healthy:
        for _ in range(60):
            with wire_to(recado) as wire:
                start = dice.choice([b"", b"GET ", b"POST /api/publish HTTP/1.1\r\n", b"\x16\x03"])
                wire.send_as_far_as_possible(start + dice.randbytes(dice.randrange(1, 40_000)))
                if dice.random() < 0.5:
                    with contextlib.suppress(OSError):
                        wire.socket.shutdown(1)  # nothing more will come
                    answer = wire.read_to_end()
                    assert answer == b"" or answer.startswith(b"HTTP/1.1 "), answer[:80]
        healthy.watch()


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_behind_a_handshake(start_recado, seed):
    dice = random.Random(seed)
    recado = start_recado(ECHO)
    with Healthy(recado) as healthy:
        for number in range(40):
            with WsWire(("127.0.0.1", recado.port), path="/echo" if number % 2 else
                        "/connection/websocket", extra=DEFLATE) as wire:
                wire.send_as_far_as_possible(dice.randbytes(dice.randrange(1, 40_000)))
                with contextlib.suppress(OSError):
                    wire.socket.shutdown(1)
                wire.read_to_end()
        healthy.watch()


@pytest.mark.parametrize("seed", range(4))
def test_random_payloads_in_good_frames(start_recado, seed):
    """Binary ones come back as they are; as text they are not UTF-8, as commands not JSON."""
    dice = random.Random(seed)
    recado = start_recado(ECHO)
    with Healthy(recado):
        with echo_to(recado) as wire:
            for _ in range(50):
                payload = dice.randbytes(dice.randrange(0, 60_000))
                wire.send(frame(BINARY, payload))
                assert wire.read_frame() == (BINARY, payload)
        for _ in range(20):
            payload = dice.randbytes(dice.randrange(8, 2000)) + b"\xff"
            with echo_to(recado) as wire:
                wire.send(frame(TEXT, payload))
                assert wire.read_close() == 1007
            with native_to(recado) as wire:
                wire.send(frame(BINARY, payload))
                assert wire.read_close() in (1003, 3501)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_commands(recado, seed):
    """Good commands with a few bytes changed: answered or ended, never something else."""
    dice = random.Random(seed)
    good = [b'{"id":2,"subscribe":{"channel":"m:1","recover":true,"offset":1,"epoch":"abcd"}}',
            b'{"id":3,"history":{"channel":"m:1","limit":5,"since":{"offset":0,"epoch":"x"}}}',
            b'{"id":4,"publish":{"channel":"m:1","data":{"a":[1,2,3]}}}',
            b'{"id":5,"unsubscribe":{"channel":"m:1"}}', b'{"id":6,"presence":{"channel":"m:1"}}']
    with Healthy(recado):
        for _ in range(150):
            with native_to(recado) as wire:
                text = bytearray(dice.choice(good))
                for _ in range(dice.randrange(1, 5)):
                    text[dice.randrange(len(text))] = dice.randrange(32, 127)
                wire.send(frame(TEXT, bytes(text)) + frame(TEXT, '{"id":9,"ping":{}}'))
                with contextlib.suppress(Ended):
                    while wire.read_message().get("id") != 9:
                        pass
                assert getattr(wire, "close_code", 3501) == 3501


# ---- pipelined floods ----


def test_pipelined_requests_that_nobody_reads(recado):
    """Their answers are not piled up: the server stops reading until they are taken."""
    count = 20_000
    one = request("GET", "/healthz/live")
    with Healthy(recado) as healthy, wire_to(recado, receive_buffer=8192) as wire:
        before = resident_bytes(recado.process)
        wire.socket.settimeout(0.5)
        todo = memoryview((one * count).encode())
        with contextlib.suppress(TimeoutError):
            while todo:
                todo = todo[wire.socket.send(todo):]
        healthy.watch()
        assert resident_bytes(recado.process) - before < 16 * MIB
        wire.socket.settimeout(20)
        answered = 0
        while answered < count:  # it goes on where it stopped
            wire.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while todo:
                    todo = todo[wire.socket.send(todo):]
            wire.socket.settimeout(20)
            assert wire.read_response()[0] == 200
            answered += 1


def test_pipelined_frames_that_nobody_reads(start_recado):
    """Replies are bounded by client.out_max; more of them ends the connection, and only that."""
    recado = start_recado("client: {out_max: 64KiB}\n" + ECHO)
    with Healthy(recado) as healthy:
        before = resident_bytes(recado.process)
        wires = [echo_to(recado, receive_buffer=4096) for _ in range(20)]
        flood = frame(TEXT, b"a" * 30_000) * 400
        for wire in wires:
            wire.socket.settimeout(0.5)
            with contextlib.suppress(OSError):
                wire.send(flood)
        healthy.watch()
        assert resident_bytes(recado.process) - before < 20 * 2 * 65536 + 16 * MIB
        until("they are ended", lambda: recado.metrics()["recado_connections"] <= 4)


# ---- TLS ----


@pytest.fixture
def tls_recado(start_recado, tmp_path):
    cert, key = make_certificate(tmp_path, "localhost")
    plain = start_recado(f"""listen:
  - 127.0.0.1:PORT
  - {{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
""" + QUICK)
    plain.tls_port = int(plain.wait_log(r"https://127.0.0.1:(\d+)").group(1))
    plain.client_tls = ssl.create_default_context(cafile=cert)
    return plain


def test_plain_text_to_a_tls_port(tls_recado):
    target = ("127.0.0.1", tls_recado.tls_port)
    with Healthy(tls_recado):
        for text in (request("GET", "/"), handshake(), "\0" * 1000, "x" * 100_000):
            with Wire(target) as wire:
                wire.send_as_far_as_possible(text)
                assert b"200 OK" not in wire.read_to_end()
        with Wire(target, tls=tls_recado.client_tls, name="localhost") as wire:
            assert wire.ask(request("GET", "/healthz/live"))[0] == 200


def test_tls_to_a_plain_port(tls_recado):
    with Healthy(tls_recado):
        for _ in range(20):
            with pytest.raises((ssl.SSLError, OSError)):
                Wire(("127.0.0.1", tls_recado.port), tls=tls_recado.client_tls, name="localhost")


@pytest.mark.parametrize("says", ["", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_stalled_tls_handshakes(tls_recado, says):
    target = ("127.0.0.1", tls_recado.tls_port)
    with Healthy(tls_recado):
        wires = [Wire(target) for _ in range(200)]
        for wire in wires:
            wire.send(says.encode("latin-1"))
        for wire in wires:
            wire.read_to_end()  # comes to an end


def test_slow_heads_inside_tls(tls_recado):
    target = ("127.0.0.1", tls_recado.tls_port)
    with Healthy(tls_recado):
        wires = [Wire(target, tls=tls_recado.client_tls, name="localhost") for _ in range(50)]
        for wire in wires:
            wire.drip("GET / HT")
        assert {wire.read_response()[0] for wire in wires} == {408}


# ---- slow readers ----

FEED = 256 << 10
SLOW_CONFIG = f"""
hub: {{feed_max: {FEED}}}
websocket: {{ping_interval: 0}}
client: {{out_max: 1MiB}}
namespaces:
  kept: {{history: 100000, history_bytes: 256MiB}}
  unkept: {{history: 0}}
"""


def publish_many(recado, channel, payload, count):
    """All in one request."""
    commands = [{"publish": {"channel": channel, "data": payload}}] * count
    replies = recado.api("batch", {"commands": commands})["replies"]
    assert all("publish" in reply for reply in replies)


SLOW_COUNT, SLOW_PAYLOAD = 1000, "x" * 8000


def broadcast_past(recado, channel, enough):
    """Publishes, with a healthy reader who gets all of it at once, until enough(); how many."""
    count = 0
    with native_to(recado) as reader:
        reader.subscribe(channel)
        while not enough(count):
            assert count * len(SLOW_PAYLOAD) < 200 * MIB, "the slow ones are never found out"
            publish_many(recado, channel, SLOW_PAYLOAD, 20)
            for _ in range(20):
                count += 1
                got = reader.read_publication()
                assert got["data"] == SLOW_PAYLOAD and got.get("offset", count) == count
    return count


def most_resident(count):
    """What the limits allow: every slow session may hold a round of history of its own."""
    history = 2 * count * len(SLOW_PAYLOAD)
    return history + 4 * FEED + SLOW_COUNT * 128 * 1024 + 32 * MIB


@pytest.mark.timeout(300)
def test_a_thousand_slow_readers_catch_up(start_recado):
    """With a history they get everything once they read on: no gap, no duplicate."""
    recado = start_recado(SLOW_CONFIG)
    with Healthy(recado) as healthy, \
            Crowd("slow", recado, count=SLOW_COUNT, channel="kept:1") as crowd:
        crowd.hear("ready")
        before = resident_bytes(recado.process)
        last = broadcast_past(recado, "kept:1", lambda count: count >= 1000 and
                              recado.metrics()["recado_overruns_total"] >= SLOW_COUNT)
        healthy.watch()
        assert resident_bytes(recado.process) - before < most_resident(last)
        crowd.tell(read=40, last=last)
        assert crowd.hear("read", 200) == [{"from": 1, "whole": True}] * 40
        healthy.watch()
        assert recado.metrics()["recado_resyncs_total"] >= 40


@pytest.mark.timeout(300)
def test_a_thousand_slow_readers_without_history_are_closed(start_recado):
    recado = start_recado(SLOW_CONFIG)
    with Healthy(recado) as healthy, \
            Crowd("slow", recado, count=SLOW_COUNT, channel="unkept:1") as crowd:
        crowd.hear("ready")
        before = resident_bytes(recado.process)
        last = broadcast_past(recado, "unkept:1", lambda count: recado.metrics()
                              ["recado_overruns_total"] >= SLOW_COUNT)
        healthy.watch()
        assert resident_bytes(recado.process) - before < most_resident(0)
        crowd.tell(read=40, last=-1)
        for end in crowd.hear("read", 200):
            assert end["code"] in (3008, 1006) and 0 < end["got"] < last
        until("they are gone", lambda: recado.metrics()["recado_connections"] < 10)
        until("all are counted", lambda: closes(recado, "slow") >= SLOW_COUNT)


@pytest.mark.parametrize("channel", ["kept:1", "unkept:1"])
@pytest.mark.parametrize("loops", [1, 2])
def test_a_burst_longer_than_the_log(start_recado, channel, loops):
    """Who reads is not slow, however much is published at once."""
    recado = start_recado(SLOW_CONFIG + f"loops: {loops}")
    with Healthy(recado):
        readers = [native_to(recado) for _ in range(50)]
        for reader in readers:
            reader.subscribe(channel)
        for _ in range(3):
            publish_many(recado, channel, SLOW_PAYLOAD, 100)  # three times feed_max
            for reader in readers:
                for _ in range(100):
                    assert reader.read_publication()["data"] == SLOW_PAYLOAD
        assert recado.metrics()["recado_overruns_total"] == 0


def test_slow_readers_inside_tls_catch_up(start_recado, tmp_path):
    cert, key = make_certificate(tmp_path, "localhost")
    recado = start_recado(f"""listen:
  - 127.0.0.1:PORT
  - {{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
""" + SLOW_CONFIG)
    target = ("127.0.0.1", int(recado.wait_log(r"https://127.0.0.1:(\d+)").group(1)))
    tls = ssl.create_default_context(cafile=cert)
    with Healthy(recado):
        slow = [NativeWire(target, tls=tls, name="localhost", receive_buffer=4096)
                for _ in range(10)]
        for wire in slow:
            wire.subscribe("kept:1")
        last = broadcast_past(recado, "kept:1", lambda count: count >= 500 and
                              recado.metrics()["recado_overruns_total"] >= 10)
        for wire in slow:
            assert [wire.read_publication()["offset"] for _ in range(last)] == list(
                range(1, last + 1))


def test_slow_event_streams(start_recado):
    """Who takes nothing for sse.write_timeout is ended; who reads on gets everything."""
    recado = start_recado(SLOW_CONFIG + "sse: {heartbeat: 1s, write_timeout: 1s}\n")
    ask = request("GET", "/events?channel=kept:1")
    with Healthy(recado):
        quick, stuck = wire_to(recado), wire_to(recado, receive_buffer=4096)
        for wire in (quick, stuck):
            wire.send(ask)
            wire.read_until(b"\r\n\r\n")
        count = broadcast_past(recado, "kept:1", lambda count: count >= 1000)
        for number in range(1, count + 1):
            quick.read_until(b":%d\n" % number)
            quick.read_until(SLOW_PAYLOAD.encode() + b'"\n')
        until("the stuck one is ended", lambda: recado.metrics()
              ["recado_connections"] <= 4)
        assert stuck.read_to_end().count(b"data: ") < count


@pytest.mark.release  # sanitizers keep what was freed
def test_slow_replies_end_their_own_session(start_recado):
    """Who asks for much and reads nothing is closed as slow when client.out_max is reached."""
    recado = start_recado("client: {out_max: 256KiB}\nnamespaces: {h: {history: 1000}}")
    for _ in range(4):
        recado.publish("h:1", "x" * 50_000)
    with Healthy(recado) as healthy, native_to(recado, receive_buffer=4096) as wire:
        wire.subscribe("h:1")
        wire.socket.settimeout(0.5)
        before = resident_bytes(recado.process)
        with contextlib.suppress(OSError):
            for _ in range(200):
                wire.send(frame(TEXT, '{"id":7,"history":{"channel":"h:1","limit":-1}}'))
        until("it is closed", lambda: closes(recado, "slow") >= 1)
        healthy.watch()
        assert resident_bytes(recado.process) - before < 16 * MIB


# ---- over the limits ----


def test_too_many_messages(start_recado):
    """Told so at first; who goes on all the same is sent away."""
    recado = start_recado("client: {messages_per_second: 5, messages_burst: 20}")
    with native_to(recado) as wire:
        answers = [wire.call("ping", {}) for _ in range(60)]
        refused = [a for a in answers if "error" in a]
        assert len(refused) >= 30 and {a["error"]["code"] for a in refused} == {111}
        for _ in range(2000):
            wire.send_as_far_as_possible(frame(TEXT, '{"id":7,"ping":{}}'))
        assert wire.read_close() == 3013


def test_too_many_messages_of_one_leave_room_for_others(start_recado):
    recado = start_recado("client: {messages_per_second: 100000, messages_burst: 1000}")
    with Healthy(recado) as healthy, native_to(recado) as wire:
        flood = frame(TEXT, '{"id":7,"ping":{}}\n' * 1000)
        for _ in range(50):
            wire.send_as_far_as_possible(flood)
        healthy.watch()


def test_connections_max(start_recado):
    """A refusal with an answer, not a hang; who comes when there is room again gets in."""
    recado = start_recado("client: {connections_max: 20}")
    first = wire_to(recado)

    def figure(name):
        text = first.ask(request("GET", "/metrics"))[2].decode()
        return float(text.split(f"\n{name} ")[1].split("\n")[0])

    until("it is alone", lambda: figure("recado_connections") == 1)
    others = [wire_to(recado) for _ in range(19)]
    until("all are in, on whatever loop", lambda: figure("recado_connections") == 20)
    for _ in range(30):
        with wire_to(recado) as late:
            status, headers, body = late.read_response()
            assert status == 503 and headers["retry-after"]
            error_of(body)
    for wire in others:  # they were not disturbed
        assert wire.ask(request("GET", "/healthz/live"))[0] == 200
    others.pop().close()

    def next_one_is_in():
        with wire_to(recado) as wire, contextlib.suppress(Ended):
            return wire.ask(request("GET", "/healthz/live"))[0] == 200

    until("one more is in", next_one_is_in)
    assert figure("recado_connections_refused_total") >= 30
    for wire in (first, *others):
        wire.close()


def test_a_burst_over_connections_max_holds_nobody_up(start_recado):
    recado = start_recado("client: {connections_max: 50}\nhttp: {head_timeout: 2s}")
    with Healthy(recado) as healthy, Crowd("silent", recado, count=2000) as crowd:
        crowd.hear("open")
        healthy.watch()
        ended = crowd.hear("ended")
        assert ended["503"] >= 1900 and sum(ended.values()) == 2000, ended


def test_loopback_is_not_limited_by_address(start_recado):
    """It is where proxies and back ends are; tests/unit/app/address_book_test.c has the rest."""
    recado = start_recado("client: {connections_per_address_max: 2, connects_per_second: 1, "
                          "connects_burst: 1}")
    with Healthy(recado):
        for _ in range(20):
            with wire_to(recado) as wire:
                assert wire.ask(request("GET", "/healthz/live"))[0] == 200


def test_channels_of_one_session(start_recado):
    recado = start_recado("client: {channels_per_session_max: 3}")
    with Healthy(recado), native_to(recado) as wire:
        for number in range(3):
            wire.subscribe(f"c:{number}")
        for number in range(3, 50):
            answer = wire.call("subscribe", {"channel": f"c:{number}"})
            assert answer["error"]["code"] == 106
        wire.call("unsubscribe", {"channel": "c:0"})
        wire.subscribe("c:4")
        recado.publish("c:4", {"n": 1})
        assert wire.read_publication()["data"] == {"n": 1}


def test_channels_of_the_node(start_recado):
    recado = start_recado("hub: {channels_max: 10}\nloops: 1")
    with Healthy(recado), native_to(recado) as wire:
        got = [wire.call("subscribe", {"channel": f"c:{n}"}) for n in range(40)]
        good = [a for a in got if "subscribe" in a]
        assert len(good) <= 10
        assert {a["error"]["code"] for a in got if "error" in a} <= {100, 106}
        answers = [recado.api("publish", {"channel": f"p:{n}", "data": {}}) for n in range(40)]
        assert {a["error"]["code"] for a in answers if "error" in a} <= {100, 106}
        recado.publish("c:0", {"n": 1})
        assert wire.read_publication()["data"] == {"n": 1}


def test_subscribers_of_one_channel(start_recado):
    recado = start_recado("namespaces: {few: {subscribers_max: 3}}")
    with Healthy(recado):
        wires = [native_to(recado) for _ in range(10)]
        answers = [wire.call("subscribe", {"channel": "few:1"}) for wire in wires]
        assert [("error" in a) for a in answers] == [False] * 3 + [True] * 7
        assert {a["error"]["code"] for a in answers[3:]} == {106}
        wires[0].close()

        def has_room():
            return "subscribe" in wires[9].call("subscribe", {"channel": "few:1"})

        until("there is room for one more", has_room)
        recado.publish("few:1", {"n": 1})
        for wire in (*wires[1:3], wires[9]):
            assert wire.read_publication()["data"] == {"n": 1}


def test_api_limits(start_recado):
    recado = start_recado("api: {body_max: 64KiB, commands_max: 10}\nhttp: {body_max: 64KiB}")
    with Healthy(recado):
        status, _, body = recado.post("/api/publish",
                                      {"channel": "a", "data": "x" * 70_000})
        assert status == 413
        error_of(body)
        commands = [{"publish": {"channel": "a", "data": {}}}] * 11
        answer = recado.api("batch", {"commands": commands})
        assert "error" in answer
        answer = recado.api("broadcast", {"channels": [f"a{n}" for n in range(11)], "data": {}})
        assert "error" in answer
        assert "offset" in recado.publish("a", {})


def test_a_flood_of_subscriptions(recado):
    """Joining and leaving as fast as it goes leaves nothing behind."""
    with Healthy(recado):
        for _ in range(20):
            with native_to(recado) as wire:
                both = "\n".join(f'{{"id":{n + 2},"subscribe":{{"channel":"f:{n % 100}"}}}}\n'
                                 f'{{"id":{n + 3},"unsubscribe":{{"channel":"f:{n % 100}"}}}}'
                                 for n in range(0, 800, 2))
                wire.send(frame(TEXT, both))
                while wire.read_message()["id"] != 801:
                    pass
        until("only the healthy one is left",
              lambda: recado.metrics()["recado_subscriptions"] == 1)


# ---- vanished ----


@pytest.mark.timeout(180)
def test_vanished_peers(start_recado):
    """A stopped process keeps its sockets open, but no pong comes out of them."""
    recado = start_recado("websocket: {ping_interval: 1s, pong_timeout: 500ms, close_timeout: 500ms}")
    with Healthy(recado) as healthy, Crowd("idle", recado, count=200, channel="gone:1") as crowd:
        crowd.hear("ready")
        crowd.signal(signal.SIGSTOP)
        until("they are ended", lambda: closes(recado, "no_pong") >= 200)
        until("and gone", lambda: recado.metrics()["recado_connections"] < 10)
        healthy.watch()
        crowd.signal(signal.SIGCONT)
    with native_to(recado) as wire:
        until("unanswered", lambda: wire.read_frame() == (TEXT, b"{}"))
        assert wire.read_close() == 3012


def test_vanished_in_the_middle(start_recado):
    """Connections that are reset at every stage."""
    recado = start_recado(ECHO)
    stages = ["GET / HT", request("POST", "/api/publish", "Content-Length: 10") + "{",
              handshake(), handshake() + frame(TEXT, '{"id":1,"connect":{}}').decode("latin-1"),
              request("GET", "/events?channel=a"), request("GET", "/metrics") * 20]
    with Healthy(recado):
        for number in range(300):
            wire = wire_to(recado)
            wire.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close is a reset
            wire.send(stages[number % len(stages)].encode("latin-1"))
            wire.close()
        until("all gone", lambda: recado.metrics()["recado_connections"] <= 4)
