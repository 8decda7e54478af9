"""The bridge from Redis, with a real redis-server: back ends emit with python-socketio's write-only
manager, as they do today, and publish plain events; clients are socket.io-client and
python-socketio's own."""

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import time
import uuid

import pytest
import pytest_asyncio
import redis
import socketio
import websockets

from servers import free_port
from test_pytake import CONFIG as PYTAKE
from test_pytake import Page, page_of, token  # noqa: F401

SECONDS = 20
LISTENING = r"bridge: listening at redis"


class Redis:
    def __init__(self, folder, password=""):
        self.folder = folder
        self.port = free_port()
        self.password = password
        self.process = None
        self.start()

    @property
    def url(self):
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", str(self.folder)]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        end = time.monotonic() + SECONDS
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < end and self.process.poll() is None
                time.sleep(0.02)

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(SECONDS)
            self.process = None

    def client(self):
        return redis.Redis(host="127.0.0.1", port=self.port, password=self.password or None)

    def publish(self, channel, message):
        """How many listened."""
        if not isinstance(message, (bytes, str)):
            message = json.dumps(message)
        with self.client() as client:
            return client.publish(channel, message)


@pytest.fixture
def start_redis(tmp_path):
    made = []

    def start(**more):
        made.append(Redis(tmp_path, **more))
        return made[-1]

    yield start
    for one in made:
        one.stop(signal.SIGKILL)


@pytest.fixture
def broker(start_redis):
    return start_redis()


@pytest.fixture
def bridged(start_recado, broker):
    """config has braces of YAML: REDIS stands for the URL."""
    def start(config=""):
        server = start_recado(f"""loops: 3
bridge: {{ redis: "{broker.url}" }}
socketio: {{ namespaces: [/, /chat] }}
endpoints: [{{ path: /socket.io/, dialect: socketio }}]
{config}""")
        server.wait_log(LISTENING)
        return server
    return start


class Client:
    """python-socketio's client: what it hears is a queue of (event, *arguments)."""

    def __init__(self, nsp="/"):
        self.nsp = nsp
        self.heard = asyncio.Queue()
        self.gone = asyncio.Event()
        self.io = socketio.AsyncClient(reconnection=False)
        self.io.on("*", self.hear, namespace=nsp)
        self.io.on("disconnect", self.leave, namespace=nsp)

    async def hear(self, event, *arguments):
        self.heard.put_nowait((event, *arguments))

    async def leave(self, *_):
        self.gone.set()

    async def connect(self, server, tenant=""):
        query = f"?tenant={tenant}" if tenant else ""
        await self.io.connect(server.url + query, namespaces=[self.nsp])
        self.sid = self.io.get_sid(self.nsp)
        return self

    async def next(self):
        return await asyncio.wait_for(self.heard.get(), SECONDS)


@pytest_asyncio.fixture
async def client():
    made = []

    async def make(server, nsp="/", tenant=""):
        made.append(Client(nsp))
        return await made[-1].connect(server, tenant)

    yield make
    for one in made:
        await one.io.disconnect()


def manager_of(broker):
    return socketio.AsyncRedisManager(broker.url, write_only=True)


async def test_emits_of_a_write_only_manager(bridged, broker, client):
    server, manager = bridged(), manager_of(broker)
    ana, bob, chat = await client(server), await client(server), await client(server, "/chat")
    await manager.emit("all", {"n": 1})
    assert await ana.next() == await bob.next() == ("all", {"n": 1})
    await manager.emit("there", "x", namespace="/chat")
    assert await chat.next() == ("there", "x")  # and not what was said to "/"
    for sid, room in (ana.sid, "a"), (bob.sid, "b"), (ana.sid, "both"), (bob.sid, "both"):
        await manager.enter_room(sid, "/", room)
    await manager.enter_room(chat.sid, "/chat", "a")
    while True:  # from another connection the way into the room may be longer than to it
        await manager.emit("in", 0, room="both")
        try:
            await asyncio.wait_for(asyncio.gather(ana.heard.get(), bob.heard.get()), 1)
            break
        except TimeoutError:
            continue
    await manager.emit("end", 0)
    for one in ana, bob:
        while await one.next() != ("end", 0):
            pass
    await manager.emit("several", (1, "2", [3]), room="a")
    assert await ana.next() == ("several", 1, "2", [3])
    await manager.emit("none", None, room="a")
    assert await ana.next() == ("none",)
    await manager.emit("list", [1, [2]], room="a", namespace="/chat")
    assert await chat.next() == ("list", [1, [2]])
    await manager.emit("rooms", 1, room=["a", "both", "b"])
    assert await ana.next() == await bob.next() == ("rooms", 1)
    await manager.emit("skip", 1, room="both", skip_sid=ana.sid)
    await manager.emit("skip both", 1, skip_sid=[ana.sid, bob.sid])
    assert await bob.next() == ("skip", 1)
    await manager.emit("to one", 1, to=ana.sid)  # the first since `rooms`: nothing came twice
    assert await ana.next() == ("to one", 1)
    blob = bytes(range(256)) * 300
    await manager.emit("binary", ({"file": blob, "n": 1}, b"", "text"), room="b")
    assert await bob.next() == ("binary", {"file": blob, "n": 1}, b"", "text")
    await manager.emit("empty", b"", room="b")
    assert await bob.next() == ("empty", b"")
    await manager.leave_room(ana.sid, "/", "both")
    while broker.publish("socketio", {"method": "emit", "event": "left", "data": [1],
                                      "room": "both"}) and (await bob.next())[0] != "left":
        pass
    await manager.close_room("b", "/")
    await manager.emit("closed", 1, room="b")
    await manager.emit("last", 2)
    assert await bob.next() in (("closed", 1), ("last", 2))
    while (said := await ana.next()) != ("last", 2):
        assert said == ("left", 1)
    broker.publish("socketio", {"method": "disconnect", "sid": bob.sid, "namespace": "/"})
    await asyncio.wait_for(bob.gone.wait(), SECONDS)


