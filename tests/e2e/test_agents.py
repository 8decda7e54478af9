"""The agents dialect with Node's `ws`, which its pages' client is rebuilt on, with Python's
websockets, and by hand where the bytes before the upgrade are the contract."""

import asyncio
import json
import re
import signal
import socket
import time
import urllib.parse

import jwt
import pytest
import websockets

SECRET = "0123456789abcdef0123456789abcdef"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")
EVENTS = {
    "agent:execution:start": {"agentId": "ag-1"},
    "agent:execution:complete": {
        "agentId": "ag-1", "taskId": "t-1", "duration": 1234, "result": {"insights": ["ção", 1]}},
    "agent:execution:error": {"agentId": "ag-1", "error": "timeout"},
    "task:created": {"taskId": "t-1"},
    "task:approved": {"taskId": "t-1"},
    "task:executed": {"taskId": "t-1"},
    "anything else": {"deep": [[{}]]},
}


@pytest.fixture
def node(start_node):
    return lambda *args: start_node("agents.mjs", *args)


def token(sub="ana", **claims):
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, SECRET, "HS256")


def event(type, data):
    """As agents.mjs prints it, but for the time."""
    line = {"type": type, "data": data}
    return line | {"agentId": data["agentId"]} if "agentId" in data else line


def check(got, type, data):
    assert TIME.fullmatch(got.pop("timestamp"))
    assert got == event(type, data)


def welcome(got, org):
    data = got["data"]
    assert TIME.fullmatch(data.pop("timestamp")) and TIME.fullmatch(got.pop("timestamp"))
    assert got == {"type": "connected", "data": {
        "message": "WebSocket connected successfully", "organizationId": org}}


