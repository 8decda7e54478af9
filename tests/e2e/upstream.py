"""A model's server that does as it is told: the OpenAI protocol over real HTTP, faults included.

What it does with a request stands in the name of the model: NAME or NAME?key=value&key=value. A
model that names none of these behaviours gets upstream.script, which is "words" until it is set.

    words    n tokens (8), then the end
    echo     the last message of the request, word by word
    gate     n tokens; each waits until the test releases it
    stall    n tokens (2), then silence until the connection is closed
    silent   no answer at all, until the connection is closed
    close    the connection is closed before an answer
    drop     n tokens (2), then the connection is cut in the middle of a token
    garbage  n tokens (2), then data that is not JSON
    html     200 with a web page
    json     one JSON answer, though a stream was asked for
    error    n tokens (2), then an error object in the stream
    huge     one line of `bytes` bytes that does not end
    fail     an error answer: status (500), retry_after, body
    odd      the head of an answer that is none: status (101), then silence with the connection open

    n           tokens               delay     seconds before each token but the first
    first       seconds before the first token (with `gate` too)
    cut         bytes of a TCP packet, cutting lines and characters anywhere
    crlf=1      lines end with CRLF  comments=1  comments between the events
    done=0      no [DONE]            finish=0    no finish_reason
    usage=1     counts of tokens     escaped=1   the JSON is ASCII, with surrogate pairs
    space=0     data:{..}            split=1     an event's JSON on two data: lines
    fat=N                N further bytes in each token
    id, named            raw JSON: what the answer is called, and its model
    times=N     only for the first N requests of this very model name, then as `then` (words)

Requests are in upstream.requests; calls, under_way, under_way_max, cancelled count. It runs in a
thread of its own. `python upstream.py --port 1234` serves until it is stopped.
"""

import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import threading
import time
import urllib.parse

WORDS = ["Olá", " mundo,", " ação", " e", " 数据", " 😀", " naïve\n", " \"fim\"."]
HTML = b"<!doctype html><html><body><h1>It works!</h1></body></html>"
STATUS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
          429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
TYPES = {401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided"),
         404: ("invalid_request_error", "model_not_found", "The model does not exist"),
         429: ("requests", "rate_limit_exceeded", "Rate limit reached")}


def tokens(n):
    return [f"{i}{WORDS[i % len(WORDS)]}" for i in range(n)]


def text(n):
    """What `words` says with n tokens."""
    return "".join(tokens(n))


Request = collections.namedtuple("Request", "method path headers raw body")


class Script:
    """A behaviour with its settings."""

    NAMES = {"words", "echo", "gate", "stall", "silent", "close", "drop", "garbage", "html", "json",
             "error", "huge", "fail", "odd"}

    def __init__(self, spoken):
        name, _, query = spoken.partition("?")
        self.name = name
        self.settings = dict(urllib.parse.parse_qsl(query))

    @classmethod
    def known(cls, spoken):
        return spoken.partition("?")[0] in cls.NAMES

    def number(self, key, default):
        return int(self.settings.get(key, default))

    def seconds(self, key):
        return float(self.settings.get(key, 0))

    def flag(self, key, default=False):
        return self.settings.get(key, "1" if default else "0") == "1"


class Gone(Exception):
    """The peer has closed the connection."""


