"""Runs: what back ends tell and what passes by leaves rows, which can be asked for in three ways."""

import asyncio
import datetime as dt
import json
import random
import time
import urllib.parse

import jwt
import pytest
import websockets

from servers import open_url
from test_durable import Database

KEY = "api-key-of-the-tests"
SECRET = "0123456789abcdef0123456789abcdef"
LOCKED = f'auth: {{ hmac_secret: "{SECRET}", api_keys: ["{KEY}"] }}\n'
NOT_STORED = 120


def ask(server, path, expect=200, how="GET", body=None, key=None, token=None, **query):
    query = {("from" if k == "from_" else k): v for k, v in query.items() if v is not None}
    url = server.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
    headers = {"Content-Type": "application/json"}
    if key:
        headers["X-API-Key"] = key
    if token:
        headers["Authorization"] = "Bearer " + token
    data = json.dumps(body).encode() if body is not None else None
    if how == "POST" and data is None:
        data = b""
    got, _, answer = open_url(url, data=data, headers=headers, method=how, timeout=60)
    assert got == expect, f"{how} {path} {query}: {got} {answer!r}"[:2000]
    return json.loads(answer)


def post(server, path, body=None, expect=201, **more):
    return ask(server, path, expect, "POST", body, **more)


def token(org, sub="ana"):
    return jwt.encode({"sub": sub, "org": org, "exp": int(time.time()) + 600}, SECRET, "HS256")


