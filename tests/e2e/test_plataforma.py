"""The plataforma dialect with Python's websockets and Node's `ws`, curl for its REST, and a page in
Chromium that does what the application's dashboard does."""

import asyncio
import json
import re
import subprocess
import time
import uuid
from pathlib import Path

import jwt
import pytest
import websockets

SECRET = "0123456789abcdef0123456789abcdef"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ID = re.compile(r"[0-9a-f]{8}")
EVENTS = {
    "story_created": {"story_id": "STR-0001", "title": "Login", "project_id": "PROJ-001"},
    "story_updated": {"story_id": "STR-0001", "title": "Login"},
    "story_moved": {"story_id": "STR-0001", "title": "Login", "to": "done"},
    "story_deleted": {"story_id": "STR-0001"},
    "task_created": {"task_id": "T-1", "title": "ção", "story_id": "STR-0001"},
    "task_updated": {"task_id": "T-1", "title": "t", "progress": 50, "story_id": "STR-0001"},
    "task_completed": {"task_id": "T-1", "title": "t", "story_id": "STR-0001"},
    "task_deleted": {"task_id": "T-1"},
    "chat_message": {"preview": "oi"},
    "job_started": {"job_id": "j-1", "status": "running"},
    "job_completed": {"job_id": "j-1", "status": "completed"},
    "job_progress": {"job_id": "j-1", "progress": 50, "status": "running", "output": "..."},
    "job_failed": {"job_id": "j-1", "status": "failed", "error": "e"},
    "notification": {"title": "t", "message": "m", "level": "info"},
    "error": {"message": "m", "code": "c"},
    "log_message": {"level": "info", "message": "m", "source": "s"},
    "project_created": {"project_id": "PROJ-001"},
    "project_updated": {"project_id": "PROJ-001"},
    "broadcast": {"x": 1},
}
LINKS = ("project_id", "story_id", "task_id", "user_id")


def curl(url, *args):
    """(status, body as JSON)"""
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *args, url],
                          capture_output=True, text=True, timeout=30, check=True)
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(body) if body else None


def broadcast(server, body, query=""):
    """In the document's style, or with a query in the code's."""
    status, answer = curl(f"{server.url}/api/ws/broadcast{query}", "-X", "POST", "-H",
                          "Content-Type: application/json", "-d", json.dumps(body))
    assert status == 200, answer
    return answer["sent_to"]


def stats(server, query=""):
    status, answer = curl(f"{server.url}/api/ws/stats{query}")
    assert status == 200
    assert TIME.fullmatch(answer["started_at"])
    return answer


async def until(ask, wanted):
    """What is counted on another loop, or when a connection has gone, is true soon after."""
    while True:
        got = await asyncio.to_thread(ask)
        if got == wanted:
            return
        await asyncio.sleep(0.05)


async def get(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), 30))


def check(message, type, data, **links):
    """The whole envelope, but for the time; returns the message's id."""
    assert TIME.fullmatch(message.pop("timestamp"))
    message_id = message.pop("message_id")
    assert ID.fullmatch(message_id)
    assert message == {"type": type, "data": data, **links}
    return message_id


def check_event(message, type, data, **links):
    named = {k: data[k] for k in LINKS if k in data} | links
    return check(message, type, data, **named)


GREETING = {"status": "connected",
            "message": "Conectado ao servidor de notificacoes em tempo real"}


async def notifications(server, query="", **options):
    ws = await websockets.connect(server.ws(f"/ws/notifications{query}"), proxy=None, **options)
    check(await get(ws), "connection", GREETING)
    return ws


async def of_project(server, project, query=""):
    ws = await websockets.connect(server.ws(f"/ws/project/{project}{query}"), proxy=None)
    check(await get(ws), "connection", {
        "status": "connected", "message": f"Conectado ao projeto {project}",
        "project_id": project}, project_id=project)
    await confirmed(ws, project)
    return ws


async def confirmed(ws, project):
    check(await get(ws), "subscribed", {
        "project_id": project, "message": f"Inscrito no projeto {project}"}, project_id=project)


async def logs(server, query="", level="info", source=None):
    ws = await websockets.connect(server.ws(f"/ws/logs{query}"), proxy=None)
    check(await get(ws), "connection", {
        "status": "connected", "message": "Streaming de logs iniciado", "level_filter": level,
        "source_filter": source})
    return ws


async def silent(*clients):
    """Nothing has come to them: what is sent first arrives first, and pong is sent last."""
    for ws in clients:
        await ws.send("ping")
        check(await get(ws), "pong", {"status": "pong"})