class Answer:
    """One request being answered."""

    def __init__(self, server, request, wire):
        self.server, self.request, self.wire = server, request, wire
        self.body = request.body if isinstance(request.body, dict) else {}
        spoken = str(self.body.get("model", ""))
        self.script = server._script_of(spoken)
        self.model = spoken
        self.id = f"chatcmpl-{next(server._ids)}"
        self.names = {key: self.script.settings[name].encode("latin-1") for key, name in
                      (("id", "id"), ("model", "named")) if name in self.script.settings}
        self.chat = request.path.endswith("/chat/completions")

    # ---- bytes ----

    async def send(self, data):
        step = self.script.number("cut", 0)
        if step == 0:
            return await self.wire.send(data)
        for at in range(0, len(data), step):
            await self.wire.send(data[at:at + step])
            await asyncio.sleep(0.0005)  # so that the pieces travel as packets of their own

    async def head(self, status, kind, *more):
        lines = [f"HTTP/1.1 {status} {STATUS.get(status, 'Odd')}", f"Content-Type: {kind}", *more]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def whole(self, status, value, kind="application/json", *more):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        await self.head(status, kind, f"Content-Length: {len(data)}", *more)
        await self.send(data)

    async def chunk(self, data):
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def line(self, data):
        """One event of the stream."""
        end = b"\r\n" if self.script.flag("crlf") else b"\n"
        name = b"data: " if self.script.flag("space", True) else b"data:"
        rows = [data]
        if self.script.flag("split") and b', "' in data:
            at = data.index(b', "')
            rows = [data[:at + 1], data[at + 1:]]
        event = b"".join(name + row + end for row in rows) + end
        if self.script.flag("comments"):
            event = b": keep-alive" + end + end + b"event: message" + end + event
        await self.chunk(event)

    # ---- the protocol ----

    def dump(self, value):
        text = json.dumps(value, ensure_ascii=self.script.flag("escaped")).encode()
        for key, raw in self.names.items():  # it need not be JSON
            text = text.replace(json.dumps({key: value.get(key)}).encode()[1:-1],
                                json.dumps(key).encode() + b": " + raw)
        return text

    def piece(self, said=None, finish=None, **more):
        if self.chat:
            choice = {"index": 0, "delta": {} if said is None else {"content": said}}
        else:
            choice = {"index": 0, "text": said or ""}
        return {"id": self.id, "object": "chat.completion.chunk" if self.chat else "text_completion",
                "created": 1700000000, "model": self.model,
                "choices": [{**choice, "finish_reason": finish}], **more}

    def usage(self, n):
        return {"prompt_tokens": 11, "completion_tokens": n, "total_tokens": 11 + n}

    def said(self):
        if self.script.name == "echo":
            last = (self.body.get("messages") or [{"content": self.body.get("prompt", "")}])[-1]
            return [w for w in (last["content"].replace(" ", " \0")).split("\0") if w]
        few = self.script.name in ("stall", "drop", "garbage", "error")
        fat = "x" * self.script.number("fat", 0)
        return [word + fat for word in tokens(self.script.number("n", 2 if few else 8))]

    async def tokens(self):
        if self.chat:
            first = self.piece()
            first["choices"][0]["delta"] = {"role": "assistant", "content": ""}
            await self.line(self.dump(first))
        for i, word in enumerate(self.said()):
            wait = self.script.seconds("first" if i == 0 else "delay")
            if wait:
                await self.wire.unless_gone(asyncio.sleep(wait))
            if self.script.name == "gate":
                await self.wire.unless_gone(self.server._gate.acquire())
            await self.line(self.dump(self.piece(word)))
            self.server.tokens += 1

    async def end(self):
        n = len(self.said())
        if self.script.flag("finish", True):
            await self.line(self.dump(self.piece(finish="stop")))
        if self.script.flag("usage"):
            last = self.piece()
            await self.line(self.dump({**last, "choices": [], "usage": self.usage(n)}))
        if self.script.flag("done", True):
            await self.line(b"[DONE]")
        await self.send(b"0\r\n\r\n")

    async def stream(self):
        name = self.script.name
        await self.head(200, "text/event-stream", "Cache-Control: no-cache",
                        "Transfer-Encoding: chunked")
        if name == "huge":
            await self.chunk(b"data: {\"" + b"x" * self.script.number("bytes", 4 << 20))
            await self.wire.until_gone()
        await self.tokens()
        if name == "stall":
            await self.wire.until_gone()
        elif name == "drop":
            part = self.dump(self.piece("never whole"))
            await self.send(f"{len(part):x}\r\n".encode() + b"data: " + part[:len(part) // 2])
            raise Gone
        elif name == "garbage":
            await self.line(b"{\"choices\": [{\"delta\": oops")
        elif name == "error":
            await self.line(self.dump({"error": {"message": "the GPU ran out of memory",
                                                 "type": "server_error", "code": 500}}))
        await self.end()

    async def complete(self):
        said = "".join(self.said())
        for _ in self.said() if self.script.name == "gate" else ():
            await self.wire.unless_gone(self.server._gate.acquire())
        wait = self.script.seconds("first")
        if wait:
            await self.wire.unless_gone(asyncio.sleep(wait))
        choice = {"index": 0, "finish_reason": "stop"}
        if self.chat:
            choice["message"] = {"role": "assistant", "content": said}
        else:
            choice["text"] = said
        kind = "chat.completion" if self.chat else "text_completion"
        await self.whole(200, self.dump({"id": self.id, "object": kind, "created": 1700000000,
                                         "model": self.model, "choices": [choice],
                                         "usage": self.usage(len(self.said()))}))

    async def fail(self):
        status = self.script.number("status", 500)
        kind, code, message = TYPES.get(status, ("server_error", None, "The server had an error"))
        more = []
        if "retry_after" in self.script.settings:
            more = [f"Retry-After: {self.script.settings['retry_after']}"]
        if "body" in self.script.settings:
            return await self.whole(status, self.script.settings["body"].encode(), "text/plain",
                                    *more)
        await self.whole(status, {"error": {"message": message, "type": kind, "param": None,
                                            "code": code}}, "application/json", *more)

    async def give(self):
        path = self.request.path
        if path.startswith("/v1/models"):
            models = [{"id": m, "object": "model", "created": 1700000000, "owned_by": "tests"}
                      for m in ("llama-3.2-3b-instruct", "org/words", "echo")]
            named = [m for m in models if urllib.parse.unquote(path) == f"/v1/models/{m['id']}"]
            if named or path == "/v1/models":
                return await self.whole(200, named[0] if named else {"object": "list",
                                                                     "data": models})
            return await self.whole(404, {"error": {"message": "no such model"}})
        name = self.script.name
        if name == "fail":
            return await self.fail()
        if name == "html":
            return await self.whole(200, HTML, "text/html")
        if name == "silent":
            return await self.wire.until_gone()
        if name == "close":
            raise Gone
        if name == "odd":
            await self.head(self.script.number("status", 101), "text/html",
                            "Location: http://127.0.0.1:1/login", "Upgrade: websocket")
            await self.wire.until_gone()
        if path.endswith("/embeddings"):
            return await self.whole(200, {
                "object": "list", "model": self.model, "usage": {"prompt_tokens": 3},
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}]})
        if not path.endswith("/completions"):
            return await self.whole(404, {"error": {"message": f"no {path}", "type": "not_found"}})
        if self.body.get("stream") and name != "json":
            return await self.stream()
        await self.complete()


