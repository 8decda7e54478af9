"""One code for one meaning, on every path under /api that answers with a status."""

import json

import jwt
import pytest

from servers import open_url
from test_durable import Database

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "api-key-of-the-tests"
LOCKED = f'auth: {{ hmac_secret: "{SECRET}", api_keys: ["{KEY}"] }}\n'
TASKS, SUBTASKS = "/api/orquestrador/tasks", "/api/orquestrador/subtasks"


def refused(server, method, path, body=None, headers=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    status, got, answer = open_url(server.url + path, data=data, headers=headers or {},
                                   method=method, timeout=60)
    error = json.loads(answer)["error"]
    assert error["message"]
    return status, error["code"], {name.lower(): value for name, value in got.items()}


NOT_FOUND = [
    ("GET", "/api/nothing/here"), ("GET", "/api/runs/none"), ("POST", "/api/runs/none/finish"),
    ("GET", "/api/runs/none?attempt=1"), ("POST", "/api/runs/none/dance"), ("GET", TASKS + "/7"),
    ("PATCH", TASKS + "/7"), ("DELETE", TASKS + "/x"), ("GET", TASKS + "/7/x"),
    ("DELETE", SUBTASKS + "/7"), ("GET", "/api/approvals/none"),
    ("POST", "/api/approvals/none/approve"), ("POST", "/api/approvals/none/dance"),
    ("GET", "/api/schedules/none"), ("DELETE", "/api/schedules/none"),
    ("POST", "/api/schedules/none/pause"), ("POST", "/api/schedules/none/dance"),
    ("GET", "/api/chat/conversations/70"), ("GET", "/api/chat/conversations/x"),
    ("DELETE", "/api/chat/conversations/70"),
]


@pytest.mark.parametrize("method, path", NOT_FOUND, ids=lambda v: v)
def test_not_found(shared_recado, method, path):
    body = {} if method in ("POST", "PATCH") else None
    assert refused(shared_recado, method, path, body)[:2] == (404, 404)


BAD = [
    ("POST", "/api/runs", b"{"), ("POST", "/api/runs", {"name": []}), ("GET", "/api/runs?limit=0", None),
    ("POST", TASKS, {}), ("POST", TASKS, b"["), ("GET", TASKS + "?limit=x", None),
    ("POST", "/api/approvals", {}), ("POST", "/api/approvals", b"nonsense"),
    ("GET", "/api/approvals?status=x", None), ("POST", "/api/schedules", {"id": "a"}),
    ("POST", "/api/schedules", b"{"), ("GET", "/api/schedules?limit=0", None),
    ("POST", "/api/chat", {"message": ""}), ("GET", "/api/chat/conversations?limit=0", None),
    ("POST", "/api/logs", b"{"), ("GET", "/api/logs?level=x", None),
    ("GET", "/api/monitor/history?from=x", None),
]


@pytest.mark.parametrize("method, path, body", BAD, ids=str)
def test_bad_requests(shared_recado, method, path, body):
    assert refused(shared_recado, method, path, body)[:2] == (400, 107)


@pytest.mark.parametrize("method, path, allow", [
    ("PUT", "/api/runs", "POST"), ("POST", TASKS + "/7", "DELETE"), ("GET", TASKS + "/7/subtasks", "POST"),
    ("DELETE", "/api/approvals/a", "GET"), ("GET", "/api/schedules/a/run", "POST"),
    ("POST", "/api/schedules/a", "PATCH"), ("DELETE", "/api/chat/conversations/1/messages", "GET"),
], ids=str)
def test_other_methods(shared_recado, method, path, allow):
    status, code, headers = refused(shared_recado, method, path)
    assert (status, code) == (405, 405) and allow in headers["allow"]


@pytest.mark.parametrize("method, path, headers, words", [
    ("GET", "/api/publish", {}, "it takes POST"),
    ("POST", "/api/runs", {"Origin": "http://other.example"}, "auth.origins"),
    ("POST", "/api/publish", {"Origin": "http://other.example"}, "auth.origins"),
], ids=str)
def test_refusals_say_what_would_do(shared_recado, method, path, headers, words):
    body = b"{}" if method == "POST" else None
    _, _, answer = open_url(shared_recado.url + path, data=body, headers=headers, method=method)
    assert words in json.loads(answer)["error"]["message"]


def test_a_wrong_key_is_told_from_none(start_recado):
    server = start_recado(LOCKED)
    for path in ("/api/publish", "/api/runs", "/api/internal/task-event"):
        for headers, words in (({}, "is needed"), ({"X-API-Key": "x"}, "is not one of"),
                               ({"Authorization": "apikey x"}, "is not one of")):
            status, _, answer = open_url(server.url + path, data=b"{}", headers=headers, method="POST")
            assert status == 401 and words in json.loads(answer)["error"]["message"], path


def good(server, path, body, headers=None):
    status, _, answer = open_url(server.url + path, data=json.dumps(body).encode(), method="POST",
                                 headers=headers or {}, timeout=60)
    assert status in (200, 201), answer


def test_conflicts(start_recado):
    server = start_recado("schedules: { max: 1 }\n")
    every = {"id": "a", "interval": "1d", "prompt": "x"}
    good(server, "/api/runs", {"id": "a", "status": "completed"})
    good(server, "/api/runs/a/retry", {})
    good(server, "/api/runs/a/steps", {"name": "s", "seq": 1000})
    good(server, "/api/approvals", {"id": "a", "action": "x"})
    good(server, "/api/approvals/a/approve", {})
    good(server, "/api/schedules", every)
    for path, body in (("/api/runs", {"id": "a"}), ("/api/runs/a/steps", {"name": "s"}),
                       ("/api/approvals/a/deny", {}), ("/api/schedules", every),
                       ("/api/schedules", {**every, "id": "b"})):
        assert refused(server, "POST", path, body)[:2] == (409, 409), path


def test_who_may(start_recado):
    server = start_recado(LOCKED + "api: { body_max: 2KiB }\n")
    token = jwt.encode({"sub": "ana", "org": "a"}, SECRET, "HS256")
    paths = ("/api/runs", TASKS, "/api/approvals", "/api/schedules", "/api/logs", "/api/monitor")
    for path in paths:
        assert refused(server, "GET", path)[:2] == (401, 101), path
        assert refused(server, "GET", path + "?tenant=b",
                       headers={"Authorization": "Bearer " + token})[:2] == (403, 103), path
    long = b'{"x":"' + b"x" * 3000 + b'"}'
    for path in ("/api/runs", TASKS, "/api/approvals", "/api/schedules", "/api/logs", "/api/chat",
                 "/api/publish"):
        assert refused(server, "POST", path, long, {"X-API-Key": KEY})[:2] == (413, 413), path


def test_the_store_is_down(start_recado):
    database = Database("postgres")
    try:
        server = start_recado(f"store: '{database.url}'\n")
        database("kill")
        for method, path, body in (("POST", "/api/runs", {"id": "a"}), ("GET", "/api/runs", None),
                                   ("POST", TASKS, {"title": "a"}), ("GET", TASKS, None),
                                   ("POST", "/api/approvals", {"action": "a"}),
                                   ("GET", "/api/approvals/a", None),
                                   ("POST", "/api/schedules", {"id": "a", "interval": "1d",
                                                               "prompt": "x"}),
                                   ("GET", "/api/chat/conversations", None)):
            assert refused(server, method, path, body)[:2] == (503, 120), path
    finally:
        database.end()
