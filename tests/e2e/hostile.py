"""Clients that misbehave, and one that does not, at the level of bytes.

Wire         a socket with deadlines: send, read a response, read until the end
WsWire       a WebSocket by hand: any frame, however wrong; reads what comes back
NativeWire   the native dialect on it
Healthy      somebody else, who must notice nothing: publishes and receives all the time
Crowd        a process of many misbehaving clients (crowd.py's own file limit, no shared GIL)

Nothing here sleeps: everything waits for an event, with a limit that only a fault reaches.
"""

import base64
import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

LIMIT_SECONDS = 40
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(b"0123456789abcdef").decode()
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def until(what, condition, seconds=LIMIT_SECONDS):
    """The first true value of condition(), which is asked again and again."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def resident_bytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def is_sanitized(recado):
    program = recado.binary.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


# ---- bytes on a socket ----


class Ended(Exception):
    """The server closed the connection."""


class Wire:
    def __init__(self, target, source=None, receive_buffer=None, tls=None, name=None):
        """target: (host, port), or the path of a Unix socket."""
        if isinstance(target, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
            self.socket = socket.socket(family)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LIMIT_SECONDS)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(target)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.socket.sendall(data)

    def send_as_far_as_possible(self, data):
        """Somebody who is refused half-way has said enough."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send(data)

    def drip(self, data):
        """One byte at a time, each in a packet of its own."""
        for byte in data if isinstance(data, bytes) else data.encode():
            self.socket.sendall(bytes((byte,)))

    def _more(self):
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Ended(bytes(self.buffer))
        self.buffer += piece

    def read(self, count):
        while len(self.buffer) < count:
            self._more()
        piece = bytes(self.buffer[:count])
        del self.buffer[:count]
        return piece

    def read_until(self, mark):
        while True:
            at = self.buffer.find(mark)
            if at >= 0:
                return self.read(at + len(mark))
            self._more()

    def read_to_end(self):
        """Everything until the server closes."""
        with contextlib.suppress(Ended):
            while True:
                self._more()
        return bytes(self.buffer)

    def read_response(self, method="GET"):
        """(status, headers with small names, body)"""
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        status = int(first.split()[1])
        if status < 200:
            return (status, headers, b"") if status == 101 else self.read_response(method)
        length = int(headers.get("content-length", 0)) if method != "HEAD" else 0
        return status, headers, self.read(length)

    def ask(self, text):
        self.send_as_far_as_possible(text)
        return self.read_response(method=text[:4].strip() if isinstance(text, str) else "GET")


def wire_to(recado, **options):
    return Wire(("127.0.0.1", recado.port), **options)


def request(method, path, *headers, body=""):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


# ---- WebSocket ----


def handshake(path="/connection/websocket", extra=""):
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{extra}\r\n")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\x11\x22\x33\x44", claim=None):
    """claim: the length that is said, when it is not the payload's."""
    if isinstance(payload, str):
        payload = payload.encode()
    n = len(payload) if claim is None else claim
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    flag = 0x80 if mask else 0
    if n < 126:
        head = struct.pack("!BB", first, flag | n)
    elif n < 65536:
        head = struct.pack("!BBH", first, flag | 126, n)
    else:
        head = struct.pack("!BBQ", first, flag | 127, n)
    if not mask:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(len(payload), "big")


def deflated(payload):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class WsWire(Wire):
    def __init__(self, target, path="/connection/websocket", extra="", **options):
        super().__init__(target, **options)
        self.send(handshake(path, extra))
        status, self.headers, body = self.read_response()
        assert status == 101, (status, body)

    def read_frame(self):
        """(opcode, payload); messages of the server are never fragmented."""
        first, second = self.read(2)
        n = second & 0x7f
        assert not second & 0x80, "the server masks"
        if n == 126:
            n = struct.unpack("!H", self.read(2))[0]
        elif n == 127:
            n = struct.unpack("!Q", self.read(8))[0]
        payload = self.read(n)
        if first & 0x40:
            payload = zlib.decompress(payload + b"\0\0\xff\xff\x01\0\0\xff\xff", -15)
        return first & 0x0f, payload

    def read_close(self):
        """The code of the server's close frame; 1006: it went without."""
        try:
            while True:
                opcode, payload = self.read_frame()
                if opcode == CLOSE:
                    return struct.unpack("!H", payload[:2])[0] if payload else 1005
        except Ended:
            return 1006


