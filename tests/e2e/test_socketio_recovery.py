"""Connection state recovery with socket.io-client: the same socket after a break, with its rooms
and everything that it missed, or clearly a new one."""

import asyncio
import json
import re
import threading

import pytest
import websockets

from node import Node
from test_socketio_backend import BackEnd

TRANSPORTS = ["websocket", "polling", "polling,websocket"]


class Page(Node):
    """recovery.mjs, line by line."""

    def __init__(self, server, transports="websocket", auth=None, namespace="/"):
        super().__init__("recovery.mjs", server.url, transports, json.dumps(auth or {}), namespace)
        self.early = []
        self.early_events = []

    def next(self):
        """The next line, but for acknowledgements, which events may overtake."""
        return self.early.pop(0) if self.early else super().next()

    def say(self, *words):
        super().say(words)

    def call(self, event, *args):
        self.say("emit", event, *args)
        while (got := super().next())[0] != "ack":
            self.early.append(got)
        return got[1:]

    def events(self, count):
        """The next so many events; the last argument of each is its offset."""
        got = [self.next() for _ in range(count)]
        assert all(one[0] == "event" and isinstance(one[-1], str) for one in got), got
        return [one[1:-1] for one in got]

    def connected(self):
        line = self.next()
        assert line[0] == "connect", line
        return line[1], line[2]


def away(page, backend):
    """Cuts the connection off, and waits until the server has noticed."""
    before = len(backend.of("disconnect"))
    page.say("stay away")
    while (line := page.next())[0] != "disconnect":
        page.early_events.append(line)
    asyncio.run(backend.wait("disconnect", before + 1))


def rules(ask):
    if ask["type"] == "connect":
        return {"user": ask["auth"].get("user", ""), "join": ask["auth"].get("join", [])}
    if ask["type"] == "event" and ask["event"] == "do":
        return {"ack": [], **ask["args"][0]}
    return {}


@pytest.fixture
def pages(start_node):
    return lambda *args, **more: start_node(*args, make=Page, **more)


@pytest.fixture
def serve(start_recado):
    made = []

    def start(options="  recovery: 1m\n", more=""):
        backend = BackEnd(rules)
        made.append(backend)
        return start_recado(
            f"loops: 2\n{more}endpoints:\n  - {{ path: /socket.io/, dialect: socketio }}\n"
            f"socketio:\n  backend: {backend.url}\n  namespaces: [\"*\"]\n{options}"), backend

    yield start
    for one in made:
        one.end()


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("namespace", ["/", "/x"])
def test_comes_back_with_everything(serve, pages, transports, namespace):
    server, backend = serve()
    prefix = "" if namespace == "/" else "/x:"
    page = pages(server, transports, {"user": "ana"}, namespace)
    sid, recovered = page.connected()
    assert not recovered
    page.call("do", {"join": ["a", "b", "c"]})
    page.call("do", {"leave": "c"})
    server.publish(prefix + "a", {"n": 0}, type="x")
    assert page.events(1) == [["x", {"n": 0}]]
    away(page, backend)
    for n in range(1, 41):
        server.publish(prefix + "ab"[n % 2], [n], type="x")
    server.publish(prefix + "c", "not any more", type="x")
    server.publish(f"socketio:{sid}", "to me", type="own")
    server.publish(f"socketio:{namespace}", "to all", type="all")
    page.say("come back")
    assert page.connected() == (sid, True)
    got = page.events(42)
    assert [one[1][0] for one in got if one[0] == "x" and one[1][0] % 2 == 0] == [*range(2, 41, 2)]
    assert [one[1][0] for one in got if one[0] == "x" and one[1][0] % 2 == 1] == [*range(1, 41, 2)]
    assert ["own", "to me"] in got and ["all", "to all"] in got
    # It lives, and does it once more.
    server.publish(prefix + "b", "live", type="x")
    assert page.events(1) == [["x", "live"]]
    away(page, backend)
    page.say("come back")
    assert page.connected() == (sid, True)
    page.call("do", {"emit": {"event": "self", "args": [1, 2]}})
    assert page.events(1) == [["self", 1, 2]]
    server.publish(prefix + "a", "live", type="x")
    assert page.events(1) == [["x", "live"]]
    connects = backend.of("connect")
    assert [ask["recovered"] for ask in connects] == [False, True, True]
    assert {ask["sid"] for ask in connects} == {sid}


def test_bytes_and_several_arguments(serve, pages):
    server, backend = serve()
    page, other = pages(server), pages(server)
    sid, _ = page.connected()
    other.connected()
    page.call("do", {"join": "a", "emit": {"event": "first", "args": []}})
    assert page.events(1) == [["first"]]
    away(page, backend)
    both = {"args": [1, {"_placeholder": True, "num": 0}], "attachments": ["AAH/"]}
    other.call("do", {"emit": [{"event": "b", "to": "a", **both},
                               {"event": "none", "to": sid, "args": []}]})
    page.say("come back")
    assert page.connected() == (sid, True)
    got = sorted(page.events(2))
    assert got == [["b", 1, {"type": "Buffer", "data": [0, 1, 255]}], ["none"]]


