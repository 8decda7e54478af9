"""Engine.IO 4 on the wire: what its protocol suite asks for, sessions whose requests come in on any
loop, upgrades while events are published, and many clients that poll.

The carrier alone answers at /engine.io/ (the dialect echo); with publications it is Socket.IO's.
"""

import asyncio
import gzip
import http.client
import itertools
import json
import random
import signal
import ssl
import threading
import zlib

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from certs import make_certificate

ECHO = """loops: 3
endpoints: [{path: /echo, dialect: echo}]
"""
QUICK = ECHO + "socketio: {ping_interval: 300ms, ping_timeout: 200ms}\n"
SOCKETIO = """loops: 3
endpoints: [{path: /socket.io/, dialect: socketio}]
"""
OPEN = "EIO=4&transport=polling"
SEPARATOR = "\x1e"


class Line:
    """A connection that is kept."""

    def __init__(self, server, path="/engine.io/", tls=None):
        self.server, self.path = server, path
        self.conn = (
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) if tls is None
            else http.client.HTTPSConnection("127.0.0.1", server.tls_port, timeout=30, context=tls))

    def begin(self, method, query, body=None, headers=None):
        self.conn.request(method, f"{self.path}?{query}", body, headers or {})

    def end(self):
        answer = self.conn.getresponse()
        return answer.status, answer.headers, answer.read()

    def ask(self, method, query, body=None, headers=None):
        self.begin(method, query, body, headers)
        status, headers, body = self.end()
        return status, body.decode()

    def close(self):
        self.conn.close()


class Polling:
    """A session that polls: every request on one of some connections, as they come."""

    def __init__(self, server, path="/engine.io/", lines=1):
        self.server, self.path = server, path
        self.lines = [Line(server, path) for _ in range(lines)]
        status, body = self.line().ask("GET", OPEN)
        assert status == 200 and body[0] == "0", body
        self.opened = json.loads(body[1:])
        self.sid = self.opened["sid"]
        self.query = f"{OPEN}&sid={self.sid}"

    def line(self):
        return random.choice(self.lines)

    def poll(self, **more):
        return self.line().ask("GET", self.query, **more)

    def post(self, body):
        return self.line().ask("POST", self.query, body)

    def expect(self, *packets):
        got = []
        while len(got) < len(packets):
            status, body = self.poll()
            assert status == 200, body
            got += body.split(SEPARATOR)
        assert got == list(packets)

    def websocket(self, **more):
        return websocket(self.server, f"EIO=4&transport=websocket&sid={self.sid}", self.path, **more)


def websocket(server, query="EIO=4&transport=websocket", path="/engine.io/", **more):
    return connect(f"ws://{server.address}{path}?{query}", **more)


def poll_crosses(session):
    """A poll that waits, and the line that it waits on."""
    line = Line(session.server, session.path)
    line.begin("GET", session.query)
    return line


# ---- the protocol ----


@pytest.fixture
def server(start_recado):
    return start_recado(ECHO)


def test_handshakes(server):
    opened = Polling(server).opened
    assert list(opened) == ["sid", "upgrades", "pingTimeout", "pingInterval", "maxPayload"]
    assert opened["upgrades"] == ["websocket"]
    assert (opened["pingInterval"], opened["pingTimeout"]) == (25000, 20000)
    with websocket(server) as ws:
        packet = ws.recv()
        assert packet[0] == "0"
        assert json.loads(packet[1:])["upgrades"] == []


UNSUPPORTED = "The client is using an unsupported version of the Socket.IO or Engine.IO protocols"
REFUSED = [
    ("GET", "transport=polling", 400, UNSUPPORTED),
    ("GET", "EIO=abc&transport=polling", 400, UNSUPPORTED),
    ("GET", "EIO=4", 400, "Invalid transport"),
    ("GET", "EIO=4&transport=abc", 400, "Invalid transport"),
    ("GET", "EIO=4&transport=websocket", 400, "Invalid websocket upgrade"),
    ("GET", OPEN + "&sid=nobody", 400, "Invalid session nobody"),
    ("POST", OPEN + "&sid=nobody", 400, "Invalid session nobody"),
    ("POST", OPEN, 400, "Invalid session None"),
    ("PUT", OPEN, 400, "Bad Request"),
]


