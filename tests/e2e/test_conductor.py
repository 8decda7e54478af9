"""The conductor dialect with its own clients' behaviour: Node's ws and EventSource, Python's
websockets, curl; back ends that publish, that are asked over HTTP, and that are not there."""

import asyncio
import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
import websockets
from websockets.sync.client import connect

from servers import environment, free_port

JS = os.path.join(os.path.dirname(__file__), "js")
SECRET = "0123456789abcdef0123456789abcdef"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LOOPS = "loops: 3\n"


def token(tenant="default", sub="ana", **claims):
    claims = {"sub": sub, "org": tenant, "exp": int(time.time()) + 600, **claims}
    return jwt.encode(claims, SECRET, "HS256")


@pytest.fixture
def server(start_recado):
    return start_recado(LOOPS)


def watch(server, query=""):
    """A dashboard's socket, and its client_id."""
    socket = connect(server.ws("/ws/gamification" + query)).__enter__()
    hello = json.loads(socket.recv(timeout=20))
    assert hello["type"] == "connected"
    assert hello["data"]["message"] == "Connected to gamification WebSocket"
    assert re.fullmatch(UUID, hello["data"]["client_id"])
    assert isinstance(hello["timestamp"], float) and abs(hello["timestamp"] - time.time()) < 60
    return socket, hello["data"]["client_id"]


def ask(socket, command):
    socket.send(json.dumps(command))
    return json.loads(socket.recv(timeout=20))


def submit(server, text="hello", query="", **body):
    status, headers, answer = server.post("/api/v1/stream-execute" + query, {"input": text, **body})
    assert status == 200, answer
    answer = json.loads(answer)
    assert re.fullmatch(f"job_{UUID}", answer["job_id"])
    assert answer == {"job_id": answer["job_id"], "status": "started",
                      "stream_url": "/api/v1/stream/" + answer["job_id"]}
    return answer["job_id"]


def emit(server, job, type, data, **more):
    server.publish("job:" + job, data, type=type, **more)


def read_stream(server, job, query=""):
    """Everything until the response ends, as (event, data)."""
    status, headers, body = server.get(f"/api/v1/stream/{job}{query}", timeout=60)
    assert status == 200, body
    events = []
    for frame in body.decode().split("\n\n"):
        if not frame:
            continue
        assert frame.startswith("data: ") and "\n" not in frame, frame
        event = json.loads(frame[6:])
        assert sorted(event) == ["data", "event", "job_id", "timestamp"]
        assert event["job_id"] == job and isinstance(event["timestamp"], float)
        events.append((event["event"], event["data"]))
    return events


