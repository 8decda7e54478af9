"""Tasks of the orchestrator: rows behind REST, and task:update at every change to the sockets of its
pages, in the order of the changes."""

import asyncio
import concurrent.futures
import json
import re
import time

import jwt
import pytest
import websockets

from servers import open_url
from test_durable import Database, until

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "a key of some length"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ")
TASK_FIELDS = {"id", "userId", "title", "description", "status", "priority", "createdAt",
               "updatedAt", "completedAt", "projectId", "assignedUserId", "estimatedHours",
               "actualHours", "dueDate"}
SUBTASK_FIELDS = {"id", "taskId", "assignedModelId", "title", "description", "prompt", "result",
                  "status", "reviewedBy", "reviewNotes", "completedAt", "createdAt", "updatedAt",
                  "orderIndex", "estimatedDifficulty"}


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


def ask(server, method, path, body=None, headers=None, base="/api/orquestrador"):
    """(status, answer)"""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    status, _, answer = open_url(server.url + base + path, data, headers, method, timeout=60)
    return status, json.loads(answer)


def good(server, method, path, body=None, status=200, **more):
    got, answer = ask(server, method, path, body, **more)
    assert got == status, (got, answer)
    return answer


def why(server, status, method, path, body=None, **more):
    error = good(server, method, path, body, status, **more)["error"]
    assert isinstance(error["code"], int)
    return error["message"]


class Page:
    """A page's socket that follows tasks."""

    def __init__(self, server, *tasks):
        self.server, self.tasks = server, tasks

    async def __aenter__(self):
        self.ws = await websockets.connect(self.server.ws("/ws"), max_size=None)
        for task in self.tasks:
            await self.ws.send(json.dumps({"type": "task:subscribe", "data": {"taskId": task}}))
            assert json.loads(await self.ws.recv()) == {
                "type": "task:subscribed", "data": {"taskId": task}}
        return self

    async def __aexit__(self, *_):
        await self.ws.close()

    async def next(self):
        event = json.loads(await asyncio.wait_for(self.ws.recv(), 60))
        assert event["type"] == "task:update"
        assert TIME.fullmatch(event["data"]["timestamp"])
        return event["data"]


async def said(function, *args, **more):
    return await asyncio.to_thread(function, *args, **more)