class Wire:
    """A connection; says at once when the peer has left, also while it waits for something else."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.bytes = bytearray()
        self.came = asyncio.Event()
        self.ended = asyncio.Event()
        self.listener = asyncio.ensure_future(self._listen())

    async def _listen(self):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await self.reader.read(65536):
                self.bytes += data
                self.came.set()
        self.ended.set()
        self.came.set()

    async def unless_gone(self, what):
        what, gone = asyncio.ensure_future(what), asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait([what, gone], return_when=asyncio.FIRST_COMPLETED)
            if not what.done():
                raise Gone
        finally:
            what.cancel()
            gone.cancel()

    async def until_gone(self):
        await self.ended.wait()
        raise Gone

    async def send(self, data):
        if self.ended.is_set():
            raise Gone
        self.writer.write(data)
        try:
            await self.unless_gone(self.writer.drain())
        except ConnectionError as problem:
            raise Gone from problem

    async def until(self, ready):
        while not ready():
            if self.ended.is_set():
                return False
            self.came.clear()
            await self.came.wait()
        return True

    async def request(self):
        """The next one; None when there is none."""
        if not await self.until(lambda: b"\r\n\r\n" in self.bytes):
            return None
        head, _, rest = bytes(self.bytes).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.strip().lower(): v.strip() for k, _, v in (l.partition(":") for l in lines)}
        size = int(headers.get("content-length", 0))
        start = len(head) + 4
        if not await self.until(lambda: len(self.bytes) >= start + size):
            return None
        raw = bytes(self.bytes[start:start + size])
        del self.bytes[:start + size]
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        return Request(method, target, headers, raw, body)

    def end(self):
        self.listener.cancel()
        self.writer.close()


class Upstream:
    def __init__(self, port=0, script="words"):
        self.port, self.script = port, script
        self.calls = self.under_way = self.under_way_max = self.cancelled = self.tokens = 0
        self.connections = 0
        self.requests = []
        self._ids = itertools.count(1)
        self._used = collections.Counter()
        self._loop = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        """Listens; after stop() at the same port again."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(30), "the upstream does not start"
        return self

    def stop(self):
        """Cuts every connection; new ones are refused."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def release(self, n=1):
        """Lets n more tokens through the gate."""
        def give():
            for _ in range(n):
                self._gate.release()
        self._loop.call_soon_threadsafe(give)

    def wait(self, condition, seconds=60):
        """Until condition(self)."""
        ends = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < ends, f"it did not come about: {vars(self)}"
            time.sleep(0.01)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _script_of(self, model):
        spoken = model if Script.known(model) else self.script
        script = Script(spoken)
        self._used[spoken] += 1
        if "times" in script.settings and self._used[spoken] > script.number("times", 0):
            return Script(script.settings.get("then", "words"))
        return script

    def _run(self, ready):
        asyncio.run(self._serve(ready))

    async def _serve(self, ready):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._gate, self._wires = asyncio.Semaphore(0), set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, backlog=2048,
                                            limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._end.wait()
        server.close()
        for wire in list(self._wires):
            wire.writer.transport.abort()
            wire.ended.set()
            wire.came.set()
        while self._wires:
            await asyncio.sleep(0.01)
        self._loop = None

    async def _connected(self, reader, writer):
        wire = Wire(reader, writer)
        self._wires.add(wire)
        self.connections += 1
        try:
            while (request := await wire.request()) is not None:
                await self._answer(request, wire)
        except (Gone, ConnectionError):
            pass
        finally:
            wire.end()
            self._wires.discard(wire)

    async def _answer(self, request, wire):
        self.requests.append(request)
        self.calls += 1
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await Answer(self, request, wire).give()
        except Gone:
            self.cancelled += wire.ended.is_set()
            raise
        finally:
            self.under_way -= 1


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, default=1234)
    args.add_argument("--script", default="echo?delay=0.05")
    given = args.parse_args()
    with Upstream(given.port, given.script) as upstream:
        print(f"{upstream.url}, as {upstream.script}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