def test_a_council(server, run_node):
    """Node's ws and Python's websockets hear the same, whoever emits, on whichever loop."""
    node = subprocess.Popen(["node", "conductor.mjs", "watch", server.ws("/ws/gamification"), "4"],
                            cwd=JS, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert json.loads(node.stdout.readline())["type"] == "connected"
        python, _ = watch(server)
        started = {"councilor_id": "c1", "task_name": "Auditoria de Segurança",
                   "started_at": "2025-10-26T03:18:59.123456"}
        server.publish("gamification", started, type="councilor_started")
        status, _, answer = server.post("/api/internal/task-event",
                                        {"type": "task_picked", "data": {"task_id": "t1"}})
        assert (status, json.loads(answer)) == (200, {
            "success": True, "message": "Event task_picked broadcasted", "clients_count": 2})
        with connect(server.ws("/ws/agent-stream")) as producer:
            producer.send(json.dumps({"type": "agent_stream", "data": {"text": "x"}}))
            here = [json.loads(python.recv(timeout=20)) for _ in range(3)]
        there = [json.loads(node.stdout.readline()) for _ in range(3)]
        assert here == there
        assert [(e["type"], e["data"]) for e in here] == [
            ("councilor_started", started), ("task_picked", {"task_id": "t1"}),
            ("agent_stream", {"text": "x", "level": "debug"})]
        assert all(isinstance(e["timestamp"], float) for e in here)
        assert json.loads(node.stdout.readline()) == {"closed": 1005, "reason": ""}
        python.close()
    finally:
        node.kill()
        node.communicate()


def test_commands_and_statistics_over_all_loops(server):
    watchers = [watch(server) for _ in range(12)]
    mine, me = watchers[5]
    assert ask(mine, {"command": "subscribe", "topics": ["a", "b"]})["data"] == {"topics": ["a", "b"]}
    stats = ask(mine, {"command": "get_stats"})
    assert stats["type"] == "stats" and stats["data"]["active_connections"] == 12
    assert sorted(stats["data"]["clients"]) == sorted(id for _, id in watchers)
    assert stats["data"]["subscriptions"] == {
        id: ["a", "b"] if id == me else ["all"] for _, id in watchers}
    pong = ask(mine, {"command": "ping"})
    assert pong["type"] == "pong" and isinstance(pong["data"]["timestamp"], float)
    assert ask(mine, {"command": "x"})["data"] == {"message": "Unknown command: x"}
    assert ask(mine, {"type": "ping"})["data"] == {"message": "Unknown command: None"}
    mine.send("not JSON")
    assert json.loads(mine.recv(timeout=20))["type"] == "error"
    mine.send(b"\x00")
    assert json.loads(mine.recv(timeout=20))["type"] == "error"
    for n, type in enumerate(["c", "b", "a"]):
        server.publish("gamification", {"n": n}, type=type)
    assert [json.loads(mine.recv(timeout=20))["data"]["n"] for _ in range(2)] == [1, 2]
    for socket, _ in watchers:
        socket.close()
    last, _ = watch(server)
    deadline = time.monotonic() + 20
    while ask(last, {"command": "get_stats"})["data"]["active_connections"] != 1:
        assert time.monotonic() < deadline
    last.close()


# ---- jobs ----


class Worker(threading.Thread):
    """Follows the channel jobs as a native client would, and runs each job at once."""

    def __init__(self, server, script):
        super().__init__(daemon=True)
        self.server, self.script, self.jobs = server, script, []
        self.socket = connect(server.ws_url, subprotocols=["centrifuge-json"]).__enter__()
        self.socket.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"jobs"}}')
        while '"id":2' not in self.socket.recv(timeout=20):
            pass
        self.start()

    def run(self):
        try:
            for message in self.socket:
                for line in message.split("\n"):
                    push = json.loads(line or "{}").get("push")
                    if push is None:
                        if line == "{}":
                            self.socket.send("{}")
                        continue
                    job = push["pub"]["data"]
                    self.jobs.append((push["pub"]["tags"]["type"], job))
                    for type, data in self.script:
                        emit(self.server, job["job_id"], type, data)
        except websockets.ConnectionClosed:
            pass

    def end(self):
        self.socket.close()
        self.join(20)


@pytest.fixture
def start_worker(server):
    workers = []

    def start(script):
        workers.append(Worker(server, script))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


ANSWER = [
    ("job_started", {"message": "m"}), ("on_llm_start", {}),
    *[("on_llm_new_token", {"chunk": chunk}) for chunk in ["Ol", "á", " mundo"]],
    ("on_tool_start", {"tool": "t"}), ("on_tool_end", {"output": "long text here"}),
    ("result", {"result": "Olá mundo", "message": "ok"}), ("end_of_stream", {}),
]


def test_the_chat_page(server, start_worker, run_node):
    worker = start_worker(ANSWER)
    lines = [json.loads(line) for line in
             run_node("conductor.mjs", "chat", server.url, "diga olá").splitlines()]
    assert [(e["event"], e["data"]) for e in lines[:-1]] == ANSWER[:-1]
    assert lines[-1] == {"finals": 1}
    (type, job), = worker.jobs
    assert type == "job_submitted" and job["input"] == "diga olá" and job["body"]["uid"] == "u1"