@pytest.fixture
def node(start_node):
    return lambda *args: start_node("plataforma.mjs", *args)


# ---- commands and events ----


async def test_connection_then_pong(start_recado):
    """The application's own test: one connection frame, and the next one is the pong."""
    server = start_recado("loops: 2")
    for _ in range(8):  # on both loops
        async with await notifications(server) as ws:
            await ws.send("ping")
            check(await get(ws), "pong", {"status": "pong"})
            await ws.send(json.dumps({"action": "ping"}))
            check(await get(ws), "pong", {"status": "pong"})
            await ws.send(json.dumps({"action": "stats"}))
            assert {"active_connections", "active_projects", "total_connections",
                    "total_messages_sent", "total_messages_received", "total_broadcasts",
                    "connections_per_project", "started_at"} == set(await get(ws))


async def test_one_that_speaks_at_once_is_greeted_first(start_recado):
    server = start_recado("loops: 2")
    for _ in range(20):
        async with websockets.connect(server.ws("/ws/notifications"), proxy=None) as ws:
            await ws.send("ping")
            check(await get(ws), "connection", GREETING)
            check(await get(ws), "pong", {"status": "pong"})


async def test_every_event_in_both_styles_and_by_publish(start_recado):
    server = start_recado("loops: 2")
    everything, project = await notifications(server), await of_project(server, "PROJ-001")
    for type, data in EVENTS.items():
        assert broadcast(server, {"event_type": type, "data": data}) == 1
        check_event(await get(everything), type, data)
        assert broadcast(server, data, f"?event_type={type}&project_id=PROJ-001") == 2
        ids = {check_event(await get(ws), type, data, project_id="PROJ-001")
               for ws in (everything, project)}
        assert len(ids) == 1  # the event's, not the receiver's
        server.publish("project:PROJ-001", data, type=type)
        for ws in everything, project:
            check_event(await get(ws), type, data, project_id="PROJ-001")
    await silent(everything, project)


async def test_projects(start_recado):
    server = start_recado("loops: 2")
    clients = [await notifications(server) for _ in range(6)]
    chooser, others = clients[0], clients[1:]
    await chooser.send(json.dumps({"action": "subscribe", "project_id": "A"}))
    await confirmed(chooser, "A")
    assert broadcast(server, {"event_type": "story_created", "data": {}, "project_id": "B"}) == 5
    assert broadcast(server, {"event_type": "story_created", "data": {}, "project_id": "A"}) == 6
    for ws in others:
        check(await get(ws), "story_created", {}, project_id="B")
    for ws in clients:
        check(await get(ws), "story_created", {}, project_id="A")
    assert curl(f"{server.url}/api/ws/project/A/subscribers") == (
        200, {"project_id": "A", "subscribers": 1})
    await chooser.send(json.dumps({"action": "unsubscribe", "project_id": "A"}))
    check(await get(chooser), "unsubscribed", {
        "project_id": "A", "message": "Removido do projeto A"}, project_id="A")
    assert broadcast(server, {"event_type": "story_created", "data": {}, "project_id": "B"}) == 6
    for ws in clients:
        check(await get(ws), "story_created", {}, project_id="B")
    await silent(*clients)


async def test_choosing_makes_neither_gap_nor_duplicate(start_recado):
    """Events of one project, while the client subscribes to it, to another one, and leaves again."""
    server = start_recado("loops: 2")
    ws = await notifications(server)
    count = 400
    turns = ['{"action":"subscribe","project_id":"A"}', '{"action":"subscribe","project_id":"B"}',
             '{"action":"unsubscribe","project_id":"B"}', '{"action":"unsubscribe","project_id":"A"}']

    def publish():
        for n in range(count):
            server.publish("project:A", {"n": n}, type="story_updated")

    publishing = asyncio.create_task(asyncio.to_thread(publish))
    heard, asked = [], 0
    while len(heard) < count:
        await ws.send(turns[asked % 4])
        asked += 1
        while True:
            message = await get(ws)
            if message["type"] in ("subscribed", "unsubscribed"):
                break
            heard.append(message["data"]["n"])
            if len(heard) == count:
                break
    await publishing
    assert heard == list(range(count))


