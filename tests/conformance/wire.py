"""A WebSocket client that says exactly what it is told, right or wrong.

Nothing here corrects or hides anything: frames are sent bit by bit as a case asks, and everything
that comes back is an event. Only what a server may never send (a mask, reserved bits, a broken
head) is a failure at once.
"""

import base64
import hashlib
import os
import socket
import struct
import zlib

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TAIL = b"\x00\x00\xff\xff"


class Failure(Exception):
    """The server did something else than the case expects."""


def mask(key, data):
    """XOR as one large number: quick without leaving the standard library."""
    n = len(data)
    if n == 0:
        return b""
    pad = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(n, "little")


def frame(op, payload=b"", fin=True, rsv=0, length=None):
    """One masked frame. length: what the head claims, when it is not the payload's own."""
    n = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | op
    if n < 126:
        head = struct.pack("!BB", first, 0x80 | n)
    elif n < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, n)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, n)
    key = os.urandom(4)
    return head + key + mask(key, payload)


def fragments(op, payload, size, rsv=0):
    """A message in frames of at most size bytes of payload; size 0: in one."""
    if size == 0:
        return frame(op, payload, rsv=rsv)
    out = []
    for at in range(0, max(len(payload), 1), size):
        piece = payload[at:at + size]
        last = at + size >= len(payload)
        out.append(frame(op if at == 0 else 0, piece, fin=last, rsv=rsv if at == 0 else 0))
    return b"".join(out)


class Deflate:
    """One side's half of permessage-deflate, as the server's answer settled it."""

    def __init__(self, answer):
        parts = [p.strip() for p in answer.split(";")]
        if parts[0].lower() != "permessage-deflate":
            raise Failure("answered with another extension: %s" % answer)
        self.params = dict((p.split("=") + [None])[:2] for p in parts[1:])
        known = {"server_no_context_takeover", "client_no_context_takeover",
                 "server_max_window_bits", "client_max_window_bits"}
        if set(self.params) - known:
            raise Failure("unknown parameters in the answer: %s" % answer)
        self.bits_in = int(self.params.get("server_max_window_bits", 15))
        self.bits_out = int(self.params.get("client_max_window_bits") or 15)
        self.deflater = self.inflater = None

    def deflate(self, data):
        if self.deflater is None or "client_no_context_takeover" in self.params:
            self.deflater = zlib.compressobj(6, zlib.DEFLATED, -self.bits_out)
        out = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        return out[:-4] if out.endswith(TAIL) else out

    def inflate(self, data):
        if self.inflater is None or "server_no_context_takeover" in self.params:
            self.inflater = zlib.decompressobj(-self.bits_in)
        return self.inflater.decompress(data + TAIL)


class Client:
    """One connection. Events: ("message", bytes, binary), ("pong", bytes), ("close", code or
    None, reason), and ("end",) when the server has closed the socket. Pings are answered."""

    def __init__(self, host, port, path, timeout=5.0, offer=None):
        self.timeout = timeout
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = bytearray()
        self.at = 0
        self.ended = False
        self.message = None  # [op, rsv1, pieces] while fragments come
        self.deflate = None
        self.handshake(host, port, path, offer)

    def handshake(self, host, port, path, offer):
        key = base64.b64encode(os.urandom(16))
        lines = ["GET %s HTTP/1.1" % path, "Host: %s:%d" % (host, port), "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Key: " + key.decode(),
                 "Sec-WebSocket-Version: 13"]
        if offer:
            lines.append("Sec-WebSocket-Extensions: " + offer)
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.input:
            if not self.fill():
                raise Failure("the server closed during the handshake")
        head, _, rest = bytes(self.input).partition(b"\r\n\r\n")
        self.input = bytearray(rest)
        status, *fields = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (f.split(":", 1) for f in fields)}
        if status.split(" ")[1] != "101":
            raise Failure("handshake refused: %s" % status)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if headers.get("sec-websocket-accept") != accept:
            raise Failure("wrong Sec-WebSocket-Accept")
        answer = headers.get("sec-websocket-extensions")
        if answer and not offer:
            raise Failure("an extension that nobody offered: %s" % answer)
        if answer:
            self.deflate = Deflate(answer)

    # -- sending --

    def send(self, data, chop=0):
        """chop: bytes of one write; 0: all in one. A server that hung up is seen when reading."""
        try:
            if chop == 0:
                self.sock.sendall(data)
                return
            for at in range(0, len(data), chop):
                self.sock.sendall(data[at:at + chop])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_close(self, code=None, reason=b""):
        self.send(frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason))

    # -- receiving --

    def fill(self):
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            data = b""
        except socket.timeout:
            raise Failure("nothing came within %.1f s" % self.sock.gettimeout()) from None
        self.input += data
        return bool(data)

    def take(self, n):
        """n bytes of the stream, or None at its end."""
        while len(self.input) - self.at < n:
            if self.at > 1 << 20:
                del self.input[:self.at]
                self.at = 0
            if not self.fill():
                return None
        piece = bytes(self.input[self.at:self.at + n])
        self.at += n
        if self.at == len(self.input):
            self.input.clear()
            self.at = 0
        return piece

    def next_frame(self):
        head = self.take(2)
        if head is None:
            return None
        fin, rsv, op = head[0] >> 7, head[0] >> 4 & 7, head[0] & 15
        n = head[1] & 127
        if head[1] & 128:
            raise Failure("the server masked a frame")
        if n >= 126:
            n = int.from_bytes(self.take(2 if n == 126 else 8) or b"", "big")
        payload = self.take(n)
        if payload is None:
            return None
        if rsv & 3 or (rsv == 4 and (not self.deflate or op not in (TEXT, BINARY))):
            raise Failure("reserved bits %d in opcode %d" % (rsv, op))
        if op >= 8 and (not fin or n > 125):
            raise Failure("a broken control frame")
        return fin, rsv, op, payload

    def data_event(self, fin, rsv, op, payload):
        if (self.message is None) == (op == 0):
            raise Failure("a fragment out of its order")
        if op != 0:
            self.message = [op, rsv, []]
        self.message[2].append(payload)
        if not fin:
            return None
        op, rsv, pieces = self.message
        self.message = None
        data = b"".join(pieces)
        if rsv:
            data = self.deflate.inflate(data)
        if op == TEXT:
            data.decode("utf-8")
        return ("message", data, op == BINARY)

    def event(self, timeout=None):
        self.sock.settimeout(timeout or self.timeout)
        while True:
            got = self.next_frame()
            if got is None:
                return ("end",)
            fin, rsv, op, payload = got
            if op == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else None
                return ("close", code, payload[2:].decode("utf-8"))
            if op == PING:  # a server may ask at any time; no case is about that
                self.send(frame(PONG, payload))
                continue
            if op == PONG:
                return ("pong", payload)
            if op > 2:
                raise Failure("opcode %d from the server" % op)
            event = self.data_event(fin, rsv, op, payload)
            if event is not None:
                return event

    def is_quiet(self, seconds):
        """Nothing comes for a while: for what must not be answered yet."""
        if len(self.input) > self.at:
            return False
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            return True
        except ConnectionResetError:
            return False
        self.input += data
        return False

    def kill(self):
        self.sock.close()