def test_the_agents_page(server, start_worker, run_node):
    start_worker(ANSWER[:-1])  # the end comes a moment after the result
    assert json.loads(run_node("conductor.mjs", "execute", server.url, "x")) == {"run": "completed"}


def test_a_stream_to_the_byte(server):
    job = submit(server)
    emit(server, job, "job_started", {"message": "m"})
    curl = subprocess.Popen(
        ["curl", "-siN", "--max-time", "60", f"{server.url}/api/v1/stream/{job}"],
        stdout=subprocess.PIPE, env=environment())
    head = []
    while (line := curl.stdout.readline()) != b"\r\n":
        head.append(line.decode().rstrip("\r\n"))
    assert head[0] == "HTTP/1.1 200 OK"
    headers = [tuple(line.lower().split(": ", 1)) for line in head[1:]]
    for wanted in [("content-type", "text/event-stream; charset=utf-8"),
                   ("cache-control", "no-cache"), ("connection", "keep-alive"),
                   ("access-control-allow-origin", "*"), ("access-control-allow-headers", "*")]:
        assert headers.count(wanted) == 1, head
    frame = curl.stdout.readline().decode()
    assert re.fullmatch(r'data: \{"event":"job_started","data":\{"message": "m"\},'
                        r'"timestamp":\d{10}\.\d{6},"job_id":"' + job + r'"\}\n', frame), frame
    # Pretty JSON of a back end stays one line.
    server.post("/api/publish", '{"channel":"job:%s","type":"result","data":{\n "a": [\n1] }}' % job)
    emit(server, job, "end_of_stream", {})
    rest = curl.stdout.read().decode()
    assert re.fullmatch(r'\ndata: \{"event":"result","data":\{  "a": \[ 1\] \},"timestamp":'
                        r'[0-9.]+,"job_id":"[^"]+"\}\n\n', rest), rest
    assert curl.wait(60) == 0
    curl.stdout.close()


def test_a_finished_job_is_read_again(server):
    job = submit(server)
    for type, data in ANSWER:
        emit(server, job, type, data)
    for _ in range(3):
        assert read_stream(server, job) == ANSWER[:-1]
    status, headers, body = server.get("/api/v1/stream/job_nobody's")
    assert (status, body) == (404, b"Job ID 'job_nobody's' not found or already completed.")


def test_finished_jobs_are_forgotten(start_recado):
    server = start_recado(LOOPS + "conductor: { job_keep: 0 }")
    job = submit(server)
    emit(server, job, "end_of_stream", {})
    deadline = time.monotonic() + 20
    while server.get(f"/api/v1/stream/{job}")[0] != 404:
        assert time.monotonic() < deadline


def test_a_job_that_nobody_takes(start_recado):
    server = start_recado(LOOPS + "conductor: { job_idle: 1s }")
    (type, data), = read_stream(server, submit(server))
    assert type == "error" and data["error"] == "No worker has taken the job for 1 seconds"


def test_bad_requests(server):
    for body, status in [("{", 422), ("[]", 422), ("", 422), ("5", 422), ("{}", 400),
                         ('{"input":""}', 400), ('{"textEntries":[]}', 400)]:
        got, _, answer = server.post("/api/v1/stream-execute", body)
        assert got == status and json.loads(answer)["detail"], (body, answer)
    assert server.post("/api/v1/stream-execute", b'{"input":"\xff"}')[0] == 422
    job = submit(server, textEntries=[{"content": "first"}])
    emit(server, job, "end_of_stream", {})
    assert read_stream(server, job) == []