def until(what, look, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def runs(server, tenant="default", **query):
    return ask(server, "/api/runs", tenant=tenant, **query)["runs"]


def settled(server):
    return until("no change waits", lambda: server.metrics()["recado_runs_waiting"] == 0)


# ---- told by a back end ----


def test_a_run_from_its_begin_to_its_end(shared_recado):
    t = "life"
    run = post(shared_recado, "/api/runs",
               {"tenant": t, "kind": "agent", "agent_id": "a", "agent_name": "Ana ç", "name": "look",
                "method": "USER", "input": {"q": [1, "ã😀"]}, "metadata": {"tools": ["web"]}})
    assert run["status"] == "running" and run["attempt"] == 1 and run["input"] == {"q": [1, "ã😀"]}
    path = f"/api/runs/{run['id']}"
    for n in range(3):
        post(shared_recado, path + "/steps", {"tenant": t, "name": f"s{n}", "detail": {"n": n}}, 200)
    post(shared_recado, path + "/heartbeat", {"tenant": t, "lease": "1h", "tokens_in": 5}, 200)
    ask(shared_recado, path, how="PATCH", body={"tenant": t, "metadata": {"more": True}})
    done = post(shared_recado, path + "/finish",
                {"tenant": t, "result": {"ok": 1}, "tokens_out": 7, "severity": "success"}, 200)
    assert done["status"] == "completed" and done["tokens_in"] == 5 and done["lease_until"] is None
    assert done["metadata"] == {"tools": ["web"], "more": True}
    whole = ask(shared_recado, path, tenant=t)
    assert [s["name"] for s in whole["steps"]] == ["s0", "s1", "s2"]
    assert [s["detail"]["n"] for s in whole["steps"]] == [0, 1, 2]
    assert len(whole["attempts"]) == 1 and whole["result"] == {"ok": 1}
    assert post(shared_recado, path + "/finish", {"tenant": t}, 200)["result"] == {"ok": 1}
    for verb in "cancel", "heartbeat":
        refused = post(shared_recado, f"{path}/{verb}", {"tenant": t}, 409)
        assert "completed" in refused["error"]["message"]
    post(shared_recado, path + "/finish", {"tenant": t, "status": "failed"}, 409)
    post(shared_recado, "/api/runs/nobody/cancel", {"tenant": t}, 404)
    ask(shared_recado, "/api/runs/nobody", 404, tenant=t)
    post(shared_recado, path + "/dance", {"tenant": t}, 404)


def test_attempts(shared_recado):
    t = "attempts"
    post(shared_recado, "/api/runs", {"tenant": t, "id": "a/b c", "kind": "task", "input": "in"})
    path = "/api/runs/a%2Fb%20c"
    post(shared_recado, "/api/runs", {"tenant": t, "id": "a/b c"}, 409)
    post(shared_recado, path + "/finish", {"tenant": t, "status": "timeout", "error": "slow"}, 200)
    again = post(shared_recado, path + "/retry", {"tenant": t}, 201)
    assert (again["attempt"], again["status"], again["error"]) == (2, "running", None)
    assert again["input"] == "in"
    post(shared_recado, path + "/finish", {"tenant": t}, 200)
    whole = ask(shared_recado, path, tenant=t)
    assert [(a["attempt"], a["status"], a["error"]) for a in whole["attempts"]] == [
        (2, "completed", None), (1, "superseded", "slow")]
    assert len(runs(shared_recado, t)) == 1


def test_every_attempt_can_be_seen(shared_recado):
    t, path = "every-attempt", "/api/runs/again"
    post(shared_recado, "/api/runs", {"tenant": t, "id": "again"})
    post(shared_recado, path + "/steps", {"tenant": t, "name": "load", "detail": "d" * 5000}, 200)
    post(shared_recado, path + "/finish", {"tenant": t, "error": "no", "result": {"n": 1}}, 200)
    post(shared_recado, path + "/retry", {"tenant": t})
    post(shared_recado, path + "/steps", {"tenant": t, "name": "load again"}, 200)
    whole = ask(shared_recado, path, tenant=t)
    second, first = whole["attempts"]
    assert whole["steps"] == second["steps"] and second["status"] == "running"
    assert [s["name"] for s in second["steps"]] == ["load again"]
    assert (first["status"], first["former_status"], first["error"], first["result"]) == (
        "superseded", "failed", "no", {"n": 1})
    assert first["started_at"] and first["completed_at"] and first["duration_ms"] >= 0
    assert [(s["name"], s["detail"]) for s in first["steps"]] == [("load", None)]
    alone = ask(shared_recado, path, tenant=t, attempt=1)
    assert alone["attempt"] == 1 and alone["steps"][0]["detail"] == "d" * 5000
    assert alone["attempts"] == whole["attempts"]
    missing = ask(shared_recado, path, 404, tenant=t, attempt=3)
    assert missing["error"]["message"].startswith("attempt: ")
    for query in "attempt=0", "attempt=x", "attempts=1":
        refused = ask(shared_recado, f"{path}?{query}", 400)["error"]["message"]
        assert refused.startswith(query.split("=")[0] + ": ")


def test_sorting_by_what_is_named(shared_recado):
    t = "sorts"
    for id, hour, ms in ("x", 3, 5), ("y", 1, 9), ("z", 2, 1):
        post(shared_recado, "/api/runs", {
            "tenant": t, "id": id, "status": "completed", "agent_id": "a", "duration_ms": ms,
            "started_at": f"2025-03-01T0{hour}:00:00Z"})
    order = lambda sort, **more: "".join(
        r["id"] for r in runs(shared_recado, t, sort=sort, **more))
    for more in {}, {"agent_id": "a"}, {"from_": "2025-01-01"}:
        assert order(None, **more) == order("-started_at", **more) == "xzy"
        assert order("started_at", **more) == "yzx"
        assert order("created_at", **more) == "xyz" and order("-created_at", **more) == "zyx"
        assert order("duration_ms", **more) == "zxy" and order("-duration_ms", **more) == "yxz"


def test_a_worker_that_vanishes_and_comes_back(shared_recado):
    t = "lease"
    post(shared_recado, "/api/runs", {"tenant": t, "id": "r", "lease": "300ms"})
    lost = until("lost", lambda: runs(shared_recado, t, status="lost"))
    assert lost[0]["id"] == "r" and "lease" in lost[0]["error"]
    back = post(shared_recado, "/api/runs/r/heartbeat", {"tenant": t, "lease": "1h"}, 200)
    assert back["status"] == "running" and back["error"] is None
    assert shared_recado.metrics()["recado_runs_lost_total"] >= 1


BAD = [
    ("POST", "/api/runs", {"name": 1, "tokens_in": "x"}, "tokens_in: must be a whole number"),
    ("POST", "/api/runs", {"status": "superseded"}, "status: must be queued"),
    ("POST", "/api/runs", {"tenant": "a\nb"}, "tenant: must be"),
    ("POST", "/api/runs", {"id": "x" * 256}, "id: is too long"),
    ("POST", "/api/runs", {"metadata": []}, "metadata: must be an object"),
    ("POST", "/api/runs", [1], "body: "),
    ("POST", "/api/runs/x/steps", {}, "name: is required"),
    ("GET", "/api/runs?from=2025-13-01", None, "from: must be a date"),
    ("GET", "/api/runs?from=2025-02-02&to=2025-02-01", None, "from: must not be behind to"),
    ("GET", "/api/runs?limit=501", None, "limit: must be a whole number from 1 to 500"),
    ("GET", "/api/runs?limit=", None, "limit: must be"),
    ("GET", "/api/runs?offset=-1", None, "offset: must be"),
    ("GET", "/api/runs?status=STARTED", None, "status: must be queued"),
    ("GET", "/api/runs?sort=name", None, "sort: must be created_at"),
    ("GET", "/api/runs?q=" + "x" * 300, None, "q: too long"),
    ("GET", "/api/runs?limit=1&agentId=a", None, "agentId: no such parameter; there are from, to, "
        "agent, agent_id, status, method, kind, task_id, q, sort, limit, offset, tenant and token"),
    ("GET", "/api/runs?=", None, ": no such parameter"),
    ("GET", "/api/runs?agent=a&agent=b", None, "agent: is there twice"),
    ("GET", "/api/runs/stats?limit=1", None, "limit: no such parameter; there are from, to"),
    ("PATCH", "/api/runs/x", {"agent_id": True}, "agent_id: must be a string"),
    ("PATCH", "/api/runs/x", {"unknown": 1, "status": 3}, "status: must be queued"),
    ("POST", "/api/runs/x/steps", {"name": []}, "name: must be a string"),
    ("POST", "/api/runs/x/heartbeat", {"lease": {}}, "lease: must be a duration"),
    ("POST", "/api/runs/x/finish", {"error": {"a": 1}}, "error: must be a string"),
    ("POST", "/api/runs/x/finish", {"completed_at": True}, "completed_at: must be a date"),
    ("POST", "/api/runs/x/cancel", {"metadata": "x"}, "metadata: must be an object"),
    ("GET", "/api/runs/stats?days=367", None, "days: must be"),
    ("GET", "/api/runs/stats?from=2020-01-01", None, "from: the range has more than 366 days"),
    ("GET", "/api/agent-tasks/execution-history", None, "organizationId: is required"),
    ("GET", "/api/agent-tasks/execution-history?organizationId=o&page=0", None, "page: must be"),
    ("GET", "/api/agent-tasks/execution-history?organizationId=o&status=lost", None, "status: must"),
    ("GET", "/api/agent-tasks/execution-history?organizationId=o&endDate=x", None, "endDate: must"),
    ("GET", "/api/agent-tasks/execution-history?organizationId=o&startDate=2025-02-02"
            "&endDate=2025-01-01", None, "startDate: must not be behind endDate"),
]


@pytest.mark.parametrize("method, path, body, why", BAD, ids=lambda v: str(v)[:40])
def test_what_is_wrong_is_said(shared_recado, method, path, body, why):
    answer = ask(shared_recado, path, 400, method, body)
    assert answer["error"]["message"].startswith(why), answer


def test_conductors_errors_have_its_own_form(shared_recado):
    for query in "limit=0", "limit=501", "offset=x", "status=odd", "sort=name":
        detail = ask(shared_recado, "/api/tasks?" + query, 422)["detail"][0]
        assert detail["loc"] == ["query", query.split("=")[0]]


# ---- seen in events ----


def test_events_of_the_agents(shared_recado):
    t = "org-events"
    emit = lambda type, data: shared_recado.publish("agents", data, tenant=t, type=type)
    emit("agent:execution:start", {"agentId": "ag-1", "taskId": "t-1", "title": "Olá"})
    emit("agent:execution:complete", {"agentId": "ag-1", "taskId": "t-1", "duration": 1234,
                                      "result": {"insights": ["x"], "tools": ["web"]}})
    emit("agent:execution:start", {"agentId": "ag-2", "taskId": "t-2"})
    emit("agent:execution:error", {"agentId": "ag-3", "taskId": 3, "error": "broken"})
    emit("task:created", {"taskId": "t-1"})
    until("three rows", lambda: len(runs(shared_recado, t)) == 3)
    settled(shared_recado)
    answer = ask(shared_recado, "/api/agent-tasks/execution-history", organizationId=t)
    assert answer["success"] is True
    rows = {row["agentId"]: row for row in answer["data"]}
    one = rows["ag-1"]
    assert (one["status"], one["duration"], one["title"]) == ("COMPLETED", 1234, "Olá")
    assert one["result"]["insights"] == ["x"] and one["tools"] == ["web"]
    assert (one["executorType"], one["executorId"]) == ("AGENT", "ag-1")
    assert rows["ag-2"]["status"] == "STARTED" and rows["ag-2"]["completedAt"] is None
    assert rows["ag-3"]["status"] == "FAILED" and rows["ag-3"]["errorMessage"] == "broken"
    assert rows["ag-3"]["taskId"] == "3" and rows["ag-3"]["completedAt"]
    assert answer["pagination"] == {"page": 1, "limit": 20, "total": 3, "totalPages": 1}
    stats = answer["stats"]
    assert (stats["total"], stats["completed"], stats["failed"], stats["running"]) == (3, 1, 1, 1)
    assert stats["successRate"] == 50 and stats["averageDuration"] == 1234
    assert len(stats["perDay"]) == 30 and sum(d["total"] for d in stats["perDay"]) == 3
    assert [r["agentId"] for r in ask(shared_recado, "/api/agent-tasks/execution-history",
                                      organizationId=t, status="failed")["data"]] == ["ag-3"]
    page2 = ask(shared_recado, "/api/agent-tasks/execution-history", organizationId=t, limit=2,
                page=2)
    assert len(page2["data"]) == 1 and page2["pagination"]["totalPages"] == 2


async def test_events_of_the_conductor(start_recado):
    server = start_recado()
    emit = lambda type, data: server.publish("gamification", data, type=type)
    started = {"councilor_id": "sec", "task_name": "Auditoria", "display_name": "Silva",
               "execution_id": "exec_sec_1", "started_at": "2025-10-26T03:18:59.123456"}
    emit("councilor_started", started)
    emit("councilor_completed", {**started, "status": "completed", "severity": "warning",
                                 "duration_ms": 5230, "completed_at": "2025-10-26T03:19:04.35"})
    emit("agent_execution_started", {"agent_id": "b", "agent_name": "B", "instance_id": None,
                                     "execution_id": "exec_b_1"})
    for type in "task_submitted", "task_picked", "task_error":
        body = {"type": type, "data": {"task_id": "t1", "agent_id": "b", "instance_id": "i"}}
        assert server.post("/api/internal/task-event", body)[0] == 200
    async with websockets.connect(server.ws("/ws/agent-stream"), proxy=None) as producer:
        await producer.send(json.dumps({"type": "task_completed", "data": {
            "task_id": "t2", "agent_id": "b", "duration_ms": 10, "result_summary": "done"}}))
    answer = await asyncio.to_thread(
        until, "four", lambda: (lambda a: a if a["total"] == 4 else None)(ask(server, "/api/tasks")))
    assert answer["success"] is True and answer["count"] == 4
    tasks = {task["task_id"]: task for task in answer["tasks"]}
    sec = tasks["exec_sec_1"]
    assert (sec["is_councilor_execution"], sec["status"], sec["severity"], sec["duration"]) == (
        True, "completed", "warning", 5.23)
    assert sec["councilor_config"] == {"task_name": "Auditoria", "display_name": "Silva"}
    assert sec["agent_id"] == "sec"
    assert (tasks["exec_b_1"]["status"], tasks["exec_b_1"]["duration"]) == ("running", None)
    assert (tasks["t1"]["status"], tasks["t1"]["instance_id"]) == ("error", "i")
    assert (tasks["t2"]["status"], tasks["t2"]["result"]) == ("completed", "done")
    assert {t["task_id"] for t in ask(server, "/api/tasks", status="error")["tasks"]} == {"t1"}
    assert ask(server, "/api/tasks", agent_id="b", limit=1)["total"] == 3
    oldest = ask(server, "/api/tasks", sort="created_at", limit=1)["tasks"][0]
    assert oldest["created_at"] == min(task["created_at"] for task in tasks.values())
    assert ask(server, "/api/runs/stats")["stats"]["total"] == 4


def test_events_of_the_project_board(start_recado):
    server = start_recado()
    broadcast = lambda type, data: server.post(
        "/api/ws/broadcast", {"event_type": type, "data": data, "project_id": "P"})
    broadcast("job_started", {"job_id": "j1", "status": "running"})
    for percent in 10, 55:
        broadcast("job_progress", {"job_id": "j1", "progress": percent, "status": "running"})
    broadcast("job_completed", {"job_id": "j1", "status": "completed"})
    broadcast("job_failed", {"job_id": "j2", "status": "failed", "error": "no"})
    broadcast("task_completed", {"task_id": "T", "title": "a card", "story_id": "S"})
    until("both", lambda: {r["status"] for r in runs(server)} == {"completed", "failed"})
    settled(server)
    assert {r["id"] for r in runs(server, kind="job")} == {"j1", "j2"} == {
        r["id"] for r in runs(server)}
    steps = ask(server, "/api/runs/j1")["steps"]
    assert len(steps) == 1 and steps[0]["detail"]["progress"] == 55


def test_jobs_of_a_page(start_recado):
    server = start_recado()
    job = json.loads(server.post("/api/v1/stream-execute", {"input": "hello"})[2])["job_id"]
    server.publish(f"job:{job}", {"message": "go"}, type="job_started")
    server.publish(f"job:{job}", {"chunk": "x"}, type="on_llm_new_token")
    server.publish(f"job:{job}", {"result": "Olá", "message": "ok"}, type="result")
    run = until("over", lambda: runs(server, kind="job", status="completed"))[0]
    assert run["id"] == job and run["result"] == "Olá"


# ---- asked for: the same as by hand ----


def test_filters_and_figures_are_those_of_a_plain_list(start_recado):
    server = start_recado()
    rnd = random.Random(7)
    today = dt.datetime.now(dt.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    known = []
    for n in range(300):
        at = today - dt.timedelta(days=rnd.randrange(1, 20), milliseconds=-rnd.randrange(86400000))
        run = {"id": f"r{n}", "kind": rnd.choice(["agent", "llm"]), "agent_id": rnd.choice("abc"),
               "method": rnd.choice(["AGENT", "USER"]), "name": rnd.choice(["Relatório", "plain_%"]),
               "agent_name": rnd.choice(["Ana ç", "Bia"]),
               "status": rnd.choice(["running", "completed", "completed", "failed", "timeout"]),
               "started_at": at.isoformat(timespec="milliseconds"), "tenant": "many"}
        if run["status"] != "running":
            run["duration_ms"] = rnd.randrange(100000)
        post(server, "/api/runs", run)
        known.append({**run, "at": at})
    post(server, "/api/runs", {"tenant": "other", "agent_id": "a"})
    for _ in range(80):
        want = {k: rnd.choice(v) for k, v in {
            "agent_id": [None, None, "a", "b"], "agent": [None, "a", "Ana ç", "nobody"], "method": [None, "USER"], "kind": [None, "llm"],
            "status": [None, None, "completed", "failed", "timeout"],
            "q": [None, None, "RELATÓRIO", "_%"]}.items()}
        first = rnd.choice([None, today - dt.timedelta(days=rnd.randrange(20))])
        last = (first + dt.timedelta(days=rnd.randrange(10))) if first and rnd.random() < .5 else None
        rows = [r for r in known
                if all(r[k] == v for k, v in want.items()
                       if v is not None and k not in ("q", "agent"))
                and want["agent"] in (None, r["agent_id"], r["agent_name"])
                and (not want["q"] or want["q"].lower() in r["name"].lower())
                and (not first or r["at"] >= first)
                and (not last or r["at"] < last + dt.timedelta(days=1))]
        rows.sort(key=lambda r: r["at"], reverse=True)
        offset, limit = rnd.randrange(5), rnd.randrange(1, 30)
        answer = ask(server, "/api/runs", tenant="many", limit=limit, offset=offset, **want,
                     from_=first and first.date(), to=last and last.date())
        assert [r["id"] for r in answer["runs"]] == [r["id"] for r in rows[offset:offset + limit]]
        check_stats(answer["stats"], rows)
        assert answer["total"] == len(rows)


def check_stats(stats, rows):
    count = lambda *s: sum(r["status"] in s for r in rows)
    completed, failed = count("completed"), count("failed", "timeout")
    assert (stats["total"], stats["completed"], stats["failed"], stats["running"]) == (
        len(rows), completed, failed, count("running"))
    durations = [r["duration_ms"] for r in rows if "duration_ms" in r]
    rate = completed / (completed + failed) if completed + failed else None
    assert stats["success_rate"] == (rate if rate is None else pytest.approx(rate))
    mean = sum(durations) / len(durations) if durations else None
    assert stats["average_duration_ms"] == (mean if mean is None else pytest.approx(mean))


def test_every_day_of_the_range(shared_recado):
    t = "days"
    for day in 1, 1, 3:
        post(shared_recado, "/api/runs", {"tenant": t, "status": "completed", "agent_id": "a",
                                          "started_at": f"2025-03-0{day}T12:00:00Z"})
    answer = ask(shared_recado, "/api/runs/stats", tenant=t, from_="2025-02-28", to="2025-03-04")
    assert [(d["date"], d["total"], d["completed"]) for d in answer["per_day"]] == [
        ("2025-02-28", 0, 0), ("2025-03-01", 2, 2), ("2025-03-02", 0, 0), ("2025-03-03", 1, 1),
        ("2025-03-04", 0, 0)]
    assert answer["agents"] == [{"agent_id": "a", "agent_name": None, "total": 3}]
    assert len(ask(shared_recado, "/api/runs/stats", tenant=t, days=7)["per_day"]) == 7


async def test_changes_are_heard_on_the_channel_runs(shared_recado):
    url = shared_recado.ws_url
    async with websockets.connect(url, proxy=None) as client:
        await client.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"runs"}}')
        got = ""
        while '"id":2' not in got:
            got += await asyncio.wait_for(client.recv(), 30)
        await asyncio.to_thread(post, shared_recado, "/api/runs", {"id": "heard", "input": "secret"})
        await asyncio.to_thread(post, shared_recado, "/api/runs/heard/finish", {"result": 1}, 200)
        seen = []
        while len(seen) < 2:
            for line in (await asyncio.wait_for(client.recv(), 30)).splitlines():
                data = json.loads(line).get("push", {}).get("pub", {}).get("data", {})
                if data.get("id") == "heard":
                    seen.append(data)
    assert [s["status"] for s in seen] == ["running", "completed"]
    assert all("input" not in s and "result" not in s for s in seen)


