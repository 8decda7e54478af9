"""The pytake dialect with the clients that its application uses: socket.io-client over polling,
over WebSocket, and from one to the other; python-socketio's client; and a back end that publishes
through the API."""

import asyncio
import time
import uuid

import jwt
import pytest
import socketio

from node import Node

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = f"loops: 2\nauth:\n  hmac_secret: {SECRET}\n"
TRANSPORTS = ["polling", "websocket", "polling,websocket"]


def token(user, org="acme", expires=900, **more):
    claims = {"sub": user, "type": "access", "role": "agent", "exp": int(time.time()) + expires}
    if org:
        claims["organization_id"] = org
    return jwt.encode({**claims, **more}, SECRET, "HS256")


class Page(Node):
    """pytake.mjs, line by line."""

    def __init__(self, *args):
        super().__init__("pytake.mjs", *args, seconds=110)

    def next_but(self, word):
        got = self.next()
        while got[0] == word:
            got = self.next()
        return got

    def say(self, *words):
        super().say(words)

    def expect(self, *words):
        got = self.next()
        assert got == list(words), got


@pytest.fixture
def page_of(start_node):
    return lambda *args: start_node(*args, make=Page)


def enter(page_of, server, transports, user, org="acme"):
    """A page that is connected, has been greeted, and is on the transport it ends on."""
    page = page_of(server.url, transports, token(user, org))
    got = [page.next() for _ in range(3 if transports == "polling,websocket" else 2)]
    names = [one[0] for one in got]
    assert names.index("connect") < names.index("event"), got
    assert ["event", "connected",
            {"message": "Connected to PyTake WebSocket", "user_id": user}] in got
    page.sid = next(one[1] for one in got if one[0] == "connect")
    page.say("transport")
    page.expect("transport", transports.split(",")[-1])
    return page


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_a_conversation(start_recado, page_of, transports):
    server = start_recado(CONFIG)
    room = str(uuid.uuid4())
    ana = enter(page_of, server, transports, "ana")
    bo = enter(page_of, server, transports, "bo")
    ana.expect("event", "user:status", {"user_id": "bo", "status": "online"})
    for page in (ana, bo):
        page.say("emit", "join_conversation", {"conversation_id": room})
        page.expect("event", "joined_conversation",
                    {"conversation_id": room, "message": f"Joined conversation {room}"})
    message = {"id": str(uuid.uuid4()), "content": {"text": "olá"}, "created_at": None}
    server.api("publish", {"tenant": "acme", "channel": f"conversation:{room}",
                           "type": "message:new", "data": message})
    for page in (ana, bo):
        page.expect("event", "message:new", message)
    ana.say("emit", "typing_start", {"conversation_id": room})
    bo.expect("event", "user_typing", {"conversation_id": room, "user_id": "ana", "typing": True})
    server.api("publish", {"tenant": "acme", "channel": f"conversation:{room}", "type": "x",
                           "data": 1, "exclude": bo.sid})
    ana.expect("event", "x", 1)
    bo.say("ack", "leave_conversation", {"conversation_id": room})
    bo.expect("event", "left_conversation", {"conversation_id": room})
    bo.expect("ack", None)
    server.api("publish", {"tenant": "acme", "channel": f"conversation:{room}",
                           "type": "message:status", "data": {"message_id": "m"}})
    ana.expect("event", "message:status", {"message_id": "m"})
    for channel in ("user:bo", f"socketio:{bo.sid}"):
        server.api("publish", {"tenant": "acme", "channel": channel, "type": "y", "data": channel})
        bo.expect("event", "y", channel)
    bo.say("ack", "ping")
    bo.expect("event", "pong", {"timestamp": "now"})
    bo.expect("ack", None)
    bo.say("disconnect")
    bo.expect("disconnect", "io client disconnect")
    ana.expect("event", "user:status", {"user_id": "bo", "status": "offline"})


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_nobody_without_a_token(start_recado, page_of, transports):
    server = start_recado(CONFIG)
    wrong = jwt.encode({"sub": "ana"}, "another secret, of 32 characters", "HS256")
    old = token("ana", expires=-60)
    for bad in ("", wrong, old, "nonsense"):
        page = page_of(server.url, transports, bad)
        assert page.next_but("upgrade") == ["connect_error", "Connection rejected by server"]
    page = page_of(server.url, transports, token("ana"), "/alerts")
    assert page.next_but("upgrade")[0] == "connect_error"


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_a_restart_brings_them_back(start_recado, page_of, transports):
    server = start_recado(CONFIG)
    page = enter(page_of, server, transports, "ana")
    server.stop()
    got = page.next()  # between two polls the next one fails instead
    assert got[0] == "disconnect" and got[1] in ("transport close", "transport error"), got
    server.start()
    got = page.next_but("connect_error")
    assert got[0] == "connect" and got[1] != page.sid
    server.api("disconnect", {"tenant": "acme", "user": "ana"})
    while got[0] != "disconnect":
        got = page.next()
    assert got == ["disconnect", "io server disconnect"]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_the_python_client(start_recado, transports):
    server = start_recado(CONFIG)
    room = str(uuid.uuid4())

    async def run():
        heard = asyncio.Queue()
        client = socketio.AsyncClient(reconnection=False)
        client.on("*", lambda event, *args: heard.put_nowait((event, *args)))
        await client.connect(server.url, auth={"token": token("ana")}, transports=transports,
                             socketio_path="/socket.io/socket.io/")
        assert (await asyncio.wait_for(heard.get(), 10))[0] == "connected"
        assert await client.call("join_conversation", {"conversation_id": room}) is None
        assert (await asyncio.wait_for(heard.get(), 10))[0] == "joined_conversation"
        server.api("publish", {"tenant": "acme", "channel": f"conversation:{room}",
                               "type": "message:new", "data": {"id": "m"}})
        assert await asyncio.wait_for(heard.get(), 10) == ("message:new", {"id": "m"})
        await client.disconnect()

        stranger = socketio.AsyncClient(reconnection=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await stranger.connect(server.url, transports=transports)
        await stranger.disconnect()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_sockets_are_counted_as_pytake(start_recado, page_of):
    server = start_recado(CONFIG)
    page = enter(page_of, server, "websocket", "ana")
    assert server.metrics()['recado_sessions{dialect="pytake"}'] == 1
    (row,) = server.api("sessions", {"tenant": "acme"})["result"]["sessions"]
    assert (row["client"], row["dialect"]) == (page.sid, "pytake")


def test_every_spelling_of_the_path(recado):
    for path in ("/socket.io", "/socket.io/socket.io"):
        for slash in ("", "/"):
            status, _, body = recado.get(f"{path}{slash}?EIO=4&transport=polling")
            assert (status, body[:1]) == (200, b"0"), path + slash


def test_the_token_in_query_or_header(start_recado, page_of):
    server = start_recado(CONFIG)

    async def run():
        for url, headers in ((f"{server.url}?token={token('ana')}", {}),
                             (server.url, {"Authorization": f"Bearer {token('ana')}"})):
            client = socketio.AsyncClient(reconnection=False)
            await client.connect(url, headers=headers)
            await client.disconnect()

    asyncio.run(asyncio.wait_for(run(), 60))


QUICK = "socketio:\n  ping_interval: 300ms\n  ping_timeout: 2s\n"


@pytest.mark.parametrize("config, pings", [(QUICK, 10), ("", 2)], ids=["quick", "usual"])
def test_an_idle_client_stays(start_recado, page_of, config, pings):
    """Many rounds of pings in little time, and as long as a client waits for one by itself: it
    gives up 45 s after the last."""
    server = start_recado(CONFIG + config)
    pages = [enter(page_of, server, transports, "ana", org=f"o{i}")
             for i, transports in enumerate(TRANSPORTS)]
    for page in pages:
        page.say("pings", pings)
    for page in pages:
        page.expect("pings", pings)
        page.say("ack", "ping")
        page.expect("event", "pong", {"timestamp": "now"})
        page.expect("ack", None)