async def test_rooms_of_pytake(start_recado, broker, start_node):
    server = start_recado(f"bridge: {{ redis: '{broker.url}' }}\n{PYTAKE}")
    server.wait_log(LISTENING)
    manager, id = manager_of(broker), str(uuid.uuid4())
    room = f"conversation:{id}"
    ana, bob, other = (start_node(server.url, way, token(user, org), make=Page)
                       for way, user, org in (("websocket", "ana", "acme"),
                                              ("polling", "bob", "acme"),
                                              ("websocket", "eva", "other")))
    sids = {}
    for page in (ana, bob, other):
        while (got := page.next())[:2] != ["event", "connected"]:
            if got[0] == "connect":
                sids[page] = got[1]
        page.say("ack", "join_conversation", {"conversation_id": id})
        while page.next()[0] != "ack":
            pass

    def next_but_status(page):
        while (got := page.next())[1] in ("user:status", "joined_conversation"):
            pass
        return got

    await manager.emit("message:new", {"id": "m"}, room=room)
    for page in (ana, bob, other):  # ids are of one organization, and both have it joined
        assert next_but_status(page) == ["event", "message:new", {"id": "m"}]
    await manager.emit("x", 1, room=[room, "organization:acme"], skip_sid=sids[ana])
    await manager.emit("end", 2, room=["user:ana", room])
    assert next_but_status(bob) == ["event", "x", 1]
    assert next_but_status(other) == ["event", "x", 1]
    for page in (ana, bob, other):
        assert next_but_status(page) == ["event", "end", 2]
    broker.publish("socketio", {"method": "disconnect", "sid": sids[bob], "namespace": "/"})
    assert next_but_status(bob) == ["disconnect", "io server disconnect"]


async def test_every_tenant_that_has_the_room(bridged, broker, client):
    server, manager = bridged(), manager_of(broker)
    clients = [await client(server, tenant=tenant) for tenant in ("acme", "other", "third")]
    for one in clients[:2]:
        await manager.enter_room(one.sid, "/", "room")
    for one in clients[:2]:
        while not one.heard.qsize():
            await manager.emit("in", 1, room="room")
            await asyncio.sleep(0.05)
    await manager.emit("end", 1)
    for one in clients:
        while await one.next() != ("end", 1):
            assert one != clients[2]


async def test_a_tenant_that_is_said(start_recado, broker, client):
    server = start_recado(f"""
bridge: {{ redis: "{broker.url}", tenant: acme, socketio: mine, gamification: "" }}
endpoints: [{{ path: /socket.io/, dialect: socketio }}]
""")
    server.wait_log(LISTENING)
    manager = socketio.AsyncRedisManager(broker.url, channel="mine", write_only=True)
    ana, bob = await client(server, tenant="acme"), await client(server, tenant="other")
    await manager.emit("hello", 1)
    assert await ana.next() == ("hello", 1)
    assert broker.publish("gamification", {"type": "a", "data": {}}) == 0
    server.publish("socketio:/", 2, tenant="other", type="first")
    assert await bob.next() == ("first", 2)


def test_from_threads_to_a_page(bridged, broker, page_of):  # noqa: F811
    """A back end without asyncio, and the JavaScript client over polling."""
    server = bridged()
    page = page_of(server.url, "polling", "", "/")
    sid = next(one[1] for one in iter(page.next, None) if one[0] == "connect")
    manager = socketio.RedisManager(broker.url, write_only=True)
    manager.emit("message:new", {"id": 1, "text": "olá"}, to=sid)
    page.expect("event", "message:new", {"id": 1, "text": "olá"})