class NativeWire(WsWire):
    """Connected. Pushes are collected in .pushes while a reply is awaited."""

    def __init__(self, target, connect=True, **options):
        super().__init__(target, **options)
        self.pushes = []
        self.id = 0
        self._lines = []
        if connect:
            self.call("connect", {})

    def command(self, verb, fields):
        self.id += 1
        self.send(frame(TEXT, json.dumps({"id": self.id, verb: fields})))
        return self.id

    def read_message(self):
        """The next reply or push; answers pings of both kinds."""
        while not self._lines:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                self.close_code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                raise Ended(self.close_code)
            if opcode == PING:
                self.send(frame(PONG, payload))
            elif opcode == TEXT:
                self._lines = payload.split(b"\n")
        message = json.loads(self._lines.pop(0))
        if message == {}:
            self.send(frame(TEXT, "{}"))
            return self.read_message()
        return message

    def call(self, verb, fields):
        number = self.command(verb, fields)
        while True:
            message = self.read_message()
            if message.get("id") == number:
                return message
            if "push" in message:
                self.pushes.append(message["push"])

    def subscribe(self, channel, **more):
        answer = self.call("subscribe", {"channel": channel, **more})
        assert "error" not in answer, answer
        return answer["subscribe"]

    def read_publication(self):
        while True:
            push = self.pushes.pop(0) if self.pushes else self.read_message().get("push", {})
            if "pub" in push:
                return push["pub"]


def native_to(recado, **options):
    return NativeWire(("127.0.0.1", recado.port), **options)


# ---- somebody else ----


class Healthy:
    """A subscriber and a publisher of their own, who go on during the attack: every publication
    must come, in order, before the next one is made. watch() waits until so many more have."""

    def __init__(self, recado, channel="healthy:1"):
        self.recado = recado
        self.channel = channel
        self.count = 0
        self._stop = threading.Event()
        self._moved = threading.Condition()
        self._problem = None
        self._client = native_to(recado)
        self._client.subscribe(channel)
        self._publisher = wire_to(recado)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.watch(1)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.watch()  # also now that it is over
        self._stop.set()
        self._thread.join(2 * LIMIT_SECONDS)
        self._client.close()
        self._publisher.close()
        if kind is None:
            assert self._problem is None, f"a healthy client noticed: {self._problem!r}"

    def watch(self, count=20):
        with self._moved:
            goal = self.count + count
            ok = self._moved.wait_for(lambda: self._problem or self.count >= goal,
                                      2 * LIMIT_SECONDS)
            assert self._problem is None, f"a healthy client noticed: {self._problem!r}"
            assert ok, "a healthy client waits for its publications"

    def _exchange(self):
        number = self.count
        body = json.dumps({"channel": self.channel, "data": {"n": number}})
        self._publisher.send(request("POST", "/api/publish", "Content-Type: application/json",
                                     body=body))
        status, headers, answer = self._publisher.read_response()
        assert status == 200 and b'"error"' not in answer, answer
        if headers.get("connection") == "close":
            self._publisher.close()
            self._publisher = wire_to(self.recado)
        got = self._client.read_publication()["data"]
        assert got == {"n": number}, f"{got} came where {number} was published"

    def _run(self):
        problem = None
        while problem is None and not self._stop.wait(0.002):  # the attacker needs the CPU, too
            try:
                self._exchange()
            except Exception as error:  # told by watch() and at the end
                problem = error
            with self._moved:
                self.count += problem is None
                self._problem = problem
                self._moved.notify_all()