async def test_a_tasks_life(start_recado, any_store):
    server = start_recado(any_store)
    task = good(server, "POST", "/tasks", {"title": "Página inicial", "description": "a\nb \U0001f600"}, 201)
    assert set(task) == TASK_FIELDS | {"subtasks"} and task["subtasks"] == []
    assert (task["status"], task["priority"], task["userId"]) == ("pending", "medium", 1)
    assert task["completedAt"] is None and TIME.fullmatch(task["createdAt"])
    async with Page(server, task["id"]) as page:
        changed = await said(good, server, "PATCH", f"/tasks/{task['id']}", {"status": "planning"})
        update = await page.next()
        assert set(update) == {"task", "subtasks", "timestamp"} and update["subtasks"] == []
        assert set(update["task"]) == TASK_FIELDS
        assert update["task"] == {k: v for k, v in changed.items() if k != "subtasks"}
        assert update["task"]["status"] == "planning" and update["task"]["title"] == task["title"]

        one = await said(good, server, "POST", f"/tasks/{task['id']}/subtasks",
                         {"title": "um", "prompt": "faça \"isto\"", "assignedModelId": 3,
                          "orderIndex": 0, "estimatedDifficulty": "hard"}, 201)
        assert set(one) == SUBTASK_FIELDS and one["taskId"] == task["id"]
        assert (one["status"], one["result"], one["assignedModelId"]) == ("pending", None, 3)
        assert (await page.next())["subtasks"] == [one]
        two = await said(good, server, "POST", f"/tasks/{task['id']}/subtasks", {"title": "dois"}, 201)
        assert (await page.next())["subtasks"] == [one, two]

        for status in ("executing", "validating", "completed", "rejected", "failed"):
            done = await said(good, server, "PATCH", f"/subtasks/{one['id']}",
                              {"status": status, "reviewedBy": 2, "reviewNotes": None})
            update = await page.next()
            assert update["subtasks"][0] == done and done["status"] == status
            assert (done["completedAt"] is not None) == (status == "completed")
            assert done["reviewedBy"] == 2 and done["prompt"] == one["prompt"]

        done = await said(good, server, "PATCH", f"/tasks/{task['id']}", {"status": "completed"})
        assert TIME.fullmatch(done["completedAt"])
        assert (await page.next())["task"]["completedAt"] == done["completedAt"]
        again = await said(good, server, "PATCH", f"/tasks/{task['id']}",
                           {"status": "completed", "title": "Outra"})
        assert again["completedAt"] == done["completedAt"] and again["title"] == "Outra"
        await page.next()
        back = await said(good, server, "PATCH", f"/tasks/{task['id']}", {"status": "executing"})
        assert back["completedAt"] is None
        await page.next()

        server.stop()
        server.start()
        assert good(server, "GET", f"/tasks/{task['id']}") == back
    async with Page(server, task["id"]) as page:
        await said(good, server, "DELETE", f"/subtasks/{two['id']}")
        assert [s["id"] for s in (await page.next())["subtasks"]] == [one["id"]]
        assert await said(good, server, "DELETE", f"/tasks/{task['id']}") == {
            "id": task["id"], "deleted": True}
        update = await page.next()
        assert update["deleted"] is True and update["task"]["title"] == "Outra"
        assert len(update["subtasks"]) == 1
    for path in f"/tasks/{task['id']}", "/tasks/999999999":
        assert "no task" in why(server, 404, "GET", path)
        assert "no task" in why(server, 404, "PATCH", path, {"title": "x"})
        assert "no task" in why(server, 404, "DELETE", path)
        assert "no task" in why(server, 404, "POST", path + "/subtasks", {"title": "x"})
    assert "no subtask" in why(server, 404, "PATCH", f"/subtasks/{one['id']}", {"title": "x"})
    server.kill()
    server.start()
    fresh = good(server, "POST", "/tasks", {"title": "novo"}, 201)
    assert fresh["id"] > task["id"], "the number of a task that is gone is not given again"


def test_lists(start_recado, any_store):
    server = start_recado(any_store)
    states, urgencies = ("pending", "in_progress", "blocked"), ("low", "urgent")
    rows = [good(server, "POST", "/tasks",
                 {"title": f"Tarefa {i}", "description": "100%_certa" if i % 5 == 0 else None,
                  "status": states[i % 3], "priority": urgencies[i % 2],
                  "estimatedHours": 1.50, "dueDate": "2027-01-02"}, 201) for i in range(30)]
    assert rows[0]["dueDate"] == "2027-01-02T00:00:00.000Z" and rows[0]["estimatedHours"] == 1.5
    plain = [{k: v for k, v in row.items() if k != "subtasks"} for row in reversed(rows)]

    def listed(query=""):
        return good(server, "GET", "/tasks" + query)

    assert listed() == {"tasks": plain, "total": 30}
    assert listed("?limit=7&offset=10") == {"tasks": plain[10:17], "total": 30}
    assert listed("?offset=30") == {"tasks": [], "total": 30}
    some = [t for t in plain if t["status"] == "blocked" and t["priority"] == "urgent"]
    assert listed("?status=blocked&priority=urgent") == {"tasks": some, "total": len(some)}
    assert listed("?q=TAREFA%2012")["tasks"] == [t for t in plain if t["title"] == "Tarefa 12"]
    assert listed("?q=%25_c")["total"] == 6 and listed("?q=x%25")["total"] == 0
    assert listed("?q=!")["total"] == 0 and listed("?q=%27%3B--")["total"] == 0
    assert "status: must be one of pending, planning" in why(server, 400, "GET", "/tasks?status=x")
    assert "priority: must be" in why(server, 400, "GET", "/tasks?priority=x")
    for limit in "0", "501", "x", "-1":
        assert "limit" in why(server, 400, "GET", "/tasks?limit=" + limit)