async def test_logs(start_recado):
    server = start_recado("{loops: 2, log: {level: error}}")  # its own lines come there as well
    readers = {
        ("debug", None): await logs(server, "?level=debug", "debug"),
        ("info", None): await logs(server),
        ("error", None): await logs(server, "?level=error", "error"),
        ("info", "api"): await logs(server, "?source=api", "info", "api"),
    }
    rank = ["debug", "info", "warning", "error"]
    for level in rank:
        for source in "api", "api2", None:
            data = {"level": level, "message": "m"} | ({"source": source} if source else {})
            meant = [ws for (least, of), ws in readers.items()
                     if rank.index(level) >= rank.index(least) and of in (None, source)]
            assert broadcast(server, {"event_type": "log_message", "data": data}) == len(meant)
            server.publish("logs", data, type="log_message")
            for ws in meant:
                check(await get(ws), "log_message", data)
                check(await get(ws), "log_message", data)
    await silent(*readers.values())


# ---- figures ----


async def test_figures_are_true_over_all_loops(start_recado):
    server = start_recado("loops: 2")
    clients = [await notifications(server) for _ in range(40)]
    projects = [await of_project(server, "P") for _ in range(10)]
    chosen = clients[:20]
    for ws in chosen:
        await ws.send('{"action":"subscribe","project_id":"P"}')
        await confirmed(ws, "P")
    sent = 40 + 10 * 2 + 20
    for n in range(5):
        assert broadcast(server, {"event_type": "notification", "data": {"n": n}}) == 40
        assert broadcast(server, {"n": n}, "?event_type=notification&project_id=P") == 50
        assert broadcast(server, {"n": n}, "?event_type=notification&project_id=Q") == 20
        sent += 110
    for ws in clients:
        for n in range(5):
            assert (await get(ws))["data"] == {"n": n}
            assert (await get(ws))["project_id"] == "P"
            if ws not in chosen:
                assert (await get(ws))["project_id"] == "Q"
    for ws in projects:
        for n in range(5):
            assert (await get(ws))["data"] == {"n": n}
    now = stats(server)
    now.pop("started_at")
    assert now == {
        "active_connections": 50, "active_projects": 1, "total_connections": 50,
        "total_messages_sent": sent, "total_messages_received": 20, "total_broadcasts": 5,
        "connections_per_project": {"P": 30}}
    assert curl(f"{server.url}/api/ws/connections") == (200, {"count": 50})
    for ws in clients + projects:
        await ws.close()
    await until(lambda: stats(server)["active_connections"], 0)
    assert stats(server)["connections_per_project"] == {}
    assert stats(server)["total_connections"] == 50


async def test_one_place_per_client_id(start_recado):
    server = start_recado("loops: 2")
    first = [await notifications(server, "?client_id=painel") for _ in range(10)]
    newest = await notifications(server, "?client_id=painel")
    await until(lambda: broadcast(server, {"event_type": "notification", "data": {}}), 1)
    assert stats(server)["active_connections"] == 1
    check(await get(newest), "notification", {})
    await silent(newest, *first)  # those before are open, answered, and heard nothing
    await newest.close()
    await until(lambda: stats(server)["active_connections"], 0)
    await silent(*first)


async def test_everybody_but_one(start_recado):
    server = start_recado("loops: 2")
    own = str(uuid.uuid4())
    named = await notifications(server, "?client_id=painel")
    numbered = await notifications(server, f"?client_id={own}")
    data = {"n": 1}
    assert broadcast(server, {"event_type": "notification", "data": data,
                              "exclude_client": "painel"}) == 1
    check(await get(numbered), "notification", data)
    assert broadcast(server, data, f"?event_type=notification&exclude_client={own}") == 1
    check(await get(named), "notification", data)
    server.publish("notifications", data, type="notification", exclude=own)
    check(await get(named), "notification", data)
    server.publish("notifications", data, type="notification",
                   exclude=str(uuid.uuid5(uuid.NAMESPACE_OID, "painel")))
    check(await get(numbered), "notification", data)
    await silent(named, numbered)


# ---- limits and life ----


async def test_limit(start_recado):
    server = start_recado("loops: 2", env={"WEBSOCKET_MAX_CONNECTIONS": "5"})
    clients = [await notifications(server) for _ in range(4)] + [await logs(server)]
    for path in "/ws/notifications", "/ws/project/P", "/ws/logs":
        async with websockets.connect(server.ws(path), proxy=None) as ws:
            with pytest.raises(websockets.ConnectionClosed):
                await get(ws)
            assert (ws.close_code, ws.close_reason) == (1013, "Limite de conexoes atingido")
    await clients.pop().close()
    await until(lambda: stats(server)["active_connections"], 4)
    await notifications(server)
    assert stats(server)["total_connections"] == 6


