"""Schedules with a real back end over HTTP, a model's server, dashboards' sockets, restarts and kills."""

import http.server
import json
import queue
import re
import threading
import time

import jwt
import pytest
from websockets.sync.client import connect

from servers import open_url

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "a key of the back end"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"


class BackEnd:
    """Is called by runs; each call is put into .calls and answered with what .answer gives."""

    def __init__(self):
        self.calls = queue.Queue()
        self.answer = lambda call: (200, b"tudo certo")
        self.headers = queue.Queue()
        own = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                own.headers.put(dict(self.headers))
                own.calls.put(call)
                status, body = own.answer(call)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/run"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def back_end():
    made = BackEnd()
    yield made
    made.close()


def request(server, method, path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    status, _, answer = open_url(server.url + path, data, headers, method)
    return status, json.loads(answer)


def add(server, **schedule):
    status, answer = request(server, "POST", "/api/schedules", schedule)
    assert status == 201, answer
    return answer


def hear(socket, *types):
    """The data of the next events, which have these types."""
    found = []
    for type in types:
        event = json.loads(socket.recv(timeout=60))
        assert event["type"] == type, event
        found.append(event["data"])
    return found[0] if len(found) == 1 else found


def watch(server, query=""):
    socket = connect(server.ws("/ws/gamification" + query)).__enter__()
    assert json.loads(socket.recv(timeout=20))["type"] == "connected"
    return socket


def get(server, id):
    return request(server, "GET", f"/api/schedules/{id}")[1]


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_councilor_runs_by_the_clock(start_recado, back_end):
    server = start_recado("loops: 3\n")
    back_end.answer = lambda call: (200, json.dumps({"output": "Situação CRÍTICA: problema CRÍTICO"})
                                    .encode())
    with watch(server) as dashboard:
        made = add(server, name="Auditoria de Segurança", id="security-audit", interval="1s",
                   display_name="Conselheiro Silva", url=back_end.url)
        assert made["last_run"] is None and made["next_run_at"] and made["kind"] == "http"
        started, completed = hear(dashboard, "councilor_started", "councilor_completed")
        call = back_end.calls.get(timeout=20)
        assert call == {
            "event": "councilor_run", "tenant": "default", "councilor_id": "security-audit",
            "task_name": "Auditoria de Segurança", "display_name": "Conselheiro Silva",
            "execution_id": started["execution_id"]}
        assert re.fullmatch(r"exec_security-audit_\d{13}", started["execution_id"])
        assert re.fullmatch(STAMP, started["started_at"])
        ids = {"councilor_id": "security-audit", "agent_id": "security-audit",
               "task_name": "Auditoria de Segurança", "display_name": "Conselheiro Silva",
               "execution_id": started["execution_id"], "started_at": started["started_at"]}
        assert started == ids
        assert isinstance(completed["duration_ms"], int)
        assert re.fullmatch(STAMP, completed["completed_at"])
        assert completed == {**ids, "status": "completed", "severity": "error",
                             "completed_at": completed["completed_at"],
                             "duration_ms": completed["duration_ms"],
                             "output": "Situação CRÍTICA: problema CRÍTICO"}
        more = hear(dashboard, "councilor_started", "councilor_completed")
        assert more[0]["execution_id"] != started["execution_id"]
    assert "X-API-Key" not in back_end.headers.get()
    assert get(server, "security-audit")["last_run"]["severity"] == "error"


@pytest.mark.parametrize("answer, severity", [
    (b"", "success"), (b"tudo bem", "success"), ("ATENÇÃO".encode(), "warning"),
    (b'"aten\\u00e7\\u00e3o"', "warning"), (b'{"result": "Deprecated"}', "warning"),
    (b'{"any": "cr\\u00cdtico"}', "error"), (b"3 warnings, 1 ERROR", "error")])
def test_severity(start_recado, back_end, answer, severity):
    server = start_recado()
    back_end.answer = lambda call: (201, answer)
    with watch(server) as dashboard:
        add(server, id="c", interval="1d", url=back_end.url)
        assert request(server, "POST", "/api/schedules/c/run")[0] == 202
        hear(dashboard, "councilor_started")
        assert hear(dashboard, "councilor_completed")["severity"] == severity


def test_what_goes_wrong_is_told(start_recado, back_end):
    rest = "schedules: {timeout: 1s}\n"
    server = start_recado("conductor: {backend: \"http://127.0.0.1:1/\"}\n" + rest)
    add(server, id="nobody", interval="1d")
    server.stop()
    server.config = "conductor: {backend_key: secret-key}\n" + rest  # nobody is left to call
    server.start()
    back_end.answer = lambda call: (500, b"oops")
    with watch(server) as dashboard:
        add(server, id="http", interval="1d", url=back_end.url)
        add(server, id="gone", interval="1d", url="http://127.0.0.1:1/")
        for id, words in (("http", "HTTP 500"), ("gone", "back end"), ("nobody", "conductor.backend")):
            status, answer = request(server, "POST", f"/api/schedules/{id}/run")
            assert status == 202 and answer["running"]
            started, error = hear(dashboard, "councilor_started", "councilor_error")
            assert words in error["error"], error
            assert {k: error[k] for k in started} == started
            assert error["status"] == error["severity"] == "error"
            assert "duration_ms" not in error and re.fullmatch(STAMP, error["completed_at"])
            last = get(server, id)["last_run"]
            assert last["status"] == "error" and last["error"] == error["error"]
        hold = threading.Event()
        back_end.answer = lambda call: (hold.wait(60), (200, b"late"))[1]
        request(server, "POST", "/api/schedules/http/run")
        assert "no answer in time" in hear(dashboard, "councilor_started", "councilor_error")[1]["error"]
        hold.set()


def test_somebody_must_be_there_to_be_called(start_recado):
    server = start_recado("llm: {url: \"\"}\n")
    for body, words in (({"id": "a", "interval": "1d"}, "give a url or a prompt, or set conductor.backend"),
                        ({"id": "a", "interval": "1d", "prompt": "x"}, "llm.url")):
        status, answer = request(server, "POST", "/api/schedules", body)
        assert status == 400 and words in answer["error"]["message"], answer
    add(server, id="a", interval="1d", url="http://127.0.0.1:1/")
    for body in {"url": None}, {"prompt": "x"}:
        assert request(server, "PATCH", "/api/schedules/a", body)[0] == 400
    assert get(server, "a")["url"] == "http://127.0.0.1:1/"


def test_fields_that_nobody_reads_are_refused(start_recado):
    server = start_recado("conductor: {backend: \"http://127.0.0.1:1/\"}\n")
    add(server, id="a", interval="1d")
    for name, words in (("intervall", "display_name, interval, cron"), ("timezone", "UTC"), ("tz", "UTC"),
                        ("next_run_at", "not known"), ("", "not known"), ("x" * 300, "not known")):
        body = {"interval": "1h", name: "America/Sao_Paulo"}
        for method, path in (("POST", ""), ("PATCH", "/a")):
            status, answer = request(server, method, "/api/schedules" + path, body)
            message = answer["error"]["message"]
            assert status == 400 and words in message, answer
            assert len(name) in (0, 300) or message.startswith(name + ": "), message
    status, answer = request(server, "POST", "/api/schedules", {"name": "b", "interval": 60})
    assert status == 400 and answer["error"]["message"].startswith("interval: "), answer
    assert request(server, "GET", "/api/schedules")[1]["total"] == 1
    assert get(server, "a")["interval"] == "1d"


def test_the_conductors_own_back_end_gets_its_key(start_recado, back_end):
    server = start_recado(f"conductor: {{backend: \"{back_end.url}\", backend_key: the-key}}\n")
    add(server, id="c", interval="1d", paused=True)
    assert request(server, "POST", "/api/schedules/c/run")[0] == 202
    assert back_end.calls.get(timeout=20)["councilor_id"] == "c"
    assert back_end.headers.get()["X-API-Key"] == "the-key"


def test_a_councilor_of_the_model(start_recado, upstream):
    server = start_recado(f"llm: {{url: \"{upstream.url}\"}}\n")
    with watch(server) as dashboard:
        add(server, id="m", interval="1d", prompt="Há um aviso", model="echo")
        add(server, id="bad", interval="1d", prompt="x", model="garbage")
        assert get(server, "m")["kind"] == "model"
        request(server, "POST", "/api/schedules/m/run")
        completed = hear(dashboard, "councilor_started", "councilor_completed")[1]
        assert completed["output"].strip() == "Há um aviso" and completed["severity"] == "warning"
        request(server, "POST", "/api/schedules/bad/run")
        error = hear(dashboard, "councilor_started", "councilor_error")[1]
        assert error["error"].startswith("the model: ")


def test_it_never_overlaps_itself(start_recado, back_end):
    server = start_recado("loops: 2\n")
    hold = threading.Event()
    back_end.answer = lambda call: (hold.wait(60), (200, b"ok"))[1]
    add(server, id="slow", interval="1s", url=back_end.url)
    back_end.calls.get(timeout=60)
    wait_for(lambda: get(server, "slow")["skipped"] >= 2)
    assert back_end.calls.empty() and get(server, "slow")["running"]
    assert request(server, "POST", "/api/schedules/slow/run")[0] == 409
    hold.set()
    back_end.calls.get(timeout=60)


def test_pausing_from_a_dashboard(start_recado, back_end):
    """pause_councilor pauses the schedule of that name; other names go the way they went."""
    server = start_recado("loops: 3\n")
    add(server, id="security-audit", interval="1s", url=back_end.url)
    back_end.calls.get(timeout=60)
    for _ in range(6):  # on every loop
        with watch(server) as dashboard:
            dashboard.send(json.dumps({"command": "subscribe", "topics": []}))
            assert json.loads(dashboard.recv(timeout=20))["type"] == "subscribed"
            for id, success in (("security-audit", True), ("another", False), (7, False)):
                dashboard.send(json.dumps({"command": "pause_councilor", "councilor_id": id}))
                answer = json.loads(dashboard.recv(timeout=60))
                assert answer["type"] == "councilor_paused"
                assert answer["data"] == {"councilor_id": id, "success": success}
    state = get(server, "security-audit")
    assert state["paused"] and state["next_run_at"] is None
    wait_for(lambda: not get(server, "security-audit")["running"])
    before = get(server, "security-audit")["last_run"]
    add(server, id="clock", interval="1s", url=back_end.url)
    for _ in range(3):  # time passes
        while back_end.calls.get(timeout=60)["councilor_id"] != "clock":
            pass
    assert get(server, "security-audit")["last_run"] == before
    status, answer = request(server, "POST", "/api/schedules/security-audit/resume")
    assert status == 200 and not answer["paused"] and answer["next_run_at"]
    while back_end.calls.get(timeout=60)["councilor_id"] != "security-audit":
        pass


def test_they_outlive_kills(start_recado, back_end):
    server = start_recado("loops: 2\n")
    hold = threading.Event()
    back_end.answer = lambda call: (hold.wait(60), (200, b"ok"))[1]
    add(server, id="running", interval="1d", url=back_end.url)
    add(server, id="paused", cron="*/5 9-17 * * MON-FRI", url=back_end.url, paused=True)
    missed = add(server, id="missed", interval="2s", url=back_end.url)
    request(server, "POST", "/api/schedules/running/run")
    while back_end.calls.get(timeout=60)["councilor_id"] != "running":
        pass
    server.kill()
    hold.set()
    due = missed["next_run_at"]
    wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 5)) > due)
    server.start()
    wait_for(lambda: get(server, "running")["last_run"]["status"] == "error")
    assert get(server, "running")["last_run"]["error"] == "server stopped"
    assert get(server, "paused")["paused"] and get(server, "paused")["cron"] == "*/5 9-17 * * MON-FRI"
    wait_for(lambda: (get(server, "missed")["last_run"] or {}).get("status") == "completed")
    status, _, answer = server.get("/api/history")  # the event went out as well
    answer = server.api("history", {"channel": "gamification", "limit": 100})
    lost = [p for p in answer["result"]["publications"]
            if p.get("type") == "councilor_error" and p["data"]["councilor_id"] == "running"]
    assert len(lost) == 1 and lost[0]["data"]["error"] == "server stopped"