def test_what_is_refused(start_recado):
    server = start_recado()
    task = good(server, "POST", "/tasks", {"title": "T"}, 201)
    path = f"/tasks/{task['id']}"
    for body, text in (
            ({}, "title: is required"), (b"", "title: is required"), (b"[]", "must be a JSON object"),
            (b"{", "at byte 1"), (b'{"title":"\xff"}', "at byte"), ({"title": ""}, "must not be empty"),
            ({"title": 7}, "title: must be a string"), ({"title": "x" * 501}, "500 characters"),
            ({"title": "a\0b"}, "U+0000"), (b'{"title":"\\ud800"}', "surrogate"),
            ({"title": "x", "status": "done"}, "status: must be one of pending, planning, executing"),
            ({"title": "x", "priority": "HIGH"}, "priority: must be one of low, medium, high, urgent"),
            ({"title": "x", "userId": "1"}, "userId: must be an integer"),
            ({"title": "x", "userId": -1}, "userId"), ({"title": "x", "userId": 1e300}, "userId"),
            ({"title": "x", "estimatedHours": "1"}, "estimatedHours: must be a number"),
            ({"title": "x", "dueDate": "2026-02-30"}, "dueDate: must be a time"),
            ({"title": "x", "dueDate": 10 ** 15}, "dueDate: must be a time"),
            ({"title": "x", "description": "y" * 65537}, "description: is longer than 65536 bytes")):
        assert text in why(server, 400, "POST", "/tasks", body), body
    assert good(server, "PATCH", path, {"title": None, "id": 99, "unknown": [1]})["title"] == "T"
    assert good(server, "POST", "/tasks", {"title": "ção" * 166}, 201)["title"] == "ção" * 166
    assert "status: must be one of" in why(server, 400, "POST", path + "/subtasks",
                                           {"title": "x", "status": "planning"})
    assert "title" in why(server, 400, "POST", path + "/subtasks", {"prompt": "x"})
    for wrong in "/tasks/x", "/tasks/0", "/tasks/1/2", "/tasks/1/subtasks/2", "/tasks/99999999999999999999":
        assert ask(server, "GET", wrong)[0] == 404
    assert ask(server, "POST", path, {"title": "x"})[0] == 405
    assert ask(server, "GET", path + "/subtasks")[0] == 405
    assert ask(server, "GET", "/subtasks/1")[0] == 405
    assert good(server, "GET", "/tasks")["total"] == 2


def test_a_task_stays_one_message(start_recado):
    server = start_recado()
    task = good(server, "POST", "/tasks", {"title": "T"}, 201)["id"]
    for _ in range(6):
        good(server, "POST", f"/tasks/{task}/subtasks", {"title": "s", "result": "r" * 600_000}, 201)
    assert "longer than" in why(server, 413, "POST", f"/tasks/{task}/subtasks",
                                {"title": "s", "result": "r" * 900_000})
    assert len(good(server, "GET", f"/tasks/{task}")["subtasks"]) == 6


async def test_changes_are_told_in_their_order(start_recado):
    """From many connections on all loops at once: what a page hears last is what is true."""
    server = start_recado("loops: 3")
    task = good(server, "POST", "/tasks", {"title": "T"}, 201)["id"]
    rounds, askers = 40, 8

    def change(n):
        for i in range(rounds):
            good(server, "PATCH", f"/tasks/{task}", {"title": f"{n}-{i}", "userId": n * rounds + i})

    async with Page(server, task) as one, Page(server, task) as other:
        with concurrent.futures.ThreadPoolExecutor(askers) as pool:
            work = [pool.submit(change, n) for n in range(askers)]
            heard = [await one.next() for _ in range(rounds * askers)]
            assert [await other.next() for _ in range(rounds * askers)] == heard
            for future in work:
                future.result()
    titles = [update["task"]["title"] for update in heard]
    for n in range(askers):
        assert [t for t in titles if t.startswith(f"{n}-")] == [f"{n}-{i}" for i in range(rounds)]
    assert good(server, "GET", f"/tasks/{task}")["title"] == titles[-1]