# ---- many, in a process of their own ----


class Crowd:
    """`hostile.py ROLE PORT ARGUMENT..` as a child; one JSON object per line in both directions."""

    def __init__(self, role, recado, **options):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), role, str(recado.port),
             json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def signal(self, number):
        self.process.send_signal(number)

    def tell(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def hear(self, word, seconds=120):
        """The value of the next line, which must be {word: value}."""
        line = _read_line(self.process.stdout, seconds)
        assert line, f"the crowd ended with {self.process.poll()} while {word!r} was awaited"
        said = json.loads(line)
        assert word in said, f"{said} where {word!r} was awaited"
        return said[word]


def _read_line(pipe, seconds):
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        assert selector.select(seconds), f"a crowd said nothing for {seconds} s"
    return pipe.readline()


def say(**what):
    print(json.dumps(what), flush=True)


def _dial(port, number, receive_buffer=None):
    """From one of many loopback addresses: a single one has too few ports."""
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(LIMIT_SECONDS)
    s.bind((f"127.0.0.{2 + number % 100}", 0))
    s.connect(("127.0.0.1", port))
    return s


def _wait_for_ends(sockets):
    """Reads all of them until every one has ended; how each ended: 'close' or the HTTP status."""
    ends = {}
    heads = {}
    with selectors.DefaultSelector() as selector:
        for s in sockets:
            s.setblocking(False)
            selector.register(s, selectors.EVENT_READ)
            heads[s] = b""
        while heads:
            ready = selector.select(LIMIT_SECONDS)
            if not ready:
                break
            for key, _ in ready:
                s = key.fileobj
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:
                    piece = b""
                if piece:
                    heads[s] = (heads[s] + piece)[:16]
                    continue
                selector.unregister(s)
                head = heads.pop(s)
                how = head[9:12].decode() if head.startswith(b"HTTP/") else "close"
                ends[how] = ends.get(how, 0) + 1
                s.close()
    if heads:
        ends["open"] = len(heads)
    return ends


def crowd_silent(port, count, says=""):
    """Opens, says the same half sentence everywhere, and waits for the end."""
    sockets = [_dial(port, i) for i in range(count)]
    for s in sockets:
        s.sendall(says.encode())
    say(open=len(sockets))
    say(ended=_wait_for_ends(sockets))


class _Slow:
    """A native subscriber that can be told to stop reading and to begin again."""

    def __init__(self, port, number, channel):
        self.wire = NativeWire(("127.0.0.1", port), receive_buffer=4096,
                               source=f"127.0.0.{2 + number % 100}")
        self.channel = channel
        self.wire.subscribe(channel)

    def drain(self, last):
        """Whether every offset came in order up to last, or the close code."""
        offsets = []
        try:
            while not offsets or offsets[-1] != last:
                offsets.append(self.wire.read_publication().get("offset", 0))
        except Ended:
            return {"code": getattr(self.wire, "close_code", 1006), "got": len(offsets)}
        return {"from": offsets[0], "whole": offsets == list(range(1, last + 1))}


def crowd_slow(port, count, channel):
    """Subscribes with everybody, stops reading; told {"read": N, "last": O} reads N of them on."""
    slow = [_Slow(port, i, channel) for i in range(count)]
    say(ready=len(slow))
    for line in sys.stdin:
        told = json.loads(line)
        say(read=[s.drain(told["last"]) for s in slow[:told["read"]]])


def crowd_idle(port, count, channel):
    """Native subscribers who are never seen again once the process is stopped."""
    slow = [_Slow(port, i, channel) for i in range(count)]
    say(ready=len(slow))
    signal.pause()


def main():
    role, port, options = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    {"silent": crowd_silent, "slow": crowd_slow, "idle": crowd_idle}[role](
        int(port), **json.loads(options))


if __name__ == "__main__":
    main()