def test_rest(start_recado):
    server = start_recado("schedules: {max: 4}\nconductor: {backend: \"http://127.0.0.1:1/\"}\n")
    made = add(server, name="Weekly Report!", cron="0 9 * * MON")
    assert made["id"] == "weekly-report" and made["display_name"] == "Weekly Report!"
    assert made["interval"] is None and made["paused"] is False
    for body, words in (({"name": "a", "interval": "5x"}, "interval"),
                        ({"name": "a", "cron": "0 0 31 2 *"}, "no such day"),
                        ({"name": "a", "cron": "0 25 * * *"}, "cron: hour: 25 is not 0 to 23"),
                        ({"name": "a", "cron": "0 9 * * FRI-MOM"}, "cron: day of the week: MOM is not"),
                        ({"name": "a"}, "interval or cron"),
                        ({"name": "a", "interval": "1h", "cron": "* * * * *"}, "interval or cron"),
                        ({"name": "a", "interval": "1h", "url": "file:///etc/passwd"}, "url"),
                        ({"id": "../x", "interval": "1h"}, "id"),
                        ({"interval": "1h"}, "id"), ({"name": 1}, "string"), ([], "object")):
        status, answer = request(server, "POST", "/api/schedules", body)
        assert status == 400 and words in answer["error"]["message"], answer
    assert request(server, "POST", "/api/schedules", {"id": "weekly-report", "interval": "1h"})[0] == 409
    status, answer = request(server, "PATCH", "/api/schedules/weekly-report",
                             {"interval": "30s", "display_name": "Outro"})
    assert status == 200 and answer["interval"] == "30s" and answer["cron"] is None
    assert answer["name"] == "Weekly Report!" and answer["display_name"] == "Outro"
    assert request(server, "PATCH", "/api/schedules/weekly-report", {"cron": "* * * *"})[0] == 400
    assert request(server, "PATCH", "/api/schedules/none", {})[0] == 404
    assert get(server, "weekly-report")["interval"] == "30s"
    for id in ("b", "a", "c"):
        add(server, id=id, interval="1d")
    assert request(server, "POST", "/api/schedules", {"id": "d", "interval": "1d"})[0] == 409
    status, answer = request(server, "GET", "/api/schedules?limit=2&offset=1")
    assert [s["id"] for s in answer["schedules"]] == ["b", "c"] and answer["total"] == 4
    assert request(server, "GET", "/api/schedules?limit=0")[0] == 400
    assert request(server, "DELETE", "/api/schedules/b")[0] == 200
    assert request(server, "DELETE", "/api/schedules/b")[0] == 404
    assert request(server, "GET", "/api/schedules/b")[0] == 404
    assert request(server, "POST", "/api/schedules/a/jump")[0] == 404
    assert request(server, "GET", "/api/schedules/a/run")[0] == 405
    server.stop()
    server.start()
    assert request(server, "GET", "/api/schedules")[1]["total"] == 3