async def test_a_thousand_is_the_limit_unless_configured(start_recado):
    server = start_recado("loops: 2")
    clients = []
    while len(clients) < 1000:
        clients += await asyncio.gather(
            *(notifications(server, compression=None) for _ in range(50)))
    async with websockets.connect(server.ws("/ws/notifications"), proxy=None) as ws:
        with pytest.raises(websockets.ConnectionClosed):
            await get(ws)
        assert (ws.close_code, ws.close_reason) == (1013, "Limite de conexoes atingido")
    assert broadcast(server, {"event_type": "notification", "data": {}}) == 1000
    ids = {check(await get(ws), "notification", {}) for ws in clients}
    assert len(ids) == 1
    assert stats(server)["total_messages_sent"] == 2000


async def test_message_limit(start_recado):
    server = start_recado("loops: 2")
    for deflate in None, "deflate":
        async with await notifications(server, compression=deflate) as ws:
            await ws.send(" " * 65536)
            await silent(ws)
            await ws.send(" " * 65537)
            with pytest.raises(websockets.ConnectionClosed):
                await get(ws)
            assert ws.close_code == 1009
    server = start_recado(env={"WEBSOCKET_MAX_MESSAGE_SIZE": "1000"})
    async with await notifications(server) as ws:
        await ws.send(" " * 1001)
        with pytest.raises(websockets.ConnectionClosed):
            await get(ws)
        assert ws.close_code == 1009


def test_the_documented_client(start_recado, node):
    server = start_recado("loops: 2", env={"WEBSOCKET_HEARTBEAT_INTERVAL": "1",
                                           "WEBSOCKET_TIMEOUT": "30"})
    client = node("client", server.ws("/ws/notifications"), 100)
    assert client.next() == {"local": "open", "extensions": "permessage-deflate"}
    check(client.next(), "connection", GREETING)
    for _ in range(2):
        check(client.next(), "heartbeat", {"status": "alive"})
        check(client.next(), "pong", {"status": "pong"})
    server.stop()
    left = client.next()
    while "local" not in left:
        left = client.next()
    assert (left["local"], left["code"]) == ("close", 1001)
    server.start()
    again = client.next()
    while again["local"] != "open":
        again = client.next()
    check(client.next(), "connection", GREETING)
    client.say("close")
    end = client.next()
    while "local" not in end:
        end = client.next()
    assert end["local"] == "close"


async def test_silent_clients_live_and_dead_ones_do_not(start_recado, node):
    """Even without pings of the carrier's own."""
    server = start_recado("websocket: {ping_interval: 0}",
                          env={"WEBSOCKET_HEARTBEAT_INTERVAL": "1", "WEBSOCKET_TIMEOUT": "4"})
    deaf = node("deaf", server.ws("/ws/notifications"))
    ws = await notifications(server, ping_interval=None)
    end = await asyncio.to_thread(deaf.next)
    assert end == {"code": 1001, "reason": "Heartbeat timeout"}
    for _ in range(6):  # longer than the timeout, without a frame of its own but pongs
        check(await get(ws), "heartbeat", {"status": "alive"})