def test_no_more_jobs_than_allowed(start_recado):
    server = start_recado(LOOPS + "conductor: { jobs_max: 2 }")
    first, second = submit(server), submit(server)
    status, _, answer = server.post("/api/v1/stream-execute", {"input": "x"})
    assert status == 503 and "Too many jobs" in json.loads(answer)["detail"]
    emit(server, first, "end_of_stream", {})
    assert read_stream(server, first) == []
    third = submit(server)  # the finished one made room
    assert server.get(f"/api/v1/stream/{first}")[0] == 404
    for job in (second, third):
        emit(server, job, "end_of_stream", {})
        assert read_stream(server, job) == []


def test_only_the_newest_events_are_kept(start_recado):
    server = start_recado(LOOPS + "conductor: { job_events_max: 10 }")
    job = submit(server)
    for n in range(25):
        emit(server, job, "on_llm_new_token", {"chunk": str(n)})
    emit(server, job, "end_of_stream", {})
    events = read_stream(server, job)
    assert events[0] == ("status_update", {"message": "15 earlier events are not kept any more"})
    assert [data["chunk"] for _, data in events[1:]] == [str(n) for n in range(15, 25)]


def test_many_jobs_at_once(server):
    """Readers come before, while and after; each gets all of its own job, in order."""
    jobs = [submit(server) for _ in range(30)]
    got, failures = {}, []

    def read(job, key):
        try:
            got[job, key] = [data["n"] for _, data in read_stream(server, job)]
        except Exception as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read, args=(job, "early")) for job in jobs[:15]]
    for reader in readers:
        reader.start()
    for n in range(20):
        server.api("batch", {"commands": [
            {"publish": {"channel": "job:" + job, "type": "status_update", "data": {"n": n}}}
            for job in jobs]})
        if n == 10:
            readers += [threading.Thread(target=read, args=(job, "late")) for job in jobs]
            for reader in readers[15:]:
                reader.start()
    for job in jobs:
        emit(server, job, "end_of_stream", {})
    for reader in readers:
        reader.join(60)
    assert not failures and len(got) == 45
    assert all(events == list(range(20)) for events in got.values())


def test_a_slow_reader_of_a_long_job(server):
    """8 MB wait in the job, not in the socket's queue, and none is lost."""
    job = submit(server)
    for n in range(400):
        emit(server, job, "on_tool_end", {"n": n, "output": "x" * 20000})
    emit(server, job, "result", {"result": "r"})
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        raw.sendall(f"GET /api/v1/stream/{job} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        raw.settimeout(60)
        body = b""
        while chunk := raw.recv(200000):
            body += chunk
    frames = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data:")]
    assert [f["data"]["n"] for f in frames[:-1]] == list(range(400))
    assert frames[-1]["event"] == "result"


def test_a_reader_that_leaves(server):
    job = submit(server)
    for _ in range(5):
        reader = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        reader.request("GET", f"/api/v1/stream/{job}")
        assert reader.getresponse().status == 200
        reader.close()
    emit(server, job, "result", {"result": "r"})
    assert read_stream(server, job) == [("result", {"result": "r"})]


def test_stop_while_a_job_runs(start_recado):
    server = start_recado(LOOPS)
    job = submit(server)
    reader = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    reader.request("GET", f"/api/v1/stream/{job}")
    answer = reader.getresponse()
    emit(server, job, "job_started", {})
    assert answer.readline().startswith(b"data: ")
    dashboard, _ = watch(server)
    submit(server)
    server.stop()
    assert b"job_started" not in answer.read()
    with pytest.raises(websockets.ConnectionClosed):
        dashboard.recv(timeout=20)


def wait_drain(server):
    """Until all loops drain; connections without a request are closed meanwhile."""
    refused = 0
    while refused < 20:
        with contextlib.suppress(ConnectionError):
            status = server.post("/api/v1/stream-execute", {"input": "x"})[0]
            refused = refused + 1 if status == 503 else 0


def test_nothing_begins_in_a_drain(start_recado):
    """A job that nobody could read to its end is refused; what is there can still be told of."""
    server = start_recado(LOOPS + "shutdown: { drain: 60s }")
    job = submit(server)
    emit(server, job, "end_of_stream", {})
    dashboards = [watch(server)[0] for _ in range(6)]  # let go over the whole window
    server.signal(signal.SIGTERM)
    server.wait_log("draining|drain|stop")
    wait_drain(server)
    assert server.post("/api/v1/stream-execute", {"input": "x"})[0] == 503
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(server.ws("/ws/agent-stream")).__enter__()
    assert refused.value.response.status_code == 503
    server.publish("job:" + job, {}, type="late")
    assert server.get("/api/tasks/events")[0] == 200
    server.stop()
    for dashboard in dashboards:
        dashboard.close()


# ---- the back end over HTTP ----


class BackEnd(http.server.ThreadingHTTPServer):
    """Answers each request as answer(body) says: (status, object)."""

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", free_port()), self.Handler)
        self.answer, self.asked = answer, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *args):
        pass  # the server may be gone when the answer comes

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append((self.headers["X-API-Key"], body))
            status, answer = self.server.answer(body)
            answer = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass


