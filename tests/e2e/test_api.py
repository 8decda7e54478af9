"""The server API as back ends use it: Centrifugo's own Python client, curl, and raw HTTP."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
import uuid

import cent
import pytest
import websockets

OPEN = """
namespaces:
  news: {history: 100, ttl: 1h, presence: false}
  room: {history: 0, presence: true}
"""
KEYS = "auth: {api_keys: [first-key-of-the-test, second-key-of-the-test]}" + OPEN


@pytest.fixture
def keyed(start_recado):
    return start_recado(KEYS)


@pytest.fixture
def open_server(start_recado):
    return start_recado(OPEN)


def client_of(recado, key="first-key-of-the-test"):
    return cent.Client(f"{recado.url}/api", key)


class Reader:
    """A native client that keeps what it is told."""

    def __init__(self, recado):
        self.url = recado.ws_url
        self.pushes = []

    async def __aenter__(self):
        self.socket = await websockets.connect(self.url)
        self.next_id = 0
        self.me = (await self.call(connect={}))["connect"]["client"]
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    def take(self, text):
        return [json.loads(line) for line in text.splitlines() if line not in ("", "{}")]

    async def call(self, **command):
        self.next_id += 1
        await self.socket.send(json.dumps({"id": self.next_id, **command}))
        while True:
            for message in self.take(await asyncio.wait_for(self.socket.recv(), 20)):
                if message.get("id") == self.next_id:
                    assert "error" not in message, message
                    return message
                self.pushes.append(message["push"])

    async def publication(self):
        while True:
            for i, push in enumerate(self.pushes):
                if "pub" in push:
                    return self.pushes.pop(i)
            text = await asyncio.wait_for(self.socket.recv(), 20)
            self.pushes += [m["push"] for m in self.take(text) if "push" in m]


# Centrifugo's Python client.


def test_cent_publishes_and_reads_history(keyed):
    client = client_of(keyed)
    first = client.publish(cent.PublishRequest(channel="news:a", data={"n": 1}, tags={"k": "v"}))
    assert first.offset == 1 and len(first.epoch) == 8
    again = client.publish(cent.PublishRequest(
        channel="news:a", data=2, idempotency_key="once"))
    assert again.offset == 2
    assert client.publish(cent.PublishRequest(
        channel="news:a", data=2, idempotency_key="once")).offset == 2
    history = client.history(cent.HistoryRequest(channel="news:a", limit=10))
    assert [p.data for p in history.publications] == [{"n": 1}, 2]
    assert history.publications[0].tags == {"k": "v"}
    assert (history.offset, history.epoch) == (2, first.epoch)
    since = cent.StreamPosition(offset=1, epoch=first.epoch)
    later = client.history(cent.HistoryRequest(channel="news:a", limit=10, since=since))
    assert [p.offset for p in later.publications] == [2]
    client.history_remove(cent.HistoryRemoveRequest(channel="news:a"))
    assert client.history(cent.HistoryRequest(channel="news:a", limit=10)).publications == []


def test_cent_broadcasts_and_batches(keyed):
    client = client_of(keyed)
    answer = client.broadcast(cent.BroadcastRequest(channels=["news:b", "no good", "room:b"],
                                                    data="x"))
    assert answer.responses[0].result.offset == 1
    assert answer.responses[1].error.code == 107
    assert answer.responses[2].result.offset == 0
    for parallel in (False, True):
        replies = client.batch(cent.BatchRequest(requests=[
            cent.PublishRequest(channel=f"news:batch-{parallel}", data=1),
            cent.InfoRequest(),
            cent.PresenceStatsRequest(channel="room:none"),
            cent.ChannelsRequest(),
        ], parallel=parallel)).replies
        assert replies[0].offset == 1
        assert replies[1].nodes[0].name == "recado"
        assert replies[2].num_clients == 0
        assert replies[3].channels == {}


def test_cent_is_told_what_is_wrong(keyed):
    client = client_of(keyed)
    with pytest.raises(cent.CentApiResponseError) as error:
        client.presence(cent.PresenceRequest(channel="news:none"))
    assert error.value.code == 108
    with pytest.raises(cent.CentApiResponseError) as error:
        client.publish(cent.PublishRequest(channel="", data=1))
    assert error.value.code == 107 and "channel" in str(error.value)
    with pytest.raises(cent.CentUnauthorizedError):
        client_of(keyed, "another-key").info(cent.InfoRequest())
    with pytest.raises(cent.CentUnauthorizedError):
        cent.Client(f"{keyed.url}/api", "").info(cent.InfoRequest())
    assert client_of(keyed, "second-key-of-the-test").info(cent.InfoRequest()).nodes[0].uptime >= 0


async def test_cent_asynchronous(keyed):
    client = cent.AsyncClient(f"{keyed.url}/api", "first-key-of-the-test")
    try:
        results = await asyncio.gather(*(
            client.publish(cent.PublishRequest(channel="news:async", data=i)) for i in range(50)))
        assert sorted(r.offset for r in results) == list(range(1, 51))
    finally:
        await client.close()


# What clients hear of it.


async def test_a_publish_reaches_a_client_byte_for_byte(open_server):
    async with Reader(open_server) as reader:
        await reader.call(subscribe={"channel": "news:live"})
        body = '{"channel": "news:live", "data": {"b": 1.00, "a": "\\u00e9"}, "type": "note"}'
        status, _, answer = await asyncio.to_thread(open_server.post, "/api/publish", body)
        assert status == 200 and b'"offset":1' in answer
        push = await reader.publication()
        assert push["channel"] == "news:live"
        assert push["pub"]["data"] == {"b": 1.0, "a": "é"}
        assert push["pub"]["tags"]["type"] == "note"


async def test_the_excluded_client_hears_nothing(open_server):
    async with Reader(open_server) as one, Reader(open_server) as two:
        for reader in (one, two):
            await reader.call(subscribe={"channel": "news:x"})
        await asyncio.to_thread(open_server.publish, "news:x", "not for one", exclude=one.me)
        await asyncio.to_thread(open_server.publish, "news:x", "for both")
        assert (await one.publication())["pub"]["data"] == "for both"
        assert (await two.publication())["pub"]["data"] == "not for one"


async def test_presence_channels_sessions_and_info(open_server):
    async with Reader(open_server) as reader:
        await reader.call(subscribe={"channel": "room:1"})
        ask = open_server.api
        presence = await asyncio.to_thread(ask, "presence", {"channel": "room:1"})
        assert list(presence["result"]["presence"]) == [reader.me]
        stats = await asyncio.to_thread(ask, "presence_stats", {"channel": "room:1"})
        assert stats["result"]["num_clients"] == 1
        channels = await asyncio.to_thread(ask, "channels", {"pattern": "room:*"})
        assert channels == {"result": {"channels": {"room:1": {"num_clients": 1}}}}
        sessions = (await asyncio.to_thread(ask, "sessions", {"limit": 10}))["result"]
        assert sessions["total"] == 1
        row = sessions["sessions"][0]
        assert (row["client"], row["dialect"], row["channels"]) == (reader.me, "native", 1)
        node = (await asyncio.to_thread(ask, "info"))["result"]["nodes"][0]
        assert (node["num_clients"], node["num_subs"]) == (1, 1)
        assert node["num_channels"] in (1, 2)  # perhaps "logs" as well, with the server's own lines
        uuid.UUID(node["uid"])


async def test_control_by_client(open_server):
    async with Reader(open_server) as reader:
        ask = open_server.api
        answer = await asyncio.to_thread(
            ask, "subscribe", {"client": reader.me, "channel": "news:s"})
        assert answer == {"result": {}}
        await asyncio.to_thread(open_server.publish, "news:s", 1)
        assert (await reader.publication())["channel"] == "news:s"
        assert [push["channel"] for push in reader.pushes if "subscribe" in push] == ["news:s"]
        await asyncio.to_thread(
            ask, "disconnect",
            {"client": reader.me, "disconnect": {"code": 4321, "reason": "enough"}})
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await asyncio.wait_for(reader.socket.recv(), 20)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")


# Raw HTTP.


@pytest.mark.parametrize("headers, status", [
    ({}, 401),
    ({"X-API-Key": "first-key-of-the-test"}, 200),
    ({"Authorization": "apikey second-key-of-the-test"}, 200),
    ({"Authorization": "Bearer first-key-of-the-test"}, 401),
    ({"X-API-Key": "first-key-of-the-tes"}, 401),
    ({"X-API-Key": "first-key-of-the-test", "Origin": "https://evil.example"}, 403),
])
def test_who_may_ask(keyed, headers, status):
    assert keyed.post("/api/info", {}, headers)[0] == status
    assert keyed.post("/api/info?api_key=first-key-of-the-test", {}, headers)[0] == status


def test_bad_input_is_answered_and_harms_nothing(open_server):
    for body in (b"", b"{", b"[]", b"\xff", b"{" * 100_000, b'"' + b"a" * 200_000, b"null"):
        for verb in ("publish", "batch", "broadcast", "disconnect"):
            status, headers, answer = open_server.post(f"/api/{verb}", body)
            assert status in (200, 400), (status, answer)
            assert json.loads(answer)["error"]["code"] == 107
            assert headers["Content-Type"] == "application/json"
    status, _, answer = open_server.post("/api/publish", '{"channel":"a","data":1,}')
    assert status == 400 and "byte 24" in json.loads(answer)["error"]["message"]
    assert open_server.get("/api/publish")[0] == 405
    assert open_server.post("/api/nothing", {})[0] == 404
    assert open_server.publish("news:after", 1)["offset"] == 1


def test_the_error_as_status(open_server):
    transport = {"X-Centrifugo-Error-Mode": "transport"}
    status, _, answer = open_server.post("/api/publish", {"data": 1}, transport)
    assert status == 400 and json.loads(answer)["code"] == 107
    assert open_server.post("/api/publish", {"data": 1})[0] == 200


def test_the_older_form(open_server):
    rows = [{"method": "publish", "params": {"channel": "news:old", "data": i}} for i in range(3)]
    status, _, answer = open_server.post("/api", "\n".join(map(json.dumps, rows)))
    assert status == 200
    offsets = [json.loads(line)["result"]["offset"] for line in answer.splitlines()]
    assert offsets == [1, 2, 3]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(keyed):
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-H", "X-API-Key: first-key-of-the-test",
         "-d", '{"channel":"news:curl","data":{"hello":"there"}}', f"{keyed.url}/api/publish"],
        capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["result"]["offset"] == 1, done


def test_peers_that_do_not_wait(open_server):
    """What was accepted is done, although nobody is there for the answer."""
    commands = [{"publish": {"channel": f"news:gone-{i}", "data": i}} for i in range(50)]
    body = json.dumps({"commands": commands}).encode()
    head = (f"POST /api/batch HTTP/1.1\r\nHost: {open_server.address}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", open_server.port)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.sendall(head + body)
            # The answer to a second question on another connection means the first was read.
            open_server.api("info")
    deadline = time.monotonic() + 20
    for i in range(50):
        while True:
            offset = open_server.api("history", {"channel": f"news:gone-{i}"})["result"]["offset"]
            if offset > 0:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_pipelined_publishes_keep_their_order(open_server):
    requests = b""
    for i in range(200):
        body = json.dumps({"channel": "news:pipe", "data": i}).encode()
        requests += (f"POST /api/publish HTTP/1.1\r\nHost: {open_server.address}\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", open_server.port), timeout=20) as peer:
        peer.sendall(requests + (f"POST /api/info HTTP/1.1\r\nHost: {open_server.address}\r\n"
                                 "Connection: close\r\nContent-Length: 0\r\n\r\n").encode())
        answer = b""
        while piece := peer.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 ") == 201
    history = open_server.api("history", {"channel": "news:pipe", "limit": 200})["result"]
    assert history["offset"] == 200
    assert [p["data"] for p in history["publications"]] == list(range(100, 200))