# ---- who may ----


def test_tenants_and_keys(start_recado):
    server = start_recado(LOCKED)
    for org in "one", "two":
        post(server, "/api/runs", {"tenant": org, "id": "same", "name": org}, key=KEY)
    post(server, "/api/runs", {}, 401)
    post(server, "/api/runs", {}, 401, key="wrong")
    post(server, "/api/runs", {}, 403, token=token("one"))  # clients ask, back ends tell
    ask(server, "/api/runs", 401)
    for org in "one", "two":
        answer = ask(server, "/api/runs", token=token(org))
        assert [r["name"] for r in answer["runs"]] == [org]
        assert ask(server, "/api/runs/same", token=token(org))["name"] == org
    ask(server, "/api/runs", 403, token=token("one"), tenant="two")
    ask(server, "/api/runs", 401, token="a.b.c")
    history = "/api/agent-tasks/execution-history"
    ask(server, history, 401)
    ask(server, history, 401, organizationId="one")
    assert ask(server, history, token=token("one"))["data"][0]["title"] == "one"
    assert ask(server, history, token=token("one"), organizationId="one")["data"]
    ask(server, history, 403, token=token("one"), organizationId="two")
    assert ask(server, history, key=KEY, organizationId="two")["data"][0]["title"] == "two"
    post(server, "/api/runs/same/cancel", {"tenant": "one"}, 200, key=KEY)
    assert ask(server, "/api/runs/same", token=token("two"))["status"] == "running"