def test_an_event_to_several_rooms_comes_once(serve, pages):
    server, backend = serve()
    page, other = pages(server), pages(server)
    sid, _ = page.connected()
    other.connected()
    page.call("do", {"join": ["a", "b"]})

    def tell():
        for n, rooms in enumerate((["a", "b"], ["b", "a"], ["a", sid], "b", "a")):
            other.call("do", {"emit": {"event": "x", "args": [n], "to": rooms}})

    tell()
    assert sorted(page.events(5)) == [["x", n] for n in range(5)]
    away(page, backend)
    tell()
    page.say("come back")
    assert page.connected() == (sid, True)
    assert sorted(page.events(5)) == [["x", n] for n in range(5)]
    for room in ("a", "b"):
        other.call("do", {"emit": {"event": "last", "to": room}})
    assert page.events(2) == [["last"], ["last"]]


def test_nothing_is_sent_twice(serve, pages):
    """Cut in a stream of events, again and again: each of them arrives once, in order."""
    server, backend = serve(more="namespaces:\n  \"\": { history: 2000 }\n")
    page = pages(server)
    sid, _ = page.connected()
    page.call("do", {"join": ["a", "b"]})
    rounds, each = 5, 60
    server.publish("a", {"r": "a", "n": 0}, type="x")
    got = page.events(1)

    def publish():
        for n in range(1, rounds * each):
            server.publish("ab"[n % 2], {"r": "ab"[n % 2], "n": n}, type="x")

    thread = threading.Thread(target=publish)
    thread.start()
    breaks = 0
    while len(got) < rounds * each:
        line = page.next()
        assert line[0] == "event", line
        got.append(line[1:-1])
        if len(got) % each == each // 2:
            away(page, backend)
            got += [one[1:-1] for one in page.early_events]
            page.early_events.clear()
            page.say("come back")
            assert page.connected() == (sid, True)
            breaks += 1
    thread.join()
    assert breaks >= 3
    for room in "ab":
        mine = [one[1]["n"] for one in got if one[1]["r"] == room]
        assert mine == sorted(set(mine)), room
    assert sorted(one[1]["n"] for one in got) == [*range(rounds * each)]


def is_new(page, sid):
    now, recovered = page.connected()
    assert not recovered and now != sid
    return now


def prepare(server, backend, page):
    sid, _ = page.connected()
    page.call("do", {"join": "a"})
    server.publish("a", 0, type="x")
    assert page.events(1) == [["x", 0]]
    away(page, backend)
    return sid


def test_too_much_was_missed(serve, pages):
    server, backend = serve(more="namespaces:\n  \"\": { history: 3 }\n")
    page = pages(server)
    sid = prepare(server, backend, page)
    for n in range(1, 6):
        server.publish("a", n, type="x")
    page.say("come back")
    line = page.next()
    while line[0] != "connect" or line[1] == sid:  # it may be told, and then cut off again
        assert line[0] != "event"
        line = page.next()
    assert line[2] is False
    page.call("do", {"join": "a"})
    server.publish("a", "new", type="x")
    assert page.events(1) == [["x", "new"]]


def test_too_late(serve, pages):
    server, backend = serve("  recovery: 1ms\n")
    page = pages(server)
    sid = prepare(server, backend, page)
    page.say("come back")
    is_new(page, sid)


def test_off_by_default(serve, pages):
    server, _ = serve("")
    page = pages(server)
    sid, _ = page.connected()
    page.call("do", {"join": "a"})
    server.publish("a", 1, type="x")
    assert page.next() == ["event", "x", 1]
    page.say("cut")
    page.next()
    is_new(page, sid)


def test_goodbye_is_for_good(serve, pages):
    server, _ = serve()
    page = pages(server)
    sid, _ = page.connected()
    page.call("do", {"emit": {"event": "e", "args": []}})
    page.events(1)
    page.say("emit", "do", {"disconnect": True})
    while (line := page.next())[0] != "disconnect":
        pass
    assert line[1] == "io server disconnect"
    page.say("come back")
    is_new(page, sid)


def test_somebody_else_does_not_get_it(serve):
    server, backend = serve()

    async def connect(auth):
        ws = await websockets.connect(server.ws("/socket.io/?EIO=4&transport=websocket"), proxy=None)
        await ws.recv()
        await ws.send("40" + json.dumps(auth))
        got = await asyncio.wait_for(ws.recv(), 20)
        return ws, json.loads(got[2:])

    async def go():
        ws, mine = await connect({"user": "ana", "join": ["secret"]})
        assert re.fullmatch(r"[0-9a-f]{32}", mine["pid"])
        await ws.send('420["do",{}]')  # the rooms of the first answer are joined before the second
        assert await asyncio.wait_for(ws.recv(), 20) == "430[]"
        server.publish("secret", 1, type="x")
        offset = json.loads((await asyncio.wait_for(ws.recv(), 20))[2:])[-1]
        await ws.close()
        await backend.wait("disconnect")
        server.publish("secret", 2, type="x")
        again = {"pid": mine["pid"], "offset": offset}
        for wrong in [{"pid": mine["pid"]}, {"pid": "0" * 32, "offset": offset},
                      {"pid": 7, "offset": []}, {"pid": mine["pid"] + "'", "offset": offset}]:
            ws, other = await connect({"user": "ana", **wrong})
            assert other["pid"] != mine["pid"] and other["sid"] != mine["sid"]
            await ws.close()
        ws, other = await connect({"user": "eve", **again})
        assert other["pid"] != mine["pid"]
        with pytest.raises(TimeoutError):
            assert await asyncio.wait_for(ws.recv(), 0.3) == "nothing"
        await ws.close()

    asyncio.run(go())
