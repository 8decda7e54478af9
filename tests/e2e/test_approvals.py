"""Approvals: what an agent may not do before somebody has said yes. Requests come as events or by
REST, are asked again when a page comes back, and are decided once."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import re
import sqlite3
import threading
import time
import urllib.parse

import jwt
import pytest
import websockets

from servers import open_url
from test_durable import Database, until

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "a key of some length"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")
FIELDS = {"id", "action", "agent_id", "task_id", "user", "details", "status", "requested_at",
          "expires_at", "decided_at", "decided_by", "note"}


@pytest.fixture
def node(start_node):
    return lambda *args: start_node("agents.mjs", *args)


@pytest.fixture(params=["mariadb", "postgres"])
def database(request):
    database = Database(request.param)
    yield database
    database.end()


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def any_store(request):
    if request.param == "sqlite":
        yield "loops: 3"
        return
    database = Database(request.param)
    yield f"loops: 3\nstore: '{database.url}'"
    database.end()


def ask(server, method, path="", body=None, headers=None, tenant="org-aaa"):
    data = None if body is None else json.dumps(body).encode()
    if tenant:
        path += ("&" if "?" in path else "?") + "tenant=" + urllib.parse.quote(tenant)
    status, _, answer = open_url(server.url + "/api/approvals" + path, data, headers, method, timeout=60)
    return status, json.loads(answer)


def good(server, method, path="", body=None, status=200, **more):
    got, answer = ask(server, method, path, body, **more)
    assert got == status, (got, answer)
    return answer


def why(server, status, method, path="", body=None, **more):
    return good(server, method, path, body, status, **more)["error"]["message"]


def pending(server, count=None, **more):
    """Those that wait, when there are so many: what passes is kept a moment later."""
    def look():
        answer = good(server, "GET", "?status=pending", **more)
        rows = answer["approvals"]
        return rows if count is None or answer["total"] == len(rows) == count else None
    return look() if count is None else until(f"{count} are pending", look)


def emit(server, type, data, user=None, channel="agents", tenant="org-aaa"):
    target = {"user": user} if user else {"channel": channel}
    answer = server.api("publish", {"tenant": tenant, "type": type, "data": data, **target})
    assert "error" not in answer, answer


class Socket:
    """A socket of the agents; events as (type, data)."""

    def __init__(self, server, user="", org="org-aaa", more=""):
        query = urllib.parse.urlencode({"organizationId": org, **({"userId": user} if user else {})})
        self.url = server.ws("/ws/agents?" + query + more)

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, max_size=None)
        assert (await self.next())[0] == "connected"
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def next(self):
        event = json.loads(await asyncio.wait_for(self.ws.recv(), 60))
        assert set(event) == {"type", "data", "timestamp"} and TIME.fullmatch(event["timestamp"])
        return event["type"], event["data"]

    async def say(self, type, data):
        await self.ws.send(json.dumps({"type": type, "data": data}))

    async def nothing_more(self):
        """What comes next is the answer to a ping."""
        await self.say("ping", {})
        assert (await self.next())[0] == "pong"


class Updates:
    """What is told on the channel approvals, by the event stream."""

    def __init__(self, server, tenant="org-aaa"):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request("GET", f"/events?channel=approvals&tenant={tenant}")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200

    def next(self):
        event = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if line.startswith(("event:", "data:")):
                name, _, value = line.partition(": ")
                event[name] = value
            if not line and "data" in event:
                assert event.get("event") == "approval:update", event
                return json.loads(event["data"])

    def end(self):
        self.connection.close()


async def said(function, *args, **more):
    return await asyncio.to_thread(function, *args, **more)


REQUEST = {"permissionId": "p-1", "action": "send_whatsapp", "agentId": "ag-1", "taskId": 42,
           "details": {"para": "Zé", "texto": "olá \U0001f600"}}


async def test_a_request_of_a_back_end_is_decided_by_its_user(start_recado, any_store):
    server = start_recado(any_store)
    updates = await said(Updates, server)
    async with Socket(server, "user-1") as user, Socket(server, "user-2") as other:
        emit(server, "permission:pending", REQUEST, user="user-1")
        assert await user.next() == ("permission:pending", REQUEST)
        [row] = await said(pending, server, 1)
        assert set(row) == FIELDS and TIME.fullmatch(row["requested_at"])
        assert {k: row[k] for k in ("id", "action", "agent_id", "task_id", "user", "status")} == {
            "id": "p-1", "action": "send_whatsapp", "agent_id": "ag-1", "task_id": 42,
            "user": "user-1", "status": "pending"}
        assert row["details"] == REQUEST["details"] and row["decided_at"] is None
        assert await said(updates.next) == {"id": row["id"], "status": row["status"]}
        await other.say("permission:approve", {"permissionId": "p-1"})
        assert await other.next() == ("permission:error", {
            "permissionId": "p-1", "message": "it is asked of somebody else"})
        server.kill()
        server.start()
    async with Socket(server, "user-1") as user, Socket(server, "user-2") as other:
        assert await user.next() == ("permission:pending", REQUEST)  # asked again
        await other.nothing_more()
        updates = await said(Updates, server)
        await user.say("permission:approve", {"permissionId": "p-1", "note": "pode", "by": "forged"})
        approved = ("task:approved", {"taskId": 42, "permissionId": "p-1", "approvedBy": "user-1",
                                      "action": "send_whatsapp", "agentId": "ag-1", "note": "pode"})
        assert sorted([await user.next(), await user.next()], key=lambda e: e[0]) == [
            ("permission:decided", {"permissionId": "p-1", "status": "approved"}), approved]
        assert await other.next() == approved
        row = await said(good, server, "GET", "/p-1")
        assert (row["status"], row["decided_by"], row["note"]) == ("approved", "user-1", "pode")
        assert TIME.fullmatch(row["decided_at"]) and (
            await said(updates.next) == {"id": row["id"], "status": row["status"]})
        await user.say("permission:approve", {"permissionId": "p-1"})
        assert (await user.next())[0] == "permission:decided"  # and is not told again
        await user.say("permission:deny", {"permissionId": "p-1"})
        assert await user.next() == ("permission:error", {
            "permissionId": "p-1", "message": "it has been approved already"})
        await other.nothing_more()
    async with Socket(server, "user-1") as user:
        await user.nothing_more()
    updates.end()


async def test_requests_by_rest(start_recado, any_store):
    server = start_recado(any_store)
    async with Socket(server, "user-1") as user, Socket(server) as anybody:
        row = await said(good, server, "POST", "", {
            "action": "delete_files", "user": "user-1", "agent_id": 7, "task_id": "t-9",
            "details": {"path": "/x"}}, 201)
        assert set(row) == FIELDS and len(row["id"]) == 36 and row["user"] == "user-1"
        assert (row["agent_id"], row["task_id"], row["details"]) == (7, "t-9", {"path": "/x"})
        asked = {"permissionId": row["id"], "action": "delete_files", "agentId": 7,
                 "taskId": "t-9", "userId": "user-1", "details": {"path": "/x"}}
        assert await user.next() == ("permission:pending", asked)
        await anybody.nothing_more()
        again = await said(good, server, "POST", "", {"id": row["id"], "action": "other"})
        assert again == row  # it is there already
        row = await said(good, server, "POST", "", {"id": "café 1/2", "action": "a"}, 201)
        for socket in user, anybody:
            assert await socket.next() == ("permission:pending", {"permissionId": "café 1/2", "action": "a"})
        assert row["details"] == {"permissionId": "café 1/2", "action": "a"} and row["user"] is None
        path = "/" + urllib.parse.quote("café 1/2", safe="")
        assert await said(good, server, "GET", path) == row
        denied = await said(good, server, "POST", path + "/deny", {"by": "chefe", "note": "não"})
        assert (denied["status"], denied["decided_by"], denied["note"]) == ("denied", "chefe", "não")
        for socket in user, anybody:
            assert await socket.next() == ("permission:denied", {
                "taskId": None, "permissionId": "café 1/2", "deniedBy": "chefe", "action": "a",
                "agentId": None, "note": "não"})
        assert await said(good, server, "POST", path + "/deny") == denied
        assert "denied already" in await said(why, server, 409, "POST", path + "/approve")
        await anybody.nothing_more()
    assert why(server, 404, "POST", "/nobody/approve") == "there is no such approval"
    assert why(server, 404, "GET", "/nobody") == "there is no such approval"
    assert ask(server, "POST", "/p/other")[0] == 404 and ask(server, "POST", "/approve")[0] == 404
    assert ask(server, "DELETE", "/p")[0] == 405
    for body, text in (({}, "action: is required"), ([], "must be a JSON object"),
                       ({"action": 1}, "action: must be a string"),
                       ({"action": "a", "user": "*"}, "user: must be"),
                       ({"action": "a", "user": "x\n"}, "user: must be"),
                       ({"action": "a", "id": "x" * 251}, "id: must be"),
                       ({"action": "a", "id": ""}, "id: must be"),
                       ({"action": "a", "details": [1]}, "details: must be an object"),
                       ({"action": "a", "details": {"x": "y" * 9000}}, "details: is longer than 8192"),
                       ({"action": "a", "expires_in": "soon"}, "expires_in: must be a duration"),
                       ({"action": "a", "expires_in": 0}, "expires_in: must be more than nothing")):
        assert text in why(server, 400, "POST", "", body), body
    assert "status: must be one of pending, approved" in why(server, 400, "GET", "?status=x")
    assert "state: no such parameter; there are status, user, limit, offset" in why(
        server, 400, "GET", "?state=pending")
    for limit in "0", "501", "x":
        assert "limit" in why(server, 400, "GET", "?limit=" + limit)


def test_lists(start_recado, any_store):
    server = start_recado(any_store)
    users = [None, "ana", "bob"]
    rows = [good(server, "POST", "", {"action": f"a{i}", "id": str(i), "user": users[i % 3]}, 201)
            for i in range(20)]
    for i in (3, 4, 5):
        rows[i] = good(server, "POST", f"/{i}/approve")
    newest = rows[::-1]
    assert good(server, "GET") == {"approvals": newest, "total": 20}
    assert good(server, "GET", "?limit=5&offset=2") == {"approvals": newest[2:7], "total": 20}
    assert good(server, "GET", "?status=approved")["approvals"] == [rows[5], rows[4], rows[3]]
    mine = [row for row in newest if row["user"] == "ana" and row["status"] == "pending"]
    assert good(server, "GET", "?status=pending&user=ana") == {"approvals": mine, "total": len(mine)}
    assert good(server, "GET", tenant="org-bbb") == {"approvals": [], "total": 0}


async def test_odd_requests_that_pass(start_recado):
    server = start_recado("loops: 2")
    emit(server, "permission:pending", {"action": "no id"})
    [row] = await said(pending, server, 1)
    assert len(row["id"]) == 36 and row["user"] is None
    await said(good, server, "POST", f"/{row['id']}/deny")
    for odd in ([], "x", None, {"permissionId": ""}, {"permissionId": {}, "action": "b"},
                {"permissionId": "x" * 300}, {"permissionId": "big", "x": "y" * 20000}):
        emit(server, "permission:pending", odd)
    emit(server, "permission:pending", {"permissionId": 7, "action": ["odd"], "userId": 9})
    emit(server, "permission:pending", {"permissionId": 7, "action": "the first counts"})
    rows = await said(pending, server, 2)
    assert {(r["id"] if r["id"] == "7" else "made up", r["user"], r["action"]) for r in rows} == {
        ("7", "9", None), ("made up", None, "b")}
    async with Socket(server, "9") as user:
        got = [await user.next(), await user.next()]
        assert ("permission:pending", {"permissionId": 7, "action": ["odd"], "userId": 9}) in got
        await user.say("permission:deny", {"permissionId": 7})
        got = dict([await user.next(), await user.next()])
        assert got["permission:denied"]["permissionId"] == 7
        assert got["permission:decided"] == {"permissionId": 7, "status": "denied"}
        for wrong in None, {}, {"permissionId": None}, {"permissionId": ["p"]}, {"permissionId": ""}:
            await user.say("permission:approve", wrong)
            assert (await user.next())[0] == "permission:error"


async def test_a_decision_of_the_application_itself(start_recado):
    """Its own pages decide, and publish what they did: nobody is asked again."""
    server = start_recado("loops: 3")
    emit(server, "permission:pending", {"permissionId": "a", "action": "x"}, user="ana")
    emit(server, "permission:pending", {"permissionId": "b", "action": "x"}, user="ana")
    await said(pending, server, 2)
    emit(server, "task:approved", {"permissionId": "a", "taskId": 1, "approvedBy": "chefe"})
    emit(server, "permission:denied", {"permissionId": "b", "deniedBy": 3, "note": "não"})
    emit(server, "task:approved", {"taskId": 1})
    emit(server, "task:approved", {"permissionId": "unknown"})
    await said(until, "nothing is pending", lambda: not pending(server))
    rows = {row["id"]: (row["status"], row["decided_by"], row["note"])
            for row in good(server, "GET")["approvals"]}
    assert rows == {"a": ("approved", "chefe", None), "b": ("denied", "3", "não")}


async def test_an_agent_that_asks_again_is_told(start_recado):
    server = start_recado("loops: 3")
    emit(server, "permission:pending", REQUEST, user="ana")
    await said(pending, server, 1)
    await said(good, server, "POST", "/p-1/approve", {"by": "bob"})
    async with Socket(server) as agent:
        emit(server, "permission:pending", REQUEST, user="ana")
        type, data = await agent.next()
        assert type == "task:approved" and data["approvedBy"] == "bob"
    assert good(server, "GET")["total"] == 1


async def test_one_decision_wins(start_recado, any_store):
    """Many deciders at once, by REST and by sockets on all loops."""
    server = start_recado(any_store)
    rounds, deciders = 8, 12
    async with Socket(server) as watcher:
        for n in range(rounds):
            await said(good, server, "POST", "", {"id": f"r{n}", "action": "x"}, 201)
            assert (await watcher.next())[0] == "permission:pending"
            barrier = threading.Barrier(deciders)

            def decide(i):
                barrier.wait()
                verb = "approve" if i % 2 else "deny"
                return verb, ask(server, "POST", f"/r{n}/{verb}", {"by": f"d{i}"})

            def race():
                with concurrent.futures.ThreadPoolExecutor(deciders) as pool:
                    return list(pool.map(decide, range(deciders)))

            results = await said(race)
            row = await said(good, server, "GET", f"/r{n}")
            won = {"approved": "approve", "denied": "deny"}[row["status"]]
            for verb, (status, answer) in results:
                assert (status, answer) == (200, row) if verb == won else status == 409
            type, data = await watcher.next()
            assert type == {"approve": "task:approved", "deny": "permission:denied"}[won]
            assert data["approvedBy" if won == "approve" else "deniedBy"] == row["decided_by"]
            await watcher.nothing_more()


async def test_requests_expire(start_recado, any_store):
    server = start_recado(any_store)
    updates = await said(Updates, server)
    await said(good, server, "POST", "", {"id": "short", "action": "x", "user": "ana",
                                          "expires_in": "300ms"}, 201)
    emit(server, "permission:pending", {"permissionId": "seen", "action": "x", "expiresIn": 1})
    await said(good, server, "POST", "", {"id": "long", "action": "x", "expires_in": "1h"}, 201)
    await said(until, "two have expired", lambda: good(server, "GET", "?status=expired")["total"] == 2)
    assert [row["id"] for row in pending(server)] == ["long"]
    told = [(row["id"], row["status"]) for row in [await said(updates.next) for _ in range(5)]]
    assert told.count(("short", "expired")) == told.count(("seen", "expired")) == 1
    assert "expired" in why(server, 409, "POST", "/short/approve")
    async with Socket(server, "ana") as user:
        assert (await user.next())[1]["permissionId"] == "long"
        await user.nothing_more()
    again = await said(good, server, "POST", "", {"id": "short", "action": "y", "expires_in": "700ms"}, 201)
    assert (again["status"], again["action"]) == ("pending", "y")
    server.kill()
    server.start()
    await said(until, "it expires after a restart", lambda: good(
        server, "GET", "/short")["status"] == "expired")
    updates.end()


def test_what_is_over_is_forgotten(start_recado):
    """Of a server that was down meanwhile: the rows know how old they are."""
    server = start_recado("approvals: {keep: 1h}")
    for n in range(1200):
        good(server, "POST", "", {"id": str(n), "action": "x"}, 201)
        if n % 3 < 2:
            good(server, "POST", f"/{n}/" + ("approve", "deny")[n % 3])
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data / "recado.db")) as db:
        db.execute("UPDATE recado_approvals SET settled_at = settled_at - 3700000 WHERE status <> "
                   "'pending' AND id <> '3'")
        db.commit()
    server.start()
    until("all but one are gone", lambda: good(server, "GET", "?status=approved")["total"] == 1
          and good(server, "GET", "?status=denied")["total"] == 0)
    assert good(server, "GET", "?status=pending")["total"] == 400
    assert good(server, "GET", "/3")["status"] == "approved"
    until("they are counted", lambda: server.metrics()["recado_approvals_forgotten_total"] == 799)
    assert good(server, "POST", "", {"id": "0", "action": "y"}, 201)["status"] == "pending"


async def test_isolation_and_tokens(start_recado):
    server = start_recado(f"""