@pytest.fixture
def start_back_end(start_recado):
    running = []

    def start(answer, more=""):
        back_end = BackEnd(answer)
        running.append(back_end)
        url = f"http://127.0.0.1:{back_end.server_port}/run"
        return back_end, start_recado(
            LOOPS + f"conductor: {{ backend: \"{url}\", backend_key: k {more} }}")

    yield start
    for back_end in running:
        back_end.shutdown()
        back_end.server_close()


def test_jobs_of_a_back_end(start_back_end):
    def answer(body):
        if body["input"] == "no":
            return 503, {}
        return 200, {"events": [{"event": "job_started", "data": {"message": "m"}},
                                {"type": "result", "data": {"result": body["input"]}},
                                {"event": "end_of_stream"}]}

    back_end, server = start_back_end(answer)
    job = submit(server, "olá", uid="u")
    assert read_stream(server, job) == [("job_started", {"message": "m"}),
                                        ("result", {"result": "olá"})]
    assert back_end.asked == [("k", {
        "event": "job_submitted", "tenant": "default", "job_id": job, "input": "olá",
        "body": {"input": "olá", "uid": "u"}})]
    (type, data), = read_stream(server, submit(server, "no"))
    assert type == "error" and data["error"] == "The back end did not take the job: HTTP 503"


def test_a_back_end_that_is_not_there(start_recado):
    server = start_recado(f'conductor: {{ backend: "http://127.0.0.1:{free_port()}/" }}')
    (type, data), = read_stream(server, submit(server))
    assert type == "error" and data["error"].startswith("The back end did not take the job: ")
    socket, _ = watch(server)
    assert ask(socket, {"command": "pause_councilor", "councilor_id": "c"})["data"] == {
        "councilor_id": "c", "success": False}
    socket.close()