def test_who_may_do_what(start_recado):
    server = start_recado(f"auth: {{hmac_secret: {SECRET}, api_keys: [{KEY}]}}\nloops: 2\n")
    key = {"X-API-Key": KEY}

    def token(org):
        claims = {"sub": "ana", "org": org, "exp": int(time.time()) + 600}
        return {"Authorization": "Bearer " + jwt.encode(claims, SECRET, "HS256")}

    url = "http://user:word@127.0.0.1:9/?key=hidden"
    body = {"id": "c", "interval": "1d", "tenant": "acme", "url": url}
    assert request(server, "POST", "/api/schedules", body)[0] == 401
    assert request(server, "POST", "/api/schedules", body, token("acme"))[0] == 403
    assert request(server, "POST", "/api/schedules", body, key)[0] == 201
    assert request(server, "GET", "/api/schedules/c", headers=key)[0] == 404  # of another tenant
    assert request(server, "GET", "/api/schedules/c?tenant=acme", headers=key)[0] == 200
    assert request(server, "GET", "/api/schedules/c", headers=token("acme"))[0] == 200
    assert request(server, "GET", "/api/schedules/c", headers=token("other"))[0] == 404
    assert request(server, "GET", "/api/schedules/c?tenant=acme", headers=token("other"))[0] == 403
    assert request(server, "GET", "/api/schedules", headers=token("other"))[1]["total"] == 0
    for method, path in (("DELETE", ""), ("PATCH", "")):
        assert request(server, method, "/api/schedules/c" + path, {}, token("acme"))[0] == 403
    assert request(server, "POST", "/api/schedules/c/pause", {}, token("other"))[0] == 404
    status, answer = request(server, "POST", "/api/schedules/c/pause", {}, token("acme"))
    assert status == 200 and answer["paused"] and answer["url"] is None
    assert request(server, "GET", "/api/schedules/c?tenant=acme", headers=key)[1]["url"] == url
    for path in "", "/c":
        status, answer = request(server, "GET", "/api/schedules" + path, headers=token("acme"))
        assert status == 200 and "hidden" not in json.dumps(answer)
    for tenant in ["acme"], 5, "\ud800":
        assert request(server, "POST", "/api/schedules/c/pause", {"tenant": tenant}, key)[0] == 400