async def test_events_of_the_council(bridged, broker):
    server = bridged()
    async with websockets.connect(server.ws("/ws/gamification")) as ws:
        await ws.recv()
        event = {"type": "councilor_completed", "data": {"councilor_id": "c-1", "duration_ms": 5},
                 "timestamp": 1761447539.123456}
        assert broker.publish("gamification", event) == 1
        got = json.loads(await asyncio.wait_for(ws.recv(), SECONDS))
        assert (got["type"], got["data"]) == (event["type"], event["data"])
        assert isinstance(got["timestamp"], float)


async def test_redis_goes_and_comes_back(bridged, broker, client):
    server, manager = bridged(), manager_of(broker)
    ana = await client(server)
    for number in signal.SIGTERM, signal.SIGKILL:
        broker.stop(number)
        server.wait_log(r"bridge: redis 127\.0\.0\.1:\d+: .*; what is published there is lost")
        assert server.get("/healthz/ready")[0] == 200
        server.publish("socketio:/", 1, type="meanwhile")
        assert await ana.next() == ("meanwhile", 1)
        seen = server.log.count("bridge: listening")
        broker.start()
        while server.log.count("bridge: listening") == seen:
            await asyncio.sleep(0.02)
        await manager.emit("again", 1)
        assert await ana.next() == ("again", 1)


async def test_recado_is_there_first(start_recado, start_redis, client):
    broker = start_redis()
    broker.stop()
    server = start_recado(f"""
cluster: "{broker.url.replace('127.0.0.1', 'localhost')}"
endpoints: [{{ path: /socket.io/, dialect: socketio }}]
""")
    server.wait_log("bridge: redis localhost:.*refused")
    broker.start()
    server.wait_log(LISTENING)
    ana = await client(server)
    await manager_of(broker).emit("hello", 1)
    assert await ana.next() == ("hello", 1)


async def test_garbage(bridged, broker, client):
    server, manager = bridged(), manager_of(broker)
    ana = await client(server)
    emit = {"method": "emit", "event": "x", "data": [1], "namespace": "/", "room": None}
    garbage = [b"", b"\x00", b"\xff\xfe", b"{", b"null", b"[]", b'"emit"', b"[" * 100000,
               b'{"method":"emit","data":' + b"[" * 70 + b"]" * 70 + b"}", os.urandom(5000),
               pickle.dumps(emit), pickle.dumps(emit, 2)]
    garbage += [emit | change for change in (
        {"method": None}, {"method": "eval"}, {"event": None}, {"event": {}}, {"event": ""},
        {"event": "disconnect"}, {"namespace": []}, {"namespace": "no slash"}, {"room": {}},
        {"room": [None]}, {"room": " "}, {"room": "*"}, {"room": "a:*"}, {"room": "x" * 300},
        {"room": ["r"] * 1000}, {"skip_sid": 1}, {"skip_sid": ["x"] * 1000}, {"binary": True},
        {"binary": True, "data": [[{"_placeholder": True, "num": 7}], "AAAA"]},
        {"binary": True, "data": [[1], "***"]})]
    garbage += [{"method": method, "sid": sid, "room": room, "namespace": "/"}
                for method in ("enter_room", "leave_room", "close_room", "disconnect")
                for sid in (None, "x", ana.sid.upper(), 7) for room in (None, "", "*", [1])]
    for channel in "socketio", "gamification":
        for message in garbage:
            assert broker.publish(channel, message) == 1
    await manager.emit("after", 1)
    while (said := await ana.next()) != ("after", 1):
        assert said[0] == "x", said  # of what is no garbage to it
    server.wait_log("is a Python pickle, which is never read: use python-socketio 5.14")
    assert server.log.count("Python pickle") == 1
    assert server.log.count("bridge: ") < 8


def test_passwords(start_recado, start_redis):
    broker = start_redis(password="a very secret word")
    url = broker.url.replace(" ", "%20")
    wrong = start_recado(f"bridge: {{ redis: '{url.replace('very', 'less')}' }}")
    wrong.wait_log("bridge: redis .*WRONGPASS")
    assert "secret word" not in wrong.log and "secret%20word" not in wrong.log
    start_recado(f"bridge: {{ redis: '{url}' }}").wait_log(LISTENING)
    start_recado(f"bridge: {{ redis: 'redis://default:{url[9:]}' }}").wait_log(LISTENING)
    none = start_recado(f"bridge: {{ redis: 'redis://127.0.0.1:{broker.port}' }}")
    none.wait_log("bridge: redis .*NOAUTH")


def test_what_is_no_redis(start_recado):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = start_recado(f"bridge: {{ redis: 'redis://127.0.0.1:{other.getsockname()[1]}' }}")
        for _ in range(3):
            peer, _ = other.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        server.wait_log("bridge: redis .*Protocol error")
        assert server.log.count("bridge: ") == 1