def test_a_back_end_that_is_slow_at_the_end(start_back_end):
    """The server may be stopped while the back end thinks."""
    release = threading.Event()
    back_end, server = start_back_end(lambda body: release.wait(30) and (200, {}))
    submit(server)
    dashboard, _ = watch(server)
    dashboard.send('{"command":"pause_councilor","councilor_id":"c"}')
    deadline = time.monotonic() + 20
    while len(back_end.asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.stop()
    release.set()


def test_councilors_are_paused_by_the_back_end(start_back_end):
    back_end, server = start_back_end(lambda body: (200, {"success": body["councilor_id"] == "yes"}))
    one, id = watch(server)
    other, _ = watch(server)
    for name in ("yes", "no"):
        answer = ask(one, {"command": "pause_councilor", "councilor_id": name})
        assert answer["type"] == "councilor_paused"
        assert answer["data"] == {"councilor_id": name, "success": name == "yes"}
    assert back_end.asked[0][1] == {"event": "pause_councilor", "tenant": "default",
                                    "councilor_id": "yes", "client_id": id}
    assert ask(other, {"command": "ping"})["type"] == "pong"  # and nothing before it
    one.close()
    other.close()


# ---- who may ----


def test_tokens(start_recado):
    server = start_recado(
        LOOPS + f'auth: {{ hmac_secret: "{SECRET}", require_token: true, api_keys: ["key"] }}')
    for query in ("", "?token=x", "?token=" + token(exp=1)):
        with connect(server.ws("/ws/gamification" + query)) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                socket.recv(timeout=20)
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Unauthorized")
    acme, _ = watch(server, "?token=" + token("acme"))
    key = {"X-API-Key": "key"}
    event = {"type": "task_error", "data": {"n": 1}}
    assert server.post("/api/internal/task-event", event)[0] == 401
    assert server.post("/api/internal/task-event", event, key)[0] == 200
    assert server.post("/api/internal/task-event", {**event, "tenant": "acme"}, key)[0] == 200
    assert json.loads(acme.recv(timeout=20))["data"] == {"n": 1}
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(server.ws("/ws/agent-stream")).__enter__()
    assert refused.value.response.status_code == 401
    with connect(server.ws("/ws/agent-stream?tenant=acme"), additional_headers=key) as producer:
        producer.send('{"type":"stream_end","data":{}}')
        assert json.loads(acme.recv(timeout=20))["data"] == {"level": "debug"}
    assert server.get("/api/tasks/events")[0] == 401
    bearer = {"Authorization": "Bearer " + token("acme")}
    recent = json.loads(server.get("/api/tasks/events", bearer)[2])
    assert recent["count"] == 1 and recent["events"][0]["data"] == {"n": 1}
    assert isinstance(recent["events"][0]["timestamp"], int)
    assert server.get("/api/tasks/events", key)[0] == 200
    assert server.post("/api/v1/stream-execute", {"input": "x"}, {"X-API-Key": "key"})[0] == 401
    job = submit(server, query="?token=" + token("acme"))
    server.api("publish", {"tenant": "acme", "channel": "job:" + job, "type": "end_of_stream",
                           "data": {}}, "key")
    assert server.get(f"/api/v1/stream/{job}")[0] == 401
    assert server.get(f"/api/v1/stream/{job}?token={token('other')}")[0] == 404
    assert server.get(f"/api/v1/stream/{job}", bearer)[0] == 200
    acme.close()


def test_a_token_that_nobody_could_check_is_ignored(server):
    """As by the original, whose pages may send the one of their own application."""
    bearer = {"Authorization": "Bearer x.y.z"}
    for query in "?token=abc", "?token=x.y.z", "?token=" + "a" * 7000:
        watch(server, query)[0].close()
        submit(server, query=query)
    status, _, answer = server.post("/api/v1/stream-execute", {"input": "x"}, bearer)
    assert status == 200
    assert server.get("/api/tasks/events", bearer)[0] == 200
    emit(server, json.loads(answer)["job_id"], "end_of_stream", {})
    assert server.get(json.loads(answer)["stream_url"], bearer)[0] == 200


def test_pages_of_other_origins(start_recado):
    page = "http://app.example"
    server = start_recado(f'auth: {{ origins: ["{page}"] }}')
    status, headers, _ = server.post("/api/v1/stream-execute", {"input": "x"},
                                     {"Origin": "http://evil.example"})
    assert status == 403
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("OPTIONS", "/api/v1/stream-execute", headers={
        "Origin": page, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("Access-Control-Allow-Origin") == page
    assert "x-api-key" in answer.getheader("Access-Control-Allow-Headers")
    connection.close()
    status, _, body = server.post("/api/v1/stream-execute", {"input": "x"}, {"Origin": page})
    job = json.loads(body)["job_id"]
    emit(server, job, "end_of_stream", {})
    status, headers, _ = server.get(f"/api/v1/stream/{job}", {"Origin": page})
    assert headers.get_all("Access-Control-Allow-Origin") == [page]


def test_unknown_paths_of_its_listener(start_recado):
    server = start_recado('listen: [{ address: "127.0.0.1:PORT", dialect: conductor }]')
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(server.ws("/ws/other")).__enter__()
    assert refused.value.response.status_code == 403
    assert server.get("/nothing")[0] == 404


def test_task_events_of_all_loops(server):
    """Two hundred are kept, whoever emitted them, newest first, and each loop tells the same."""
    socket, _ = watch(server)
    for n in range(210):
        if n % 3:
            server.publish("gamification", {"n": n}, type="task_completed")
        else:
            server.post("/api/internal/task-event", {"type": "task_started", "data": {"n": n}})
    for _ in range(210):
        socket.recv(timeout=20)
    for _ in range(6):
        recent = json.loads(server.get("/api/tasks/events?limit=200")[2])
        assert recent["success"] is True and recent["count"] == 200
        assert [e["data"]["n"] for e in recent["events"]] == list(range(209, 9, -1))
    assert json.loads(server.get("/api/tasks/events")[2])["count"] == 50
    socket.close()


def test_task_events_of_before(server):
    """Published while nobody had to do with the dialect, told to the first who asks, on any loop."""
    for n in range(20):
        server.publish("gamification", {"n": n}, type="task_completed" if n % 2 else "system_alert")

    def recent(_):
        return json.loads(server.get("/api/tasks/events")[2])["events"]

    with ThreadPoolExecutor(8) as pool:
        for events in pool.map(recent, range(8)):
            assert [e["data"]["n"] for e in events] == list(range(19, 0, -2))
    server.publish("gamification", {"n": 20}, type="task_completed")
    assert [e["data"]["n"] for e in recent(0)] == [20, *range(19, 0, -2)]


def test_a_silent_client_lives(start_recado):
    """Nothing but protocol pings keeps it, which every library answers by itself."""
    server = start_recado("websocket: { ping_interval: 200ms, pong_timeout: 1s }")

    async def idle():
        async with websockets.connect(server.ws("/ws/gamification")) as socket:
            await socket.recv()
            await asyncio.sleep(2)
            server.publish("gamification", {}, type="x")
            return json.loads(await asyncio.wait_for(socket.recv(), 20))

    assert asyncio.run(idle())["type"] == "x"


def test_everybody_comes_and_goes(start_recado):
    """Clients, jobs, readers and back ends on four loops at once; each gets what is its own."""
    server = start_recado("loops: 4\nconductor: { jobs_max: 20 }")
    failures = []

    def told(socket, command, type):
        socket.send(json.dumps(command))
        while json.loads(socket.recv(timeout=20))["type"] != type:
            pass

    def client():
        socket, _ = watch(server)
        told(socket, {"command": "subscribe", "topics": ["task_error"]}, "subscribed")
        told(socket, {"command": "get_stats"}, "stats")
        socket.send('{"command":"pause_councilor","councilor_id":"c"}')  # and does not wait
        socket.close()

    def job():
        id = submit(server)
        emit(server, id, "status_update", {"id": id})
        end = threading.Thread(target=emit, args=(server, id, "end_of_stream", {}))
        end.start()
        assert read_stream(server, id) == [("status_update", {"id": id})]
        end.join()

    def event():
        server.publish("gamification", {"n": 1}, type="task_error")
        assert server.get("/api/tasks/events")[0] == 200

    def repeat(what):
        try:
            for _ in range(40):
                what()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=repeat, args=(what,))
               for what in [client] * 4 + [job] * 4 + [event] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures, failures


def test_a_second_signal_while_jobs_run(start_recado):
    server = start_recado(LOOPS + "shutdown: { drain: 60s }")
    for _ in range(5):
        submit(server)
    watch(server)
    server.signal(signal.SIGTERM)
    server.wait_log("draining|drain|stop")
    server.stop()