def test_a_tenant_has_room_for_so_many(start_recado, any_store):
    server = start_recado(any_store + "\ntasks: {max: 3}")
    ids = [good(server, "POST", "/tasks", {"title": "T"}, 201)["id"] for _ in range(3)]
    for _ in range(2):
        status, answer = ask(server, "POST", "/tasks", {"title": "T"})
        assert (status, answer["error"]["code"]) == (409, 409)
        assert "tasks.max" in answer["error"]["message"]
        server.kill()
        server.start()
    good(server, "POST", "/tasks", {"title": "T", "tenant": "other"}, 201)
    good(server, "DELETE", f"/tasks/{ids[0]}")
    good(server, "POST", "/tasks", {"title": "T"}, 201)
    assert ask(server, "POST", "/tasks", {"title": "T"})[0] == 409
    assert good(server, "GET", "/tasks")["total"] == 3


def test_tenants_and_tokens(start_recado):
    server = start_recado(f'auth: {{hmac_secret: "{SECRET}", api_keys: ["{KEY}"]}}')

    def bearer(tenant, sub="ana", **claims):
        token = jwt.encode({"sub": sub, "org": tenant, "exp": int(time.time()) + 600, **claims},
                           SECRET, "HS256")
        return {"Authorization": "Bearer " + token}

    key = {"X-API-Key": KEY}
    assert ask(server, "GET", "/tasks")[0] == 401
    assert ask(server, "GET", "/tasks", headers={"X-API-Key": "wrong"})[0] == 401
    assert ask(server, "GET", "/tasks", headers=bearer("a", exp=1))[0] == 401
    ours = good(server, "POST", "/tasks", {"title": "a", "tenant": "a"}, 201, headers=key)
    theirs = good(server, "POST", "/tasks?tenant=b", {"title": "b"}, 201, headers=key)
    assert ours["id"] != theirs["id"]
    for tenant, own, other in ("a", ours, theirs), ("b", theirs, ours):
        me = bearer(tenant)
        assert good(server, "GET", "/tasks", headers=me)["total"] == 1
        assert good(server, "GET", f"/tasks/{own['id']}", headers=me) == own
        for method, path, body in (("GET", f"/tasks/{other['id']}", None),
                                   ("PATCH", f"/tasks/{other['id']}", {"title": "x"}),
                                   ("DELETE", f"/tasks/{other['id']}", None),
                                   ("POST", f"/tasks/{other['id']}/subtasks", {"title": "x"})):
            assert ask(server, method, path, body, headers=me)[0] == 404
        assert ask(server, "GET", "/tasks?tenant=c", headers=me)[0] == 403
        assert ask(server, "POST", "/tasks", {"title": "x", "tenant": "c"}, headers=me)[0] == 403
    assert good(server, "GET", "/tasks", headers=key)["total"] == 0
    assert good(server, "GET", "/tasks?tenant=b", headers=key)["tasks"][0]["title"] == "b"


async def test_a_database_that_is_away(start_recado, database):
    server = start_recado(f"loops: 2\nstore: '{database.url}'")
    task = good(server, "POST", "/tasks", {"title": "T"}, 201)
    async with Page(server, task["id"]) as page:
        await said(database, "stop")
        for method, path, body in (("PATCH", f"/tasks/{task['id']}", {"title": "lost"}),
                                   ("POST", "/tasks", {"title": "lost"}),
                                   ("POST", f"/tasks/{task['id']}/subtasks", {"title": "lost"}),
                                   ("DELETE", f"/tasks/{task['id']}", None),
                                   ("GET", "/tasks", None)):
            error = await said(good, server, method, path, body, 503)
            assert error["error"]["code"] == 120
        await said(database, "start")
        await said(until, "it is written again", lambda: ask(
            server, "PATCH", f"/tasks/{task['id']}", {"priority": "high"})[0] == 200)
        update = await page.next()  # the first that is heard: nothing was told of what was refused
        assert update["task"]["title"] == "T" and update["task"]["priority"] == "high"
    assert good(server, "GET", "/tasks")["total"] == 1
