"""The socketio dialect with a back end behind HTTP: the cases of the published Socket.IO protocol
suite on the wire, everything that a back end can answer, and what happens when it fails."""

import asyncio
import base64
import json
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
import socketio
import websockets

from servers import ROOT, environment, free_port, open_url

DOC = ROOT / "docs" / "dialects" / "socketio-backend.md"
SECRET = "0123456789abcdef0123456789abcdef"
WAIT = 20


def echo(ask):
    """The back end that the protocol suite wants."""
    files = ask.get("attachments", [])
    if ask["type"] == "connect":
        return {"emit": {"event": "auth", "args": [ask["auth"]]}}
    if ask["type"] == "event" and ask["event"] == "message":
        return {"emit": {"event": "message-back", "args": ask["args"], "attachments": files}}
    if ask["type"] == "event" and ask["event"] == "message-with-ack":
        return {"ack": ask["args"], "attachments": files}
    return {}


class BackEnd:
    """answer(ask) returns an object, bytes (sent as they are), or a status."""

    def __init__(self, answer):
        self.answer = answer
        self.asks = []
        self.headers = []
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outer.take(json.loads(body), self.headers)
                status = answer if isinstance(answer, int) else 200
                if not isinstance(answer, bytes):
                    answer = b"" if status != 200 else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *args):
                pass  # a server that ends hangs up on us

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, ask, headers):
        with self.changed:
            self.asks.append(ask)
            self.headers.append(headers)
            self.changed.notify_all()
        return self.answer(ask)

    def of(self, type):
        return [ask for ask in self.asks if ask["type"] == type]

    async def wait(self, type, count=1):
        """The asks of that type, at least so many."""
        def wait():
            with self.changed:
                assert self.changed.wait_for(lambda: len(self.of(type)) >= count, WAIT), self.asks
                return self.of(type)

        return await asyncio.to_thread(wait)  # clients go on meanwhile

    def end(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def backend():
    made = []

    def make(answer):
        made.append(BackEnd(answer))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def serve(start_recado, backend):
    """serve(answer, "more: of socketio") -> (server, back end)"""

    def start(answer, options="", more=""):
        made = backend(answer)
        server = start_recado(
            "loops: 2\n"
            "endpoints:\n  - { path: /socket.io/, dialect: socketio }\n"
            f"socketio:\n  backend: {made.url}\n  namespaces: [\"/\", \"/custom\"]\n{options}\n{more}")
        return server, made

    return start


# ---- the protocol, on the wire ----

SUITE = "  ping_interval: 300ms\n  ping_timeout: 200ms\n  connect_timeout: 500ms\n"


class Wire:
    """Socket.IO packets by hand: pings are answered, and nobody sees them."""

    def __init__(self, server):
        self.url = server.ws("/socket.io/?EIO=4&transport=websocket")

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, proxy=None)
        self.open = json.loads((await self.ws.recv())[1:])
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def say(self, *packets):
        for packet in packets:
            await self.ws.send(packet)

    async def next(self):
        while True:
            packet = await asyncio.wait_for(self.ws.recv(), WAIT)
            if packet != "2":
                return packet
            await self.ws.send("3")

    async def connect(self, packet="40", auth="{}"):
        """-> the handshake; the back end greets with what it was told."""
        await self.say(packet)
        head = re.match(r"40(/\w+,)?", packet if "," in packet else packet + ",")[0].rstrip(",")
        head = head + "," if "/" in head else head
        got = await self.next()
        assert got.startswith(head + "{"), got
        assert await self.next() == "42" + head[2:] + f'["auth",{auth}]'
        return json.loads(got[len(head):])

    async def assert_closed(self):
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                assert (await self.next())[0] in "16"


@pytest.fixture
def suite(serve):
    return serve(echo, SUITE)[0]


@pytest.mark.parametrize("packet, auth", [
    ("40", "{}"), ('40{"token":"123"}', '{"token":"123"}'),
    ("40/custom,", "{}"), ("40/custom", "{}"),
    ('40/custom,{"token":"abc"}', '{"token":"abc"}')])
async def test_connect(suite, packet, auth):
    async with Wire(suite) as wire:
        handshake = await wire.connect(packet, auth)
        assert list(handshake) == ["sid"] and isinstance(handshake["sid"], str)


async def test_connect_to_unknown_namespace(suite):
    async with Wire(suite) as wire:
        await wire.say("40/random")
        assert await wire.next() == '44/random,{"message":"Invalid namespace"}'


