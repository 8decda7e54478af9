"""The orchestrator's dialect with Node's `ws`, on which its test client and page hook are rebuilt,
with Python's websockets, and by hand where the bytes before the upgrade are the contract."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import jwt
import pytest
import websockets

from upstream import text, tokens

SECRET = "0123456789abcdef0123456789abcdef"
REFUSED = (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\n"
           b"Content-Length: 11\r\n\r\nBad Request")
FAKE_NVML = """
#include <string.h>
struct memory { unsigned long long total, free, used; };
struct use { unsigned gpu, memory; };
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)(unsigned long)(i + 1); return i == 2; }
int nvmlDeviceGetName(void *d, char *at, unsigned cap) { strncpy(at, d == (void *)1 ? "RTX 4090" : "T4", cap); return 0; }
int nvmlDeviceGetMemoryInfo(void *d, struct memory *m) { m->total = 24ull << 30; m->used = 6ull << 30; m->free = 18ull << 30; return 0; }
int nvmlDeviceGetTemperature(void *d, int s, unsigned *v) { *v = 61; return 0; }
int nvmlDeviceGetUtilizationRates(void *d, struct use *u) { u->gpu = 37; u->memory = 5; return d == (void *)1; }
int nvmlDeviceGetClockInfo(void *d, int t, unsigned *v) { *v = 2520; return 0; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *v) { *v = 123456; return 0; }
"""


@pytest.fixture
def node(start_node):
    return lambda *args: start_node("orquestrador.mjs", *args)


def token(sub="ana", **claims):
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, SECRET, "HS256")


def raw(server, path, port=None, extra=""):
    """All that is answered to an upgrade until the server closes."""
    with socket.create_connection(("127.0.0.1", port or server.port), timeout=20) as s:
        s.sendall((f"GET {path} HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n").encode())
        answer = b""
        while piece := s.recv(65536):
            answer += piece
        return answer


async def connect(server, path="/ws"):
    return await websockets.connect(server.ws(path), max_size=None)


async def say(ws, value):
    await ws.send(value if isinstance(value, (str, bytes)) else json.dumps(value))


async def hear(ws):
    frame = await asyncio.wait_for(ws.recv(), 30)
    assert isinstance(frame, str)
    return json.loads(frame)


async def ask(ws, value):
    await say(ws, value)
    return await hear(ws)


def error(text):
    return {"type": "error", "data": {"message": text}}


def task(id, on=True):
    return {"type": f"task:{'' if on else 'un'}subscribe", "data": {"taskId": id}}


UPDATE = {"task": {"id": 1, "userId": 1, "title": "Título", "description": None,
                   "status": "planning", "priority": "high", "createdAt": "2025-10-30T07:52:29.000Z",
                   "updatedAt": "2025-10-30T07:52:29.000Z", "completedAt": None},
          "subtasks": [{"id": 7, "taskId": 1, "assignedModelId": 2, "title": "t", "description": None,
                        "prompt": "p", "result": None, "status": "pending", "reviewedBy": None,
                        "reviewNotes": None, "completedAt": None,
                        "createdAt": "2025-10-30T07:52:29.000Z",
                        "updatedAt": "2025-10-30T07:52:29.000Z"}],
          "timestamp": "2025-10-30T07:52:29.000Z"}


# ---- its own clients ----

def test_the_applications_test_client(start_recado, node, upstream):
    server = start_recado("loops: 2\nmonitor: {interval: 1s}\n"
                          f"llm: {{url: \"{upstream.url}\"}}")
    status, _, _ = server.post("/api/chat", {"message": "Antes", "wait": True})
    assert status == 200  # that client reads the last message of a history unguarded
    client = node("test", server.ws("/ws"))
    lines = [client.next()]
    while "task 1" not in lines:
        lines.append(client.next())
    server.publish("task:1", UPDATE, type="task:update")
    while not isinstance(lines[-1], dict):
        lines.append(client.next())
    shown = [line for line in lines if isinstance(line, str) and line.startswith("CPU: ")]
    assert shown and all("undefined" not in line for line in shown), lines
    assert lines[0] == "pong" and lines.index("monitoring:subscribed") < lines.index(shown[0])
    assert "Título: planning" in lines
    assert text(8)[:50] in lines and "Olá! Como você está?" in lines
    assert [line for line in lines if line in tokens(8)] == tokens(8)
    assert lines[-1] == {"close": 1005}


def test_the_pages_hook_comes_back(start_recado, node):
    server = start_recado("loops: 2")
    page = node("hook", server.ws("/ws"), 500)
    assert page.next() == "open"
    page.say({"type": "ping"})
    assert page.next() == {"type": "pong"}
    port = server.port
    server.stop()
    assert page.next() == {"close": 1001}
    server = start_recado("loops: 2", args=["--listen", f"127.0.0.1:{port}"])
    while (line := page.next()) != "open":
        assert line == {"close": 1006}
    page.say(task(1))
    assert page.next() == {"type": "task:subscribed", "data": {"taskId": 1}}


def test_broken_json_is_told_as_by_node(shared_recado, run_node):
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if not version.startswith(("v20.", "v21.")):
        pytest.skip(f"Node {version.strip()} has other words for it")
    told = json.loads(run_node("orquestrador.mjs", "broken", shared_recado.ws("/ws"), 3000))
    assert told == {"differences": 0, "first": []}


# ---- tasks ----

async def test_updates_reach_who_follows_the_task(start_recado):
    server = start_recado("loops: 2")
    clients = [await connect(server) for _ in range(12)]
    for i, ws in enumerate(clients):
        assert await ask(ws, task(i % 3)) == {"type": "task:subscribed", "data": {"taskId": i % 3}}
    for id in 2, 1, 0, 2:
        server.publish(f"task:{id}", UPDATE | {"id": id}, type="task:update")
    for i, ws in enumerate(clients):
        for _ in range(2 if i % 3 == 2 else 1):
            assert await hear(ws) == {"type": "task:update", "data": UPDATE | {"id": i % 3}}
        assert await ask(ws, {"type": "ping"}) == {"type": "pong"}  # and nothing else came
        await ws.close()


async def test_answers_keep_the_order_of_commands(start_recado):
    """Channels live on both loops: what the other loop has to be asked about must not be
    overtaken."""
    server = start_recado("loops: 2")
    for _ in range(4):
        ws = await connect(server)
        wanted = []
        for id in range(60):
            for command, answer in ((task(id), ("task:subscribed", id)), ({"type": "ping"}, ("pong", None)),
                                    (task(id, False), ("task:unsubscribed", id)),
                                    (task(id), ("task:subscribed", id)), ("x", ("error", None))):
                await say(ws, command)
                wanted.append(answer)
        for type, id in wanted:
            frame = await hear(ws)
            assert frame["type"] == type
            assert id is None or frame["data"] == {"taskId": id}
        for id in range(60):
            server.publish(f"task:{id}", {"timestamp": id}, type="task:update")
        heard = [await hear(ws) for _ in range(60)]
        assert sorted(frame["data"]["timestamp"] for frame in heard) == list(range(60))
        await ws.close()


async def test_a_confirmation_comes_before_the_updates(start_recado):
    server = start_recado("loops: 2")
    stop = threading.Event()

    def flood():
        while not stop.is_set():
            server.api("batch", {"commands": [
                {"publish": {"channel": f"task:{id}", "type": "task:update", "data": {"id": id, "timestamp": 0}}}
                for id in range(20)]})

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(40):
            ws = await connect(server)
            for id in range(20):
                await say(ws, task(id))
            confirmed = set()
            while len(confirmed) < 20:
                frame = await hear(ws)
                if frame["type"] == "task:subscribed":
                    confirmed.add(frame["data"]["taskId"])
                else:
                    assert frame["data"]["id"] in confirmed
            ws.transport.abort()  # a close would wait behind the flood
    finally:
        stop.set()
        thread.join()


# ---- figures ----

def meminfo():
    with open("/proc/meminfo") as f:
        return {k: int(v.split()[0]) * 1024 for k, v in (line.split(":") for line in f)}


def check_metrics(frame):
    assert frame.keys() == {"type", "data"} and frame["type"] == "metrics"
    m = frame["data"]
    assert m.keys() == {"cpu", "memory", "gpu", "disk", "network", "processes"}
    assert m["cpu"].keys() == {"usage", "temperature", "cores", "speed"}
    assert m["cpu"]["cores"] == os.cpu_count()
    assert m["cpu"]["temperature"] is None or -50 < m["cpu"]["temperature"] < 150
    assert m["memory"].keys() == {"total", "used", "free", "usagePercent", "usedPercent"}
    assert m["memory"]["total"] == meminfo()["MemTotal"]
    assert 0 < m["memory"]["used"] < m["memory"]["total"]
    assert m["memory"]["usedPercent"] == m["memory"]["usagePercent"]
    assert m["disk"].keys() == {"total", "used", "free", "usagePercent"}
    usage = shutil.disk_usage("/")
    assert m["disk"]["total"] <= usage.total and abs(m["disk"]["used"] - usage.used) < 1 << 32
    for percent in (m["cpu"]["usage"], m["cpu"]["speed"], m["memory"]["usagePercent"],
                    m["disk"]["usagePercent"]):
        assert isinstance(percent, int) and 0 <= percent <= 100
    assert m["network"].keys() == {"rx", "tx"}
    assert all(isinstance(v, int) and v >= 0 for v in m["network"].values())
    assert isinstance(m["gpu"], list) and isinstance(m["processes"]["lmstudio"], bool)
    return m


async def test_figures_of_this_machine(start_recado):
    server = start_recado("loops: 2\nmonitor: {interval: 1s}")
    clients = [await connect(server) for _ in range(6)]
    for ws in clients:
        assert await ask(ws, {"type": "monitoring:subscribe"}) == {"type": "monitoring:subscribed"}
    for ws in clients:
        for _ in range(3):
            check_metrics(await hear(ws))
    ws = await connect(server)  # there is a reading: it comes at once
    assert await ask(ws, {"type": "monitoring:subscribe"}) == {"type": "monitoring:subscribed"}
    check_metrics(await hear(ws))
    await say(ws, {"type": "monitoring:unsubscribe"})
    while (frame := await hear(ws))["type"] == "metrics":
        check_metrics(frame)
    assert frame == {"type": "monitoring:unsubscribed"}
    for _ in range(2):
        check_metrics(await hear(clients[0]))
    assert await ask(ws, {"type": "ping"}) == {"type": "pong"}  # none came after
    for one in [ws, *clients]:
        await one.close()


async def test_the_model_server_and_cards(start_recado, tmp_path):
    source = tmp_path / "nvml.c"
    source.write_text(FAKE_NVML)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", source], check=True)
    shutil.copy(shutil.which("sleep"), tmp_path / "lm-studio")
    model = subprocess.Popen([tmp_path / "lm-studio", "600"])
    try:
        server = start_recado("monitor: {interval: 1s}", env={"LD_LIBRARY_PATH": str(tmp_path)})
        ws = await connect(server)
        await say(ws, {"type": "monitoring:subscribe"})
        assert await hear(ws) == {"type": "monitoring:subscribed"}
        m = check_metrics(await hear(ws))
        assert m["processes"].keys() == {"lmstudio", "pid", "cpuUsage", "memUsage"}
        assert m["processes"]["lmstudio"] and m["processes"]["pid"] == model.pid
        card = {"vendor": "NVIDIA", "model": "RTX 4090", "vramTotal": 24576, "vramUsed": 6144,
                "vramFree": 18432, "vramUsagePercent": 25, "temperature": 61, "utilization": None,
                "clockSpeed": 2520, "powerUsage": 123.46}
        assert m["gpu"] == [card, card | {"model": "T4", "utilization": 37}]
    finally:
        model.kill()
        model.wait()
    while (m := check_metrics(await hear(ws)))["processes"]["lmstudio"]:
        pass
    assert m["processes"] == {"lmstudio": False}
    await ws.close()


async def test_figures_are_events_of_a_channel(start_recado):
    """Whoever follows the channel in any other dialect hears them as well."""
    server = start_recado("loops: 2\nmonitor: {interval: 1s}")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET /events?channel=monitor HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
    while not (line := await asyncio.wait_for(reader.readline(), 30)).startswith(b"event:"):
        pass
    assert line == b"event: metrics\n"
    data = (await reader.readline()).decode()
    check_metrics({"type": "metrics", "data": json.loads(data.removeprefix("data: "))})
    writer.close()


async def test_tenants_have_figures_of_their_own_channel(start_recado):
    server = start_recado(f"loops: 2\nmonitor: {{interval: 1s}}\nauth: {{hmac_secret: '{SECRET}'}}")
    followers = []
    for org in "acme", "other", "acme":
        ws = await connect(server, f"/ws?token={token(org=org)}")
        await say(ws, {"type": "monitoring:subscribe"})
        assert await hear(ws) == {"type": "monitoring:subscribed"}
        followers.append(ws)
    for ws in followers:
        times = [await hear(ws) for _ in range(3)]
        assert all(frame["type"] == "metrics" for frame in times)
        await ws.close()


# ---- what is wrong ----

BAD = [
    ("", "SyntaxError: Unexpected end of JSON input"),
    ("ping", "SyntaxError: Unexpected token 'p', \"ping\" is not valid JSON"),
    ('{"type":"ping"', "SyntaxError: Expected ',' or '}' after property value in JSON at position 14"),
    ("null", "TypeError: Cannot read properties of null (reading 'type')"),
    ('{"type":"task:subscribe"}', "TypeError: Cannot read properties of undefined (reading 'taskId')"),
    ('{"type":"task:unsubscribe"}', "TypeError: Cannot read properties of undefined (reading 'taskId')"),
    ('{"type":"task:subscribe","data":null}', "TypeError: Cannot read properties of null (reading 'taskId')"),
    ("[" * 100000, "SyntaxError: nested too deeply for this server: at most 64 levels"),
    (b"\xff\xfe", "SyntaxError: Unexpected token '\ufffd', \"\ufffd\ufffd\" is not valid JSON"),
    (json.dumps(task("x" * 70000)), "RangeError: taskId is longer than 65536 bytes"),
    ('{"type":"chat:send","data":{"message":5}}', "Error: message deve ser um texto"),
]


async def test_bad_messages_are_answered(shared_recado):
    ws = await connect(shared_recado)
    for message, text in BAD:
        assert await ask(ws, message) == error(f"Erro ao processar mensagem: {text}"), message[:80]
    unknown = error("Tipo de mensagem desconhecido")
    for message in ("5", '"x"', "[]", "{}", "true", '{"type":null}', '{"type":["ping"]}',
                    '{"type":"terminal:create"}', '{"action":"ping"}', '{"command":"ping"}',
                    '{"id":1,"connect":{}}', '42["ping"]'[2:]):
        assert await ask(ws, message) == unknown
    big = {"type": "ping", "pad": "x" * 10_000_000}
    assert await ask(ws, big) == {"type": "pong"}
    assert await ask(ws, json.dumps({"type": "ping"}).encode()) == {"type": "pong"}
    await ws.close()


async def test_too_long_and_not_text(start_recado):
    server = start_recado("endpoints: [{path: /ws, dialect: orquestrador, message_max: 1MiB}]")
    ws = await connect(server)
    await say(ws, "x" * (1 << 20 | 1))
    with pytest.raises(websockets.ConnectionClosed):
        await asyncio.wait_for(ws.recv(), 30)
    assert ws.close_code == 1009


@pytest.mark.parametrize("config", [
    "", 'listen: [{address: "127.0.0.1:PORT", dialect: orquestrador}]'])
def test_unknown_paths(start_recado, config):
    server = start_recado(config)
    for path in "/ws/", "/ws/other", "/wss", "/ws%2F", "/nothing?x=1":
        assert raw(server, path) == REFUSED, path
    assert server.get("/ws/")[0] == 404
    assert server.get("/ws")[0] == 426


def test_who_answers_no_ping_is_told_as_any_client(start_recado):
    server = start_recado("websocket: {ping_interval: 200ms, pong_timeout: 100ms}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall((f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        got = b""
        while piece := s.recv(65536):
            got += piece
    assert got.split(b"\r\n\r\n")[1] == b"\x89\x00\x88\x09\x03\xe9no pong"


async def test_the_query_is_ignored(shared_recado):
    """Where no token could be checked, one is a parameter like any other."""
    for query in "?", "?x=%zz", "?token=abc", "?token=x.y.z&token=", "?token=" + "a" * 7000:
        ws = await connect(shared_recado, "/ws" + query)
        assert await ask(ws, {"type": "ping"}) == {"type": "pong"}
        await ws.close()
    for scheme in "Bearer", "Basic":
        async with websockets.connect(shared_recado.ws("/ws"), additional_headers={
                "Authorization": f"{scheme} x.y.z"}) as ws:
            assert await ask(ws, {"type": "ping"}) == {"type": "pong"}


def test_nothing_is_compressed(shared_recado):
    with socket.create_connection(("127.0.0.1", shared_recado.port), timeout=20) as s:
        s.sendall((f"GET /ws HTTP/1.1\r\nHost: {shared_recado.address}\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        head = s.recv(65536)
        assert head.startswith(b"HTTP/1.1 101 ") and b"Extensions" not in head
        s.settimeout(0.2)
        with pytest.raises(TimeoutError):
            s.recv(1)  # nothing is said on connection


# ---- who may come in ----

async def test_tokens(start_recado):
    server = start_recado(f"auth: {{hmac_secret: '{SECRET}'}}\nendpoints: [{{path: /ws, "
                          "dialect: orquestrador, auth: required}]")
    for path, extra in (("/ws", ""), ("/ws?token=x", ""), ("/ws", "Authorization: Bearer x\r\n")):
        assert raw(server, path, extra=f"{extra}Connection: close\r\n").startswith(b"HTTP/1.1 401 ")
    ws = await connect(server, f"/ws?token={token(org='acme')}")
    assert await ask(ws, task(1)) == {"type": "task:subscribed", "data": {"taskId": 1}}
    bearer = {"Authorization": f"Bearer {token(org='other')}"}
    other = await websockets.connect(server.ws("/ws"), additional_headers=bearer)
    assert await ask(other, task(1)) == {"type": "task:subscribed", "data": {"taskId": 1}}
    server.publish("task:1", {"timestamp": 1}, tenant="acme", type="task:update")
    assert await hear(ws) == {"type": "task:update", "data": {"timestamp": 1}}
    assert await ask(other, {"type": "ping"}) == {"type": "pong"}
    await ws.close()
    await other.close()


def test_health(start_recado):
    server = start_recado()
    for _ in range(200):
        status, _, body = server.get("/api/health")
        assert status == 200
        health = json.loads(body)
        if health["system"] == "healthy" or meminfo()["MemAvailable"] * 10 < meminfo()["MemTotal"]:
            break
        time.sleep(0.05)
    assert health.keys() == {"status", "database", "system", "timestamp"}
    assert health["status"] == "ok" and health["database"] == "connected"
    assert health["system"] in ("healthy", "issues")