# ---- what it survives ----


def test_rows_survive_a_restart_and_kill_9(start_recado):
    server = start_recado()
    post(server, "/api/runs", {"id": "kept", "input": 1, "lease": "400ms"})
    for n in range(50):
        server.publish("gamification", {"task_id": f"t{n}", "n": n}, type="task_picked")
    server.stop()  # what was seen is written before the end
    server.start()
    assert ask(server, "/api/runs", limit=1)["total"] == 51
    events = ask(server, "/api/tasks/events", limit=200)["events"]
    assert [e["data"]["n"] for e in events] == list(range(49, -1, -1))
    until("lost while nobody looked", lambda: runs(server, status="lost"))
    for n in range(20):
        post(server, "/api/runs", {"id": f"acknowledged{n}"})
        if n % 5 == 0:
            server.kill()
            server.start()
    assert {f"acknowledged{n}" for n in range(20)} <= {r["id"] for r in runs(server, limit=500)}
    server.publish("gamification", {"task_id": "new", "n": 50}, type="task_picked")
    events = until("the new one too", lambda: (lambda e: e if len(e) == 51 else None)(
        ask(server, "/api/tasks/events", limit=200)["events"]))
    assert [e["data"]["n"] for e in events] == list(range(50, -1, -1))


@pytest.mark.parametrize("kind", ["mariadb", "postgres"])
def test_a_database_that_goes_away(start_recado, kind):
    database = Database(kind)
    server = start_recado(f"store: '{database.url}'\n")
    try:
        post(server, "/api/runs", {"id": "before"})
        database("stop")
        for n in range(100):  # events go on, and their rows come later
            server.publish("agents", {"executionId": f"e{n}", "agentId": "a"},
                           type="agent:execution:start")
        refused = post(server, "/api/runs", {"id": "refused"}, 503)
        assert refused["error"]["code"] == NOT_STORED
        ask(server, "/api/runs", 503)
        ask(server, "/api/tasks", 503)
        ask(server, "/api/agent-tasks/execution-history", 503, organizationId="default")
        assert server.metrics()["recado_runs_waiting"] == 100
        database("start")
        until("all rows", lambda: server.metrics()["recado_runs_waiting"] == 0)
        until("answers", lambda: server.get("/api/runs")[0] == 200)
        rows = {r["id"] for r in runs(server, limit=500)}
        assert rows == {"before"} | {f"e{n}" for n in range(100)}
        assert server.metrics()["recado_runs_dropped_total"] == 0
        server.stop()
    finally:
        database.end()


def test_more_events_than_may_wait_are_counted(start_recado):
    database = Database("postgres")
    server = start_recado(f"store: '{database.url}'\nruns: {{ queue_max: 100 }}\n")
    try:
        post(server, "/api/runs", {"id": "before"})
        database("stop")
        for n in range(150):
            server.publish("agents", {"executionId": f"e{n}"}, type="agent:execution:start")
        assert server.metrics()["recado_runs_dropped_total"] == 50
        server.wait_log("those that come now leave no rows")
        database("start")
        until("the rest is written", lambda: server.metrics()["recado_runs_waiting"] == 0)
        until("answers", lambda: server.get("/api/runs")[0] == 200)
        assert ask(server, "/api/runs", limit=1)["total"] == 101
        server.stop()
    finally:
        database.end()