def test_unknown_paths(start_recado):
    server = start_recado("listen: [{ address: '127.0.0.1:PORT', dialect: plataforma }]")
    upgrade = ["-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H",
               "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    assert curl(f"{server.url}/ws/elsewhere", *upgrade) == (403, None)
    assert curl(f"{server.url}/ws/project/", *upgrade) == (403, None)
    assert curl(f"{server.url}/ws/elsewhere") == (404, {"detail": "Not Found"})
    assert curl(f"{server.url}/ws/notifications") == (404, {"detail": "Not Found"})


async def test_paths_behind_a_prefix_and_a_limit_of_their_own(start_recado):
    server = start_recado("""
loops: 2
endpoints:
  - { path: /board/ws/notifications, dialect: plataforma, tenant: board, connections_max: 2 }
""")
    base = server.ws("/board/ws")
    clients = [await websockets.connect(f"{base}/{path}", proxy=None)
               for path in ("project/P", "logs")]
    for ws in clients:
        assert (await get(ws))["type"] == "connection"
    await confirmed(clients[0], "P")
    async with websockets.connect(f"{base}/notifications", proxy=None) as ws:
        with pytest.raises(websockets.ConnectionClosed):
            await get(ws)
        assert ws.close_code == 1013
    assert curl(f"{server.url}/board/api/ws/connections") == (200, {"count": 2})
    server.publish("project:P", {}, type="job_started")  # of the tenant default
    server.publish("project:P", {}, type="job_started", tenant="board")
    check(await get(clients[0]), "job_started", {}, project_id="P")
    await silent(*clients)


async def test_shutdown_is_told(start_recado):
    server = start_recado("loops: 2")
    clients = [await notifications(server), await of_project(server, "P"), await logs(server)]
    await asyncio.to_thread(server.stop)
    for ws in clients:
        with pytest.raises(websockets.ConnectionClosed):
            while True:  # who reads logs may hear Recado's own about it first
                assert (await get(ws))["type"] == "log_message"
        assert ws.close_code == 1001


# ---- tokens and keys ----


async def test_tokens_and_keys(start_recado):
    server = start_recado(f"""
loops: 2
auth: {{ hmac_secret: "{SECRET}", api_keys: ["key-of-the-back-end"] }}
endpoints:
  - {{ path: /ws/notifications, dialect: plataforma, auth: required }}
""")
    token = jwt.encode({"sub": "ana", "org": "acme", "exp": int(time.time()) + 600}, SECRET,
                       "HS256")
    for path in "/ws/notifications", "/ws/project/P", "/ws/logs":
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(server.ws(path), proxy=None)
        assert refused.value.response.status_code == 401
    ws = await notifications(server, f"?token={token}")
    bearer = await notifications(server, additional_headers={"Authorization": f"Bearer {token}"})
    body = json.dumps({"event_type": "notification", "data": {}})
    for path in "stats", "connections", "project/P/subscribers":
        assert curl(f"{server.url}/api/ws/{path}")[0] == 401
    assert curl(f"{server.url}/api/ws/broadcast", "-d", body)[0] == 401
    key = "-H", "X-API-Key: key-of-the-back-end"
    assert curl(f"{server.url}/api/ws/connections", *key) == (200, {"count": 0})
    assert curl(f"{server.url}/api/ws/connections?tenant=acme", *key) == (200, {"count": 2})
    assert curl(f"{server.url}/api/ws/broadcast", *key, "-d", body) == (200, {"sent_to": 0})
    assert curl(f"{server.url}/api/ws/broadcast?tenant=acme", *key, "-d", body) == (
        200, {"sent_to": 2})
    for one in ws, bearer:
        check(await get(one), "notification", {})


async def test_tenants_of_a_server_without_keys(start_recado):
    """Clients may say where they belong, and hear nothing of others."""
    server = start_recado("loops: 2")
    one, two = await notifications(server, "?tenant=one"), await notifications(server, "?tenant=two")
    project, log = await of_project(server, "P", "?tenant=one"), await websockets.connect(
        server.ws("/ws/logs?tenant=one"), proxy=None)
    assert (await get(log))["type"] == "connection"
    assert broadcast(server, {"event_type": "log_message", "data": {}, "project_id": "P"},
                     "?tenant=one") == 3
    for ws in one, project, log:
        check(await get(ws), "log_message", {}, project_id="P")
    await silent(two)


async def test_a_token_that_nobody_could_check_is_ignored(start_recado):
    server = start_recado()
    for query in "?token=abc", "?token=x.y.z", "?token=" + "a" * 7000:
        for path in "/ws/notifications", "/ws/project/P", "/ws/logs":
            async with websockets.connect(server.ws(path + query), proxy=None) as ws:
                assert (await get(ws))["type"] == "connection"
    async with websockets.connect(server.ws("/ws/logs"), proxy=None, additional_headers={
            "Authorization": "Bearer x.y.z"}) as ws:
        assert (await get(ws))["type"] == "connection"


# ---- the dashboard ----

DASHBOARD = Path(__file__).with_name("js") / "plataforma_dashboard.html"


async def test_dashboard(start_recado, page):
    """It never says anything: its browser's pongs keep it alive."""
    server = start_recado("loops: 2", env={"WEBSOCKET_HEARTBEAT_INTERVAL": "1",
                                           "WEBSOCKET_TIMEOUT": "4"})
    await page.goto(f"{server.url}/health")  # the page's host is the server's, as it expects
    await page.set_content(DASHBOARD.read_text())
    await page.wait_for_function("seen.includes('connection')")
    await page.wait_for_function("seen.filter((type) => type === 'heartbeat').length >= 6")
    for type, data in EVENTS.items():
        assert await asyncio.to_thread(broadcast, server, {"event_type": type, "data": data}) == 1
    await page.wait_for_function("seen.includes('broadcast')")
    assert await page.evaluate("toasts") == [
        "Story STR-0001: Login", "Atualizada STR-0001: Login", "Movida STR-0001: Login",
        "Tarefa t", "Chat oi"]
    assert await page.evaluate("[errors, opened, closed]") == [0, 1, 0]