@pytest.mark.parametrize("method, query, status, message", REFUSED)
def test_refusals(server, method, query, status, message):
    assert Line(server).ask(method, query) == (status, json.dumps(message))
    if method == "GET":
        with pytest.raises(InvalidStatus) as refused:
            websocket(server, query.replace("transport=websocket", "transport=none"))
        assert refused.value.response.status_code == 403
        assert not refused.value.response.body


def test_unknown_methods(server):
    for method in ("PUT", "DELETE", "PATCH"):
        assert Line(server).ask(method, OPEN + "&sid=x") == (405, "Method Not Found")


def test_cross_origin(start_recado):
    server = start_recado(ECHO + 'auth: {origins: ["https://page.example"]}\n')
    line = Line(server)
    line.begin("OPTIONS", OPEN, headers={
        "Origin": "https://page.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-mine"})
    status, headers, body = line.end()
    assert (status, body) == (200, b"OK")
    assert headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Allow-Methods"] == "OPTIONS, GET, POST"
    assert headers["Access-Control-Allow-Headers"] == "x-mine"
    line.begin("GET", OPEN, headers={"Origin": "https://page.example"})
    status, headers, _ = line.end()
    assert status == 200
    assert headers.get_all("Access-Control-Allow-Origin") == ["https://page.example"]
    line.begin("GET", OPEN, headers={"Origin": "https://other.example"})
    assert line.end()[0] == 403


def test_messages_by_polling(server):
    session = Polling(server)
    assert session.post("4hello") == (200, "ok")
    assert session.poll() == (200, "4hello")
    payload = SEPARATOR.join(["4test1", "4test2", "bAQIDBA==", "4täst"])
    assert session.post(payload.encode()) == (200, "ok")
    assert session.poll() == (200, payload)


def test_messages_by_websocket(server):
    with websocket(server) as ws:
        ws.recv()
        for message in ("4hello", "4", "4" + "x" * 70000):
            ws.send(message)
            assert ws.recv() == message
        ws.send(b"\1\2\3\4")
        assert ws.recv() == b"\1\2\3\4"


@pytest.mark.parametrize("coding, decode", [
    ("gzip", gzip.decompress), ("deflate", zlib.decompress), ("identity", bytes)])
def test_long_answers(server, coding, decode):
    session = Polling(server)
    message = "4" + "long enough " * 200
    assert session.post(message)[0] == 200
    line = session.line()
    line.begin("GET", session.query, headers={"Accept-Encoding": coding})
    status, headers, body = line.end()
    assert status == 200
    assert headers.get("Content-Encoding", "identity") == coding
    assert decode(body).decode() == message
    assert (len(body) < 200) == (coding != "identity")


@pytest.mark.parametrize("body", [
    "abc", "2", "0", "4a" + SEPARATOR, "b*", b"4\xff", SEPARATOR.join(["4"] * 17), b"\0"])
def test_broken_payloads(server, body):
    session = Polling(server)
    assert session.post(body) == (400, '"Bad Request"')
    assert session.poll() == (400, f'"Invalid session {session.sid}"')


def test_broken_packets_on_a_websocket(server):
    for packet in ("abc", "", "2", "0", "9"):
        with websocket(server) as ws:
            ws.recv()
            ws.send(packet)
            with pytest.raises(ConnectionClosed):
                ws.recv(timeout=20)


@pytest.mark.parametrize("most", [1000, 1_000_000, 3_000_000])
def test_a_body_over_max_payload(start_recado, most):
    """Whatever the other limits of requests are: as much is taken, and more is refused as the
    protocol says."""
    server = start_recado(ECHO.replace("3", "1") + "client: {out_max: 8MiB}\n"
                          f"socketio: {{payload_max: {most}}}\n")
    session = Polling(server)
    assert session.post("4" + "x" * (most - 1)) == (200, "ok")
    assert session.poll() == (200, "4" + "x" * (most - 1))
    for body in ("4" + "x" * most, "4" * 4_000_000, (b"4" * 65536 for _ in range(64))):
        session = Polling(server)
        line = session.line()
        line.begin("POST", session.query, body, {"Origin": server.url})
        status, headers, text = line.end()
        assert (status, headers["Content-Type"], text) == (400, "text/plain", b'"Bad Request"')
        assert headers["Access-Control-Allow-Origin"] == server.url
        assert session.poll() == (400, f'"Invalid session {session.sid}"')