auth: {{ hmac_secret: "{SECRET}", api_keys: ["{KEY}"] }}
loops: 2
endpoints: [{{ path: /ws/agents, dialect: agents, auth: required }}]
""")

    def token(user, org="org-aaa"):
        return jwt.encode({"sub": user, "org": org, "exp": int(time.time()) + 600}, SECRET, "HS256")

    def bearer(user, org="org-aaa"):
        return {"headers": {"Authorization": "Bearer " + token(user, org)}, "tenant": None}

    key = {"headers": {"X-API-Key": KEY}}
    assert ask(server, "GET")[0] == 401
    assert ask(server, "POST", "", {"action": "x"}, **bearer("ana"))[0] == 403
    for org in "org-aaa", "org-bbb":
        for name, user in ("for-ana", "ana"), ("for-bob", "bob"), ("for-all", None):
            good(server, "POST", "", {"id": name, "action": org, "user": user}, 201, tenant=org, **key)
    listed = good(server, "GET", **bearer("ana"))
    assert [row["id"] for row in listed["approvals"]] == ["for-all", "for-ana"] and listed["total"] == 2
    assert {row["action"] for row in listed["approvals"]} == {"org-aaa"}
    assert ask(server, "GET", "/for-bob", **bearer("ana"))[0] == 404
    assert ask(server, "POST", "/for-bob/approve", {}, **bearer("ana"))[0] == 403
    assert ask(server, "GET", "?tenant=org-bbb", **bearer("ana"))[0] == 403
    row = good(server, "POST", "/for-ana/approve", {"by": "bob"}, **bearer("ana"))
    assert row["decided_by"] == "ana"
    async with Socket(server, "ana", "org-bbb", "&token=" + token("ana", "org-bbb")) as ana:
        assert [(await ana.next())[1]["permissionId"] for _ in range(2)] == ["for-ana", "for-all"]
        await ana.say("permission:approve", {"permissionId": "for-all"})
        assert sorted([(await ana.next())[0], (await ana.next())[0]]) == [
            "permission:decided", "task:approved"]
    assert good(server, "GET", "/for-all", **key)["status"] == "pending"  # of the other tenant
    status = good(server, "GET", "/for-all", headers=key["headers"], tenant="org-bbb")["status"]
    assert status == "approved"


async def test_nobody_decides_under_a_name_that_was_only_said(start_recado):
    """Where tokens can be checked, a page without one is nobody in particular, whatever it says."""
    server = start_recado(f'auth: {{hmac_secret: "{SECRET}", api_keys: ["{KEY}"]}}\nloops: 2')
    key = {"headers": {"X-API-Key": KEY}, "tenant": "default"}
    for name, user in ("for-ana", "ana"), ("for-all", None):
        good(server, "POST", "", {"id": name, "action": "x", "user": user}, 201, **key)
    async with Socket(server, "ana", org="default") as page:
        for name in "for-ana", "for-all":
            for verb in "approve", "deny":
                await page.ws.send(json.dumps({"type": f"permission:{verb}",
                                               "data": {"permissionId": name}}))
                kind, data = await page.next()  # and so nothing was asked again before
                assert kind == "permission:error" and "token" in data["message"]
    async with websockets.connect(server.ws_url) as ws:
        await ws.send(json.dumps({"id": 1, "connect": {}}))
        assert "error" not in json.loads(await ws.recv())
        for method in "list", "approve", "deny":
            await ws.send(json.dumps({"id": 2, "rpc": {"method": f"approvals.{method}",
                                                       "data": {"id": "for-all"}}}))
            assert json.loads(await ws.recv())["error"]["code"] == 103
    assert {row["status"] for row in good(server, "GET", **key)["approvals"]} == {"pending"}


async def test_native_clients(start_recado):
    """The rpc of the native dialect: the same fields and results."""
    server = start_recado(f'auth: {{hmac_secret: "{SECRET}", api_keys: ["{KEY}"]}}\nloops: 2')
    key = {"headers": {"X-API-Key": KEY}}
    rows = {name: good(server, "POST", "", {"id": name, "action": "x", "user": user}, 201, **key)
            for name, user in (("1", "ana"), ("2", "bob"), ("3", None))}
    token = jwt.encode({"sub": "ana", "org": "org-aaa", "exp": int(time.time()) + 600}, SECRET, "HS256")
    async with websockets.connect(server.ws_url) as ws:
        async def rpc(method, data):
            await ws.send(json.dumps({"id": 7, "rpc": {"method": method, "data": data}}))
            reply = json.loads(await asyncio.wait_for(ws.recv(), 60))
            assert reply.pop("id") == 7
            return reply["rpc"]["data"] if "rpc" in reply else reply["error"]

        await ws.send(json.dumps({"id": 1, "connect": {"token": token}}))
        assert "error" not in json.loads(await ws.recv())
        assert await rpc("approvals.list", {"status": "pending"}) == {
            "approvals": [rows["3"], rows["1"]], "total": 2}
        assert await rpc("approvals.list", {"limit": 1, "offset": 1}) == {
            "approvals": [rows["1"]], "total": 2}
        row = await rpc("approvals.approve", {"id": "1", "note": "pode", "by": "forged"})
        assert (row["status"], row["decided_by"], row["note"]) == ("approved", "ana", "pode")
        assert await rpc("approvals.approve", {"permissionId": 1}) == row
        assert "approved already" in (await rpc("approvals.deny", {"id": "1"}))["message"]
        assert (await rpc("approvals.deny", {"id": "2"}))["code"] == 103
        assert (await rpc("approvals.deny", {"id": "3"}))["status"] == "denied"
        for method, data, text in (("approve", {}, "id: must be"), ("deny", {"id": "none"}, "no such"),
                                   ("list", {"limit": 0}, "limit"), ("list", {"status": "x"}, "status"),
                                   ("list", [], "object")):
            assert text in (await rpc("approvals." + method, data))["message"]
    assert good(server, "GET", "/2", **key)["status"] == "pending"


async def test_a_database_that_is_away(start_recado, database):
    server = start_recado(f"loops: 2\nstore: '{database.url}'")
    good(server, "POST", "", {"id": "p", "action": "x"}, 201)
    async with Socket(server) as watcher:
        await said(database, "stop")
        assert (await said(ask, server, "POST", "/p/approve"))[0] == 503
        assert (await said(ask, server, "POST", "", {"id": "q", "action": "x"}))[0] == 503
        assert (await said(ask, server, "GET"))[0] == 503
        emit(server, "permission:pending", {"permissionId": "passes on", "action": "x"})
        assert (await watcher.next())[1]["permissionId"] == "passes on"
        await watcher.say("permission:approve", {"permissionId": "p"})
        assert (await watcher.next())[0] == "permission:error"
        await said(database, "start")
        await said(until, "it is decided", lambda: ask(server, "POST", "/p/approve")[0] == 200)
        assert (await watcher.next())[0] == "task:approved"
        await watcher.nothing_more()
    assert good(server, "GET", "?status=approved")["total"] == 1
    assert ask(server, "GET", "/q")[0] == 404


def test_a_page_that_is_reloaded(start_recado, node):
    """The application's own client: it reconnects by itself, and is asked again."""
    server = start_recado("loops: 2")
    page = node("page", server.ws(""), "org-aaa", "user-1", 50)
    page.next(), page.next()
    emit(server, "permission:pending", REQUEST, user="user-1")
    assert page.next()["data"] == REQUEST
    pending(server, 1)
    server.kill()
    server.start()
    while (line := page.next()).get("type") != "connected":
        pass
    assert page.next()["data"] == REQUEST
    page.say(f"approve {REQUEST['permissionId']}")
    assert {page.next()["type"], page.next()["type"]} == {"task:approved", "permission:decided"}
    many = node("page", server.ws(""), "org-aaa", "user-2", 50)
    many.next(), many.next()
    for i in range(130):
        good(server, "POST", "", {"id": f"m{i}", "action": "x", "user": "user-2"}, 201)
        many.next()
    reloaded = node("page", server.ws(""), "org-aaa", "user-2", 50)
    reloaded.next(), reloaded.next()
    ids = [reloaded.next()["data"]["permissionId"] for _ in range(100)]
    assert ids == [f"m{i}" for i in range(30, 130)]