async def test_pytake_with_a_back_end_conforms(start_recado, backend):
    """What its own server said differently than the protocol's is for its own clients alone."""
    server = start_recado(f"loops: 2\nsocketio: {{ backend: \"{backend(echo).url}\" }}\n")
    async with Wire(server) as wire:
        await wire.say("40/random")
        assert await wire.next() == '44/random,{"message":"Invalid namespace"}'
        await wire.connect()
    _, _, opened = server.get("/socket.io/?EIO=4&transport=polling")
    at = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
    assert server.post(at, "40")[2] == b"ok"


@pytest.mark.parametrize("packets", [["4abc"], []], ids=["invalid", "none"])
async def test_no_handshake(suite, packets):
    async with Wire(suite) as wire:
        await wire.say(*packets)
        await wire.assert_closed()


async def test_leave_main_namespace(suite):
    async with Wire(suite) as wire:
        await wire.connect()
        await wire.say("41")
        assert await wire.ws.recv() == "2"  # the connection lives


async def test_leave_custom_namespace(suite):
    async with Wire(suite) as wire:
        await wire.connect()
        await wire.connect("40/custom")
        await wire.say("41/custom", '42["message","to main"]')
        assert await wire.next() == '42["message-back","to main"]'


async def test_plain_message(suite):
    async with Wire(suite) as wire:
        await wire.connect()
        await wire.say('42["message",1,"2",{"3":[true, " a  \\" b "]}]')
        assert await wire.next() == '42["message-back",1,"2",{"3":[true," a  \\" b "]}]'
        await wire.say('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await wire.next() == '43456[1,"2",{"3":[false]}]'


async def test_binary_message(suite):
    places = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    async with Wire(suite) as wire:
        await wire.connect()
        await wire.say(f'452-["message",{places}]', b"\1\2\3", b"\4\5\6\7")
        assert [await wire.next() for _ in range(3)] == [
            f'452-["message-back",{places}]', b"\1\2\3", b"\4\5\6\7"]
        await wire.say(f'452-789["message-with-ack",{places}]', b"\1\2\3", b"")
        assert [await wire.next() for _ in range(3)] == [f'462-789[{places}]', b"\1\2\3", b""]


@pytest.mark.parametrize("packet", [
    "4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]', "49[]", "42[]"])
async def test_invalid_packet(suite, packet):
    async with Wire(suite) as wire:
        await wire.connect()
        await wire.say(packet)
        await wire.assert_closed()


# ---- a real client ----

class Client:
    """python-socketio's client; everything that it hears goes to .heard."""

    def __init__(self, server, transports=("websocket",)):
        self.server = server
        self.transports = list(transports)
        self.heard = asyncio.Queue()
        self.io = socketio.AsyncClient(reconnection=False)

    async def connect(self, auth=None, namespace="/", headers=None, query=""):
        async def hear(event, *args):
            await self.heard.put((event, *args))
            return "heard", len(args)

        self.io.on("*", hear, namespace=namespace)
        await self.io.connect(self.server.url + query, auth=auth, headers=headers or {},
                              namespaces=[namespace], transports=self.transports, wait_timeout=WAIT)
        return self

    async def next(self):
        return await asyncio.wait_for(self.heard.get(), WAIT)

    async def call(self, event, *args, namespace="/"):
        return await self.io.call(event, args, namespace=namespace, timeout=WAIT)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.io.disconnect()


class Rules:
    """A back end that answers events with what the event carries."""

    def __init__(self, on_connect=None):
        self.on_connect = on_connect or (lambda ask: {})

    def __call__(self, ask):
        if ask["type"] == "connect":
            return self.on_connect(ask)
        if ask["type"] == "event" and ask["event"] == "do":
            return ask["args"][0]
        return {}


async def test_connect_decides(serve):
    def decide(ask):
        if ask["type"] != "connect":
            return {"ack": []}
        who = ask["auth"].get("who")
        if who == "nobody":
            return {"reject": {"message": "go away", "data": {"code": 7}}}
        if who == "short":
            return {"reject": "short"}
        if who == "no":
            return {"accept": False}
        return {"user": who, "tenant": "acme", "info": {"a": 1}, "join": ["lobby"],
                "emit": [{"event": "hello", "args": [who, ask["namespace"]]}]}

    server, backend = serve(decide)
    for who, wanted in [("nobody", {"message": "go away", "data": {"code": 7}}),
                        ("short", {"message": "short"}), ("no", {"message": "refused"})]:
        async with Wire(server) as wire:
            await wire.say("40" + json.dumps({"who": who}))
            assert json.loads((await wire.next())[2:]) == wanted
    async with Client(server) as client:
        await client.connect({"who": "ana"}, headers={"X-Trace": "t1", "User-Agent": "test"},
                             query="?room=a%20b")
        assert await client.next() == ("hello", "ana", "/")
        ask = backend.of("connect")[-1]
        assert ask["authenticated"] is False and ask["user"] == "" and ask["tenant"] == "default"
        assert ask["handshake"]["query"] == {"room": "a b"}
        assert ask["handshake"]["headers"]["x-trace"] == "t1"
        assert ask["handshake"]["headers"]["user-agent"] == "test"
        assert ask["handshake"]["address"] == "127.0.0.1"
        server.publish("lobby", {"n": 1}, tenant="acme", type="news")
        assert await client.next() == ("news", {"n": 1})
        await client.call("do", {"ack": []})
        event = backend.of("event")[-1]
        assert (event["user"], event["tenant"], event["sid"]) == ("ana", "acme", ask["sid"])
    gone = (await backend.wait("disconnect"))[-1]
    assert gone["sid"] == ask["sid"] and gone["user"] == "ana"
    assert gone["reason"] in ("client namespace disconnect", "transport close")


async def test_checked_token_wins(serve):
    server, backend = serve(Rules(lambda ask: {"user": "other", "tenant": "other"}),
                            more=f"auth:\n  hmac_secret: {SECRET}\n")
    token = jwt.encode({"sub": "ana", "org": "x", "exp": int(time.time()) + 60}, SECRET, "HS256")
    async with Client(server) as client:
        await client.connect({"token": token})
        await client.call("do", {"ack": []})
        assert backend.of("connect")[-1]["authenticated"] is True
        assert [ask["user"] for ask in backend.asks] == ["ana", "ana"]
    async with Wire(server) as wire:
        await wire.say('40{"token":"bad"}')
        assert (await wire.next()).startswith('44{"message":')
    assert len(backend.of("connect")) == 1
    async with Client(server) as client:  # without one it is the back end's to judge
        await client.connect()
        await client.call("do", {"ack": []})
        assert backend.of("event")[-1]["user"] == "other"


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_everything_an_answer_can_do(serve, transport):
    server, backend = serve(Rules())
    async with Client(server, [transport]) as a, Client(server) as b:
        await a.connect()
        await b.connect()
        sid_a, sid_b = (ask["sid"] for ask in (await backend.wait("connect", 2)))
        assert await a.call("do", {"join": ["r", "s"], "ack": ["joined", 1]}) == ("joined", 1)
        assert await b.call("do", {"join": "r", "ack": []}) is None
        # To a room that was joined by the same answer, without the sender, and to both.
        await a.call("do", {"emit": [{"event": "x", "args": [1], "to": "r", "except": "sender"},
                                     {"event": "y", "args": [1, {"a": [2]}], "to": ["r"]}],
                            "ack": []})
        assert [await b.next(), await b.next()] == [("x", 1), ("y", 1, {"a": [2]})]
        assert await a.next() == ("y", 1, {"a": [2]})
        # To several rooms: who is in two of them gets it once.
        await a.call("do", {"emit": [{"event": "w", "args": [1], "to": ["r", "s", sid_a, "r"]},
                                     {"event": "w", "args": [2], "to": ["s", "", "a b", "r"]}],
                            "ack": []})
        for one in (a, b):
            assert sorted([await one.next(), await one.next()]) == [("w", 1), ("w", 2)]
        # To one socket, to the namespace, to oneself; none and no arguments.
        await a.call("do", {"emit": {"event": "z", "to": sid_b}, "ack": []})
        assert await b.next() == ("z",)
        await b.call("do", {"emit": {"event": "all", "args": ["!"], "broadcast": True,
                                     "except": sid_a}, "ack": []})
        assert await b.next() == ("all", "!")
        await a.call("do", {"emit": {"event": "self", "args": []}, "ack": []})
        assert await a.next() == ("self",)
        # Bytes, in and out, to oneself and to a room.
        both = {"args": [{"f": {"_placeholder": True, "num": 0}}],
                "attachments": [base64.b64encode(b"\0\xff").decode()]}
        await a.call("do", {"emit": [{"event": "b", **both}, {"event": "b", "to": "r", **both}],
                            "ack": []})
        assert [await a.next(), await a.next()] == [("b", {"f": b"\0\xff"})] * 2
        assert await b.next() == ("b", {"f": b"\0\xff"})
        assert await a.call("do", {"ack": [{"_placeholder": True, "num": 0}],
                                   "attachments": ["QUI="]}) == b"AB"
        await a.io.emit("raw", b"\1\2")
        event = (await backend.wait("event", 10))[-1]
        assert event["args"] == [{"_placeholder": True, "num": 0}]
        assert event["attachments"] == ["AQI="] and event["ack"] is False
        # A client is asked for an acknowledgement.
        await a.call("do", {"emit": {"event": "q", "args": [5], "ack": "t:1"}, "ack": []})
        assert await a.next() == ("q", 5)
        answer = (await backend.wait("ack"))[-1]
        assert (answer["token"], answer["args"], answer["sid"]) == ("t:1", ["heard", 1], sid_a)
        # Out of a room, and out.
        await b.call("do", {"leave": ["r"], "ack": []})
        await a.call("do", {"emit": [{"event": "x", "args": [2], "to": "r"},
                                     {"event": "end", "args": [], "to": sid_b}], "ack": []})
        assert await a.next() == ("x", 2)
        assert await b.next() == ("end",)
        await b.io.emit("do", {"disconnect": True})
        gone = (await backend.wait("disconnect"))[-1]
        assert (gone["sid"], gone["reason"]) == (sid_b, "server namespace disconnect")


async def test_custom_namespace(serve):
    server, backend = serve(Rules())
    async with Client(server) as a, Client(server) as b:
        await a.connect(namespace="/custom")
        await b.connect()
        await a.call("do", {"join": "r", "ack": []}, namespace="/custom")
        await b.call("do", {"join": "r", "emit": [
            {"event": "here", "args": [1], "to": "r"},
            {"event": "there", "args": [2], "to": "r", "namespace": "/custom"},
            {"event": "there", "args": [3], "broadcast": True, "namespace": "/custom"}], "ack": []})
        assert await b.next() == ("here", 1)
        assert {await a.next(), await a.next()} == {("there", 2), ("there", 3)}  # each on its way
        server.publish("/custom:r", [4], type="api")
        assert await a.next() == ("api", [4])
        assert {ask["namespace"] for ask in backend.of("connect")} == {"/", "/custom"}


async def test_requests_of_a_socket_are_in_order(serve):
    busy, most = [], []

    def slow(ask):
        if ask["type"] != "event":
            return {}
        busy.append(ask["sid"])
        most.append(busy.count(ask["sid"]))
        threading.Event().wait(0.002 * (ask["args"][0] % 3))
        busy.remove(ask["sid"])
        return {"emit": {"event": "did", "args": ask["args"]}}

    server, backend = serve(slow)
    async with Client(server) as a, Client(server) as b:
        for client in (a, b):
            await client.connect()
        for n in range(60):
            await a.io.emit("n", n)
            await b.io.emit("n", n)
        for client in (a, b):
            assert [await client.next() for _ in range(60)] == [("did", n) for n in range(60)]
    assert max(most) == 1
    for sid in {ask["sid"] for ask in (await backend.wait("disconnect", 2))}:
        kinds = [ask["type"] for ask in backend.asks if ask["sid"] == sid]
        assert kinds == ["connect"] + ["event"] * 60 + ["disconnect"]


# ---- failures ----

async def test_failures_of_the_back_end(serve):
    answers = {"status": 500, "text": b"<html>", "list": [1], "empty": 204, "bad": {
        "join": ["a b", 7], "leave": 3, "ack": "no", "emit": [
            {"args": []}, {"event": "x", "args": 1}, {"event": "x", "attachments": ["*"]}, 7,
            {"event": "x", "args": [{"_placeholder": True, "num": 0}]},
            {"event": "ok", "args": ["still"]}]}}
    server, backend = serve(lambda ask: answers.get(ask.get("event"), {"ack": ["fine"]}))
    async with Client(server) as client:
        await client.connect()
        for event in answers:
            await client.io.emit(event)
        assert await client.next() == ("ok", "still")
        assert await client.call("good") == "fine"
        with pytest.raises(socketio.exceptions.TimeoutError):
            await client.io.call("status", timeout=0.5)
    assert "socketio back end: event: it answered with an error status" in server.log
    assert server.log.count("socketio back end:") == 1  # of many


async def test_connect_without_a_back_end(start_recado):
    server = start_recado(
        "endpoints:\n  - { path: /socket.io/, dialect: socketio }\n"
        f"socketio:\n  backend: http://127.0.0.1:{free_port()}/\n")
    async with Wire(server) as wire:
        await wire.say("40")
        assert await wire.next() == '44{"message":"back end unavailable"}'
        await wire.say("40")  # and once more: it may be there by now
        assert await wire.next() == '44{"message":"back end unavailable"}'


async def test_back_end_that_hangs(serve):
    release = threading.Event()

    def hang(ask):
        if ask["type"] == "event" and ask["event"] == "hang":
            release.wait(WAIT)
        return {"ack": ["late"]}

    server, backend = serve(hang, "  backend_timeout: 300ms\n  backend_queue_max: 3\n")
    try:
        async with Client(server) as client:
            await client.connect()
            await client.io.emit("hang")
            assert await client.call("next") == "late"  # the timeout let it go on
        async with Client(server) as client:
            await client.connect()
            for _ in range(6):  # one is under way, three wait
                await client.io.emit("hang")
            await asyncio.wait_for(client.io.wait(), WAIT)
        assert (await backend.wait("disconnect", 2))[-1]["reason"] == "forced close"
    finally:
        release.set()


async def test_ends_with_requests_under_way(serve):
    release = threading.Event()
    server, backend = serve(lambda ask: release.wait(WAIT) and {} or {})
    try:
        async with Wire(server) as a, Wire(server) as b:
            await a.say("40")
            await b.say("40")
            await backend.wait("connect", 2)
            await asyncio.to_thread(server.stop)
    finally:
        release.set()


async def test_client_that_goes_while_it_is_decided(serve):
    release = threading.Event()
    server, backend = serve(lambda ask: release.wait(WAIT) and {} or {})
    async with Wire(server) as wire:
        await wire.say("40")
        await backend.wait("connect")
    release.set()
    gone = await backend.wait("disconnect")
    assert gone[-1]["sid"] == backend.of("connect")[-1]["sid"]


async def test_key(serve):
    server, backend = serve(echo, "  backend_key: sesame\n")
    async with Wire(server) as wire:
        await wire.connect()
    assert backend.headers[0]["X-API-Key"] == "sesame"
    assert backend.headers[0]["Content-Type"] == "application/json"
    assert backend.headers[0]["User-Agent"].startswith("recado/")
    status, _, page = open_url(server.url + "/metrics")
    assert b"recado_backend_requests_total" in page


async def test_many_connects_at_once(serve):
    server, backend = serve(echo)

    async def one(n):
        async with Wire(server) as wire:
            await wire.connect(f'40{{"n":{n}}}', f'{{"n":{n}}}')

    for start in range(0, 300, 100):
        await asyncio.gather(*(one(start + n) for n in range(100)))
    await backend.wait("disconnect", 300)


# ---- the documentation ----

@pytest.mark.parametrize("language", ["python", "js"])
async def test_examples_of_the_documentation(start_recado, tmp_path, language):
    port = free_port()
    code = re.search(rf"```{language}\n(.*?)```", DOC.read_text(), re.S)[1]
    assert "9100" in code
    script = tmp_path / ("backend.py" if language == "python" else "backend.mjs")
    script.write_text(code.replace("9100", str(port)))
    process = subprocess.Popen([sys.executable if language == "python" else "node", str(script)],
                               env=environment())
    try:
        server = start_recado(
            "endpoints:\n  - { path: /socket.io/, dialect: socketio }\n"
            f"socketio:\n  backend: http://127.0.0.1:{port}/socketio\n")
        end = time.monotonic() + WAIT
        while True:
            async with Wire(server) as wire:
                await wire.say("40{}")
                refused = json.loads((await wire.next())[2:])["message"]
            if refused != "back end unavailable" or time.monotonic() > end:
                break
        assert refused == "who are you?"
        async with Client(server) as ana, Client(server) as rui:
            await ana.connect({"name": "ana"})
            await rui.connect({"name": "rui"})
            assert await ana.call("chat", "olá") == "delivered"
            assert await ana.next() == ("chat", "ana", "olá")
            assert await rui.next() == ("chat", "ana", "olá")
    finally:
        process.kill()
        process.wait()