def test_max_payload(start_recado):
    server = start_recado(ECHO + "socketio: {payload_max: 1000}\n")
    session = Polling(server)
    assert session.opened["maxPayload"] == 1000
    assert session.post("4" + "x" * 999) == (200, "ok")
    assert session.post("4" + "x" * 1000)[0] == 400
    assert session.poll()[0] == 400
    with websocket(server, max_size=None) as ws:
        ws.recv()
        ws.send("4" + "x" * 1000)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=20)
        assert closed.value.rcvd.code == 1009


def test_two_polls_at_once(server):
    session = Polling(server)
    first, second = poll_crosses(session), poll_crosses(session)
    assert sorted(line.end()[0] for line in (first, second)) == [200, 400]
    assert session.poll()[0] == 400


def test_goodbyes_of_clients(server):
    session = Polling(server)
    waiting = poll_crosses(session)
    assert session.post("1") == (200, "ok")
    status, _, body = waiting.end()
    assert (status, body) == (200, b"6")
    assert session.poll()[0] == 400
    with websocket(server) as ws:
        ws.recv()
        ws.send("1")
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)


def test_heartbeats(start_recado):
    server = start_recado(QUICK)
    session = Polling(server)
    with websocket(server) as ws:
        ws.recv()
        for _ in range(4):
            assert session.poll() == (200, "2")
            assert session.post("3") == (200, "ok")
            assert ws.recv() == "2"
            ws.send("3")
    assert session.poll() == (200, "2")
    assert session.poll() == (200, "1")  # no pong came
    assert session.poll()[0] == 400
    with websocket(server) as ws:
        heard = []
        with pytest.raises(ConnectionClosed):
            while True:
                heard.append(ws.recv(timeout=20))
        assert heard[1:] == ["2", "1"]


# ---- from polling to a WebSocket ----


def test_upgrade(server):
    session = Polling(server)
    with session.websocket() as ws:
        ws.send("2probe")
        assert ws.recv() == "3probe"
        assert session.poll() == (200, "6")
        ws.send("5")
        ws.send("4hello")
        assert ws.recv() == "4hello"
        assert session.poll() == (400, '"Invalid transport"')
        with session.websocket() as second:
            with pytest.raises(ConnectionClosed):
                second.recv(timeout=20)
        ws.send("4still")
        assert ws.recv() == "4still"


def test_upgrade_that_fails(server):
    session = Polling(server)
    for packet in ("2probe!", "5", "4x"):
        with session.websocket() as ws:
            ws.send(packet)
            with pytest.raises(ConnectionClosed):
                ws.recv(timeout=20)
    with session.websocket() as ws:
        ws.send("2probe")
        assert ws.recv() == "3probe"
    session.post("4on")
    while (answer := session.poll()) == (200, "6"):
        pass  # the server has not heard yet that the WebSocket is gone
    assert answer == (200, "4on")


# ---- loops ----


def test_requests_come_in_anywhere(server):
    """Many connections, each kept and used for many sessions."""
    lines = [Line(server) for _ in range(12)]
    sessions = []
    for _ in range(20):
        session = Polling(server)
        session.lines = lines
        sessions.append(session)
    assert len({session.sid[:2] for session in sessions}) == 3  # all loops have some
    for turn in range(10):
        random.shuffle(sessions)
        for session in sessions:
            assert session.post(f"4{turn}") == (200, "ok")
        for session in sessions:
            assert session.poll() == (200, f"4{turn}")
    for session in sessions:
        with session.websocket() as ws:
            ws.send("2probe")
            assert ws.recv() == "3probe"
            ws.send("5")
            ws.send("4up")
            assert ws.recv() == "4up"
    connections = server.metrics()["recado_connections"]
    for line in lines:
        line.close()
    assert 12 <= connections <= 60