def upgrade(server, path):
    return (f"GET {path} HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()


def raw(server, path):
    """All that is answered to an upgrade until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(upgrade(server, path))
        answer = b""
        while piece := s.recv(65536):
            answer += piece
        return answer


def test_a_page(start_recado, node):
    server = start_recado("loops: 2")
    one = node("page", server.ws(""), "org-aaa", "user-1")
    other = node("page", server.ws(""), "org-bbb", "user-1")
    for page, org in (one, "org-aaa"), (other, "org-bbb"):
        assert page.next() == {"local": "connected", "organizationId": org, "userId": "user-1"}
        welcome(page.next(), org)
    for type, data in EVENTS.items():
        server.publish("agents", data, tenant="org-aaa", type=type)
        check(one.next(), type, data)
    request = {"permissionId": "p-1", "action": "send_whatsapp"}
    answer = server.api("publish", {"tenant": "org-aaa", "user": "user-1", "data": request,
                                    "type": "permission:pending"})
    assert "error" not in answer
    check(one.next(), "permission:pending", request)
    one.say("ping")
    pong = one.next()
    assert TIME.fullmatch(pong["data"]["timestamp"])
    check(pong, "pong", pong["data"])
    server.publish("agents", {"taskId": "last"}, tenant="org-bbb", type="task:created")
    check(other.next(), "task:created", {"taskId": "last"})  # the first it hears: isolation
    other.say("disconnect")
    assert other.next()["code"] == 1000


def test_a_page_comes_back_after_a_shutdown(start_recado, node):
    server = start_recado("loops: 2")
    pages = [node("page", server.ws(""), f"org-{i % 2}", "", 50) for i in range(4)]
    for page in pages:
        page.next(), page.next()
    server.signal(signal.SIGTERM)
    for page in pages:
        assert page.next() == {
            "local": "disconnected", "code": 1000, "reason": "Server shutdown"}
    server.stop()
    server.start()
    for i, page in enumerate(pages):
        while "type" not in (line := page.next()):
            assert line["local"] in ("disconnected", "connected")
        welcome(line, f"org-{i % 2}")


def test_only_pongs_are_life(start_recado, node):
    server = start_recado("websocket: { heartbeat_interval: 1s }")
    living = node("page", server.ws(""), "org-aaa", "")
    living.next(), living.next()
    deaf = node("deaf", server.ws(""))
    assert deaf.next() == "ping"
    assert deaf.next() == {"code": 1006, "reason": ""}
    server.publish("agents", {"a": 1}, tenant="org-aaa", type="still here")
    check(living.next(), "still here", {"a": 1})


def test_bytes_before_the_upgrade(start_recado):
    server = start_recado("listen: [{ address: '127.0.0.1:PORT', dialect: agents }]")
    missing = (b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"
               b"Missing organizationId\r\n")
    assert raw(server, "/ws/agents") == missing
    assert raw(server, "/ws/agents?organizationId=") == missing
    assert raw(server, "/ws/agents?userId=ana&token=x") == missing
    assert raw(server, "/ws/other?organizationId=a") == b"HTTP/1.1 404 Not Found\r\n\r\n"
    status, _, body = server.get("/nothing/here")
    assert status == 404 and json.loads(body)["error"]["code"] == 404


async def test_what_is_ignored(shared_recado):
    url = shared_recado.ws("/ws/agents?organizationId=ignored")
    async with websockets.connect(url, compression="deflate") as ws:
        assert not ws.protocol.extensions  # it is not negotiated
        welcome(json.loads(await ws.recv()), "ignored")
        nested = "[" * 5000 + "]" * 5000
        for wrong in ("", "ping", "{", "null", "[]", '"ping"', '{"type":"PING"}', '{"type":null}',
                      '{"type":["ping"]}', '{"action":"ping"}', '{"type":"chat:send"}', nested,
                      '{"type":"ping","data":' + nested + "}", b"\xff\xfe", b"\x00", "2probe",
                      '{"type":"subscribe","data":{"tenant":"other","channel":"agents"}}',
                      "x" * (10 << 20)):
            await ws.send(wrong)
        await ws.send('{"data":[],"\\u0074ype":"p\\u0069ng"}')
        assert json.loads(await ws.recv())["type"] == "pong"


async def test_ids_are_any_text(shared_recado):
    for org, user in ("Café do Zé", "Ana Maria"), (" a ", "b "), ("{a|b}", "x@y.z"), ('"\\', "#,;$"):
        org = "any " + org
        query = urllib.parse.urlencode({"organizationId": org, "userId": user})
        async with websockets.connect(shared_recado.ws("/ws/agents?" + query)) as ws:
            welcome(json.loads(await ws.recv()), org)
            assert stats(shared_recado)["clientsByOrg"][org] == 1
            for target in {"channel": "agents"}, {"user": user}:
                answer = shared_recado.api(
                    "publish", {"tenant": org, **target, "type": "x", "data": target})
                assert "error" not in answer
                assert json.loads(await asyncio.wait_for(ws.recv(), 20))["data"] == target


async def test_a_token_that_nobody_could_check_is_ignored(shared_recado):
    for token in "abc", "x.y.z", "a" * 7000:
        url = shared_recado.ws("/ws/agents?organizationId=open&token=" + token)
        async with websockets.connect(url) as ws:
            welcome(json.loads(await ws.recv()), "open")


async def test_what_ends_a_connection(shared_recado):
    url = shared_recado.ws("/ws/agents?organizationId=ended")
    async with websockets.connect(url) as ws:
        await ws.recv()
        ws.transport.write(b"\x82\xff" + ((16 << 20) + 1).to_bytes(8, "big") + bytes(4))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd.code == 1009


def stats(server):
    status, headers, body = server.get("/api/websocket/stats")
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    return json.loads(body)


async def test_stats(start_recado):
    server = start_recado("loops: 3")
    nobody = {"totalClients": 0, "organizationsConnected": 0, "clientsByOrg": {}}
    assert stats(server) == nobody
    urls = [server.ws(f"/ws/agents?organizationId=org-{org}") for org in ("aaa", "bbb", "aaa")] * 4
    clients = [await websockets.connect(url) for url in urls]
    for client in clients:
        await client.recv()
    assert stats(server) == {"totalClients": 12, "organizationsConnected": 2,
                             "clientsByOrg": {"org-aaa": 8, "org-bbb": 4}}
    for client in clients:
        await client.close()
    while stats(server) != nobody:
        await asyncio.sleep(0.02)


async def test_tokens(start_recado):
    server = start_recado(f"""
auth: {{ hmac_secret: "{SECRET}", api_keys: ["a key of some length"] }}
endpoints: [{{ path: /ws/agents, dialect: agents, auth: required }}]
""")
    path = "/ws/agents?organizationId=org-aaa"

    async def refused(more):
        with pytest.raises(websockets.InvalidStatus) as answer:
            await websockets.connect(server.ws(path + more))
        return answer.value.response.status_code

    assert raw(server, "/ws/agents?token=" + token()).endswith(b"Missing organizationId\r\n")
    assert await refused("") == 401
    assert await refused("&token=" + token(organization_id="org-aaa", exp=1)) == 401
    assert await refused("&token=" + token(organization_id="org-bbb")) == 403
    assert await refused("&userId=bob&token=" + token(organization_id="org-aaa")) == 403
    good = "&token=" + token(organization_id="org-aaa")
    async with websockets.connect(server.ws(path + good)) as ws:
        welcome(json.loads(await ws.recv()), "org-aaa")
        server.api("publish", {"tenant": "org-aaa", "user": "ana", "type": "x", "data": 1},
                   key="a key of some length")
        assert json.loads(await ws.recv())["data"] == 1
        assert server.get("/api/websocket/stats")[0] == 401
        answer = server.get("/api/websocket/stats", {"X-API-Key": "a key of some length"})
        assert json.loads(answer[2])["clientsByOrg"] == {"org-aaa": 1}


async def test_whoever_is_welcomed_hears_everything(start_recado):
    """The publisher may be on the organization's own loop, and so overtake the subscription."""
    server = start_recado("loops: 4")
    for i in range(100):
        org = f"org-{i}"
        async with websockets.connect(
                server.ws(f"/ws/agents?organizationId={org}&userId=ana")) as ws:
            welcome(json.loads(await ws.recv()), org)
            server.publish("agents", i, tenant=org, type="a")
            server.publish("user:ana", i, tenant=org, type="b")
            got = [json.loads(await asyncio.wait_for(ws.recv(), 20)) for _ in range(2)]
            assert sorted((one["type"], one["data"]) for one in got) == [("a", i), ("b", i)]


@pytest.mark.parametrize("clients, organizations", [(50, 2), (5000, 10)])
def test_many_clients(start_recado, node, clients, organizations):
    server = start_recado("loops: 4\nclient: { connects_per_second_per_address: 0 }")
    stress = node("stress", server.ws(""), clients, organizations)
    assert stress.next() == "open"
    assert stats(server)["totalClients"] == clients
    assert stats(server)["clientsByOrg"] == {
        f"org-{i}": clients // organizations for i in range(organizations)}
    rounds = 5
    stress.say(rounds + 1)
    for n in range(rounds):
        commands = [{"publish": {"tenant": f"org-{i}", "channel": "agents", "type": "task:created",
                                 "data": {"org": f"org-{i}", "n": n}}} for i in range(organizations)]
        server.api("batch", {"commands": commands})
    for first in range(0, clients, 100):
        commands = [{"publish": {"tenant": f"org-{i % organizations}", "user": f"user-{i}",
                                 "type": "permission:pending",
                                 "data": {"org": f"org-{i % organizations}", "user": f"user-{i}"}}}
                    for i in range(first, min(first + 100, clients))]
        server.api("batch", {"commands": commands})
    assert stress.next() == {"clients": clients, "events": clients * (rounds + 1), "foreign": 0,
                             "disordered": 0}


def frames(head, data):
    """What is in whole, short, unmasked text frames behind the answer to an upgrade."""
    at = data.index(b"\r\n\r\n") + 4
    assert data.startswith(head)
    while at < len(data):
        n, start = data[at + 1], at + 2
        if n == 126:
            n, start = int.from_bytes(data[at + 2:at + 4]), at + 4
        yield json.loads(data[start:start + n])
        at = start + n


def test_the_welcome_is_the_first_word(start_recado):
    """Also when a ping arrives together with the handshake, before other loops have answered."""
    server = start_recado("loops: 3")
    ping = b'{"type":"ping"}'
    for i in range(60):
        more = b"".join(bytes([0x81, 0x80 | len(m), 0, 0, 0, 0]) + m for m in (ping, b"x", ping))
        got = b""
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
            s.sendall(upgrade(server, f"/ws/agents?organizationId=org-{i}&userId=u{i % 2 or ''}") + more)
            while got.count(b'"type"') < 3:
                got += s.recv(65536)
        types = [frame["type"] for frame in frames(b"HTTP/1.1 101 ", got)]
        assert types == ["connected", "pong", "pong"]