def test_connections_with_tls_go_to_other_loops(start_recado, tmp_path):
    cert, key = make_certificate(tmp_path, "localhost")
    server = start_recado(f"""listen:
  - 127.0.0.1:PORT
  - {{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
""" + ECHO)
    server.tls_port = int(server.wait_log(r"https://127.0.0.1:(\d+)").group(1))
    tls = ssl.create_default_context(cafile=cert)
    lines = [Line(server, tls=tls) for _ in range(8)]
    sessions = []
    for _ in range(6):
        session = Polling(server)
        session.lines = lines
        sessions.append(session)
    for turn in range(6):
        for session in sessions:
            message = f"4{turn}" + "x" * 20000 * (turn % 2)
            assert session.post(message) == (200, "ok")
            assert session.poll() == (200, message)
    for session in sessions:
        url = f"wss://127.0.0.1:{server.tls_port}/engine.io/?EIO=4&transport=websocket"
        with connect(f"{url}&sid={session.sid}", ssl=tls) as ws:
            ws.send("2probe")
            assert ws.recv() == "3probe"
            ws.send("5")
            ws.send("4" + "y" * 100000)
            assert ws.recv() == "4" + "y" * 100000


# ---- publications ----


class Publisher:
    """Publishes 1, 2, 3 ... to everybody until told to stop."""

    def __init__(self, server):
        self.server, self.ends = server, threading.Event()
        self.last = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        for number in itertools.count(1):
            self.server.publish("socketio:/", number, type="n")
            self.last = number
            if self.ends.is_set():
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ends.set()
        self.thread.join(30)


def numbers(payload):
    for packet in payload.split(SEPARATOR):
        if packet.startswith('42["n",'):
            yield json.loads(packet[2:])[1]


def joined(server, lines=3):
    session = Polling(server, "/socket.io/", lines)
    assert session.post("40") == (200, "ok")
    status, body = session.poll()
    assert body.startswith("40{"), body
    return session, body


def test_an_upgrade_while_events_come(start_recado):
    server = start_recado(SOCKETIO)
    with Publisher(server) as publisher:
        for round_ in range(8):
            session, body = joined(server)
            got = list(numbers(body))
            for _ in range(round_ * 2):
                status, body = session.poll()
                assert status == 200
                got += numbers(body)
            with session.websocket() as ws:
                waiting = poll_crosses(session)
                ws.send("2probe")
                assert ws.recv() == "3probe"
                status, _, body = waiting.end()
                assert status == 200
                got += numbers(body.decode())
                ws.send("5")
                for _ in range(50):
                    got += numbers(ws.recv())
            assert len(got) >= 45
            assert got == list(range(got[0], got[0] + len(got))), got
        publisher.ends.set()


@pytest.mark.timeout(240)
def test_a_thousand_who_poll(start_recado):
    server = start_recado(SOCKETIO + "socketio: {ping_interval: 5s}\n")
    count, events = 1000, 20
    base = f"{server.url}/socket.io/?{OPEN}"

    async def client(http, ready):
        async with http.get(base) as answer:
            sid = json.loads((await answer.text())[1:])["sid"]
        url = f"{base}&sid={sid}"

        async def post(body):
            async with http.post(url, data=body) as answer:
                assert (answer.status, await answer.text()) == (200, "ok")

        async def poll():
            async with http.get(url) as answer:
                body = await answer.text()
                assert answer.status == 200, body
                for packet in body.split(SEPARATOR):
                    if packet == "2":
                        await post("3")
                return body

        await post("40")
        while not (await poll()).startswith("40"):
            pass
        ready.release()
        got = []
        while len(got) < events:
            got += numbers(await poll())
        assert got == list(range(1, events + 1))

    async def publish(http, ready):
        for _ in range(count):
            await ready.acquire()
        for number in range(1, events + 1):
            async with http.post(f"{server.url}/api/publish", json={
                    "channel": "socketio:/", "type": "n", "data": number}) as answer:
                assert answer.status == 200

    async def run():
        ready, timeout = asyncio.Semaphore(0), aiohttp.ClientTimeout(total=200)
        async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
            await asyncio.gather(
                publish(http, ready), *(client(http, ready) for _ in range(count)))

    asyncio.run(run())


def test_a_drain_tells_who_polls(start_recado):
    server = start_recado(SOCKETIO + "shutdown: {drain: 5s}\n")
    waits, _ = joined(server)
    away, _ = joined(server)
    line = poll_crosses(waits)
    server.signal(signal.SIGTERM)
    status, _, body = line.end()
    assert status == 200
    assert body.decode().split(SEPARATOR)[-1] == "1"
    del away
    assert server.wait_exit() == 0
